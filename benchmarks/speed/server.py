"""A streaming chat completions server that costs as little as Python allows.

It reads a request, waits, and sends answers that were made beforehand, chunk by chunk at a fixed rate. No framework,
so that the server is never what is measured.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import multiprocessing
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

ANSWERS = 256
WORDS = [
    f"{first}{middle}{last}"
    for first in ("buf", "cal", "dis", "lin", "mem", "net", "pag", "que", "sig", "thr")
    for middle in ("a", "e", "i", "o", "u")
    for last in ("ders", "fers", "kets", "nels", "pers", "red", "sing", "ted", "ters", "ving")
]
WORDS_A_LINE = 15


@dataclass(frozen=True)
class Pace:
    """How answers are sent: ``lines`` of text, the first chunk after ``latency`` seconds, then ``per_second`` chunks of
    one token each; with 0 the whole answer follows at once in chunks of a line.
    """

    lines: int
    latency: float = 0.0
    per_second: float = 0.0


def _event(number: int, delta: dict[str, str], finish: str | None = None, usage: dict[str, int] | None = None) -> bytes:
    choices = [] if usage else [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 0, "model": "gpt-4.1"}
    return b"data: " + json.dumps({**body, "choices": choices, "usage": usage}).encode() + b"\n\n"


def answer(number: int, pace: Pace) -> tuple[bytes, list[bytes], bytes]:
    """The head, the chunks and the tail of one response; its text says nothing twice. A word is a token."""
    chance = random.Random(number)
    lines = [f"{' '.join(chance.choices(WORDS, k=WORDS_A_LINE)).capitalize()}.\n" for _ in range(pace.lines)]
    pieces = [f"{word} " for line in lines for word in line.split(" ")] if pace.per_second else lines
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
        f"x-request-id: req_{number}\r\n\r\n"
    )
    tokens = WORDS_A_LINE * pace.lines
    usage = {"prompt_tokens": 600, "completion_tokens": tokens, "total_tokens": 600 + tokens}
    chunks = [_chunked(_event(number, {"content": piece.replace("\n ", "\n")})) for piece in pieces]
    tail = _event(number, {}, finish="stop") + _event(number, {}, usage=usage) + b"data: [DONE]\n\n"
    return head.encode(), chunks, _chunked(tail) + b"0\r\n\r\n"


def _chunked(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


class _Connection(asyncio.Protocol):
    """One client connection: a request at a time, as HTTP/1.1 clients send them."""

    def __init__(self, answers: Iterator[tuple[bytes, list[bytes], bytes]], pace: Pace) -> None:
        self._answers = answers
        self._pace = pace
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        while (end := received.find(b"\r\n\r\n")) >= 0:
            head = bytes(received[:end]).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            if len(received) < end + 4 + length:
                return
            del received[: end + 4 + length]
            self._loop.call_later(self._pace.latency, self._respond)

    def _respond(self) -> None:
        head, chunks, tail = next(self._answers)
        if not self._pace.per_second:
            self._write(head + b"".join(chunks) + tail)
            return
        self._write(head)
        self._stream(chunks, tail, 0, self._loop.time())

    def _stream(self, chunks: Sequence[bytes], tail: bytes, at: int, began: float) -> None:
        """Send the chunks that are due, and come back for the next; the rate does not drift."""
        due = min(len(chunks), int((self._loop.time() - began) * self._pace.per_second) + 1)
        self._write(b"".join(chunks[at:due]) + (tail if due == len(chunks) else b""))
        if due < len(chunks) and not self._transport.is_closing():
            self._loop.call_at(began + due / self._pace.per_second, self._stream, chunks, tail, due, began)

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)


def _serve(connection: Connection, pace: Pace) -> None:
    answers = itertools.cycle([answer(number, pace) for number in range(ANSWERS)])

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(answers, pace), "127.0.0.1", 0, backlog=1024)
        connection.send(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    asyncio.run(main())


@contextmanager
def serving(pace: Pace) -> Iterator[int]:
    """A server in a process of its own; its port."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, pace), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()
