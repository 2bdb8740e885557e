"""One section from its first question to its last: ask, add, learn, ask again.

Whatever ends it - the target, the budget, the author, a stop - what came is in the manuscript.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from expand.checks import Finding
from expand.client.client import Bought, BudgetedClient
from expand.client.outcome import StoppedError
from expand.drafting.balance_cache import BalanceCache
from expand.drafting.chapter_state import NO_REVISION, Chapter, ModelSetup, Revision
from expand.drafting.events import Event, SectionGrew
from expand.drafting.length_loop import LEAST_LINES, Ask, LengthLoop
from expand.drafting.request_builder import ExtraContext, order_for
from expand.drafting.section_text import SectionText
from expand.drafting.turns import Turns
from expand.errors import AuthorError, BudgetExceededError, ExpandError
from expand.ledger import Ledger, Order
from expand.llm.types import Answer, Finish, Purpose, Usage
from expand.outline import Section

TOO_MANY_ECHOES = 0.2
"""A model that repeats itself in more than this share of the section's lines is reported."""
UNUSABLE_TRIES = 3
"""How often one question is put when the answers cannot be used: empty, refused, filtered."""


@dataclass(kw_only=True, slots=True)
class Tally:
    """What one section bought in this run; tokens as charged."""

    attempts: int = 0
    answers: int = 0
    prompt: int = 0
    cached: int = 0
    completion: int = 0

    def add(self, bought: Bought) -> None:
        """Count an answer that was bought now; one that the ledger had costs nothing."""
        if bought.reused:
            return
        self.answers += 1
        self.prompt += bought.usage.prompt
        self.cached += bought.usage.cached
        self.completion += bought.usage.completion

    @property
    def usage(self) -> Usage:
        """The sums as one usage."""
        return Usage(prompt=self.prompt, completion=self.completion, cached=self.cached)


@dataclass(frozen=True, kw_only=True, slots=True)
class Drafted:
    """A section after its questions. ``ended_by`` is what cut it short, None when it is whole."""

    text: str
    lines: int
    notes: tuple[Finding, ...]
    ended_by: ExpandError | None


def loop_for(manuscript: SectionText, means: ModelSetup, *, first_purpose: Purpose = "draft") -> LengthLoop:
    """The length loop as the model's profile wants it."""
    return LengthLoop(
        manuscript,
        lines_per_request=means.profile.lines_per_request,
        fresh_parts=bool(means.profile.aspects),
        first_purpose=first_purpose,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestSetup:
    """What every section of a run is drafted with."""

    means: ModelSetup
    ledger: Ledger
    purchase: BudgetedClient
    run_id: str
    remaining: BalanceCache
    on_event: Callable[[Event], None]
    lean: frozenset[tuple[str, int]] | None = None
    """The sections that the lean plan has bought answers for; None where nobody has looked."""
    turns: Turns = field(default_factory=Turns)
    """For working an answer into its text."""


class SectionRun:
    """One section being drafted."""

    def __init__(
        self,
        desk: RequestSetup,
        chapter: Chapter,
        section: Section,
        *,
        edition: Revision,
        setting: ExtraContext,
        tally: Tally,
    ) -> None:
        self._desk = desk
        self._chapter = chapter
        self._section = section
        self._edition = edition
        self._setting = setting
        self._tally = tally
        self._manuscript = SectionText(chapter.frame(section))
        self._notes: list[Finding] = []

    async def draft(self) -> Drafted:
        """Asks until the section is done, or until something ends it."""
        ended_by: ExpandError | None = None
        try:
            await self._reach_length()
            await self._mend()
        except (BudgetExceededError, StoppedError, AuthorError) as error:
            ended_by = error
        manuscript = self._manuscript
        if manuscript.echoes >= TOO_MANY_ECHOES * self._section.lines:
            self._notes.append(_echoing(self._section.number, manuscript.echoes))
        return Drafted(
            text=manuscript.render(),
            lines=manuscript.lines,
            notes=tuple(self._notes),
            ended_by=ended_by,
        )

    async def _reach_length(self) -> None:
        purpose: Purpose = "revise" if self._edition.instruction else "draft"
        loop = loop_for(self._manuscript, self._desk.means, first_purpose=purpose)
        first = loop.next() if self._has_lean() else None
        if first is not None and not self._known(self._order(first, 0)):
            self._begin_lean()
        while (ask := loop.next()) is not None:
            loop.record(ask, await self._ask(ask))

    def _has_lean(self) -> bool:
        lean = self._desk.lean
        return lean is None or (self._chapter.id, self._section.number) in lean

    def _begin_lean(self) -> None:
        """Takes over what the lean plan bought for this section, as far as the ledger has it."""
        lean = self._chapter.leaner
        if lean is None or self._edition != NO_REVISION:
            return
        section = lean.outline.sections[self._section.number - 1]
        skeleton = SectionText(lean.frame(section))
        loop = loop_for(skeleton, self._desk.means)
        while (ask := loop.next()) is not None:
            order = order_for(
                lean,
                section,
                ask,
                skeleton,
                run_id=self._desk.run_id,
                edition=self._edition,
                setting=self._setting,
            )
            stored = self._desk.ledger.known(order)
            if stored is None or not stored.answer.usable:
                break
            loop.record(ask, skeleton.add(stored.text, stored.finish, ask.slots))
        if any(body.strip() for body in skeleton.bodies):
            self._manuscript.adopt(skeleton)

    async def _ask(self, ask: Ask) -> int:
        """Puts one question; returns by how many lines the section grew."""
        manuscript = self._manuscript
        answer = await self._usable(ask)
        if answer is None:
            return 0
        await self._desk.turns.wait()
        grown = manuscript.add(answer.text, answer.finish, ask.slots)
        self._tell()
        return grown

    async def _usable(self, ask: Ask) -> Answer | None:
        """A usable answer to a question, or None with a note of why there is none."""
        for attempt in range(UNUSABLE_TRIES):
            bought = await self._desk.purchase.buy(self._order(ask, attempt))
            self._tally.add(bought)
            if bought.answer.usable:
                return bought.answer
            self._tell()
        topics = self._manuscript.frame.topics
        about = [topics[slot] for slot in ask.slots if topics]
        self._notes.append(_unusable(self._section.number, bought.answer.finish, about))
        return None

    async def _mend(self) -> None:
        """One repair for each topic with faults that a model can mend; the better text is kept.

        Small models that fill in forms are left out: they cannot rewrite.
        """
        if self._desk.means.profile.aspects:
            return
        for slot, problems in self._faults().items():
            lines = max(LEAST_LINES, self._manuscript.body_lines(slot))
            ask = Ask(purpose="repair", slots=(slot,), lines=lines, ordinal=0, problems=problems)
            answer = await self._usable(ask)
            if answer is None:
                continue
            mended = self._manuscript.replaced(slot, answer.text, answer.finish)
            if self._misses(mended) < self._misses(self._manuscript):
                self._manuscript = mended
            self._tell()

    def _faults(self) -> dict[int, tuple[str, ...]]:
        """What a model could mend, by topic."""
        found: dict[int, list[str]] = {}
        for finding in self._check(self._manuscript):
            slot = self._manuscript.slot_at(finding.line) if finding.mendable else None
            if slot is not None and finding.severity != "note":
                found.setdefault(slot, []).append(f"{finding.message}; {finding.remedy}")
        return {slot: tuple(problems) for slot, problems in sorted(found.items())}

    def _misses(self, manuscript: SectionText) -> tuple[int, int, float]:
        """How far a text is from its contract: blocking findings, warnings, share of lines off."""
        findings = self._check(manuscript)
        blocking = sum(f.severity == "blocking" for f in findings)
        warnings = sum(f.severity == "warning" for f in findings)
        return blocking, warnings, abs(manuscript.lines / self._section.lines - 1)

    def _check(self, manuscript: SectionText) -> tuple[Finding, ...]:
        return self._chapter.check(self._section, manuscript.render())

    def _known(self, order: Order) -> bool:
        return self._desk.ledger.known(order) is not None

    def _tell(self) -> None:
        """Shows how far the section is."""
        self._desk.on_event(
            SectionGrew(
                chapter=self._chapter.id,
                section=self._section.number,
                lines=self._manuscript.lines,
                tokens=self._tally.usage.total,
                remaining_tokens=self._desk.remaining.tokens(),
            )
        )

    def _order(self, ask: Ask, attempt: int) -> Order:
        return order_for(
            self._chapter,
            self._section,
            ask,
            self._manuscript,
            run_id=self._desk.run_id,
            edition=self._edition,
            attempt=attempt,
            setting=self._setting,
        )


def _echoing(section: int, count: int) -> Finding:
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
    """The finding for a question that got no usable answer."""
    about = f" on {'; '.join(topics)}" if topics else ""
    what = {
        Finish.REFUSAL: "the model refused to write",
        Finish.CONTENT_FILTER: "the provider's content filter held back the text",
    }.get(finish, "the model answered without any text")
    return Finding(
        kind="empty" if finish in (Finish.STOP, Finish.LENGTH, Finish.OTHER) else "refusal",
        section=section,
        line=1,
        severity="blocking",
        message=f"{what}{about}, {UNUSABLE_TRIES} times",
        remedy="change the topic's wording or the model, or write it by hand",
        mendable=False,
    )
