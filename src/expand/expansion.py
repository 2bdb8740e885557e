"""The use case: chapters into drafts, sections side by side on a fixed number of workers.

What holds: a section that is current is not touched, one that a person edited is not touched, every
answer is in the ledger before it is in a draft, and a draft is written whole after each section.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from expand import draft as document
from expand import lines
from expand.chapter import Chapter, Means
from expand.completion import Author
from expand.contract import Finding, check_chapter, check_section, source_findings
from expand.dispatch import Event as PurchaseEvent
from expand.draft import Draft, DraftSection, Stamp
from expand.drafting import Drafting, Tally
from expand.errors import AuthorError, BudgetExceededError, ExpandError, InputError
from expand.events import (
    Event,
    Notice,
    RunPlanned,
    SectionDone,
    SectionStarted,
    SectionStatus,
)
from expand.ledger import Ledger, Run
from expand.manuscript import Manuscript
from expand.outline import Book, Outline, Section
from expand.plan import Plan
from expand.purchase import Purchase
from expand.result import ChapterResult, RunResult, SectionResult, with_findings
from expand.settings import OnUnknown
from expand.workspace import Workspace, read_text, write_atomically


@dataclass(frozen=True, kw_only=True, slots=True)
class Commission:
    """What a run is to do. ``sections`` are numbers, None for all; ``fresh`` buys them anew."""

    chapters: tuple[str, ...]
    plan: Plan
    language: str
    sections: frozenset[int] | None = None
    fresh: bool = False

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


@dataclass(kw_only=True)
class _Work:
    """A chapter while its sections are worked on: what its draft holds now."""

    chapter: Chapter
    former: Draft | None
    texts: dict[int, str] = field(default_factory=dict)
    stamps: dict[int, Stamp] = field(default_factory=dict)
    results: dict[int, SectionResult] = field(default_factory=dict)


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
        )
        self._tallies: dict[tuple[str, int], Tally] = {}
        self._workers = workers
        self._on_event = on_event
        self._clock = clock
        self._stopped_by = ""
        self._refusals: list[str] = []
        self._interrupted = False

    async def expand(self, commission: Commission) -> RunResult:
        """Drafts the chapters; everything bought is in the drafts when it returns.

        Raises ``InputError`` before anything is sent when the input is wrong.
        """
        began = self._clock()
        works = {chapter: self._begin(chapter, commission) for chapter in commission.chapters}
        jobs = [
            (work, section)
            for work in works.values()
            for section in commission.chosen(work.chapter.outline)
        ]
        self._on_event(
            RunPlanned(
                sections=tuple(
                    (w.chapter.id, s.number, w.chapter.title(s), s.lines) for w, s in jobs
                )
            )
        )
        if commission.fresh:
            for work, section in jobs:
                self._ledger.raise_edition(work.chapter.id, section.number)
        waiting = iter(jobs)
        overwrite_edited = commission.fresh and commission.sections is not None
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._workers, len(jobs))):
                    group.create_task(self._worker(waiting, overwrite_edited=overwrite_edited))
        except* ExpandError as errors:
            raise _first(errors) from errors
        finally:
            await self._purchase.drain()
        chapters = tuple(self._finish(work, commission) for work in works.values())
        return RunResult(
            chapters=chapters,
            balance=self._ledger.balance("book"),
            attempts=sum(s.attempts for c in chapters for s in c.sections),
            answers=sum(s.answers for c in chapters for s in c.sections),
            seconds=self._clock() - began,
            stopped_by=self._stopped_by,
            refusals=tuple(dict.fromkeys(self._refusals)),
            interrupted=self._interrupted,
        )

    def stop(self) -> None:
        """Begin nothing new; what is in flight arrives. Called again, that is left unknown."""
        self._interrupted = True
        self._purchase.stop()

    def _begin(self, chapter_id: str, commission: Commission) -> _Work:
        chapter = open_chapter(
            self._workspace,
            self._book,
            chapter_id,
            plan=commission.plan,
            language=commission.language,
            means=self._means,
        )
        former = former_draft(self._workspace, chapter_id)
        work = _Work(chapter=chapter, former=former)
        for section in chapter.outline.sections:
            kept = former.section(section.number) if former else None
            if former is None or kept is None:
                self._put(work, section.number, Manuscript(chapter.frame(section)).render(), "")
                continue
            work.texts[section.number] = kept.text
            if section.number in former.stamps:
                work.stamps[section.number] = former.stamps[section.number]
        return work

    @staticmethod
    def _put(work: _Work, number: int, text: str, key: str) -> None:
        work.texts[number] = text
        work.stamps[number] = Stamp(key=key, text=document.text_hash(text))

    async def _worker(
        self, jobs: Iterator[tuple[_Work, Section]], *, overwrite_edited: bool
    ) -> None:
        for work, section in jobs:
            self._on_event(SectionStarted(chapter=work.chapter.id, section=section.number))
            result = await self._section(work, section, overwrite_edited=overwrite_edited)
            work.results[section.number] = result
            self._write(work)
            self._on_event(
                SectionDone(
                    chapter=work.chapter.id,
                    section=section.number,
                    lines=result.lines,
                    status=result.status,
                )
            )

    async def _section(
        self, work: _Work, section: Section, *, overwrite_edited: bool
    ) -> SectionResult:
        chapter = work.chapter
        number = section.number
        edition = self._ledger.edition(chapter.id, number)
        key = chapter.key(section, edition)
        if work.former and work.former.edited(number) and not overwrite_edited:
            return self._result(work, section, "edited", Tally(), ())
        stamp = work.stamps.get(number)
        if stamp is not None and stamp.key == key:
            return self._result(work, section, "reused", Tally(), ())
        tally = self._tallies.setdefault((chapter.id, number), Tally())
        drafted = await Drafting(
            chapter=chapter,
            section=section,
            edition=edition,
            means=self._means,
            ledger=self._ledger,
            purchase=self._purchase,
            run_id=self._run.id,
            tally=tally,
            on_event=self._on_event,
        ).draft()
        status = self._status(drafted.ended_by, tally)
        if drafted.ended_by is None:
            self._put(work, number, drafted.text, key)
        elif drafted.lines >= lines.of_section(work.texts[number]):
            self._put(work, number, drafted.text, "")
        return self._result(work, section, status, tally, drafted.notes)

    def _status(self, ended_by: ExpandError | None, tally: Tally) -> SectionStatus:
        """What became of a section, and what that means for the run."""
        if ended_by is None:
            return "drafted" if tally.answers else "reused"
        if isinstance(ended_by, BudgetExceededError):
            self._refusals.append(str(ended_by))
            return "refused"
        if isinstance(ended_by, AuthorError) and not self._stopped_by:
            self._stopped_by = str(ended_by)
            self._purchase.stop()
        return "failed"

    def _result(
        self,
        work: _Work,
        section: Section,
        status: SectionStatus,
        tally: Tally,
        notes: Sequence[Finding],
    ) -> SectionResult:
        chapter = work.chapter
        text = work.texts[section.number]
        frame = chapter.frame(section)
        findings = check_section(
            section=section,
            title=frame.title,
            topics=frame.topics,
            text=text,
            target=section.lines,
            language=chapter.language,
            quality=chapter.outline.quality,
        )
        return SectionResult(
            number=section.number,
            title=frame.title,
            target_lines=section.lines,
            lines=lines.of_section(text),
            status=status,
            attempts=tally.attempts,
            answers=tally.answers,
            usage=tally.usage,
            findings=(*notes, *findings),
        )

    def _write(self, work: _Work) -> None:
        """Writes the chapter's draft as it is now; not at all where nothing changed."""
        chapter, former = work.chapter, work.former
        own_head, own_footer = chapter.head(), chapter.footer
        keep_head = former is not None and former.head_edited
        keep_footer = former is not None and former.footer_edited
        numbers = [section.number for section in chapter.outline.sections]
        theirs = [
            section
            for section in (former.sections if former else ())
            if former and section.number not in numbers and former.edited(section.number)
        ]
        text = document.render(
            head=former.head if former and keep_head else own_head,
            sections=[
                *(DraftSection(number=n, text=work.texts[n]) for n in numbers),
                *theirs,
            ],
            footer=former.footer if former and keep_footer else own_footer,
            language=chapter.language,
            plan=chapter.plan.value,
            stamps=work.stamps,
            head_hash=former.head_hash if former and keep_head else None,
            footer_hash=former.footer_hash if former and keep_footer else None,
        )
        path = self._workspace.draft_path(chapter.id)
        if not path.is_file() or read_text(path) != text:
            write_atomically(path, text)

    def _finish(self, work: _Work, commission: Commission) -> ChapterResult:
        """The chapter's result: the sections that were asked for, and what shows across them."""
        self._write(work)
        chapter = work.chapter
        whole = commission.sections is None
        quality = chapter.outline.quality
        found = check_chapter(work.texts, quality=quality if whole else None)
        if whole:
            draft = read_text(self._workspace.draft_path(chapter.id))
            found += source_findings(chapter.source_text, draft)
        sections = tuple(
            with_findings(work.results[number], [f for f in found if f.section == number])
            for number in sorted(work.results)
        )
        path = self._workspace.draft_path(chapter.id)
        return ChapterResult(
            id=chapter.id,
            draft=self._workspace.relative(path),
            language=chapter.language,
            plan=chapter.plan.value,
            sections=sections,
            findings=tuple(f for f in found if f.section not in work.results),
        )

    def _on_purchase(self, event: PurchaseEvent) -> None:
        address = event.order.address
        if event.kind == "sent":
            tally = self._tallies.setdefault((address.chapter, address.section), Tally())
            tally.attempts += 1
        elif event.message:
            wait = f" (waiting {event.seconds:.0f} s)" if event.seconds >= 1 else ""
            self._on_event(
                Notice(message=f"{address.chapter}/{address.section}: {event.message}{wait}")
            )


def open_chapter(
    workspace: Workspace, book: Book, chapter_id: str, *, plan: Plan, language: str, means: Means
) -> Chapter:
    """A chapter of the workspace, ready to be drafted. Raises ``InputError``."""
    outline = workspace.outline(chapter_id)
    return Chapter(
        book=book,
        outline=outline,
        source_text=workspace.source_text(outline),
        plan=plan,
        language=language,
        means=means,
    )


def former_draft(workspace: Workspace, chapter_id: str) -> Draft | None:
    """The chapter's draft as it stands, None if there is none."""
    path = workspace.draft_path(chapter_id)
    return document.read(read_text(path)) if path.is_file() else None


def _first(errors: BaseExceptionGroup[ExpandError]) -> ExpandError:
    """The first of the errors that ended the workers."""
    for error in errors.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("an exception group is never empty")
