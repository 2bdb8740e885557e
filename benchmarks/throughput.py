"""The whole durable pipeline beside the bare client, in the same run, on a server of fixed latency.

    uv run python benchmarks/throughput.py --sections 512 --concurrency 64 --latency 1.0

The server runs in a process of its own and answers with just the lines asked. "bare" is the
default AsyncOpenAI client with the same requests, no ledger and no drafts; "expand" reserves,
sends, settles, stitches, checks and writes drafts. Both run in fresh processes. "again" is a second
run of the finished book, which sends nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import re
import resource
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from math import ceil
from multiprocessing.connection import Connection
from pathlib import Path

SECTIONS_PER_CHAPTER = 10
LINES = 20
ASKED = re.compile(r"(\d+) lines")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One side's figures: seconds of wall and CPU, peak memory in MB, requests sent."""

    wall: float
    cpu: float
    memory: float
    requests: int


def serve(connection: Connection, latency: float) -> None:
    """A chat completions server; sends its port, then lives until it is ended."""
    from aiohttp import web

    async def complete(request: web.Request) -> web.Response:
        body = await request.json()
        last = body["messages"][-1]["content"]
        wanted = int(ASKED.findall(last)[-1])
        topic = abs(hash(last)) % 10**8
        text = "\n".join(
            f"Sentence {n} of answer {topic} says something of its own." for n in range(wanted)
        )
        await asyncio.sleep(latency)
        return web.json_response(
            {
                "id": f"chatcmpl-{topic}",
                "object": "chat.completion",
                "created": 0,
                "model": body["model"],
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "stop",
                        "message": {"role": "assistant", "content": text},
                    }
                ],
                "usage": {
                    "prompt_tokens": 800,
                    "completion_tokens": 12 * wanted,
                    "total_tokens": 800 + 12 * wanted,
                },
            }
        )

    async def main() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", complete)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        connection.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(main())


def make_book(root: Path, sections: int) -> list[str]:
    """A workspace with so many sections of one request each; returns the chapter ids."""
    (root / "outlines").mkdir(parents=True)
    (root / "expand.toml").write_text("", encoding="utf-8")
    ids = [f"{number:04d}" for number in range(ceil(sections / SECTIONS_PER_CHAPTER))]
    listed = "".join(f'  - {{id: "{i}", title: Chapter {i}}}\n' for i in ids)
    (root / "outlines" / "book.yaml").write_text(
        "title: Bench\nlanguage: en\nlanguages: [en]\nallowance: {tokens: 1000000000}\n"
        f"chapters:\n{listed}",
        encoding="utf-8",
    )
    left = sections
    for chapter in ids:
        count = min(SECTIONS_PER_CHAPTER, left)
        left -= count
        body = "".join(f"  - {{title: Part {chapter}-{n}, lines: {LINES}}}\n" for n in range(count))
        (root / "outlines" / f"{chapter}.yaml").write_text(
            f'id: "{chapter}"\ntitle: Chapter {chapter}\nsource: chapters/{chapter}.md\n'
            f"sections:\n{body}",
            encoding="utf-8",
        )
    return ids


def _measured(connection: Connection, began: float, requests: int) -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    connection.send(
        asdict(
            Measured(
                wall=time.perf_counter() - began,
                cpu=usage.ru_utime + usage.ru_stime,
                memory=usage.ru_maxrss / 1024,
                requests=requests,
            )
        )
    )


def run_expand(connection: Connection, root: Path, ids: list[str], port: int, width: int) -> None:
    """The pipeline, in a process of its own."""
    from expand.drafting.expansion import Commission
    from expand.drafting.session import expand_chapters
    from expand.outline.plan import Plan
    from expand.settings import Overrides, read_settings
    from expand.workspace import Workspace

    workspace = Workspace(root=root)
    settings = read_settings(
        workspace.settings_path,
        environment={},
        overrides=Overrides(base_url=f"http://127.0.0.1:{port}/v1", concurrency=width),
    )
    commission = Commission(chapters=tuple(ids), plan=Plan.FULL, language="en")
    began = time.perf_counter()
    result = asyncio.run(expand_chapters(workspace, settings, commission, on_event=lambda _: None))
    if result.exit_code not in (0, 5):
        raise SystemExit(f"expand ended with {result.exit_code}: {result.stopped_by}")
    _measured(connection, began, result.attempts)


def run_bare(connection: Connection, count: int, port: int, width: int) -> None:
    """The default client with requests of the same size."""
    import openai

    system = "You are the author of a technical book. " * 70

    async def main() -> None:
        client = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none")
        numbers = iter(range(count))

        async def worker() -> None:
            for number in numbers:
                await client.chat.completions.create(
                    model="gpt-4.1",
                    messages=[
                        {"role": "system", "content": system},
                        {"role": "user", "content": f"Part {number}. Write {LINES - 3} lines."},
                    ],
                    max_completion_tokens=1200,
                )

        await asyncio.gather(*(worker() for _ in range(width)))
        await client.close()

    began = time.perf_counter()
    asyncio.run(main())
    _measured(connection, began, count)


def in_process(target: object, *arguments: object) -> Measured:
    """Runs a side in a fresh process and returns its figures."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(theirs, *arguments))  # type: ignore[arg-type]
    process.start()
    theirs.close()
    try:
        return Measured(**ours.recv())
    finally:
        process.join()


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sections", type=int, default=128)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--latency", type=float, default=1.0, help="seconds")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs, given.latency), daemon=True)
    server.start()
    port = ours.recv()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        ids = make_book(root, given.sections)
        sides = {
            "bare": in_process(run_bare, given.sections, port, given.concurrency),
            "expand": in_process(run_expand, root, ids, port, given.concurrency),
            "again": in_process(run_expand, root, ids, port, given.concurrency),
        }
    server.terminate()
    ideal = ceil(given.sections / given.concurrency) * given.latency
    if given.json:
        sys.stdout.write(json.dumps({name: asdict(side) for name, side in sides.items()}) + "\n")
        return 0
    print(
        f"{given.sections} sections, {given.concurrency} at a time, latency {given.latency} s"
        f" (ideal {ideal:.1f} s)"
    )
    print(f"{'':8}{'wall s':>9}{'/ideal':>8}{'/bare':>8}{'CPU ms':>8}{'MB':>6}{'requests':>10}")
    for name, side in sides.items():
        share = f"{side.wall / ideal:.3f}" if ideal else "-"
        print(
            f"{name:8}{side.wall:9.2f}{share:>8}{side.wall / sides['bare'].wall:8.2f}"
            f"{1000 * side.cpu / given.sections:8.2f}{side.memory:6.0f}{side.requests:10}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
