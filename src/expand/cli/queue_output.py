"""``expand chapter --queue``: sections for workers, and where the queue stands."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from expand.cli.common import note, print_json
from expand.cli.verbosity import counted

if TYPE_CHECKING:
    from expand.drafting.run_options import RunOptions
    from expand.settings import Settings
    from expand.worker.enqueue import Queued
    from expand.worker.queue_status import JobEntry, QueueStatus
    from expand.workspace import Workspace

T = TypeVar("T")

MOST_LISTED = 40
"""Jobs of the queue that the table lists one by one."""


def put(
    workspace: Workspace,
    settings: Settings,
    options: RunOptions,
    *,
    batch: str | None,
    as_json: bool,
) -> int:
    """Put what is due on the queue; returns the exit code. Raises ``InputError``."""
    from expand.errors import InputError  # start-up time
    from expand.worker.jobs import server_of

    if batch is not None:
        raise InputError("--queue and --batch were given", remedy="give one of them")
    if options.budget is not None:
        raise InputError(
            "--budget limits one run, and workers are many",
            remedy="set allowance in outlines/book.yaml, or in a chapter's outline",
        )
    server_of(workspace)
    from expand.worker.queue_operations import enqueue

    queued = run(enqueue(workspace, settings, options))
    if settings.embedded and queued.queued:
        note(
            f"they are queued for {settings.model}, the embedded local model; set OPENAI_API_KEY "
            "or give --model to mean another"
        )
    if as_json:
        print_json(queued.as_json())
    else:
        _print_queued(queued)
    return 0


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end, without the words that the queue's libraries have for their logs."""
    import asyncio  # start-up time
    import logging

    for library in ("procrastinate", "psycopg.pool"):
        logging.getLogger(library).addHandler(logging.NullHandler())
    return asyncio.run(work)


def _print_queued(queued: Queued) -> None:
    lines = sum(job.lines for job in queued.queued)
    parts = [
        f"{counted(len(queued.queued), 'section')} queued for {queued.model} ({counted(lines, 'line')})"
        if queued.queued
        else "nothing to queue"
    ]
    parts += [f"{len(queued.there):,} queued already"] if queued.there else []
    parts += [f"{len(queued.done):,} bought by workers already"] if queued.done else []
    parts += [f"{queued.current:,} current"] if queued.current else []
    parts += [f"{queued.edited:,} edited by hand, left alone"] if queued.edited else []
    print(", ".join(parts))
    if queued.withdrawn:
        print(f"{counted(queued.withdrawn, 'older job')} for the same sections withdrawn")
    if queued.queued or queued.there:
        print("`expand worker` takes them, on any machine; `expand worker --status` shows how far")
    if queued.done:
        print("`expand chapter ID` writes the drafts of what is bought, and sends nothing for it")


def show_roster(roster: QueueStatus, *, as_json: bool) -> None:
    """Where the queue stands: a table of what is not done, or one JSON object."""
    if as_json:
        print_json(roster.as_json())
        return
    from expand.cli.tables import (
        TableColumn,
        console,
        table,  # start-up time
    )

    counts = roster.counts
    print(", ".join(f"{count:,} {state}" for state, count in counts.items()))
    where = console()
    open_ones = [entry for entry in roster.entries if _worth_telling(entry)]
    if open_ones:
        columns = (
            TableColumn(name="Section"),
            TableColumn(name="State", figure=False),
            TableColumn(name="Worker", figure=False, spare=1),
            TableColumn(name="Since"),
            TableColumn(name="Taken"),
            TableColumn(name="Message", figure=False, spare=2),
        )
        rows = [_row(entry) for entry in open_ones[:MOST_LISTED]]
        where.print(table(columns, rows, width=where.width))
    if len(open_ones) > MOST_LISTED:
        print(f"and {len(open_ones) - MOST_LISTED:,} more; --json lists all")
    for worker in roster.workers:
        alive = "at work" if worker.alive else f"silent for {worker.silent_seconds:,.0f} s"
        print(f"{worker.name}: {alive}, {counted(worker.running, 'section')} in hand, {worker.model}")


def _worth_telling(entry: JobEntry) -> bool:
    waiting = entry.state == "queued" and not entry.word.message
    return entry.state != "done" and not waiting


def _row(entry: JobEntry) -> Sequence[str]:
    since = "" if entry.since is None else f"{entry.since.astimezone():%H:%M:%S}"
    return (
        f"{entry.job.chapter}/{entry.job.section}",
        entry.state,
        entry.worker,
        since,
        f"{entry.taken:,}",
        entry.word.message,
    )
