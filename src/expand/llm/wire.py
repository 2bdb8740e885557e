"""The wire: one POST to one address, and what came back. No retries, no redirects.

``direct`` is the usual way, ``sdk`` the one for those behind a proxy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

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
