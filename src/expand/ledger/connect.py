"""Which database a ledger's place names, and how it is opened.

The driver for PostgreSQL is loaded only where it is wanted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from expand.errors import LedgerError
from expand.ledger import migrations, sqlite
from expand.ledger.database import Database
from expand.ledger_location import LedgerPlace


def open_database(place: LedgerPlace, patience_seconds: float) -> Database:
    """The ledger at ``place`` for writing, created and brought up to date as needed.

    Raises ``LedgerError``.
    """
    if isinstance(place, Path):
        return sqlite.open_file(place, patience_seconds)
    opened: Database = _postgresql().open_server(place, patience_seconds)
    return opened


def read_database(place: LedgerPlace, patience_seconds: float) -> Database | None:
    """The ledger for reading only, brought up to date as needed; None if there is none.

    Raises ``LedgerError``.
    """
    found = read_as_it_lies(place, patience_seconds)
    if found is None:
        return None
    try:
        current = found.version() == migrations.VERSION
    except BaseException:
        found.close()
        raise
    if current:
        return found
    found.close()
    open_database(place, patience_seconds).close()
    return read_as_it_lies(place, patience_seconds)


def read_as_it_lies(place: LedgerPlace, patience_seconds: float) -> Database | None:
    """The ledger for reading only, whatever it is; None if there is none."""
    if isinstance(place, Path):
        return sqlite.read_file(place, patience_seconds)
    found: Database | None = _postgresql().read_server(place, patience_seconds)
    return found


def _postgresql() -> Any:
    """The module for PostgreSQL, whose driver is an extra. Raises ``LedgerError``."""
    try:
        from expand.ledger import postgres  # start-up time
    except ImportError as error:
        raise LedgerError(
            "a ledger on PostgreSQL needs the driver psycopg, which is not installed; "
            "pip install 'chapter-expand[postgres]'"
        ) from error
    return postgres
