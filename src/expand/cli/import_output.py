"""``expand outline import --suggest`` in a terminal: what goes on, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from expand.cli.common import print_json, warn

# Outlines that were taken in, as people and as scripts read them.

if TYPE_CHECKING:
    from expand.drafting.run_options import RunOptions
    from expand.importers import Intake, WrittenOutline
    from expand.schema import Json
    from expand.workspace import Workspace

MOST_ROWS = 12


def taken_as_json(workspace: Workspace, one: WrittenOutline) -> dict[str, Json]:
    """An outline that was taken in, as scripts read it."""
    return {
        "id": one.id,
        "title": one.title,
        "path": workspace.relative(one.path),
        "source": one.source,
        "state": one.state,
        "sections": one.sections,
        "lines": one.lines,
        "stated_lines": one.stated_lines,
        "dropped_sections": list(one.dropped),
    }


def show_taken(workspace: Workspace, taken: Sequence[WrittenOutline], *, dry_run: bool) -> None:
    """A line for each outline on stdout, what it loses on stderr; in a dry run its text."""
    words = {"new": "written", "changed": "changed", "same": "says this already"}
    for one in taken:
        stated = one.stated_lines
        gap = f" ({stated:,} stated)" if stated not in (None, one.lines) else ""
        said = "would be " if dry_run and one.state != "same" else ""
        summary = (
            f"{workspace.relative(one.path)}: {said}{words[one.state]}, {one.sections} "
            f"section{'s' if one.sections != 1 else ''}, {one.lines:,} lines{gap}"
        )
        if dry_run:
            warn(summary)
            typer.echo(one.text, nl=False)
        else:
            typer.echo(summary)
        for title in one.dropped:
            warn(f"{workspace.relative(one.path)}: section {title!r} is not in the document: out")


def show_intake(workspace: Workspace, intake: Intake, *, dry_run: bool) -> None:
    """The outlines, what was left out of them, and what to do next."""
    show_taken(workspace, intake.outlines, dry_run=dry_run)
    if intake.left:
        named = ", ".join(f"{chapter} {title}" for chapter, title in intake.left.items())
        warn(f"no lines are planned for {named}: left alone")
    for row in intake.rows[:MOST_ROWS]:
        warn(f"line {row.line}: not taken, as no sections are planned for it: {row.text}")
    if len(intake.rows) > MOST_ROWS:
        more = ", ".join(str(row.line) for row in intake.rows[MOST_ROWS:])
        warn(f"nor were the rows in lines {more}")
    if intake.booked and not dry_run:
        typer.echo(f"added to outlines/book.yaml: {', '.join(intake.booked)}")
    if not dry_run:
        from expand.doctor.environment import shell_command  # start-up time

        name, first = shell_command().name, intake.outlines[0].id
        typer.echo(f"next: {name} outline check, then {name} chapter {first} --dry-run")


if TYPE_CHECKING:
    from expand.client.client import BudgetedClient, Event
    from expand.drafting.run_options import RunOptions
    from expand.importers.suggest import Suggested, SuggestRequest
    from expand.settings import Settings
    from expand.workspace import Workspace


def show_rehearsed(workspace: Workspace, settings: Settings, request: SuggestRequest, *, as_json: bool) -> None:
    """What would be sent and reserved."""
    from expand.budget import usd_from_pico  # start-up time
    from expand.importers.suggest import rehearse

    order, most = rehearse(workspace, settings, request)
    pico = order.amount.pico_usd
    cost = None if pico is None else str(usd_from_pico(pico))
    if as_json:
        print_json(
            {
                "dry_run": True,
                "chapter": order.address.chapter,
                "language": order.language,
                "model": order.request.model,
                "requests_at_most": most,
                "prompt_tokens": order.prompt_tokens,
                "reserved_tokens": order.amount.tokens,
                "cost": cost,
                "messages": [{"role": m.role, "content": m.content} for m in order.request.messages],
            }
        )
        return
    for message in order.request.messages:
        typer.echo(message.content)
    warn(
        f"chapter {order.address.chapter}, {order.request.model}: nothing was sent; a request "
        f"reserves {order.amount.tokens:,} tokens ({order.prompt_tokens:,} of prompt), at most "
        f"{cost + ' USD' if cost else 'no price known'}; {most} requests at most"
    )


def show_suggested(
    workspace: Workspace,
    settings: Settings,
    request: SuggestRequest,
    options: RunOptions,
    *,
    as_json: bool,
) -> int:
    """Has sections proposed and says what came of it. Returns the exit code."""
    import asyncio  # start-up time

    if settings.embedded:
        warn(
            f"the embedded local model proposes ({settings.model}: English, small, for trying "
            "out); set OPENAI_API_KEY or give --base-url for another"
        )
    result = asyncio.run(_run(workspace, settings, request, options))
    if result.stopped_by:
        warn(("the budget refused: " if result.exit_code == 3 else "") + result.stopped_by)
    taken = [result.taken] if result.taken else []
    if as_json:
        print_json(
            {
                "read_as": "suggestion",
                "dry_run": False,
                "outlines": [taken_as_json(workspace, one) for one in taken],
                "left_alone": {},
                "added_to_book": list(result.booked),
                **result.as_json(),
            }
        )
    else:
        show_taken(workspace, taken, dry_run=False)
        _show(result)
    return result.exit_code


def _show(result: Suggested) -> None:
    for finding in result.findings:
        warn(f"outlines/{result.subject.id}.yaml: {finding}")
    if result.booked:
        typer.echo(f"added to outlines/book.yaml: {', '.join(result.booked)}")
    balance = result.balance
    limit = f" of {balance.limit.tokens:,}" if balance.limit.tokens is not None else ""
    typer.echo(
        f"{result.attempts} attempts, {result.answers} answers, {result.usage.total:,} tokens; "
        f"budget: {balance.used_tokens:,}{limit} tokens used"
    )
    if result.taken:
        from expand.doctor.environment import shell_command  # start-up time

        name, chapter = shell_command().name, result.subject.id
        typer.echo(f"next: look at outlines/{chapter}.yaml, then {name} chapter {chapter} --dry-run")


async def _run(
    workspace: Workspace,
    settings: Settings,
    request: SuggestRequest,
    options: RunOptions,
) -> Suggested:
    import asyncio  # start-up time
    import signal

    from expand.importers.suggest import suggest

    def stop_on_signals(purchase: BudgetedClient) -> None:
        running = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            running.add_signal_handler(number, _stop, purchase)

    return await suggest(
        workspace,
        settings,
        request,
        options,
        on_event=_tell,
        on_ready=stop_on_signals,
    )


def _tell(event: Event) -> None:
    if event.kind in ("waiting", "failed") and event.message and not event.final:
        warn(f"{event.order.address.chapter}: {event.message}")


def _stop(purchase: BudgetedClient) -> None:
    warn("stopping: what is in flight arrives first; once more leaves it unknown")
    purchase.stop()
