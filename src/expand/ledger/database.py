"""The boundary to a database: what the ledger's rules ask of one, whichever it is.

The rules and their SQL are written once, in the SQL that SQLite and PostgreSQL share: ``?`` for a
value, a row read by name or position. ``sqlite`` and ``postgresql`` each keep the promises below,
and nothing else in this package knows which of them it talks to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any, Protocol

from expand.errors import LedgerError

BUSY = "locked by another program; close what has it open and run again"


class LedgerBusyError(LedgerError):
    """The ledger cannot be written at the moment: locked, out of reach, or the disk is full.
    Nothing changed (or, where a connection broke in the middle, perhaps all of it did), and the
    same write may succeed later.
    """


class ContendedError(LedgerBusyError):
    """The database undid this transaction in favour of another; repeating it will do."""


class ConstraintError(Exception):
    """A row breaks a constraint of its table: a defect, unless the row came from outside."""


class DatabaseRow(Protocol):
    """A row: read by position or name, or unpacked."""

    def __getitem__(self, key: int | str, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...

    def keys(self) -> list[str]:
        """The columns' names."""


class Rows(Protocol):
    """What a statement gave."""

    def fetchone(self) -> Any:
        """The next row; None after the last."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection inside ``reading``, ``snapshot`` or ``writing``."""

    @property
    def lock(self) -> str:
        """What ends a SELECT whose rows nobody else may change before this transaction ends."""

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows:
        """Run one statement; ``?`` stands for a value."""

    def executemany(self, statement: str, values: Iterable[Sequence[Any]], /) -> object:
        """Run one statement for each sequence of values."""

    def exact(self, text: str, /) -> str | bytes:
        """A text as a column of exact texts takes it: any character, NUL too."""


class Mark(Protocol):
    """This process's mark of life, which goes out when the process ends, however it ends."""

    @property
    def id(self) -> str:
        """The owner's id."""

    def leave(self) -> None:
        """Give it up; harmless when repeated."""


class Remains(Protocol):
    """A dead owner's mark, held while its attempts are put in order, so that one heir does it."""

    def bury(self) -> None:
        """Remove what is left of the owner."""

    def leave_be(self) -> None:
        """Let go: another heir will try again."""


class Database(Protocol):
    """An open database, for one thread. What it raises is mapped to ``LedgerError`` on the way
    out of its context managers; a broken constraint to ``ConstraintError``; defects pass.
    """

    @property
    def name(self) -> str:
        """What messages call it: a path, or an address without a password."""

    @property
    def errors(self) -> tuple[type[BaseException], ...]:
        """What its driver raises."""

    def now(self) -> datetime:
        """The time by the clock that all who share the database share, in UTC."""

    def mapped(self) -> AbstractContextManager[None]:
        """Turn what the driver raises into the ledger's errors."""

    def part(self) -> AbstractContextManager[None]:
        """Part of a transaction that may fail without taking the rest with it. What was executed
        in it has been carried out when it ends.
        """

    def reading(self) -> AbstractContextManager[Connection]:
        """Read; each statement sees one consistent state."""

    def snapshot(self) -> AbstractContextManager[Connection]:
        """Read; all statements see one and the same state."""

    def writing(self, *, wait: bool = True) -> AbstractContextManager[Connection]:
        """Write one transaction: all of it or nothing, durable when it ends; or, where it need not
        ``wait`` for the disk, when ``make_durable`` has returned that was called after it.
        """

    def make_durable(self) -> None:
        """Wait until all that was written by now is durable. Any thread may call it."""

    def version(self) -> int:
        """The ledger's version. Raises ``LedgerError`` for a newer one, and for no ledger."""

    def refuse_newer(self, connection: Connection, /) -> None:
        """Raise ``LedgerError`` when another process has made a newer ledger of it meanwhile."""

    def prove_writable(self) -> None:
        """Write what is there already."""

    def damage(self, connection: Connection, /) -> Iterator[str]:
        """What the database itself finds wrong with itself, one line each."""

    def enter(self) -> Mark:
        """Begin to own attempts."""

    def claim(self, owner: str, /) -> Remains | None:
        """The remains of an owner if it is dead; None while it lives or another heir is at it."""

    def discard(self) -> None:
        """Close it; remove it if opening it made it."""

    def close(self) -> None:
        """Close it; harmless when repeated."""


# An open ledger: reading it, and writing it in whole transactions.


class LedgerFile:
    """A ledger, for one thread. ``clock`` gives the time in UTC, else the database does."""

    def __init__(self, database: Database, clock: Callable[[], datetime] | None = None) -> None:
        self.database = database
        self.clock = clock or database.now
        self._whole: Connection | None = None

    @property
    def name(self) -> str:
        """What messages call it: a path, or an address without a password."""
        return self.database.name

    def reading(self) -> AbstractContextManager[Connection]:
        """Read; each statement sees one consistent state. Raises ``LedgerError``."""
        return self.database.reading()

    def snapshot(self) -> AbstractContextManager[Connection]:
        """Read; all statements see one and the same state. Raises ``LedgerError``."""
        return self.database.snapshot()

    def writing(self) -> AbstractContextManager[Connection]:
        """Write one transaction: all of it or nothing. Raises ``LedgerError``."""
        return self.database.writing() if self._whole is None else self._part(self._whole)

    @contextmanager
    def together(self) -> Iterator[None]:
        """The writes within become parts of one transaction: each succeeds or fails by itself, and
        all are durable when ``make_durable`` has returned that was called after it. Let a
        ``LedgerBusyError`` of a part end all of it.
        """
        with self.database.writing(wait=False) as connection:
            self._whole = connection
            try:
                yield
            finally:
                self._whole = None

    def make_durable(self) -> None:
        """Wait until all that was written by now is durable; any thread may call it. Raises
        ``LedgerError``.
        """
        self.database.make_durable()

    @contextmanager
    def _part(self, connection: Connection) -> Iterator[Connection]:
        with self.database.mapped(), self.database.part():
            yield connection
