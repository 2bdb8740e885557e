"""The ledger's tables, for whichever database keeps them: ``data/migrations/<n>.sql`` leads from version n - 1 to n.

Statements are written as SQLite takes them; ``postgres_session`` translates them for PostgreSQL. They only ever
append, so that a process of an older version that is still running can go on settling what it has in flight. Never edit
a file that was released.

A batch is an owner as well, of the attempts in it: ``id`` is in both tables. ``submitting`` is 1 while the batch is on
its way to its provider, and then NULL, so that only one can be.
"""

from pathlib import Path

from expand.errors import LedgerError

APPLICATION_ID = 0x45585044
"""``EXPD``: how a ledger is told from any other database."""

_FOLDER = Path(__file__).parents[1] / "data" / "migrations"
VERSION = 2
MIGRATIONS = tuple(
    tuple((_FOLDER / f"{version}.sql").read_text(encoding="utf-8").rstrip("\n;").split(";\n\n"))
    for version in range(1, VERSION + 1)
)
"""The statements of each migration."""


def refuse_newer(version: int, name: str) -> None:
    """Raise ``LedgerError`` for a ledger that only a newer expand knows."""
    if version > VERSION:
        raise LedgerError(
            f"{name}: version {version} was written by a newer expand, this one knows up to {VERSION}; upgrade it"
        )
