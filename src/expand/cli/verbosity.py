"""The options that every command takes, and the messages on stderr that they silence or add.

``expand --help`` loads this module, so it imports nothing that reads a workspace. ``--quiet`` and ``--verbose`` count
for one command line, wherever they stand in it.
"""

import enum
import sys
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated

import typer

from expand import __version__
from expand.errors import InputError
from expand.redaction import printable


class Verbosity(enum.Enum):
    """QUIET shows results and errors only, NORMAL progress too, VERBOSE every attempt as well."""

    QUIET = "--quiet"
    NORMAL = ""
    VERBOSE = "--verbose"


_VERBOSITY: ContextVar[Verbosity] = ContextVar("verbosity", default=Verbosity.NORMAL)


def verbosity() -> Verbosity:
    """The verbosity that the command line asks for."""
    return _VERBOSITY.get()


def begin() -> None:
    """Starts a new command line at the normal verbosity."""
    _VERBOSITY.set(Verbosity.NORMAL)


def _sets(wanted: Verbosity) -> Callable[[bool], bool]:
    """The callback of the option that asks for a verbosity."""

    def callback(given: bool) -> bool:
        if given and verbosity() not in (Verbosity.NORMAL, wanted):
            raise InputError("--quiet and --verbose were given", remedy="give one of them")
        if given:
            _VERBOSITY.set(wanted)
        return given

    return callback


def _set_workspace(context: typer.Context, given: Path | None) -> None:
    if given is not None:
        context.obj = given


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"expand {__version__}")
        raise typer.Exit


def root(
    workspace: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            callback=_set_workspace,
            expose_value=False,
            help="The folder with expand.toml; by default this one or one above.",
        ),
    ] = None,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            callback=_sets(Verbosity.QUIET),
            expose_value=False,
            help="Show results and errors only, no progress.",
        ),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            callback=_sets(Verbosity.VERBOSE),
            expose_value=False,
            help="Show every attempt of a run; keep a log in .expand/logs.",
        ),
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options that every command takes, before it or behind it; their callbacks do what they ask for."""


def warn(message: str) -> None:
    """Writes a line on stderr in any case."""
    # The bars of a run put a stream of their own before stderr.
    sys.stderr.write(f"expand: {printable(message)}\n")


def note(message: str) -> None:
    """Writes a line on stderr, except with ``--quiet``."""
    if verbosity() is not Verbosity.QUIET:
        warn(message)


def counted(count: int, one: str, many: str = "") -> str:
    """``1 section``, ``1,200 sections``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
