"""The use case: chapters into drafts, sections side by side on a fixed number of workers.

A worker is one section. There are twice as many of them as requests on their way, so that for each
answer that makes room the next one is ready.

What holds: a section that is current is not touched, one that a person edited is not touched, every
answer is in the ledger before it is in a draft, and a draft is written whole, within a second
of each section and when its chapter is done. A chapter is opened when its turn comes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from expand.checks import Finding
from expand.client.client import PILOT_SECONDS, BudgetedClient, RefusedError, always_ready
from expand.drafting.balance_cache import BalanceCache
from expand.drafting.chapter_state import Chapter, ModelSetup
from expand.drafting.draft_file import DraftFile
from expand.drafting.draft_store import DraftStore, across
from expand.drafting.events import (
    Event,
    Notice,
    RunPlanned,
    SectionDone,
    SectionPlanned,
    SectionStarted,
    SectionStatus,
)
from expand.drafting.result_cache import ResultCache, Revisions
from expand.drafting.results import ChapterResult, Refusal, RunResult, SectionResult
from expand.drafting.run_options import Job, RunOptions, lanes
from expand.drafting.run_plan import planned_already, revision_of, run_plan
from expand.drafting.section_run import RequestSetup, SectionRun, Tally
from expand.drafting.section_status import check_section_state
from expand.drafting.usage_counters import UsageCounters
from expand.errors import AuthorError, BudgetExceededError, ExpandError
from expand.ledger import Ledger, Run
from expand.llm.types import Author
from expand.markdown import lines
from expand.outline import Book, Outline, Section
from expand.outline.plans import Plan
from expand.settings import OnUnknown
from expand.workspace import Workspace


class Scheduler:
    """One run over some chapters."""

    def __init__(
        self,
        *,
        workspace: Workspace,
        book: Book,
        means: ModelSetup,
        ledger: Ledger,
        author: Author,
        prepare: Callable[[], Awaitable[None]] = always_ready,
        run: Run,
        workers: int,
        on_unknown: OnUnknown = "retry",
        on_event: Callable[[Event], None],
        outlines: Mapping[str, Outline] | None = None,
        finished: ResultCache | None = None,
        pilot_seconds: float = PILOT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``outlines`` are those that were read already, ``finished`` what is known to be done,"""
        self._workspace = workspace
        self._book = book
        self._means = means
        self._ledger = ledger
        self._run = run
        self._tallies = UsageCounters(on_event)
        self._purchase = BudgetedClient(
            ledger=ledger,
            author=author,
            on_event=self._tallies.note,
            on_unknown=on_unknown,
            pilot_seconds=pilot_seconds,
            prepare=prepare,
            at_once=workers,
            answered=ledger.answered(),
        )
        self._desk = RequestSetup(
            means=means,
            ledger=ledger,
            purchase=self._purchase,
            run_id=run.id,
            remaining=BalanceCache(ledger, clock),
            on_event=on_event,
            lean=ledger.bought(Plan.LEAN.value),
        )
        self._outlines = outlines or {}
        self._finished = finished
        self._editions: Revisions = {}
        self._sections: dict[str, dict[int, SectionResult]] = {}
        self._chapters: dict[str, ChapterResult] = {}
        self._left: dict[str, int] = {}
        self._noted: set[str] = set()
        self._workers = workers
        self._on_event = on_event
        self._clock = clock
        self._stopped_by = ""
        self._refused: list[Refusal] = []
        self._interrupted = False

    async def expand(self, options: RunOptions) -> RunResult:
        """Drafts the chapters; everything bought is in the drafts when it returns.

        Raises ``InputError`` before anything is sent when the input is wrong.
        """
        began = self._clock()
        folios = DraftStore(
            self._workspace,
            self._book,
            outlines=self._outlines,
            options=options,
            means=self._means,
        )
        if options.fresh:
            self._begin_anew(folios, options)
        planned, jobs = self._look_around(folios, options)
        self._on_event(RunPlanned(sections=tuple(planned)))
        self._tell_known()
        try:
            await self._work(jobs, folios, options)
        finally:
            try:
                await self._purchase.drain()
            finally:
                folios.write()
        known = self._chapters
        chapters = tuple(known[chapter] for chapter in options.chapters if chapter in known)
        return RunResult(
            chapters=chapters,
            balance=self._ledger.balance("book"),
            attempts=sum(s.attempts for c in chapters for s in c.sections),
            answers=sum(s.answers for c in chapters for s in c.sections),
            seconds=self._clock() - began,
            stopped_by=self._stopped_by,
            refused=tuple(self._refused),
            interrupted=self._interrupted,
        )

    def stop(self) -> None:
        """Begin nothing new; what is in flight arrives. Called again, that is left unknown."""
        self._interrupted = True
        self._purchase.stop()

    def _begin_anew(self, folios: DraftStore, options: RunOptions) -> None:
        """Raises the editions; a section that was edited gives way only if it was named."""
        for chapter in options.chapters:  # nothing is raised where the input is wrong
            folios.look(chapter)
        for chapter in options.chapters:
            folio = folios.look(chapter)
            for section in options.chosen(folio.chapter.outline):
                if folio.edited(section.number):
                    if options.sections is None:
                        continue
                    folios.overwrite(chapter, section.number)
                self._ledger.raise_edition(chapter, section.number, instruction=options.instruction)

    def _look_around(self, folios: DraftStore, options: RunOptions) -> tuple[list[SectionPlanned], list[Sequence[Job]]]:
        """What will be drafted and why, found before anything is spent, and what is to do."""
        self._editions = self._ledger.editions()
        jobs: list[Sequence[Job]] = []
        planned: list[SectionPlanned] = []
        for chapter in options.chapters:
            known = self._finished.result(chapter, self._editions) if self._finished else None
            if known is not None:
                self._chapters[chapter] = known
                planned += planned_already(known)
                continue
            found = run_plan(folios.look(chapter), options, self._editions)
            planned += found.planned
            jobs.append(found.jobs)
        return planned, jobs

    def _tell_known(self) -> None:
        for chapter, result in self._chapters.items():
            for section in result.sections:
                self._tell_done(chapter, section)

    async def _work(self, jobs: Sequence[Sequence[Job]], folios: DraftStore, options: RunOptions) -> None:
        """Has the workers do everything, and the drafts written meanwhile."""
        self._left.update((of_one[0].chapter, len(of_one)) for of_one in jobs)
        todo = lanes(jobs, workers=self._workers, in_order=options.context == "text")
        done = asyncio.Event()
        working = 2 * self._workers

        async def worker() -> None:
            nonlocal working
            await self._desk.turns.wait()  # the first request need not wait for all the others'
            for lane in todo:
                for job in lane:
                    await self._do(job, folios, options)
            working -= 1
            if not working:
                done.set()

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(working):
                    group.create_task(worker())
                group.create_task(folios.keep_written(done))
        except* ExpandError as errors:
            raise _first(errors) from errors

    async def _do(self, job: Job, folios: DraftStore, options: RunOptions) -> None:
        folio = folios.take(job.chapter)
        chapter = folio.chapter
        section = chapter.outline.sections[job.section - 1]
        self._on_event(SectionStarted(chapter=chapter.id, section=section.number))
        status, notes = await self._section(folio, section, options)
        result = self._result(folio, section, status, notes)
        self._sections.setdefault(chapter.id, {})[section.number] = result
        self._left[chapter.id] -= 1
        if notes:
            self._noted.add(chapter.id)
        if not self._left[chapter.id]:
            await self._desk.turns.wait()  # it takes as long as a text
            self._finish(folios, folio, options)
        self._tell_done(chapter.id, result)

    def _tell_done(self, chapter: str, result: SectionResult) -> None:
        self._on_event(SectionDone(chapter=chapter, section=result.number, lines=result.lines, status=result.status))

    async def _section(
        self, folio: DraftFile, section: Section, options: RunOptions
    ) -> tuple[SectionStatus, Sequence[Finding]]:
        chapter, number = folio.chapter, section.number
        edition = revision_of(chapter.id, number, self._editions)
        stands = check_section_state(folio, section, options, edition=edition)
        if stands.fate == "edited":
            return "edited", ()
        if stands.fate == "stale":
            self._on_event(Notice(message=_stale(chapter, section)))
        if stands.fate != "due":
            return "reused", ()
        tally = self._tallies.of(chapter.id, number)
        drafted = await SectionRun(
            self._desk, chapter, section, edition=edition, setting=stands.setting, tally=tally
        ).draft()
        status = self._status(chapter, section, drafted.ended_by, tally)
        if drafted.ended_by is None:
            folio.put(number, drafted.text, stands.key, stands.told)
        elif drafted.lines >= lines.of_section(folio.texts[number]):
            folio.put(number, drafted.text, "")
        return status, drafted.notes

    def _status(self, chapter: Chapter, section: Section, ended_by: ExpandError | None, tally: Tally) -> SectionStatus:
        """What became of a section, and what that means for the run."""
        if ended_by is None:
            return "drafted" if tally.answers else "reused"
        if isinstance(ended_by, BudgetExceededError):
            shortfall = ended_by.shortfall if isinstance(ended_by, RefusedError) else None
            self._refused.append(
                Refusal(
                    chapter=chapter.id,
                    section=section.number,
                    message=str(ended_by),
                    shortfall=shortfall,
                )
            )
            return "refused"
        if isinstance(ended_by, AuthorError) and not self._stopped_by:
            self._stopped_by = str(ended_by)
        return "failed"

    def _result(
        self, folio: DraftFile, section: Section, status: SectionStatus, notes: Sequence[Finding]
    ) -> SectionResult:
        chapter, number = folio.chapter, section.number
        text = folio.texts[number]
        tally = self._tallies.take(chapter.id, number)
        return SectionResult(
            number=number,
            title=chapter.title(section),
            target_lines=section.lines,
            lines=lines.of_section(text),
            status=status,
            attempts=tally.attempts,
            answers=tally.answers,
            usage=tally.usage,
            findings=(*notes, *chapter.check(section, text)),
        )

    def _finish(self, folios: DraftStore, folio: DraftFile, options: RunOptions) -> None:
        """The chapter's result: the sections that were asked for, and what shows across them."""
        folio.write()
        chapter = folio.chapter
        links: dict[str, bool] = {}
        whole = options.sections is None
        sections = self._sections.pop(chapter.id, {})
        result = self._chapters[chapter.id] = ChapterResult.of(
            id=chapter.id,
            draft=folio.path,
            language=chapter.language,
            plan=chapter.plan.value,
            sections=[sections[s.number] for s in options.chosen(chapter.outline)],
            across=across(self._workspace, folio, whole=whole, links=links),
        )
        if self._finished is not None and chapter.id not in self._noted:
            self._finished.keep(folio, result, self._editions, links)
        folios.close(chapter.id)


def _stale(chapter: Chapter, section: Section) -> str:
    return (
        f"{chapter.id}/{section.number}: the sections before it changed since it was drafted; --cascade drafts it again"
    )


def _first(errors: BaseExceptionGroup[ExpandError]) -> ExpandError:
    """The first of the errors that ended the workers."""
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
