"""The SDK: its HTTP client as a wire, and what its errors stand for.

The SDK's adapter for aiohttp reports a refused connection and one that was dropped after sending as
the same ``ConnectTimeout``, although the first is certainly unbilled and the second is not: so the
mapper goes by aiohttp's own error where there is one.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import aiohttp
import httpx2
import openai

from expand.llm.connection import BY_AIOHTTP, Kinds, lost
from expand.llm.http_errors import refused
from expand.llm.response import one_line
from expand.llm.types import AttemptFailedError, Failure
from expand.llm.wire import KEPT_SECONDS, Reply, Route, Transport

SDK_ERRORS = (openai.OpenAIError, httpx2.HTTPError, httpx2.InvalidURL)
"""What the SDK and its transport raise."""

_BY_CAUSE: Kinds = (
    *BY_AIOHTTP,
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


class SdkWire:
    """The SDK's own HTTP client."""

    def __init__(self, route: Route, transport: Transport) -> None:
        client = openai.DefaultAioHttpClient if transport == "aiohttp" else openai.DefaultAsyncHttpxClient
        timeout = httpx2.Timeout(route.read_seconds, connect=route.connect_seconds, pool=None)
        self._route = route
        self._client = client(
            headers=route.headers,
            timeout=timeout,
            follow_redirects=False,
            # A proxy in the environment must not come between us and this machine.
            trust_env=not route.here,
            limits=httpx2.Limits(max_connections=route.connections, keepalive_expiry=KEPT_SECONDS),
        )

    async def post(self, body: bytes, client_request_id: str) -> Reply:
        """Send once."""
        own = {"X-Client-Request-Id": client_request_id}
        try:
            response = await self._client.post(self._route.url, content=body, headers=own)
        except (*SDK_ERRORS, aiohttp.ClientError, OSError) as error:
            # what the SDK's adapter for aiohttp does not know, it lets through
            raise failed(error) from error
        return Reply(response.status_code, response.headers, response.content)

    async def aclose(self) -> None:
        """Close all connections; harmless when repeated."""
        await self._client.aclose()


def failed(error: Exception, *, clock: Callable[[], float] = time.time) -> AttemptFailedError:
    """The failure that an error of the SDK or its transport stands for. ``clock`` gives Unix
    seconds, for Retry-After dates.
    """
    if isinstance(error, openai.APIStatusError):
        response = error.response
        return refused(error.status_code, response.headers, response.content, now=clock())
    if isinstance(error, openai.APIResponseValidationError):
        return AttemptFailedError(
            Failure.GARBLED,
            f"the answer is no chat completion: {one_line(error.message)}",
            status=error.status_code,
        )
    timeout = isinstance(error, openai.APITimeoutError)
    return lost(error, _BY_CAUSE, otherwise=Failure.TIMEOUT if timeout else Failure.DISCONNECTED)
