"""Draft one section from its first request to its last: ask, add the answer, learn its length, ask again.

Whatever ends it - the target, the budget, the author, a stop - the text that came is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from expand.checks import Finding
from expand.checks.finding import KINDS, Severity
from expand.client.outcome import StoppedError
from expand.drafting.chapter import NO_REVISION, Chapter
from expand.drafting.length_loop import LEAST_LINES, MOST_LOOPS, Ask, gives_up, loop_for
from expand.drafting.request_builder import RequestBuilder
from expand.drafting.run_context import RunContext
from expand.drafting.section_state import SectionCheck
from expand.drafting.section_text import SectionText
from expand.errors import AuthorError, BudgetExceededError, ExpandError, InputError
from expand.ledger import Order
from expand.llm.types import Answer, Finish, Purpose

TOO_MANY_DUPLICATES = 0.2
"""A model that repeats itself in this share of the section's lines, or more, is reported."""
MOST_PROBLEMS = 20
"""So many faults of a topic are named in the request for its repair."""
UNUSABLE_TRIES = 3
"""How often one request is made when the answers cannot be used: empty, refused, filtered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DraftedSection:
    """A section after its requests. ``ended_by`` is what cut it short, None when it is whole."""

    text: str
    lines: int
    notes: tuple[Finding, ...]
    ended_by: ExpandError | None


class SectionRun:
    """One section being drafted, as its check found it."""

    def __init__(self, context: RunContext, chapter: Chapter, check: SectionCheck) -> None:
        self._context = context
        self._chapter = chapter
        self._section = check.section
        self._check = check
        self._text = SectionText(chapter.skeletons[check.section.number])
        self._requests = self._builder(chapter)
        self._counter = context.usage.of(chapter.id, check.section.number)
        self._notes: list[Finding] = []

    def _builder(self, chapter: Chapter) -> RequestBuilder:
        section, check = chapter.outline.sections[self._section.number - 1], self._check
        return RequestBuilder(chapter, section, run_id=self._context.run_id, revision=check.revision, extra=check.extra)

    async def draft(self) -> DraftedSection:
        """Ask until the section is done, or until something ends it."""
        ended_by: ExpandError | None = None
        try:
            await self._reach_length()
            await self._repair()
        except (BudgetExceededError, StoppedError, AuthorError) as error:
            ended_by = error
        # A request that cannot be made: it does not fit the model, or its template fails for just these values. What
        # the section has is kept, and the other sections go on.
        except InputError as error:
            ended_by = error
            self._notes.append(_not_asked(self._section.number, error))
        if self._text.loops:
            self._notes.append(_looped(self._section.number, self._text.loops))
        elif self._text.duplicate_lines >= TOO_MANY_DUPLICATES * self._section.lines:
            self._notes.append(_duplicates(self._section.number, self._text.duplicate_lines))
        return DraftedSection(
            text=self._text.render(), lines=self._text.lines, notes=tuple(self._notes), ended_by=ended_by
        )

    async def _reach_length(self) -> None:
        purpose: Purpose = "revise" if self._check.revision.instruction else "draft"
        loop = loop_for(self._text, self._chapter.setup.profile, first_purpose=purpose)
        lean = self._context.lean
        if lean is None or (self._chapter.id, self._section.number) in lean:
            first = loop.next()
            if first is not None and self._context.ledger.known(self._order(first)) is None:
                self._begin_lean()
        while (ask := loop.next()) is not None:
            grown, cut = await self._ask(ask)
            loop.record(ask, grown, cut=cut)

    def _begin_lean(self) -> None:
        """Take over what the lean plan bought for this section, as far as the ledger has it."""
        lean = self._chapter.leaner
        if lean is None or self._check.revision != NO_REVISION:
            return
        text = SectionText(lean.skeletons[self._section.number])
        requests, loop = self._builder(lean), loop_for(text, lean.setup.profile)
        while (ask := loop.next()) is not None:
            stored = self._context.ledger.known(requests.order(ask, text))
            if stored is None or not stored.answer.usable:
                break
            grown, cut = _take_in(text, stored.answer, ask)
            loop.record(ask, grown, cut=cut)
        if any(body.strip() for body in text.bodies):
            self._text.adopt(text)

    async def _ask(self, ask: Ask) -> tuple[int, bool]:
        """Ask once; returns by how many lines the section grew, and whether the answer was cut, as ``_take_in``."""
        answer = await self._usable(ask)
        if answer is None:
            return 0, False
        taken = _take_in(self._text, answer, ask)
        self._show()
        return taken

    async def _usable(self, ask: Ask) -> Answer | None:
        """A usable answer, or None with a note of why there is none."""
        for attempt in range(UNUSABLE_TRIES):
            bought = await self._context.client.buy(self._order(ask, attempt))
            self._counter.add(bought)
            if bought.answer.usable:
                return bought.answer
            self._show()
        topics = self._text.skeleton.topics
        about = [topics[slot] for slot in ask.slots if topics]
        self._notes.append(_unusable(self._section.number, bought.answer.finish, about))
        return None

    async def _repair(self) -> None:
        """Ask for one repair for each topic with faults that a model can mend; keep the better text.

        Small models that fill in forms are left out: they cannot rewrite.
        """
        if self._chapter.setup.profile.aspects:
            return
        for slot, problems in self._faults().items():
            if gives_up(self._text):
                return
            lines = max(LEAST_LINES, self._text.body_lines(slot))
            ask = Ask(purpose="repair", slots=(slot,), lines=lines, ordinal=0, problems=problems)
            try:
                answer = await self._usable(ask)
            except InputError as error:  # without the repair the section is as whole as it was
                self._notes.append(_not_asked(self._section.number, error, severity="warning"))
                return
            if answer is None:
                continue
            repaired = self._text.replaced(slot, answer.text, answer.finish)
            self._text.loops = repaired.loops
            if self._misses(repaired) < self._misses(self._text):
                self._text = repaired
            self._show()

    def _faults(self) -> dict[int, tuple[str, ...]]:
        """What a model could mend, by topic."""
        found: dict[int, list[str]] = {}
        spans = self._text.spans()
        for finding in self._findings(self._text):
            slot = next((slot for slot, span in spans.items() if finding.line in span), None)
            if slot is not None and finding.mendable and finding.severity != "note":
                found.setdefault(slot, []).append(f"{finding.message}; {finding.remedy}")
        return {slot: tuple(problems[:MOST_PROBLEMS]) for slot, problems in sorted(found.items())}

    def _misses(self, text: SectionText) -> tuple[int, int, float]:
        """How far a text is from its contract: blocking findings, warnings, share of lines off."""
        severities = [finding.severity for finding in self._findings(text)]
        return severities.count("blocking"), severities.count("warning"), abs(text.lines / self._section.lines - 1)

    def _findings(self, text: SectionText) -> tuple[Finding, ...]:
        return self._chapter.check(self._section, text.render())

    def _show(self) -> None:
        """Tell how far the section is."""
        self._counter.lines, self._counter.streamed_lines = self._text.lines, 0
        self._context.usage.show(self._chapter.id, self._section.number)

    def _order(self, ask: Ask, attempt: int = 0) -> Order:
        return self._requests.order(ask, self._text, attempt=attempt)


def _take_in(text: SectionText, answer: Answer, ask: Ask) -> tuple[int, bool]:
    """Add an answer; returns by how many lines the text grew, and whether the answer was cut: by its connection, or
    because it repeated itself without end. How long a cut answer is says nothing of how much the model delivers.
    """
    loops = len(text.loops)
    grown = text.add(answer.text, answer.finish, ask.slots)
    return grown, answer.finish is Finish.CUT or len(text.loops) > loops


def _looped(section: int, at: Sequence[int]) -> Finding:
    """The finding for answers that repeated themselves without end, each cut at a line of the section."""
    times = f"{len(at)} answers" if len(at) > 1 else "an answer"
    stopped = ", and nothing more was asked for" if len(at) >= MOST_LOOPS else ""
    return Finding(
        kind="repeats",
        section=section,
        line=at[0],
        severity="warning",
        message=f"{times} of the model repeated the same without end; the repetition was left out{stopped}",
        remedy="read what stands there; draft the section anew with --fresh --section, or take another model",
        mendable=False,
    )


def _not_asked(section: int, error: InputError, *, severity: Severity = "blocking") -> Finding:
    """The finding for a request that could not be made."""
    where = f"{error.place}: " if error.place else ""
    return Finding(
        kind="not-asked",
        section=section,
        line=1,
        severity=severity,
        message=f"{where}{error.what}",
        remedy=error.remedy or KINDS["not-asked"].remedy,
        mendable=False,
    )


def _duplicates(section: int, count: int) -> Finding:
    """The finding for a model that says the same over and over."""
    return Finding(
        kind="repeats",
        section=section,
        line=1,
        severity="warning",
        message=f"the model said the same again in {count:,} lines, which were left out",
        remedy="draft the section anew with --fresh --section, or take another model",
        mendable=False,
    )


def _unusable(section: int, finish: Finish, topics: Sequence[str]) -> Finding:
    """The finding for a request that got no usable answer."""
    kind, what = {
        Finish.REFUSAL: ("refusal", "the model refused to write"),
        Finish.CONTENT_FILTER: ("refusal", "the provider's content filter held back the text"),
    }.get(finish, ("empty", "the model answered without any text"))
    about = f" on {'; '.join(topics)}" if topics else ""
    return Finding(
        kind=kind,
        section=section,
        line=1,
        severity="blocking",
        message=f"{what}{about}, {UNUSABLE_TRIES} times",
        remedy="change the topic's wording or the model, or write it by hand",
        mendable=False,
    )
