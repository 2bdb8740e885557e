"""``expand chapter --queue``: sections for workers, and where the queue stands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from expand.cli.common import print_json
from expand.cli.tables import TableColumn, console, print_table
from expand.cli.verbosity import counted, note
from expand.drafting.run_options import RunOptions
from expand.errors import InputError
from expand.settings import Settings
from expand.worker.jobs import server_of
from expand.workspace import Workspace

if TYPE_CHECKING:
    from expand.worker.queue_backend import EnqueueReport, QueueBackend
    from expand.worker.queue_status import JobStatus, QueueStatus

T = TypeVar("T")

MOST_LISTED = 40
"""Jobs of the queue that the table lists one by one."""

_COLUMNS: Sequence[TableColumn[JobStatus]] = (
    TableColumn("Section", lambda job: f"{job.job.chapter}/{job.job.section}"),
    TableColumn("State", lambda job: job.state, figure=False),
    TableColumn("Worker", lambda job: job.worker, figure=False, spare=1),
    TableColumn("Since", lambda job: "" if job.since is None else f"{job.since.astimezone():%H:%M:%S}"),
    TableColumn("Taken", lambda job: job.taken),
    TableColumn("Message", lambda job: job.note.message, figure=False, spare=2),
)


def backend_of(workspace: Workspace, settings: Settings, **options: Any) -> QueueBackend:
    """The queue of a workspace. Raises ``InputError`` where it cannot be used."""
    server_of(workspace)
    from expand.worker.queue_backend import QueueBackend  # procrastinate is an extra, and may not be installed

    return QueueBackend(workspace, settings, **options)


def enqueue(workspace: Workspace, options: RunOptions, *, batch: str | None, as_json: bool) -> int:
    """Puts the sections to draft on the queue. Returns the exit code. Raises ``InputError``."""
    if batch is not None:
        raise InputError("--queue and --batch were given", remedy="give one of them")
    settings = options.settings(workspace)
    report = run_quietly(backend_of(workspace, settings).submit(options))
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


def run_quietly(work: Coroutine[Any, Any, T]) -> T:
    """Runs the coroutine to its end, without log output of the queue's libraries on stderr."""
    for library in ("procrastinate", "psycopg.pool"):
        logging.getLogger(library).addHandler(logging.NullHandler())
    return asyncio.run(work)


def _print_queued(report: EnqueueReport) -> None:
    jobs = report.jobs
    lines = sum(job.lines for job in jobs.queued)
    queued = f"{counted(len(jobs.queued), 'section')} queued for {report.model} ({counted(lines, 'line')})"
    others = (
        (len(jobs.waiting), "queued already"),
        (len(jobs.done), "bought by workers already"),
        (report.current, "current"),
        (report.edited, "edited by hand, left alone"),
    )
    parts = [queued if jobs.queued else "nothing to queue", *(f"{count:,} {state}" for count, state in others if count)]
    print(", ".join(parts))
    if jobs.withdrawn:
        print(f"{counted(jobs.withdrawn, 'older job')} for the same sections withdrawn")
    if jobs.queued or jobs.waiting:
        print("`expand worker` takes them, on any machine; `expand worker --status` shows how far")
    if jobs.done:
        print("`expand chapter ID` writes the drafts of what is bought, and sends nothing for it")


def show_status(status: QueueStatus, *, as_json: bool) -> None:
    """Prints the state of the queue: a table of the unfinished sections, or one JSON object."""
    if as_json:
        print_json(status.as_json())
        return
    print(", ".join(f"{count:,} {state}" for state, count in status.counts.items()))
    listed = [job for job in status.jobs if _is_listed(job)]
    if listed:
        print_table(console(), _COLUMNS, listed[:MOST_LISTED])
    if len(listed) > MOST_LISTED:
        print(f"and {len(listed) - MOST_LISTED:,} more; --json lists all")
    for worker in status.workers:
        alive = "at work" if worker.alive else f"silent for {worker.silent_seconds:,.0f} s"
        print(f"{worker.name}: {alive}, {counted(worker.running, 'section')} in hand, {worker.model}")


def _is_listed(job: JobStatus) -> bool:
    waiting = job.state == "queued" and not job.note.message
    return job.state != "done" and not waiting
