"""The back end of ``expand chapter --queue``: submit, status, collect, cancel. Each opens the queue and closes it.

``run_worker`` in ``work_loop`` is the other end, which buys what is queued.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from expand.drafting.backend import FoundSection, assemble, begun_run, find_sections
from expand.drafting.model_setup import model_setup_for, profile_of, require_language
from expand.drafting.request_builder import rehearse
from expand.drafting.results import RunResult
from expand.drafting.run_options import RunOptions, lanes
from expand.drafting.section_run import loop_for
from expand.drafting.section_text import SectionText
from expand.errors import InputError
from expand.ledger import Ledger
from expand.schema import Json
from expand.settings import Settings
from expand.worker.availability import server_of
from expand.worker.job_queue import Enqueued, JobQueue, open_queue
from expand.worker.jobs import SectionJob
from expand.worker.queue_status import QueueStatus
from expand.worker.work_loop import SILENT_SECONDS
from expand.workspace import Workspace

SIDE_BY_SIDE = 8
"""How many chapters are begun at a time, so that a provider's cache is warm for their sections."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnqueueReport:
    """What became of a run's sections. ``current`` counts those that are current in their drafts, ``edited`` those
    that a person edited; neither is queued.
    """

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

    ``silent_seconds``: how long a worker may give no sign of life before its jobs count as stalled.
    """

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
        require_language(profile_of(workspace, settings), workspace.book(), options.language)
        due: dict[str, list[SectionJob]] = {}
        left: Counter[str] = Counter()
        with begun_run(workspace, options) as (ledger, _):
            model = model_setup_for(workspace, settings, ledger=ledger)
            for found in find_sections(workspace, model, ledger, options):
                if found.check.fate != "due":
                    left[found.check.fate] += 1
                    continue
                job = _job(found, options, settings.model)
                if job.chapter not in due:
                    _rehearse(found)
                due.setdefault(job.chapter, []).append(job)
        in_order = lanes(list(due.values()), workers=SIDE_BY_SIDE, in_order=False)
        async with open_queue(server) as queue:
            enqueued = await queue.put([job for lane in in_order for job in lane])
        return EnqueueReport(model=settings.model, jobs=enqueued, current=left["current"], edited=left["edited"])

    async def status(self) -> QueueStatus:
        """Where every job stands."""
        async with self._queue() as queue:
            return QueueStatus() if queue is None else await queue.status(self._silent_seconds)

    async def collect(self, chapters: tuple[str, ...] | None = None) -> RunResult:
        """Draft from what workers have bought by now, in the book's language and under the full plan."""
        named = self._workspace.chapter_ids() if chapters is None else chapters
        options = RunOptions.of(self._workspace, named)
        return await assemble(self._workspace, self._settings, options, on_event=lambda _: None)

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


def _job(found: FoundSection, options: RunOptions, model: str) -> SectionJob:
    section, check = found.section, found.check
    return SectionJob(
        chapter=found.draft_file.chapter.id,
        section=section.number,
        options=options.for_job(),
        key=check.key,
        edition=check.edition.number,
        model=model,
        lines=section.lines,
        present=dict(check.setting.present),
    )


def _rehearse(found: FoundSection) -> None:
    """Make a section's first question on trial, so that what is wrong with the templates or the context window is said
    before anything is queued.
    """
    chapter = found.draft_file.chapter
    text = SectionText(chapter.frame(found.section))
    ask = loop_for(text, chapter.means).next()
    if ask is not None:
        rehearse(chapter, found.section, ask, text)


def _named(jobs: Sequence[SectionJob]) -> list[Json]:
    return [{"chapter": job.chapter, "section": job.section, "target_lines": job.lines} for job in jobs]
