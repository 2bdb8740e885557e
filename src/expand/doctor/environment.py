"""The shell and the machine: which command it finds, the terminal, the optional local model."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from expand import __version__
from expand.doctor.check_result import CheckResult, note, ok, warning
from expand.llm import local_model

# Which ``expand`` a shell runs: coreutils has one too, which turns tabs into spaces.

NAME = "expand"
OTHER_NAME = "chapter-expand"
_MARK = b"expand.__main__"
"""The module that an installer's launcher names: that of ``[project.scripts]``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShellCommand:
    """What to type: ``name`` runs this tool; ``found`` is the ``expand`` on the path, if any, and
    ``ours`` whether it is this tool.
    """

    name: str
    found: Path | None
    ours: bool


def shell_command(environment: Mapping[str, str] | None = None) -> ShellCommand:
    """The command that runs this tool in a shell with this environment."""
    path = (os.environ if environment is None else environment).get("PATH", "")
    found = shutil.which(NAME, path=path)
    if found is not None and _is_ours(Path(found)):
        return ShellCommand(name=NAME, found=Path(found), ours=True)
    other = shutil.which(OTHER_NAME, path=path)
    if other is not None and _is_ours(Path(other)):
        name = OTHER_NAME
    else:
        name = f"{Path(sys.executable).name} -m expand" if found is None else _launcher()
    return ShellCommand(name=name, found=Path(found) if found else None, ours=False)


def _launcher() -> str:
    """``uv run expand`` in the project whose environment this is, else this environment's command
    by its path: an environment that was not activated is on no path.
    """
    here = Path.cwd().resolve()
    project = Path(sys.prefix).resolve().parent
    command = Path(sys.executable).parent / OTHER_NAME
    inside = project == here or project in here.parents
    if not command.is_file() or (inside and (project / "pyproject.toml").is_file()):
        return "uv run expand"
    return shlex.quote(str(command))


def _is_ours(path: Path) -> bool:
    """Whether the file is a launcher of this tool: those that installers make name its module."""
    try:
        with path.open("rb") as file:
            head = file.read(8192)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 8192))
            return _MARK in head or _MARK in file.read()
    except OSError:
        return False


NARROWEST = 60
"""Columns below which tables are cut short."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Terminal:
    """What results are shown on. ``columns`` is None for a pipe or a file."""

    columns: int | None
    encoding: str


def check_environment(environment: Mapping[str, str], terminal: Terminal) -> Iterator[CheckResult]:
    """The findings about the shell and the machine."""
    system = f"{platform.python_implementation()} {platform.python_version()}, {sys.platform}"
    yield ok("version", f"expand {__version__}, {system}")
    yield _command(environment)
    yield _terminal(environment, terminal)
    yield _local_model()


def _command(environment: Mapping[str, str]) -> CheckResult:
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


def _terminal(environment: Mapping[str, str], terminal: Terminal) -> CheckResult:
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


def _local_model() -> CheckResult:
    if local_model.is_installed():
        return ok("local model", "installed: it writes where no key and no base URL are set")
    return note("local model", "not installed; only needed without a key", local_model.REMEDY)
