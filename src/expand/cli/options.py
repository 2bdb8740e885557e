"""The options and arguments that several commands take, as annotations: ``model: options.Model = None``.

Options that always come together are a group, which a function takes as one parameter: ``buying: options.Buying``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar

import typer

from expand.errors import InputError
from expand.schema.validators import suggestion
from expand.workspace import Workspace, find_workspace

Choice = TypeVar("Choice", bound=str)


def workspace_of(context: typer.Context, given: Path | None = None) -> Workspace:
    """The workspace that the command line names, else the one around the current folder. Raises ``InputError``."""
    return find_workspace(Path.cwd(), given=given or context.obj)


def require_choice(option: str, given: str, choices: Sequence[Choice]) -> Choice:
    """The choice that an option names. Raises ``InputError`` for another, naming the option as it was typed."""
    for choice in choices:
        if choice == given:
            return choice
    remedy = f"give {' or '.join(choices)}" if len(choices) == 2 else suggestion(given, choices)
    raise InputError(f"{option} is {given!r}", remedy=remedy)


Chapter = Annotated[str, typer.Argument(metavar="ID", help="The chapter.")]
Chapters = Annotated[list[str], typer.Argument(metavar="ID...", help="Chapters.")]
SomeChapters = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID...]", help="Only these chapters."),
]
Plan = Annotated[str, typer.Option("--plan", help="full, or lean: the outline's shape at 450 lines.")]
Language = Annotated[str | None, typer.Option("--language", help="One of the book's languages, such as en or zh.")]
DraftLanguage = Annotated[
    str | None, typer.Option("--language", help="The draft's language; else the book's own, or the one there is.")
]
Model = Annotated[str | None, typer.Option("--model", help="The author model; `embedded` is the local one.")]
BaseUrl = Annotated[str | None, typer.Option("--base-url", help="An OpenAI-compatible API to use.")]
Budget = Annotated[
    int | None, typer.Option("--budget", metavar="TOKENS", min=0, help="Spend at most this many tokens in this run.")
]
Unpriced = Annotated[bool, typer.Option("--unpriced", help="Under a limit in money, let a model without a price pass.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
FormatJson = Annotated[bool, typer.Option("--json", help="The same as --format json.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to a file.")]


class Author(NamedTuple):
    """Whose model writes."""

    model: Model = None
    base_url: BaseUrl = None


class Buying(NamedTuple):
    """Whose model writes, and what it may take."""

    model: Model = None
    base_url: BaseUrl = None
    budget: Budget = None
    unpriced: Unpriced = False
