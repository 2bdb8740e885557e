"""A chat completions server of fixed latency that costs as little as Python allows.

It reads a request, waits, and sends bytes that were made beforehand: 1,024 different answers of
equal size, in turn. No framework, so that it is never what is measured.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import multiprocessing
import random
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

ANSWERS = 1024
WORDS = [
    f"{first}{middle}{last}"
    for first in ("buf", "cal", "dis", "lin", "mem", "net", "pag", "que", "sig", "thr")
    for middle in ("a", "e", "i", "o", "u")
    for last in ("ders", "fers", "kets", "nels", "pers", "red", "sing", "ted", "ters", "ving")
]


def answers(lines: int) -> list[bytes]:
    """Whole responses with texts of so many lines that say nothing twice."""
    return [_response(number, lines) for number in range(ANSWERS)]


def _response(number: int, lines: int) -> bytes:
    chance = random.Random(number)
    text = "\n".join(f"{' '.join(chance.choices(WORDS, k=12)).capitalize()}." for _ in range(lines))
    body = json.dumps(
        {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": 0,
            "model": "gpt-4.1",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "logprobs": None,
                    "message": {"role": "assistant", "content": text, "refusal": None},
                }
            ],
            "usage": {
                "prompt_tokens": 600,
                "completion_tokens": 16 * lines,
                "total_tokens": 600 + 16 * lines,
                "prompt_tokens_details": {"cached_tokens": 512},
            },
        }
    ).encode()
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        f"x-request-id: req_{number}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Connection(asyncio.Protocol):
    """One client connection: a request at a time, as HTTP/1.1 clients send them."""

    def __init__(self, responses: Iterator[bytes], latency: float) -> None:
        self._responses = responses
        self._latency = latency
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        while (end := received.find(b"\r\n\r\n")) >= 0:
            head = bytes(received[:end]).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            if len(received) < end + 4 + length:
                return
            del received[: end + 4 + length]
            if self._latency:
                asyncio.get_running_loop().call_later(self._latency, self._respond)
            else:
                self._respond()

    def _respond(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(next(self._responses))


def _serve(connection: Connection, latency: float, lines: int) -> None:
    responses = itertools.cycle(answers(lines))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(responses, latency), "127.0.0.1", 0, backlog=1024)
        connection.send(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    asyncio.run(main())


@contextmanager
def serving(latency: float, lines: int) -> Iterator[int]:
    """A server in a process of its own; its port."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, latency, lines), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()
