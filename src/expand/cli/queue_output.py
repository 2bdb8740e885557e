"""``expand chapter --queue``: sections for workers, and where the queue stands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from expand.cli.common import note, print_json
from expand.cli.tables import TableColumn, console, table
from expand.cli.verbosity import counted
from expand.drafting.run_options import RunOptions
from expand.errors import InputError
from expand.settings import Settings
from expand.worker.availability import server_of
from expand.workspace import Workspace

if TYPE_CHECKING:
    from expand.worker.queue_backend import EnqueueReport, QueueBackend
    from expand.worker.queue_status import JobStatus, QueueStatus

T = TypeVar("T")

MOST_LISTED = 40
"""Jobs of the queue that the table lists one by one."""


def backend_of(workspace: Workspace, settings: Settings, **options: Any) -> QueueBackend:
    """The queue of a workspace. Raises ``InputError`` where it cannot be used."""
    server_of(workspace)
    from expand.worker.queue_backend import QueueBackend  # procrastinate is an extra, and may not be installed

    return QueueBackend(workspace, settings, **options)


def put(workspace: Workspace, settings: Settings, options: RunOptions, *, batch: str | None, as_json: bool) -> int:
    """Put what is due on the queue; returns the exit code. Raises ``InputError``."""
    if batch is not None:
        raise InputError("--queue and --batch were given", remedy="give one of them")
    report = run(backend_of(workspace, settings).submit(options))
    if settings.embedded and report.jobs.queued:
        note(
            f"they are queued for {settings.model}, the embedded local model; set OPENAI_API_KEY "
            "or give --model to mean another"
        )
    if as_json:
        print_json(report.as_json())
    else:
        _print_queued(report)
    return report.exit_code


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end, without the words that the queue's libraries have for their logs."""
    for library in ("procrastinate", "psycopg.pool"):
        logging.getLogger(library).addHandler(logging.NullHandler())
    return asyncio.run(work)


def _print_queued(report: EnqueueReport) -> None:
    jobs = report.jobs
    lines = sum(job.lines for job in jobs.queued)
    parts = [
        f"{counted(len(jobs.queued), 'section')} queued for {report.model} ({counted(lines, 'line')})"
        if jobs.queued
        else "nothing to queue"
    ]
    parts += [f"{len(jobs.waiting):,} queued already"] if jobs.waiting else []
    parts += [f"{len(jobs.done):,} bought by workers already"] if jobs.done else []
    parts += [f"{report.current:,} current"] if report.current else []
    parts += [f"{report.edited:,} edited by hand, left alone"] if report.edited else []
    print(", ".join(parts))
    if jobs.withdrawn:
        print(f"{counted(jobs.withdrawn, 'older job')} for the same sections withdrawn")
    if jobs.queued or jobs.waiting:
        print("`expand worker` takes them, on any machine; `expand worker --status` shows how far")
    if jobs.done:
        print("`expand chapter ID` writes the drafts of what is bought, and sends nothing for it")


def show_status(status: QueueStatus, *, as_json: bool) -> None:
    """Where the queue stands: a table of what is not done, or one JSON object."""
    if as_json:
        print_json(status.as_json())
        return
    print(", ".join(f"{count:,} {state}" for state, count in status.counts.items()))
    listed = [job for job in status.jobs if _is_listed(job)]
    if listed:
        columns = (
            TableColumn(name="Section"),
            TableColumn(name="State", figure=False),
            TableColumn(name="Worker", figure=False, spare=1),
            TableColumn(name="Since"),
            TableColumn(name="Taken"),
            TableColumn(name="Message", figure=False, spare=2),
        )
        shown = console()
        shown.print(table(columns, [_row(job) for job in listed[:MOST_LISTED]], width=shown.width))
    if len(listed) > MOST_LISTED:
        print(f"and {len(listed) - MOST_LISTED:,} more; --json lists all")
    for worker in status.workers:
        alive = "at work" if worker.alive else f"silent for {worker.silent_seconds:,.0f} s"
        print(f"{worker.name}: {alive}, {counted(worker.running, 'section')} in hand, {worker.model}")


def _is_listed(job: JobStatus) -> bool:
    waiting = job.state == "queued" and not job.note.message
    return job.state != "done" and not waiting


def _row(job: JobStatus) -> Sequence[str]:
    since = "" if job.since is None else f"{job.since.astimezone():%H:%M:%S}"
    return (f"{job.job.chapter}/{job.job.section}", job.state, job.worker, since, f"{job.taken:,}", job.note.message)
