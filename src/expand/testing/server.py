"""A chat completions server on 127.0.0.1 that writes to order, as badly as asked, and counts what it bills.

In a test: ``with ScriptedServer(ratio=0.45) as server: … server.base_url, server.requests``.
By itself: ``python -m expand.testing --port 8099 --behaviour preamble``.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from os.path import commonprefix
from types import MappingProxyType
from typing import Any, NamedTuple, Self, cast, get_args
from urllib.parse import unquote

from expand.testing.scripted_author import ERRORS, INTERRUPTED, Asked, Behaviour, Script, billed, pieces_of

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
    """One request as it arrived, for the chapter and section that its header names, and what was billed for it."""

    headers: Mapping[str, str]
    body: dict[str, Any]
    behaviour: str = "unauthorized"
    billed_tokens: int = 0

    def __post_init__(self) -> None:
        address = self.headers.get("X-Client-Request-Id", "").split("/")
        known = len(address) == 4 and address[1].isdecimal()
        self.chapter, self.section = (unquote(address[0]), int(address[1])) if known else ("", 1)

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Role and text of each message."""
        return [(message["role"], str(message["content"])) for message in self.body["messages"]]

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
        return self.written(received, received.behaviour)

    def receive(self, headers: Mapping[str, str], body: dict[str, Any]) -> tuple[int, Received]:
        """Enters a request into the log. Returns its number."""
        with self._lock:
            index = len(self.requests)
            received = Received(headers, body)
            if self.key is None or headers.get("Authorization") == f"Bearer {self.key}":
                received.behaviour = self.behaviour_of(index, received.section)
            self.requests.append(received)
        return index, received

    def bill(self, index: int, received: Received, text: str) -> dict[str, Any]:
        """Charges for an answer. Returns the usage as the API reports it."""
        said = received.prompt_text
        prompt, completion = billed(said, text, received.behaviour)
        with self._lock:
            before = [earlier.prompt_text for earlier in self.requests[max(0, index - 4) : index]]
            received.billed_tokens = prompt + completion
            self.billed_tokens += prompt + completion
        shared = max((len(commonprefix([said, earlier])) for earlier in before), default=0)  # noqa: RUF071 (letters)
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
            self._reply(200, {"object": "list", "data": [{"id": "scripted"}]})
        else:
            self._reply(404, "Not found")

    def do_POST(self) -> None:
        """Answers one chat completion request."""
        scripted = self.server.scripted
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            return self._reply(404, "Not found")
        index, received = scripted.receive(cast("Mapping[str, str]", self.headers), body)
        behaviour = received.behaviour
        scripted.released.wait(scripted.latency_seconds)
        touched = {
            "refuses_stream": received.streamed,
            "refuses_stream_options": "stream_options" in body,
            "streams_only": not received.streamed,
        }
        fails = behaviour in ERRORS and touched.get(behaviour, True)
        status, message, code, _ = ERRORS[behaviour] if fails else (200, "", "", None)
        error = {"error": {"message": message, "type": code, "param": None, "code": code}}
        if 400 <= status < 500:
            return self._reply(
                status, error, {"Retry-After": scripted.retry_after} if behaviour == "rate_limited" else {}
            )
        text, finish = scripted.write(received)
        usage = scripted.bill(index, received, text)
        if behaviour in ("drop", "timeout"):
            if behaviour == "timeout":
                scripted.released.wait()
            return self._hang_up()
        answer = _Answer(index, received, text, finish, None if behaviour == "no_usage" else usage)
        headers = {"x-request-id": f"req_{index}"}
        if fails or behaviour in NO_COMPLETION:
            return self._reply(status, error if fails else NO_COMPLETION[behaviour], headers)
        if received.streamed and behaviour != "ignores_stream":
            return self._stream(answer, headers)
        return self._reply(200, answer.completion(), headers)

    def _reply(self, status: int, body: str | Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        payload = (body if isinstance(body, str) else json.dumps({**body}, ensure_ascii=False)).encode()
        kind = "text/html" if payload.startswith(b"<") else "application/json"
        self._begin(status, {"Content-Type": kind, **(headers or {}), "Content-Length": str(len(payload))})
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
        pieces = pieces_of(self.text[: len(self.text) // 2] if interrupted else self.text, size)
        deltas = [{"role": "assistant", key: ""}, *({key: piece} for piece in pieces), *([] if interrupted else [{}])]
        for delta in deltas:
            choice = {"index": 0, "delta": delta, "finish_reason": None if delta else self.finish}
            yield json.dumps(self._object("chat.completion.chunk", [choice]), ensure_ascii=False)
        if behaviour == "error_in_stream":
            yield json.dumps({**UPSTREAM_FAILED})
        wanted = self.usage and (self.received.body.get("stream_options") or {}).get("include_usage")
        if behaviour == "broken_stream_with_usage" or (wanted and not interrupted):
            yield json.dumps(self._object("chat.completion.chunk", [], self.usage))
        if not interrupted:
            yield "[DONE]"

    def _object(
        self, kind: str, choices: list[dict[str, Any]], usage: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        head = {"id": f"chatcmpl-{self.number}", "object": kind, "created": 1_700_000_000 + self.number}
        said = {**head, "model": self.received.body["model"], "choices": choices}
        return {**said, "usage": usage} if usage else said


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # the client may have been faster
        connection.shutdown(socket.SHUT_RDWR)


def main() -> None:
    """Serve until interrupted; prints the base URL."""
    parser = argparse.ArgumentParser(prog="python -m expand.testing", description=__doc__)
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
