"""The author behind an OpenAI-compatible API: the only module that imports openai.

One attempt is one HTTP request: the SDK's retries and redirects are off, since each could be a
purchase that no ledger knows of. Whatever goes wrong leaves as ``AttemptFailedError``; ``failed``
is the one place where the SDK's errors are mapped. The key is in no message and no traceback.

A request goes out over the ``wire``, past the SDK's request options and response models. The SDK's
adapter for aiohttp reports a refused connection and one that was dropped after sending as the same
``ConnectTimeout``, although the first is certainly unbilled and the second is not: so the mapper
goes by aiohttp's own error where there is one.
"""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

import aiohttp
import httpx2
import openai

from expand.completion import Answer, AttemptFailedError, Failure, Request
from expand.model.address import checked_url, is_loopback
from expand.model.key import checked_key
from expand.model.profile import OutputCapName
from expand.model.reply import answer_from, cut_at, one_line, request_id_in, retry_after, said_in
from expand.model.wire import Reply, Route, Transport, sdk_headers, wire

CONNECT_SECONDS = 10.0
READ_SECONDS = 600.0

_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_HIDDEN = "[key]"
_KEY_SHAPE = re.compile(r"\bsk-[\w*.-]{6,}|(?<=[Bb]earer )[\w*.~+/=-]{6,}")

_BY_STATUS = {
    401: Failure.UNAUTHORIZED,
    403: Failure.FORBIDDEN,
    404: Failure.NOT_FOUND,
    402: Failure.QUOTA,
    # Something may have been begun on the other side: taken as the server's own failures are.
    408: Failure.SERVER_ERROR,
    409: Failure.SERVER_ERROR,
    425: Failure.SERVER_ERROR,
    499: Failure.SERVER_ERROR,
}

_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
# A gateway keeps the words of what is behind it, and puts a code of its own in the place of theirs.
_QUOTA_WORDS = re.compile(r"insufficient_quota|exceeded your current quota", re.IGNORECASE)

_BY_CAUSE: tuple[tuple[type[BaseException], Failure], ...] = (
    # The first that fits, so the special ones stand before what they derive from.
    (aiohttp.ConnectionTimeoutError, Failure.UNREACHABLE),
    (aiohttp.ClientConnectorError, Failure.UNREACHABLE),
    (aiohttp.ClientHttpProxyError, Failure.UNREACHABLE),
    (aiohttp.InvalidURL, Failure.UNREACHABLE),
    (aiohttp.ServerTimeoutError, Failure.TIMEOUT),
    (aiohttp.ClientError, Failure.DISCONNECTED),
    (TimeoutError, Failure.TIMEOUT),
    (httpx2.ConnectTimeout, Failure.UNREACHABLE),
    (httpx2.PoolTimeout, Failure.UNREACHABLE),
    (httpx2.ConnectError, Failure.UNREACHABLE),
    (httpx2.ProxyError, Failure.UNREACHABLE),
    (httpx2.UnsupportedProtocol, Failure.UNREACHABLE),
    (httpx2.InvalidURL, Failure.UNREACHABLE),
    (httpx2.TimeoutException, Failure.TIMEOUT),
    (httpx2.DecodingError, Failure.GARBLED),
    (httpx2.RequestError, Failure.DISCONNECTED),
)


class OpenAIAuthor:
    """Sends chat completions to one endpoint. An async context manager; closing it twice is fine.

    ``base_url`` None is OpenAI's own. ``api_key`` None is for servers that need none: on this
    machine, or behind a gateway; then no Authorization header goes out. ``key_header`` carries it
    where that is not Authorization; ``headers`` go out with every request. ``output_cap_name`` is
    the profile's. ``clock`` gives Unix seconds, for Retry-After dates. ``connections`` is the
    most that are open at once. Raises ``InputError`` for a key or base URL that cannot be sent.
    """

    def __init__(
        self,
        *,
        api_key: str | None,
        base_url: str | None = None,
        output_cap_name: OutputCapName = "max_completion_tokens",
        key_header: str = "Authorization",
        headers: Mapping[str, str] | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        connections: int = 256,
        transport: Transport = "aiohttp",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cap_name = output_cap_name
        self._clock = clock
        self._key = checked_key(api_key)
        self._base_url = checked_url(base_url)
        every = {**sdk_headers(self._base_url), **(headers or {})}
        if self._key:
            bearer = key_header.lower() == "authorization"
            every[key_header] = f"Bearer {self._key}" if bearer else self._key
        url = httpx2.URL(self._base_url)
        self._wire = wire(
            Route(
                url=str(url.copy_with(path=f"{url.path.rstrip('/')}/chat/completions")),
                headers=every,
                here=is_loopback(self._base_url),
                connect_seconds=connect_seconds,
                read_seconds=read_seconds,
                connections=connections,
            ),
            transport,
        )

    def __repr__(self) -> str:
        return f"OpenAIAuthor(base_url={self._base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._wire.aclose()

    async def open(self) -> None:
        """Ready at once: what takes time was done at import."""

    async def complete(self, request: Request, *, client_request_id: str) -> Answer:
        """Send the request once. Raises ``AttemptFailedError`` when no answer came."""
        body = {
            **request.parameters,
            "model": request.model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            self._cap_name: request.max_output_tokens,
        }
        sent = _COMPACT.encode(body).encode()
        try:
            reply = await self._wire.post(sent, client_request_id)
            if not 200 <= reply.status < 300:
                raise _status_error(reply, self._base_url)
            answer = answer_from(reply.body, request_id=request_id_in(reply.headers))
            return self._without_key(cut_at(answer, request.max_output_tokens))
        except (
            openai.OpenAIError,
            httpx2.HTTPError,
            httpx2.InvalidURL,
            aiohttp.ClientError,
            OSError,
        ) as e:
            error = failed(e, clock=self._clock, key=self._key)
            # The provider's words may repeat the key; then they stay out of the traceback too.
            raise error from (None if self._key and self._key in _chain_text(e) else e)
        except AttemptFailedError as e:
            raise AttemptFailedError(e.failure, _redacted(e.message, self._key)) from None

    def _without_key(self, answer: Answer) -> Answer:
        """The answer, without the key should the server have repeated it."""
        key = self._key
        if not key:
            return answer
        return replace(
            answer,
            text=answer.text.replace(key, _HIDDEN),
            model=answer.model.replace(key, _HIDDEN),
            provider_request_id=answer.provider_request_id.replace(key, _HIDDEN),
        )


def _status_error(reply: Reply, url: str) -> openai.APIStatusError:
    """The error that the SDK makes of a response: the body is what its ``error`` holds."""
    text = reply.body.decode("utf-8", "replace").strip()
    body: object = text
    with suppress(ValueError, RecursionError):
        body = json.loads(reply.body)
    if isinstance(body, dict):
        body = body.get("error", body)
    unpacked = [
        (name.encode(), text.encode(errors="surrogateescape"))  # a header may hold any bytes
        for name, text in reply.headers.items()
        if name.lower() != "content-encoding"
    ]
    response = httpx2.Response(
        reply.status, headers=unpacked, content=reply.body, request=httpx2.Request("POST", url)
    )
    return openai.APIStatusError(f"Error code: {reply.status}", response=response, body=body)


def failed(
    error: Exception, *, clock: Callable[[], float] = time.time, key: str | None = None
) -> AttemptFailedError:
    """The failure that an error of the SDK or its transport stands for. ``key`` is kept out of it.

    What is not known for certain never to have been sent is not taken as unreachable.
    """
    if isinstance(error, openai.APIStatusError):
        mapped = _failed_status(error, clock())
    elif isinstance(error, openai.APIResponseValidationError):
        mapped = AttemptFailedError(
            Failure.GARBLED,
            f"the answer is no chat completion: {one_line(error.message)}",
            status=error.status_code,
        )
    else:
        mapped = _failed_connection(error)
    mapped.message = _redacted(mapped.message, key)
    mapped.args = (mapped.message,)
    return mapped


def _failed_status(error: openai.APIStatusError, now: float) -> AttemptFailedError:
    status = error.status_code
    said = said_in(error.body) or said_in(error.response.text) or error.response.reason_phrase
    wait = None
    if 300 <= status < 400:
        failure = Failure.BAD_REQUEST
        said = f"redirected to {error.response.headers.get('location', '?')}; give that base URL"
    elif status == 429:
        used_up = bool(_QUOTA_CODES & {error.code, error.type}) or _QUOTA_WORDS.search(said)
        failure = Failure.QUOTA if used_up else Failure.RATE_LIMITED
    elif status == 400 and _is_filter(error, said):
        failure = Failure.FILTERED
    elif status >= 500:
        failure = Failure.SERVER_ERROR
    else:
        failure = _BY_STATUS.get(status, Failure.BAD_REQUEST)
    if failure in (Failure.RATE_LIMITED, Failure.SERVER_ERROR):
        wait = retry_after(error.response.headers, now=now)
    return AttemptFailedError(
        failure, f"HTTP {status}: {one_line(said)}", status=status, retry_after_seconds=wait
    )


def _is_filter(error: openai.APIStatusError, said: str) -> bool:
    """Whether Azure's filter refused the prompt, directly or through LiteLLM."""
    return "content_filter" in (error.code, error.type) or "ContentPolicyViolationError" in said


def _failed_connection(error: Exception) -> AttemptFailedError:
    causes = list(_chain(error))
    # What the transport raised comes before what its adapter made of it.
    for cause in sorted(causes, key=lambda c: not isinstance(c, aiohttp.ClientError)):
        for kind, failure in _BY_CAUSE:
            if isinstance(cause, kind):
                said = _said(cause)
                return AttemptFailedError(failure, f"{_WORDS[failure]}: {said}")
    failure = Failure.TIMEOUT if isinstance(error, openai.APITimeoutError) else Failure.DISCONNECTED
    return AttemptFailedError(failure, f"{_WORDS[failure]}: {one_line(str(error))}")


def _said(cause: BaseException) -> str:
    """A transport's error in a few words; that of a connection that was never made without the
    socket's own: ``127.0.0.1:8080: connection refused``.
    """
    if isinstance(cause, aiohttp.ClientConnectorError) and not isinstance(
        cause, aiohttp.ClientSSLError
    ):
        number = cause.errno or 0
        known = number in errno.errorcode
        reason = os.strerror(number).lower() if known else cause.strerror
        if reason:
            return f"{cause.host}:{cause.port}: {one_line(reason)}"
    return one_line(str(cause)) or type(cause).__name__


_WORDS = {
    Failure.UNREACHABLE: "no connection",
    Failure.TIMEOUT: "no answer in time",
    Failure.DISCONNECTED: "the connection was lost",
    Failure.GARBLED: "the answer cannot be read",
}


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what caused it, the outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        inner = None if current.__suppress_context__ else current.__context__
        current = current.__cause__ or inner


def _chain_text(error: BaseException) -> str:
    return "\n".join(f"{cause!r} {cause}" for cause in _chain(error))


def _redacted(text: str, key: str | None) -> str:
    if key:
        text = text.replace(key, _HIDDEN)
    return _KEY_SHAPE.sub(_HIDDEN, text)
