"""``expand outline import``: outlines from documents, and from what the author model proposes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from expand.budget import usd_from_pico
from expand.cli.common import (
    BaseUrlOption,
    LanguageOption,
    ModelOption,
    WorkspaceOption,
    print_json,
    settings_of,
    workspace_of,
)
from expand.cli.verbosity import warn
from expand.client.client import BudgetedClient, Event
from expand.doctor.environment import shell_command
from expand.errors import InputError
from expand.importers import DEFAULT_LINES, KINDS, ImportRequest, Intake, WrittenOutline, take_in
from expand.importers.suggest import Suggested, SuggestRequest, rehearse, suggest
from expand.schema import Json
from expand.schema.validators import suggestion
from expand.settings import Settings
from expand.workspace import Workspace


def import_(
    context: typer.Context,
    document: Annotated[
        str,
        typer.Argument(
            metavar="DOCUMENT",
            help="A plan, a SUMMARY.md, or any document; with --suggest also a title or an id.",
        ),
    ],
    suggested: Annotated[
        bool,
        typer.Option("--suggest", help="Have the author model propose the sections of a chapter."),
    ] = False,
    kind: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="KIND",
            help="plan (chapters with sections and lines), summary (mdBook), headings (the "
            "document is the chapter), or auto.",
        ),
    ] = "auto",
    chapter: Annotated[
        list[str] | None,
        typer.Option("--chapter", metavar="ID", help="Only this chapter of it; repeatable."),
    ] = None,
    new_id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="With --suggest: the id of a new chapter."),
    ] = None,
    lines: Annotated[
        int | None,
        typer.Option("--lines", min=25, help="Lines of a chapter that states none (600)."),
    ] = None,
    language: LanguageOption = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Change outlines that are there; comments and order stay."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the outlines; write and send nothing.")] = False,
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    budget: Annotated[
        int | None,
        typer.Option("--budget", metavar="TOKENS", min=0, help="With --suggest: the most that it may spend."),
    ] = None,
    on_unknown: Annotated[
        str | None,
        typer.Option(
            "--on-unknown",
            help="With --suggest: retry, or hold, to leave unknown outcomes alone.",
        ),
    ] = None,
    unpriced: Annotated[
        bool,
        typer.Option(
            "--unpriced",
            help="With --suggest, under a limit in money: let a model without a price pass.",
        ),
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="With --suggest: ask anew, whatever is stored.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Make outlines from a plan, from mdBook's SUMMARY.md, or from a document's headings.

    With --suggest the author model proposes the sections, under the same budget and ledger.
    """
    place = workspace_of(context, workspace)
    if suggested:
        _refuse_together({"--from": kind != "auto", "--chapter": bool(chapter)}, "with --suggest")
        settings = settings_of(place, model=model, base_url=base_url, on_unknown=on_unknown)
        request = SuggestRequest(
            subject=document,
            id=new_id,
            lines=lines,
            language=language,
            force=force,
            fresh=fresh,
        )
        if dry_run:
            show_rehearsed(place, settings, request, as_json=as_json)
            return
        raise typer.Exit(show_suggested(place, settings, request, budget=budget, unpriced=unpriced, as_json=as_json))
    _refuse_together(
        {
            "--id": new_id is not None,
            "--model": model is not None,
            "--base-url": base_url is not None,
            "--budget": budget is not None,
            "--on-unknown": on_unknown is not None,
            "--unpriced": unpriced,
            "--fresh": fresh,
        },
        "without --suggest",
    )
    _take_in(
        place,
        Path(document),
        kind=kind,
        chapters=tuple(chapter or ()),
        language=language,
        lines=lines,
        force=force,
        dry_run=dry_run,
        as_json=as_json,
    )


def _refuse_together(given: Mapping[str, bool], how: str) -> None:
    """Refuses options that would do nothing."""

    for name, is_given in given.items():
        if is_given:
            raise InputError(f"{name} says nothing {how}", remedy="leave it out")


def _take_in(
    place: Workspace,
    document: Path,
    *,
    kind: str,
    chapters: tuple[str, ...],
    language: str | None,
    lines: int | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:

    known = next((name for name in KINDS if name == kind), None)
    if known is None:
        raise InputError(f"--from is {kind!r}", remedy=suggestion(kind, KINDS))
    intake = take_in(
        place,
        document,
        ImportRequest(
            kind=known,
            chapters=chapters,
            language=language,
            lines=lines or DEFAULT_LINES,
        ),
        force=force,
        dry_run=dry_run,
    )
    if as_json:
        print_json(
            {
                "read_as": intake.kind,
                "dry_run": dry_run,
                "outlines": [taken_as_json(place, one) for one in intake.outlines],
                "left_alone": dict(intake.left),
                "rows_left": [{"line": row.line, "text": row.text} for row in intake.rows],
                "added_to_book": list(intake.booked),
            }
        )
    else:
        show_intake(place, intake, dry_run=dry_run)


# Outlines that were taken in, as people and as scripts read them.

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
        name, first = shell_command().name, intake.outlines[0].id
        typer.echo(f"next: {name} outline check, then {name} chapter {first} --dry-run")


def show_rehearsed(workspace: Workspace, settings: Settings, request: SuggestRequest, *, as_json: bool) -> None:
    """What would be sent and reserved."""

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
    *,
    budget: int | None,
    unpriced: bool,
    as_json: bool,
) -> int:
    """Has sections proposed and says what came of it. Returns the exit code."""

    if settings.embedded:
        warn(
            f"the embedded local model proposes ({settings.model}: English, small, for trying "
            "out); set OPENAI_API_KEY or give --base-url for another"
        )
    result = asyncio.run(_run(workspace, settings, request, budget=budget, unpriced=unpriced))
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
        name, chapter = shell_command().name, result.subject.id
        typer.echo(f"next: look at outlines/{chapter}.yaml, then {name} chapter {chapter} --dry-run")


async def _run(
    workspace: Workspace,
    settings: Settings,
    request: SuggestRequest,
    *,
    budget: int | None,
    unpriced: bool,
) -> Suggested:

    def stop_on_signals(purchase: BudgetedClient) -> None:
        running = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            running.add_signal_handler(number, _stop, purchase)

    return await suggest(
        workspace,
        settings,
        request,
        budget_tokens=budget,
        unpriced=unpriced,
        on_event=_tell,
        on_ready=stop_on_signals,
    )


def _tell(event: Event) -> None:
    if event.kind in ("waiting", "failed") and event.message and not event.final:
        warn(f"{event.order.address.chapter}: {event.message}")


def _stop(purchase: BudgetedClient) -> None:
    warn("stopping: what is in flight arrives first; once more leaves it unknown")
    purchase.stop()
