"""A chat completions server on 127.0.0.1 that writes to order, as badly as asked, and counts what it bills.

In a test: ``with ScriptedServer(ratio=0.45) as server: … server.base_url, server.requests``.
By itself: ``python -m expand.testing --port 8099 --behaviour preamble``.
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
    Asked,
    Behaviour,
    LineRequest,
    Script,
    billed,
    pieces_of,
)

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
UPSTREAM_FAILED: Mapping[str, Any] = MappingProxyType({"error": {"message": "upstream failed", "code": 502}})
NO_COMPLETION: Mapping[str, str | Mapping[str, Any]] = MappingProxyType(
    {
        "not_json": "upstream said: OK",
        "html": "<html><body>Please sign in</body></html>",
        "error_in_success": UPSTREAM_FAILED,
    }
)
"""The successes that are no chat completion."""


@dataclass
class Received(Asked):
    """One request as it arrived, and what was billed for it."""

    headers: Mapping[str, str]
    body: dict[str, Any]
    behaviour: str
    billed_tokens: int = 0

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Role and text of each message."""
        return [(message["role"], str(message["content"])) for message in self.body["messages"]]

    @property
    def question(self) -> LineRequest:
        """The lines asked for, and the section that the request's header names."""
        address = self.headers.get("X-Client-Request-Id", "").split("/")
        if len(address) != 4 or not address[1].isdecimal():
            return LineRequest(text=self.last_user_message)
        return LineRequest(text=self.last_user_message, chapter=unquote(address[0]), section=int(address[1]))

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
        return self.written(received.question, received.behaviour)

    def receive(self, headers: Mapping[str, str], body: dict[str, Any]) -> tuple[int, Received]:
        """Enters a request into the log. Returns its number."""
        with self._lock:
            index = len(self.requests)
            received = Received(headers=headers, body=body, behaviour="unauthorized")
            if self.key is None or headers.get("Authorization") == f"Bearer {self.key}":
                received.behaviour = self.behaviour_of(index, received.question.section)
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
        """Lists the models."""
        if self.path == "/v1/models":
            self._reply({"object": "list", "data": [{"id": "scripted"}]})
        else:
            self._reply("Not found", status=404)

    def do_POST(self) -> None:
        """Answers one chat completion request."""
        scripted = self.server.scripted
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            return self._reply("Not found", status=404)
        index, received = scripted.receive(cast("Mapping[str, str]", self.headers), body)
        behaviour = received.behaviour
        if scripted.latency_seconds:
            scripted.released.wait(scripted.latency_seconds)
        status, error = _error(received)
        if 400 <= status < 500:
            headers = {"Retry-After": scripted.retry_after} if behaviour == "rate_limited" else {}
            return self._reply(error, status=status, headers=headers)
        text, finish = scripted.write(received)
        usage = scripted.bill(index, received, text)
        if behaviour in ("drop", "timeout"):
            if behaviour == "timeout":
                scripted.released.wait()
            return self._hang_up()
        answer = _Answer(index, received, text, finish, None if behaviour == "no_usage" else usage)
        headers = {"x-request-id": f"req_{index}"}
        if not error and behaviour not in NO_COMPLETION and received.streamed and behaviour != "ignores_stream":
            return self._stream(answer, headers)
        return self._reply(error or NO_COMPLETION.get(behaviour) or answer.completion(), status=status, headers=headers)

    def _reply(
        self, body: str | Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        payload = (body if isinstance(body, str) else json.dumps({**body}, ensure_ascii=False)).encode()
        kind = "text/html" if payload.startswith(b"<") else "application/json"
        self._begin(status, {"Content-Type": kind, **headers, "Content-Length": str(len(payload))})
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
    given = parser.parse_args()
    try:
        with ScriptedServer(**vars(given)) as server:
            print(server.base_url, flush=True)
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
    except OSError as error:  # the port is taken, or not for everybody
        parser.error(f"argument --port: {given.port}: {error.strerror}")
