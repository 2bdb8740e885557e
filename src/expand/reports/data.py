"""What a book's reports are made from, read once: outlines, documents, drafts and the ledger."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from expand.budget import Balance
from expand.document.draft import read
from expand.document.layout import Wanted, section_texts
from expand.document.page import Page, footer_line
from expand.drafting.acceptance_record import Acceptances
from expand.drafting.model_setup import profile_of
from expand.drafting.run_options import settings_of
from expand.ledger import Ledger
from expand.ledger.values import Aggregates, Slice, State
from expand.llm.tokens import price_for
from expand.markdown import lines
from expand.outline import Book, BookChapter, Outline, Priority, Section, Text
from expand.references.passages import NOTE
from expand.reports.estimates import Rate, Sample, list_price, opening_lines, rate
from expand.workspace import Workspace, read_text

FINISHED_PERCENT = 95
"""A chapter counts as finished when the book says so, or from this share of its target on."""


class DraftSummary(NamedTuple):
    """A draft: its language and plan ("" where it does not say), its lines and words by section number, and how often
    it cites a reference. ``whole`` is False for a document of which these sections are but a part."""

    language: str
    plan: str
    lines_by_section: Mapping[int, int]
    words_by_section: Mapping[int, int] = {}
    citations: int = 0
    whole: bool = True

    def delivered(self, section: Section) -> int:
        """The lines of a section; where its outline counts words, the lines that those come to."""
        goal, unit = section.goal(self.language)
        if unit == "lines":
            return self.lines_by_section.get(section.number, 0)
        return round(self.words_by_section.get(section.number, 0) * section.lines / goal)

    def of(self, sections: Iterable[Section]) -> int:
        """The same of several together."""
        return sum(map(self.delivered, sections))

    @property
    def lines(self) -> int:
        """The sum over its sections."""
        return sum(self.lines_by_section.values())


def draft_summary(text: str) -> DraftSummary | None:
    """What a draft holds, None where it has no section. All of it is parsed: 0.9 s for a book of 34,000 lines."""
    draft = read(text)
    return _summary(draft.language, draft.plan, draft.sections) if draft.sections else None


def document_summary(text: str, outline: Outline, language: str) -> DraftSummary:
    """What a document that keeps its form holds of an outline's sections; its other text is no part of them."""
    page = Page(text)
    wanted = [Wanted(section.title.every(), section.heading) for section in outline.sections]
    texts, whole = section_texts(page, wanted, end=footer_line(page))
    return _summary(language, "", texts)._replace(whole=whole)


def _summary(language: str, plan: str, texts: Mapping[int, str]) -> DraftSummary:
    return DraftSummary(
        language,
        plan,
        {number: lines.of_section(text) for number, text in texts.items()},
        {number: lines.words(text) for number, text in texts.items()},
        sum(len(NOTE.findall(text)) for text in texts.values()),
    )


class SectionData(NamedTuple):
    """A section of an outline, the lines of it that its draft has, and those that the document has, None where that is
    counted as a whole."""

    lines: int
    delivered: int = 0
    present: int | None = None


class ChapterData(NamedTuple):
    """One chapter. ``recorded`` are the lines that the book states, ``counted`` those of the document (None where
    there is none); ``outlined`` is what its outline's sections add up to, None without an outline; ``target`` is what
    is stated for it. Where the outline is of a part of the document, its sections alone count, and their target."""

    id: str
    title: Text
    tier: str | None = None
    before: int = 0
    recorded: int | None = None
    counted: int | None = None
    target: int = 0
    outlined: int | None = None
    priority: Priority = "medium"
    hours: float = 0.0
    declared_finished: bool = False
    sections: tuple[SectionData, ...] = ()
    draft: DraftSummary | None = None

    @property
    def lines(self) -> int:
        """The lines now: counted in the document if there is one, else as recorded."""
        return self.counted if self.counted is not None else self.recorded or 0

    @property
    def source(self) -> str:
        """Where the lines were counted: in the ``document``, in its sections by the ``outline``, or in the ``record``
        of the book."""
        sectioned = any(section.present is not None for section in self.sections)
        return "record" if self.counted is None else "outline" if sectioned else "document"

    @property
    def finished(self) -> bool:
        """Whether the book says so, or the document has reached its target, and with it every section that counts."""
        pairs = [(self.lines, self.target), *((s.present, s.lines) for s in self.sections if s.present is not None)]
        reached = self.target > 0 and all(100 * has >= FINISHED_PERCENT * target for has, target in pairs)
        return self.declared_finished or reached

    @property
    def drafted(self) -> bool:
        """Whether every section of the outline has its lines in the draft, or as good as."""
        return bool(self.sections) and all(
            100 * section.delivered >= FINISHED_PERCENT * section.lines for section in self.sections
        )

    @property
    def draft_lines(self) -> int | None:
        """The lines of the draft, None where there is none."""
        return self.draft.lines if self.draft else None

    @property
    def lacking(self) -> int:
        """The lines that the document lacks of its target."""
        if self.source == "outline":
            return sum(max(0, section.lines - (section.present or 0)) for section in self.sections)
        return max(0, self.target - self.lines)

    @property
    def available_lines(self) -> int:
        """The lines that need not be bought any more: the draft's if there are more of them."""
        if self.source == "outline":
            found = (max(section.present or 0, section.delivered) - section.lines for section in self.sections)
            return max(self.target, self.lines) + sum(min(0, more) for more in found)
        return max(self.lines, self.draft_lines or 0)


@dataclass(frozen=True, kw_only=True)
class BookData:
    """The whole book as of ``now``. ``model`` is what lines would be bought with next, ``rate`` what one takes;
    ``hours_per_line`` is None unless that model wrote most of what the ledger's runs bought, which are not timed by
    model."""

    book: Book
    chapters: tuple[ChapterData, ...]
    aggregates: Aggregates
    now: datetime
    model: str
    rate: Rate
    balance: Balance
    samples: tuple[Sample, ...] = ()
    hours_used: float = 0.0
    hours_per_line: float | None = None


def figures(workspace: Workspace, *, priced: bool = True, now: datetime | None = None, **changes: Any) -> BookData:
    """Everything that the reports are made from, as of ``now``: balance, chapters, attempts, rates. Raises
    ``InputError`` and ``LedgerError``.

    ``priced`` looks up the model's list price, to estimate costs with; ``changes`` are laid over the settings."""
    settings = settings_of(workspace, **changes)
    model, price = settings.model, None
    if priced:
        price = price_for(model, profile_of(workspace, settings), settings.base_url)
    book = workspace.book()
    aggregates = Aggregates(balance=Balance(scope="book", limit=book.allowance.limit))
    if (ledger := Ledger.read(workspace.ledger_place)) is not None:
        with closing(ledger):
            aggregates = ledger.overview()
    by_chapter = slices_by_chapter(aggregates)
    chapters = _chapters(workspace, book)
    unknown = Counter[tuple[str, int]]()
    for part in aggregates.open:
        unknown[part.chapter, part.section] += part.tokens if part.state is State.UNKNOWN else 0
    samples = [one for chapter in chapters for one in _samples(chapter, by_chapter.get(chapter.id, []), unknown)]
    delivered = sum(sample.lines for sample in samples)
    hours = aggregates.seconds / 3600
    own = sum(part.tokens if part.model == model else -part.tokens for part in aggregates.slices) > 0
    opening = sum(opening.tokens for opening in book.openings)
    return BookData(
        book=book,
        chapters=chapters,
        aggregates=aggregates,
        now=now or datetime.now(UTC),
        model=model,
        rate=rate(
            samples,
            model=model,
            language=book.language,
            opening_tokens=opening,
            opening_lines=opening_lines(book, chapters),
            pico_usd_per_token=None if price is None else list_price(price),
        ),
        balance=replace(  # the limits and openings as the book states them now
            aggregates.balance,
            limit=book.allowance.limit,
            used_tokens=aggregates.balance.used_tokens - aggregates.balance.opening_tokens + opening,
            opening_tokens=opening,
        ),
        samples=tuple(samples),
        hours_used=sum(opening.hours for opening in book.openings) + hours,
        hours_per_line=hours / delivered if own and hours and delivered else None,
    )


def slices_by_chapter(aggregates: Aggregates) -> dict[str, list[Slice]]:
    """What was bought, by chapter."""
    found: dict[str, list[Slice]] = {}
    for part in aggregates.slices:
        found.setdefault(part.chapter, []).append(part)
    return found


def _chapters(workspace: Workspace, book: Book) -> tuple[ChapterData, ...]:
    """The book's chapters in its order, then those that only have an outline."""
    outlines = {chapter: workspace.outline(chapter) for chapter in workspace.chapter_ids()}
    records = {chapter.id: chapter for chapter in book.chapters}
    records |= {id_: BookChapter(id=id_, title=one.title) for id_, one in outlines.items() if id_ not in records}
    replaced = Acceptances(workspace).replaced()
    return tuple(
        _chapter(workspace, book, record, outlines.get(id_), replaced.get(id_)) for id_, record in records.items()
    )


def _chapter(
    workspace: Workspace,
    book: Book,
    record: BookChapter,
    outline: Outline | None,
    former: bytes | None,
) -> ChapterData:
    """One chapter. ``former`` is the document that its first acceptance replaced, None where nothing was accepted."""
    sections, source = outline.sections if outline else (), (outline or record).source
    path = workspace.source_path(source) if source else None
    text = read_text(path) if path is not None and path.is_file() else None
    held: DraftSummary | None = None
    if text is not None and outline and (outline.layout or book.layout) == "keep":
        held = document_summary(text, outline, book.language)
    draft: DraftSummary | None = None
    draft_path = workspace.draft_path(book.draft_name(record.id, workspace.draft_language(book, record.id)))
    if draft_path.is_file():
        draft = draft_summary(read_text(draft_path))
    then = None if former is None else former.decode("utf-8", "replace")
    counted: int | None
    if outline and held and not (held.whole or record.finished):  # what the book calls finished is so as a whole
        before = None if then is None else document_summary(then, outline, book.language).of(sections)
        counted, target, stated = held.of(sections), outline.target_lines, None
        present: Sequence[int | None] = [held.delivered(section) for section in sections]
    else:
        before = None if then is None else lines.count(then)
        counted, stated = None if text is None else lines.count(text), record.lines
        target = record.target_lines or (outline and (outline.stated_lines or outline.target_lines)) or 0
        present = [None] * len(sections)
    known = (record.lines_before, before, stated, counted)
    return ChapterData(
        id=record.id,
        title=outline.title if outline else record.title,
        tier=record.tier,
        before=next((found for found in known if found is not None), 0),
        recorded=record.lines,
        counted=counted,
        target=target,
        outlined=outline.target_lines if outline else None,
        priority=outline.priority if outline else "medium",
        hours=outline.hours if outline else 0.0,
        declared_finished=record.finished,
        sections=tuple(
            SectionData(one.lines, draft.delivered(one) if draft else 0, has)
            for one, has in zip(sections, present, strict=True)
        ),
        draft=draft,
    )


def _samples(chapter: ChapterData, slices: list[Slice], unknown: Mapping[tuple[str, int], int]) -> list[Sample]:
    """The chapter's sections that were bought, as they stand in its draft. What is charged for ``unknown`` outcomes
    brought no line that is known of, and is no measure of one."""
    if chapter.draft is None:
        return []
    language = chapter.draft.language
    by_section: dict[int, list[Slice]] = defaultdict(list)
    for part in slices:
        if part.tokens and (not language or part.language == language):
            by_section[part.section].append(part)
    samples = []
    for number, delivered in chapter.draft.lines_by_section.items():
        parts = by_section[number]
        charged = sum(part.tokens for part in parts)
        tokens = charged - unknown.get((chapter.id, number), 0)
        if tokens > 0:
            models = {part.model for part in parts}
            unpriced = any(part.unpriced for part in parts)
            samples.append(
                Sample(
                    model=models.pop() if len(models) == 1 else "",
                    language=language,
                    lines=delivered,
                    tokens=tokens,
                    cost_pico_usd=None if unpriced else sum(part.cost_pico_usd for part in parts) * tokens // charged,
                    chapter=chapter.id,
                    section=number,
                )
            )
    return samples
