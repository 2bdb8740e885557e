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
from types import TracebackType
from typing import Any, Self, cast, get_args
from urllib.parse import unquote

from expand.testing.behaviours import ERRORS, INTERRUPTED, Behaviour, billed, pieces_of, written
from expand.testing.text_generator import LineRequest, TextGenerator


@dataclass
class Received:
    """One request as it arrived, and what was billed for it."""

    headers: Mapping[str, str]
    body: dict[str, Any]
    behaviour: str
    billed_tokens: int = 0

    @property
    def last_user_message(self) -> str:
        """The text that says how many lines are wanted."""
        found = [m["content"] for m in self.body["messages"] if m["role"] == "user"]
        return str(found[-1]) if found else ""

    @property
    def question(self) -> LineRequest:
        """What is asked, and for which section."""
        address = self.headers.get("X-Client-Request-Id", "").split("/")
        known = len(address) == 4 and address[1].isdecimal()
        return LineRequest(
            text=self.last_user_message,
            chapter=unquote(address[0]) if known else "",
            section=int(address[1]) if known else 1,
        )

    @property
    def asked(self) -> tuple[int, str]:
        """The last number of lines in the last user message, and its language."""
        return self.question.asked

    @property
    def prompt_text(self) -> str:
        """All messages, one after the other."""
        return "\n".join(str(m["content"]) for m in self.body["messages"])

    @property
    def streamed(self) -> bool:
        """Whether a stream was asked for."""
        return bool(self.body.get("stream"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One response that is not streamed."""

    status: int = 200
    body: str
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class ScriptedServer:
    """The server; it runs in threads of its own between ``start`` and ``stop``.

    ``ratio`` of the lines asked is delivered. ``script`` has one behaviour for each of the first
    requests, ``behaviour`` is for all later ones. ``key`` is what it accepts, None for anything.
    It waits ``latency_seconds`` before each answer; ``retry_after`` is the header's own text. A
    stream has ``chunk_characters`` in each chunk and ``chunk_seconds`` between two.
    """

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
    _released: threading.Event = field(default_factory=threading.Event)
    _listener: _Listener | None = None

    @property
    def base_url(self) -> str:
        """What to give as the base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen; returns when requests are taken."""
        self._listener = _Listener(self)
        self.port = self._listener.server_port
        threading.Thread(
            target=self._listener.serve_forever, kwargs={"poll_interval": 0.02}, name="scripted-server", daemon=True
        ).start()

    def stop(self) -> None:
        """End; requests under way lose their connection."""
        assert self._listener is not None
        self._released.set()
        self._listener.stop()

    def write(self, received: Received) -> tuple[str, str]:
        """The text of an answer and its finish reason. Override it for answers of your own."""
        return written(received.question, received.behaviour, generator=self._generator, ratio=self.ratio)

    def wait(self, seconds: float | None = None) -> None:
        """Wait, or until the server stops."""
        self._released.wait(seconds)

    def receive(self, headers: Mapping[str, str], body: dict[str, Any]) -> tuple[int, Received]:
        """Write a request into the log. Returns its number."""
        with self._lock:
            index = len(self.requests)
            behaviour = self.script[index] if index < len(self.script) else self.behaviour
            if self.key is not None and headers.get("Authorization") != f"Bearer {self.key}":
                behaviour = "unauthorized"
            received = Received(headers=headers, body=body, behaviour=behaviour)
            self.requests.append(received)
        return index, received

    def bill(self, index: int, received: Received, text: str) -> dict[str, Any]:
        """Charge for an answer. Returns the usage as the API reports it."""
        prompt, completion = billed(received.prompt_text, text, received.behaviour)
        with self._lock:
            before = [r.prompt_text for r in self.requests[max(0, index - 4) : index]]
            received.billed_tokens = prompt + completion
            self.billed_tokens += prompt + completion
        shared = max((_shared_prefix(received.prompt_text, earlier) for earlier in before), default=0)
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
                "client_request_id": r.headers.get("X-Client-Request-Id", ""),
                "behaviour": r.behaviour,
                "billed_tokens": r.billed_tokens,
                "body": r.body,
            }
            for r in self.requests
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
        """Leave out clients that have gone away: tests interrupt them."""
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
        """Say nothing on stderr."""

    def do_GET(self) -> None:
        """List the models, or show the log and the bill."""
        if self.path == "/v1/models":
            self._reply(_json({"object": "list", "data": [{"id": "scripted"}]}))
        elif self.path == "/books":
            self._reply(_json(self.server.scripted.books()))
        else:
            self._reply(Reply(status=404, body="Not found", content_type="text/plain"))

    def do_POST(self) -> None:
        """Answer one chat completion request."""
        scripted = self.server.scripted
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            return self._reply(Reply(status=404, body="Not found", content_type="text/plain"))
        index, received = scripted.receive(cast("Mapping[str, str]", self.headers), body)
        if scripted.latency_seconds:
            scripted.wait(scripted.latency_seconds)
        error = _refusal(received, scripted.retry_after)
        if error is not None and error.status < 500:
            return self._reply(error)
        text, finish = scripted.write(received)
        usage = scripted.bill(index, received, text)
        if received.behaviour in ("hang", "timeout"):
            scripted.wait()
        if received.behaviour in ("drop", "hang", "timeout"):
            return self._hang_up()
        if unusable := error or _no_completion(received.behaviour):
            return self._reply(unusable)
        reported = None if received.behaviour == "no_usage" else usage
        headers = {"x-request-id": f"req_{index}"}
        if received.streamed and received.behaviour != "ignores_stream":
            return self._stream(_Stream(index, received, text, finish, reported), headers)
        return self._reply(_json(_completion(index, received, text, finish, reported), headers=headers))

    def _reply(self, reply: Reply) -> None:
        payload = reply.body.encode()
        self.send_response(reply.status)
        for name, value in {"Content-Type": reply.content_type, **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _stream(self, stream: _Stream, headers: Mapping[str, str]) -> None:
        scripted = self.server.scripted
        self.send_response(200)
        for name, value in {"Content-Type": "text/event-stream", **headers}.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in stream.events(scripted.chunk_characters):
            payload = f"data: {event}\n\n".encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(payload), payload))
            if scripted.chunk_seconds:
                scripted.wait(scripted.chunk_seconds)
        if stream.behaviour == "stalled_stream":
            scripted.wait()
        if stream.behaviour in ("broken_stream", "broken_stream_with_usage", "stalled_stream"):
            self._hang_up()
        else:
            self.wfile.write(b"0\r\n\r\n")

    def _hang_up(self) -> None:
        self.close_connection = True
        _hang_up(self.connection)


class _Stream:
    """An answer as the events of a stream."""

    def __init__(self, index: int, received: Received, text: str, finish: str, usage: Mapping[str, Any] | None) -> None:
        self.behaviour = received.behaviour
        self._text, self._finish, self._usage = text, finish, usage
        self._head = _head(index, received, "chat.completion.chunk")
        options = received.body.get("stream_options") or {}
        self._says_usage = bool(options.get("include_usage")) and usage is not None

    def events(self, size: int) -> Iterator[str]:
        """The data of each event, ``size`` characters of text in each."""
        key = "refusal" if self.behaviour == "refusal" else "content"
        yield self._chunk({"role": "assistant", key: ""})
        interrupted = self.behaviour in INTERRUPTED
        for piece in pieces_of(self._text[: len(self._text) // 2] if interrupted else self._text, size):
            yield self._chunk({key: piece})
        if self.behaviour == "error_in_stream":
            yield json.dumps({"error": {"message": "upstream failed", "code": 502}})
        if self.behaviour == "broken_stream_with_usage":
            yield self._usage_chunk()
        if not interrupted:
            yield self._chunk({}, finish=self._finish)
            if self._says_usage:
                yield self._usage_chunk()
            yield "[DONE]"

    def _chunk(self, delta: Mapping[str, str], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return json.dumps({**self._head, "choices": [choice]}, ensure_ascii=False)

    def _usage_chunk(self) -> str:
        return json.dumps({**self._head, "choices": [], "usage": self._usage})


def _head(index: int, received: Received, kind: str) -> dict[str, Any]:
    model = received.body["model"]
    return {"id": f"chatcmpl-{index}", "object": kind, "created": 1_700_000_000 + index, "model": model}


def _completion(
    index: int, received: Received, text: str, finish: str, usage: Mapping[str, Any] | None
) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if received.behaviour == "refusal":
        message = {"role": "assistant", "content": None, "refusal": text}
    return {
        **_head(index, received, "chat.completion"),
        "choices": [{"index": 0, "finish_reason": finish, "message": message}],
        **({"usage": usage} if usage else {}),
    }


def _refusal(received: Received, retry_after: str) -> Reply | None:
    """The error that the behaviour has for a request; None where it answers."""
    behaviour = received.behaviour
    met = {
        "refuses_stream": received.streamed,
        "refuses_stream_options": "stream_options" in received.body,
        "streams_only": not received.streamed,
    }
    if behaviour not in ERRORS or not met.get(behaviour, True):
        return None
    status, message, code = ERRORS[behaviour]
    body = {"error": {"message": message, "type": code, "param": None, "code": code}}
    return _json(body, status=status, headers={"Retry-After": retry_after} if behaviour == "rate_limited" else None)


def _no_completion(behaviour: str) -> Reply | None:
    """A success that is no chat completion."""
    match behaviour:
        case "not_json":
            return Reply(body="upstream said: OK")
        case "html":
            return Reply(body="<html><body>Please sign in</body></html>", content_type="text/html")
        case "error_in_success":
            return _json({"error": {"message": "upstream failed", "code": 502}})
        case _:
            return None


def _json(data: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status=status, body=json.dumps(data, ensure_ascii=False), headers=headers or {})


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
    parser.add_argument("--script", default="", help="behaviours of the first requests, with commas")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--chunk-characters", type=int, default=40, help="characters in a chunk of a stream")
    parser.add_argument("--chunk-seconds", type=float, default=0.0, help="seconds between two chunks")
    parser.add_argument("--retry-after", default="1")
    parser.add_argument("--key")
    options = parser.parse_args()
    server = ScriptedServer(
        ratio=options.ratio,
        behaviour=options.behaviour,
        script=tuple(name for name in options.script.split(",") if name),
        latency_seconds=options.latency,
        chunk_characters=options.chunk_characters,
        chunk_seconds=options.chunk_seconds,
        key=options.key,
        retry_after=options.retry_after,
        port=options.port,
    )
    with server:
        print(server.base_url, flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
