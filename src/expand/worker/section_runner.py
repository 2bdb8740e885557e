"""The workbench: one section of the queue bought, the way a run of one's own buys it.

What holds: nothing is drafted from anything but what the job says. A workspace whose outline,
templates or model make another key is a misfit, and says in which parts.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from expand.drafting.chapter import Chapter, Revision, differences
from expand.drafting.draft_file import DraftFile, open_chapter
from expand.drafting.events import SectionDone, SectionStarted, SectionStatus
from expand.drafting.model_setup import ModelSetup, model_setup_for, require_language
from expand.drafting.request_builder import ExtraContext
from expand.drafting.run import status_of
from expand.drafting.run_context import RunContext, UsageCounter
from expand.drafting.section_run import DraftedSection, SectionRun
from expand.drafting.section_state import SectionCheck
from expand.errors import ExpandError, InputError
from expand.llm.tokens import TokenCounter
from expand.outline import Book, Section
from expand.settings import Settings
from expand.worker.jobs import SectionJob
from expand.workspace import Workspace

KEPT = 32
"""How many chapters stay open."""
RENEWED_SECONDS = 2.0
"""How old book and templates are at least when a section that does not fit has them renewed."""


class MisfitError(ExpandError):
    """This workspace says something else than the job."""


class SupersededError(ExpandError):
    """The section was asked for afresh since; its newer job is another one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionBought:
    """A section's answers are all in the ledger; the figures are this worker's."""

    status: SectionStatus
    lines: int
    tally: UsageCounter


class SectionRunner:
    """Buys sections for one worker."""

    def __init__(
        self,
        workspace: Workspace,
        settings: Settings,
        *,
        context: RunContext,
        write_drafts: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workspace = workspace
        self._settings = settings
        self._context = context
        self._ledger = context.ledger
        self._write_drafts = write_drafts
        self._chapters: OrderedDict[tuple[object, ...], Chapter] = OrderedDict()
        self._clock = clock
        self._read_at = 0.0
        self._counter: TokenCounter | None = None
        self._kit: tuple[Book, ModelSetup] | None = None
        self.purchase = context.client

    async def buy(self, job: SectionJob) -> SectionBought:
        """Buy what a section still lacks.

        Raises ``MisfitError``, ``SupersededError``; ``BudgetExceededError``, ``AuthorError`` and
        ``StoppedError`` for what ended it early, its tally in ``self.tally``; ``LedgerError``;
        ``InputError`` for what cannot be asked at all, such as a prompt that does not fit.
        """
        edition = self._edition(job)
        chapter, section = self._opened(job, edition)
        on_event, usage = self._context.usage.on_event, self._context.usage
        on_event(SectionStarted(chapter=job.chapter, section=job.section))
        usage.take(job.chapter, job.section)
        check = SectionCheck(
            section=section, state="due", revision=edition, key=job.key, extra=ExtraContext(present=job.present)
        )
        drafted = await SectionRun(self._context, chapter, check).draft()
        tally = usage.of(job.chapter, job.section)
        status = status_of(drafted.ended_by, tally)
        on_event(SectionDone(chapter=job.chapter, section=job.section, lines=drafted.lines, status=status))
        if drafted.ended_by is not None:
            raise drafted.ended_by
        if self._write_drafts:
            self._write(chapter, section, drafted, job.key)
        return SectionBought(status=status, lines=drafted.lines, tally=tally)

    def tally(self, job: SectionJob) -> UsageCounter:
        """What the last go at a section bought."""
        return self._context.usage.take(job.chapter, job.section)

    def warm(self) -> None:
        """Load what every section needs, so that the first does not wait for it. Raises
        ``InputError`` where the workspace has no book, or settings that cannot be meant.
        """
        means = model_setup_for(self._workspace, self._settings, ledger=self._ledger)
        if self._counter is not None:  # the tokenizer is the same, and slow to load
            means = replace(means, counter=self._counter)
        self._counter = means.counter
        self._counter.count("ready")
        self._kit = self._workspace.book(), means
        self._read_at = self._clock()

    def recover(self) -> None:
        """Put the attempts of workers that died in order."""
        self._ledger.recover()

    def _edition(self, job: SectionJob) -> Revision:
        number = self._ledger.edition(job.chapter, job.section)
        if number > job.edition:
            raise SupersededError(f"edition {number} was asked for since this job for edition {job.edition}")
        instruction = self._ledger.instruction(job.chapter, job.section)
        return Revision(number=job.edition, instruction=instruction)

    def _opened(self, job: SectionJob, edition: Revision) -> tuple[Chapter, Section]:
        """The section as the job has it; read anew where it was read before it changed."""
        place = (job.chapter, job.options)
        known = self._chapters.get(place)
        if known is None or _fitting(known, job, edition) is None:
            known = self._chapters[place] = self._read(job)
            if _fitting(known, job, edition) is None and self._renew():
                known = self._chapters[place] = self._read(job)
        self._chapters.move_to_end(place)
        while len(self._chapters) > KEPT:
            self._chapters.popitem(last=False)
        found = _fitting(known, job, edition)
        if found is None:
            raise MisfitError(_differing(known, job, edition, self._settings.model))
        return known, found

    def _read(self, job: SectionJob) -> Chapter:
        try:
            if self._kit is None:
                self.warm()
            assert self._kit is not None  # warm has seen to it
            book, means = self._kit
            require_language(means.profile, book, job.options.language)
            return open_chapter(
                self._workspace,
                book,
                job.chapter,
                options=job.options,
                setup=means,
            )
        except InputError as error:
            self._renew()
            raise MisfitError(str(error)) from error

    def _renew(self) -> bool:
        """Have book and templates read anew, unless that was done just now."""
        if self._kit is None or self._clock() - self._read_at < RENEWED_SECONDS:
            return False
        self._kit = None
        return True

    def _write(self, chapter: Chapter, section: Section, drafted: DraftedSection, key: str) -> None:
        folio = DraftFile(self._workspace, chapter)
        if not folio.edited(section.number):
            folio.put(section.number, drafted.text, key)
        folio.write()


def _fitting(chapter: Chapter, job: SectionJob, edition: Revision) -> Section | None:
    """The section if it makes the job's key; else None."""
    for section in chapter.outline.sections:
        if section.number == job.section:
            return section if chapter.key(section, edition) == job.key else None
    return None


def _differing(chapter: Chapter, job: SectionJob, edition: Revision, model: str) -> str:
    for section in chapter.outline.sections:
        if section.number == job.section:
            parts = differences(job.key, chapter.key(section, edition))
            named = [
                f"model ({job.model} is wanted, {model} is set here)"
                if part == "model" and job.model != model
                else part
                for part in parts
            ]
            return f"this workspace differs from the job in: {', '.join(named)}"
    return f"this workspace's outline of chapter {job.chapter} has no section {job.section}"
