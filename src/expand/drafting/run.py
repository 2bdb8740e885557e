"""A run: chapters into drafts, sections side by side on a fixed number of workers.

What holds: a section that is current is not touched, one that a person edited is not touched, every answer is in the
ledger before it is in a draft, and a draft is written whole, after each section and when its chapter is done. A
chapter is opened when its turn comes.

However the run ends, what arrived and is paid for is in the ledger or, where that cannot be written, in a file
elsewhere (``ledger.spill``). Where the task that waits for the result is cancelled, nothing new begins; what is in
flight arrives, is settled and drafted, and only then does the cancellation go on. Cancelled again, what is in flight is
left behind: those attempts stay charged at their reservation, as unknown outcomes.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Self

from expand.client.client import BudgetedClient, RefusedError, StoppedError
from expand.code_check.chapter_code import ChapterVerdicts, CodeCheck
from expand.drafting.approval import Approval
from expand.drafting.budget_plan import (
    Amounts,
    BudgetPlan,
    ChapterBound,
    Key,
    budget_plan,
    due_section,
    expected_amounts,
)
from expand.drafting.chapter import Chapter
from expand.drafting.chapter_requests import BUDGET_SHARE, Made, begun_chapters, brief_order, make_brief, wants_brief
from expand.drafting.draft_file import DraftFile, DraftStore
from expand.drafting.draft_state import ResultCache, hashes, read_record
from expand.drafting.events import Event, Notice, RunPlanned, SectionDone, SectionPlanned, SectionStarted, SectionStatus
from expand.drafting.model_setup import profile_of
from expand.drafting.read_through import Judge, read_order, read_through, review_context, texts_of
from expand.drafting.request_builder import WHOLE
from expand.drafting.results import ChapterResult, Refusal, RunResult, SectionResult
from expand.drafting.run_context import RunContext, open_run
from expand.drafting.run_options import RunOptions
from expand.drafting.section_run import SectionRun
from expand.drafting.section_state import (
    Revisions,
    SectionCheck,
    check_chapter_state,
    check_section_state,
    raise_revision,
    raised_revisions,
    revision_of,
)
from expand.errors import AuthorError, BudgetExceededError, ExpandError, InputError, LedgerError
from expand.llm.types import Author
from expand.markdown import lines
from expand.outline import Section
from expand.settings import Settings
from expand.workspace import Workspace

READ_SHARE = 4
"""A run has a chapter read through by itself only where that can cost at most this part of what is left."""


@dataclass(eq=False, kw_only=True, slots=True)
class _ChapterWork:
    """A chapter that a run works on. ``due`` are its sections that are to be drafted, ``briefless`` says that it gets a
    brief first, ``noted`` that the run says something of it that a later run would not. ``done`` has the status of the
    finished sections, ``to_mend`` those whose package is mended when all of it is there."""

    sections: Sequence[int]
    due: Mapping[int, SectionCheck]
    briefless: bool = False
    noted: bool = False
    done: dict[int, SectionStatus] = field(default_factory=dict)
    to_mend: dict[int, tuple[SectionRun, SectionCheck]] = field(default_factory=dict)
    brief_lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Run:
    """One run, from ``async with`` to the end of its block, as a task of its own. A block that is left early stops the
    run and waits for what is in flight."""

    _context: RunContext
    _drafts: DraftStore
    _cache: ResultCache
    _revisions: Revisions

    def __init__(
        self,
        workspace: Workspace,
        options: RunOptions,
        *,
        settings: Settings | None = None,
        author: Author | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        """``settings`` are those of the options, unless they are given. ``author`` writes in the place of the
        configured one. ``on_event`` is called within the run and should be quick; when it raises, the run stops and the
        error is raised by ``result``."""
        self._workspace = workspace
        self._options = options
        self._settings = settings or options.settings(workspace, own_author=author is not None)
        self._author = author
        self._on_event = on_event
        self._task: asyncio.Task[RunResult] | None = None
        self._stops = 0
        self._client: BudgetedClient | None = None
        self._broken: Exception | None = None
        self._approval = Approval(workspace, options.decide, self.stop) if options.decide else None
        self._chapters: dict[str, _ChapterWork] = {}
        self._finished: dict[str, ChapterResult] = {}
        self._plan: BudgetPlan | None = None
        """Which sections are finished where the budget does not reach for all that are due."""
        self._learning = asyncio.Lock()
        self._refused: list[Refusal] = []
        self._problems: list[InputError] = []
        """Why chapters could not be opened or written."""
        self._defects: list[Exception] = []
        self._stopped_by = ""
        self.charged_tokens = 0
        """What the run took from its own budget, once it has ended, whatever became of it; all of it where the ledger
        cannot tell."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="expand")
        # Who asks for the result gets the error; the run is over in any case.
        self._task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._begun.done():
            self.stop()
            await self._arrived()

    def stop(self) -> None:
        """Begin nothing new; what is in flight arrives. Called again, that is left unknown."""
        self._stops += 1
        if self._client is not None:
            self._client.stop()
        if self._approval is not None:
            self._approval.stop()

    async def result(self) -> RunResult:
        """What the run came to, once it has ended.

        Raises ``InputError``, ``AuthorError`` and ``LedgerError`` for what kept it from beginning or from going on, and
        what ``on_event`` raised."""
        result = await self._arrived()
        if self._broken is not None:
            raise self._broken
        return result

    async def complete(self) -> RunResult:
        """Run to the end; its result. Raises what ``result`` raises."""
        async with self:
            return await self.result()

    @property
    def _begun(self) -> asyncio.Task[RunResult]:
        if self._task is None:
            raise RuntimeError("a run begins with `async with`")
        return self._task

    async def _arrived(self) -> RunResult:
        """The run's result; each cancellation meanwhile stops it, and is raised at its end."""
        cancelled: asyncio.CancelledError | None = None
        while not self._begun.done():
            try:
                await asyncio.wait([self._begun])
            except asyncio.CancelledError as error:
                cancelled = error
                self.stop()
        if cancelled is not None:
            raise cancelled
        return self._begun.result()

    def _emit(self, event: Event) -> None:
        if self._on_event is None or self._broken is not None:
            return
        try:
            self._on_event(event)
        # Raised at the end, by `result`. Raised here, it would come out of the client in the middle of an attempt, and
        # leave its outcome unknown.
        except Exception as error:  # whatever it is, what is in flight comes first
            self._broken = error
            self.stop()

    async def _run(self) -> RunResult:
        """Open what the run works with, and work. Outlines of chapters that are known to be finished stay unread."""
        workspace, options, settings = self._workspace, self._options, self._settings
        # Verdicts on code depend on what is installed, so such a result is never known ahead.
        usable = not (settings.code.check or options.read or options.decide)
        self._cache = ResultCache(workspace, options, profile_of(workspace, settings), usable=usable)
        outlines = {chapter: workspace.outline(chapter) for chapter in options.chapters if chapter not in self._cache}
        opening = open_run(workspace, settings, options, author=self._author, on_event=self._emit, outlines=outlines)
        async with opening as context:
            self._context, setup = context, context.setup
            self._drafts = DraftStore(workspace, context.book, options=options, setup=setup, outlines=outlines)
            self._client = context.client
            for _ in range(self._stops):
                self._client.stop()
            self.charged_tokens = options.budget or 0
            try:
                return await self._expand()
            finally:
                balance = context.ledger.balance(f"run:{context.run_id}")
                self.charged_tokens = balance.used_tokens + balance.reserved_tokens

    async def _expand(self) -> RunResult:
        """Draft the chapters; everything bought is in the drafts when it returns. Raises ``InputError`` before anything
        is sent when the input is wrong; and a defect of the tool that a section met, once all others are drafted."""
        began, context = time.monotonic(), self._context
        self._revisions = raised_revisions(self._drafts, context.ledger, dry_run=False, overwrite=True)
        self._look_around()
        for known in self._finished.values():
            for one in known.sections:
                self._emit(
                    SectionDone(
                        chapter=known.id, section=one.number, lines=one.lines, status=one.status, counted=one.counted
                    )
                )
        try:
            await self._draft()
        finally:
            try:
                await context.client.drain()
            finally:
                for chapter, work in self._chapters.items():
                    if work.done and chapter not in self._finished:  # a section could not be begun
                        self._finish(self._drafts.look(chapter))
                self._problems += self._drafts.write()
        if self._defects:
            raise self._defects[0]
        self._cache.write()
        counters = context.usage.counters.values()
        attempts = sum(counter.attempts for counter in counters)
        if self._problems and not attempts:
            raise self._problems[0]
        return RunResult(
            chapters=tuple(self._finished[c] for c in self._options.chapters if c in self._finished),
            balance=context.ledger.balance("book"),
            attempts=attempts,
            answers=sum(counter.answers for counter in counters),
            tokens=sum(counter.usage.total for counter in counters),
            seconds=time.monotonic() - began,
            stopped_by=self._stopped_by,
            refused=tuple(self._refused),
            problems=tuple(dict.fromkeys(map(str, self._problems))),
            interrupted=self._stops > 0,
        )

    def _look_around(self) -> None:
        """Find the sections to work on, and tell what will be drafted and why before anything is spent."""
        planned: list[SectionPlanned] = []
        begun = begun_chapters(self._context.ledger)
        for chapter in self._options.chapters:
            known = self._cache.result(chapter, self._revisions)
            if known is not None:
                self._finished[chapter] = known
                planned += [
                    SectionPlanned(
                        chapter=chapter,
                        section=section.number,
                        title=section.title,
                        lines=section.target_lines,
                        reason="edited" if section.status == "edited" else "",
                        unit=section.unit,
                        target=section.target,
                    )
                    for section in known.sections
                ]
                continue
            draft_file = self._drafts.look(chapter)
            checks = check_chapter_state(draft_file, self._options, self._revisions)
            planned += [check.planned(draft_file.chapter) for check in checks]
            due = {check.section.number: check for check in checks if check.state == "due"}
            self._chapters[chapter] = _ChapterWork(
                sections=[check.section.number for check in checks],
                due=due,
                briefless=any(not one.begun.whole for one in due.values()) and wants_brief(draft_file.chapter, begun),
            )
        self._emit(RunPlanned(sections=tuple(planned)))
        if not (self._stops or self._approval):  # else the ledger's answers are drafted, and nothing is spent
            works = [(self._drafts.look(chapter).chapter, work) for chapter, work in self._chapters.items()]
            every = [due_section(chapter, check.section) for chapter, work in works for check in work.due.values()]
            self._plan = budget_plan(every, self._context.left, self._expected)
        if self._plan is not None:
            for work in self._chapters.values():
                work.briefless = False
            self._emit(Notice(message=str(self._plan)))

    def _expected(self, key: Key) -> Amounts:
        chapter, number = key
        check = self._chapters[chapter].due[number]
        return expected_amounts(self._drafts.look(chapter).chapter, check, self._context.ledger)

    async def _draft(self) -> None:
        """Have the workers do everything."""
        workers = self._settings.concurrency or self._context.setup.profile.concurrency
        workers = 1 if self._approval or self._plan else workers
        every = [(chapter, number) for chapter, work in self._chapters.items() for number in work.sections]
        todo = iter(dict.fromkeys((*(self._plan.finished if self._plan else ()), *every)))

        async def work() -> None:
            for chapter, section in todo:
                # Whatever one section runs into, the others go on, and the drafts are written: they are paid for.
                try:
                    await self._section(chapter, section)
                except InputError as error:
                    self._problems.append(error)
                except LedgerError:
                    raise
                except Exception as error:  # a defect; raised at the end, with its traceback
                    self._defects.append(error)

        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(workers):
                    tasks.create_task(work())
        except* ExpandError as errors:
            raise errors.exceptions[0] from errors

    async def _section(self, chapter_id: str, number: int) -> None:
        work = self._chapters[chapter_id]
        async with work.brief_lock:  # before the first section of a chapter; the others wait for it
            if work.briefless:
                await self._make_brief(chapter_id)
                work.briefless = False
        if self._approval and self._options.brief:
            await self._approve_brief(chapter_id, self._approval)
        draft_file, section = self._present(chapter_id, number)
        self._emit(SectionStarted(chapter=chapter_id, section=number))
        status = await self._drafted(draft_file, section)
        while self._approval and status not in ("refused", "failed") and not self._stops:
            decision = await self._approval.section(draft_file, section, status)
            if decision.choice in ("take", "skip", "quit"):
                status = "edited" if draft_file.edited(number) else status
                break
            self._drafts.forget(chapter_id)  # the outline may be another
            draft_file, section = self._present(chapter_id, number)
            if decision.choice in ("back", "again"):
                note = decision.note.strip() or revision_of(draft_file, section, self._revisions).instruction
                raise_revision(self._context.ledger, draft_file, number, note)
                self._revisions = self._context.ledger.editions()
            if decision.choice != "length":
                status = await self._drafted(draft_file, section)
        work.done[number] = status
        with suppress(InputError):  # what cannot be written now is tried again, and told at the end
            draft_file.write()
        text, measure = draft_file.texts[number], draft_file.chapter.skeletons[number].measure
        self._emit(
            SectionDone(
                chapter=chapter_id,
                section=number,
                lines=lines.of_section(text),
                status=status,
                counted=measure.counted(text),
            )
        )
        if len(work.done) == len(self._options.chosen(draft_file.chapter.outline)):
            code = self._code(draft_file.chapter)
            verdicts = await self._judged(draft_file, code.judge) if code else None
            before = dict(draft_file.texts)
            await self._read_through(draft_file, code)
            if code and draft_file.texts != before:
                verdicts = await asyncio.to_thread(code.judge, draft_file.texts)
            self._finish(draft_file, verdicts)

    def _present(self, chapter_id: str, number: int) -> tuple[DraftFile, Section]:
        """A draft and a section by what the outline says by now. Raises ``InputError`` where the section is gone."""
        draft_file = self._drafts.take(chapter_id)
        sections = draft_file.chapter.outline.sections
        if number > len(sections):
            raise InputError(
                f"{chapter_id} has no section {number} any more", remedy="its outline was changed; run again"
            )
        return draft_file, sections[number - 1]

    def _code(self, chapter: Chapter) -> CodeCheck | None:
        """How a chapter's code is judged, None where nobody wants it."""
        return chapter.code_check(self._workspace, self._settings) if self._settings.code.check else None

    async def _judged(self, draft_file: DraftFile, judge: Judge) -> ChapterVerdicts:
        """The verdicts on the code of a chapter whose sections are all done.

        Only now its package is complete: a file that another section was still to write is no mistake. So the blocks of
        the package are mended here, those of the sections that this run has drafted."""
        work = self._chapters[draft_file.chapter.id]
        verdicts = await asyncio.to_thread(judge, draft_file.texts)
        for number, (section, check) in work.to_mend.items():
            if verdicts.refused(number, package=True) and not draft_file.edited(number):
                await section.mend_package()
                draft_file.put(number, section.text.render(), check.key)
                work.done[number] = "drafted"
                verdicts = await asyncio.to_thread(judge, draft_file.texts)
        work.to_mend.clear()
        return verdicts

    async def _first_alone(self, section: SectionRun) -> ExpandError | None:
        """Draft a section; of a model that writes whole ones the first by itself, so that what it delivers corrects
        what is asked of it for the others."""
        if self._context.setup.profile.brief and not self._context.delivered:
            async with self._learning:
                if not self._context.delivered:
                    return await section.draft()
        return await section.draft()

    async def _make_brief(self, chapter_id: str) -> None:
        """Have a chapter's brief made, where it can take but a small part of what is left."""
        chapter = self._drafts.look(chapter_id).chapter
        try:
            if not self._context.has_for(brief_order(chapter, "none"), BUDGET_SHARE):
                return
            made = await make_brief(self._context, chapter)
        except InputError as error:
            made = Made(None, stopped_by=error)
        if made.value is not None:
            self._drafts.forget(chapter_id)
        elif not isinstance(made.stopped_by, StoppedError):
            said = f"drafted without a brief: {made.stopped_by or made.problems[0]}"
            self._context.usage.tell(chapter_id, WHOLE, said)

    async def _approve_brief(self, chapter_id: str, approval: Approval) -> None:
        """Have a person decide on the chapter's brief, until it may stay as it is."""
        while not self._stops:
            decision = await approval.brief(chapter_id)
            if decision.choice in ("take", "skip"):
                return
            if decision.choice == "back":
                self._context.ledger.raise_edition(chapter_id, WHOLE)
                chapter = replace(self._drafts.look(chapter_id).chapter, brief=None)
                made = await make_brief(self._context, chapter, note=decision.note)
                if made.value is None or made.problems:
                    self._context.usage.tell(chapter_id, WHOLE, f"the brief: {made.stopped_by or made.problems[0]}")
            self._drafts.forget(chapter_id)

    async def _read_through(self, draft_file: DraftFile, code: CodeCheck | None) -> None:
        """Have a drafted chapter read through, where the options or the reader's profile say so. By itself that is done
        for chapters that were drafted just now, and where it can take but a small part of what is left."""
        chapter, asked = draft_file.chapter, self._options.read
        work, reader = self._chapters[chapter.id], self._context.models_for("review")[0]
        if self._options.sections is not None or not (reader.profile.read if asked is None else asked):
            return
        record, texts = read_record(self._workspace, draft_file.path), texts_of(draft_file)
        begun = hashes(texts) == record.before != record.texts
        if not asked and (draft_file.unfinished or not (begun or work.due)):
            return
        try:
            order = read_order(chapter, reader, "none", "review.j2", review_context(chapter, texts))
            if not asked and not self._context.has_for(order, READ_SHARE):
                said = f"not read through: it may take {order.amount.tokens:,} tokens, and too little is left"
            else:
                said = await read_through(self._context, draft_file, code.judge if code else None)
            self._context.usage.tell(chapter.id, WHOLE, said)
        except (BudgetExceededError, AuthorError, StoppedError, InputError) as error:
            work.noted = True  # a later run goes on with it
            if isinstance(error, StoppedError):
                return
            if not asked:
                self._context.usage.tell(chapter.id, WHOLE, f"not read through: {error}")
            elif isinstance(error, InputError):
                self._problems.append(error)
            else:
                self._status(chapter.id, 0, error)

    async def _drafted(self, draft_file: DraftFile, section: Section) -> SectionStatus:
        """Draft a section if it is due; its status. The draft has what the run has to say of it."""
        chapter, number = draft_file.chapter, section.number
        draft_file.told.pop(number, None)
        work = self._chapters[chapter.id]
        check = check_section_state(draft_file, section, self._revisions)
        if check.state == "edited":
            return "edited"
        if check.state != "due":
            return "reused"
        if self._plan is not None and not self._plan.begins((chapter.id, number), self._context.left(chapter.id)):
            self._refused.append(Refusal(chapter=chapter.id, section=number, message=self._plan.refusal))
            return "refused"
        if chapter.id not in self._context.bounds:
            planned = (n for n in work.due if self._plan is None or (chapter.id, n) in self._plan.finished)
            self._context.bounds[chapter.id] = ChapterBound((chapter, work.due[n]) for n in planned)
        code = self._code(chapter)
        section_run = SectionRun(self._context, chapter, check, draft_file.texts, code)
        ended_by = await self._first_alone(section_run)
        text = section_run.text.render()
        if not check.begun.whole:  # else its text stays, and so does what was told of it
            draft_file.told[number] = section_run.notes
        if ended_by is None:
            draft_file.put(number, text, check.key)
            if code:
                work.to_mend[number] = section_run, check
        elif check.begun.bodies:
            draft_file.put_on(number, text)
        elif section_run.text.lines >= chapter.skeletons[number].measure.of_section(draft_file.texts[number]):
            draft_file.put(number, text, "")
        return self._status(chapter.id, number, ended_by)

    def _status(self, chapter: str, section: int, ended_by: ExpandError | None) -> SectionStatus:
        """The status of a section that was drafted, and what its end means for the run."""
        if isinstance(ended_by, BudgetExceededError):
            shortfall = ended_by.shortfall if isinstance(ended_by, RefusedError) else None
            self._refused.append(Refusal(chapter=chapter, section=section, message=str(ended_by), shortfall=shortfall))
            return "refused"
        if isinstance(ended_by, AuthorError) and not self._stopped_by:
            self._stopped_by = str(ended_by)
        if ended_by is not None:
            return "failed"
        return "drafted" if self._context.usage.of(chapter, section).answers else "reused"

    def _finish(self, draft_file: DraftFile, code: ChapterVerdicts | None = None) -> None:
        """The chapter's result: the sections that were asked for, and what shows across them."""
        chapter = draft_file.chapter
        work = self._chapters[chapter.id]
        self._drafts.close(chapter.id)
        self._context.bounds.pop(chapter.id, None)
        sections: list[SectionResult] = []
        for section in self._options.chosen(chapter.outline):
            status = work.done.get(section.number, "failed")  # one that could not be begun
            counter = self._context.usage.of(chapter.id, section.number)
            now = draft_file.section_result(section, status, code)
            sections.append(replace(now, attempts=counter.attempts, answers=counter.answers, usage=counter.usage))
        result = draft_file.chapter_result(sections, whole=self._options.sections is None, code=code)
        self._finished[chapter.id] = result
        if not (work.noted or any(draft_file.told.values())):
            self._cache.keep(draft_file, result, self._revisions)
