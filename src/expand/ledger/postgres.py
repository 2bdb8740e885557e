"""The ledger in a schema of a PostgreSQL database, shared by workers on any number of machines.

A write takes one advisory lock, the ledger's, before anything else, so that writers follow one another as they do on a
file: what a write reads cannot change before it ends, and no two wait for each other in a circle.

An owner's mark of life is an advisory lock of its session. The server lets go of it when the connection ends, however
it ends; a machine that is gone is noticed by TCP keepalives within half a minute. A process that lost its connection
and lives takes up its mark again when it returns.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from expand.errors import LedgerError
from expand.ledger import migrations, postgres_session
from expand.ledger.database import REMAKE, Connection, LedgerBusyError
from expand.ledger.postgres_session import Session
from expand.ledger.sqlite import expected_schema
from expand.ledger_location import Server

CLOCK_SECONDS = 300.0
"""How long a process counts on from the server's clock before it looks at it again."""


RECONNECT_SECONDS = 0.25
"""How long to wait before trying to reach a server again."""


def open_server(server: Server, patience_seconds: float) -> PostgresDatabase:
    """Open the ledger for writing, created and brought up to date as needed. Raises ``LedgerError``."""
    database = PostgresDatabase(server, patience_seconds)
    try:
        database.migrate()
    except BaseException:
        database.close()
        raise
    return database


def read_server(server: Server, patience_seconds: float) -> PostgresDatabase | None:
    """The ledger for reading only, as it lies; None if there is none. Raises ``LedgerError``."""
    database = PostgresDatabase(server, patience_seconds, read_only=True)
    try:
        empty = database.tables()[0] == 0
    except BaseException:
        database.close()
        raise
    if empty:
        database.close()
        return None
    return database


def _key(*names: str) -> int:
    """The number of an advisory lock; they are shared by all who use the database."""
    digest = hashlib.sha256("\x00".join(("expand", *names)).encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


class PostgresDatabase:
    """A ledger's schema, open. Use it from one thread; it reconnects where a session was lost."""

    errors: tuple[type[BaseException], ...] = (psycopg.Error,)

    def __init__(self, server: Server, patience_seconds: float, *, read_only: bool = False) -> None:
        """Connect. Raises ``LedgerError``."""
        self.server = server
        self._patience = patience_seconds
        self._read_only = read_only
        self._key = _key("ledger", server.schema)
        self._owners: set[str] = set()
        self._closed = False
        self._made = False
        self._pipeline: psycopg.Pipeline | None = None
        self._then, self._read_at = datetime.now(UTC), time.monotonic()
        self._session = self._connect()

    @property
    def name(self) -> str:
        """The address, without a password."""
        return str(self.server)

    # --- time ------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The server's clock, which all workers share; read now and then, counted on between."""
        # One look every five minutes instead of one for each reservation: a round trip to a distant server takes longer
        # than all of the statements. Between looks the monotonic clock counts on, which no time service moves.
        if time.monotonic() - self._read_at > CLOCK_SECONDS and self._pipeline is None:
            with contextlib.suppress(LedgerError):
                self._read_clock(self._live())
        return self._then + timedelta(seconds=time.monotonic() - self._read_at)

    def _read_clock(self, session: Session) -> None:
        began = time.monotonic()
        with postgres_session.mapped(self.name):
            ((moment,),) = session.query("SELECT clock_timestamp()")
        self._then, self._read_at = moment.astimezone(UTC), (began + time.monotonic()) / 2

    # --- the session -----------------------------------------------------------------------------

    def _connect(self) -> Session:
        session = postgres_session.connect(self.server, self._patience, read_only=self._read_only)
        self._read_clock(session)
        return session

    def _live(self) -> Session:
        """The session; a new one where the old one was lost. Raises ``LedgerError``."""
        if self._closed:
            raise LedgerError(f"{self.name}: the ledger was closed")
        # Never within a transaction: a new session would not have its lock, and half of the writes would be gone.
        if self._pipeline is None and _lost(self._session.raw):
            self._session.raw.close()
            self._session = self._reconnect()
            for owner in self._owners:
                self._return(owner)
        return self._session

    def _reconnect(self) -> Session:
        """A new session, as soon as there can be one: a server may be starting again."""
        # A server that is restarted, say by its provider's maintenance, is back in seconds. Failing at once would end a
        # run of hours with everything in flight unknown.
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return self._connect()
            except LedgerBusyError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(RECONNECT_SECONDS)

    def _return(self, owner: str) -> None:
        """Take up a mark of life again; whoever put the owner's attempts in order meanwhile has done so, and it lives
        on without them."""
        with postgres_session.mapped(self.name):
            self._session.execute("SELECT pg_advisory_lock(?)", (self._owner_key(owner),))
            for table, column in (("owner", "id"), ("run", "owner")):
                self._session.execute(f"UPDATE {table} SET ended_at = NULL WHERE {column} = ?", (owner,))

    def discard(self) -> None:
        """End the session; remove the schema if opening it made it."""
        if self._made:
            with self.writing() as session:
                session.raw.execute(f'DROP SCHEMA "{self.server.schema}" CASCADE'.encode())
        self.close()

    def close(self) -> None:
        """End the session; harmless when repeated."""
        self._closed = True
        self._session.raw.close()

    # --- transactions ----------------------------------------------------------------------------

    def mapped(self) -> contextlib.AbstractContextManager[None]:
        """Turn what psycopg raises into the ledger's errors."""
        return postgres_session.mapped(self.name)

    def query(self, statement: str, values: Sequence[Any] = (), /) -> list[Any]:
        """The rows that one statement reads. Raises ``LedgerError``."""
        session = self._live()
        with postgres_session.mapped(self.name):
            return session.query(statement, values)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Session]:
        """Read all from one state, however long it takes. Raises ``LedgerError``."""
        session = self._live()
        with postgres_session.mapped(self.name):
            session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                session.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                yield session
            finally:
                if not session.raw.closed:
                    session.execute("ROLLBACK")

    @contextlib.contextmanager
    def writing(self) -> Iterator[Session]:
        """Write one transaction: all of it or nothing, durable when it ends. Raises ``LedgerError``.

        In pipeline mode, statements whose result nobody reads travel together: a distant server is asked a few times a
        transaction instead of a dozen."""
        session = self._live()
        raw = session.raw
        with postgres_session.mapped(self.name):
            try:
                with raw.pipeline() as self._pipeline:
                    raw.execute("BEGIN")
                    session.execute("SELECT pg_advisory_xact_lock(?)", (self._key,))
                    yield session
                    ended = raw.execute("COMMIT")
            finally:
                self._pipeline = None
                if not raw.closed:
                    raw.rollback()  # nothing after a commit
            if ended.statusmessage != "COMMIT":
                raise LedgerBusyError(f"{self.name}: the transaction was undone; run again")

    # --- what is there ---------------------------------------------------------------------------

    def tables(self) -> tuple[int, bool]:
        """How many tables the schema has (0 where it does not exist), and whether one makes it a ledger; in one
        statement, so that a schema that another process is just making is seen whole."""
        ((count, ours),) = self.query(
            "SELECT count(*), count(*) FILTER (WHERE relname = 'ledger_version') FROM pg_class"
            " JOIN pg_namespace ON pg_namespace.oid = relnamespace"
            " WHERE nspname = ? AND relkind IN ('r', 'p', 'v', 'm', 'f')",
            (self.server.schema,),
        )
        return count, ours > 0

    def version(self) -> int:
        """The ledger's version, 0 in an empty schema. Raises ``LedgerError`` for a newer one, and for a schema that
        holds something else."""
        count, ours = self.tables()
        if not ours and count:
            raise LedgerError(f"{self.name}: its tables are no ledger's; name another schema, such as ?schema=my_book")
        if not ours:
            return 0
        ((version,),) = self.query("SELECT max(version) FROM ledger_version")
        migrations.refuse_newer(version or 0, self.name)
        return version or 0

    def migrate(self) -> None:
        """Make the schema and bring it up to date, in one transaction. Raises ``LedgerError``."""
        if self.version() == migrations.VERSION:
            return
        raw = self._session.raw
        with postgres_session.mapped(self.name), raw.transaction():
            raw.execute("SELECT pg_advisory_xact_lock(%s)", (self._key,))
            version = self.version()
            if version == 0:
                self._create_schema()
                raw.execute("CREATE TABLE ledger_version (version BIGINT PRIMARY KEY)")
            for number, statements in enumerate(migrations.MIGRATIONS[version:], start=version + 1):
                for statement in statements:
                    for each in postgres_session.definition(statement):
                        raw.execute(each.encode())
                raw.execute("INSERT INTO ledger_version (version) VALUES (%s)", (number,))

    def _create_schema(self) -> None:
        raw = self._session.raw
        there = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
        if raw.execute(there, (self.server.schema,)).fetchone() is None:
            raw.execute(f'CREATE SCHEMA "{self.server.schema}"'.encode())
            self._made = True

    def prove_writable(self) -> None:
        """Write the version that is there already."""
        with self.writing() as session:
            session.execute("UPDATE ledger_version SET version = version")

    def damage(self, connection: Connection) -> Iterator[str]:
        """Rows that point nowhere, as they may after a careless restore, and tables, columns, indexes and triggers that
        are missing."""
        yield from self._missing(connection)
        found = connection.query(
            "SELECT child.relname AS child, parent.relname AS parent, a.attname AS here,"
            " b.attname AS there FROM pg_constraint c"
            " JOIN pg_class child ON child.oid = c.conrelid"
            " JOIN pg_class parent ON parent.oid = c.confrelid"
            " JOIN pg_namespace n ON n.oid = child.relnamespace"
            " JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]"
            " JOIN pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = c.confkey[1]"
            " WHERE c.contype = 'f' AND n.nspname = ? ORDER BY 1, 3",
            (self.server.schema,),
        )
        for child, parent, here, there in found:
            (lost,) = connection.execute(
                f"SELECT count(*) FROM {child} WHERE {here} IS NOT NULL AND NOT EXISTS"
                f" (SELECT 1 FROM {parent} WHERE {parent}.{there} = {child}.{here})"
            ).fetchone()
            for _ in range(lost):
                yield f"references: a row of {child} points to a row of {parent} that is not there"

    def _missing(self, connection: Connection) -> Iterator[str]:
        found = {
            tuple(row)
            for row in connection.query(
                "SELECT CASE relkind WHEN 'i' THEN 'index' ELSE 'table' END, relname FROM pg_class"
                " JOIN pg_namespace n ON n.oid = relnamespace LEFT JOIN pg_index ON indexrelid = pg_class.oid"
                " WHERE nspname = ? AND relkind IN ('r', 'i') AND indisvalid IS NOT FALSE"
                " UNION SELECT 'trigger', tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
                " JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = ? AND tgenabled <> 'D'",
                (self.server.schema, self.server.schema),
            )
        }
        for kind, name in expected_schema():
            if (kind, name) not in found:
                yield f"schema: the {kind} {name} is missing or switched off; {REMAKE}"

    # --- owners ----------------------------------------------------------------------------------

    def enter(self) -> str:
        """Begin to own attempts: take an advisory lock."""
        owner = os.urandom(6).hex()
        self.query("SELECT pg_advisory_lock(?)", (self._owner_key(owner),))
        self._owners.add(owner)
        return owner

    def leave(self, owner: str) -> None:
        """Let go of an owner's lock."""
        self._owners.discard(owner)
        self._unlock(owner)

    @contextlib.contextmanager
    def claim(self, owner: str) -> Iterator[bool]:
        """Whether the owner is dead: its lock can be taken."""
        ((dead,),) = self.query("SELECT pg_try_advisory_lock(?)", (self._owner_key(owner),))
        try:
            yield dead
        finally:
            if dead:
                self._unlock(owner)

    def _owner_key(self, owner: str) -> int:
        return _key("owner", self.server.schema, owner)

    def _unlock(self, owner: str) -> None:
        """Let go of a lock; a session that has ended holds none."""
        if self._closed or self._session.raw.closed:
            return
        with contextlib.suppress(LedgerBusyError):
            self.query("SELECT pg_advisory_unlock(?)", (self._owner_key(owner),))


def _lost(raw: psycopg.Connection[postgres_session.Row]) -> bool:
    """Whether the session has ended. What the other side has said meanwhile is looked at: that it has hung up is known
    before anything is written."""
    if raw.closed:
        return True
    try:
        while select.select([raw.pgconn.socket], [], [], 0)[0]:
            raw.pgconn.consume_input()  # its last words first, and then the end
            if raw.pgconn.status != psycopg.pq.ConnStatus.OK:
                return True
    except psycopg.OperationalError:
        return True
    return False
