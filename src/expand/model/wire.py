"""The wire: one POST to one address, and what came back. No retries, no redirects.

Straight over aiohttp, at 0.2 ms of CPU a request; the SDK's client over the same transport takes
twice that, its method for chat completions ten times, and to import it 0.7 s and 40 MB. Where the
environment names a proxy, the SDK's client is used all the same (``sdk``), which knows every kind
of proxy and exception.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol
from urllib.request import getproxies

import aiohttp

from expand.model.connection import lost

Transport = Literal["aiohttp", "httpx2"]

KEPT_SECONDS = 15.0
"""How long a connection stays open unused."""


class Reply(NamedTuple):
    """What came back: ``headers`` are looked up in lower case, the body is decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Wire(Protocol):
    """A way to one address."""

    async def post(self, body: bytes, client_request_id: str) -> Reply:
        """Send once. Raises ``AttemptFailedError`` from its transport's error when nothing came."""

    async def aclose(self) -> None:
        """Close all connections; harmless when repeated."""


class Route(NamedTuple):
    """Where to and how: ``here`` says that it is this machine. Times are seconds; ``connections``
    is the most that are open at once.
    """

    url: str
    headers: Mapping[str, str]
    here: bool
    connect_seconds: float
    read_seconds: float
    connections: int


def wire(route: Route, transport: Transport) -> Wire:
    """The way that fits the environment."""
    if transport == "aiohttp" and (route.here or not getproxies()):
        return _DirectWire(route)
    from expand.model.sdk import SdkWire  # start-up time

    return SdkWire(route, transport)


class _DirectWire:
    """aiohttp by itself."""

    def __init__(self, route: Route) -> None:
        self._route = route
        # Without TLS, the certificates of all authorities need not be read.
        self._tls = _certificates() if route.url.startswith("https:") else True
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes, client_request_id: str) -> Reply:
        session = self._session = self._session or self._opened()
        own = {"X-Client-Request-Id": client_request_id}
        try:
            async with session.post(
                self._route.url, data=body, headers=own, allow_redirects=False
            ) as response:
                return Reply(response.status, response.headers, await response.read())
        except (aiohttp.ClientError, OSError) as error:
            raise lost(error) from error

    def _opened(self) -> aiohttp.ClientSession:
        route = self._route
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=route.connections, keepalive_timeout=KEPT_SECONDS, ssl=self._tls
            ),
            headers=route.headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                sock_connect=route.connect_seconds, sock_read=route.read_seconds
            ),
        )

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


def _certificates() -> ssl.SSLContext:
    """The authorities that the SDK's client trusts."""
    from httpx2 import create_ssl_context  # start-up time

    return create_ssl_context()
