"""``expand outline import``: outlines from documents, and from what the author model proposes."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from expand.budget import usd_from_pico
from expand.cli import options
from expand.cli.common import print_json, settings_of, workspace_of
from expand.cli.output import write_data
from expand.cli.run_command import note_author, stop_on_signals
from expand.cli.verbosity import counted, warn
from expand.client.client import BudgetedClient
from expand.doctor.environment import shell_command
from expand.drafting.events import Event, Notice
from expand.errors import InputError
from expand.importers import DEFAULT_LINES, KINDS, ImportRequest, ImportResult, WrittenOutline, import_document
from expand.importers.suggest import MAX_REQUESTS, SuggestRequest, suggest
from expand.importers.suggest import dry_run as plan_suggestion
from expand.ledger import Order
from expand.schema import Json
from expand.schema.validators import suggestion
from expand.settings import Overrides, Settings
from expand.workspace import Workspace

MAX_ROWS = 12
"""Table rows that are named one by one when they were not imported."""


def import_(
    context: typer.Context,
    document: Annotated[
        str,
        typer.Argument(
            metavar="DOCUMENT", help="A plan, a SUMMARY.md, or any document; with --suggest also a title or an id."
        ),
    ],
    suggested: Annotated[
        bool, typer.Option("--suggest", help="Have the author model propose the sections of a chapter.")
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
        list[str] | None, typer.Option("--chapter", metavar="ID", help="Only this chapter of it; repeatable.")
    ] = None,
    new_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="With --suggest: the id of a new chapter.")
    ] = None,
    lines: Annotated[
        int | None, typer.Option("--lines", min=25, help="Lines of a chapter that states none (600).")
    ] = None,
    language: options.Language = None,
    force: Annotated[
        bool, typer.Option("--force", help="Change outlines that are there; comments and order stay.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the outlines; write and send nothing.")] = False,
    model: options.Model = None,
    base_url: options.BaseUrl = None,
    budget: Annotated[
        int | None,
        typer.Option("--budget", metavar="TOKENS", min=0, help="With --suggest: the most that it may spend."),
    ] = None,
    on_unknown: Annotated[
        str | None,
        typer.Option("--on-unknown", help="With --suggest: retry, or hold, to leave unknown outcomes alone."),
    ] = None,
    unpriced: Annotated[
        bool,
        typer.Option("--unpriced", help="With --suggest, under a limit in money: let a model without a price pass."),
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="With --suggest: ask anew, whatever is stored.")] = False,
    as_json: options.Json = False,
    workspace: options.Workspace = None,
) -> None:
    """Make outlines from a plan, a SUMMARY.md or a document's headings.

    With --suggest the author model proposes the sections, under the same budget and ledger."""
    opened = workspace_of(context, workspace)
    if suggested:
        _refuse_together({"--from": kind != "auto", "--chapter": bool(chapter)}, "with --suggest")
        settings = settings_of(opened, Overrides(model=model, base_url=base_url, on_unknown=on_unknown))
        request = SuggestRequest(
            target=document,
            id=new_id,
            lines=lines,
            language=language,
            force=force,
            fresh=fresh,
            budget_tokens=budget,
            unpriced=unpriced,
        )
        if dry_run:
            _show_order(plan_suggestion(opened, settings, request), as_json=as_json)
            return
        raise typer.Exit(_suggest(opened, settings, request, as_json=as_json))
    only_with_suggest = {
        "--id": new_id,
        "--model": model,
        "--base-url": base_url,
        "--budget": budget,
        "--on-unknown": on_unknown,
        "--unpriced": unpriced or None,
        "--fresh": fresh or None,
    }
    _refuse_together({name: given is not None for name, given in only_with_suggest.items()}, "without --suggest")
    known = next((name for name in KINDS if name == kind), None)
    if known is None:
        raise InputError(f"--from is {kind!r}", remedy=suggestion(kind, KINDS))
    result = import_document(
        opened,
        Path(document),
        ImportRequest(
            kind=known,
            chapters=tuple(chapter or ()),
            language=language,
            lines=lines or DEFAULT_LINES,
            force=force,
            dry_run=dry_run,
        ),
    )
    if as_json:
        print_json(
            {
                "read_as": result.kind,
                "dry_run": dry_run,
                "outlines": [_outline_json(opened, outline) for outline in result.outlines],
                "left_alone": dict(result.unplanned),
                "rows_left": [{"line": row.line, "text": row.text} for row in result.skipped_rows],
                "added_to_book": list(result.added_to_book),
            }
        )
    else:
        _show_import(opened, result, dry_run=dry_run)


def _refuse_together(given: Mapping[str, bool], how: str) -> None:
    """Refuses options that have no effect."""
    for name, is_given in given.items():
        if is_given:
            raise InputError(f"{name} has no effect {how}", remedy="leave it out")


def _outline_json(workspace: Workspace, outline: WrittenOutline) -> dict[str, Json]:
    return {
        "id": outline.id,
        "title": outline.title,
        "path": workspace.relative(outline.path),
        "source": outline.source,
        "state": outline.state,
        "sections": outline.sections,
        "lines": outline.lines,
        "stated_lines": outline.stated_lines,
        "dropped_sections": list(outline.dropped),
    }


def _show_outlines(workspace: Workspace, outlines: Sequence[WrittenOutline], *, dry_run: bool = False) -> None:
    """A line for each outline on stdout, the sections that it loses on stderr; in a dry run its text."""
    for outline in outlines:
        path = workspace.relative(outline.path)
        state = {"new": "written", "changed": "changed", "same": "unchanged"}[outline.state]
        prefix = "would be " if dry_run and outline.state != "same" else ""
        differs = outline.stated_lines not in (None, outline.lines)
        stated = f" ({outline.stated_lines:,} stated)" if differs else ""
        summary = f"{path}: {prefix}{state}, {counted(outline.sections, 'section')}, {outline.lines:,} lines{stated}"
        if dry_run:
            warn(summary)
            write_data(outline.text)
        else:
            typer.echo(summary)
        for title in outline.dropped:
            warn(f"{path}: section {title!r} is not in the document and was removed")


def _show_import(workspace: Workspace, result: ImportResult, *, dry_run: bool) -> None:
    """The outlines, what was left out of them, and what to do next."""
    _show_outlines(workspace, result.outlines, dry_run=dry_run)
    if result.unplanned:
        names = ", ".join(f"{chapter} {title}" for chapter, title in result.unplanned.items())
        warn(f"not imported, because no lines are planned for them: {names}")
    rows = result.skipped_rows
    for row in rows[:MAX_ROWS]:
        warn(f"line {row.line}: not imported, because no sections are planned for it: {row.text}")
    if len(rows) > MAX_ROWS:
        warn(f"the rows in lines {', '.join(str(row.line) for row in rows[MAX_ROWS:])} were not imported either")
    if not dry_run:
        _show_added(result.added_to_book)
        name = shell_command().name
        typer.echo(f"next: {name} outline check, then {name} chapter {result.outlines[0].id} --dry-run")


def _show_added(chapters: Sequence[str]) -> None:
    if chapters:
        typer.echo(f"added to outlines/book.yaml: {', '.join(chapters)}")


def _show_order(order: Order, *, as_json: bool) -> None:
    """The request that would be sent, and what it would reserve."""
    pico = order.amount.pico_usd
    cost = None if pico is None else str(usd_from_pico(pico))
    if as_json:
        print_json(
            {
                "dry_run": True,
                "chapter": order.address.chapter,
                "language": order.language,
                "model": order.request.model,
                "requests_at_most": MAX_REQUESTS,
                "prompt_tokens": order.prompt_tokens,
                "reserved_tokens": order.amount.tokens,
                "cost": cost,
                "messages": [{"role": m.role, "content": m.content} for m in order.request.messages],
            }
        )
        return
    for message in order.request.messages:
        write_data(f"{message.content}\n")
    warn(
        f"chapter {order.address.chapter}, {order.request.model}: nothing was sent; a request reserves "
        f"{order.amount.tokens:,} tokens ({order.prompt_tokens:,} of them for the prompt), at most "
        f"{cost + ' USD' if cost else 'no price known'}; {MAX_REQUESTS} requests at most"
    )


def _suggest(workspace: Workspace, settings: Settings, request: SuggestRequest, *, as_json: bool) -> int:
    """Buys a proposal, writes the outline and shows both. Returns the exit code."""
    note_author(settings)
    result = asyncio.run(suggest(workspace, settings, request, on_event=_show_event, on_ready=_on_ready))
    if result.stopped_by:
        warn(("the budget refused: " if result.exit_code == 3 else "") + result.stopped_by)
    outlines = [result.outline] if result.outline else []
    if as_json:
        print_json(
            {
                "read_as": "suggestion",
                "dry_run": False,
                "outlines": [_outline_json(workspace, outline) for outline in outlines],
                "left_alone": {},
                "added_to_book": list(result.added_to_book),
                **result.as_json(),
            }
        )
        return result.exit_code
    _show_outlines(workspace, outlines)
    chapter, balance = result.target.id, result.balance
    for finding in result.findings:
        warn(f"outlines/{chapter}.yaml: {finding}")
    _show_added(result.added_to_book)
    limit = f" of {balance.limit.tokens:,}" if balance.limit.tokens is not None else ""
    typer.echo(
        f"{counted(result.attempts, 'attempt')}, {counted(result.answers, 'answer')}, {result.usage.total:,} tokens; "
        f"budget: {balance.used_tokens:,}{limit} tokens used"
    )
    if result.outline:
        typer.echo(f"next: look at outlines/{chapter}.yaml, then {shell_command().name} chapter {chapter} --dry-run")
    return result.exit_code


def _show_event(event: Event) -> None:
    if isinstance(event, Notice):
        warn(event.message)


def _on_ready(client: BudgetedClient) -> None:
    stop_on_signals(lambda _: client.stop())
