"""A chat completions server on 127.0.0.1 that writes to order, as badly as asked, and counts what it bills.

In a test: ``with ScriptedServer(ratio=0.45) as server: … server.base_url, server.requests``.
By itself: ``python tests/scripted_server.py --port 8099 --behaviour preamble``.
"""

from __future__ import annotations

import argparse
import json
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from os.path import commonprefix
from typing import Any, NamedTuple, Self, cast, get_args

from expand.llm.types import Message, Request
from expand.testing.scripted_author import FAULTS, Behaviour, Script, SentRequest, billed, pieces_of

__all__ = ["HANG_UP", "NO_COMPLETION", "Behaviour", "Received", "Reply", "ScriptedServer", "WireServer", "main"]

HANG_UP = None
"""As a part of a reply: the connection ends here."""


class Reply(NamedTuple):
    """A response: its parts, bytes and seconds to wait, go out one after the other. The status 0 stands for no head."""

    parts: Sequence[bytes | float | None]
    status: int = 200
    headers: Mapping[str, str] = {}


NOT_FOUND = Reply([b"Not found"], 404)


@dataclass(kw_only=True)
class Received(SentRequest):
    """One request as it arrived, its number, counted from 0, and what was billed for it."""

    number: int
    headers: Mapping[str, str]
    body: dict[str, Any]
    billed_tokens: int = 0

    @property
    def streamed(self) -> bool:
        """Whether a stream was asked for."""
        return bool(self.body.get("stream"))


@dataclass
class ScriptedServer(Script):
    """The server; it runs in threads of its own while its context lasts. ``key`` is what it accepts, None for anything,
    and ``retry_after`` the text of that header."""

    key: str | None = None
    retry_after: str = "1"
    port: int = 0
    requests: list[Received] = field(default_factory=list)
    billed_tokens: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    released: threading.Event = field(default_factory=threading.Event)
    _listener: _Listener | None = None

    @property
    def base_url(self) -> str:
        """What to give as the base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._listener = _Listener(("127.0.0.1", self.port), _Handler)
        self._listener.scripted = self
        self.port = self._listener.server_port
        threading.Thread(
            target=self._listener.serve_forever, kwargs={"poll_interval": 0.02}, name="scripted-server", daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends; nobody waits for anything any more."""
        assert self._listener is not None
        self.released.set()
        self._listener.shutdown()
        self._listener.server_close()

    def write(self, received: Received) -> tuple[str, str]:
        """The text of an answer and its finish reason. Override it for answers of your own."""
        return self.written(received, received.behaviour)

    def receive(self, headers: Mapping[str, str], body: dict[str, Any]) -> Received:
        """Enters a request into the log."""
        messages = tuple(Message(role=one["role"], content=str(one["content"])) for one in body["messages"])
        request = Request(model=body["model"], messages=messages, max_output_tokens=0)
        address = headers.get("X-Client-Request-Id", "")
        with self._lock:
            number = len(self.requests)
            received = Received(address, request, "unauthorized", number=number, headers=headers, body=body)
            if self.key is None or headers.get("Authorization") == f"Bearer {self.key}":
                received.behaviour = self.behaviour_of(number, received.section)
            self.requests.append(received)
        return received

    def reply(self, received: Received) -> Reply:
        """What a request gets. Override it for habits of a provider's own."""
        behaviour, fault = received.behaviour, FAULTS.get(received.behaviour)
        status = (fault and fault.status) or 0
        refusal = fault and {"message": fault.message, "type": fault.code, "param": None, "code": fault.code}
        if 400 <= status < 500:  # refused, and not billed
            retry = {"Retry-After": self.retry_after} if behaviour == "rate_limited" else {}
            return json_reply({"error": refusal}, status, retry)
        text, finish = self.write(received)
        usage = self.bill(received, text)
        if status:
            return json_reply({"error": refusal}, status)
        if behaviour in ("drop", "timeout"):
            return Reply([threading.TIMEOUT_MAX, HANG_UP] if behaviour == "timeout" else [HANG_UP], 0)
        reported = {"usage": usage} if behaviour != "no_usage" else {}
        head = {"id": f"chatcmpl-{received.number}", "created": 1_700_000_000, "model": received.request.model}
        headers, key = {"x-request-id": f"req_{received.number}"}, "refusal" if behaviour == "refusal" else "content"
        if not received.streamed:
            message = {"role": "assistant", "content": None, key: text}
            choice = {"index": 0, "finish_reason": finish, "message": message}
            whole = {**head, "object": "chat.completion", "choices": [choice], **reported}
            return json_reply(whole, headers=headers)
        broken = behaviour == "broken_stream"
        pieces = pieces_of(text[: len(text) // 2] if broken else text, self.chunk_characters)
        deltas = [{"role": "assistant", key: ""}, *({key: piece} for piece in pieces)]
        chunks: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": one, "finish_reason": None}]} for one in deltas
        ]
        if not broken:
            chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
            if (received.body.get("stream_options") or {}).get("include_usage"):
                chunks.append({"choices": [], **reported})
        events = [json.dumps({**head, "object": "chat.completion.chunk", **chunk}) for chunk in chunks]
        ends = [HANG_UP] if broken else [b"data: [DONE]\n\n"]
        parts = [part for event in events for part in (f"data: {event}\n\n".encode(), self.chunk_seconds)]
        return Reply([*parts, *ends], 200, {"Content-Type": "text/event-stream", **headers})

    def bill(self, received: Received, text: str) -> dict[str, Any]:
        """Charges for an answer. Returns the usage as the API reports it."""
        said = received.prompt_text
        prompt, completion = billed(said, text, received.behaviour)
        with self._lock:
            before = [one.prompt_text for one in self.requests[max(0, received.number - 4) : received.number]]
            received.billed_tokens = prompt + completion
            self.billed_tokens += prompt + completion
        shared = max((len(commonprefix([said, earlier])) for earlier in before), default=0)  # noqa: RUF071 (letters)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": min(prompt, shared // 4)},
        }


def json_reply(data: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A response of one object."""
    return Reply([json.dumps(data).encode()], status, {"Content-Type": "application/json", **(headers or {})})


class _Listener(ThreadingHTTPServer):
    request_queue_size = 1024
    scripted: ScriptedServer


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the second write of a response waits 40 ms for the client
    server: _Listener

    def log_message(self, *_: object) -> None:
        """Prints nothing on stderr."""

    def handle(self) -> None:
        """Answers what comes; a client may go away whenever it likes: tests interrupt them."""
        with suppress(OSError):
            super().handle()

    def do_GET(self) -> None:
        """Lists the models."""
        models = json_reply({"object": "list", "data": [{"id": "scripted"}]})
        self._send(models if self.path == "/v1/models" else NOT_FOUND)

    def do_POST(self) -> None:
        """Answers one chat completion request."""
        scripted = self.server.scripted
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            return self._send(NOT_FOUND)
        received = scripted.receive(cast("Mapping[str, str]", self.headers), body)
        scripted.released.wait(scripted.latency_seconds)
        return self._send(scripted.reply(received))

    def _send(self, reply: Reply) -> None:
        if reply.status:
            self.send_response(reply.status)
            for name, value in {**reply.headers, "Transfer-Encoding": "chunked"}.items():
                self.send_header(name, value)
            self.end_headers()
        for part in reply.parts:
            if part is HANG_UP:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if isinstance(part, bytes):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            else:
                self.server.scripted.released.wait(part)
        self.wfile.write(b"0\r\n\r\n")


UPSTREAM_FAILED = {"error": {"message": "upstream failed", "code": 502}}
NO_COMPLETION = {
    "not_json": b"upstream said: OK",
    "html": b"<html><body>Please sign in</body></html>",
    "error_in_success": json.dumps(UPSTREAM_FAILED).encode(),
}
REFUSED = {
    "refuses_stream": "Unsupported value: 'stream' does not support true",
    "refuses_stream_options": "Unknown parameter: 'stream_options'",
    "streams_only": "This model can only be streamed: set 'stream' to true",
}


@dataclass
class WireServer(ScriptedServer):
    """``habit`` is a key of ``NO_COMPLETION`` or ``REFUSED``, ``ignores_stream``, or one of these, which leave half of
    the text: ``broken_stream``, ``broken_stream_with_usage``, ``stalled_stream``, ``unfinished_stream``,
    ``error_in_stream``. It is the habit for the requests of these numbers, None for all."""

    habit: str = ""
    at: tuple[int, ...] | None = None

    def reply(self, received: Received) -> Reply:
        habit = self.habit if self.at is None or received.number in self.at else ""
        touched = {
            "refuses_stream": received.streamed,
            "refuses_stream_options": "stream_options" in received.body,
            "streams_only": not received.streamed,
        }
        if touched.get(habit):
            return json_reply({"error": {"message": REFUSED[habit], "code": "unsupported_value"}}, 400)
        if habit in NO_COMPLETION:
            self.bill(received, self.write(received)[0])
            return Reply(
                [NO_COMPLETION[habit]], headers={"Content-Type": "text/html" if habit == "html" else "application/json"}
            )
        if habit == "ignores_stream":
            return super().reply(replace(received, body={**received.body, "stream": False}))
        if not habit.endswith(("stream", "usage")) or habit == "refuses_stream":
            return super().reply(received)
        received.behaviour = "broken_stream"
        half = super().reply(received)
        usage = {"prompt_tokens": received.billed_tokens - 1, "completion_tokens": 1}
        chunk = {"model": received.request.model, "choices": [], "usage": usage}
        end: dict[str, list[bytes | float | None]] = {
            "broken_stream": [HANG_UP],
            "broken_stream_with_usage": [f"data: {json.dumps(chunk)}\n\n".encode(), HANG_UP],
            "stalled_stream": [threading.TIMEOUT_MAX, HANG_UP],
            "unfinished_stream": [],
            "error_in_stream": [f"data: {json.dumps(UPSTREAM_FAILED)}\n\n".encode()],
        }
        return half._replace(parts=[*half.parts[:-1], *end[habit]])


def main() -> None:
    """Serve until interrupted; prints the base URL."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ratio", type=float, default=1.0)
    parser.add_argument("--behaviour", choices=get_args(Behaviour), default="normal")
    given = parser.parse_args()
    try:
        with ScriptedServer(**vars(given)) as server:
            print(server.base_url, flush=True)
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
    except OSError as error:  # the port is taken, or not for everybody
        parser.error(f"argument --port: {given.port}: {error.strerror}")


if __name__ == "__main__":
    main()
