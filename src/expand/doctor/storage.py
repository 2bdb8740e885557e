"""The workspace's files: the book, the ledger, and room on the disk."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from expand.doctor.check_result import CheckResult, failure, from_error, ok, warning
from expand.errors import LedgerError
from expand.ledger import Ledger
from expand.ledger_location import LedgerPlace, Server
from expand.workspace import Workspace

LEAST_FREE_BYTES = 20_000_000
"""Below this a run may end for want of room: a ledger of a whole book takes a few megabytes."""
GOOD_FREE_BYTES = 200_000_000


def storage_findings(workspace: Workspace, *, free_bytes: Callable[[Path], int] | None = None) -> Iterator[CheckResult]:
    """Whether there is room, and whether drafts and the ledger can be written."""
    yield _room(workspace.root, (free_bytes or _free_bytes)(workspace.root))
    yield _writable(workspace.root)
    yield _ledger(workspace.ledger_place)


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _room(root: Path, free: int) -> CheckResult:
    megabytes = f"{free / 1e6:,.0f} MB free at {root}"
    if free < LEAST_FREE_BYTES:
        return failure("disk", f"the disk is full: {megabytes}", "free some space, 200 MB or more")
    if free < GOOD_FREE_BYTES:
        return warning("disk", megabytes, "free some space, 200 MB or more")
    return ok("disk", megabytes)


def _writable(root: Path) -> CheckResult:
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


def _ledger(place: LedgerPlace) -> CheckResult:
    """Whether the ledger can be read and written; none is made where there is none."""
    finding = _file(place) if isinstance(place, Path) else _schema(place)
    return finding or _opened(place)


def _schema(server: Server) -> CheckResult | None:
    """What is to be said about a schema before it is opened; None when it holds a ledger."""
    try:
        there = Ledger.read(server)
    except LedgerError as error:
        return from_error("ledger", error)
    if there is None:
        return ok("ledger", f"{server} can be reached; the first run makes the ledger")
    there.close()
    return None


def _file(path: Path) -> CheckResult | None:
    """What is to be said about a file before it is opened; None when it may be a ledger."""
    if not path.exists():
        nearest = next(folder for folder in path.parents if folder.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK):
            return failure(
                "ledger", f"{nearest} cannot be written, so there can be no ledger",
                "make it a folder that can be written",
            )  # fmt: skip
        return ok("ledger", f"{path} is not there yet; the first run makes it")
    if not path.is_file():
        return failure("ledger", f"{path} is not a file", "move it away")
    return None


def _opened(place: LedgerPlace) -> CheckResult:
    try:
        ledger = Ledger.open(place, patience_seconds=5.0)
        try:
            ledger.prove_writable()
            balance = ledger.balance("book")
        finally:
            ledger.close()
    except LedgerError as error:
        return from_error("ledger", error)
    remaining = balance.remaining_tokens
    if remaining is not None and remaining <= 0:
        return warning(
            "ledger",
            f"nothing is left of the allowance of {balance.limit.tokens or 0:,} tokens",
            "raise allowance in outlines/book.yaml",
        )
    left = "" if remaining is None else f", {remaining:,} tokens left of the book's allowance"
    return ok("ledger", f"{place} can be read and written{left}")
