"""What is here: the command that a shell finds, the terminal, the local model; room on the disk, the ledger."""

import errno
import os
import platform
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from expand import __version__
from expand.doctor import CheckResult, failure, from_error, note, ok, warning
from expand.errors import LedgerError, UntrustedError
from expand.ledger import Ledger, pauses_in
from expand.ledger_location import LedgerPlace
from expand.llm import local_model
from expand.workspace import Workspace

LEAST_FREE_BYTES = 20_000_000
"""Below this a run may end for want of room: a ledger of a whole book takes a few megabytes."""
GOOD_FREE_BYTES = 200_000_000


def check_storage(workspace: Workspace, *, free_bytes: Callable[[Path], int] | None = None) -> Iterator[CheckResult]:
    """Whether there is room, and whether drafts and the ledger can be written."""
    root = workspace.root
    free = free_bytes(root) if free_bytes else shutil.disk_usage(root).free
    megabytes, remedy = f"{free / 1e6:,.0f} MB free at {root}", "free some space, 200 MB or more"
    if free < LEAST_FREE_BYTES:
        yield failure("disk", f"the disk is full: {megabytes}", remedy)
    else:
        yield warning("disk", megabytes, remedy) if free < GOOD_FREE_BYTES else ok("disk", megabytes)
    yield _check_writable(root)
    try:
        place = workspace.ledger_place
    except UntrustedError as error:
        yield from from_error("ledger", error)
        return
    try:
        ledger = _check_ledger(place)
        yield ledger
        for pause in pauses_in(place) if ledger.status != "failure" else ():
            remedy = f"wait, or lift it with `expand ledger resume {shlex.quote(pause.model)}`"
            yield warning("pause", str(pause), remedy)
    except LedgerError as error:
        yield from from_error("ledger", error)


def _check_writable(root: Path) -> CheckResult:
    try:
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(b"\0" * 100_000)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return failure("workspace", f"{root}: the disk is full", "free some space")
        why = error.strerror or str(error)
        return failure("workspace", f"{root} cannot be written: {why}", "make it writable")
    return ok("workspace", f"{root} can be written")


def _check_ledger(place: LedgerPlace) -> CheckResult:
    """Whether the ledger can be read and written; none is made where there is none. Raises ``LedgerError``."""
    if isinstance(place, Path) and not place.is_file():
        nearest = next(path for path in (place, *place.parents) if path.exists())
        if nearest == place:
            return failure("ledger", f"{place} is not a file", "move it away")
        if not nearest.is_dir() or not os.access(nearest, os.W_OK):
            message = f"{nearest} cannot be written, so there can be no ledger"
            return failure("ledger", message, "make it a folder that can be written")
        return ok("ledger", f"{place} is not there yet; the first run makes it")
    if (existing := Ledger.read(place)) is None:
        return ok("ledger", f"{place} can be reached; the first run makes the ledger")
    existing.close()
    with closing(Ledger.open(place, patience_seconds=5.0)) as ledger:
        ledger.prove_writable()
        balance = ledger.balance("book")
    remaining = balance.remaining_tokens
    if remaining is not None and remaining <= 0:
        message = f"nothing is left of the allowance of {balance.limit.tokens or 0:,} tokens"
        return warning("ledger", message, "raise allowance in outlines/book.yaml")
    left = "" if remaining is None else f", {remaining:,} tokens left of the book's allowance"
    return ok("ledger", f"{place} can be read and written{left}")


NAME = "expand"
"""Coreutils has a program of this name too, which turns tabs into spaces."""
OTHER_NAME = "chapter-expand"
_MARK = b"expand.__main__"
"""The module that an installer's launcher names: that of ``[project.scripts]``."""
NARROWEST = 60
"""Columns below which tables are cut short."""


class ShellCommand(NamedTuple):
    """``name`` runs this tool; ``found`` is the ``expand`` on the path, ``ours`` whether that is this tool."""

    name: str
    found: Path | None
    ours: bool


def shell_command(environment: Mapping[str, str] | None = None) -> ShellCommand:
    """The command that runs this tool in a shell with this environment."""
    path = (os.environ if environment is None else environment).get("PATH", "")
    first, second = (shutil.which(name, path=path) for name in (NAME, OTHER_NAME))
    found = Path(first) if first else None
    if found is not None and _is_ours(found):
        return ShellCommand(NAME, found, ours=True)
    if second is not None and _is_ours(Path(second)):
        return ShellCommand(OTHER_NAME, found, ours=False)
    if found is None:
        return ShellCommand(f"{Path(sys.executable).name} -m expand", None, ours=False)
    # `uv run expand` in this environment's project, else the command's path: the environment is not activated.
    here, project = Path.cwd().resolve(), Path(sys.prefix).resolve().parent
    command = Path(sys.executable).parent / OTHER_NAME
    inside = (project == here or project in here.parents) and (project / "pyproject.toml").is_file()
    name = shlex.quote(str(command)) if command.is_file() and not inside else "uv run expand"
    return ShellCommand(name, found, ours=False)


def _is_ours(path: Path) -> bool:
    """Whether the file is a launcher of this tool: the launchers that installers make name its module."""
    try:
        return _MARK in path.read_bytes()
    except OSError:
        return False


class Terminal(NamedTuple):
    """Where results are shown. ``columns`` is None for a pipe or a file."""

    columns: int | None
    encoding: str


def check_environment(environment: Mapping[str, str], terminal: Terminal) -> Iterator[CheckResult]:
    """Checks the shell and the machine."""
    system = f"{platform.python_implementation()} {platform.python_version()}, {sys.platform}"
    yield ok("version", f"expand {__version__}, {system}")
    command = shell_command(environment)
    if command.ours:
        yield ok("command", f"`expand` in a shell is {command.found}")
    elif command.found is not None:
        message = f"`expand` in a shell is {command.found}, another program (coreutils has one)"
        yield warning("command", message, f"type `{command.name}`")
    else:
        remedy = f"add the folder of the installed commands to PATH, or type `{command.name}`"
        yield warning("command", "a shell finds no `expand`", remedy)
    yield _check_terminal(environment, terminal)
    if local_model.is_installed():
        yield ok("local model", "installed: it writes where no key and no base URL are set")
    else:
        yield note("local model", "not installed; only needed without a key", local_model.REMEDY)


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
