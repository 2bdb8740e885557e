"""``expand worker``: takes sections from the queue and buys them."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from expand.cli.common import (
    BaseUrlOption,
    JsonOption,
    ModelOption,
    WorkspaceOption,
    complete_chapter,
    note,
    print_json,
    settings_of,
    warn,
    workspace_of,
)
from expand.cli.progress_messages import ProgressMessages
from expand.cli.queue_output import backend_of, run, show_status
from expand.cli.run_command import logged
from expand.cli.run_log import RunLog
from expand.cli.run_stats import RunStats
from expand.cli.verbosity import QuietOption, VerboseOption, Verbosity, counted, verbosity
from expand.drafting.events import AttemptChanged, Event, Notice
from expand.errors import InputError
from expand.settings import Settings
from expand.worker.availability import server_of
from expand.workspace import Workspace

if TYPE_CHECKING:
    from expand.worker.work_loop import JobReport, WorkLoop, WorkReport


def worker(
    context: typer.Context,
    chapters: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID...]", help="With --withdraw: only these chapters.", autocompletion=complete_chapter
        ),
    ] = None,
    until_empty: Annotated[
        bool, typer.Option("--until-empty", help="End when nothing is queued or running any more.")
    ] = False,
    drafts: Annotated[
        bool, typer.Option("--drafts", help="Also write each section into this checkout's drafts.")
    ] = False,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", min=1, help="Sections worked on side by side.")
    ] = None,
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    on_unknown: Annotated[
        str | None, typer.Option("--on-unknown", help="retry, or hold: leave unknown outcomes alone.")
    ] = None,
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
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Take sections that `expand chapter --queue` put on the queue, and buy them.

    Run it on any machine that has the workspace and reaches the ledger's database. It writes no
    drafts: `expand chapter` assembles them from the ledger. SIGTERM and Ctrl-C let what is in
    flight arrive and put the rest back.
    """
    place = workspace_of(context, workspace)
    server_of(place)
    if chapters and not withdraw:
        raise InputError("a worker takes whatever is queued", remedy="name chapters with --withdraw only")
    settings = settings_of(place, model=model, base_url=base_url, concurrency=concurrency, on_unknown=on_unknown)
    if status:
        show_status(run(backend_of(place, settings, silent_seconds=silent).status()), as_json=as_json)
        return
    if withdraw:
        report = run(backend_of(place, settings).cancel(tuple(chapters) if chapters else None))
        if as_json:
            print_json(report.as_json())
        else:
            print(f"{counted(report.withdrawn, 'section')} withdrawn; what is running goes on")
        return
    worked = _work(place, settings, until_empty=until_empty, silent=silent, drafts=drafts)
    if as_json:
        print_json(worked.as_json())
    else:
        _show(worked)
    raise typer.Exit(worked.exit_code)


def _work(place: Workspace, settings: Settings, *, until_empty: bool, silent: float, drafts: bool) -> WorkReport:
    from expand.worker.work_loop import WorkerOptions, run_worker  # procrastinate is an extra

    signals: list[int] = []
    if settings.embedded:
        note(f"the embedded local model writes ({settings.model}: English, small, for trying out)")
    with logged(place, settings) as log:
        worked = run(
            run_worker(
                place,
                settings,
                WorkerOptions(until_empty=until_empty, silent_seconds=silent, write_drafts=drafts),
                on_event=_teller(log),
                on_report=_report,
                tell=note,
                on_ready=lambda loop: _stop_on_signals(loop, signals, settings),
            )
        )
    interrupted = bool(signals) and (until_empty or signal.SIGINT in signals)
    return replace(worked, interrupted=interrupted)


def _stop_on_signals(loop: WorkLoop, received: list[int], settings: Settings) -> None:
    """The first SIGTERM or Ctrl-C ends the worker in good order, the second at once."""
    note(f"waiting for sections that are queued for {settings.model}")
    running = asyncio.get_running_loop()

    def stop(number: int) -> None:
        warn("stopping: what is in flight arrives first; once more leaves it unknown")
        received.append(number)
        loop.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            running.add_signal_handler(number, stop, number)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda number, _: running.call_soon_threadsafe(stop, number))


def _teller(log: RunLog | None) -> Callable[[Event], None]:
    """Tell on stderr what goes on within sections; their ends are reported."""
    messages = ProgressMessages(RunStats(), verbosity())

    def tell(event: Event) -> None:
        if verbosity() is Verbosity.QUIET or not isinstance(event, AttemptChanged | Notice):
            return
        if log is not None:
            log(event)
        for line in messages.lines(event):
            sys.stderr.write(f"{line}\n")

    return tell


def _report(report: JobReport) -> None:
    """One line for what became of a section."""
    if verbosity() is Verbosity.QUIET and report.outcome == "bought":
        return
    job, done = report.job, report.note
    said = f": {done.message}" if done.message else ""
    if report.outcome == "bought":
        said = f", {done.lines:,} of {counted(job.lines, 'line')}, " + (
            f"{counted(done.answers, 'answer')}, {counted(done.tokens, 'token')}"
            if done.answers
            else "all of it in the ledger already"
        )
    outcome = "put back" if report.outcome == "misfit" else report.outcome
    sys.stderr.write(f"{job.chapter}/{job.section}: {outcome}{said}\n")


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
