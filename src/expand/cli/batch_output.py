"""``expand chapter --batch``: chapters drafted by batches, at the price of batches."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from expand.cli.common import print_json, warn

if TYPE_CHECKING:
    from expand.batch.batch_results import Gathered, Submitted
    from expand.batch.batch_status import BatchStatus
    from expand.batch.operations import BatchAction
    from expand.drafting.run_options import RunOptions
    from expand.ledger.batch_rows import BatchRow
    from expand.settings import Settings
    from expand.workspace import Workspace

T = TypeVar("T")


def perform(
    action: str,
    workspace: Workspace,
    settings: Settings,
    options: RunOptions,
    *,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Do what ``--batch`` says; returns the exit code. Raises ``InputError``."""
    from expand.batch import operations  # start-up time

    known = _action(action)
    if known == "submit":
        return _show_submitted(
            _run(
                operations.submit(
                    workspace,
                    settings,
                    options,
                    rehearse=dry_run,
                    tell=warn,
                )
            ),
            dry_run=dry_run,
            as_json=as_json,
        )
    if known == "status":
        return _show_whereabouts(_run(operations.look(workspace, settings)), as_json=as_json)
    if known == "collect":
        return _show_gathered(
            _run(operations.collect(workspace, settings, chapters=options.chapters, tell=warn)),
            workspace,
            as_json=as_json,
        )
    cancelled = _run(operations.cancel(workspace, settings, tell=warn))
    if as_json:
        from expand.batch.batch_results import batch_json  # start-up time

        print_json({"batches": [batch_json(batch) for batch in cancelled]})
    else:
        for batch in cancelled:
            print(f"{batch.id}: {batch.stage}{_at(batch)}")
        if any(not batch.stage.ended for batch in cancelled):
            warn("what was answered by now can be collected: expand chapter --batch collect")
        elif not cancelled:
            warn("no batch is in flight")
    return 0


def _action(text: str) -> BatchAction:
    from expand.batch.operations import BatchAction as Known  # start-up time
    from expand.errors import InputError

    for known in get_args(Known):
        if text == known:
            found: BatchAction = known
            return found
    raise InputError(f"--batch is {text!r}", remedy=f"give {', '.join(get_args(Known))}")


def _run(work: Coroutine[Any, Any, T]) -> T:
    import asyncio  # start-up time

    return asyncio.run(work)


# --- submit -----------------------------------------------------------------------------------


def _show_submitted(result: Submitted, *, dry_run: bool, as_json: bool) -> int:
    for refusal in result.refused:
        warn(f"the budget refused: {refusal}")
    if result.problem:
        warn(result.problem)
    if as_json:
        from expand.batch.batch_results import submitted_json  # start-up time

        print_json(submitted_json(result, dry_run=dry_run))
    else:
        _print_submitted(result, dry_run=dry_run)
    return result.exit_code


def _print_submitted(result: Submitted, *, dry_run: bool) -> None:
    sections = result.plan.sections
    asking = sum(section.state == "open" for section in sections)
    complete = sum(section.state == "complete" for section in sections)
    print(
        f"{len(sections):,} sections: {asking:,} have questions to ask "
        f"({len(result.plan.orders):,} in all), {complete:,} have all their answers, "
        f"{len(sections) - asking - complete:,} are left as they are"
    )
    if dry_run:
        reserved = sum(order.amount.tokens for order in result.plan.orders)
        print(f"dry run: nothing was sent or reserved; {reserved:,} tokens would be")
        return
    if result.waiting:
        print(f"{result.waiting:,} of the questions are in a batch, or being asked live, already")
    if result.held:
        print(f"{result.held:,} wait for an unknown outcome to be settled")
    for batch in result.batches:
        print(f"{batch.id}: {batch.requests:,} requests submitted as {batch.remote}")
    if result.batches:
        print("look at it with `expand chapter --batch status`; once it has ended, --batch collect")
    elif complete:
        print("nothing to submit; `expand chapter --batch collect` writes the drafts")
    elif not result.problem and not result.refused:
        print("nothing to submit")


# --- status -----------------------------------------------------------------------------------


def _show_whereabouts(batches: tuple[BatchStatus, ...], *, as_json: bool) -> int:
    if as_json:
        from expand.batch.batch_results import whereabouts_json  # start-up time

        print_json({"batches": [whereabouts_json(one) for one in batches]})
    elif not batches:
        print("no batch was ever submitted")
    else:
        _print_whereabouts(batches)
    return 4 if any(one.problem for one in batches) else 0


def _print_whereabouts(batches: tuple[BatchStatus, ...]) -> None:
    from rich import box  # start-up time
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("Batch", no_wrap=True)
    table.add_column("State")
    for name in ("Requests", "Age", "Expires in"):
        table.add_column(name, justify="right")
    for one in batches:
        if one.batch.stage.ended and not one.batch.requests:
            continue
        table.add_row(
            one.batch.id,
            f"{one.batch.stage}{_outcome(one.batch)}{_said(one)}",
            f"{one.batch.requests:,}",
            _span(one.age_seconds),
            "" if one.left_seconds is None else _span(one.left_seconds),
        )
    Console(highlight=False).print(table)
    held = sum(one.reserved_tokens for one in batches)
    if held:
        print(f"{held:,} tokens are reserved for them")
    if any(one.remote is not None and one.remote.ended for one in batches):
        print("some have ended: expand chapter --batch collect")


def _said(one: BatchStatus) -> str:
    """What the provider says, or why it says nothing."""
    if one.remote is None:
        said = one.problem or (one.batch.remote_status if one.batch.remote else one.batch.note)
        return f"; {said}" if said else ""
    remote = one.remote
    failed = f", {remote.failed:,} failed" if remote.failed else ""
    return f" as {remote.id}: {remote.status}, {remote.completed:,} of {remote.total:,} answered{failed}"


def _outcome(batch: BatchRow) -> str:
    if not batch.stage.ended:
        return ""
    named = (
        (batch.answered, "answered"),
        (batch.unbilled, "unbilled"),
        (batch.unknown, "unknown"),
    )
    said = ", ".join(f"{count:,} {name}" for count, name in named if count)
    return f": {said}" if said else ""


def _span(seconds: float) -> str:
    if seconds < 0:
        return f"-{_span(-seconds)}"
    minutes = int(seconds // 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


# --- collect ----------------------------------------------------------------------------------


def _show_gathered(result: Gathered, workspace: Workspace, *, as_json: bool) -> int:
    for problem in result.problems:
        warn(problem)
    if as_json:
        from expand.batch.batch_results import gathered_json  # start-up time

        print_json(gathered_json(result))
    else:
        _print_gathered(result, workspace)
    return result.exit_code


def _print_gathered(result: Gathered, workspace: Workspace) -> None:
    if result.drafted is not None:
        from expand.cli.run_output import show_result  # start-up time

        show_result(result.drafted, workspace)
    for one in result.batches:
        batch = one.batch
        if not batch.stage.ended:
            status = one.remote.status if one.remote else "not seen"
            print(f"{batch.id}: {status}; collect again when it has ended")
            continue
        print(f"{batch.id}: {batch.remote_status}{_outcome(batch)}")
        for reason in one.reasons:
            print(f"  {reason}")
    if not result.batches:
        print("no batch is in flight")
    if result.missing:
        where = ", ".join(f"{chapter}/{number}" for chapter, number in result.missing[:12])
        more = f" and {len(result.missing) - 12:,} more" if len(result.missing) > 12 else ""
        print(f"{len(result.missing):,} sections still lack answers: {where}{more}")
        print("`expand chapter --all --batch submit` asks for the rest in a batch, `expand chapter --all` live")


def _at(batch: BatchRow) -> str:
    return f" ({batch.remote})" if batch.remote else ""
