"""The queue's schema in the ledger's database: procrastinate's tables, and what is said of jobs.

It is made when somebody first needs it, beside the ledger's own schema and named after it, so that
two books, and other programs that use procrastinate, do not mix.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import psycopg
from procrastinate.schema import SchemaManager, migrations_path

from expand.errors import LedgerError
from expand.ledger_location import Server

_SUFFIX = "_queue"
_LONGEST = 63
_OURS = (
    "CREATE TABLE queue_version (migration TEXT NOT NULL)",
    "CREATE TABLE queue_worker ("
    " id BIGINT PRIMARY KEY, name TEXT NOT NULL, model TEXT NOT NULL,"
    " began_at TIMESTAMPTZ NOT NULL DEFAULT now())",
    "CREATE TABLE queue_word ("
    " job_id BIGINT PRIMARY KEY REFERENCES procrastinate_jobs ON DELETE CASCADE,"
    " worker TEXT NOT NULL, message TEXT NOT NULL, lines INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL, answers INTEGER NOT NULL, tokens BIGINT NOT NULL)",
)


def schema_of(server: Server) -> str:
    """The name of the queue's schema."""
    name = server.schema + _SUFFIX
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(server.schema.encode()).hexdigest()[:8]
    return f"{server.schema[: _LONGEST - len(_SUFFIX) - 9]}_{digest}{_SUFFIX}"


def lock_of(schema: str) -> int:
    """The advisory lock that whoever changes the queue as a whole takes first."""
    digest = hashlib.sha256(f"expand queue\0{schema}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


async def there(connection: psycopg.AsyncConnection[Any], schema: str) -> bool:
    """Whether the queue was ever made."""
    found = await connection.execute("SELECT to_regclass(%s) IS NOT NULL", (f'"{schema}".queue_version',))
    row = await found.fetchone()
    return bool(row and row[0])


async def make(connection: psycopg.AsyncConnection[Any], schema: str, name: str) -> None:
    """Make the queue, or bring it up to date. ``name`` is what messages call the database.

    Raises ``LedgerError`` when a newer version has made it.
    """
    migrations = sorted(path.name for path in Path(migrations_path).glob("*.sql"))
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock_of(schema),))
        if not await there(connection, schema):
            await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'.encode())
            await connection.execute(SchemaManager.get_schema().encode())
            for statement in _OURS:
                await connection.execute(statement.encode())
            await _note(connection, migrations[-1])
            return
        found = await connection.execute("SELECT migration FROM queue_version")
        row = await found.fetchone()
        latest = row[0] if row else ""
        if latest > migrations[-1]:
            raise LedgerError(
                f"{name}: the queue was made by a newer version ({latest}); "
                "run `pip install -U 'chapter-expand[queue]'`"
            )
        for migration in migrations:
            if migration > latest:
                text = (Path(migrations_path) / migration).read_text(encoding="utf-8")
                await connection.execute(text.encode())
        if latest != migrations[-1]:
            await _note(connection, migrations[-1])


async def _note(connection: psycopg.AsyncConnection[Any], migration: str) -> None:
    await connection.execute("DELETE FROM queue_version")
    await connection.execute("INSERT INTO queue_version VALUES (%s)", (migration,))
