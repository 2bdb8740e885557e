"""The wire: one POST to one address, and what came back. No retries, no redirects.

Straight over aiohttp, at 0.2 ms of CPU a request; the SDK's client over the same transport takes
twice that, and its method for chat completions ten times. Where the environment names a proxy, the
SDK's client is used all the same, which knows every kind of proxy and exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol
from urllib.request import getproxies

import aiohttp
import httpcore2  # noqa: F401 # otherwise the first client imports it, with a request waiting
import httpx2
import openai

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
        """Send once. Raises what its transport raises."""

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


def sdk_headers(base_url: str) -> dict[str, str]:
    """What the SDK sends with every request of its own, but the key."""
    sdk = openai.AsyncOpenAI(
        api_key="",  # not None, which would have it look into the environment
        base_url=base_url,
        http_client=openai.DefaultAsyncHttpxClient(verify=False, trust_env=False),
        _enforce_credentials=False,
    )
    every = {name: text for name, text in sdk.default_headers.items() if isinstance(text, str)}
    every.pop("Authorization", None)
    return every


def wire(route: Route, transport: Transport) -> Wire:
    """The way that fits the environment."""
    if transport == "aiohttp" and (route.here or not getproxies()):
        return _DirectWire(route)
    return _SdkWire(route, transport)


class _DirectWire:
    """aiohttp by itself."""

    def __init__(self, route: Route) -> None:
        self._route = route
        # Without TLS, the certificates of all authorities need not be read.
        self._tls = httpx2.create_ssl_context() if route.url.startswith("https:") else True
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes, client_request_id: str) -> Reply:
        session = self._session = self._session or self._opened()
        own = {"X-Client-Request-Id": client_request_id}
        async with session.post(
            self._route.url, data=body, headers=own, allow_redirects=False
        ) as response:
            return Reply(response.status, response.headers, await response.read())

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


class _SdkWire:
    """The SDK's own HTTP client."""

    def __init__(self, route: Route, transport: Transport) -> None:
        client = (
            openai.DefaultAioHttpClient
            if transport == "aiohttp"
            else openai.DefaultAsyncHttpxClient
        )
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
        own = {"X-Client-Request-Id": client_request_id}
        response = await self._client.post(self._route.url, content=body, headers=own)
        return Reply(response.status_code, response.headers, response.content)

    async def aclose(self) -> None:
        await self._client.aclose()
