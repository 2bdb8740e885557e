"""The two sides that are compared, each in a fresh process, and what is measured of them."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

KEY = "sk-of-the-benchmark"
MODEL = "gpt-4.1"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One side's figures: seconds of wall and CPU time from the call to the result, its peak memory in MB, the requests
    that it sent, and the lines of text that came.
    """

    wall: float
    cpu: float
    memory: float
    requests: int
    lines: int


def expand_side(root: Path, ids: tuple[str, ...], port: int, width: int) -> Measured:
    """The whole pipeline over a workspace: reserve, send, settle, assemble, check, write drafts.

    Modules are loaded before the clock starts, as the other side's are; the start-up table has that time.
    """
    import expand.drafting.run
    import expand.prompts.rendering  # loads jinja2
    from expand import Workspace, expand_chapters
    from expand.markdown.lines import count

    assert expand.drafting.run
    assert expand.prompts.rendering
    count("Loads the Markdown parser.\n")
    _preload()
    cpu, began = _processor_seconds(), time.perf_counter()
    result = asyncio.run(
        expand_chapters(
            Workspace.open(root),
            ids,
            model=MODEL,
            base_url=f"http://127.0.0.1:{port}/v1",
            api_key=KEY,
            concurrency=width,
        )
    )
    wall, cpu = time.perf_counter() - began, _processor_seconds() - cpu
    if result.exit_code not in (0, 5):
        raise SystemExit(f"expand ended with {result.exit_code}: {result.stopped_by}")
    lines = sum(section.lines for chapter in result.chapters for section in chapter.sections)
    return Measured(wall=wall, cpu=cpu, memory=_peak(), requests=result.attempts, lines=lines)


def bare_side(messages: list[dict[str, str]], count: int, port: int, width: int) -> Measured:
    """The default AsyncOpenAI client with the same messages, streamed: no ledger, no checks, no drafts."""
    import openai

    _preload()

    async def main() -> int:
        client = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY)
        numbers = iter(range(count))
        lines = 0

        async def worker() -> None:
            nonlocal lines
            for number in numbers:
                own = [*messages[:-1], {**messages[-1]}]
                own[-1]["content"] = f"{number}: {own[-1]['content']}"
                stream = await client.chat.completions.create(  # type: ignore[call-overload] # its own union of dicts
                    model=MODEL,
                    messages=own,
                    max_completion_tokens=1200,
                    stream=True,
                    stream_options={"include_usage": True},
                )
                pieces = [c.choices[0].delta.content or "" async for c in stream if c.choices]
                lines += "".join(pieces).count("\n")

        await asyncio.gather(*(worker() for _ in range(width)))
        await client.close()
        return lines

    cpu, began = _processor_seconds(), time.perf_counter()
    lines = asyncio.run(main())
    wall, cpu = time.perf_counter() - began, _processor_seconds() - cpu
    return Measured(wall=wall, cpu=cpu, memory=_peak(), requests=count, lines=lines)


def _preload() -> None:
    """Load what a process loads once, on both sides before the clock starts: the SDK with its chat client, which it
    loads when that is first used, and the tokenizer.
    """
    import openai.resources.chat

    import expand.llm.openai_sdk
    from expand.llm.tokens import TokenCounter

    assert openai.resources.chat
    assert expand.llm.openai_sdk
    TokenCounter(MODEL).count("")


def first_messages(root: Path, chapter: str) -> list[dict[str, str]]:
    """The messages of a chapter's first request, as the command line prints them."""
    import json
    import subprocess
    import sys

    command = [sys.executable, "-m", "expand", "prompt", "show", chapter, "--section", "1", "--json", "--model", MODEL]
    ran = subprocess.run(
        command, cwd=root, check=True, capture_output=True, text=True, env={**os.environ, "OPENAI_API_KEY": KEY}
    )
    found = json.loads(ran.stdout)["messages"]
    return [{"role": message["role"], "content": message["content"]} for message in found]


def in_process(side: Callable[..., Measured], *arguments: object) -> Measured:
    """Run a side in a fresh process and return its figures."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, side, arguments))
    process.start()
    theirs.close()
    try:
        measured = ours.recv()
    except EOFError:
        raise SystemExit(f"{side.__name__} did not finish") from None
    finally:
        process.join()
    assert isinstance(measured, Measured)
    return measured


def _run(connection: Connection, side: Callable[..., Measured], arguments: tuple[object, ...]) -> None:
    measured = side(*arguments)
    with suppress(BrokenPipeError):
        connection.send(measured)


def _processor_seconds() -> float:
    """CPU seconds of this process and of those that it started and that have ended."""
    return sum(os.times()[:4])


def _peak() -> float:
    # Not getrusage: its peak begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
