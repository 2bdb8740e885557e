"""No test reaches past this machine, and none sees the developer's own settings."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from ledgers import postgres, server_address, site  # noqa: F401 - fixtures


class NetworkForbiddenError(AssertionError):
    """A test tried to reach an address that is not on this machine."""


def _is_local(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # a Unix socket's path
    host = str(address[0])
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host in {"localhost", ""}


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """Any connection and any name look-up beyond 127.0.0.1 raises, whatever library asks for it."""
    connect, connect_ex, lookup = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.getaddrinfo,
    )

    def guarded(self: socket.socket, address: Any) -> None:
        if not _is_local(address):
            raise NetworkForbiddenError(f"connection to {address!r}")
        connect(self, address)

    def guarded_ex(self: socket.socket, address: Any) -> int:
        if not _is_local(address):
            raise NetworkForbiddenError(f"connection to {address!r}")
        return connect_ex(self, address)

    def guarded_lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and not _is_local((name,)):
            raise socket.gaierror(socket.EAI_NONAME, f"no name look-ups in tests: {name}")
        return lookup(host, *args, **kwargs)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", guarded)
    patch.setattr(socket.socket, "connect_ex", guarded_ex)
    patch.setattr(socket, "getaddrinfo", guarded_lookup)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, base URL, proxy or setting of the developer's is seen by a test."""
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "EXPAND_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
