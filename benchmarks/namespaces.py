"""Two machines on one: network namespaces that reach this one over a cable each, and nothing else.

A relay listens at this end of each cable for what runs on 127.0.0.1 here: the database and the
author. Needs root and ``ip`` (iproute2).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A place that programs run at: ``prefix`` begins their command line, ``host`` is where they
    reach this machine.
    """

    prefix: tuple[str, ...] = ()
    host: str = "127.0.0.1"


def possible() -> bool:
    """Whether network namespaces can be made here."""
    return os.getuid() == 0 and shutil.which("ip") is not None


@contextmanager
def machines(count: int, ports: Sequence[int]) -> Iterator[list[Machine]]:
    """Namespaces, each with a cable to this one, where ``ports`` of 127.0.0.1 are relayed."""
    made: list[int] = []
    try:
        for number in range(count):
            made.append(number)
            _lay(number)
        with _relaying([_host(number) for number in made], ports):
            yield [Machine(prefix=("ip", "netns", "exec", _name(number)), host=_host(number)) for number in made]
    finally:
        for number in made:
            _ip("link", "del", f"vexp{os.getpid() % 10_000}h{number}", check=False)
            _ip("netns", "del", _name(number), check=False)


def _name(number: int) -> str:
    return f"expand-{os.getpid()}-{number}"


def _host(number: int) -> str:
    return f"10.231.{number + 1}.1"


def _lay(number: int) -> None:
    """A namespace and its cable: 10.231.N.1 is this end, 10.231.N.2 the other."""
    here, there = (f"vexp{os.getpid() % 10_000}{end}{number}" for end in "hn")
    name = _name(number)
    _ip("netns", "add", name)
    _ip("link", "add", here, "type", "veth", "peer", "name", there)
    _ip("link", "set", there, "netns", name)
    _ip("addr", "add", f"{_host(number)}/30", "dev", here)
    _ip("link", "set", here, "up")
    _ip("-n", name, "addr", "add", f"10.231.{number + 1}.2/30", "dev", there)
    _ip("-n", name, "link", "set", there, "up")


def _ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=True)


@contextmanager
def _relaying(hosts: Sequence[str], ports: Sequence[int]) -> Iterator[None]:
    ready, done = threading.Event(), threading.Event()

    async def serve() -> None:
        servers = [await asyncio.start_server(_relay_to(port), host, port) for host in hosts for port in ports]
        ready.set()
        await asyncio.to_thread(done.wait)
        for server in servers:
            server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    if not ready.wait(10):
        raise RuntimeError("the relay did not start")
    try:
        yield
    finally:
        done.set()
        thread.join(10)


Relay = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


def _relay_to(port: int) -> Relay:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):  # cancelled when all is over
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_pour(reader, far_writer), _pour(far_reader, writer))

    return relay


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.close()
