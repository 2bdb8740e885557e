"""The census: every job and every worker as the database has them at one moment."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row

from expand.queueing.job import SectionJob
from expand.queueing.roster import Entry, JobState, Roster, Word, WorkerEntry

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


async def taken(
    connection: psycopg.AsyncConnection[Any], task: str, silent_seconds: float
) -> Roster:
    """Where every job of a task stands, in the order in which they were put up."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_ENTRIES, {"silent": silent_seconds, "task": task})
        entries = tuple(_entry(row) for row in await cursor.fetchall())
        await cursor.execute(_WORKERS, {"silent": silent_seconds})
        workers = tuple(WorkerEntry(**row) for row in await cursor.fetchall())
    return Roster(entries=entries, workers=workers)


def _entry(row: dict[str, Any]) -> Entry:
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
    return Entry(
        job=SectionJob.of(row["args"]),
        state=state,
        worker=row["name"] if state in ("running", "stalled") else word.worker,
        since=row["at"],
        taken=row["attempts"] + (state in ("running", "stalled")),
        word=word,
    )
