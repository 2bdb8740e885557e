"""The use case: chapters into drafts, sections side by side on a fixed number of workers.

What holds: a section that is current is not touched, one that a person edited is not touched, every
answer is in the ledger before it is in a draft, and a draft is written whole after each section.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from expand.completion import Author
from expand.contract import Finding, check_chapter, source_findings
from expand.drafting.acceptance import Acceptances
from expand.drafting.chapter import NO_EDITION, Chapter, Edition, Means
from expand.drafting.events import (
    AttemptChanged,
    Event,
    Notice,
    RunPlanned,
    SectionDone,
    SectionPlanned,
    SectionStarted,
    SectionStatus,
)
from expand.drafting.folio import Folio
from expand.drafting.manuscript import Manuscript
from expand.drafting.ordering import NO_SETTING, Setting, order_for
from expand.drafting.result import ChapterResult, Refusal, RunResult, SectionResult
from expand.drafting.section import Desk, Drafting, Tally, loop_for
from expand.errors import AuthorError, BudgetExceededError, ExpandError, InputError
from expand.ledger import Ledger, Run
from expand.outline import Book, Outline, Section
from expand.outline.plan import Plan
from expand.purchase.dispatch import Event as PurchaseEvent
from expand.purchase.escrow import Purchase, RefusedError, always_ready
from expand.settings import OnUnknown
from expand.text import digest, lines
from expand.text.draft import text_hash
from expand.workspace import Workspace, decoded, read_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Commission:
    """What a run is to do. ``sections`` are numbers, None for all; ``fresh`` buys them anew.

    ``context_text`` tells each section what those before it say, in order, instead of drafting
    them side by side; with ``cascade`` a section is drafted again when those before it changed.
    """

    chapters: tuple[str, ...]
    plan: Plan
    language: str
    sections: frozenset[int] | None = None
    fresh: bool = False
    context_text: bool = False
    cascade: bool = False
    instruction: str = ""
    """With ``fresh``: what an editor wants of the new version."""

    def chosen(self, outline: Outline) -> tuple[Section, ...]:
        """The sections of a chapter that are to be drafted. Raises ``InputError``."""
        numbers = {section.number for section in outline.sections}
        if missing := sorted((self.sections or frozenset()) - numbers):
            raise InputError(
                f"chapter {outline.id} has no section {missing[0]}",
                remedy=f"it has sections 1 to {len(numbers)}",
            )
        wanted = self.sections if self.sections is not None else numbers
        return tuple(section for section in outline.sections if section.number in wanted)


Job = tuple[Folio, Section]


class Expansion:
    """One run over some chapters."""

    def __init__(
        self,
        *,
        workspace: Workspace,
        book: Book,
        means: Means,
        ledger: Ledger,
        author: Author,
        prepare: Callable[[], Awaitable[None]] = always_ready,
        run: Run,
        workers: int,
        on_unknown: OnUnknown = "retry",
        on_event: Callable[[Event], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workspace = workspace
        self._book = book
        self._means = means
        self._ledger = ledger
        self._run = run
        self._purchase = Purchase(
            ledger=ledger,
            author=author,
            run=run,
            on_event=self._on_purchase,
            on_unknown=on_unknown,
            prepare=prepare,
        )
        self._desk = Desk(
            means=means, ledger=ledger, purchase=self._purchase, run_id=run.id, on_event=on_event
        )
        self._tallies: dict[tuple[str, int], Tally] = {}
        self._results: dict[tuple[str, int], SectionResult] = {}
        self._workers = workers
        self._on_event = on_event
        self._clock = clock
        self._stopped_by = ""
        self._refused: list[Refusal] = []
        self._interrupted = False

    async def expand(self, commission: Commission) -> RunResult:
        """Drafts the chapters; everything bought is in the drafts when it returns.

        Raises ``InputError`` before anything is sent when the input is wrong.
        """
        began = self._clock()
        folios = [
            Folio(
                self._workspace,
                open_chapter(
                    self._workspace,
                    self._book,
                    chapter,
                    plan=commission.plan,
                    language=commission.language,
                    means=self._means,
                ),
            )
            for chapter in commission.chapters
        ]
        jobs = [(f, s) for f in folios for s in commission.chosen(f.chapter.outline)]
        if commission.fresh:
            self._begin_anew(jobs, commission)
        self._announce(jobs)
        self._rehearse(folios, commission)
        for folio in folios:
            folio.write()
        lanes = self._lanes(folios, jobs, in_order=commission.context_text)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._workers, len(jobs))):
                    group.create_task(self._worker(lanes, commission))
        except* ExpandError as errors:
            raise _first(errors) from errors
        finally:
            await self._purchase.drain()
        chapters = tuple(self._finish(folio, commission) for folio in folios)
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

    def _begin_anew(self, jobs: Sequence[Job], commission: Commission) -> None:
        """Raises the editions; a section that was edited gives way only if it was named."""
        for folio, section in jobs:
            if folio.edited(section.number):
                if commission.sections is None:
                    continue
                folio.overwrite(section.number)
            self._ledger.raise_edition(
                folio.chapter.id, section.number, instruction=commission.instruction
            )

    def _announce(self, jobs: Sequence[Job]) -> None:
        """Says what will be drafted and why, before anything is spent."""
        self._on_event(
            RunPlanned(
                sections=tuple(
                    SectionPlanned(
                        chapter=folio.chapter.id,
                        section=section.number,
                        title=folio.chapter.title(section),
                        lines=section.lines,
                        reason="edited"
                        if folio.edited(section.number)
                        else folio.reason(section, self._key(folio.chapter, section)),
                    )
                    for folio, section in jobs
                )
            )
        )

    def _rehearse(self, folios: Sequence[Folio], commission: Commission) -> None:
        """Makes the first order of each chapter, so that what is wrong with the templates or the
        context window is said before anything is sent.
        """
        for folio in folios:
            chapter = folio.chapter
            for section in commission.chosen(chapter.outline)[:1]:
                manuscript = Manuscript(chapter.frame(section))
                ask = loop_for(manuscript, self._means).next()
                if ask is not None:
                    order_for(
                        chapter, section, ask, manuscript, run_id=self._run.id, edition=NO_EDITION
                    )

    @staticmethod
    def _lanes(
        folios: Sequence[Folio], jobs: Sequence[Job], *, in_order: bool
    ) -> Iterator[Sequence[Job]]:
        """What one worker takes at a time: a section, or a chapter where order matters."""
        if not in_order:
            return iter([[job] for job in jobs])
        return iter([[job for job in jobs if job[0] is folio] for folio in folios])

    async def _worker(self, lanes: Iterator[Sequence[Job]], commission: Commission) -> None:
        for lane in lanes:
            for folio, section in lane:
                await self._do(folio, section, commission)

    async def _do(self, folio: Folio, section: Section, commission: Commission) -> None:
        chapter, number = folio.chapter, section.number
        self._on_event(SectionStarted(chapter=chapter.id, section=number))
        status, notes = await self._section(folio, section, commission)
        result = self._result(folio, section, status, notes)
        self._results[chapter.id, number] = result
        folio.write()
        self._on_event(
            SectionDone(chapter=chapter.id, section=number, lines=result.lines, status=status)
        )

    async def _section(
        self, folio: Folio, section: Section, commission: Commission
    ) -> tuple[SectionStatus, Sequence[Finding]]:
        chapter, number = folio.chapter, section.number
        if folio.edited(number):
            return "edited", ()
        edition = self._edition(chapter, section)
        key = chapter.key(section, edition)
        setting = self._setting(folio, section, edition, commission)
        told = text_hash(setting.told) if setting.told else ""
        if folio.is_current(number, key):
            if not commission.context_text or folio.told(number) == told:
                return "reused", ()
            if not commission.cascade:
                self._on_event(Notice(message=_stale(chapter, section)))
                return "reused", ()
        tally = self._tallies.setdefault((chapter.id, number), Tally())
        drafted = await Drafting(
            self._desk, chapter, section, edition=edition, setting=setting, tally=tally
        ).draft()
        status = self._status(chapter, section, drafted.ended_by, tally)
        if drafted.ended_by is None:
            folio.put(number, drafted.text, key, told)
        elif drafted.lines >= lines.of_section(folio.texts[number]):
            folio.put(number, drafted.text, "")
        return status, drafted.notes

    def _edition(self, chapter: Chapter, section: Section) -> Edition:
        return Edition(
            number=self._ledger.edition(chapter.id, section.number),
            instruction=self._ledger.instruction(chapter.id, section.number),
        )

    def _key(self, chapter: Chapter, section: Section) -> str:
        return chapter.key(section, self._edition(chapter, section))

    @staticmethod
    def _setting(
        folio: Folio, section: Section, edition: Edition, commission: Commission
    ) -> Setting:
        """What the section is told beside its own outline."""
        if not (edition.instruction or commission.context_text):
            return NO_SETTING
        before = [
            folio.texts[other.number]
            for other in folio.chapter.outline.sections
            if other.number < section.number
        ]
        frame = folio.chapter.frame(section)
        return Setting(
            told=digest.of_sections(before) if commission.context_text else "",
            present=digest.by_topic(folio.texts[section.number], frame.topics)
            if edition.instruction
            else {},
        )

    def _status(
        self, chapter: Chapter, section: Section, ended_by: ExpandError | None, tally: Tally
    ) -> SectionStatus:
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
        self, folio: Folio, section: Section, status: SectionStatus, notes: Sequence[Finding]
    ) -> SectionResult:
        chapter, number = folio.chapter, section.number
        text = folio.texts[number]
        tally = self._tallies.get((chapter.id, number), Tally())
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

    def _finish(self, folio: Folio, commission: Commission) -> ChapterResult:
        """The chapter's result: the sections that were asked for, and what shows across them."""
        folio.write()
        chapter = folio.chapter
        found = across(self._workspace, folio, whole=commission.sections is None)
        results = [
            self._results[chapter.id, section.number]
            for section in commission.chosen(chapter.outline)
            if (chapter.id, section.number) in self._results
        ]
        return ChapterResult.of(
            id=chapter.id,
            draft=folio.path,
            language=chapter.language,
            plan=chapter.plan.value,
            sections=results,
            across=found,
        )

    def _on_purchase(self, event: PurchaseEvent) -> None:
        address = event.order.address
        if event.kind == "sent":
            tally = self._tallies.setdefault((address.chapter, address.section), Tally())
            tally.attempts += 1
        if event.kind != "waiting":
            self._on_event(
                AttemptChanged(
                    chapter=address.chapter,
                    section=address.section,
                    purpose=address.purpose,
                    attempt_id=event.attempt_id,
                    model=event.order.request.model,
                    state=event.kind,
                    reserved_tokens=event.order.amount.tokens,
                    usage=event.usage,
                    message=event.message,
                )
            )
        if event.message and not event.final:
            wait = f" (waiting {event.seconds:.0f} s)" if event.seconds >= 1 else ""
            self._on_event(
                Notice(message=f"{address.chapter}/{address.section}: {event.message}{wait}")
            )


def open_chapter(
    workspace: Workspace, book: Book, chapter_id: str, *, plan: Plan, language: str, means: Means
) -> Chapter:
    """A chapter of the workspace, ready to be drafted. Raises ``InputError``."""
    outline = workspace.outline(chapter_id)
    source = Acceptances(workspace).origin(chapter_id, workspace.source_bytes(outline))
    return Chapter(
        book=book,
        outline=outline,
        source_text=decoded(source, workspace.root / outline.source),
        plan=plan,
        language=language,
        means=means,
    )


def across(workspace: Workspace, folio: Folio, *, whole: bool) -> tuple[Finding, ...]:
    """What shows only across sections; of a ``whole`` chapter also what is missing from it."""
    chapter = folio.chapter
    beside = workspace.root / chapter.outline.source

    def exists(path: str) -> bool:
        return (beside.parent / path).exists()

    quality = chapter.outline.quality if whole else None
    found = check_chapter(folio.texts, quality=quality, exists=exists)
    if whole:
        draft = read_text(workspace.draft_path(chapter.id))
        found += source_findings(chapter.source_text, draft)
    return found


def _stale(chapter: Chapter, section: Section) -> str:
    return (
        f"{chapter.id}/{section.number}: the sections before it changed since it was drafted; "
        "--cascade drafts it again"
    )


def _first(errors: BaseExceptionGroup[ExpandError]) -> ExpandError:
    """The first of the errors that ended the workers."""
    for error in errors.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("an exception group is never empty")
