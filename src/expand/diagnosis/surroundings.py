"""The shell and the machine: which command it finds, the terminal, the optional local model."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from expand import __version__
from expand.diagnosis.finding import Finding, note, ok, warning
from expand.diagnosis.shell_command import shell_command
from expand.model import embedded

NARROWEST = 60
"""Columns below which tables are cut short."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Terminal:
    """What results are shown on. ``columns`` is None for a pipe or a file."""

    columns: int | None
    encoding: str


def look_around(environment: Mapping[str, str], terminal: Terminal) -> Iterator[Finding]:
    """The findings about the shell and the machine."""
    system = f"{platform.python_implementation()} {platform.python_version()}, {sys.platform}"
    yield ok("version", f"expand {__version__}, {system}")
    yield _command(environment)
    yield _terminal(environment, terminal)
    yield _local_model()


def _command(environment: Mapping[str, str]) -> Finding:
    command = shell_command(environment)
    if command.ours:
        return ok("command", f"`expand` in a shell is {command.found}")
    if command.found is not None:
        return warning(
            "command",
            f"`expand` in a shell is {command.found}, another program (coreutils has one)",
            f"type `{command.name}`",
        )
    return warning(
        "command",
        "a shell finds no `expand`",
        f"add the folder of the installed commands to PATH, or type `{command.name}`",
    )


def _terminal(environment: Mapping[str, str], terminal: Terminal) -> Finding:
    if terminal.encoding.lower().replace("-", "").replace("_", "") not in ("utf8", "utf8sig"):
        return warning(
            "terminal",
            f"output is encoded as {terminal.encoding}, which lacks most characters",
            "set PYTHONUTF8=1, or a locale with UTF-8",
        )
    if terminal.columns is None:
        return ok("terminal", "a pipe or a file: plain lines, no colours")
    if terminal.columns < NARROWEST:
        return warning(
            "terminal",
            f"{terminal.columns} columns: tables are cut short",
            f"widen it to {NARROWEST} columns or more, or use --format json",
        )
    plain = bool(environment.get("NO_COLOR")) or environment.get("TERM") == "dumb"
    colours = "no colours (NO_COLOR or TERM=dumb)" if plain else "colours"
    return ok("terminal", f"{terminal.columns} columns, {terminal.encoding}, {colours}")


def _local_model() -> Finding:
    if embedded.is_installed():
        return ok("local model", "installed: it writes where no key and no base URL are set")
    return note("local model", "not installed; only needed without a key", embedded.REMEDY)
