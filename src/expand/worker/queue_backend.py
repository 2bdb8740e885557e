"""The back end of ``expand chapter --queue``: submit, status, collect, cancel. Each opens the queue and closes it.

``run_worker`` in ``work_loop`` is the other end, which buys what is queued.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from expand.drafting.backend import assemble
from expand.drafting.draft_file import DraftStore
from expand.drafting.model_setup import model_setup_for, profile_of, require_language
from expand.drafting.results import RunResult
from expand.drafting.run import lanes
from expand.drafting.run_context import open_ledger
from expand.drafting.run_options import RunOptions
from expand.drafting.section_state import SectionCheck, check_sections
from expand.errors import InputError
from expand.ledger import Ledger
from expand.schema import Json
from expand.settings import Settings
from expand.worker.job_queue import Enqueued, JobQueue, QueueStatus, open_queue
from expand.worker.jobs import SectionJob, server_of
from expand.worker.work_loop import SILENT_SECONDS
from expand.workspace import Workspace

SIDE_BY_SIDE = 8
"""How many chapters are begun at a time, so that a provider's cache is warm for their sections."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnqueueReport:
    """What became of a run's sections. ``current`` counts those that are current in their drafts, ``edited`` those
    that a person edited; neither is queued."""

    model: str
    jobs: Enqueued
    current: int
    edited: int
    exit_code: int = 0

    def as_json(self) -> dict[str, Json]:
        """The object that ``expand chapter --queue --json`` prints."""
        return {
            "model": self.model,
            "queued": _named(self.jobs.queued),
            "there_already": _named(self.jobs.waiting),
            "bought_already": _named(self.jobs.done),
            "current": self.current,
            "edited": self.edited,
            "withdrawn": self.jobs.withdrawn,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class WithdrawReport:
    """How many jobs were taken back."""

    withdrawn: int
    exit_code: int = 0

    def as_json(self) -> dict[str, Json]:
        """The object that ``expand worker --withdraw --json`` prints."""
        return {"withdrawn": self.withdrawn}


class QueueBackend:
    """Sections queued for workers, in the database of the workspace's ledger.

    ``silent_seconds``: how long a worker may give no sign of life before its jobs count as stalled."""

    def __init__(self, workspace: Workspace, settings: Settings, *, silent_seconds: float = SILENT_SECONDS) -> None:
        self._workspace = workspace
        self._settings = settings
        self._silent_seconds = silent_seconds

    async def submit(self, options: RunOptions) -> EnqueueReport:
        """Queue the sections of a run that are due, and record the book's limits in the ledger. Sends nothing."""
        workspace, settings = self._workspace, self._settings
        server = server_of(workspace)
        if options.budget is not None:
            raise InputError(
                "--budget limits one run, and workers are many",
                remedy="set allowance in outlines/book.yaml, or in a chapter's outline",
            )
        options.require_side_by_side("--queue", "workers draft them side by side")
        book = workspace.book()
        require_language(profile_of(workspace, settings), book, options.language)
        jobs: dict[tuple[str, int], SectionJob] = {}
        due: dict[str, list[int]] = {}
        left: Counter[str] = Counter()
        outlines = {chapter: workspace.outline(chapter) for chapter in options.chapters}
        with open_ledger(workspace, book, outlines) as (ledger, _):
            setup = model_setup_for(workspace, settings, ledger=ledger)
            drafts = DraftStore(workspace, book, options=options, setup=setup, outlines=outlines)
            for chapter, check in check_sections(drafts, ledger):
                if check.state == "due" and not check.begun.whole:
                    number = check.section.number
                    jobs[chapter.id, number] = _job(drafts, chapter.id, check, options, settings.model)
                    due.setdefault(chapter.id, []).append(number)
                else:
                    left[check.state] += 1
        in_order = lanes(due, workers=SIDE_BY_SIDE, in_order=False)
        async with open_queue(server) as queue:
            enqueued = await queue.put([jobs[chapter, n] for chapter, numbers in in_order for n in numbers])
        return EnqueueReport(model=settings.model, jobs=enqueued, current=left["current"], edited=left["edited"])

    async def status(self) -> QueueStatus:
        """Where every job stands."""
        async with self._queue() as queue:
            return QueueStatus() if queue is None else await queue.status(self._silent_seconds)

    async def collect(self, chapters: tuple[str, ...] | None = None) -> RunResult:
        """Draft from what workers have bought by now, in the book's language and under the full plan."""
        named = self._workspace.chapter_ids() if chapters is None else chapters
        options = RunOptions.of(self._workspace, named)
        return await assemble(self._workspace, self._settings, options)

    async def cancel(self, chapters: tuple[str, ...] | None = None) -> WithdrawReport:
        """Take back the jobs that nobody has begun."""
        async with self._queue() as queue:
            return WithdrawReport(withdrawn=0 if queue is None else await queue.withdraw(chapters))

    @asynccontextmanager
    async def _queue(self) -> AsyncIterator[JobQueue | None]:
        """The queue; None where there is no ledger yet, so that looking makes none."""
        server = server_of(self._workspace)
        ledger = Ledger.read(server)
        if ledger is None:
            yield None
            return
        ledger.close()
        async with open_queue(server) as queue:
            yield queue


def _job(drafts: DraftStore, chapter: str, check: SectionCheck, options: RunOptions, model: str) -> SectionJob:
    return SectionJob(
        chapter=chapter,
        section=check.section.number,
        options=options,
        key=check.key,
        edition=check.revision.number,
        model=model,
        lines=check.section.lines,
        present=dict(check.extra.present),
        begun=check.begun.bodies,
        opening=check.begun.opening,
        ledger_id=drafts.look(chapter).ledger_id(check.section.number),
    )


def _named(jobs: Sequence[SectionJob]) -> list[Json]:
    return [{"chapter": job.chapter, "section": job.section, "target_lines": job.lines} for job in jobs]
