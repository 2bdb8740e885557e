"""What the commands share: the workspace that a command line means, and results on stdout."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import typer

from expand.cli.output import is_unicode
from expand.cli.verbosity import note
from expand.errors import InputError
from expand.redaction import printable
from expand.schema import Json
from expand.schema.validators import suggestion
from expand.workspace import Workspace, find_workspace, write_atomically

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


def print_json(value: Mapping[str, Json], output: Path | None = None) -> None:
    """Prints one JSON object on stdout, or writes it to a file.

    A stdout that cannot show every character gets them escaped, so that a script loses none."""
    escaped = output is None and not is_unicode(sys.stdout)
    print_text(json.dumps(value, ensure_ascii=escaped, indent=2) + "\n", output)


def print_text(text: str, output: Path | None = None) -> None:
    """Prints a text on stdout, or writes it to a file and names the file on stderr."""
    if output is None:
        sys.stdout.write(text)
        return
    write_atomically(output, printable(text))
    note(f"{output} written")
