"""Checks the workspace's files: room on the disk, the folder, and the ledger."""

import errno
import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from expand.doctor.check_result import CheckResult, failure, from_error, ok, warning
from expand.errors import LedgerError, UntrustedError
from expand.ledger import Ledger, pauses_in
from expand.ledger_location import LedgerPlace
from expand.workspace import Workspace

LEAST_FREE_BYTES = 20_000_000
"""Below this a run may end for want of room: a ledger of a whole book takes a few megabytes."""
GOOD_FREE_BYTES = 200_000_000


def check_storage(workspace: Workspace, *, free_bytes: Callable[[Path], int] | None = None) -> Iterator[CheckResult]:
    """Whether there is room, and whether drafts and the ledger can be written."""
    root = workspace.root
    yield _check_room(root, free_bytes(root) if free_bytes else shutil.disk_usage(root).free)
    yield _check_writable(root)
    try:
        place = workspace.ledger_place
    except UntrustedError as error:
        yield from_error("ledger", error)
        return
    ledger = _check_ledger(place)
    yield ledger
    if ledger.status != "failure":
        for pause in pauses_in(place):
            remedy = f"wait, or lift it with `expand ledger resume {shlex.quote(pause.model)}`"
            yield warning("pause", str(pause), remedy)


def _check_room(root: Path, free: int) -> CheckResult:
    megabytes = f"{free / 1e6:,.0f} MB free at {root}"
    if free < LEAST_FREE_BYTES:
        return failure("disk", f"the disk is full: {megabytes}", "free some space, 200 MB or more")
    if free < GOOD_FREE_BYTES:
        return warning("disk", megabytes, "free some space, 200 MB or more")
    return ok("disk", megabytes)


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
    """Whether the ledger can be read and written; none is made where there is none."""
    try:
        return (_check_file(place) if isinstance(place, Path) else None) or _check_opened(place)
    except LedgerError as error:
        return from_error("ledger", error)


def _check_file(path: Path) -> CheckResult | None:
    """What a file shows before it is opened; None when it may be a ledger."""
    if path.is_file():
        return None
    if path.exists():
        return failure("ledger", f"{path} is not a file", "move it away")
    nearest = next(folder for folder in path.parents if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        message = f"{nearest} cannot be written, so there can be no ledger"
        return failure("ledger", message, "make it a folder that can be written")
    return ok("ledger", f"{path} is not there yet; the first run makes it")


def _check_opened(place: LedgerPlace) -> CheckResult:
    existing = Ledger.read(place)
    if existing is None:
        return ok("ledger", f"{place} can be reached; the first run makes the ledger")
    existing.close()
    ledger = Ledger.open(place, patience_seconds=5.0)
    try:
        ledger.prove_writable()
        balance = ledger.balance("book")
    finally:
        ledger.close()
    remaining = balance.remaining_tokens
    if remaining is not None and remaining <= 0:
        message = f"nothing is left of the allowance of {balance.limit.tokens or 0:,} tokens"
        return warning("ledger", message, "raise allowance in outlines/book.yaml")
    left = "" if remaining is None else f", {remaining:,} tokens left of the book's allowance"
    return ok("ledger", f"{place} can be read and written{left}")
