"""``expand outline``: check outlines, print their JSON Schema."""

from __future__ import annotations

from typing import Annotated

import typer

from expand.cli.common import WorkspaceOption, print_json, workspace_of

app = typer.Typer(help="Check outlines; print their JSON Schema.", no_args_is_help=True, rich_markup_mode=None)


@app.command("check")
def check(
    context: typer.Context,
    chapters: Annotated[
        list[str] | None, typer.Argument(metavar="[ID...]", help="Chapters; all if none is named.")
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Read the book and its outlines; name every mistake by file, line and column."""
    from expand.errors import InputError, InputErrors  # start-up time
    from expand.outline_lint import lint

    place = workspace_of(context, workspace)
    ids = tuple(chapters or place.chapter_ids())
    errors: list[InputError] = []
    book = None
    try:
        book = place.book()
    except InputError as error:
        errors.append(error)
    checked = warnings = 0
    for chapter in ids:
        try:
            outline = place.outline(chapter)
        except InputError as error:
            errors.append(error)
            continue
        checked += 1
        if book is not None:
            for warning in lint(outline, book, place.outline_path(chapter), root=place.root):
                warnings += 1
                typer.echo(str(warning))
    if errors:
        raise InputErrors(errors)
    typer.echo(f"{checked} outlines read, {warnings} warnings")


@app.command("schema")
def schema(
    book: Annotated[
        bool, typer.Option("--book", help="The schema of outlines/book.yaml instead.")
    ] = False,
) -> None:
    """Print the JSON Schema of an outline, for editors."""
    from expand.outline_shape import book_schema, outline_schema  # start-up time

    print_json(book_schema() if book else outline_schema())
