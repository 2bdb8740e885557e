"""The sides that are compared, each in a fresh process, and what is measured of them."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
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
    """One side's figures: seconds of ``loading`` (modules, and the ranks of the tokenizer), of wall
    and CPU after that, of all its processes; peak memory in MB of the largest; requests sent;
    completion tokens and lines that came.
    """

    loading: float
    wall: float
    cpu: float
    memory: float
    requests: int
    tokens: int = 0
    lines: int = 0


def expand_side(root: Path, ids: tuple[str, ...], port: int, width: int) -> Measured:
    """The whole pipeline over a workspace: reserve, send, settle, stitch, check, write drafts."""
    arrived = time.perf_counter()
    from expand.__main__ import collect_seldom

    collect_seldom()  # as the command line does
    import expand.llm.openai_client  # the other side has its SDK before the clock, too
    import expand.markdown.block_tokens
    from expand.drafting.run import Run
    from expand.drafting.run_options import RunOptions
    from expand.llm.tokens import TokenCounter
    from expand.outline.plans import Plan
    from expand.settings import Overrides, read_settings
    from expand.workspace import Workspace

    TokenCounter(MODEL).count("")
    expand.markdown.block_tokens.parsed("")
    loading = time.perf_counter() - arrived
    cpu, began = _processor_seconds(), time.perf_counter()
    workspace = Workspace(root=root)
    settings = read_settings(
        workspace.settings_path,
        environment={"OPENAI_API_KEY": KEY},
        overrides=Overrides(base_url=f"http://127.0.0.1:{port}/v1", model=MODEL, concurrency=width),
    )
    options = RunOptions(chapters=ids, plan=Plan.FULL, language="en")
    result = asyncio.run(Run(workspace, options, settings=settings, keep_events=False).complete())
    wall, cpu = time.perf_counter() - began, _processor_seconds() - cpu
    if result.exit_code not in (0, 5):
        raise SystemExit(f"expand ended with {result.exit_code}: {result.stopped_by}")
    sections = [section for chapter in result.chapters for section in chapter.sections]
    return Measured(
        loading=loading,
        wall=wall,
        cpu=cpu,
        memory=max(_peak(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
        requests=result.attempts,
        tokens=sum(section.usage.completion for section in sections),
        lines=sum(section.lines for section in sections),
    )


def bare_side(messages: list[dict[str, str]], count: int, port: int, width: int) -> Measured:
    """The default AsyncOpenAI client with the same messages: no ledger, no drafts."""
    arrived = time.perf_counter()
    import openai

    loading = time.perf_counter() - arrived

    async def main() -> None:
        client = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY)
        numbers = iter(range(count))

        async def worker() -> None:
            for number in numbers:
                own = [*messages[:-1], {**messages[-1]}]
                own[-1]["content"] = f"{number}: {own[-1]['content']}"
                await client.chat.completions.create(
                    model=MODEL,
                    messages=own,  # type: ignore[arg-type] # the SDK's own union of dicts
                    max_completion_tokens=1200,
                )

        await asyncio.gather(*(worker() for _ in range(width)))
        await client.close()

    cpu, began = time.process_time(), time.perf_counter()
    asyncio.run(main())
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    return Measured(loading=loading, wall=wall, cpu=cpu, memory=_peak(), requests=count)


def first_messages(root: Path, chapter: str) -> list[dict[str, str]]:
    """The messages of a section's request, as the pipeline makes them."""
    from expand.drafting.dry_run import first_order
    from expand.drafting.run_options import RunOptions
    from expand.settings import Overrides, read_settings
    from expand.workspace import Workspace

    workspace = Workspace(root=root)
    settings = read_settings(
        workspace.settings_path,
        environment={"OPENAI_API_KEY": KEY},
        overrides=Overrides(model=MODEL),
    )
    order, _, _ = first_order(workspace, settings, RunOptions.of(workspace, chapter, sections=[1]))
    return [{"role": m.role, "content": m.content} for m in order.request.messages]


def in_process(side: Callable[..., Measured], *arguments: object) -> Measured:
    """Runs a side in a fresh process and returns its figures."""
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
