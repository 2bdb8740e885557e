"""Options, settings and output that the commands share."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from expand.cli.encoding import is_unicode
from expand.cli.verbosity import WorkspaceOption, note, warn
from expand.errors import ExpandError, InputError
from expand.schema import Json
from expand.settings import Overrides, Settings, read_settings
from expand.workspace import Workspace, find_workspace, write_atomically

__all__ = [
    "BaseUrlOption",
    "BudgetOption",
    "ChaptersArgument",
    "JsonOption",
    "LanguageOption",
    "ModelOption",
    "OutputOption",
    "WorkspaceOption",
    "complete_chapter",
    "note",
    "print_json",
    "print_text",
    "require_choice",
    "settings_of",
    "warn",
    "workspace_of",
]


def complete_chapter(context: typer.Context, incomplete: str) -> list[str]:
    """The workspace's chapter ids that begin with ``incomplete``, for shell completion; never an error."""
    parent = context.parent.params if context.parent is not None else {}
    given = context.params.get("workspace") or parent.get("workspace")
    try:
        workspace = find_workspace(Path.cwd(), given=Path(given) if given else None)
    except ExpandError:
        return []
    return [chapter for chapter in workspace.chapter_ids() if chapter.startswith(incomplete)]


ModelOption = Annotated[str | None, typer.Option("--model", help="The author model; `embedded` is the local one.")]
BaseUrlOption = Annotated[str | None, typer.Option("--base-url", help="An OpenAI-compatible API to use.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
OutputOption = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to a file.")]
BudgetOption = Annotated[
    int | None, typer.Option("--budget", metavar="TOKENS", min=0, help="Spend at most this many tokens in this run.")
]
LanguageOption = Annotated[
    str | None, typer.Option("--language", help="One of the book's languages, such as en or zh.")
]

ChaptersArgument = Annotated[
    list[str], typer.Argument(metavar="ID...", help="Chapters.", autocompletion=complete_chapter)
]


def workspace_of(context: typer.Context, given: Path | None) -> Workspace:
    """The workspace that the command line names, else the one around the current folder. Raises ``InputError``."""
    return find_workspace(Path.cwd(), given=given or context.obj)


def require_choice(option: str, given: str | None, *choices: str) -> None:
    """Refuses a value that an option cannot have, naming the option as it was typed. Raises ``InputError``."""
    if given is not None and given not in choices:
        raise InputError(f"{option} is {given!r}", remedy=f"give {' or '.join(choices)}")


def settings_of(
    workspace: Workspace,
    *,
    model: str | None = None,
    base_url: str | None = None,
    concurrency: int | None = None,
    on_unknown: str | None = None,
) -> Settings:
    """The workspace's settings, overridden by the command line's. Raises ``InputError``."""
    require_choice("--on-unknown", on_unknown, "retry", "hold")
    return read_settings(
        workspace.settings_path,
        environment=os.environ,
        overrides=Overrides(model=model, base_url=base_url, concurrency=concurrency, on_unknown=on_unknown),
    )


def print_json(value: Mapping[str, Json], output: Path | None = None) -> None:
    """Prints one JSON object on stdout, or writes it to a file.

    A stdout that cannot show every character gets them escaped, so that a script loses none.
    """
    escaped = output is None and not is_unicode(sys.stdout)
    print_text(json.dumps(value, ensure_ascii=escaped, indent=2) + "\n", output)


def print_text(text: str, output: Path | None = None) -> None:
    """Prints a text on stdout, or writes it to a file and names the file on stderr."""
    if output is None:
        sys.stdout.write(text)
        return
    write_atomically(output, text)
    note(f"{output} written")
