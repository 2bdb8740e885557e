"""The shell and the machine: which command it finds, the terminal, the optional local model."""

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

NAME = "expand"
"""Coreutils has a program of this name too, which turns tabs into spaces."""
OTHER_NAME = "chapter-expand"
_MARK = b"expand.__main__"
"""The module that an installer's launcher names: that of ``[project.scripts]``."""
NARROWEST = 60
"""Columns below which tables are cut short."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShellCommand:
    """``name`` runs this tool; ``found`` is the ``expand`` on the path, ``ours`` whether that is this tool."""

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
    """``uv run expand`` in this environment's project, else the command's path: the environment is not activated."""
    here = Path.cwd().resolve()
    project = Path(sys.prefix).resolve().parent
    command = Path(sys.executable).parent / OTHER_NAME
    inside = project == here or project in here.parents
    if not command.is_file() or (inside and (project / "pyproject.toml").is_file()):
        return "uv run expand"
    return shlex.quote(str(command))


def _is_ours(path: Path) -> bool:
    """Whether the file is a launcher of this tool: the launchers that installers make name its module."""
    try:
        with path.open("rb") as file:
            head = file.read(8192)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 8192))
            return _MARK in head or _MARK in file.read()
    except OSError:
        return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Terminal:
    """Where results are shown. ``columns`` is None for a pipe or a file."""

    columns: int | None
    encoding: str


def check_environment(environment: Mapping[str, str], terminal: Terminal) -> Iterator[CheckResult]:
    """Checks the shell and the machine."""
    system = f"{platform.python_implementation()} {platform.python_version()}, {sys.platform}"
    yield ok("version", f"expand {__version__}, {system}")
    yield _check_command(environment)
    yield _check_terminal(environment, terminal)
    if local_model.is_installed():
        yield ok("local model", "installed: it writes where no key and no base URL are set")
    else:
        yield note("local model", "not installed; only needed without a key", local_model.REMEDY)


def _check_command(environment: Mapping[str, str]) -> CheckResult:
    command = shell_command(environment)
    if command.ours:
        return ok("command", f"`expand` in a shell is {command.found}")
    if command.found is not None:
        message = f"`expand` in a shell is {command.found}, another program (coreutils has one)"
        return warning("command", message, f"type `{command.name}`")
    remedy = f"add the folder of the installed commands to PATH, or type `{command.name}`"
    return warning("command", "a shell finds no `expand`", remedy)


def _check_terminal(environment: Mapping[str, str], terminal: Terminal) -> CheckResult:
    if terminal.encoding.lower().replace("-", "").replace("_", "") not in ("utf8", "utf8sig"):
        message = f"output is encoded as {terminal.encoding}, which lacks most characters"
        return warning("terminal", message, "set PYTHONUTF8=1, or a locale with UTF-8")
    if terminal.columns is None:
        return ok("terminal", "a pipe or a file: plain lines, no colours")
    if terminal.columns < NARROWEST:
        remedy = f"widen it to {NARROWEST} columns or more, or use --format json"
        return warning("terminal", f"{terminal.columns} columns: tables are cut short", remedy)
    plain = bool(environment.get("NO_COLOR")) or environment.get("TERM") == "dumb"
    colours = "no colours (NO_COLOR or TERM=dumb)" if plain else "colours"
    return ok("terminal", f"{terminal.columns} columns, {terminal.encoding}, {colours}")
