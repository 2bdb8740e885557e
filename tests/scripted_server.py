"""A chat completions server on 127.0.0.1 that writes to order, with any bad habit, and keeps books.

As a fixture: ``with ScriptedServer(ratio=0.45) as server: … server.base_url, server.requests``.
By itself: ``python tests/scripted_server.py --port 8099 --habit preamble``; ``GET /books`` shows
its log and bill. A habit is kept for every request; a script gives one habit a request, in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self, get_args

from aiohttp import web

Habit = Literal[
    "normal",
    "preamble",
    "heading",
    "cut_code",
    "open_fence",
    "placeholder",
    "refusal",
    "empty",
    "wrong_language",
    "same_sentence",
    "rate_limited",
    "unauthorized",
    "insufficient_quota",
    "bad_request",
    "server_error",
    "hang",
    "drop",
    "no_usage",
    "bills_more",
    "not_json",
    "html",
    "error_in_success",
]

ASKED = re.compile(r"(\d+)\s*(lines|行)")

SUBJECTS = ("The scheduler", "A worker", "The parent process", "The kernel", "This counter",
            "A profiler", "The event loop", "Each child", "The supervisor", "A benchmark",
            "The allocator", "A signal handler", "The pipe", "A page fault")  # fmt: skip
VERBS = ("records", "delays", "shares", "measures", "releases", "checks", "repeats", "limits",
         "reports", "collects", "replaces", "inspects", "reserves")  # fmt: skip
OBJECTS = ("the exit status", "one buffer", "its open files", "the run queue", "a time slice",
           "the memory map", "a sample of stacks", "the wait list", "a lock", "the cache line",
           "its environment")  # fmt: skip
ENDS = ("before the next request", "when the load rises", "on every core", "without a copy",
        "in the test suite", "under the given limit", "after a restart")  # fmt: skip
ZH_SUBJECTS = ("调度器", "工作进程", "父进程", "内核", "计数器", "剖析工具", "事件循环", "子进程",
               "监督者", "基准测试", "分配器")  # fmt: skip
ZH_VERBS = ("记录", "推迟", "共享", "测量", "释放", "检查", "限制", "报告", "收集")
ZH_OBJECTS = (
    "退出状态",
    "一个缓冲区",
    "打开的文件",
    "运行队列",
    "时间片",
    "内存映射",
    "调用栈样本",
)
ZH_ENDS = (
    "，以便下一个请求使用。",
    "，尤其在负载升高的时候。",
    "，每个核心都是如此。",
    "，而且不需要复制。",
)


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
    def asked(self) -> tuple[int, str]:
        """The last number of lines in the last user message, and its language."""
        found = ASKED.findall(self.last_user_message)
        if not found:
            return 10, "en"
        count, unit = found[-1]
        return int(count), "zh" if unit == "行" else "en"

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
    habit: Habit = "normal"
    script: tuple[Habit, ...] = ()
    latency_seconds: float = 0.0
    key: str | None = None
    retry_after: str = "1"
    port: int = 0
    requests: list[Received] = field(default_factory=list)
    billed_tokens: int = 0
    _lines: Iterator[int] = field(default_factory=itertools.count)
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
        received = Received(
            headers=incoming.headers.copy(), body=await incoming.json(), habit=habit
        )
        before = [r.prompt_text for r in self.requests[-4:]]
        self.requests.append(received)
        if self.latency_seconds:
            await asyncio.sleep(self.latency_seconds)
        if self.key is not None and incoming.headers.get("Authorization") != f"Bearer {self.key}":
            habit = "unauthorized"
        refused = self._refusal(habit)
        if refused is not None:
            return refused
        text, finish = self._written(received, habit)
        usage = self._bill(received, text, before, more=habit == "bills_more")
        if habit == "server_error":
            return _error(500, "The server had an error", "server_error")
        if habit == "hang":
            assert self._released is not None
            await self._released.wait()
        if habit in ("drop", "hang"):
            assert incoming.transport is not None
            incoming.transport.close()
            return web.Response()
        if habit == "not_json":
            return web.Response(text="upstream said: OK", content_type="application/json")
        if habit == "html":
            return web.Response(
                text="<html><body>Please sign in</body></html>", content_type="text/html"
            )
        if habit == "error_in_success":
            return web.json_response({"error": {"message": "upstream failed", "code": 502}})
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

    def _bill(
        self, received: Received, text: str, before: list[str], *, more: bool
    ) -> dict[str, Any]:
        prompt = len(received.prompt_text) // 4 + 8
        shared = max(
            (_shared_prefix(received.prompt_text, earlier) for earlier in before), default=0
        )
        completion = max(1, len(text.encode()) // 4)
        if more:
            prompt, completion = 3 * prompt, 10 * completion + 5_000
        received.billed_tokens = prompt + completion
        self.billed_tokens += prompt + completion
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": min(prompt, shared // 4)},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }

    def _written(self, received: Received, habit: str) -> tuple[str, str]:
        asked, language = received.asked
        count = max(1, round(asked * self.ratio))
        if habit == "refusal":
            return "I'm sorry, but I can't help with that.", "stop"
        if habit == "empty":
            return "", "stop"
        if habit == "same_sentence":
            return "\n".join(["The scheduler decides."] * count), "stop"
        if habit == "wrong_language":
            language = "en" if language == "zh" else "zh"
        lines = self._prose(received, count, language)
        if habit == "preamble":
            lines = ["Sure! Here is the section you asked for:", "", *lines, "",
                     "Let me know if you want me to go on!"]  # fmt: skip
        elif habit == "heading":
            lines = ["## 3. My own heading", "", "### Overview", "", *lines]
        elif habit == "open_fence":
            lines += ["", "```rust", "fn open() {}"]
        elif habit == "placeholder":
            lines += ["", "```rust", "fn main() {", "    // ... rest omitted", "}", "```"]
        elif habit == "cut_code":
            lines += ["", "```rust", "fn sum(values: &[u64]) -> u64 {", "    let mut total = 0;"]
            return "\n".join(lines), "length"
        return "\n".join(lines) + "\n", "stop"

    def _prose(self, received: Received, count: int, language: str) -> list[str]:
        """``count`` lines, none of which was ever written before; the topics are named in them."""
        heads = re.findall(r"^#{2,4} (.+)$", received.last_user_message, flags=re.MULTILINE)
        named = heads or re.findall(
            r"(?:topic|主题)[^:：\n]*[:：] *(.+)$", received.last_user_message, flags=re.MULTILINE
        )
        lines: list[str] = []
        parts = max(1, len(heads))
        for part in range(parts):
            size = count // parts + (part < count % parts)
            block = [f"### {heads[part]}", ""] if len(heads) > 1 and size > 4 else []
            if part < len(named):
                block.append(
                    f"{named[part]}是这里的主题。" if language == "zh" else f"About {named[part]}."
                )
            if size - len(block) >= 12:
                block += ["", *self._code(), ""]
            while len(block) < size:
                block.append(self._sentence(language))
            lines += block[:size] if size else []
        return lines

    def _code(self) -> list[str]:
        number = next(self._lines)
        return [
            "```rust",
            f"fn step_{number}(input: u64) -> u64 {{",
            f"    let scaled = input * {number + 2};",
            "    scaled + 1",
            "}",
            "```",
        ]

    def _sentence(self, language: str) -> str:
        number = next(self._lines)
        columns = (
            (ZH_SUBJECTS, ZH_VERBS, ZH_OBJECTS, ZH_ENDS)
            if language == "zh"
            else (SUBJECTS, VERBS, OBJECTS, ENDS)
        )
        words = [column[number % len(column)] for column in columns]
        turn = number // 2_000
        if language == "zh":
            return "".join(words) if not turn else f"第{turn}轮里，" + "".join(words)
        return " ".join(words) + (f" in round {turn}." if turn else ".")


def _shared_prefix(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _error(status: int, text: str, code: str, retry_after: str | None = None) -> web.Response:
    body = {"error": {"message": text, "type": code, "param": None, "code": code}}
    headers = {"Retry-After": retry_after} if retry_after is not None else {}
    return web.json_response(body, status=status, headers=headers)


def main() -> None:
    """Serve until interrupted; prints the base URL."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ratio", type=float, default=1.0)
    parser.add_argument("--habit", choices=get_args(Habit), default="normal")
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


if __name__ == "__main__":
    main()
