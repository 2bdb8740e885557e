"""Who owns an attempt: a process, alive as long as it holds an operating-system lock.

The lock is taken before the owner's row is written to the ledger, and the kernel drops it when the
process ends, however it ends. So an owner whose lock can be taken by somebody else is dead, for
certain, and no clock or process id is consulted.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from expand.ledger import rows

if TYPE_CHECKING:
    from filelock import FileLock


def _lock(folder: Path, owner_id: str) -> FileLock:
    from filelock import FileLock  # start-up time: reports only read

    return FileLock(
        folder / f"{owner_id}.lock",
        timeout=0,
        mode=0o600,
        thread_local=False,
        fallback_to_soft=False,  # a lock that outlives its process would say nothing
    )


class Owner:
    """This process's mark of life, held from ``__init__`` until ``leave`` or death."""

    def __init__(self, folder: Path) -> None:
        """Take a lock of its own in ``folder``, which is created. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self.id = rows.fresh(6)
        self._held = _lock(folder, self.id)
        self._held.acquire()

    def leave(self) -> None:
        """Give the lock up and remove its file; harmless when repeated."""
        self._held.release(force=True)
        (self.folder / f"{self.id}.lock").unlink(missing_ok=True)


class DeadProcess:
    """A dead owner's lock, held while its attempts are put in order, so that one heir does it."""

    def __init__(self, held: FileLock, path: Path) -> None:
        self._held = held
        self._path = path

    def bury(self) -> None:
        """Remove what is left of the owner."""
        self._path.unlink(missing_ok=True)
        self._held.release(force=True)

    def leave_be(self) -> None:
        """Let go of the lock and keep its file: another heir will try again."""
        self._held.release(force=True)


def claim(folder: Path, owner_id: str) -> DeadProcess | None:
    """The remains of ``owner_id`` if it is dead; None while it lives or another heir is at it."""
    from filelock import Timeout  # start-up time

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = _lock(folder, owner_id)
    try:
        held.acquire()
    except Timeout:
        return None
    return DeadProcess(held, folder / f"{owner_id}.lock")
