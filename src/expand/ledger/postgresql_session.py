"""A session with a PostgreSQL server: how it begins, its rows, and what its errors mean."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import psycopg
from psycopg import errors
from psycopg.adapt import Buffer, Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import Int8Dumper

from expand.errors import LedgerError
from expand.ledger.database import BUSY, ConstraintError, ContendedError, LedgerBusyError, Rows
from expand.ledger.postgresql_words import query
from expand.ledger_place import Server

SILENT_SECONDS = 30
"""After so long without a sign from the other side, a session counts as lost."""

IDLE_SECONDS = 120
"""How long a transaction may do nothing before the server ends it, so that others can go on."""

_DAMAGED = (
    "damaged; `expand ledger verify` says how far, and a backup or an export can be imported into "
    "a new schema"
)
_MEANINGS: tuple[tuple[tuple[type[psycopg.Error], ...], type[LedgerError], str], ...] = (
    ((errors.LockNotAvailable,), LedgerBusyError, BUSY),
    (
        (errors.DeadlockDetected, errors.SerializationFailure),
        ContendedError,
        "contended; try again",
    ),
    ((errors.DiskFull,), LedgerBusyError, "the server's disk is full; free some space there"),
    (
        (errors.ReadOnlySqlTransaction,),
        LedgerError,
        "cannot be written; connect to the primary server, opened for writing",
    ),
    (
        (errors.InsufficientPrivilege,),
        LedgerError,
        "this user may not do that; let them CREATE in the database, or make the schema theirs",
    ),
)
_BROKEN_TABLES = (
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.DataCorrupted,
    errors.IndexCorrupted,
)


@contextlib.contextmanager
def mapped(name: str) -> Iterator[None]:
    """Turn what psycopg raises into ``LedgerError``; defects pass through."""
    try:
        yield
    except (errors.IntegrityError, errors.DataError) as error:
        raise ConstraintError(_first_line(error)) from error
    except psycopg.Error as error:
        for kinds, meaning, words in _MEANINGS:
            if isinstance(error, kinds):
                raise meaning(f"{name}: {words}") from error
        if isinstance(error, _BROKEN_TABLES):
            raise LedgerError(f"{name}: {_first_line(error)}: {_DAMAGED}") from error
        if isinstance(error, psycopg.OperationalError):
            raise LedgerBusyError(
                f"{name}: the connection was lost: {_first_line(error)}; see whether the server "
                "runs, and run again"
            ) from error
        raise


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().partition("\n")[0]


class Row(tuple[Any, ...]):
    """A row that is read by position or by name."""

    __slots__ = ()
    places: dict[str, int]

    def __getitem__(self, key: Any) -> Any:
        return tuple.__getitem__(self, self.places[key] if isinstance(key, str) else key)

    def keys(self) -> list[str]:
        """The columns' names."""
        return list(self.places)


@functools.lru_cache(512)
def _row_of(names: tuple[bytes, ...]) -> Callable[[Sequence[Any]], Row]:
    places = {name.decode(): index for index, name in enumerate(names)}
    kind = type("Row", (Row,), {"__slots__": (), "places": places})
    return functools.partial(tuple.__new__, kind)


def _rows(cursor: psycopg.Cursor[Any]) -> Callable[[Sequence[Any]], Row]:
    result = cursor.pgresult
    if result is None:
        return _row_of(())
    return _row_of(tuple(result.fname(index) or b"" for index in range(result.nfields)))


class _Whole(Loader):
    """A sum of whole numbers, which the server gives as NUMERIC."""

    def load(self, data: Buffer) -> int:
        return int(bytes(data))


class Session:
    """A connection as the ledger's rules want it."""

    lock = " FOR UPDATE"

    def __init__(self, raw: psycopg.Connection[Row]) -> None:
        self.raw = raw

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows:
        """Run one statement; ``?`` stands for a value."""
        return self.raw.execute(query(statement), values or None)

    def executemany(self, statement: str, values: Iterable[Sequence[Any]], /) -> object:
        """Run one statement for each sequence of values."""
        text = query(statement)
        for each in values:
            self.raw.execute(text, each)
        return None

    def exact(self, text: str, /) -> str | bytes:
        """Its bytes, since a TEXT of PostgreSQL holds no NUL."""
        return text.encode()


def connect(server: Server, patience_seconds: float, *, read_only: bool) -> Session:
    """Begin a session in the server's schema, which need not exist. Raises ``LedgerError``."""
    try:
        stated = conninfo_to_dict(server.address)
    except psycopg.Error:  # its words might hold the password
        raise LedgerError(
            f"{server.schema}: the ledger's address cannot be read; write it as "
            "postgresql://USER@HOST:PORT/DATABASE?schema=BOOK"
        ) from None
    defaults: dict[str, Any] = {
        "application_name": f"expand {server.schema}",
        "connect_timeout": max(2, min(10, int(patience_seconds))),
        "keepalives_idle": SILENT_SECONDS // 2,
        "keepalives_interval": SILENT_SECONDS // 6,
        "keepalives_count": 3,
        "tcp_user_timeout": SILENT_SECONDS * 1000,
    }
    try:
        raw = psycopg.connect(
            "", **{**defaults, **stated}, autocommit=True, prepare_threshold=1, row_factory=_rows
        )
    except psycopg.Error as error:
        raise _unreachable(server, error) from error
    raw.prepared_max = 300
    raw.adapters.register_loader("numeric", _Whole)
    raw.adapters.register_dumper(int, Int8Dumper)
    with mapped(str(server)):
        _set_up(raw, server, patience_seconds, read_only=read_only)
    return Session(raw)


def _unreachable(server: Server, error: psycopg.Error) -> LedgerError:
    words = _first_line(error)
    said = re.sub(r"^connection failed: ", "", words)
    if "password" in said or "authentication" in said or "pg_hba" in said:
        remedy = "check user and password; PGPASSWORD or ~/.pgpass may hold it"
        return LedgerError(f"{server}: {said}; {remedy}")
    if re.search(r'database "[^"]*" does not exist', said):
        return LedgerError(f"{server}: {said}; create it (createdb), or name another")
    if "role " in said and "does not exist" in said:
        return LedgerError(f"{server}: {said}; create it (createuser), or name another")
    return LedgerBusyError(f"{server}: {said}; see whether the server runs and can be reached")


def _set_up(
    raw: psycopg.Connection[Row], server: Server, patience_seconds: float, *, read_only: bool
) -> None:
    """The schema, durable commits, and an end to everything that could wait for ever."""
    settings = {
        "search_path": server.schema,
        "synchronous_commit": "on",
        "default_transaction_isolation": "read committed",
        "default_transaction_read_only": "on" if read_only else "off",
        "lock_timeout": f"{max(1, int(patience_seconds * 1000))}ms",
        "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
        "tcp_keepalives_idle": str(SILENT_SECONDS // 2),
        "tcp_keepalives_interval": str(SILENT_SECONDS // 6),
        "tcp_keepalives_count": "3",
        "client_min_messages": "warning",
    }
    calls = ", ".join("set_config(%s, %s, false)" for _ in settings)
    values = [text for pair in settings.items() for text in pair]
    raw.execute(f"SELECT {calls}", values, prepare=False)
