"""A provider's /v1/files and /v1/batches on 127.0.0.1, with every trap, which keeps its own books.

As a fixture: ``with BatchServer(outcome="expired") as server: … server.base_url, server.books``.
By itself: ``python tests/batch_server.py --port 8099 --outcome expired --done 0.5``; ``GET /books``
shows what it billed, request by request. A batch moves one phase on each time it is looked at.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self, get_args

from aiohttp import web

Outcome = Literal["completed", "expired", "cancelled", "failed"]
"""How a batch ends; ``failed`` is in validation."""

Trap = Literal["none", "lost_after", "lost_before", "drop_after", "refused", "rate_limited", "kill"]
"""What becomes of the next creation: the batch is there and a 500 says it is not; it is not there
and a 500 says so; the connection ends; a 400; a 429; or the caller is killed once it is there."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ASKED = re.compile(r"(\d+)\s*(lines|行)")
HEADINGS = re.compile(r"^#{2,4} (.+)$", re.MULTILINE)
TOPIC = re.compile(r"(?:topic|主题)[^:：\n]*[:：] *(.+)$", re.MULTILINE)

WORDS = ("scheduler", "worker", "kernel", "counter", "profiler", "loop", "child", "supervisor",
         "allocator", "handler", "pipe", "buffer", "queue", "slice", "map", "stack")  # fmt: skip


@dataclass
class Batch:
    """A batch as the provider keeps it."""

    id: str
    body: dict[str, Any]
    created_at: int
    status: str = "validating"
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)
    total: int = 0
    completed: int = 0
    failed: int = 0
    looks: int = 0


@dataclass(frozen=True)
class Entry:
    """One line of the books: a request that was worked on, and what it costs."""

    batch: str
    custom_id: str
    prompt: int
    completion: int

    @property
    def tokens(self) -> int:
        return self.prompt + self.completion


@dataclass
class BatchServer:
    """The server; it runs in a thread of its own between ``start`` and ``stop``.

    ``ratio`` of the lines asked is delivered. ``looks`` is how often a batch is looked at before it
    is done. ``done`` is the share of an expired or cancelled batch's requests that had been worked
    on; the others get lines in the error file, none with ``silent``. ``bad`` requests of each batch
    fail with a 400 of their own, ``unread`` succeed with a body that is no completion, ``nowhere``
    are in neither file. ``blank`` writes "" for a file that is not there, in place of null.
    """

    ratio: float = 1.0
    outcome: Outcome = "completed"
    done: float = 1.0
    silent: bool = False
    bad: int = 0
    unread: int = 0
    nowhere: int = 0
    blank: bool = False
    looks: int = 0
    key: str | None = None
    latency_seconds: float = 0.0
    lists: bool = True
    deletes: bool = True
    page: int = 2
    cut_short: bool = False
    """The next download breaks off half way."""
    trap: Trap = "none"
    upload_trap: Trap = "none"
    victim: int = 0
    """The process that ``kill`` kills."""
    port: int = 0
    seed: int = 1
    files: dict[str, bytes] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)
    books: list[Entry] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _lines: Iterator[int] = field(default_factory=itertools.count)
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: threading.Thread | None = None
    _released: asyncio.Event | None = None

    @property
    def base_url(self) -> str:
        """What to give as the base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def billed_tokens(self) -> int:
        """Prompt and completion of all that was worked on."""
        return sum(entry.tokens for entry in self.books)

    @property
    def worked_twice(self) -> int:
        """How many requests were worked on more than once."""
        return sum(n - 1 for n in Counter(entry.custom_id for entry in self.books).values())

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
        self._thread = threading.Thread(target=lambda: asyncio.run(self.serve(ready)), name="batch-server", daemon=True)
        self._thread.start()
        assert ready.wait(10), "the batch server did not start"

    def stop(self) -> None:
        """End."""
        assert self._loop is not None
        assert self._released is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._released.set)
        self._thread.join(10)

    async def serve(self, ready: threading.Event) -> None:
        """Serve until released; sets ``ready`` once listening."""
        self._loop = asyncio.get_running_loop()
        self._released = asyncio.Event()
        application = web.Application(client_max_size=256 * 2**20, middlewares=[self._gate])
        router = application.router
        router.add_post("/v1/files", self._upload)
        router.add_delete("/v1/files/{id}", self._delete)
        router.add_get("/v1/files/{id}/content", self._content)
        router.add_post("/v1/batches", self._create)
        router.add_get("/v1/batches", self._list)
        router.add_get("/v1/batches/{id}", self._retrieve)
        router.add_post("/v1/batches/{id}/cancel", self._cancel)
        router.add_post("/v1/chat/completions", self._live)
        router.add_get("/books", self._books)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        self.port = runner.addresses[0][1]
        ready.set()
        await self._released.wait()
        await runner.cleanup()

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Counts the call, takes its time, and looks at the key."""
        assert request.match_info.route.resource is not None
        self.calls[f"{request.method} {request.match_info.route.resource.canonical}"] += 1
        if self.latency_seconds:
            await asyncio.sleep(self.latency_seconds)
        wrong = self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}"
        if wrong and request.path != "/books":
            return _error(401, "Incorrect API key provided", "invalid_api_key")
        return await handler(request)

    async def _books(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "billed_tokens": self.billed_tokens,
                "requests": [vars(entry) for entry in self.books],
                "batches": [self._shown(batch) for batch in self.batches.values()],
                "calls": dict(self.calls),
            }
        )

    # --- files --------------------------------------------------------------------------------

    async def _upload(self, incoming: web.Request) -> web.StreamResponse:
        form = await incoming.post()
        sent = form["file"]
        assert isinstance(sent, web.FileField)
        if form.get("purpose") != "batch":
            return _error(400, "Unknown purpose", "invalid_request_error")
        trap, self.upload_trap = self.upload_trap, "none"
        if trap == "refused":
            return _error(400, "Invalid file format", "invalid_request_error")
        if trap == "lost_before":
            return _error(500, "The server had an error", "server_error")
        name = self._keep(sent.file.read(), sent.filename)
        if trap == "lost_after":
            return _error(500, "The server had an error", "server_error")
        if trap == "kill":
            return self._kill(incoming)
        return web.json_response(self._file(name))

    def _keep(self, data: bytes, name: str) -> str:
        file_id = f"file-{next(self._numbers)}"
        self.files[file_id] = data
        self.names[file_id] = name
        return file_id

    def _file(self, file_id: str) -> dict[str, Any]:
        return {
            "id": file_id,
            "object": "file",
            "bytes": len(self.files[file_id]),
            "created_at": 1_700_000_000,
            "filename": self.names[file_id],
            "purpose": "batch",
            "status": "processed",
        }

    async def _delete(self, incoming: web.Request) -> web.Response:
        file_id = incoming.match_info["id"]
        if not self.deletes:
            return _error(405, "Method not allowed", "method_not_allowed")
        if self.files.pop(file_id, None) is None:
            return _error(404, f"No such File object: {file_id}", "not_found")
        return web.json_response({"id": file_id, "object": "file", "deleted": True})

    async def _content(self, incoming: web.Request) -> web.StreamResponse:
        data = self.files.get(incoming.match_info["id"])
        if data is None:
            return _error(404, "No such File object", "not_found")
        if not self.cut_short:
            return web.Response(body=data, content_type="application/octet-stream")
        self.cut_short = False
        response = web.StreamResponse(headers={"Content-Length": str(len(data))})
        await response.prepare(incoming)
        await response.write(data[: len(data) // 2])
        assert incoming.transport is not None
        incoming.transport.close()
        return response

    # --- batches ------------------------------------------------------------------------------

    async def _create(self, incoming: web.Request) -> web.StreamResponse:
        body = await incoming.json()
        trap, self.trap = self.trap, "none"
        if trap == "refused":
            return _error(400, "Billing hard limit has been reached", "billing_hard_limit_reached")
        if trap == "rate_limited":
            return _error(429, "Rate limit reached", "rate_limit_exceeded")
        if trap == "lost_before":
            return _error(500, "The server had an error", "server_error")
        if body["input_file_id"] not in self.files:
            return _error(400, "No such file", "invalid_request_error")
        if body["completion_window"] != "24h" or body["endpoint"] != "/v1/chat/completions":
            return _error(400, "Invalid window or endpoint", "invalid_request_error")
        batch = Batch(id=f"batch_{next(self._numbers)}", body=body, created_at=int(time.time()))
        self.batches[batch.id] = batch
        if trap == "lost_after":
            return _error(500, "The server had an error", "server_error")
        if trap == "drop_after":
            assert incoming.transport is not None
            incoming.transport.close()
            return web.Response()
        if trap == "kill":
            return self._kill(incoming)
        return web.json_response(self._shown(batch))

    def _kill(self, incoming: web.Request) -> web.Response:
        os.kill(self.victim, signal.SIGKILL)
        assert incoming.transport is not None
        incoming.transport.close()
        return web.Response()

    def _shown(self, batch: Batch) -> dict[str, Any]:
        missing = "" if self.blank else None
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.body["endpoint"],
            "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
            "input_file_id": batch.body["input_file_id"],
            "completion_window": "24h",
            "status": batch.status,
            "output_file_id": batch.output_file_id or missing,
            "error_file_id": batch.error_file_id or missing,
            "created_at": batch.created_at,
            "expires_at": batch.created_at + 86_400,
            "request_counts": {
                "total": batch.total,
                "completed": batch.completed,
                "failed": batch.failed,
            },
            "metadata": batch.body.get("metadata"),
        }

    async def _list(self, incoming: web.Request) -> web.Response:
        if not self.lists:
            return _error(405, "Method not allowed", "method_not_allowed")
        return self._paged([self._shown(b) for b in reversed(self.batches.values())], incoming)

    def _paged(self, items: list[dict[str, Any]], incoming: web.Request) -> web.Response:
        after = incoming.query.get("after")
        at = next((n for n, item in enumerate(items, 1) if item["id"] == after), 0)
        data = items[at : at + self.page]
        more = at + self.page < len(items)
        return web.json_response({"object": "list", "data": data, "has_more": more})

    async def _retrieve(self, incoming: web.Request) -> web.Response:
        batch = self.batches.get(incoming.match_info["id"])
        if batch is None:
            return _error(404, "No such batch", "not_found")
        self._move_on(batch)
        return web.json_response(self._shown(batch))

    async def _cancel(self, incoming: web.Request) -> web.Response:
        batch = self.batches.get(incoming.match_info["id"])
        if batch is None:
            return _error(404, "No such batch", "not_found")
        if batch.status in get_args(Outcome):
            return _error(409, f"Cannot cancel a batch that is {batch.status}", "conflict")
        batch.status = "cancelling"
        return web.json_response(self._shown(batch))

    def _move_on(self, batch: Batch) -> None:
        if batch.status in get_args(Outcome):
            return
        batch.looks += 1
        if batch.status == "cancelling":
            self._work(batch, "cancelled", self.done)
            return
        requests = self._validated(batch)
        if requests is None:
            batch.status = "failed"
        elif batch.looks <= self.looks:
            batch.status = "in_progress" if batch.looks < self.looks else "finalizing"
        elif self.outcome == "failed":
            batch.status = "failed"
            batch.errors = [{"code": "token_limit_exceeded", "message": "Enqueued token limit"}]
        else:
            self._work(batch, self.outcome, 1.0 if self.outcome == "completed" else self.done)

    def _validated(self, batch: Batch) -> list[dict[str, Any]] | None:
        data = self.files.get(batch.body["input_file_id"])
        if data is None:
            batch.errors = [{"code": "invalid_file", "message": "The input file is gone"}]
            return None
        lines = [json.loads(line) for line in data.splitlines()]
        ids = [line["custom_id"] for line in lines]
        models = {line["body"]["model"] for line in lines}
        urls = {(line["method"], line["url"]) for line in lines}
        if len(set(ids)) != len(ids):
            batch.errors = [{"code": "duplicate_custom_id", "message": "An id appears twice"}]
        elif not lines or len(lines) > 50_000 or len(data) > 200 * 10**6:
            batch.errors = [{"code": "invalid_size", "message": "Too many requests, or none"}]
        elif len(models) != 1 or urls != {("POST", "/v1/chat/completions")}:
            batch.errors = [{"code": "mismatched_model", "message": "One model, one address"}]
        batch.total = len(lines)
        return None if batch.errors else lines

    def _work(self, batch: Batch, outcome: str, done: float) -> None:
        """Works on the requests, bills them, and writes both files in an order of its own."""
        requests = self._validated(batch) or []
        dice = random.Random(self.seed)
        dice.shuffle(requests)
        count = round(done * len(requests))
        output: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for number, request in enumerate(requests):
            if number >= count:
                if not self.silent:
                    errors.append(_line(request, None, _ended(outcome)))
            elif number < self.bad:
                said = {"error": {"message": "max_tokens is too large", "code": "bad_request"}}
                errors.append(_line(request, {"status_code": 400, "body": said}, None))
                batch.failed += 1
            else:
                body = self._completion(batch.id, request["custom_id"], request["body"])
                batch.completed += 1
                if number < self.bad + self.nowhere:
                    continue
                if number < self.bad + self.nowhere + self.unread:
                    body = {"object": "something else"}
                output.append(_line(request, {"status_code": 200, "body": body}, None))
        dice.shuffle(output)
        if output:
            batch.output_file_id = self._keep(_jsonl(output), "output.jsonl")
        if errors:
            batch.error_file_id = self._keep(_jsonl(errors), "error.jsonl")
        batch.status = outcome

    # --- completions --------------------------------------------------------------------------

    async def _live(self, incoming: web.Request) -> web.Response:
        body = await incoming.json()
        name = incoming.headers.get("X-Client-Request-Id", "")
        return web.json_response(self._completion("live", name, body))

    def _completion(self, batch: str, custom_id: str, body: dict[str, Any]) -> dict[str, Any]:
        text = "\n".join(self._written(str(body["messages"][-1]["content"]))) + "\n"
        prompt = sum(len(str(m["content"])) for m in body["messages"]) // 4 + 8
        completion = max(1, len(text) // 4)
        self.books.append(Entry(batch=batch, custom_id=custom_id, prompt=prompt, completion=completion))
        return {
            "id": f"chatcmpl-{len(self.books)}",
            "object": "chat.completion",
            "model": body["model"],
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": text},
                }
            ],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
            },
        }

    def _written(self, asked: str) -> list[str]:
        """As many lines as were asked for, times the ratio, none of which was written before."""
        found = ASKED.findall(asked)
        count = max(1, round((int(found[-1][0]) if found else 10) * self.ratio))
        heads = HEADINGS.findall(asked)
        named = heads or TOPIC.findall(asked)
        lines: list[str] = []
        parts = max(1, len(heads))
        for part in range(parts):
            size = count // parts + (part < count % parts)
            block = [f"### {heads[part]}", ""] if len(heads) > 1 and size > 4 else []
            if part < len(named):
                block.append(f"About {named[part]}.")
            while len(block) < size:
                block.append(self._sentence())
            lines += block[:size]
        return lines

    def _sentence(self) -> str:
        number = next(self._lines)
        words = [WORDS[(number // 16**power) % 16] for power in range(4)]
        return f"The {words[0]} hands the {words[1]} of each {words[2]} to the {words[3]} again."


def _line(request: dict[str, Any], response: dict[str, Any] | None, error: dict[str, str] | None) -> dict[str, Any]:
    given = None if response is None else {"request_id": f"req_{request['custom_id'][:8]}"}
    return {
        "id": f"batch_req_{request['custom_id'][:12]}",
        "custom_id": request["custom_id"],
        "response": None if response is None else {**(given or {}), **response},
        "error": error,
    }


def _ended(outcome: str) -> dict[str, str]:
    return {
        "code": f"batch_{outcome}",
        "message": "This request could not be executed before the batch ended.",
    }


def _jsonl(lines: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)


def _error(status: int, text: str, code: str) -> web.Response:
    body = {"error": {"message": text, "type": code, "param": None, "code": code}}
    return web.json_response(body, status=status)


def main() -> None:
    """Serve until interrupted; prints the base URL."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ratio", type=float, default=1.0)
    parser.add_argument("--outcome", choices=get_args(Outcome), default="completed")
    parser.add_argument("--done", type=float, default=1.0, help="share worked on before the end")
    parser.add_argument("--bad", type=int, default=0, help="requests that fail in each batch")
    parser.add_argument("--looks", type=int, default=0, help="looks at a batch until it is done")
    parser.add_argument("--blank", action="store_true", help='"" for a file that is not there')
    parser.add_argument("--trap", choices=get_args(Trap), default="none", help="at creation")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    parser.add_argument("--key")
    options = parser.parse_args()
    server = BatchServer(
        ratio=options.ratio,
        outcome=options.outcome,
        done=options.done,
        bad=options.bad,
        looks=options.looks,
        blank=options.blank,
        trap=options.trap,
        latency_seconds=options.latency,
        key=options.key,
        port=options.port,
    )
    with suppress(KeyboardInterrupt), server:
        print(server.base_url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
