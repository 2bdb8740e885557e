"""No connection or name look-up beyond this machine, whatever library asks for it."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock


class NetworkForbiddenError(AssertionError):
    """A test tried to reach an address that is not on this machine."""


@contextmanager
def this_machine_only() -> Iterator[None]:
    """While it holds, a connection elsewhere raises ``NetworkForbiddenError``."""
    lookup = socket.getaddrinfo

    def guarded_lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and not (_number(name) or _is_local(name)):
            raise socket.gaierror(socket.EAI_NONAME, f"no name look-ups in tests: {name}")
        return lookup(host, *args, **kwargs)

    with (
        mock.patch.object(socket.socket, "connect", _guarded(socket.socket.connect)),
        mock.patch.object(socket.socket, "connect_ex", _guarded(socket.socket.connect_ex)),
        mock.patch.object(socket, "getaddrinfo", guarded_lookup),
    ):
        yield


def _guarded(connect: Callable[[socket.socket, Any], Any]) -> Callable[[socket.socket, Any], Any]:
    def guarded(self: socket.socket, address: Any) -> Any:
        if isinstance(address, tuple) and not _is_local(str(address[0])):  # else a Unix socket's path
            raise NetworkForbiddenError(f"connection to {address!r}; tests stay on this machine")
        return connect(self, address)

    return guarded


def _is_local(host: str) -> bool:
    number = _number(host)
    return number.is_loopback if number else host in {"localhost", ""}


def _number(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
