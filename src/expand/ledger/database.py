"""The boundary between the ledger's rules and a database, and the tables that a database keeps.

The rules and their SQL are written once, in what SQLite and PostgreSQL have in common: ``?`` stands for a value, and a
row is read by name or position. A back end is a module beside this one (``sqlite``, ``postgres``) whose database and
connection have the methods of ``SqliteDatabase`` and ``SqliteConnection``; ``store`` opens it. No other module of this
package knows which back end it talks to.

``data/migrations/<n>.sql`` leads from version n - 1 of the tables to n. Statements are written as SQLite takes them;
``postgres`` translates them. They only ever append, so that a process of an older version that is still running can go
on settling what it has in flight. Never edit a file that was released.

A batch is an owner as well, of the attempts in it: ``id`` is in both tables. ``submitting`` is 1 while the batch is on
its way to its provider, and then NULL, so that only one can be.
"""

from typing import TYPE_CHECKING, TypeAlias

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


if TYPE_CHECKING:
    from expand.ledger.postgres import PostgresDatabase, Session
    from expand.ledger.sqlite import SqliteConnection, SqliteDatabase

Database: TypeAlias = "SqliteDatabase | PostgresDatabase"
"""An open database, for one thread. Its context managers turn driver errors into ``LedgerError``, and a broken
constraint into ``ConstraintError``. Defects in the code (a wrong number of values, say) pass through."""

Connection: TypeAlias = "SqliteConnection | Session"
"""What ``snapshot`` and ``writing`` hand out."""

Reader: TypeAlias = "Database | Connection"
"""What can be read from: an open database, or the connection of one transaction."""

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
