"""Where tests keep ledgers: in a file, or a schema of a PostgreSQL server; how to meddle there.

A test that takes ``site`` (or ``postgres``) runs on a file, and again on PostgreSQL where there is
a server; import the fixtures that it needs from here.
"""

from __future__ import annotations

import secrets
import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import postgres_server
import pytest

from expand.ledger import Ledger
from expand.ledger_location import LedgerPlace, Server, is_server, read_server


def place_of(text: str) -> LedgerPlace:
    """The place that ``str(place)`` names; the servers of tests want no password."""
    return read_server(text) if is_server(text) else Path(text)


class Site(ABC):
    """Keeps the ledgers of one test. ``place`` is where the first one goes."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def place(self) -> LedgerPlace:
        """Where the test's ledger is."""

    @abstractmethod
    def another(self) -> LedgerPlace:
        """Where another ledger may go."""

    @abstractmethod
    def alter(self, *statements: str) -> None:
        """Change what the ledger holds behind its back, references aside."""

    @abstractmethod
    def query(self, statement: str) -> list[Sequence[Any]]:
        """What the database itself answers."""

    @abstractmethod
    def state_version(self, version: int) -> None:
        """Have the ledger say that it is of another version."""

    @abstractmethod
    def die(self, ledger: Ledger) -> None:
        """What is left of a ledger whose process was killed."""

    @abstractmethod
    def clear(self) -> None:
        """Remove what the test has made."""


class FileSite(Site):
    """A file of the test's own."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    @property
    def place(self) -> Path:
        return self._folder / ".expand" / "ledger.db"

    def another(self) -> Path:
        self._count += 1
        return self._folder / f"other {self._count}" / "ledger.db"

    def alter(self, *statements: str) -> None:
        connection = sqlite3.connect(self.place, isolation_level=None)
        connection.execute("PRAGMA foreign_keys = OFF")
        for statement in statements:
            connection.execute(statement)
        connection.close()

    def query(self, statement: str) -> list[Sequence[Any]]:
        connection = sqlite3.connect(self.place)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def state_version(self, version: int) -> None:
        self.alter(f"PRAGMA user_version = {version}")

    def die(self, ledger: Ledger) -> None:
        database: Any = ledger.database
        for lock in database._locks.values():
            lock.release(force=True)  # what the kernel does when a process dies
        ledger.database.close()

    def clear(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


class ServerSite(Site):
    """Schemas of the test's own on a server."""

    name = "postgresql"

    def __init__(self, address: str) -> None:
        self._address = address
        self._schemas: list[str] = []
        self._place = self.another()

    @property
    def place(self) -> Server:
        return self._place

    def another(self) -> Server:
        self._schemas.append(f"test_{secrets.token_hex(8)}")
        mark = "&" if "?" in self._address else "?"
        return read_server(f"{self._address}{mark}schema={self._schemas[-1]}")

    def alter(self, *statements: str) -> None:
        self._execute("SET session_replication_role = replica", *statements)

    def query(self, statement: str) -> list[Sequence[Any]]:
        return self._execute(statement)

    def state_version(self, version: int) -> None:
        self.alter("DELETE FROM ledger_version", f"INSERT INTO ledger_version VALUES ({version})")

    def die(self, ledger: Ledger) -> None:
        ledger.database.close()  # the server lets go of what the session held

    def hang_up(self) -> None:
        """Have the server end every session of the ledger, as a restart does."""
        self._execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            f" WHERE application_name = 'expand {self._place.schema}'"
        )

    def clear(self) -> None:
        """Remove what the test has made."""
        self._execute(*(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE' for schema in self._schemas))

    def _execute(self, *statements: str) -> list[Sequence[Any]]:
        import psycopg

        with psycopg.connect(self._address, autocommit=True) as connection:
            connection.execute(f'SET search_path = "{self._place.schema}"'.encode())
            connection.execute("SET client_min_messages = warning")
            for statement in statements:
                done = connection.execute(statement.encode())
            return list(done.fetchall()) if done.description else []


@pytest.fixture(scope="session")
def server_address() -> Iterator[str]:
    """A PostgreSQL server for this process's tests."""
    if not postgres_server.available():
        pytest.skip("PostgreSQL is not installed, and EXPAND_TEST_POSTGRES names no server")
    with postgres_server.running() as address:
        yield address


@pytest.fixture
def postgres(server_address: str) -> Iterator[ServerSite]:
    """Schemas on the server, removed afterwards."""
    site = ServerSite(server_address)
    yield site
    site.clear()


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """A place for ledgers, on each of the databases in turn."""
    if request.param == "sqlite":
        return FileSite(tmp_path)
    server: ServerSite = request.getfixturevalue("postgres")
    return server
