"""A chat completions server whose model names are behaviours; it records what it sent and what it bills."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from expand.llm.types import Message, Request
from expand.testing.scripted_author import Script, SentRequest

HANG_UP = object()
"""As a part of a reply: close the connection here, before the response is whole."""


@dataclass(kw_only=True)
class Call(SentRequest):
    """One request as it arrived. ``number`` counts the requests under its model from 1, ``path`` is the URL's."""

    body: Mapping[str, Any]
    headers: Mapping[str, str]
    path: str
    number: int
    script: Script

    @property
    def streamed(self) -> bool:
        """Whether a stream was asked for."""
        return bool(self.body.get("stream"))

    @property
    def prompt_tokens(self) -> int:
        """What the server bills for the prompt, at four characters a token."""
        return sum(len(str(message["content"])) for message in self.body["messages"]) // 4 + 8

    def good_text(self, *, share: float = 1.0) -> str:
        """A text of the lines asked for, or of that share of them, that no check has anything against."""
        return "\n".join(self.script.lines(self, max(1, round(self.asked_lines * share)), self.language)) + "\n"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A response. ``parts`` are sent one after the other: bytes, seconds to wait, or ``HANG_UP``.

    ``text`` is the author's text that the parts carry: the ledger has to hold it letter for letter, "" for none, None
    where the behaviour leaves it open. ``billed`` are the tokens on the bill.
    """

    parts: Sequence[bytes | float | object]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str | None = ""
    billed: int = 0


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """One behaviour of a provider, and what ``expand chapter`` has to make of it.

    ``codes`` are the exit codes allowed. ``found`` are kinds of findings that have to be among those of the chapter,
    ``said`` is a part of what has to stand on stderr, ``drafted`` of what has to stand in the draft, and ``kept_out``
    of what must not. ``most_requests`` bounds the requests, None for no other bound than the tokens charged.
    ``options`` are added to the command line, and ``settings`` to ``expand.toml``. ``base`` is the base URL's path.
    """

    name: str
    does: str
    reply: Callable[[Call], Reply]
    codes: tuple[int, ...] = (0,)
    found: tuple[str, ...] = ()
    said: str = ""
    drafted: str = ""
    kept_out: str = ""
    most_requests: int | None = None
    options: tuple[str, ...] = ()
    settings: str = ""
    base: str = "/v1"


def usage(call: Call, text: str, **more: Any) -> dict[str, Any]:
    """Usage as OpenAI reports it, at four bytes a token."""
    completion = max(1, len(text.encode(errors="replace")) // 4)
    total = call.prompt_tokens + completion
    return {"prompt_tokens": call.prompt_tokens, "completion_tokens": completion, "total_tokens": total, **more}


def whole(call: Call, text: str, *, finish: Any = "stop", reported: Any = None, **message: Any) -> dict[str, Any]:
    """A whole completion as one object; ``message`` adds to its message, or replaces."""
    said = {"role": "assistant", "content": text, **message}
    return {
        "id": f"chatcmpl-{call.number}",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": call.body["model"],
        "choices": [{"index": 0, "message": said, "finish_reason": finish}],
        "usage": usage(call, text) if reported is None else reported,
    }


def chunk(call: Call, delta: Mapping[str, Any], *, finish: Any = None, **more: Any) -> dict[str, Any]:
    """One chunk of a stream."""
    return {
        "id": f"chatcmpl-{call.number}",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": call.body["model"],
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }


def event(data: Any) -> bytes:
    """An event of a stream; text goes out as it is, anything else as JSON."""
    return f"data: {data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)}\n\n".encode()


def pieces_of(text: str, size: int = 40) -> list[str]:
    """The text in pieces of ``size`` characters."""
    return [text[start : start + size] for start in range(0, len(text), size)]


def answer(call: Call, text: str, *, finish: Any = "stop", reported: Any = None) -> Reply:
    """A proper answer, streamed or not as the request wants it."""
    figures = usage(call, text) if reported is None else reported
    billed = usage(call, text)["total_tokens"]
    if not call.streamed:
        return json_reply(whole(call, text, finish=finish, reported=figures), text=text, billed=billed)
    events = [event(chunk(call, {"role": "assistant", "content": ""}))]
    events += [event(chunk(call, {"content": piece})) for piece in pieces_of(text)]
    events += [event(chunk(call, {}, finish=finish)), event({**chunk(call, {}), "choices": [], "usage": figures})]
    return stream_reply([*events, event("[DONE]")], text=text, billed=billed)


def stream_reply(parts: Sequence[bytes | float | object], *, text: str | None = "", billed: int = 0) -> Reply:
    """A response as a stream of events."""
    return Reply(parts=parts, headers={"Content-Type": "text/event-stream"}, text=text, billed=billed)


def json_reply(
    data: Any,
    *,
    status: int = 200,
    text: str | None = "",
    billed: int = 0,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """A response of one JSON value, or of bytes that pass for one."""
    body = data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False).encode()
    return Reply(
        parts=[body],
        status=status,
        headers={"Content-Type": "application/json", **(headers or {})},
        text=text,
        billed=billed,
    )


def error(
    status: int, message: str, *, code: Any = None, kind: str = "", headers: Mapping[str, str] | None = None
) -> Reply:
    """An error as OpenAI reports it."""
    return json_reply(
        {"error": {"message": message, "type": kind, "param": None, "code": code}}, status=status, headers=headers
    )


@dataclass
class BehaviourServer:
    """The server; it runs in threads of its own within a ``with`` block. ``sent`` has every reply by model name."""

    behaviours: Sequence[Behaviour]
    calls: dict[str, list[Call]] = field(default_factory=dict)
    sent: dict[str, list[Reply]] = field(default_factory=dict)
    written_bytes: dict[str, int] = field(default_factory=dict)
    port: int = 0
    _scripts: dict[str, Script] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: threading.Event = field(default_factory=threading.Event)
    _listener: ThreadingHTTPServer | None = None

    @property
    def base_url(self) -> str:
        """What to give as the base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"owner": self})
        self._listener = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._listener.daemon_threads = True
        self.port = self._listener.server_port
        threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._listener is not None
        self.stopped.set()
        self._listener.shutdown()
        self._listener.server_close()

    def receive(self, path: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> Reply:
        """Enter a call into the log, and give its reply."""
        name = str(body.get("model"))
        behaviour = next((b for b in self.behaviours if b.name == name), None)
        if behaviour is None:
            return error(404, f"The model `{name}` does not exist", code="model_not_found")
        with self._lock:
            calls = self.calls.setdefault(name, [])
            script = self._scripts.setdefault(name, Script())
            messages = tuple(Message(role=one["role"], content=str(one["content"])) for one in body["messages"])
            call = Call(
                address=headers.get("X-Client-Request-Id", ""),
                request=Request(model=name, messages=messages, max_output_tokens=0),
                body=body,
                headers=headers,
                path=path,
                number=len(calls) + 1,
                script=script,
            )
            calls.append(call)
            reply = behaviour.reply(call)
            self.sent.setdefault(name, []).append(reply)
        return reply

    def write(self, name: str, count: int) -> None:
        """Count bytes that went out under a model."""
        with self._lock:
            self.written_bytes[name] = self.written_bytes.get(name, 0) + count


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    owner: BehaviourServer

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def handle(self) -> None:
        """Answer what comes over the connection; the client may close it whenever it likes."""
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        """List the models."""
        listed = {"object": "list", "data": [{"id": behaviour.name} for behaviour in self.owner.behaviours]}
        self._send(json_reply(listed), "")

    def do_POST(self) -> None:
        """Answer one request as its model behaves."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with suppress(OSError):  # the client may go away: that is its right
            self._send(self.owner.receive(self.path, self.headers, body), str(body.get("model")))  # type: ignore[arg-type]

    def _send(self, reply: Reply, name: str) -> None:
        self.send_response_only(reply.status)
        for header, value in reply.headers.items():
            self.send_header(header, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in self._bytes(reply):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            self.owner.write(name, len(part))
        if not self.close_connection:
            self.wfile.write(b"0\r\n\r\n")

    def _bytes(self, reply: Reply) -> Iterator[bytes]:
        for part in reply.parts:
            if part is HANG_UP:
                self.close_connection = True
                with suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)
                return
            if isinstance(part, bytes):
                if part:
                    yield part
            else:
                assert isinstance(part, int | float)
                self._wait(part)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.owner.stopped.wait(0.02):
            pass
