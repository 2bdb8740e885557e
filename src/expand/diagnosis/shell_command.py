"""Which ``expand`` a shell runs: coreutils has one too, which turns tabs into spaces."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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
