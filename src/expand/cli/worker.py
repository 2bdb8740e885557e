"""``expand worker``, which buys sections of the queue, and ``expand chapter --queue``, which puts them there."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from expand.cli import options
from expand.cli.common import print_json, settings_of, workspace_of
from expand.cli.progress_messages import ProgressMessages, RunStats
from expand.cli.run_command import logged, note_author, stop_on_signals
from expand.cli.run_log import RunLog
from expand.cli.tables import TableColumn, console, print_table
from expand.cli.verbosity import Verbosity, counted, note, verbosity, warn
from expand.drafting.events import AttemptChanged, Event, Notice
from expand.drafting.run_options import RunOptions
from expand.errors import InputError
from expand.settings import Overrides, Settings
from expand.worker.jobs import server_of
from expand.workspace import Workspace

if TYPE_CHECKING:
    from expand.worker.job_queue import JobStatus, QueueStatus
    from expand.worker.queue_backend import EnqueueReport, QueueBackend
    from expand.worker.work_loop import JobReport, WorkLoop, WorkReport


def worker(
    context: typer.Context,
    chapters: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID...]", help="With --withdraw: only these chapters.", autocompletion=options.complete_chapter
        ),
    ] = None,
    until_empty: Annotated[
        bool, typer.Option("--until-empty", help="End when nothing is queued or running any more.")
    ] = False,
    drafts: Annotated[
        bool, typer.Option("--drafts", help="Also write each section into this checkout's drafts.")
    ] = False,
    concurrency: options.Concurrency = None,
    model: options.Model = None,
    base_url: options.BaseUrl = None,
    on_unknown: options.OnUnknown = None,
    silent: Annotated[
        float,
        typer.Option(
            "--silent-after",
            metavar="SECONDS",
            min=3,
            help="How long a worker may give no sign of life before others take its sections.",
        ),
    ] = 30.0,
    status: Annotated[bool, typer.Option("--status", help="Show where the queue stands; take nothing.")] = False,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take back what is queued and not begun.")] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    workspace: options.Workspace = None,
) -> None:
    """Draft the sections that `expand chapter --queue` has queued.

    Run it on any machine that has the workspace and reaches the ledger's database. It writes no
    drafts: `expand chapter` assembles them from the ledger. SIGTERM and Ctrl-C let what is in
    flight arrive and put the rest back."""
    place = workspace_of(context, workspace)
    server_of(place)
    if chapters and not withdraw:
        raise InputError("a worker takes whatever is queued", remedy="name chapters with --withdraw only")
    settings = settings_of(place, Overrides(model, base_url, concurrency, on_unknown))
    if status:
        show_status(run_quietly(backend_of(place, settings, silent_seconds=silent).status()), as_json=as_json)
        return
    if withdraw:
        report = run_quietly(backend_of(place, settings).cancel(tuple(chapters) if chapters else None))
        if as_json:
            print_json(report.as_json())
        else:
            print(f"{counted(report.withdrawn, 'section')} withdrawn; running sections go on")
        return
    worked = _work(place, settings, until_empty=until_empty, silent=silent, drafts=drafts)
    if as_json:
        print_json(worked.as_json())
    else:
        _show(worked)
    raise typer.Exit(worked.exit_code)


def _work(place: Workspace, settings: Settings, *, until_empty: bool, silent: float, drafts: bool) -> WorkReport:
    from expand.worker.work_loop import WorkerOptions, run_worker  # procrastinate is an extra

    received: list[signal.Signals] = []
    note_author(settings)

    def on_ready(loop: WorkLoop) -> None:
        note(f"waiting for sections that are queued for {settings.model}")

        def stop(number: signal.Signals) -> None:
            received.append(number)
            loop.stop()

        stop_on_signals(stop)

    with logged(place, settings) as log:
        worked = run_quietly(
            run_worker(
                place,
                settings,
                WorkerOptions(until_empty=until_empty, silent_seconds=silent, write_drafts=drafts),
                on_event=_event_printer(log),
                on_report=_print_report,
                tell=note,
                on_ready=on_ready,
            )
        )
    # SIGTERM is the usual end of a worker that waits for sections; it cuts short only one with --until-empty.
    interrupted = bool(received) and (until_empty or signal.SIGINT in received)
    return replace(worked, interrupted=interrupted)


def _event_printer(log: RunLog | None) -> Callable[[Event], None]:
    """Prints attempts and notices on stderr and in the log; ``_print_report`` prints how each section ended."""
    messages = ProgressMessages(RunStats(), verbosity())

    def on_event(event: Event) -> None:
        if verbosity() is Verbosity.QUIET or not isinstance(event, AttemptChanged | Notice):
            return
        if log is not None:
            log(event)
        for line in messages.lines(event):
            sys.stderr.write(f"{line}\n")

    return on_event


def _print_report(report: JobReport) -> None:
    """Prints on stderr how a section ended."""
    if verbosity() is Verbosity.QUIET and report.outcome == "bought":
        return
    job, done = report.job, report.note
    detail = f": {done.message}" if done.message else ""
    if report.outcome == "bought":
        detail = f", {done.lines:,} of {counted(job.lines, 'line')}, " + (
            f"{counted(done.answers, 'answer')}, {counted(done.tokens, 'token')}"
            if done.answers
            else "all of it in the ledger already"
        )
    outcome = "put back" if report.outcome == "misfit" else report.outcome
    sys.stderr.write(f"{job.chapter}/{job.section}: {outcome}{detail}\n")


def _show(worked: WorkReport) -> None:
    if worked.stopped_by:
        warn(worked.stopped_by)
    if worked.misfits:
        named = ", ".join(worked.misfits[:12])
        more = f" and {len(worked.misfits) - 12:,} more" if len(worked.misfits) > 12 else ""
        warn(
            f"left to workers whose workspace says the same as the jobs: {named}{more}; bring this "
            "checkout up to date, or queue them again from it"
        )
    parts = [f"{counted(worked.count('bought'), 'section')} bought"]
    parts += [
        f"{worked.count(outcome):,} {outcome}"
        for outcome in ("refused", "failed", "superseded", "put back")
        if worked.count(outcome)
    ]
    answers = sum(report.note.answers for report in worked.reports)
    tokens = sum(report.note.tokens for report in worked.reports)
    parts.append(f"{counted(answers, 'answer')}, {counted(tokens, 'token')}")
    print(f"{', '.join(parts)}, {worked.seconds:,.1f} s")


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
