"""``expand outline check`` and ``expand outline schema``."""

from pathlib import Path
from typing import Annotated

import typer

from expand.cli import options
from expand.cli.options import require_choice
from expand.cli.output import counted, print_json, print_text
from expand.doctor.outline_check import as_github, as_json, check_outlines
from expand.errors import InputErrors
from expand.outline.reading import BOOK, BRIEF, MEMORY, OUTLINE
from expand.settings import SETTINGS
from expand.workspace import Workspace


def check(
    place: Workspace,
    chapters: options.SomeChapters = None,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="text, json or github.")] = "text",
    output: options.Output = None,
) -> None:
    """Check settings, book and outlines; list mistakes by line.

    github are annotations for a pull request, which name files from the current folder. With a mistake in any file the
    exit code is 2, whatever the format."""
    require_choice("--format", form, ("text", "json", "github"))
    asked = tuple(chapters or place.chapter_ids())
    found = check_outlines(place, asked)
    here = Path.cwd().resolve()
    if form == "json":
        print_json(as_json(found), output)
    elif form == "github":
        print_text(as_github(found.findings, place, here), output)
    else:
        warnings = [f"{one}\n" for one in found.findings if one.level == "warning"]
        some = 0 < found.read < len(asked)
        read = f"{found.read:,} of {counted(len(asked), 'outline')}" if some else counted(len(asked), "outline")
        count = f"{read} read, {counted(found.warnings, 'warning')}\n"
        print_text("".join(warnings) + (count if some or not found.errors else ""), output)
    if found.errors:
        raise InputErrors(found.errors)


def schema(
    book: Annotated[bool, typer.Option("--book", help="The schema of outlines/book.yaml instead.")] = False,
    brief: Annotated[bool, typer.Option("--brief", help="The schema of briefs/<chapter>.yaml instead.")] = False,
    memory: Annotated[bool, typer.Option("--memory", help="The schema of memory/<chapter>.yaml instead.")] = False,
    settings: Annotated[bool, typer.Option("--settings", help="The schema of expand.toml instead.")] = False,
) -> None:
    """Print the JSON Schema of an outline, for editors."""
    print_json((SETTINGS if settings else BOOK if book else BRIEF if brief else MEMORY if memory else OUTLINE).schema)
