"""Open the database that a ledger's place names. A new back end is added here.

The PostgreSQL driver is loaded only where it is wanted.
"""

from pathlib import Path
from typing import Any

from expand.errors import LedgerError
from expand.ledger import migrations, sqlite
from expand.ledger.database import Database
from expand.ledger_location import LedgerPlace


def open_database(place: LedgerPlace, patience_seconds: float) -> Database:
    """Open the ledger for writing; create it and bring it up to date as needed. Raises ``LedgerError``."""
    if isinstance(place, Path):
        return sqlite.open_file(place, patience_seconds)
    opened: Database = _postgres().open_server(place, patience_seconds)
    return opened


def read_database(place: LedgerPlace, patience_seconds: float) -> Database | None:
    """Open the ledger for reading, brought up to date as needed; None if there is none. Raises ``LedgerError``."""
    found = read_unchanged(place, patience_seconds)
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
    return read_unchanged(place, patience_seconds)


def read_unchanged(place: LedgerPlace, patience_seconds: float) -> Database | None:
    """Open the ledger for reading, whatever its version; None if there is none. Raises ``LedgerError``."""
    if isinstance(place, Path):
        return sqlite.read_file(place, patience_seconds)
    found: Database | None = _postgres().read_server(place, patience_seconds)
    return found


def _postgres() -> Any:
    """The PostgreSQL back end, whose driver is an extra. Raises ``LedgerError``."""
    try:
        from expand.ledger import postgres  # psycopg takes 0.1 s, and may be missing
    except ImportError as error:
        raise LedgerError(
            "a ledger on PostgreSQL needs the driver psycopg, which is not installed; "
            "pip install 'chapter-expand[postgres]'"
        ) from error
    return postgres
