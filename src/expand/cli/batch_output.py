"""``expand chapter --batch``: chapters drafted by batches, at the price of batches."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from expand.batch.batch_backend import BatchBackend, CollectReport, SubmitReport
from expand.batch.submission import BatchState, batch_json
from expand.cli.output import print_json, warn
from expand.cli.run_command import note_author
from expand.cli.run_output import show_result, table_text
from expand.drafting.results import named
from expand.drafting.run_options import RunOptions
from expand.errors import InputError
from expand.ledger.batches import BatchRow
from expand.workspace import Workspace


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
    states = Counter(section.state for section in report.sections)
    print(
        f"{len(report.sections):,} sections: {states['open']:,} have questions to ask ({len(report.orders):,} in all), "
        f"{states['complete']:,} have all their answers"
    )
    if report.dry_run:
        print(f"dry run: nothing was sent or reserved; {report.reserved_tokens:,} tokens would be")
        return report.exit_code
    if report.waiting:
        print(f"{report.waiting:,} of the questions are in a batch, or being asked live, already")
    for batch in report.batches:
        print(f"{batch.id}: {batch.requests:,} requests submitted as {batch.remote}")
    print("`expand chapter --batch status` shows what has ended, --batch collect drafts from it")
    return report.exit_code


def _show_status(found: Sequence[BatchState], *, as_json: bool) -> int:
    if as_json:
        print_json({"batches": [status.as_json() for status in found]})
    elif not found:
        print("no batch was ever submitted")
    else:
        rows = []
        for one in found:
            left = "" if one.left_seconds is None else f"{one.left_seconds / 3600:.1f}"
            rows.append((one.batch.id, _state(one), one.batch.requests, f"{one.age_seconds / 3600:.1f}", left))
        print(table_text(("Batch", "State", "Requests", "Hours", "Left"), rows, words=("State",)))
    return 4 if any(status.problem for status in found) else 0


def _state(status: BatchState) -> str:
    """The stage, and what the provider says, or why it says nothing."""
    batch, remote = status.batch, status.remote
    said = status.problem or (batch.remote_status if batch.remote else batch.note)
    if remote is not None:
        failed = f", {remote.failed:,} failed" if remote.failed else ""
        said = f"{remote.id}: {remote.status}, {remote.completed:,} of {remote.total:,} answered{failed}"
    return f"{batch.stage}{_outcome(batch)}{'; ' if said else ''}{said}"


def _outcome(batch: BatchRow) -> str:
    counts = ((batch.answered, "answered"), (batch.unbilled, "unbilled"), (batch.unknown, "unknown"))
    said = ", ".join(f"{count:,} {name}" for count, name in counts if count)
    return f": {said}" if said and batch.stage.ended else ""


def _show_collected(report: CollectReport, workspace: Workspace, *, as_json: bool) -> int:
    for problem in report.problems:
        warn(problem)
    if as_json:
        print_json(report.as_json())
        return report.exit_code
    if report.drafted is not None:
        show_result(report.drafted, workspace)
    for collected in report.batches:
        print(f"{collected.batch.id}: {_state(collected)}")
        for reason in collected.reasons:
            print(f"  {reason}")
    if not report.batches:
        print("no batch is in flight")
    if report.missing:
        print(f"{len(report.missing):,} sections still lack answers: {named(report.missing)}")
        print("`expand chapter --all --batch submit` asks for the rest in a batch, `expand chapter --all` live")
    return report.exit_code


def _show_cancelled(batches: Sequence[BatchRow], *, as_json: bool) -> int:
    if as_json:
        print_json({"batches": [batch_json(batch) for batch in batches]})
        return 0
    for batch in batches:
        print(f"{batch.id}: {batch.stage}" + (f" ({batch.remote})" if batch.remote else ""))
    if not batches:
        warn("no batch is in flight")
    return 0
