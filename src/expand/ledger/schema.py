"""The ledger's file: its tables, how it is opened, and what its errors mean.

The file is a SQLite database in WAL mode with ``synchronous=FULL``: a transaction that has been
committed survives a killed process and a lost power supply. ``PRAGMA user_version`` counts the
migrations that have been applied; they only ever append, so that a process of an older version
that is still running can go on settling what it has in flight.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from expand.errors import LedgerError

APPLICATION_ID = 0x45585044
"""``EXPD``: how a ledger is told from any other database."""

_FIRST = (
    """CREATE TABLE budget (
        scope TEXT PRIMARY KEY,
        limit_tokens INTEGER, limit_pico INTEGER,
        opening_tokens INTEGER NOT NULL DEFAULT 0, opening_pico INTEGER NOT NULL DEFAULT 0,
        settled_tokens INTEGER NOT NULL DEFAULT 0, settled_pico INTEGER NOT NULL DEFAULT 0,
        unknown_tokens INTEGER NOT NULL DEFAULT 0 CHECK (unknown_tokens >= 0),
        unknown_pico INTEGER NOT NULL DEFAULT 0 CHECK (unknown_pico >= 0),
        reserved_tokens INTEGER NOT NULL DEFAULT 0 CHECK (reserved_tokens >= 0),
        reserved_pico INTEGER NOT NULL DEFAULT 0 CHECK (reserved_pico >= 0)
    ) WITHOUT ROWID""",
    """CREATE TABLE owner (
        id TEXT PRIMARY KEY, pid INTEGER NOT NULL, began_at TEXT NOT NULL, ended_at TEXT
    ) WITHOUT ROWID""",
    "CREATE INDEX owner_living ON owner (id) WHERE ended_at IS NULL",
    """CREATE TABLE run (
        id TEXT PRIMARY KEY, owner TEXT NOT NULL REFERENCES owner (id),
        began_at TEXT NOT NULL, ended_at TEXT
    ) WITHOUT ROWID""",
    """CREATE TABLE request (
        key TEXT PRIMARY KEY, form BLOB
    )""",
    """CREATE TABLE attempt (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        request_key TEXT NOT NULL REFERENCES request (key),
        run TEXT NOT NULL REFERENCES run (id),
        owner TEXT NOT NULL REFERENCES owner (id),
        chapter TEXT NOT NULL, section INTEGER NOT NULL, purpose TEXT NOT NULL,
        language TEXT NOT NULL, plan TEXT NOT NULL, model TEXT NOT NULL,
        scopes TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN
            ('reserved', 'sent', 'settled', 'released', 'unknown', 'reconciled')),
        prompt_estimate INTEGER NOT NULL, output_cap INTEGER NOT NULL,
        reserved_tokens INTEGER NOT NULL CHECK (reserved_tokens >= 0), reserved_pico INTEGER,
        prompt INTEGER NOT NULL DEFAULT 0, cached INTEGER NOT NULL DEFAULT 0,
        completion INTEGER NOT NULL DEFAULT 0, reasoning INTEGER NOT NULL DEFAULT 0,
        usage_source TEXT CHECK (usage_source IN ('provider', 'reservation', 'reconciled')),
        cost_pico INTEGER,
        failure TEXT, status INTEGER, message TEXT NOT NULL DEFAULT '',
        finish TEXT, answered_by TEXT NOT NULL DEFAULT '',
        provider_request_id TEXT NOT NULL DEFAULT '',
        reserved_at TEXT NOT NULL, sent_at TEXT, ended_at TEXT
    )""",
    """CREATE UNIQUE INDEX attempt_live ON attempt (request_key)
        WHERE state IN ('reserved', 'sent')""",
    "CREATE INDEX attempt_live_model ON attempt (model) WHERE state IN ('reserved', 'sent')",
    "CREATE INDEX attempt_live_owner ON attempt (owner) WHERE state IN ('reserved', 'sent')",
    "CREATE INDEX attempt_unknown ON attempt (request_key) WHERE state = 'unknown'",
    "CREATE INDEX attempt_place ON attempt (chapter, section)",
    "CREATE INDEX attempt_rate ON attempt (model, reserved_at)",
    """CREATE TABLE event (
        seq INTEGER PRIMARY KEY,
        attempt TEXT NOT NULL REFERENCES attempt (id),
        state TEXT NOT NULL, at TEXT NOT NULL, detail TEXT NOT NULL DEFAULT ''
    )""",
    "CREATE INDEX event_attempt ON event (attempt)",
    """CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event
        BEGIN SELECT RAISE (ABORT, 'the history of an attempt is never changed'); END""",
    """CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event
        BEGIN SELECT RAISE (ABORT, 'the history of an attempt is never deleted'); END""",
    """CREATE TABLE answer (
        request_key TEXT PRIMARY KEY REFERENCES request (key),
        attempt TEXT NOT NULL REFERENCES attempt (id),
        text TEXT, sha256 TEXT NOT NULL, finish TEXT NOT NULL, model TEXT NOT NULL
    )""",
    """CREATE TABLE question (
        key TEXT PRIMARY KEY, request_key TEXT NOT NULL REFERENCES request (key)
    ) WITHOUT ROWID""",
    "CREATE TABLE pause (model TEXT PRIMARY KEY, until TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE edition (
        chapter TEXT NOT NULL, section INTEGER NOT NULL, number INTEGER NOT NULL,
        instruction TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (chapter, section)
    ) WITHOUT ROWID""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST,)
"""Statements that lead from version n to n + 1. Append only; never edit one that was released."""

VERSION = len(MIGRATIONS)

_MEANINGS = {
    sqlite3.SQLITE_BUSY: "locked by another program; close what has it open and run again",
    sqlite3.SQLITE_LOCKED: "locked by another program; close what has it open and run again",
    sqlite3.SQLITE_READONLY: "cannot be written; make it and its folder writable",
    sqlite3.SQLITE_PERM: "cannot be written; make it and its folder writable",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; make its folder exist and be writable",
    sqlite3.SQLITE_FULL: "the disk is full; free some space and run again, nothing is lost",
    sqlite3.SQLITE_IOERR: "the disk cannot be read or written; check it, and keep the ledger "
    "on a local disk",
    sqlite3.SQLITE_PROTOCOL: "the disk cannot lock files, as some network disks cannot; keep "
    "the workspace on a local disk",
    sqlite3.SQLITE_CORRUPT: "damaged; `expand ledger verify` says how far, and a copy or an "
    "export can be imported into a new ledger",
    sqlite3.SQLITE_NOTADB: "not a ledger, or its first page is damaged; move it away, or "
    "point to another workspace",
}


class LedgerBusyError(LedgerError):
    """The ledger cannot be written at the moment: locked, or the disk is full. Nothing changed,
    and the same write may succeed later.
    """


@contextlib.contextmanager
def mapped(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise into ``LedgerError``; defects pass through."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code == sqlite3.SQLITE_ERROR and isinstance(error, sqlite3.OperationalError):
            damaged = _MEANINGS[sqlite3.SQLITE_CORRUPT]
            raise LedgerError(f"{path}: {error}: {damaged}") from error
        if code not in _MEANINGS:
            raise
        kind = (
            LedgerBusyError
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL)
            else LedgerError
        )
        raise kind(f"{path}: {_MEANINGS[code]}") from error
    except UnicodeDecodeError as error:
        raise LedgerError(f"{path}: {_MEANINGS[sqlite3.SQLITE_CORRUPT]}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LedgerBusyError(f"{path}: {_MEANINGS[sqlite3.SQLITE_FULL]}") from error
        reason = error.strerror or str(error)
        raise LedgerError(f"{path}: {reason}; make its folder exist and be writable") from error


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it already
            connection.execute("ROLLBACK")
        raise


def _connect(address: str, patience_seconds: float, *, uri: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(address, timeout=patience_seconds, isolation_level=None, uri=uri)
    connection.row_factory = sqlite3.Row
    return connection


def _uri(path: Path, query: str) -> str:
    return f"{path.absolute().as_uri()}?{query}"


def connect(path: Path, patience_seconds: float) -> sqlite3.Connection:
    """Open the ledger for writing, creating it (mode 0600) and bringing it up to date.

    Raises ``LedgerError``.
    """
    with mapped(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
        connection = _connect(str(path), patience_seconds, uri=False)
    try:
        with mapped(path):
            _prepare(connection, path, patience_seconds)
            _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _turn_to_wal(connection: sqlite3.Connection, patience_seconds: float) -> str:
    """The journal's mode afterwards. SQLite does not wait here by itself, so this does: several
    processes may be opening a new ledger at once.
    """
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _prepare(connection: sqlite3.Connection, path: Path, patience_seconds: float) -> None:
    check_identity(connection, path)
    mode = _turn_to_wal(connection, patience_seconds)
    if mode != "wal":
        raise LedgerError(
            f"{path}: the disk cannot hold a write-ahead log, as some network disks cannot; "
            "keep the workspace on a local disk"
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


_IDENTITY = (
    "SELECT user_version, application_id, (SELECT count(*) FROM sqlite_master)"
    " FROM pragma_user_version, pragma_application_id"
)
"""One statement, so that a file that another process is just making is seen whole."""


def check_identity(connection: sqlite3.Connection, path: Path) -> int:
    """The ledger's version. Raises ``LedgerError`` for a foreign file or a newer ledger."""
    version, application, tables = connection.execute(_IDENTITY).fetchone()
    if application != APPLICATION_ID and (application or version or tables):
        raise LedgerError(
            f"{path}: a database, but not a ledger; move it away, or point to another workspace"
        )
    _refuse_newer(version, path)
    return int(version)


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """Raise ``LedgerError`` when another process has made a newer ledger of it meanwhile."""
    _refuse_newer(connection.execute("PRAGMA user_version").fetchone()[0], path)


def _refuse_newer(version: int, path: Path) -> None:
    if version > VERSION:
        raise LedgerError(
            f"{path}: version {version} was written by a newer expand, this one knows up to "
            f"{VERSION}; upgrade it"
        )


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    if check_identity(connection, path) == VERSION:
        return
    with transaction(connection):
        version = check_identity(connection, path)
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def connect_read_only(path: Path, patience_seconds: float) -> sqlite3.Connection:
    """Open an existing file for reading, without a check of what it is. Raises ``LedgerError``.

    A folder that cannot be written gets no lock files, so there the file is read as it lies.
    """
    with mapped(path):
        connection = _connect(_uri(path, "mode=ro"), patience_seconds, uri=True)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            connection.close()
            if error.sqlite_errorcode & 0xFF not in (
                sqlite3.SQLITE_CANTOPEN,
                sqlite3.SQLITE_READONLY,
            ):
                raise
            log = path.with_name(f"{path.name}-wal")
            if log.exists() and log.stat().st_size:
                raise LedgerError(
                    f"{path}: its newest entries are in {log.name}, which cannot be read where "
                    "nothing can be written; make the folder writable, or copy it elsewhere"
                ) from error
            connection = _connect(_uri(path, "mode=ro&immutable=1"), patience_seconds, uri=True)
        except BaseException:
            connection.close()
            raise
    return connection
