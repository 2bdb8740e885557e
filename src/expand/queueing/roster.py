"""Where every job of the queue stands, and who works at it. Values only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from expand.completion import Json
from expand.queueing.job import SectionJob

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
class Entry:
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
            "plan": job.plan.value,
            "language": job.language,
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
class Roster:
    """The whole queue."""

    entries: Sequence[Entry] = ()
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
