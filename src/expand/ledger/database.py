"""The boundary between the ledger's rules and a database, and the tables that a database keeps.

The rules and their SQL are written once, in what SQLite and PostgreSQL have in common: ``?`` stands for a value, and a
row is read by name or position. A back end is a module beside this one (``sqlite``, ``postgres``) with a ``Database``,
opened by ``store``. No other module of this package knows which back end it talks to.

``data/migrations/<n>.sql`` leads from version n - 1 of the tables to n. Statements are written as SQLite takes them;
``postgres`` translates them. They only ever append, so that a process of an older version that is still running can go
on settling what it has in flight. Never edit a file that was released.

A batch is an owner as well, of the attempts in it: ``id`` is in both tables. ``submitting`` is 1 while the batch is on
its way to its provider, and then NULL, so that only one can be.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from expand.errors import LedgerError
from expand.paths import DATA

BUSY = "locked by another program; close what has it open and run again"


REMAKE = "export the ledger and import that into a new one: what the tables hold is checked, and they are made anew"
"""The remedy for tables, indexes and triggers that are not as the migrations make them."""


class LedgerBusyError(LedgerError):
    """The ledger cannot be written at the moment: it is locked or out of reach, or the disk is full. Nothing changed
    (or, where a connection broke in the middle, perhaps all of it did), and the same write may succeed later."""


class ConstraintError(Exception):
    """A row breaks a constraint of its table: a defect, unless the row came from outside."""


class DatabaseRow(Protocol):
    """A row: read by position or name, or unpacked."""

    def __getitem__(self, key: int | str, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...

    def keys(self) -> list[str]:
        """The columns' names."""


class Rows(Protocol):
    """The result of a statement."""

    def fetchone(self) -> Any:
        """The next row; None after the last."""

    def __iter__(self) -> Iterator[Any]: ...


class Reader(Protocol):
    """What can be read from: an open database, or the connection of one transaction."""

    def query(self, statement: str, values: Sequence[Any] = (), /) -> list[Any]:
        """The rows that one statement reads."""


class Connection(Reader, Protocol):
    """What ``snapshot`` and ``writing`` hand out."""

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows:
        """Run one statement; ``?`` stands for a value."""

    def exact(self, text: str, /) -> str | bytes:
        """Encode a text for a column of exact texts, which holds any character, NUL too."""


class Database(Reader, Protocol):
    """An open database, for one thread.

    Its context managers turn driver errors into ``LedgerError``, and a broken constraint into ``ConstraintError``.
    Defects in the code (a wrong number of values, say) pass through."""

    @property
    def name(self) -> str:
        """What messages call it: a path, or an address without a password."""

    @property
    def errors(self) -> tuple[type[BaseException], ...]:
        """The exceptions that its driver raises."""

    def now(self) -> datetime:
        """The time in UTC, by the clock that everyone who shares the database shares."""

    def mapped(self) -> AbstractContextManager[None]:
        """Turn driver errors into the ledger's errors."""

    def snapshot(self) -> AbstractContextManager[Connection]:
        """Read; all statements see one and the same state."""

    def writing(self) -> AbstractContextManager[Connection]:
        """Write one transaction: all of it or nothing, durable when it ends. Writers follow one another: what a
        transaction reads cannot change before it ends."""

    def version(self) -> int:
        """The version of the ledger's tables. Raises ``LedgerError`` for a newer one, and for no ledger."""

    def prove_writable(self) -> None:
        """Write what is there already."""

    def damage(self, connection: Connection, /) -> Iterator[str]:
        """What the database itself finds wrong with itself, one line each."""

    def enter(self) -> str:
        """Begin to own attempts, and return the new owner's id. The owner is alive until ``leave``, or until this
        process ends, however it ends."""

    def leave(self, owner: str, /) -> None:
        """End an owner; harmless when repeated."""

    def claim(self, owner: str, /) -> AbstractContextManager[bool]:
        """Whether the owner is dead and nobody else is recovering it. Nobody else can within the context; when that
        ends without an exception, what is left of the owner is removed."""

    def discard(self) -> None:
        """Close it, and remove it if opening it made it."""

    def close(self) -> None:
        """Close it; harmless when repeated."""


APPLICATION_ID = 0x45585044
"""``EXPD``: how a ledger is told from any other database."""

VERSION = 2
MIGRATIONS = tuple(
    tuple((DATA / "migrations" / f"{version}.sql").read_text(encoding="utf-8").rstrip("\n;").split(";\n\n"))
    for version in range(1, VERSION + 1)
)
"""The statements of each migration."""


def later_migrations(version: int) -> tuple[tuple[str, ...], ...]:
    """The migrations that lead from ``version`` to the newest one; none for that."""
    return MIGRATIONS[version:]


def refuse_newer(version: int, name: str) -> None:
    """Raise ``LedgerError`` for a ledger that only a newer expand knows."""
    if version > VERSION:
        raise LedgerError(
            f"{name}: version {version} was written by a newer expand, this one knows up to {VERSION}; upgrade it"
        )
