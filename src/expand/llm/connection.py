"""What an error of a transport stands for: certainly never sent, or unknown?

What is not known for certain never to have been sent is not taken as unreachable.
"""

from __future__ import annotations

import errno
import os

import aiohttp

from expand.errors import chain
from expand.llm.response import one_line
from expand.llm.types import AttemptFailedError, Failure

Kinds = tuple[tuple[type[BaseException], Failure], ...]
"""Errors and what they stand for. The first that fits counts, so special ones stand before what
they derive from.
"""

BY_AIOHTTP: Kinds = (
    (aiohttp.ConnectionTimeoutError, Failure.UNREACHABLE),
    (aiohttp.ClientConnectorError, Failure.UNREACHABLE),
    (aiohttp.ClientHttpProxyError, Failure.UNREACHABLE),
    (aiohttp.InvalidURL, Failure.UNREACHABLE),
    (aiohttp.ServerTimeoutError, Failure.TIMEOUT),
    (aiohttp.ClientError, Failure.DISCONNECTED),
    (TimeoutError, Failure.TIMEOUT),
)

_WORDS = {
    Failure.UNREACHABLE: "no connection",
    Failure.TIMEOUT: "no answer in time",
    Failure.DISCONNECTED: "the connection was lost",
    Failure.GARBLED: "the answer cannot be read",
}


def lost(
    error: BaseException, kinds: Kinds = BY_AIOHTTP, *, otherwise: Failure = Failure.DISCONNECTED
) -> AttemptFailedError:
    """The failure that an error stands for, by itself or by what caused it."""
    # What the transport raised comes before what an adapter made of it.
    for cause in sorted(chain(error), key=lambda c: not isinstance(c, aiohttp.ClientError)):
        for kind, failure in kinds:
            if isinstance(cause, kind):
                return AttemptFailedError(failure, f"{_WORDS[failure]}: {_said(cause)}")
    return AttemptFailedError(otherwise, f"{_WORDS[otherwise]}: {one_line(str(error))}")


def _said(cause: BaseException) -> str:
    """A transport's error in a few words; that of a connection that was never made without the
    socket's own: ``127.0.0.1:8080: connection refused``.
    """
    if isinstance(cause, aiohttp.ClientConnectorError) and not isinstance(cause, aiohttp.ClientSSLError):
        number = cause.errno or 0
        known = number in errno.errorcode
        reason = os.strerror(number).lower() if known else cause.strerror
        if reason:
            return f"{cause.host}:{cause.port}: {one_line(reason)}"
    return one_line(str(cause)) or type(cause).__name__
