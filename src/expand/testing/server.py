"""A chat completions server on 127.0.0.1 that writes to order, with any bad habit, and keeps books.

In a test: ``with ScriptedServer(ratio=0.45) as server: … server.base_url, server.requests``.
By itself: ``python -m expand.testing --port 8099 --habit preamble``; ``GET /books`` shows its log
and bill. A habit is kept for every request; a script gives one habit a request, in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, get_args
from urllib.parse import unquote

from aiohttp import web

from expand.testing.behaviours import Behaviour, billed, written
from expand.testing.text_generator import LineRequest, TextGenerator


@dataclass
class Received:
    """One request as it arrived, and what was billed for it."""

    headers: Mapping[str, str]
    body: dict[str, Any]
    habit: str
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


@dataclass
class ScriptedServer:
    """The server; it runs in a thread of its own between ``start`` and ``stop``.

    ``ratio`` of the lines asked is delivered. ``script`` has one habit for each of the first
    requests, ``habit`` is for all later ones. ``key`` is what it accepts, None for anything.
    ``latency_seconds`` goes by before each answer; ``retry_after`` is the header's own text.
    """

    ratio: float = 1.0
    habit: Behaviour = "normal"
    script: tuple[Behaviour, ...] = ()
    latency_seconds: float = 0.0
    key: str | None = None
    retry_after: str = "1"
    port: int = 0
    requests: list[Received] = field(default_factory=list)
    billed_tokens: int = 0
    _prose: TextGenerator = field(default_factory=TextGenerator)
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: threading.Thread | None = None
    _released: asyncio.Event | None = None

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
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self.serve(ready)), name="scripted-server", daemon=True
        )
        self._thread.start()
        assert ready.wait(10), "the scripted server did not start"

    def stop(self) -> None:
        """End; hanging requests are let go."""
        assert self._loop is not None
        assert self._released is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._released.set)
        self._thread.join(10)

    async def serve(self, ready: threading.Event) -> None:
        """Serve until released; sets ``ready`` once listening."""
        self._loop = asyncio.get_running_loop()
        self._released = asyncio.Event()
        application = web.Application(client_max_size=64 * 2**20)
        application.router.add_post("/v1/chat/completions", self._complete)
        application.router.add_get("/v1/models", self._models)
        application.router.add_get("/books", self._books)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        await site.start()
        self.port = runner.addresses[0][1]
        ready.set()
        await self._released.wait()
        await runner.cleanup()

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "scripted"}]})

    async def _books(self, _: web.Request) -> web.Response:
        rows = [
            {
                "client_request_id": r.headers.get("X-Client-Request-Id", ""),
                "habit": r.habit,
                "billed_tokens": r.billed_tokens,
                "body": r.body,
            }
            for r in self.requests
        ]
        return web.json_response({"billed_tokens": self.billed_tokens, "requests": rows})

    async def _complete(self, incoming: web.Request) -> web.StreamResponse:
        index = len(self.requests)
        habit = self.script[index] if index < len(self.script) else self.habit
        received = Received(headers=incoming.headers.copy(), body=await incoming.json(), habit=habit)
        before = [r.prompt_text for r in self.requests[-4:]]
        self.requests.append(received)
        if self.latency_seconds:
            await asyncio.sleep(self.latency_seconds)
        if self.key is not None and incoming.headers.get("Authorization") != f"Bearer {self.key}":
            habit = "unauthorized"
        refused = self._refusal(habit)
        if refused is not None:
            return refused
        text, finish = written(received.question, habit, prose=self._prose, ratio=self.ratio)
        usage = self._bill(received, text, before, habit)
        if habit == "server_error":
            return _error(500, "The server had an error", "server_error")
        if habit in ("hang", "timeout"):
            assert self._released is not None
            await self._released.wait()
        if habit in ("drop", "hang", "timeout"):
            assert incoming.transport is not None
            incoming.transport.close()
            return web.Response()
        broken = _no_completion(habit)
        if broken is not None:
            return broken
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if habit == "refusal":
            message = {"role": "assistant", "content": None, "refusal": text}
        return web.json_response(
            {
                "id": f"chatcmpl-{index}",
                "object": "chat.completion",
                "created": 1_700_000_000 + index,
                "model": received.body["model"],
                "choices": [{"index": 0, "finish_reason": finish, "message": message}],
                **({} if habit == "no_usage" else {"usage": usage}),
            },
            headers={"x-request-id": f"req_{index}"},
        )

    def _refusal(self, habit: str) -> web.Response | None:
        if habit == "rate_limited":
            return _error(429, "Rate limit reached", "rate_limit_exceeded", self.retry_after)
        if habit == "unauthorized":
            return _error(401, "Incorrect API key provided", "invalid_api_key")
        if habit == "insufficient_quota":
            return _error(429, "You exceeded your current quota", "insufficient_quota")
        if habit == "bad_request":
            return _error(400, "Unsupported parameter: 'temperature'", "unsupported_parameter")
        return None

    def _bill(self, received: Received, text: str, before: list[str], habit: str) -> dict[str, Any]:
        prompt, completion = billed(received.prompt_text, text, habit)
        shared = max((_shared_prefix(received.prompt_text, earlier) for earlier in before), default=0)
        received.billed_tokens = prompt + completion
        self.billed_tokens += prompt + completion
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": min(prompt, shared // 4)},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }


def _no_completion(habit: str) -> web.Response | None:
    """An answer with a success status that is no chat completion."""
    match habit:
        case "not_json":
            return web.Response(text="upstream said: OK", content_type="application/json")
        case "html":
            page = "<html><body>Please sign in</body></html>"
            return web.Response(text=page, content_type="text/html")
        case "error_in_success":
            return web.json_response({"error": {"message": "upstream failed", "code": 502}})
        case _:
            return None


def _shared_prefix(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _error(status: int, text: str, code: str, retry_after: str | None = None) -> web.Response:
    body = {"error": {"message": text, "type": code, "param": None, "code": code}}
    headers = {"Retry-After": retry_after} if retry_after is not None else {}
    return web.json_response(body, status=status, headers=headers)


def main() -> None:
    """Serve until interrupted; prints the base URL."""
    parser = argparse.ArgumentParser(prog="python -m expand.testing", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ratio", type=float, default=1.0)
    parser.add_argument("--habit", choices=get_args(Behaviour), default="normal")
    parser.add_argument("--script", default="", help="habits of the first requests, with commas")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    parser.add_argument("--retry-after", default="1")
    parser.add_argument("--key")
    options = parser.parse_args()
    server = ScriptedServer(
        ratio=options.ratio,
        habit=options.habit,
        script=tuple(name for name in options.script.split(",") if name),
        latency_seconds=options.latency,
        key=options.key,
        retry_after=options.retry_after,
        port=options.port,
    )
    server.start()
    print(server.base_url, flush=True)
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
    server.stop()
