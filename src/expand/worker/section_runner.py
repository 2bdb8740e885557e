"""Buy one section of the queue, the way a run of one's own buys it.

What holds: nothing is drafted from anything but what the job says. A workspace whose outline, templates or model make
another key is a misfit, and says in which parts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from expand.client.client import BudgetedClient
from expand.client.in_flight import Event as PurchaseEvent
from expand.drafting.balance_cache import BalanceCache
from expand.drafting.chapter_state import Chapter, Revision
from expand.drafting.draft_file import DraftFile
from expand.drafting.draft_store import open_chapter
from expand.drafting.events import Event, SectionDone, SectionStarted, SectionStatus
from expand.drafting.fingerprint import differences
from expand.drafting.model_setup import model_setup_for, require_language
from expand.drafting.request_builder import ExtraContext
from expand.drafting.run_options import RunOptions
from expand.drafting.section_run import Drafted, RequestSetup, SectionRun, Tally
from expand.drafting.usage_counters import UsageCounters
from expand.errors import BudgetExceededError, ExpandError, InputError
from expand.ledger import Ledger, Run
from expand.llm.tokens import TokenCounter
from expand.outline import Section
from expand.settings import Settings
from expand.worker.jobs import SectionJob
from expand.workspace import Workspace

OPEN_CHAPTERS = 32
"""How many chapters stay open: to open one takes 0.1 s, and its sections follow one another."""

REREAD_SECONDS = 2.0
"""How old what was read of the workspace is at least when a section that does not fit has it read again."""


class MisfitError(ExpandError):
    """This workspace says something else than the job."""


class SupersededError(ExpandError):
    """The section was asked for afresh since; its newer job is another one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionBought:
    """What this worker bought of a section, and what ended it early; None when all its answers are in the ledger."""

    lines: int
    tally: Tally
    ended_by: ExpandError | None


class SectionRunner:
    """Buys sections for one worker. ``client`` makes the client from a listener to its events."""

    def __init__(
        self,
        workspace: Workspace,
        settings: Settings,
        *,
        ledger: Ledger,
        run: Run,
        client: Callable[[Callable[[PurchaseEvent], None]], BudgetedClient],
        on_event: Callable[[Event], None],
        write_drafts: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workspace = workspace
        self._settings = settings
        self._ledger = ledger
        self._run = run
        self._on_event = on_event
        self._write_drafts = write_drafts
        self._clock = clock
        self._counters = UsageCounters(on_event)
        self._counter: TokenCounter | None = None
        self._chapters: dict[tuple[str, RunOptions], Chapter] = {}
        self.client = client(self._counters.note)
        self.read_workspace()

    async def buy(self, job: SectionJob) -> SectionBought:
        """Buy what a section still lacks.

        Raises ``MisfitError``, ``SupersededError``; ``LedgerError``; ``InputError`` for what cannot be asked at all,
        such as a prompt that does not fit.
        """
        revision = self._revision(job)
        chapter, section = self._opened(job, revision)
        self._on_event(SectionStarted(chapter=job.chapter, section=job.section))
        setup = RequestSetup(
            means=chapter.means,
            ledger=self._ledger,
            purchase=self.client,
            run_id=self._run.id,
            remaining=BalanceCache(self._ledger),
            on_event=self._on_event,
        )
        setting = ExtraContext(present=job.present)
        tally = self._counters.of(job.chapter, job.section)
        try:
            run = SectionRun(setup, chapter, section, edition=revision, setting=setting, tally=tally)
            drafted = await run.draft()
        finally:
            self._counters.take(job.chapter, job.section)
        self._on_event(_done(job, drafted, tally))
        if self._write_drafts and drafted.ended_by is None:
            self._write(chapter, section, drafted, job.key)
        return SectionBought(lines=drafted.lines, tally=tally, ended_by=drafted.ended_by)

    def read_workspace(self) -> None:
        """Read book and templates, and forget the chapters that were made from older ones. Loads the tokenizer, so
        that the first section does not wait for it.

        Raises ``InputError`` where the workspace has no book, or settings that cannot be meant.
        """
        model = model_setup_for(self._workspace, self._settings, ledger=self._ledger)
        if self._counter is not None:  # the tokenizer is the same, and slow to load
            model = replace(model, counter=self._counter)
        self._counter = model.counter
        self._counter.load()
        self._book, self._model = self._workspace.book(), model
        self._chapters.clear()
        self._read_at = self._clock()

    def recover(self) -> None:
        """Recover the attempts of workers that died."""
        self._ledger.recover()

    def _revision(self, job: SectionJob) -> Revision:
        number = self._ledger.edition(job.chapter, job.section)
        if number > job.edition:
            raise SupersededError(f"edition {number} was asked for since this job for edition {job.edition}")
        return Revision(number=job.edition, instruction=self._ledger.instruction(job.chapter, job.section))

    def _opened(self, job: SectionJob, revision: Revision) -> tuple[Chapter, Section]:
        """The section as the job has it; the workspace is read again where it does not fit. Raises ``MisfitError``."""
        try:
            try:
                return self._fitting(job, revision)
            except (MisfitError, InputError):
                if self._clock() - self._read_at < REREAD_SECONDS:
                    raise
            self.read_workspace()
            return self._fitting(job, revision)
        except InputError as error:
            raise MisfitError(str(error)) from error

    def _fitting(self, job: SectionJob, revision: Revision) -> tuple[Chapter, Section]:
        chapter = self._chapter(job)
        for section in chapter.outline.sections:
            if section.number == job.section:
                key = chapter.key(section, revision)
                if key != job.key:
                    raise MisfitError(_differing(job, key, self._settings.model))
                return chapter, section
        raise MisfitError(f"this workspace's outline of chapter {job.chapter} has no section {job.section}")

    def _chapter(self, job: SectionJob) -> Chapter:
        place = (job.chapter, job.options)
        if place not in self._chapters:
            require_language(self._model.profile, self._book, job.options.language)
            if len(self._chapters) >= OPEN_CHAPTERS:
                self._chapters.clear()
            self._chapters[place] = open_chapter(
                self._workspace, self._book, job.chapter, options=job.options, means=self._model
            )
        return self._chapters[place]

    def _write(self, chapter: Chapter, section: Section, drafted: Drafted, key: str) -> None:
        draft_file = DraftFile(self._workspace, chapter)
        if not draft_file.edited(section.number):
            draft_file.put(section.number, drafted.text, key)
        draft_file.write()


def _differing(job: SectionJob, key: str, model: str) -> str:
    named = [
        f"model ({job.model} is wanted, {model} is set here)" if part == "model" and job.model != model else part
        for part in differences(job.key, key)
    ]
    return f"this workspace differs from the job in: {', '.join(named)}"


def _done(job: SectionJob, drafted: Drafted, tally: Tally) -> SectionDone:
    status: SectionStatus
    if drafted.ended_by is None:
        status = "drafted" if tally.answers else "reused"
    else:
        status = "refused" if isinstance(drafted.ended_by, BudgetExceededError) else "failed"
    return SectionDone(chapter=job.chapter, section=job.section, lines=drafted.lines, status=status)
