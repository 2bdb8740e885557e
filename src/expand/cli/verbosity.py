"""How much is said on stderr beside results and errors, and in which words numbers are put.

Set once for each command line, by ``--quiet`` and ``--verbose`` wherever they stand in it.
"""

from __future__ import annotations

import enum
from contextvars import ContextVar
from typing import Annotated

import typer


class Verbosity(enum.Enum):
    """What is said: results and errors only; progress too; every attempt as well."""

    QUIET = "--quiet"
    NORMAL = ""
    VERBOSE = "--verbose"


_VOICE: ContextVar[Verbosity] = ContextVar("voice", default=Verbosity.NORMAL)


def verbosity() -> Verbosity:
    """What the command line asked for."""
    return _VOICE.get()


def begin() -> None:
    """A new command line, which has asked for nothing yet."""
    _VOICE.set(Verbosity.NORMAL)


def _ask(wanted: Verbosity) -> None:
    from expand.errors import InputError  # start-up time

    if _VOICE.get() not in (Verbosity.NORMAL, wanted):
        raise InputError("--quiet and --verbose were given", remedy="give one of them")
    _VOICE.set(wanted)


def _quiet(given: bool) -> bool:
    if given:
        _ask(Verbosity.QUIET)
    return given


def _verbose(given: bool) -> bool:
    if given:
        _ask(Verbosity.VERBOSE)
    return given


QuietOption = Annotated[
    bool,
    typer.Option("--quiet", "-q", callback=_quiet, help="Only results and errors, no progress."),
]
VerboseOption = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        callback=_verbose,
        help="Every attempt of a run, on stderr and in a log file under .expand/logs.",
    ),
]


def counted(count: int, one: str, many: str = "") -> str:
    """``1 section``, ``1,200 sections``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
