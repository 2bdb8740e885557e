"""``expand doctor`` and ``expand outline check``; which command runs this tool in the user's shell."""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class ShellCommand(NamedTuple):
    """``name`` runs this tool; ``found`` is the ``expand`` on the path, ``ours`` whether that is this tool: coreutils
    has a program of this name too, which turns tabs into spaces."""

    name: str
    found: Path | None
    ours: bool


def shell_command(environment: Mapping[str, str] | None = None) -> ShellCommand:
    """The command that runs this tool in a shell with this environment."""
    path = (os.environ if environment is None else environment).get("PATH", "")
    first, second = (shutil.which(name, path=path) for name in ("expand", "chapter-expand"))
    found = Path(first) if first else None
    if found is not None and _is_ours(found):
        return ShellCommand("expand", found, ours=True)
    if second is not None and _is_ours(Path(second)):
        return ShellCommand("chapter-expand", found, ours=False)
    command = Path(sys.executable).parent / "chapter-expand"  # the environment is not activated
    name = shlex.quote(str(command)) if command.is_file() else f"{shlex.quote(sys.executable)} -m expand"
    return ShellCommand(name, found, ours=False)


_MARK = b"expand.__main__"
"""The module that an installer's launcher names: that of ``[project.scripts]``."""


def _is_ours(path: Path) -> bool:
    try:
        return _MARK in path.read_bytes()
    except OSError:
        return False
