"""``expand chapter --batch``: chapters drafted by batches, at the price of batches."""

import asyncio
from collections.abc import Sequence

from expand.batch.batch_backend import BatchBackend
from expand.batch.batch_reports import BatchStatus, CollectReport, SubmitReport, batch_json
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


def run_batch(action: str, workspace: Workspace, options: RunOptions, *, dry_run: bool, as_json: bool) -> int:
    """Does what ``--batch`` says. Returns the exit code. Raises ``InputError``."""
    settings = options.settings(workspace)
    if not dry_run and not settings.embedded:
        note_author(settings)
    backend = BatchBackend(workspace, settings, tell=warn)
    match action:
        case "submit":
            return _show_submitted(asyncio.run(backend.submit(options, dry_run=dry_run)), as_json=as_json)
        case "status":
            return _show_status(asyncio.run(backend.status()), as_json=as_json)
        case "collect":
            return _show_collected(asyncio.run(backend.collect(options.chapters)), workspace, as_json=as_json)
        case "cancel":
            every = options.chapters == workspace.chapter_ids()  # also of chapters that have no outline any more
            return _show_cancelled(asyncio.run(backend.cancel(None if every else options.chapters)), as_json=as_json)
    raise InputError(f"--batch is {action!r}", remedy="give submit, status, collect, cancel")


def _show_submitted(report: SubmitReport, *, as_json: bool) -> int:
    for refusal in report.refused:
        warn(f"the budget refused: {refusal}")
    if report.problem:
        warn(report.problem)
    if as_json:
        print_json(report.as_json())
        return report.exit_code
    asking = sum(section.state == "open" for section in report.sections)
    complete = sum(section.state == "complete" for section in report.sections)
    print(
        f"{len(report.sections):,} sections: {asking:,} have questions to ask "
        f"({len(report.orders):,} in all), {complete:,} have all their answers, "
        f"{len(report.sections) - asking - complete:,} are left as they are"
    )
    if report.dry_run:
        print(f"dry run: nothing was sent or reserved; {report.reserved_tokens:,} tokens would be")
        return report.exit_code
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
    return report.exit_code


def _show_status(found: Sequence[BatchStatus], *, as_json: bool) -> int:
    code = 4 if any(status.problem for status in found) else 0
    if as_json:
        print_json({"batches": [status.as_json() for status in found]})
    elif not found:
        print("no batch was ever submitted")
    else:
        listed = [status for status in found if status.batch.requests or not status.batch.stage.ended]
        print_table(console(), _COLUMNS, listed)
        if held := sum(status.reserved_tokens for status in found):
            print(f"{held:,} tokens are reserved for them")
        if any(status.remote is not None and status.remote.ended for status in found):
            print("some have ended: expand chapter --batch collect")
    return code


def _at_provider(status: BatchStatus) -> str:
    """What the provider says, or why it says nothing."""
    if status.remote is None:
        said = status.problem or (status.batch.remote_status if status.batch.remote else status.batch.note)
        return f"; {said}" if said else ""
    remote = status.remote
    failed = f", {remote.failed:,} failed" if remote.failed else ""
    return f" as {remote.id}: {remote.status}, {remote.completed:,} of {remote.total:,} answered{failed}"


def _outcome(batch: BatchRow) -> str:
    counts = ((batch.answered, "answered"), (batch.unbilled, "unbilled"), (batch.unknown, "unknown"))
    said = ", ".join(f"{count:,} {name}" for count, name in counts if count)
    return f": {said}" if said and batch.stage.ended else ""


def _span(seconds: float) -> str:
    sign, minutes = "-" if seconds < 0 else "", int(abs(seconds) // 60)
    return sign + (f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min")


def _show_collected(report: CollectReport, workspace: Workspace, *, as_json: bool) -> int:
    for problem in report.problems:
        warn(problem)
    if as_json:
        print_json(report.as_json())
        return report.exit_code
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
    return report.exit_code


def _show_cancelled(batches: Sequence[BatchRow], *, as_json: bool) -> int:
    if as_json:
        print_json({"batches": [batch_json(batch) for batch in batches]})
        return 0
    for batch in batches:
        print(f"{batch.id}: {batch.stage}" + (f" ({batch.remote})" if batch.remote else ""))
    if any(not batch.stage.ended for batch in batches):
        warn("what was answered by now can be collected: expand chapter --batch collect")
    elif not batches:
        warn("no batch is in flight")
    return 0
