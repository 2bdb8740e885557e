"""A worker's shift at the board: it takes jobs, has them bought, and says what became of each.

procrastinate takes the jobs and keeps the heartbeat. What is decided here: which jobs go back, when
the jobs of silent workers are taken back, when a worker that fits no job rests, and when the shift
is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from procrastinate import JobContext, exceptions
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from procrastinate.worker import Worker

from expand.budget import Balance
from expand.client.outcome import StoppedError
from expand.errors import AuthorError, BudgetExceededError, ExpandError, LedgerError
from expand.schema import Json
from expand.worker.job_queue import QUEUE, TASK, JobQueue, QueueError
from expand.worker.jobs import SectionJob
from expand.worker.queue_status import Word
from expand.worker.section_runner import MisfitError, SectionBought, SectionRunner, SupersededError

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
class JobReport:
    """What became of a job at one worker. ``message`` says why, where it was not bought."""

    job: SectionJob
    outcome: Outcome
    word: Word


class _PutBackError(Exception):
    """The job goes back to the board, ``lower`` behind the others."""

    def __init__(self, *, lower: bool = False) -> None:
        super().__init__()
        self.lower = lower


class _Failed(Exception):  # noqa: N818 - what it says is in the job's word
    """The job ends here."""


class _Return(BaseRetryStrategy):
    """Puts back what is to be put back, and nothing else."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if not isinstance(exception, _PutBackError):
            return None
        return RetryDecision(priority=job.priority - 1 if exception.lower else None)


class _Gate(JobManager):
    """Gives no job while the worker rests, and writes down who registers. What cannot be written of
    a job's end is let go: the job comes back as stalled, and its answers are in the ledger.
    """

    def __init__(self, board: JobQueue, clock: Callable[[], float], *, name: str, model: str) -> None:
        super().__init__(board.app.connector)
        self._board = board
        self._name = name
        self._model = model
        self._clock = clock
        self._until = 0.0
        self._rest = 0.0

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        if self._clock() < self._until:
            return None
        return await super().fetch_job(queues, worker_id)

    async def register_worker(self) -> int:
        number = await super().register_worker()
        await self._board.sign(number, name=self._name, model=self._model)
        return number

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        with contextlib.suppress(exceptions.ConnectorException):
            await super().finish_job(job, status, delete_job)

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        with contextlib.suppress(exceptions.ConnectorException):
            await super().retry_job(job, retry_at, priority, queue, lock)

    def rest(self) -> None:
        """Rest, each time longer."""
        self._rest = min(LONGEST_REST_SECONDS, max(1.0, self._rest * 2))
        self._until = self._clock() + self._rest

    def rested(self) -> None:
        """There is something to do."""
        self._rest = 0.0


class WorkLoop:
    """One worker from its first job to its last."""

    def __init__(
        self,
        board: JobQueue,
        bench: SectionRunner,
        *,
        name: str,
        model: str,
        concurrency: int,
        until_empty: bool = False,
        silent_seconds: float = SILENT_SECONDS,
        on_report: Callable[[JobReport], None],
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``until_empty`` ends it when nothing is queued or running that this worker could do.
        ``silent_seconds`` should be the same for all workers.
        """
        self._board = board
        self._bench = bench
        self._name = name
        self._concurrency = concurrency
        self._until_empty = until_empty
        self._silent = silent_seconds
        self._on_report = on_report
        self._tell = tell
        self._clock = clock
        self._gate = board.app.job_manager = _Gate(board, clock, name=name, model=model)
        self._worker: Worker | None = None
        self._stopping = False
        self.misfits: dict[int, SectionJob] = {}
        """What this worker could not do, and nobody has done since."""
        board.app.task(name=TASK, queue=QUEUE, pass_context=True, retry=_Return())(self._take)

    def stop(self) -> None:
        """Take nothing more; what is in flight arrives, and the rest goes back. Called again, what
        is in flight is left unknown.
        """
        self._stopping = True
        self._bench.purchase.stop()
        if self._worker is not None:
            self._worker.stop()

    async def work(self) -> None:
        """Take jobs until the shift is over. Raises ``LedgerError`` when the database stays away,
        and ``AuthorError`` when the author refuses everything.
        """
        lost_at: float | None = None
        while not self._stopping:
            began = self._clock()
            try:
                await self._stint()
            except (exceptions.ConnectorException, LedgerError) as error:
                now = self._clock()
                lost_at = now if lost_at is None or now - began > AWAY_SECONDS else lost_at
                if now - lost_at > AWAY_SECONDS:
                    raise QueueError(f"{self._board.name}: the queue stays away: {error}") from error
                self._tell(f"the queue cannot be reached, trying again: {error.__cause__ or error}")
                await self._pause()
        if self._bench.purchase.fatal is not None:
            raise AuthorError(str(self._bench.purchase.fatal))

    async def _pause(self) -> None:
        until = self._clock() + 2 * BEAT_SECONDS
        while not self._stopping and self._clock() < until:
            await asyncio.sleep(BEAT_SECONDS / 5)

    async def _stint(self) -> None:
        """Work under one registration, until the shift is over or the registration is lost."""
        worker = self._worker = Worker(
            self._board.app,
            queues=[QUEUE],
            name=self._name,
            concurrency=self._concurrency,
            fetch_job_polling_interval=min(POLL_SECONDS, self._silent / 4),
            install_signal_handlers=False,
            update_heartbeat_interval=self._silent / 6,
            stalled_worker_timeout=self._silent,
        )
        working = asyncio.create_task(worker.run(), name="shift")
        try:
            astray = await self._watch(worker, working)
        finally:
            worker.stop()
            await asyncio.wait([working])
            failed = working.exception()
        if failed is not None:
            raise failed
        if not (self._stopping or astray):
            raise QueueError(f"{self._board.name}: the worker has lost its connection")

    async def _watch(self, worker: Worker, working: asyncio.Task[None]) -> bool:
        """Look after the board while the worker works; whether it was taken for dead."""
        swept = 0.0
        while not working.done():
            number = worker.worker_id
            if self._clock() - swept >= self._silent / 3:
                await self._sweep()
                swept = self._clock()
            if number is not None and not await self._board.signed(number):
                self._tell("this worker gave no sign of life for too long; it begins again")
                return True
            if self._until_empty and not await self._board.left(self.misfits):
                self._stopping = True
            if self._stopping:
                return False
            await asyncio.wait([working], timeout=BEAT_SECONDS)
        return False

    async def _sweep(self) -> None:
        """Take back what silent workers had, and put their attempts in order."""
        back = await self._board.reclaim(self._silent)
        if back:
            named = ", ".join(f"{job.chapter}/{job.section}" for job in back[:5])
            more = f" and {len(back) - 5:,} more" if len(back) > 5 else ""
            self._tell(f"back from workers that gave no sign of life: {named}{more}")
        with contextlib.suppress(LedgerError):
            self._bench.recover()

    # --- one job ---------------------------------------------------------------------------------

    async def _take(self, context: JobContext, /, **kept: Any) -> None:
        """One job: bought, or put back, or ended; with a word about it on the board."""
        job = SectionJob.of(kept)
        number = context.job.id
        assert number is not None  # it came from the board
        if self._stopping:
            raise _PutBackError
        try:
            bought = await self._bench.buy(job)
        except ExpandError as error:
            await self._ended(number, job, error)
            return
        self._gate.rested()
        self.misfits.pop(number, None)
        await self._report(number, job, "bought", "", bought)

    async def _ended(self, number: int, job: SectionJob, error: ExpandError) -> None:
        """What an error means for the job."""
        message = str(error)
        match error:
            case SupersededError():
                await self._report(number, job, "superseded", message)
            case MisfitError():
                if number in self.misfits:
                    self._gate.rest()
                else:
                    self.misfits[number] = job
                    await self._report(number, job, "misfit", message)
                raise _PutBackError(lower=True)
            case StoppedError():
                await self._report(number, job, "put back", "its worker was stopped")
                raise _PutBackError
            case AuthorError() if self._bench.purchase.fatal is not None:
                await self._report(number, job, "put back", message)
                self.stop()
                raise _PutBackError
            case LedgerError():
                await self._report(number, job, "put back", message)
                self._gate.rest()
                raise _PutBackError
            case BudgetExceededError():
                await self._report(number, job, "refused", message)
                raise _Failed
            case _:
                await self._report(number, job, "failed", message)
                raise _Failed

    async def _report(
        self,
        number: int,
        job: SectionJob,
        outcome: Outcome,
        message: str,
        bought: SectionBought | None = None,
    ) -> None:
        tally = self._bench.tally(job)
        word = Word(
            worker=self._name,
            message=message,
            lines=0 if bought is None else bought.lines,
            attempts=tally.attempts,
            answers=tally.answers,
            tokens=tally.usage.total,
        )
        with contextlib.suppress(QueueError):  # what was bought is in the ledger all the same
            await self._board.say(number, word)
        self._on_report(JobReport(job=job, outcome=outcome, word=word))


@dataclass(frozen=True, kw_only=True, slots=True)
class Worked:
    """A whole shift. ``stopped_by`` is the author's error that ended it, "" if none did;
    ``misfits`` are sections that it left to workers whose workspace fits.
    """

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
        outcomes = {report.outcome for report in self.reports}
        if self.interrupted:
            return 130
        if self.stopped_by or "failed" in outcomes:
            return 4
        if "refused" in outcomes:
            return 3
        return 2 if self.misfits else 0

    def count(self, outcome: str) -> int:
        """How many jobs ended so."""
        return sum(report.outcome == outcome for report in self.reports)

    def as_json(self) -> dict[str, Json]:
        """The object that ``expand worker --json`` prints."""
        return {
            "worker": self.name,
            "sections": [_section(report) for report in self.reports],
            "misfits": [*self.misfits],
            "budget": {
                "limit": self.balance.limit.tokens,
                "used": self.balance.used_tokens,
                "reserved": self.balance.reserved_tokens,
                "remaining": self.balance.remaining_tokens,
            },
            "attempts": sum(report.word.attempts for report in self.reports),
            "answers": sum(report.word.answers for report in self.reports),
            "stopped_by": self.stopped_by,
            "seconds": round(self.seconds, 2),
        }


def _section(report: JobReport) -> dict[str, Json]:
    job, word = report.job, report.word
    return {
        "chapter": job.chapter,
        "section": job.section,
        "outcome": report.outcome,
        "target_lines": job.lines,
        "lines": word.lines,
        "attempts": word.attempts,
        "answers": word.answers,
        "tokens": word.tokens,
        "message": word.message,
    }
