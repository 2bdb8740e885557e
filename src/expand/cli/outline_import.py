"""``expand outline import``: outlines from documents, and from what the author model proposes."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from expand.cli import options
from expand.cli.options import require_choice
from expand.cli.output import counted, note, print_json, warn, write_data
from expand.cli.run_command import attended, note_author
from expand.cli.run_output import spent, table_text
from expand.doctor import shell_command
from expand.drafting.results import fields_of
from expand.drafting.run_options import RunOptions
from expand.errors import InputError
from expand.importers.import_run import (
    KINDS,
    MAX_NAMED,
    DocumentReading,
    ImportRequest,
    ImportResult,
    read_document,
    write_outlines,
)
from expand.importers.lengths import Length, Unit, lengths_in
from expand.importers.suggest import Suggestion, SuggestResult
from expand.schema import Json
from expand.workspace import Workspace


class Reading(NamedTuple):
    """How a document is read; of no effect with ``--suggest``."""

    kind: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="KIND",
            help="plan (chapters with sections and lengths), summary (mdBook), headings (the "
            "document is the chapter), or auto.",
        ),
    ] = "auto"
    page: Annotated[
        str | None,
        typer.Option("--page", metavar="LENGTH", help="What a page of a plan comes to, such as '300 words'."),
    ] = None
    minute: Annotated[
        str | None, typer.Option("--minute", metavar="LENGTH", help="What a minute comes to, such as '130 words'.")
    ] = None


class Writing(NamedTuple):
    """What outlines are made, named as in ``ImportRequest``."""

    id: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="ID",
            help="Which of several chapters to take; else the id of the only one, new or the book's.",
        ),
    ] = None
    lines: Annotated[int | None, typer.Option("--lines", min=25, help="Lines of a chapter that states none (600).")] = (
        None
    )
    language: options.Language = None
    force: Annotated[bool, typer.Option("--force", help="Change outlines that are there; comments and order stay.")] = (
        False
    )
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the outlines; write nothing.")] = False


def import_(
    opened: Workspace,
    document: Annotated[
        str,
        typer.Argument(
            metavar="DOCUMENT", help="A plan, a SUMMARY.md, or any document; with --suggest a title or an id."
        ),
    ],
    suggested: Annotated[
        bool, typer.Option("--suggest", help="Have the author model propose the sections of a chapter.")
    ] = False,
    *,
    reading: Reading,
    writing: Writing,
    buying: options.Buying,
    fresh: Annotated[bool, typer.Option("--fresh", help="With --suggest: ask anew, whatever is stored.")] = False,
    as_json: options.Json = False,
) -> None:
    """Make outlines from a plan, a SUMMARY.md or a document's headings.

    What was understood is shown before anything is written. With --suggest the author model proposes the sections,
    under the same budget and ledger."""
    request = ImportRequest(
        kind=require_choice("--from", reading.kind, KINDS), per=dict(_per(reading)), **writing._asdict()
    )
    if not suggested:
        _import(opened, Path(document), request, as_json=as_json)
        return
    if request.dry_run:
        raise InputError("--dry-run shows what a document says, not what a model will", remedy="leave it out")
    run_options = RunOptions(**buying._asdict(), fresh=fresh)
    settings = run_options.settings(opened)
    suggestion = Suggestion(opened, document, request, run_options)
    note_author(settings)
    result = attended(suggestion.buy, settings)
    _show_suggestion(opened, result, as_json=as_json)
    raise typer.Exit(result.exit_code)


def _per(reading: Reading) -> Iterator[tuple[Unit, Length]]:
    """What a page and a minute come to."""
    given: tuple[tuple[Unit, str | None], ...] = (("pages", reading.page), ("minutes", reading.minute))
    for unit, text in given:
        length = next(iter(lengths_in(text or "")), None)
        if text is not None and (length is None or length.unit not in ("lines", "words", "characters")):
            option = f"--{unit.removesuffix('s')}"
            raise InputError(f"{option} is {text!r}", remedy="give lines, words or characters, such as '300 words'")
        if length is not None:
            yield unit, length


def _import(workspace: Workspace, document: Path, request: ImportRequest, *, as_json: bool) -> None:
    """Shows what a document says, then writes its outlines."""
    reading = read_document(workspace, document, request)
    if not as_json:
        _show_reading(reading)
    result = write_outlines(reading, request)
    if as_json:
        _print_json(
            workspace,
            reading.kind,
            result,
            dry_run=request.dry_run,
            understood=list(_entries(reading)),
            left_alone=dict(reading.plan.unplanned),
            lines_left=[fields_of(one, "line text") for one in reading.plan.left],
        )
        return
    _show_outlines(workspace, result, "plan" if reading.kind == "plan" else "document", dry_run=request.dry_run)
    if not request.dry_run:
        name = shell_command().name
        typer.echo(f"next: {name} outline check, then {name} chapter {result.outlines[0].id} --dry-run")


def _entries(reading: DocumentReading) -> Iterator[dict[str, Json]]:
    """The chapters and their sections, each with its line in the document; a length is null where none is stated."""
    for proposal in reading.plan.chapters:
        entries = [(proposal.line, 0, proposal.title, proposal.target, len(proposal.sections))]
        entries += [(s.line, n, s.title, s.length, len(s.topics)) for n, s in enumerate(proposal.sections, 1)]
        for line, section, title, length, below in entries:
            row: dict[str, Json] = {"line": line, "chapter": proposal.id, "section": section, "title": title}
            yield row | {"length": str(length) if length else None, "below": below}


def _show_reading(reading: DocumentReading) -> None:
    """What was understood, as a table, and what was not, by line: on stderr, as nothing may be written yet."""
    what = {"plan": "a plan", "summary": "a list of chapters"}.get(reading.kind, "the chapter itself, by its headings")
    other = "; if it is a plan, take --from plan" if reading.kind == "headings" else ""
    note(f"{reading.document.name} is read as {what}{other}")
    if reading.kind == "plan":
        heads, rows = ("line", "chapter", "section", "title", "length", "topics"), []
        for row in _entries(reading):
            chapter, section, below = ("", row["section"], row["below"]) if row["section"] else (row["chapter"], "", "")
            length = row["length"] or ("shared out" if section else "")
            rows.append([*map(str, (row["line"] or "", chapter, section, row["title"], length, below))])
        table = table_text(heads, rows, words=("chapter", "title", "length"), stream=sys.stderr)
        print(table, file=sys.stderr)
    if reading.plan.unplanned:
        names = ", ".join(f"{chapter} {title}" for chapter, title in reading.plan.unplanned.items())
        warn(f"not imported, because no length is planned for them: {names}")
    for one in reading.plan.left[:MAX_NAMED]:
        warn(f"line {one.line}: not understood as part of a chapter: {one.text}")
    if reading.plan.left[MAX_NAMED:]:
        warn(f"nor were lines {', '.join(str(one.line) for one in reading.plan.left[MAX_NAMED:])}")


def _print_json(workspace: Workspace, kind: str, result: ImportResult | None, **more: Json) -> None:
    """The outlines and what became of the book, and ``more``."""
    outlines: list[Json] = [
        {
            **fields_of(outline, "id title source state sections lines"),
            "path": workspace.relative(outline.path),
            "length": str(outline.length),
            "stated_length": str(outline.stated) if outline.stated else None,
            "dropped_sections": list(outline.dropped),
        }
        for outline in (result.outlines if result else ())
    ]
    book = {key: list(getattr(result, key)) for key in ("added_to_book", "reopened") if result}
    print_json({"read_as": kind, "outlines": outlines, **book, **more})


def _show_outlines(workspace: Workspace, result: ImportResult, origin: str, *, dry_run: bool = False) -> None:
    """A line for each outline on stdout, the sections that it loses on stderr, as they are not in the ``origin``; in a
    dry run its text. Then what became of the book."""
    for outline in result.outlines:
        path = workspace.relative(outline.path)
        state = {"new": "written", "changed": "changed", "same": "unchanged"}[outline.state]
        prefix = "would be " if dry_run and outline.state != "same" else ""
        stated = f" ({outline.stated} stated)" if outline.stated not in (None, outline.length) else ""
        summary = f"{path}: {prefix}{state}, {counted(outline.sections, 'section')}, {outline.length}{stated}"
        if dry_run:
            warn(summary)
            write_data(outline.text)
        else:
            typer.echo(summary)
        for title in outline.dropped:
            went = "would be" if dry_run else "was"
            warn(f"{path}: section {title!r} is not in the {origin} and {went} removed")
    if result.added_to_book and not dry_run:
        typer.echo(f"added to outlines/book.yaml: {', '.join(result.added_to_book)}")
    if result.reopened and not dry_run:
        reopened = ", ".join(result.reopened)
        typer.echo(f"outlines/book.yaml: removed what differs from the outlines (finished, target_lines): {reopened}")


def _show_suggestion(workspace: Workspace, result: SuggestResult, *, as_json: bool) -> None:
    """The outline that was proposed, what is wrong with it, and what it cost."""
    if result.stopped_by:
        warn(("the budget refused: " if result.exit_code == 3 else "") + str(result.stopped_by))
    if as_json:
        _print_json(workspace, "suggestion", result.written, **result.as_json())
        return
    if result.written:
        _show_outlines(workspace, result.written, "proposal")
    chapter = result.written.outlines[0].id if result.written else ""
    for finding in result.findings:
        warn(f"outlines/{chapter}.yaml: {finding}")
    usage = result.usage
    typer.echo(spent(usage.attempts, usage.answers, f"{usage.usage.total:,} tokens", result.balance))
    if chapter:
        typer.echo(f"next: look at outlines/{chapter}.yaml, then {shell_command().name} chapter {chapter} --dry-run")
