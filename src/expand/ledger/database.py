"""The ledger's database: its tables, and how it is opened, written and read in one SQLite file.

The ledger's rules and their SQL are written once, in what SQLite and PostgreSQL have in common: ``?`` stands for a
value, and a row is read by name or position. ``postgres`` is the other back end, whose classes have the methods of
``SqliteDatabase`` and ``SqliteConnection``. No other module of this package knows which of them it talks to.

``data/migrations/<n>.sql`` leads from version n - 1 of the tables to n. Statements are written as SQLite takes them;
``postgres`` translates them. They only ever append, so that a process of an older version that is still running can go
on settling what it has in flight. Never edit a file that was released.

A batch is an owner as well, of the attempts in it: ``id`` is in both tables. Its ``submitting`` and its four counts are
an earlier version's.

The file is in WAL mode with ``synchronous=FULL``: a transaction that has been committed survives a killed process and a
lost power supply. ``PRAGMA user_version`` counts the migrations that have been applied. A write takes the file's one
write lock first (``BEGIN IMMEDIATE``), so whatever it reads cannot change before it ends.

An owner of attempts is a process, alive as long as it holds an operating-system lock on a file of its own. The lock is
taken before the owner's row is written to the ledger, and the kernel drops it when the process ends, however it ends.
So an owner whose lock can be taken by somebody else is dead for certain, and no clock or process id is consulted.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from expand.errors import LedgerError
from expand.ledger_location import LedgerPlace
from expand.paths import DATA

if TYPE_CHECKING:
    from filelock import FileLock

    from expand.ledger.postgres import PostgresDatabase, Session

Database: TypeAlias = "SqliteDatabase | PostgresDatabase"
"""An open database, for one thread. Its context managers turn driver errors into ``LedgerError``, and a broken
constraint into ``ConstraintError``. Defects in the code (a wrong number of values, say) pass through."""

Connection: TypeAlias = "SqliteConnection | Session"
"""What ``snapshot`` and ``writing`` hand out."""

Reader: TypeAlias = "Database | Connection"
"""What can be read from: an open database, or the connection of one transaction."""

PATIENCE_SECONDS = 30.0
"""How long a write waits for another process's to end."""

BUSY = "locked by another program; close what has it open and run again"
REMAKE = "export the ledger and import that into a new one: what the tables hold is checked, and they are made anew"
"""The remedy for tables, indexes and triggers that are not as the migrations make them."""

_APPLICATION_ID = 0x45585044
"""``EXPD``: how a ledger is told from any other database."""

VERSION = 2
MIGRATIONS = tuple(
    tuple((DATA / "migrations" / f"{version}.sql").read_text(encoding="utf-8").rstrip("\n;").split(";\n\n"))
    for version in range(1, VERSION + 1)
)
"""The statements of each migration."""

_FILES = ("", "-wal", "-shm")
"""What the names of the ledger's own files end in."""

_DAMAGED = "damaged; `expand ledger verify` says how far, and a copy or an export can be imported into a new ledger"
_MEANINGS = {
    sqlite3.SQLITE_BUSY: BUSY,
    sqlite3.SQLITE_LOCKED: BUSY,
    sqlite3.SQLITE_READONLY: "cannot be written; make it and its folder writable",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; make its folder exist and be writable",
    sqlite3.SQLITE_FULL: "the disk is full; free some space and run again",
    sqlite3.SQLITE_IOERR: "the disk cannot be read or written; check it, and keep the ledger on a local disk",
    sqlite3.SQLITE_PROTOCOL: "the disk cannot lock files, as some network disks cannot; keep a ledger on a local disk",
    sqlite3.SQLITE_NOTADB: "not a ledger, or its first page is damaged; move it away, or point to another workspace",
}
_PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL)


class LedgerBusyError(LedgerError):
    """The ledger cannot be written at the moment: it is locked or out of reach, or the disk is full. Nothing changed
    (or, where a connection broke in the middle, perhaps all of it did), and the same write may succeed later."""


class ConstraintError(Exception):
    """A row breaks a constraint of its table: a defect, unless the row came from outside."""


def connect(place: LedgerPlace, patience_seconds: float = PATIENCE_SECONDS, *, read_only: bool = False) -> Database:
    """Open the database at ``place``; for writing, create it and bring it up to date as needed. Raises
    ``LedgerError``."""
    database: Database
    if isinstance(place, Path):
        database = SqliteDatabase(place, patience_seconds, read_only=read_only)
    else:
        try:
            from expand.ledger.postgres import PostgresDatabase  # psycopg takes 0.1 s, and may be missing
        except ImportError as error:
            raise LedgerError(
                "a ledger on PostgreSQL needs the driver psycopg, which is not installed; "
                "pip install 'chapter-expand[postgres]'"
            ) from error
        database = PostgresDatabase(place, patience_seconds, read_only=read_only)
    try:
        if read_only:
            database.version()
        else:
            database.migrate()
    except BaseException:
        database.close()
        raise
    return database


def read(place: LedgerPlace) -> Database | None:
    """Open the database at ``place`` for reading, brought up to date as needed; None if there is none. Raises
    ``LedgerError``."""
    if isinstance(place, Path) and not place.exists():
        return None
    database = connect(place, read_only=True)
    version = database.version()
    if version == VERSION:
        return database
    database.close()
    if not version:
        return None
    connect(place).close()
    return read(place)


def known_version(version: int, name: str) -> int:
    """The version of a ledger. Raises ``LedgerError`` for one that only a newer expand knows."""
    if version > VERSION:
        raise LedgerError(
            f"{name}: version {version} was written by a newer expand, this one knows up to {VERSION}; upgrade it"
        )
    return version


class SqliteConnection(sqlite3.Connection):
    """A connection as the ledger's rules want it."""

    now: Callable[[], datetime]
    """The time, for what a transaction writes."""

    def query(self, statement: str, values: Sequence[Any] = (), /) -> list[Any]:
        """The rows that one statement reads."""
        return self.execute(statement, values).fetchall()

    def exact(self, text: str, /) -> str | bytes:
        """SQLite keeps any text."""
        return text


class SqliteDatabase:
    """A ledger's file, open. Use it from one thread; many processes may share the file."""

    def __init__(self, path: Path, patience_seconds: float, *, read_only: bool = False) -> None:
        """Open the file; for writing, create it (mode 0600) where there is none. Raises ``LedgerError``."""
        self.path = path
        self.name = str(path)
        self.clock: Callable[[], datetime] | None = None
        """What gives the time, in UTC; else this machine's clock does: only its own processes share the file."""
        self._patience = patience_seconds
        with self.mapped():
            if not read_only:
                self._make()
            self.connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}",
                timeout=patience_seconds,
                isolation_level=None,
                uri=True,
                factory=SqliteConnection,
            )
        self.connection.row_factory = sqlite3.Row
        self.connection.now = self.now
        self._locks: dict[str, FileLock] = {}
        self._files: tuple[tuple[int, int], tuple[int, int]] | None = None
        """Device and inode of the file and of its log, as they were at the first transaction."""
        self._bytes = 0
        """How large the file was at the last one. It only grows."""

    def _make(self) -> None:
        """Create the file unless it is there; it and its logs are for nobody else to read."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.path.exists():
            # Only then: closing a file that this process has open elsewhere would release SQLite's locks on it.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        for end in _FILES:
            with contextlib.suppress(FileNotFoundError):
                self.path.with_name(self.path.name + end).chmod(0o600)

    def now(self) -> datetime:
        """The time."""
        return self.clock() if self.clock is not None else datetime.now(UTC)

    @contextlib.contextmanager
    def mapped(self) -> Iterator[None]:
        """Turn what SQLite and the file system raise into ``LedgerError``; defects pass through."""
        try:
            yield
        except sqlite3.IntegrityError as error:
            raise ConstraintError(str(error)) from error
        except sqlite3.Error as error:
            if isinstance(error, sqlite3.ProgrammingError):
                raise
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            kind = LedgerBusyError if code in _PASSING else LedgerError
            raise kind(f"{self.path}: {_MEANINGS.get(code, f'{error}: {_DAMAGED}')}") from error
        except UnicodeDecodeError as error:
            raise LedgerError(f"{self.path}: {_DAMAGED}") from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise LedgerBusyError(f"{self.path}: {_MEANINGS[sqlite3.SQLITE_FULL]}") from error
            reason = error.strerror or str(error)
            raise LedgerError(f"{self.path}: {reason}; make its folder exist and be writable") from error

    def query(self, statement: str, values: Sequence[Any] = (), /) -> list[Any]:
        """The rows that one statement reads. Raises ``LedgerError``."""
        with self.mapped():
            return self.connection.query(statement, values)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[SqliteConnection]:
        """Read all from one state, mapped into memory and sorted there: with SQLite's own settings the sums of a report
        take twice as long. Raises ``LedgerError``."""
        with self.mapped():
            self.connection.execute(f"PRAGMA mmap_size = {1 << 30}")
            self.connection.execute("PRAGMA temp_store = MEMORY")
            self.connection.execute("BEGIN")
            try:
                yield self.connection
            finally:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def writing(self) -> Iterator[SqliteConnection]:
        """Write one transaction: all of it or nothing, durable when it ends. Raises ``LedgerError``, also for a file
        that is no longer the one that was opened."""
        with self.mapped():
            # IMMEDIATE takes the write lock now. A plain BEGIN takes it at the first write: what was read before may
            # then be out of date, and SQLite refuses the upgrade with BUSY, whatever the timeout.
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                self._check_in_place()
                yield self.connection
                self.connection.execute("COMMIT")
            # BaseException, since Ctrl-C may arrive between two statements: a transaction left open would lock out
            # every other process until this one exits.
            except BaseException:
                if self.connection.in_transaction:  # a full disk has ended it already
                    self.connection.execute("ROLLBACK")
                raise
            # Again, since a file that went away meanwhile took what was committed with it.
            self._check_in_place()

    def _check_in_place(self) -> None:
        """Raise ``LedgerError`` unless the path still leads to the file that is open. SQLite would go on writing to one
        that was deleted or replaced, and all of it would be gone when the process ends."""
        # By path only. To open the file once more and close it again would release the locks that SQLite holds on it,
        # since POSIX locks belong to the process.
        with contextlib.suppress(FileNotFoundError):
            file, log = (self.path.with_name(self.path.name + end).stat() for end in ("", "-wal"))
            found = ((file.st_dev, file.st_ino), (log.st_dev, log.st_ino))
            self._files = self._files or found
            if self._files == found and file.st_size >= self._bytes:
                self._bytes = file.st_size
                return
        raise LedgerError(
            f"{self.path}: it or its log was deleted, replaced or cut off while this process used it; leave the ledger "
            "alone while expand runs (do not check out, restore or synchronize .expand), put back the file that you "
            "want to go on with, and run again"
        )

    def version(self) -> int:
        """The ledger's version, 0 in an empty file. Raises ``LedgerError`` for a foreign file or a newer ledger."""
        with self.mapped():
            # One statement, so that a file that another process is just making is seen whole.
            version, application, tables = self.connection.execute(
                "SELECT user_version, application_id, (SELECT count(*) FROM sqlite_master)"
                " FROM pragma_user_version, pragma_application_id"
            ).fetchone()
        if application != _APPLICATION_ID and (application or version or tables):
            raise LedgerError(f"{self.path}: a database, but not a ledger; move it away, or point to another workspace")
        return known_version(version, self.name)

    def migrate(self) -> None:
        """Set the connection up for writing, and bring the file up to date. Raises ``LedgerError``."""
        version, connection = self.version(), self.connection  # a foreign file is refused before it is written to
        with self.mapped():
            if self._turn_to_wal() != "wal":
                raise LedgerError(
                    f"{self.path}: the disk cannot hold a write-ahead log, as some network disks cannot; "
                    "keep the workspace on a local disk"
                )
            # FULL, not WAL's usual NORMAL: that may lose the last commits in a power cut, and with them the proof that
            # a request was sent. It costs half a millisecond a commit.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
        if version < VERSION:
            with self.writing():
                # Looked at again under the lock: several processes may open an old ledger at the same time, and only
                # one may run the statements.
                for statement in itertools.chain.from_iterable(MIGRATIONS[self.version() :]):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {VERSION}")

    def _turn_to_wal(self) -> str:
        """The journal's mode afterwards. SQLite does not wait here by itself, so this does: several processes may be
        opening a new ledger at once."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return str(self.connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def damage(self) -> Iterator[str]:
        """What SQLite's own check finds, rows that point nowhere, and what of the tables is not as it was made."""
        for (line,) in self.connection.execute("PRAGMA integrity_check"):
            if line != "ok":
                yield f"integrity: {line}"
        for row in self.connection.execute("PRAGMA foreign_key_check"):
            yield f"references: a row of {row[0]} points to a row of {row[2]} that is not there"
        made, found = tables().schema, _schema(self.connection)
        for (kind, name), definition in made.items():
            if found.get((kind, name)) != definition:
                yield f"schema: the {kind} {name} is {'altered' if (kind, name) in found else 'missing'}; {REMAKE}"
        for kind, name in found.keys() - made.keys():
            yield f"schema: the {kind} {name} is not the ledger's own; {REMAKE}"

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    # --- owners -----------------------------------------------------------------------------------

    def enter(self) -> str:
        """Begin to own attempts: take a lock beside the file."""
        owner = os.urandom(6).hex()
        with self.mapped():
            self._locks[owner] = lock = self._lock(owner)
            lock.acquire()
        return owner

    def leave(self, owner: str) -> None:
        """Give the owner's lock up and remove its file."""
        self._locks.pop(owner).release(force=True)
        self._lock_path(owner).unlink(missing_ok=True)

    @contextlib.contextmanager
    def claim(self, owner: str) -> Iterator[bool]:
        """Whether the owner is dead: its lock can be taken. Where the recovery of its attempts fails, the lock's file
        stays, and another process will try again."""
        with self.mapped():
            lock, dead = self._lock(owner), True
            try:
                lock.acquire()
            except TimeoutError:
                dead = False
        try:
            yield dead
            if dead:
                self._lock_path(owner).unlink(missing_ok=True)
        finally:
            lock.release(force=True)

    def _lock_path(self, owner: str) -> Path:
        return self.path.parent / "owners" / f"{owner}.lock"

    def _lock(self, owner: str) -> FileLock:
        from filelock import FileLock  # it loads asyncio, 0.1 s, and reports only read

        path = self._lock_path(owner)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # No soft lock, which outlives its process and so would say nothing.
        return FileLock(path, timeout=0, mode=0o600, thread_local=False, fallback_to_soft=False)


class Tables(NamedTuple):
    """What the migrations make. ``schema``: each table's, index's and trigger's kind and name, and its definition.
    ``columns``: of each table, in order, each with its type."""

    schema: Mapping[tuple[str, str], str]
    columns: Mapping[str, Mapping[str, str]]


@cache
def tables() -> Tables:
    """The tables as this version makes them, in an empty database."""
    with contextlib.closing(sqlite3.connect(":memory:")) as empty:
        for statement in itertools.chain.from_iterable(MIGRATIONS):
            empty.execute(statement)
        schema = _schema(empty)
        names = [name for kind, name in schema if kind == "table"]
        columns = {name: {row[1]: row[2] for row in empty.execute(f"PRAGMA table_info({name})")} for name in names}
        return Tables(schema, columns)


def _schema(connection: sqlite3.Connection) -> Mapping[tuple[str, str], str]:
    found = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
    return {(kind, name): " ".join(str(definition).split()) for kind, name, definition in found}
