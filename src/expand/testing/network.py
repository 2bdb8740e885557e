"""No connection and no name look-up beyond this machine, whatever library asks for it."""

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock


class NetworkForbiddenError(AssertionError):
    """A test tried to reach an address that is not on this machine."""


@contextmanager
def this_machine_only() -> Iterator[None]:
    """While it holds, a connection elsewhere raises ``NetworkForbiddenError``."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex
    lookup = socket.getaddrinfo

    def guarded(self: socket.socket, address: Any) -> None:
        _require_local(address)
        connect(self, address)

    def guarded_ex(self: socket.socket, address: Any) -> int:
        _require_local(address)
        return connect_ex(self, address)

    def guarded_lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and not (_number(name) or _is_local(name)):
            raise socket.gaierror(socket.EAI_NONAME, f"no name look-ups in tests: {name}")
        return lookup(host, *args, **kwargs)

    with (
        mock.patch.object(socket.socket, "connect", guarded),
        mock.patch.object(socket.socket, "connect_ex", guarded_ex),
        mock.patch.object(socket, "getaddrinfo", guarded_lookup),
    ):
        yield


def _require_local(address: Any) -> None:
    if isinstance(address, tuple) and not _is_local(str(address[0])):  # else a Unix socket's path
        raise NetworkForbiddenError(f"connection to {address!r}; tests stay on this machine")


def _is_local(host: str) -> bool:
    number = _number(host)
    return number.is_loopback if number else host in {"localhost", ""}


def _number(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
