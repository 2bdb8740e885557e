"""``expand outline``: check outlines, print their JSON Schema, import them from documents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from expand.cli.common import (
    BaseUrlOption,
    LanguageOption,
    ModelOption,
    WorkspaceOption,
    complete_chapter,
    print_json,
    print_text,
    workspace_of,
)
from expand.cli.lazy_commands import command
from expand.cli.verbosity import counted

if TYPE_CHECKING:
    from expand.workspace import Workspace

app = typer.Typer(
    help="Check outlines, print their JSON Schema, import them from documents.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

CHECK_FORMATS = ("text", "json", "github", "sarif")


@command(app, "check", path="outline check")
def check(
    context: typer.Context,
    chapters: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID...]",
            help="Chapters; all if none is named.",
            autocompletion=complete_chapter,
        ),
    ] = None,
    form: Annotated[
        str,
        typer.Option("--format", metavar="FORMAT", help="text, json, github or sarif."),
    ] = "text",
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to a file.")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Read the book and its outlines; name every mistake by file, line and column.

    github are annotations for a pull request, sarif is for code scanning; both name files from
    the current folder. With a mistake in any file the exit code is 2, whatever the format.
    """
    from expand.doctor.outline_check import as_github, as_json, as_sarif, check_outlines
    from expand.errors import (
        InputError,
        InputErrors,  # start-up time
    )
    from expand.schema.validators import suggestion

    if form not in CHECK_FORMATS:
        raise InputError(f"--format is {form!r}", remedy=suggestion(form, CHECK_FORMATS))
    place = workspace_of(context, workspace)
    found = check_outlines(place, tuple(chapters or place.chapter_ids()))
    here = Path.cwd().resolve()
    if form == "json":
        print_json(as_json(found), output)
    elif form == "sarif":
        print_json(as_sarif(found.findings, place, here), output)
    elif form == "github":
        print_text(as_github(found.findings, place, here), output)
    else:
        warnings = [f"{one}\n" for one in found.findings if one.level == "warning"]
        count = f"{counted(found.read, 'outline')} read, {counted(found.warnings, 'warning')}\n"
        print_text("".join(warnings) + ("" if found.errors else count), output)
    if found.errors:
        raise InputErrors(found.errors)


@command(app, "schema", path="outline schema")
def schema(
    book: Annotated[bool, typer.Option("--book", help="The schema of outlines/book.yaml instead.")] = False,
    settings: Annotated[bool, typer.Option("--settings", help="The schema of expand.toml instead.")] = False,
) -> None:
    """Print the JSON Schema of an outline, for editors."""
    from expand.outline.schema import (
        book_schema,
        outline_schema,  # start-up time
    )

    if settings:
        from expand.settings import settings_schema

        print_json(settings_schema())
    else:
        print_json(book_schema() if book else outline_schema())


@command(app, "import", path="outline import")
def import_(
    context: typer.Context,
    document: Annotated[
        str,
        typer.Argument(
            metavar="DOCUMENT",
            help="A plan, a SUMMARY.md, or any document; with --suggest also a title or an id.",
        ),
    ],
    suggest: Annotated[
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
    if suggest:
        from expand.cli.import_output import show_rehearsed, show_suggested
        from expand.drafting.run_options import RunOptions
        from expand.importers.suggest import SuggestRequest

        _refuse_together({"--from": kind != "auto", "--chapter": bool(chapter)}, "with --suggest")
        options = RunOptions.given(
            model=model, base_url=base_url, on_unknown=on_unknown, budget=budget, unpriced=unpriced
        )
        settings = options.settings(place)
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
        raise typer.Exit(show_suggested(place, settings, request, options, as_json=as_json))
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
    from expand.errors import InputError  # start-up time

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
    from expand.cli.import_output import (
        show_intake,
        taken_as_json,  # start-up time
    )
    from expand.errors import InputError
    from expand.importers import DEFAULT_LINES, KINDS, ImportRequest, take_in
    from expand.schema.validators import suggestion

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
