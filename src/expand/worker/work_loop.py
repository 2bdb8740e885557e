"""A worker: take jobs from the queue, have them bought, and note what became of each.

procrastinate takes the jobs and keeps the heartbeat. What is decided here: which jobs go back, when the jobs of silent
workers are taken back, when a worker that fits no job rests, and when the worker ends.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import Any, Literal

from procrastinate import JobContext, exceptions
from procrastinate.jobs import Job
from procrastinate.manager import JobManager
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from procrastinate.worker import Worker

from expand.budget import Balance
from expand.client.client import StoppedError
from expand.drafting.events import Event
from expand.drafting.model_setup import Authors, profile_of
from expand.drafting.results import balance_json
from expand.drafting.run_context import RunContext, UsageCounter, ignore_event, open_client, open_ledger
from expand.errors import AuthorError, BudgetExceededError, ExpandError, LedgerError
from expand.llm.types import Author
from expand.schema import Json
from expand.settings import Settings, require_author
from expand.worker.job_queue import QUEUE, TASK, JobNote, JobQueue, QueueError, open_queue
from expand.worker.jobs import SectionJob, server_of
from expand.worker.section_runner import MisfitError, SectionRunner, SupersededError
from expand.workspace import Workspace

SILENT_SECONDS = 30.0
"""How long a worker may give no sign of life before its jobs are taken back."""
POLL_SECONDS = 1.0
"""How often to look for jobs that were put back; new ones are announced."""
BEAT_SECONDS = 0.5
LONGEST_REST_SECONDS = 30.0
AWAY_SECONDS = 300.0
"""How long a worker waits for a database that is gone."""

Outcome = Literal["bought", "refused", "failed", "put back", "misfit", "superseded"]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerOptions:
    """How a worker works. With ``until_empty`` it ends when nothing is queued or running that it could do.
    ``silent_seconds``, after which others take it for dead, should be the same for all workers. ``write_drafts`` also
    writes each section into this checkout's drafts."""

    until_empty: bool = False
    silent_seconds: float = SILENT_SECONDS
    write_drafts: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class JobReport:
    """What became of a job at one worker. ``note.message`` says why, where it was not bought."""

    job: SectionJob
    outcome: Outcome
    note: JobNote

    def as_json(self) -> dict[str, Json]:
        """The job as ``expand worker --json`` lists it."""
        return {
            "chapter": self.job.chapter,
            "section": self.job.section,
            "outcome": self.outcome,
            "target_lines": self.job.lines,
            **asdict(self.note),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkReport:
    """All that a worker did. ``stopped_by`` is the author's error that ended it, "" if none did; ``misfits`` are
    sections that it left to workers whose workspace fits."""

    name: str
    reports: Sequence[JobReport]
    misfits: Sequence[str]
    balance: Balance
    seconds: float
    stopped_by: str = ""
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """130 over 4 over 3 over 2 (misfits) over 0, as the contract has it."""
        if self.interrupted:
            return 130
        if self.stopped_by or self.count("failed"):
            return 4
        if self.count("refused"):
            return 3
        return 2 if self.misfits else 0

    def count(self, outcome: Outcome) -> int:
        """How many jobs ended so."""
        return sum(report.outcome == outcome for report in self.reports)

    def as_json(self) -> dict[str, Json]:
        """The object that ``expand worker --json`` prints."""
        return {
            "worker": self.name,
            "sections": [report.as_json() for report in self.reports],
            "misfits": [*self.misfits],
            "budget": balance_json(self.balance),
            "attempts": sum(report.note.attempts for report in self.reports),
            "answers": sum(report.note.answers for report in self.reports),
            "stopped_by": self.stopped_by,
            "seconds": round(self.seconds, 2),
        }


class _PutBackError(Exception):
    """The job goes back to the queue, ``lower`` behind the others."""

    def __init__(self, *, lower: bool = False) -> None:
        super().__init__()
        self.lower = lower


class _JobFailedError(Exception):
    """The job ends here; its note says why."""


class _PutBack(BaseRetryStrategy):
    """Puts back what is to be put back, and nothing else."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if not isinstance(exception, _PutBackError):
            return None
        return RetryDecision(priority=job.priority - 1 if exception.lower else None)


class _Jobs(JobManager):
    """procrastinate's jobs, of which it gives none while the worker rests. Whatever cannot be written at a job's end
    is let go: the job comes back as stalled, and its answers are in the ledger."""

    def __init__(self, queue: JobQueue, *, name: str, model: str) -> None:
        super().__init__(queue.app.connector)
        self._queue = queue
        self._name = name
        self._model = model
        self._rest_until = 0.0
        self._rest_seconds = 0.0

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        resting = time.monotonic() < self._rest_until
        return None if resting else await super().fetch_job(queues, worker_id)

    async def register_worker(self) -> int:
        number = await super().register_worker()
        await self._queue.register(number, name=self._name, model=self._model)
        return number

    async def finish_job(self, *args: Any, **named: Any) -> None:
        with contextlib.suppress(exceptions.ConnectorException):
            await super().finish_job(*args, **named)

    async def retry_job(self, *args: Any, **named: Any) -> None:
        with contextlib.suppress(exceptions.ConnectorException):
            await super().retry_job(*args, **named)

    def rest(self) -> None:
        """Give no job for a while, each time longer."""
        self._rest_seconds = min(LONGEST_REST_SECONDS, max(1.0, self._rest_seconds * 2))
        self._rest_until = time.monotonic() + self._rest_seconds

    def end_rests(self) -> None:
        """Have the next rest be a short one: there is something to do."""
        self._rest_seconds = 0.0


class WorkLoop:
    """One worker from its first job to its last. ``misfits`` are jobs that it could not do, until they fit."""

    def __init__(
        self,
        queue: JobQueue,
        runner: SectionRunner,
        options: WorkerOptions,
        *,
        model: str,
        concurrency: int,
        on_report: Callable[[JobReport], None],
        tell: Callable[[str], None],
    ) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.misfits: dict[int, SectionJob] = {}
        self._queue = queue
        self._runner = runner
        self._options = options
        self._concurrency = concurrency
        self._on_report = on_report
        self._tell = tell
        self._jobs = queue.app.job_manager = _Jobs(queue, name=self.name, model=model)
        self._worker: Worker | None = None
        self._stopping = False
        self._reached_at = time.monotonic()
        queue.app.task(name=TASK, queue=QUEUE, pass_context=True, retry=_PutBack())(self._take)

    def stop(self) -> None:
        """Take nothing more; what is in flight arrives, and the rest goes back. Called again, what is in flight is
        left unknown."""
        self._stopping = True
        self._runner.context.client.stop()
        if self._worker is not None:
            self._worker.stop()

    async def work(self) -> None:
        """Take jobs until stopped, or until none is left. Raises ``LedgerError`` when the database stays away, and
        ``AuthorError`` when the author refuses everything."""
        while not self._stopping:
            try:
                await self._work_registered()
            except (exceptions.ConnectorException, LedgerError) as error:
                if time.monotonic() - self._reached_at > AWAY_SECONDS:
                    raise QueueError(f"{self._queue.name}: the queue stays away: {error}") from error
                self._tell(f"the queue cannot be reached, trying again: {error.__cause__ or error}")
                await asyncio.sleep(2 * BEAT_SECONDS)
        if (reason := self._runner.given_up()) is not None:
            raise reason

    async def _work_registered(self) -> None:
        """Work under one registration, until the end or until the registration is lost."""
        silent = self._options.silent_seconds
        worker = self._worker = Worker(
            self._queue.app,
            queues=[QUEUE],
            name=self.name,
            concurrency=self._concurrency,
            fetch_job_polling_interval=min(POLL_SECONDS, silent / 4),
            install_signal_handlers=False,
            update_heartbeat_interval=silent / 6,
            stalled_worker_timeout=silent,
        )
        working = asyncio.create_task(worker.run(), name="worker")
        try:
            begin_again = await self._watch(worker, working)
        finally:
            worker.stop()
            await asyncio.wait([working])
            failed = working.exception()
        if failed is not None:
            raise failed
        if not (self._stopping or begin_again):
            raise QueueError(f"{self._queue.name}: the worker has lost its connection")

    async def _watch(self, worker: Worker, working: asyncio.Task[None]) -> bool:
        """Look after the queue while the worker works; whether the others have taken it for dead meanwhile."""
        reclaimed_at = 0.0
        while not working.done():
            number, now = worker.worker_id, time.monotonic()
            if now - reclaimed_at >= self._options.silent_seconds / 3:
                await self._reclaim()
                reclaimed_at = now
            # Once one of its side tasks has ended, procrastinate watches none of them any more: it would not notice
            # that others took this worker for dead.
            alive, left = await self._queue.look(number, self.misfits)
            if number is not None and not alive:
                self._tell("this worker gave no sign of life for too long; it begins again")
                return True
            if self._options.until_empty and not left:
                self._stopping = True
            if self._stopping:
                return False
            self._reached_at = now
            await asyncio.wait([working], timeout=BEAT_SECONDS)
        return False

    async def _reclaim(self) -> None:
        """Take back what silent workers had, and recover their attempts."""
        jobs = await self._queue.reclaim(self._options.silent_seconds)
        if jobs:
            named = ", ".join(f"{job.chapter}/{job.section}" for job in jobs[:5])
            more = f" and {len(jobs) - 5:,} more" if len(jobs) > 5 else ""
            self._tell(f"back from workers that gave no sign of life: {named}{more}")
        with contextlib.suppress(LedgerError):
            self._runner.context.ledger.recover()

    async def _take(self, context: JobContext, /, **stored: Any) -> None:
        """One job: bought, or put back, or ended; with a note about it in the queue."""
        job = SectionJob.of(stored)
        number = context.job.id
        assert number is not None  # it came from the queue
        if self._stopping:
            raise _PutBackError
        lines, usage, error = 0, UsageCounter(), None
        try:
            drafted, usage = await self._runner.buy(job)
            lines, error = drafted.lines, drafted.ended_by
        except ExpandError as raised:
            error = raised
        outcome, put_back = self._outcome(number, job, error)
        if outcome is not None:
            note = JobNote(
                worker=self.name,
                message="its worker was stopped" if isinstance(error, StoppedError) else str(error or ""),
                lines=lines if outcome == "bought" else 0,
                attempts=usage.attempts,
                answers=usage.answers,
                tokens=usage.usage.total,
            )
            with contextlib.suppress(QueueError):  # what was bought is in the ledger all the same
                await self._queue.note(number, note)
            self._on_report(JobReport(job=job, outcome=outcome, note=note))
        if put_back is not None:
            raise put_back
        if outcome in ("refused", "failed"):
            raise _JobFailedError

    def _outcome(
        self, number: int, job: SectionJob, error: ExpandError | None
    ) -> tuple[Outcome | None, _PutBackError | None]:
        """What an error means for the job, None where that was reported already, and how the job goes back, if so."""
        outcome: Outcome | None = "put back"
        put_back: _PutBackError | None = None
        match error:
            case None:
                outcome = "bought"
                self._jobs.end_rests()
                self.misfits.pop(number, None)
            case SupersededError():
                outcome = "superseded"
            case MisfitError() if number in self.misfits:
                outcome, put_back = None, _PutBackError(lower=True)
                self._jobs.rest()
            case MisfitError():
                # Behind the other jobs, and not later: a delay would keep it from the worker that it fits.
                outcome, put_back = "misfit", _PutBackError(lower=True)
                self.misfits[number] = job
            case StoppedError():
                put_back = _PutBackError()
            case AuthorError() if self._runner.given_up() is not None:
                put_back = _PutBackError()
                self.stop()
            case LedgerError():
                put_back = _PutBackError()
                self._jobs.rest()
            case _:
                outcome = "refused" if isinstance(error, BudgetExceededError) else "failed"
        return outcome, put_back


async def run_worker(
    workspace: Workspace,
    settings: Settings,
    options: WorkerOptions,
    *,
    author: Author | None = None,
    on_event: Callable[[Event], None] = ignore_event,
    on_report: Callable[[JobReport], None] = lambda _: None,
    tell: Callable[[str], None] = lambda _: None,
    on_ready: Callable[[WorkLoop], None] = lambda _: None,
) -> WorkReport:
    """Take sections from the queue and buy them, until stopped or until nothing is left.

    The limits are those that whoever queued the sections has put in the ledger. ``on_ready`` gets the loop before it
    begins, to stop it. Raises ``InputError``, ``LedgerError``."""
    server = server_of(workspace)
    if author is None:
        for one in settings.of_sections():
            require_author(one, path=workspace.settings_path)
    profile = profile_of(workspace, settings)
    began = time.monotonic()
    reports: list[JobReport] = []

    def report(done: JobReport) -> None:
        reports.append(done)
        on_report(done)

    stopped_by = ""
    async with AsyncExitStack() as stack:
        ledger, run = stack.enter_context(open_ledger(workspace, None))
        if author is None:
            author = own = await stack.enter_async_context(Authors(workspace, settings.of_sections()))
            if not settings.fallback:
                await own.open(settings.model)  # a worker that cannot write takes no job
        client, usage = await open_client(stack, workspace, settings, ledger, author=author, on_event=on_event)
        context = RunContext(ledger=ledger, run_id=run.id, client=client, usage=usage)
        runner = SectionRunner(workspace, settings, context, write_drafts=options.write_drafts)
        queue = await stack.enter_async_context(open_queue(server))
        concurrency = settings.concurrency or profile.concurrency
        loop = WorkLoop(
            queue, runner, options, model=settings.model, concurrency=concurrency, on_report=report, tell=tell
        )
        on_ready(loop)
        try:
            await loop.work()
        except AuthorError as error:
            stopped_by = str(error)
        finally:
            await client.drain()
        return WorkReport(
            name=loop.name,
            reports=tuple(reports),
            misfits=tuple(f"{job.chapter}/{job.section}" for job in loop.misfits.values()),
            balance=ledger.balance("book"),
            seconds=time.monotonic() - began,
            stopped_by=stopped_by,
        )
