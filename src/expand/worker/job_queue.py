"""The queue's jobs in the database, kept by procrastinate: put them up, look at them, take them back.

The tables are in a schema beside the ledger's own and named after it, so that two books, and other programs that use
procrastinate, do not mix. Whatever changes the queue as a whole is one transaction under one advisory lock, so that
two processes that queue the same sections at once, or find the same stalled job, follow one another.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, astuple, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

import psycopg
from procrastinate import App, PsycopgConnector, exceptions
from procrastinate.jobs import Job
from procrastinate.schema import SchemaManager, migrations_path
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from expand.errors import LedgerError
from expand.ledger.postgres import SILENT_SECONDS
from expand.ledger_location import Server
from expand.paths import DATA
from expand.schema import Json
from expand.worker.jobs import SectionJob

TASK = "expand.section"
QUEUE = "sections"
CONNECTIONS = 3
_WAITING = ("todo", "doing")

_SUFFIX = "_queue"
_LONGEST_NAME = 63
_OWN_TABLES = (DATA / "queue_tables.sql").read_text(encoding="utf-8").split(";\n\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class Enqueued:
    """What became of jobs that were to be queued: new ones, those that ``waiting`` or ``done`` jobs ask for already.
    ``withdrawn`` counts older jobs for the same sections that nobody had begun."""

    queued: tuple[SectionJob, ...] = ()
    waiting: tuple[SectionJob, ...] = ()
    done: tuple[SectionJob, ...] = ()
    withdrawn: int = 0


class QueueError(LedgerError):
    """The queue cannot be reached or used at the moment."""


class JobQueue:
    """The queue, open. ``app`` is procrastinate's. Every method raises ``QueueError``."""

    def __init__(self, server: Server, pool: AsyncConnectionPool[Any], app: App) -> None:
        self.app = app
        self.name = str(server)
        self._schema = schema_of(server)
        self._pool = pool

    async def put(self, jobs: Sequence[SectionJob]) -> Enqueued:
        """Queue jobs, each unless the same is queued or done already. An older job for the same section, made from
        something else, is withdrawn if nobody has begun it."""
        async with self._locked() as connection:
            known, outdated = await _known(connection, jobs)
            new = [job for job in jobs if job.lock not in known]
            withdrawn = await _remove(connection, outdated)
            await self.app.job_manager.batch_defer_jobs_async(
                jobs=[
                    Job(queue=QUEUE, task_name=TASK, lock=None, queueing_lock=job.lock, task_kwargs=job.as_json())
                    for job in new
                ],
                connection=connection,
            )
        return Enqueued(
            queued=tuple(new),
            waiting=tuple(job for job in jobs if known.get(job.lock) in _WAITING),
            done=tuple(job for job in jobs if known.get(job.lock) == "succeeded"),
            withdrawn=withdrawn,
        )

    async def withdraw(self, chapters: Sequence[str] | None = None) -> int:
        """Take back what nobody has begun, of some chapters or of all; how many jobs it was."""
        named = None if chapters is None else list(chapters)
        async with self._locked() as connection:
            found = await connection.execute(
                "SELECT id FROM procrastinate_jobs WHERE task_name = %s AND status = 'todo'"
                " AND (%s::text[] IS NULL OR args->>'chapter' = ANY(%s))",
                (TASK, named, named),
            )
            return await _remove(connection, [row[0] for row in await found.fetchall()])

    async def register(self, worker: int, *, name: str, model: str) -> None:
        """Write down who a worker of procrastinate's is."""
        async with self._connection() as connection:
            await connection.execute(
                "INSERT INTO queue_worker (id, name, model) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                (worker, name, model),
            )

    async def note(self, job_id: int, note: JobNote) -> None:
        """Write down what a worker notes about a job, in the place of what was noted before."""
        async with self._connection() as connection:
            await connection.execute(
                "INSERT INTO queue_word (job_id, worker, message, lines, attempts, answers, tokens)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (job_id) DO UPDATE SET"
                " (worker, message, lines, attempts, answers, tokens) = (excluded.worker, excluded.message,"
                " excluded.lines, excluded.attempts, excluded.answers, excluded.tokens)",
                (job_id, *astuple(note)),
            )

    async def reclaim(self, silent_seconds: float) -> tuple[SectionJob, ...]:
        """Queue the jobs of workers without a sign of life again; which they were. Under the lock, since a job that
        two processes put back could be taken from a living worker that took it in between."""
        manager = self.app.job_manager
        async with self._locked():
            jobs = list(
                await manager.get_stalled_jobs(queue=QUEUE, task_name=TASK, seconds_since_heartbeat=silent_seconds)
            )
            for job in jobs:
                await manager.retry_job(job)
            await manager.prune_stalled_workers(silent_seconds)
        return tuple(SectionJob.of(job.task_kwargs) for job in jobs)

    async def look(self, worker: int | None, misfits: Iterable[int]) -> tuple[bool, int]:
        """Whether a worker still counts as alive, and how many jobs are queued or running, without those queued ones
        that have the ids of ``misfits``."""
        async with self._connection() as connection:
            found = await connection.execute(
                "SELECT EXISTS (SELECT FROM procrastinate_workers WHERE id = %s),"
                " (SELECT count(*) FROM procrastinate_jobs WHERE task_name = %s AND"
                " (status = 'doing' OR status = 'todo' AND id <> ALL(%s::bigint[])))",
                (worker, TASK, list(misfits)),
            )
            ((alive, left),) = await found.fetchall()
            return alive, left

    async def status(self, silent_seconds: float) -> QueueStatus:
        """Where every job stands, in the order in which they were queued."""
        async with self._connection() as connection:
            return await read_status(connection, TASK, silent_seconds)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        with _mapped(self.name):
            async with self._pool.connection() as connection:
                yield connection

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        async with self._connection() as connection, connection.transaction():
            await _lock(connection, self._schema)
            yield connection


@asynccontextmanager
async def open_queue(server: Server) -> AsyncIterator[JobQueue]:
    """The queue of the ledger on ``server``, made and brought up to date as needed.

    Raises ``QueueError``, and ``LedgerError`` when a newer version has made it."""
    schema = schema_of(server)

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
    with _mapped(str(server)):
        await connector.open_async()
    try:
        with _mapped(str(server)):
            async with connector.pool.connection() as connection:
                await _make(connection, schema, str(server))
        yield JobQueue(server, connector.pool, App(connector=connector))
    finally:
        await connector.close_async()


def schema_of(server: Server) -> str:
    """The name of the queue's schema."""
    name = server.schema + _SUFFIX
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(server.schema.encode()).hexdigest()[:8]
    return f"{server.schema[: _LONGEST_NAME - len(_SUFFIX) - 9]}_{digest}{_SUFFIX}"


async def _make(connection: psycopg.AsyncConnection[Any], schema: str, name: str) -> None:
    """Make the queue's tables, or bring procrastinate's up to date. ``name`` is what messages call the database."""
    migrations = {path.name: path for path in sorted(Path(migrations_path).glob("*.sql"))}
    newest = max(migrations)
    async with connection.transaction():
        await _lock(connection, schema)
        found = await connection.execute("SELECT to_regclass(%s)", (f'"{schema}".queue_version',))
        if await found.fetchone() == (None,):
            statements = [f'CREATE SCHEMA IF NOT EXISTS "{schema}"', SchemaManager.get_schema(), *_OWN_TABLES]
            latest = ""
        else:
            found = await connection.execute("SELECT migration FROM queue_version")
            ((latest,),) = await found.fetchall()
            statements = [path.read_text(encoding="utf-8") for file, path in migrations.items() if file > latest]
        if latest > newest:
            raise LedgerError(
                f"{name}: the queue was made by a newer version ({latest}); "
                "run `pip install -U 'chapter-expand[queue]'`"
            )
        for statement in statements:
            await connection.execute(statement.encode())
        if statements:
            await connection.execute("DELETE FROM queue_version")
            await connection.execute("INSERT INTO queue_version VALUES (%s)", (newest,))


async def _lock(connection: psycopg.AsyncConnection[Any], schema: str) -> None:
    """Take the lock of whoever changes the queue as a whole, until the transaction ends."""
    digest = hashlib.sha256(f"expand queue\0{schema}".encode()).digest()
    number = int.from_bytes(digest[:8], signed=True)
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (number,))


async def _known(
    connection: psycopg.AsyncConnection[Any], jobs: Sequence[SectionJob]
) -> tuple[dict[str, str], list[int]]:
    """The status by lock of what is there, and the ids of what has to go."""
    wanted = {job.place: job.lock for job in jobs}
    found = await connection.execute(
        "SELECT id, status::text, queueing_lock FROM procrastinate_jobs"
        " WHERE task_name = %s AND args->>'chapter' = ANY(%s)",
        (TASK, sorted({job.chapter for job in jobs})),
    )
    known: dict[str, str] = {}
    outdated: list[int] = []
    for number, status, lock in await found.fetchall():
        mine = wanted.get(lock.rpartition("/")[0])
        if lock == mine and status in ("todo", "doing", "succeeded"):
            known[lock] = status
        elif mine is not None and (lock == mine or status != "doing"):
            outdated.append(number)  # one at work stays: what it buys is in the ledger
    return known, outdated


async def _remove(connection: psycopg.AsyncConnection[Any], ids: Sequence[int]) -> int:
    """Remove jobs that nobody works at; how many of them were waiting."""
    found = await connection.execute(
        "DELETE FROM procrastinate_jobs WHERE id = ANY(%s) AND status <> 'doing' RETURNING status::text", (list(ids),)
    )
    return sum(row[0] == "todo" for row in await found.fetchall())


@contextmanager
def _mapped(name: str) -> Iterator[None]:
    """Turn what psycopg and procrastinate raise into ``QueueError``."""
    try:
        yield
    except (psycopg.Error, PoolTimeout, exceptions.ConnectorException) as error:
        cause = error.__cause__ or error
        said = str(cause).strip().partition("\n")[0] or type(cause).__name__
        raise QueueError(f"{name}: the queue cannot be used: {said}") from error


JobState = Literal["queued", "running", "stalled", "done", "failed"]
"""``stalled``: its worker gives no sign of life."""
STATES: tuple[JobState, ...] = get_args(JobState)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobNote:
    """What a worker last noted about a job. Attempts, answers and tokens are those of its last try."""

    worker: str = ""
    message: str = ""
    lines: int = 0
    attempts: int = 0
    answers: int = 0
    tokens: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class JobStatus:
    """One job. ``worker`` has it now, or had it last, "" before anybody took it; ``since`` is when it came into its
    state; ``taken`` counts how often a worker took it."""

    job: SectionJob
    state: JobState
    worker: str
    since: datetime | None
    taken: int
    note: JobNote

    def as_json(self) -> dict[str, Json]:
        """The job as ``expand worker --status --json`` lists it."""
        job = self.job
        return {
            "chapter": job.chapter,
            "section": job.section,
            "plan": job.options.plan.value,
            "language": job.options.language,
            "edition": job.edition,
            "model": job.model,
            "target_lines": job.lines,
            "state": self.state,
            "since": None if self.since is None else self.since.isoformat(timespec="seconds"),
            "taken": self.taken,
            **asdict(self.note),
            "worker": self.worker,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerStatus:
    """One worker that is at work, or was taken for dead. ``silent_seconds``: since its last sign of life."""

    name: str
    model: str
    silent_seconds: float
    alive: bool
    running: int

    def as_json(self) -> dict[str, Json]:
        """The worker as ``expand worker --status --json`` lists it."""
        return {**asdict(self), "silent_seconds": round(self.silent_seconds, 1)}


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueStatus:
    """The whole queue, jobs in the order in which they were queued."""

    jobs: Sequence[JobStatus] = ()
    workers: Sequence[WorkerStatus] = ()
    exit_code: int = 0

    @property
    def counts(self) -> Mapping[JobState, int]:
        """How many jobs are in each state."""
        found = Counter(job.state for job in self.jobs)
        return {state: found[state] for state in STATES}

    def as_json(self) -> dict[str, Json]:
        """The object that ``expand worker --status --json`` prints."""
        counts: dict[str, Json] = dict(self.counts.items())
        return {
            **counts,
            "workers": [worker.as_json() for worker in self.workers],
            "jobs": [job.as_json() for job in self.jobs],
        }


_JOBS, _WORKERS = (DATA / "queue_status.sql").read_text(encoding="utf-8").split(";\n\n")


async def read_status(connection: psycopg.AsyncConnection[Any], task: str, silent_seconds: float) -> QueueStatus:
    """Where every job of a task stands at this moment."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_JOBS, {"silent": silent_seconds, "task": task})
        jobs = tuple(_job(row) for row in await cursor.fetchall())
        await cursor.execute(_WORKERS, {"silent": silent_seconds})
        workers = tuple(WorkerStatus(**row) for row in await cursor.fetchall())
    return QueueStatus(jobs=jobs, workers=workers)


def _job(row: dict[str, Any]) -> JobStatus:
    held = row["status"] == "doing"
    running: JobState = "running" if row["alive"] else "stalled"
    states: dict[str, JobState] = {"todo": "queued", "doing": running, "succeeded": "done"}
    note = JobNote(**(row["note"] or {}))
    return JobStatus(
        job=SectionJob.of(row["args"]),
        state=states.get(row["status"], "failed"),
        worker=row["name"] if held else note.worker,
        since=row["at"],
        taken=row["attempts"] + held,
        note=note,
    )
