"""What the commands share: options, the workspace they mean, and how results are printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expand.cli.encoding import is_unicode
from expand.cli.verbosity import Verbosity, verbosity

if TYPE_CHECKING:
    from expand.schema import Json
    from expand.settings import Settings
    from expand.workspace import Workspace


def complete_chapter(context: typer.Context, incomplete: str) -> list[str]:
    """The ids of the workspace's chapters that begin so, for shell completion; never an error."""
    from expand.errors import ExpandError  # start-up time
    from expand.workspace import find_workspace

    above = context.parent.params if context.parent is not None else {}
    given = context.params.get("workspace") or above.get("workspace")
    try:
        workspace = find_workspace(Path.cwd(), given=Path(given) if given else None)
    except ExpandError:
        return []
    return [chapter for chapter in workspace.chapter_ids() if chapter.startswith(incomplete)]


WorkspaceOption = Annotated[
    Path | None,
    typer.Option("--workspace", metavar="DIR", help="The folder with expand.toml, if not this one or above."),
]
ModelOption = Annotated[str | None, typer.Option("--model", help="The author model; `embedded` is the local one.")]
BaseUrlOption = Annotated[str | None, typer.Option("--base-url", help="An OpenAI-compatible API to use.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
OutputOption = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to a file.")]
BudgetOption = Annotated[
    int | None, typer.Option("--budget", metavar="TOKENS", min=0, help="The most that this run may spend.")
]
LanguageOption = Annotated[
    str | None, typer.Option("--language", help="One of the book's languages, such as en or zh.")
]

ChaptersArgument = Annotated[
    list[str], typer.Argument(metavar="ID...", help="Chapters.", autocompletion=complete_chapter)
]


def workspace_of(context: typer.Context, given: Path | None) -> Workspace:
    """The workspace that the command line means. Raises ``InputError``."""
    from expand.workspace import find_workspace  # start-up time

    return find_workspace(Path.cwd(), given=given or context.obj)


def settings_of(
    workspace: Workspace,
    *,
    model: str | None = None,
    base_url: str | None = None,
    concurrency: int | None = None,
    on_unknown: Any = None,
) -> Settings:
    """The settings of the workspace with the command line's on top. Raises ``InputError``."""
    from expand.drafting.run_options import RunOptions  # start-up time

    return RunOptions(model=model, base_url=base_url, concurrency=concurrency, on_unknown=on_unknown).settings(
        workspace
    )


def print_json(value: Mapping[str, Json], output: Path | None = None) -> None:
    """One JSON object on stdout, and nothing else, or into a file.

    A stdout that cannot show every character gets them escaped: none is lost to a script.
    """
    escaped = output is None and not is_unicode(sys.stdout)
    print_text(json.dumps(value, ensure_ascii=escaped, indent=2) + "\n", output)


def print_text(text: str, output: Path | None = None) -> None:
    """A text on stdout, or into a file, which is then named on stderr."""
    if output is None:
        sys.stdout.write(text)
        return
    from expand.workspace import write_atomically  # start-up time

    write_atomically(output, text)
    note(f"{output} written")


def warn(message: str) -> None:
    """A line on stderr that is said in any case."""
    sys.stderr.write(f"expand: {message}\n")


def note(message: str) -> None:
    """A line on stderr that ``--quiet`` leaves out."""
    if verbosity() is not Verbosity.QUIET:
        warn(message)
