"""The board: the queue's jobs in the database. Puts them up, looks at them, takes them back.

Whatever changes the queue as a whole is one transaction under one lock, so that two who put up the
same sections at once, or find the same stalled job, follow one another.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from procrastinate import App, PsycopgConnector, exceptions, sql
from procrastinate.jobs import Job
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from expand.errors import LedgerError
from expand.ledger.postgres_session import SILENT_SECONDS
from expand.ledger_location import Server
from expand.worker import queue_schema, queue_status
from expand.worker.jobs import SectionJob
from expand.worker.queue_status import QueueStatus, Word

TASK = "expand.section"
QUEUE = "sections"
CONNECTIONS = 3
PUT_AT_ONCE = 1000
_WAITING = ("todo", "doing")


@dataclass(frozen=True, kw_only=True, slots=True)
class Enqueued:
    """What became of jobs that were to be put up. ``withdrawn`` counts older jobs for the same
    sections that nobody had begun.
    """

    queued: tuple[SectionJob, ...] = ()
    there: tuple[SectionJob, ...] = ()
    done: tuple[SectionJob, ...] = ()
    withdrawn: int = 0


class QueueError(LedgerError):
    """The queue cannot be reached or used at the moment."""


class JobQueue:
    """The queue, open. ``app`` is procrastinate's."""

    def __init__(self, server: Server, pool: AsyncConnectionPool[Any], app: App) -> None:
        self.app = app
        self.name = str(server)
        self.schema = queue_schema.schema_of(server)
        self._pool = pool

    # --- putting up ------------------------------------------------------------------------------

    async def put(self, jobs: Sequence[SectionJob]) -> Enqueued:
        """Put jobs up, each unless the same is there or done already. A job for the same section
        made from something else gives way if nobody has begun it. Raises ``QueueError``.
        """
        async with self._locked() as connection:
            by_lock, outdated = await self._known(connection, jobs)
            new = [job for job in jobs if job.lock not in by_lock]
            withdrawn = await _remove(connection, outdated)
            for at in range(0, len(new), PUT_AT_ONCE):
                await self.app.job_manager.batch_defer_jobs_async(
                    jobs=[
                        Job(
                            queue=QUEUE,
                            task_name=TASK,
                            lock=None,
                            queueing_lock=job.lock,
                            task_kwargs=job.as_json(),
                        )
                        for job in new[at : at + PUT_AT_ONCE]
                    ],
                    connection=connection,
                )
        return Enqueued(
            queued=tuple(new),
            there=tuple(job for job in jobs if by_lock.get(job.lock) in _WAITING),
            done=tuple(job for job in jobs if by_lock.get(job.lock) == "succeeded"),
            withdrawn=withdrawn,
        )

    async def _known(
        self, connection: psycopg.AsyncConnection[Any], jobs: Sequence[SectionJob]
    ) -> tuple[dict[str, str], list[int]]:
        """The status by lock of what is there, and the ids of what has to go."""
        wanted = {job.place: job.lock for job in jobs}
        found = await connection.execute(
            "SELECT id, status::text, queueing_lock FROM procrastinate_jobs"
            " WHERE task_name = %s AND args->>'chapter' = ANY(%s)",
            (TASK, sorted({job.chapter for job in jobs})),
        )
        by_lock: dict[str, str] = {}
        outdated: list[int] = []
        for number, status, lock in await found.fetchall():
            mine = wanted.get(lock.rpartition("/")[0])
            if mine is None:
                continue
            if status == "doing" and lock != mine:
                continue  # somebody is at it; what it buys is in the ledger
            if lock == mine and status in ("todo", "doing", "succeeded"):
                by_lock[lock] = status
            else:
                outdated.append(number)
        return by_lock, outdated

    async def withdraw(self, chapters: Sequence[str] | None = None) -> int:
        """Take back what nobody has begun, of some chapters or of all; how many it was."""
        async with self._locked() as connection:
            found = await connection.execute(
                "SELECT id FROM procrastinate_jobs WHERE task_name = %s AND status = 'todo'"
                " AND (%s::text[] IS NULL OR args->>'chapter' = ANY(%s))",
                (TASK, chapters, chapters),
            )
            return await _remove(connection, [row[0] for row in await found.fetchall()])

    # --- workers ---------------------------------------------------------------------------------

    async def sign(self, worker: int, *, name: str, model: str) -> None:
        """Write down who a worker of procrastinate's is."""
        async with self._connection() as connection:
            await connection.execute(
                "INSERT INTO queue_worker (id, name, model) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                (worker, name, model),
            )

    async def signed(self, worker: int) -> bool:
        """Whether a worker still counts as alive."""
        async with self._connection() as connection:
            found = await connection.execute("SELECT 1 FROM procrastinate_workers WHERE id = %s", (worker,))
            return await found.fetchone() is not None

    async def say(self, job_id: int, word: Word) -> None:
        """Write down what a worker says of a job."""
        async with self._connection() as connection:
            await connection.execute(
                "INSERT INTO queue_word VALUES (%s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (job_id) DO UPDATE SET worker = excluded.worker,"
                " message = excluded.message, lines = excluded.lines,"
                " attempts = excluded.attempts, answers = excluded.answers,"
                " tokens = excluded.tokens",
                (
                    job_id,
                    word.worker,
                    word.message,
                    word.lines,
                    word.attempts,
                    word.answers,
                    word.tokens,
                ),
            )

    async def reclaim(self, silent_seconds: float) -> tuple[SectionJob, ...]:
        """Put the jobs of workers without a sign of life back for others; which they were."""
        manager = self.app.job_manager
        async with self._locked() as connection:
            rows = await manager.connector.execute_query_all_async_with_connection(
                connection,
                query=sql.queries["select_stalled_jobs_by_heartbeat"],
                queue=QUEUE,
                task_name=TASK,
                seconds_since_heartbeat=silent_seconds,
            )
            for row in rows:
                await manager.connector.execute_query_all_async_with_connection(
                    connection,
                    query=sql.queries["retry_job"],
                    job_id=row["id"],
                    retry_at=None,
                    new_priority=None,
                    new_queue_name=None,
                    new_lock=None,
                )
            await manager.connector.execute_query_all_async_with_connection(
                connection,
                query=sql.queries["prune_stalled_workers"],
                seconds_since_heartbeat=silent_seconds,
            )
        return tuple(SectionJob.of(row["args"]) for row in rows)

    async def left(self, misfits: Iterable[int]) -> int:
        """How many jobs are queued or running, those with these ids aside while they are queued."""
        async with self._connection() as connection:
            found = await connection.execute(
                "SELECT count(*) FROM procrastinate_jobs WHERE task_name = %s AND"
                " (status = 'doing' OR status = 'todo' AND id <> ALL(%s::bigint[]))",
                (TASK, list(misfits)),
            )
            row = await found.fetchone()
            return int(row[0]) if row else 0

    # --- looking ---------------------------------------------------------------------------------

    async def roster(self, silent_seconds: float) -> QueueStatus:
        """Where every job stands, in the order in which they were put up."""
        async with self._connection() as connection:
            return await queue_status.taken(connection, TASK, silent_seconds)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        with mapped(self.name):
            async with self._pool.connection() as connection:
                yield connection

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        async with self._connection() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (queue_schema.lock_of(self.schema),))
            yield connection


async def _remove(connection: psycopg.AsyncConnection[Any], ids: Sequence[int]) -> int:
    """Remove jobs that nobody works at; how many of them were waiting."""
    if not ids:
        return 0
    found = await connection.execute(
        "DELETE FROM procrastinate_jobs WHERE id = ANY(%s) AND status <> 'doing' RETURNING status::text",
        (list(ids),),
    )
    return sum(row[0] == "todo" for row in await found.fetchall())


@contextmanager
def mapped(name: str) -> Any:
    """Turn what psycopg and procrastinate raise into ``QueueError``."""
    try:
        yield
    except (psycopg.Error, PoolTimeout, exceptions.ConnectorException) as error:
        cause = error.__cause__ or error
        said = str(cause).strip().partition("\n")[0] or type(cause).__name__
        raise QueueError(f"{name}: the queue cannot be used: {said}") from error


@asynccontextmanager
async def open_queue(server: Server) -> AsyncIterator[JobQueue]:
    """The queue of the ledger on ``server``, made and brought up to date as needed.

    Raises ``QueueError``, ``LedgerError``.
    """
    schema = queue_schema.schema_of(server)

    async def begin(connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.set_autocommit(True)
        await connection.execute("SELECT set_config('search_path', %s, false)", (schema,))

    options: dict[str, Any] = {
        "application_name": f"expand {schema}",
        "keepalives_idle": SILENT_SECONDS // 2,
        "keepalives_interval": SILENT_SECONDS // 6,
        "keepalives_count": 3,
        "tcp_user_timeout": SILENT_SECONDS * 1000,
    }
    connector = PsycopgConnector(
        conninfo=server.address,
        kwargs=options,
        min_size=1,
        max_size=CONNECTIONS,
        timeout=10.0,
        configure=begin,
        name=schema,
    )
    with mapped(str(server)):
        await connector.open_async()
    try:
        async with connector.pool.connection() as connection:
            with mapped(str(server)):
                await queue_schema.make(connection, schema, str(server))
        yield JobQueue(server, connector.pool, App(connector=connector))
    finally:
        await connector.close_async()
