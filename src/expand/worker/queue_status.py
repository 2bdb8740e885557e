"""Where every job of the queue stands, and who works at it. Values only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

import psycopg
from psycopg.rows import dict_row

from expand.schema import Json
from expand.worker.jobs import SectionJob

JobState = Literal["queued", "running", "stalled", "done", "failed"]
"""``stalled`` is in the hands of a worker that gives no sign of life."""
STATES: tuple[JobState, ...] = get_args(JobState)


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """What a worker last said of a job. Tokens and attempts are those of its last go at it."""

    worker: str = ""
    message: str = ""
    lines: int = 0
    attempts: int = 0
    answers: int = 0
    tokens: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class JobEntry:
    """One job. ``worker`` has it now, or had it last, "" before anybody took it; ``since`` is when
    it came into its state.
    """

    job: SectionJob
    state: JobState
    worker: str
    since: datetime | None
    taken: int
    word: Word

    def as_json(self) -> dict[str, Json]:
        """The entry as ``expand worker --status --json`` lists it."""
        job, word = self.job, self.word
        return {
            "chapter": job.chapter,
            "section": job.section,
            "plan": job.options.plan.value,
            "language": job.options.language,
            "edition": job.edition,
            "model": job.model,
            "target_lines": job.lines,
            "state": self.state,
            "worker": self.worker,
            "since": None if self.since is None else self.since.isoformat(timespec="seconds"),
            "taken": self.taken,
            "lines": word.lines,
            "attempts": word.attempts,
            "answers": word.answers,
            "tokens": word.tokens,
            "message": word.message,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerEntry:
    """One worker that is at work, or was taken for dead. ``silent_seconds``: since its last sign of
    life.
    """

    name: str
    model: str
    silent_seconds: float
    alive: bool
    running: int

    def as_json(self) -> dict[str, Json]:
        """The worker as ``expand worker --status --json`` lists it."""
        return {
            "name": self.name,
            "model": self.model,
            "alive": self.alive,
            "silent_seconds": round(self.silent_seconds, 1),
            "running": self.running,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueStatus:
    """The whole queue."""

    entries: Sequence[JobEntry] = ()
    workers: Sequence[WorkerEntry] = ()

    @property
    def counts(self) -> Mapping[JobState, int]:
        """How many jobs are in each state."""
        found = Counter(entry.state for entry in self.entries)
        return {state: found[state] for state in STATES}

    def as_json(self) -> dict[str, Json]:
        """The object that ``expand worker --status --json`` prints."""
        counts: dict[str, Json] = dict(self.counts.items())
        return {
            **counts,
            "workers": [worker.as_json() for worker in self.workers],
            "jobs": [entry.as_json() for entry in self.entries],
        }


# The census: every job and every worker as the database has them at one moment.

_ENTRIES = """
SELECT job.args, job.status::text, job.attempts, job.worker_id,
       coalesce(queue_worker.name, '') AS name,
       beat.last_heartbeat >= now() - make_interval(secs => %(silent)s) AS alive,
       event.at, queue_word.worker, queue_word.message, queue_word.lines,
       queue_word.attempts AS sent, queue_word.answers, queue_word.tokens
  FROM procrastinate_jobs AS job
  LEFT JOIN procrastinate_workers AS beat ON beat.id = job.worker_id
  LEFT JOIN queue_worker ON queue_worker.id = job.worker_id
  LEFT JOIN queue_word ON queue_word.job_id = job.id
  LEFT JOIN LATERAL (
       SELECT max(at) AS at FROM procrastinate_events
        WHERE job_id = job.id AND type <> 'scheduled') AS event ON true
 WHERE job.task_name = %(task)s
 ORDER BY job.id
"""

_WORKERS = """
SELECT coalesce(queue_worker.name, 'worker ' || beat.id) AS name,
       coalesce(queue_worker.model, '') AS model,
       extract(epoch FROM now() - beat.last_heartbeat)::float8 AS silent_seconds,
       beat.last_heartbeat >= now() - make_interval(secs => %(silent)s) AS alive,
       (SELECT count(*)::int FROM procrastinate_jobs
         WHERE worker_id = beat.id AND status = 'doing') AS running
  FROM procrastinate_workers AS beat
  LEFT JOIN queue_worker ON queue_worker.id = beat.id
 ORDER BY beat.id
"""


async def taken(connection: psycopg.AsyncConnection[Any], task: str, silent_seconds: float) -> QueueStatus:
    """Where every job of a task stands, in the order in which they were put up."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_ENTRIES, {"silent": silent_seconds, "task": task})
        entries = tuple(_entry(row) for row in await cursor.fetchall())
        await cursor.execute(_WORKERS, {"silent": silent_seconds})
        workers = tuple(WorkerEntry(**row) for row in await cursor.fetchall())
    return QueueStatus(entries=entries, workers=workers)


def _entry(row: dict[str, Any]) -> JobEntry:
    state: JobState
    match row["status"]:
        case "todo":
            state = "queued"
        case "doing":
            state = "running" if row["alive"] else "stalled"
        case "succeeded":
            state = "done"
        case _:
            state = "failed"
    word = Word()
    if row["worker"] is not None:
        word = Word(
            worker=row["worker"],
            message=row["message"],
            lines=row["lines"],
            attempts=row["sent"],
            answers=row["answers"],
            tokens=row["tokens"],
        )
    return JobEntry(
        job=SectionJob.of(row["args"]),
        state=state,
        worker=row["name"] if state in ("running", "stalled") else word.worker,
        since=row["at"],
        taken=row["attempts"] + (state in ("running", "stalled")),
        word=word,
    )
