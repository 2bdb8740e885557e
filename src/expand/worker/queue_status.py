"""Where every job of the queue stands, and who works at it: read in two statements, shown as JSON."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, get_args

import psycopg
from psycopg.rows import dict_row

from expand.schema import Json
from expand.worker.jobs import SectionJob

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


_JOBS = """
SELECT job.args, job.status::text, job.attempts, job.worker_id,
       coalesce(queue_worker.name, '') AS name,
       beat.last_heartbeat >= now() - make_interval(secs => %(silent)s) AS alive,
       event.at, to_jsonb(queue_word) - 'job_id' AS note
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
