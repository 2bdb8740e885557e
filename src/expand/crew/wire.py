"""The wire between a captain and a member: words over a socket that both have since the fork.

Saying something never waits for the other side, so a slow terminal holds up no draft: what is not
heard yet is kept. When one side ends, however it ends, the other is told.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
from collections.abc import Callable

from expand.crew.words import Word

_LENGTH = struct.Struct("!I")


class Wire(asyncio.Protocol):
    """One end. ``lost`` is set when the other end is gone and all it said has been heard."""

    def __init__(self, on_word: Callable[[Word], None], on_lost: Callable[[], None]) -> None:
        self._on_word = on_word
        self._on_lost = on_lost
        self._heard = bytearray()
        self._transport: asyncio.Transport | None = None
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The wire is up."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hear what has come whole."""
        heard = self._heard
        heard += data
        while len(heard) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(heard)
            end = _LENGTH.size + length
            if len(heard) < end:
                return
            word: Word = pickle.loads(heard[_LENGTH.size : end])  # our own process said it
            del heard[:end]
            self._on_word(word)

    def connection_lost(self, error: Exception | None) -> None:
        """The other side has ended, or this one has closed the wire."""
        self.lost.set()
        self._on_lost()

    def say(self, word: Word) -> None:
        """Say something; lost when nobody is there any more."""
        if self._transport is not None and not self._transport.is_closing():
            said = pickle.dumps(word, protocol=pickle.HIGHEST_PROTOCOL)
            self._transport.write(_LENGTH.pack(len(said)) + said)

    async def close(self) -> None:
        """Wait until all that was said has gone out, and hang up."""
        if self._transport is not None:
            self._transport.close()
            await self.lost.wait()


async def wire(
    end: socket.socket,
    on_word: Callable[[Word], None],
    on_lost: Callable[[], None] = lambda: None,
) -> Wire:
    """The wire over one end of a pair of sockets, in the running loop."""
    made = Wire(on_word, on_lost)
    await asyncio.get_running_loop().create_connection(lambda: made, sock=end)
    return made
