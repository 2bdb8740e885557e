"""The options that every command takes, and the messages on stderr that they silence or add.

``expand --help`` loads this module, so it imports nothing that reads a workspace. Of ``--quiet`` and ``--verbose``,
the last one counts, wherever they stand in the command line.
"""

import enum
import sys
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated

import typer

from expand import __version__
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


def _set_verbosity(verbose: bool | None) -> None:
    if verbose is not None:
        _VERBOSITY.set(Verbosity.VERBOSE if verbose else Verbosity.QUIET)


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
    verbose: Annotated[
        bool | None,
        typer.Option(
            "--verbose/--quiet",
            "-v/-q",
            callback=_set_verbosity,
            expose_value=False,
            show_default=False,
            help="Show every attempt of a run, and keep a log in .expand/logs; or show results and errors only.",
        ),
    ] = None,
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
