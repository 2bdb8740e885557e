"""``expand chapter --batch``: chapters drafted by batches, at the price of batches."""

import asyncio
from collections.abc import Sequence

from expand.batch.batch_backend import BatchBackend
from expand.batch.batch_reports import BatchStatus, CancelReport, CollectReport, StatusReport, SubmitReport
from expand.cli.common import print_json
from expand.cli.run_command import note_author
from expand.cli.run_output import show_result
from expand.cli.tables import TableColumn, console, print_table
from expand.cli.verbosity import warn
from expand.drafting.run_options import RunOptions
from expand.errors import InputError
from expand.ledger.batches import BatchRow
from expand.workspace import Workspace

_COLUMNS: Sequence[TableColumn[BatchStatus]] = (
    TableColumn("Batch", lambda status: status.batch.id),
    TableColumn("State", lambda s: f"{s.batch.stage}{_outcome(s.batch)}{_at_provider(s)}", figure=False),
    TableColumn("Requests", lambda status: status.batch.requests),
    TableColumn("Age", lambda status: _span(status.age_seconds)),
    TableColumn("Expires in", lambda s: "" if s.left_seconds is None else _span(s.left_seconds), spare=1),
)
BatchReport = SubmitReport | StatusReport | CollectReport | CancelReport


def run_batch(action: str, workspace: Workspace, options: RunOptions, *, dry_run: bool, as_json: bool) -> int:
    """Does what ``--batch`` says. Returns the exit code. Raises ``InputError``."""
    settings = options.settings(workspace)
    if not dry_run and not settings.embedded:
        note_author(settings)
    backend = BatchBackend(workspace, settings, tell=warn)
    report = asyncio.run(_act(action, backend, workspace, options, dry_run))
    if isinstance(report, SubmitReport):
        for refusal in report.refused:
            warn(f"the budget refused: {refusal}")
        if report.problem:
            warn(report.problem)
    elif isinstance(report, CollectReport):
        for problem in report.problems:
            warn(problem)
    if as_json:
        print_json(report.as_json())
        return report.exit_code
    match report:
        case SubmitReport():
            _print_submitted(report)
        case StatusReport():
            _print_status(report)
        case CollectReport():
            _print_collected(report, workspace)
        case CancelReport():
            _print_cancelled(report)
    return report.exit_code


async def _act(
    action: str, backend: BatchBackend, workspace: Workspace, options: RunOptions, dry_run: bool
) -> BatchReport:
    match action:
        case "submit":
            return await backend.submit(options, dry_run=dry_run)
        case "status":
            return await backend.status()
        case "collect":
            return await backend.collect(options.chapters)
        case "cancel":
            every = options.chapters == workspace.chapter_ids()  # also of chapters that have no outline any more
            return await backend.cancel(None if every else options.chapters)
    raise InputError(f"--batch is {action!r}", remedy="give submit, status, collect, cancel")


def _print_submitted(report: SubmitReport) -> None:
    asking = sum(section.state == "open" for section in report.sections)
    complete = sum(section.state == "complete" for section in report.sections)
    print(
        f"{len(report.sections):,} sections: {asking:,} have questions to ask "
        f"({len(report.orders):,} in all), {complete:,} have all their answers, "
        f"{len(report.sections) - asking - complete:,} are left as they are"
    )
    if report.dry_run:
        print(f"dry run: nothing was sent or reserved; {report.reserved_tokens:,} tokens would be")
        return
    if report.waiting:
        print(f"{report.waiting:,} of the questions are in a batch, or being asked live, already")
    if report.held:
        print(f"{report.held:,} wait for an unknown outcome to be settled")
    for batch in report.batches:
        print(f"{batch.id}: {batch.requests:,} requests submitted as {batch.remote}")
    if report.batches:
        print("look at it with `expand chapter --batch status`; once it has ended, --batch collect")
    elif complete:
        print("nothing to submit; `expand chapter --batch collect` writes the drafts")
    elif not report.problem and not report.refused:
        print("nothing to submit")


def _print_status(report: StatusReport) -> None:
    if not report.batches:
        print("no batch was ever submitted")
        return
    listed = [status for status in report.batches if status.batch.requests or not status.batch.stage.ended]
    print_table(console(), _COLUMNS, listed)
    if held := sum(status.reserved_tokens for status in report.batches):
        print(f"{held:,} tokens are reserved for them")
    if any(status.remote is not None and status.remote.ended for status in report.batches):
        print("some have ended: expand chapter --batch collect")


def _at_provider(status: BatchStatus) -> str:
    """What the provider says, or why it says nothing."""
    if status.remote is None:
        said = status.problem or (status.batch.remote_status if status.batch.remote else status.batch.note)
        return f"; {said}" if said else ""
    remote = status.remote
    failed = f", {remote.failed:,} failed" if remote.failed else ""
    return f" as {remote.id}: {remote.status}, {remote.completed:,} of {remote.total:,} answered{failed}"


def _outcome(batch: BatchRow) -> str:
    if not batch.stage.ended:
        return ""
    counts = ((batch.answered, "answered"), (batch.unbilled, "unbilled"), (batch.unknown, "unknown"))
    said = ", ".join(f"{count:,} {name}" for count, name in counts if count)
    return f": {said}" if said else ""


def _span(seconds: float) -> str:
    if seconds < 0:
        return f"-{_span(-seconds)}"
    minutes = int(seconds // 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def _print_collected(report: CollectReport, workspace: Workspace) -> None:
    if report.drafted is not None:
        show_result(report.drafted, workspace)
    for collected in report.batches:
        batch = collected.batch
        if not batch.stage.ended:
            status = collected.remote.status if collected.remote else "not seen"
            print(f"{batch.id}: {status}; collect again when it has ended")
            continue
        print(f"{batch.id}: {batch.remote_status}{_outcome(batch)}")
        for reason in collected.reasons:
            print(f"  {reason}")
    if not report.batches:
        print("no batch is in flight")
    if missing := report.missing:
        where = ", ".join(f"{chapter}/{number}" for chapter, number in missing[:12])
        more = f" and {len(missing) - 12:,} more" if len(missing) > 12 else ""
        print(f"{len(missing):,} sections still lack answers: {where}{more}")
        print("`expand chapter --all --batch submit` asks for the rest in a batch, `expand chapter --all` live")


def _print_cancelled(report: CancelReport) -> None:
    for batch in report.batches:
        print(f"{batch.id}: {batch.stage}" + (f" ({batch.remote})" if batch.remote else ""))
    if any(not batch.stage.ended for batch in report.batches):
        warn("what was answered by now can be collected: expand chapter --batch collect")
    elif not report.batches:
        warn("no batch is in flight")
