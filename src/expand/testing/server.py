"""A chat completions server on 127.0.0.1 that writes to order, as badly as asked, and counts what it bills.

In a test: ``with ScriptedServer(ratio=0.45) as server: … server.base_url, server.requests``.
By itself: ``python -m expand.testing --port 8099 --behaviour preamble``; ``GET /books`` shows its log
and bill. ``behaviour`` is for every request; ``script`` gives one for each of the first requests.
"""

from __future__ import annotations

import argparse
import itertools
import json
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple, Self, cast, get_args
from urllib.parse import unquote

from expand.testing.behaviours import (
    ERRORS,
    INTERRUPTED,
    Behaviour,
    LineRequest,
    TextGenerator,
    billed,
    pieces_of,
    written,
)

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
UPSTREAM_FAILED: Mapping[str, Any] = MappingProxyType({"error": {"message": "upstream failed", "code": 502}})
NO_COMPLETION: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "not_json": ("application/json", "upstream said: OK"),
        "html": ("text/html", "<html><body>Please sign in</body></html>"),
        "error_in_success": ("application/json", json.dumps({**UPSTREAM_FAILED})),
    }
)
"""Content type and body of the successes that are no chat completion."""


@dataclass
class Received:
    """One request as it arrived, and what was billed for it."""

    headers: Mapping[str, str]
    body: dict[str, Any]
    behaviour: str
    billed_tokens: int = 0

    @property
    def last_user_message(self) -> str:
        """The text that states how many lines are wanted."""
        return next((str(m["content"]) for m in reversed(self.body["messages"]) if m["role"] == "user"), "")

    @property
    def question(self) -> LineRequest:
        """The lines asked for, and the section that the request's header names."""
        address = self.headers.get("X-Client-Request-Id", "").split("/")
        if len(address) != 4 or not address[1].isdecimal():
            return LineRequest(text=self.last_user_message)
        return LineRequest(text=self.last_user_message, chapter=unquote(address[0]), section=int(address[1]))

    @property
    def prompt_text(self) -> str:
        """All messages, one after the other."""
        return "\n".join(str(m["content"]) for m in self.body["messages"])

    @property
    def streamed(self) -> bool:
        """Whether a stream was asked for."""
        return bool(self.body.get("stream"))


@dataclass
class ScriptedServer:
    """The server; it runs in threads of its own while its context lasts.

    ``ratio`` of the lines asked is delivered. ``script`` has one behaviour for each of the first requests,
    ``behaviour`` is for all later ones. ``key`` is what it accepts, None for anything. It waits ``latency_seconds``
    before each answer; ``retry_after`` is the header's own text. A stream has ``chunk_characters`` in each chunk and
    ``chunk_seconds`` between two."""

    ratio: float = 1.0
    behaviour: Behaviour = "normal"
    script: tuple[Behaviour, ...] = ()
    latency_seconds: float = 0.0
    key: str | None = None
    retry_after: str = "1"
    chunk_characters: int = 40
    chunk_seconds: float = 0.0
    port: int = 0
    requests: list[Received] = field(default_factory=list)
    billed_tokens: int = 0
    _generator: TextGenerator = field(default_factory=TextGenerator)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    released: threading.Event = field(default_factory=threading.Event)
    _listener: _Listener | None = None

    @property
    def base_url(self) -> str:
        """What to give as the base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._listener = _Listener(self)
        self.port = self._listener.server_port
        threading.Thread(
            target=self._listener.serve_forever, kwargs={"poll_interval": 0.02}, name="scripted-server", daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends; requests under way lose their connection."""
        assert self._listener is not None
        self.released.set()
        self._listener.stop()

    def write(self, received: Received) -> tuple[str, str]:
        """The text of an answer and its finish reason. Override it for answers of your own."""
        return written(received.question, received.behaviour, generator=self._generator, ratio=self.ratio)

    def receive(self, headers: Mapping[str, str], body: dict[str, Any]) -> tuple[int, Received]:
        """Enters a request into the log. Returns its number."""
        with self._lock:
            index = len(self.requests)
            behaviour = self.script[index] if index < len(self.script) else self.behaviour
            if self.key is not None and headers.get("Authorization") != f"Bearer {self.key}":
                behaviour = "unauthorized"
            received = Received(headers=headers, body=body, behaviour=behaviour)
            self.requests.append(received)
        return index, received

    def bill(self, index: int, received: Received, text: str) -> dict[str, Any]:
        """Charges for an answer. Returns the usage as the API reports it."""
        said = received.prompt_text
        prompt, completion = billed(said, text, received.behaviour)
        with self._lock:
            before = [r.prompt_text for r in self.requests[max(0, index - 4) : index]]
            received.billed_tokens = prompt + completion
            self.billed_tokens += prompt + completion
        shared = max((_shared_prefix(said, earlier) for earlier in before), default=0)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": min(prompt, shared // 4)},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }

    def books(self) -> dict[str, Any]:
        """The log and the bill."""
        rows = [
            {
                "client_request_id": received.headers.get("X-Client-Request-Id", ""),
                "behaviour": received.behaviour,
                "billed_tokens": received.billed_tokens,
                "body": received.body,
            }
            for received in self.requests
        ]
        return {"billed_tokens": self.billed_tokens, "requests": rows}


class _Listener(ThreadingHTTPServer):
    """The socket of one scripted server, and the connections that are open on it."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, scripted: ScriptedServer) -> None:
        self.scripted = scripted
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", scripted.port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores clients that have gone away: tests interrupt them."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in tuple(self._open):
            _hang_up(connection)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the second write of a response waits 40 ms for the client
    server: _Listener

    def log_message(self, *_: object) -> None:
        """Prints nothing on stderr."""

    def do_GET(self) -> None:
        """Lists the models, or shows the log and the bill."""
        if self.path == "/v1/models":
            self._reply_json({"object": "list", "data": [{"id": "scripted"}]})
        elif self.path == "/books":
            self._reply_json(self.server.scripted.books())
        else:
            self._reply("Not found", status=404, content_type="text/plain")

    def do_POST(self) -> None:
        """Answers one chat completion request."""
        scripted = self.server.scripted
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            return self._reply("Not found", status=404, content_type="text/plain")
        index, received = scripted.receive(cast("Mapping[str, str]", self.headers), body)
        behaviour = received.behaviour
        if scripted.latency_seconds:
            scripted.released.wait(scripted.latency_seconds)
        status, error = _error(received)
        if 400 <= status < 500:
            headers = {"Retry-After": scripted.retry_after} if behaviour == "rate_limited" else {}
            return self._reply_json(error, status=status, headers=headers)
        text, finish = scripted.write(received)
        usage = scripted.bill(index, received, text)
        if behaviour in ("drop", "timeout"):
            if behaviour == "timeout":
                scripted.released.wait()
            return self._hang_up()
        if error:
            return self._reply_json(error, status=status)
        return self._answer(_Answer(index, received, text, finish, None if behaviour == "no_usage" else usage))

    def _answer(self, answer: _Answer) -> None:
        received, headers = answer.received, {"x-request-id": f"req_{answer.number}"}
        if received.behaviour in NO_COMPLETION:
            content_type, page = NO_COMPLETION[received.behaviour]
            self._reply(page, content_type=content_type)
        elif received.streamed and received.behaviour != "ignores_stream":
            self._stream(answer, headers)
        else:
            self._reply_json(answer.completion(), headers=headers)

    def _reply_json(
        self, data: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        self._reply(json.dumps(data, ensure_ascii=False), status=status, headers=headers)

    def _reply(
        self,
        body: str,
        *,
        status: int = 200,
        content_type: str = "application/json",
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        payload = body.encode()
        self._begin(status, {"Content-Type": content_type, **headers, "Content-Length": str(len(payload))})
        self.wfile.write(payload)

    def _begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _stream(self, answer: _Answer, headers: Mapping[str, str]) -> None:
        scripted, behaviour = self.server.scripted, answer.received.behaviour
        self._begin(200, {"Content-Type": "text/event-stream", **headers, "Transfer-Encoding": "chunked"})
        for event in answer.events(scripted.chunk_characters):
            payload = f"data: {event}\n\n".encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(payload), payload))
            if scripted.chunk_seconds:
                scripted.released.wait(scripted.chunk_seconds)
        if behaviour == "stalled_stream":
            scripted.released.wait()
        if behaviour in ("broken_stream", "broken_stream_with_usage", "stalled_stream"):
            self._hang_up()
        else:
            self.wfile.write(b"0\r\n\r\n")

    def _hang_up(self) -> None:
        self.close_connection = True
        _hang_up(self.connection)


class _Answer(NamedTuple):
    number: int
    received: Received
    text: str
    finish: str
    usage: Mapping[str, Any] | None

    def completion(self) -> dict[str, Any]:
        """The whole answer as one object."""
        refused = self.received.behaviour == "refusal"
        message = {"content": None, "refusal": self.text} if refused else {"content": self.text}
        choice = {"index": 0, "finish_reason": self.finish, "message": {"role": "assistant", **message}}
        return self._object("chat.completion", [choice], self.usage)

    def events(self, size: int) -> Iterator[str]:
        """The data of each event of a stream, ``size`` characters of text in each."""
        behaviour, interrupted = self.received.behaviour, self.received.behaviour in INTERRUPTED
        key = "refusal" if behaviour == "refusal" else "content"
        usage = json.dumps(self._object("chat.completion.chunk", [], self.usage))
        pieces = pieces_of(self.text[: len(self.text) // 2] if interrupted else self.text, size)
        deltas: list[dict[str, str]] = [{"role": "assistant", key: ""}, *({key: piece} for piece in pieces)]
        if not interrupted:
            deltas.append({})
        for delta in deltas:
            choice = {"index": 0, "delta": delta, "finish_reason": None if delta else self.finish}
            yield json.dumps(self._object("chat.completion.chunk", [choice], None), ensure_ascii=False)
        if behaviour == "error_in_stream":
            yield json.dumps({**UPSTREAM_FAILED})
        if behaviour == "broken_stream_with_usage":
            yield usage
        if not interrupted:
            if self.usage and (self.received.body.get("stream_options") or {}).get("include_usage"):
                yield usage
            yield "[DONE]"

    def _object(self, kind: str, choices: list[dict[str, Any]], usage: Mapping[str, Any] | None) -> dict[str, Any]:
        head = {"id": f"chatcmpl-{self.number}", "object": kind, "created": 1_700_000_000 + self.number}
        said = {**head, "model": self.received.body["model"], "choices": choices}
        return {**said, "usage": usage} if usage else said


def _error(received: Received) -> tuple[int, dict[str, Any]]:
    """Status and body of the error that the behaviour gives to a request; 200 and nothing where it answers."""
    applies = {
        "refuses_stream": received.streamed,
        "refuses_stream_options": "stream_options" in received.body,
        "streams_only": not received.streamed,
    }
    if received.behaviour not in ERRORS or not applies.get(received.behaviour, True):
        return 200, {}
    status, message, code = ERRORS[received.behaviour]
    return status, {"error": {"message": message, "type": code, "param": None, "code": code}}


def _shared_prefix(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # the client may have been faster
        connection.shutdown(socket.SHUT_RDWR)


def main() -> None:
    """Serve until interrupted; prints the base URL."""
    parser = argparse.ArgumentParser(prog="python -m expand.testing", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ratio", type=float, default=1.0)
    parser.add_argument("--behaviour", choices=get_args(Behaviour), default="normal")
    parser.add_argument(
        "--script", type=lambda names: tuple(names.split(",")), default=(), help="the first behaviours, with commas"
    )
    parser.add_argument("--latency", dest="latency_seconds", type=float, default=0.0, help="seconds before each answer")
    with ScriptedServer(**vars(parser.parse_args())) as server:
        print(server.base_url, flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
