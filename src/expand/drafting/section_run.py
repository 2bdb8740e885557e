"""Draft one section from its first request to its last: ask, add the answer, learn its length, ask again.

Whatever ends it - the target, the budget, the author, a stop - the text that came is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from expand.checks import Finding
from expand.client.client import all_failed
from expand.client.outcome import HeldError, StoppedError
from expand.drafting.chapter import NO_REVISION, Chapter
from expand.drafting.events import Notice
from expand.drafting.length_loop import LEAST_LINES, Ask, loop_for
from expand.drafting.model_setup import ModelSetup
from expand.drafting.request_builder import RequestBuilder
from expand.drafting.run_context import RunContext
from expand.drafting.section_state import SectionCheck
from expand.drafting.section_text import SectionText
from expand.errors import AuthorError, BudgetExceededError, ExpandError, InputError
from expand.ledger import Order
from expand.llm.types import Answer, Finish, Purpose
from expand.settings import ModelRole

TOO_MANY_DUPLICATES = 0.2
"""A model that repeats itself in this share of the section's lines, or more, is reported."""
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

    def _builder(self, chapter: Chapter, setup: ModelSetup | None = None) -> RequestBuilder:
        section, check = chapter.outline.sections[self._section.number - 1], self._check
        return RequestBuilder(
            chapter, section, run_id=self._context.run_id, revision=check.revision, extra=check.extra, setup=setup
        )

    def _builders(self, role: ModelRole) -> list[RequestBuilder]:
        """The requests as each model of a role is asked, the one that is meant first."""
        meant = self._chapter.setup
        models = self._context.models_for(role, meant)
        built = [self._requests if setup is meant else self._builder(self._chapter, setup) for setup in models]
        return [requests for requests in built if role != "repair" or requests.can_repair]

    async def draft(self) -> DraftedSection:
        """Ask until the section is done, or until something ends it."""
        ended_by: ExpandError | None = None
        try:
            await self._reach_length()
            await self._repair()
        except (BudgetExceededError, StoppedError, AuthorError) as error:
            ended_by = error
        if self._text.duplicate_lines >= TOO_MANY_DUPLICATES * self._section.lines:
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
            grown = text.add(stored.text, stored.finish, ask.slots)
            loop.record(ask, grown, cut=stored.finish is Finish.CUT)
        if any(body.strip() for body in text.bodies):
            self._text.adopt(text)

    async def _ask(self, ask: Ask) -> tuple[int, bool]:
        """Ask once; returns by how many lines the section grew, and whether the answer was cut."""
        answer = await self._usable(ask)
        if answer is None:
            return 0, False
        grown = self._text.add(answer.text, answer.finish, ask.slots)
        self._show()
        return grown, answer.finish is Finish.CUT

    async def _usable(self, ask: Ask) -> Answer | None:
        """A usable answer, or None with a note of why there is none.

        What one model does not answer, for whatever reason but the budget, the next one is asked. Raises what keeps the
        last of them from answering.
        """
        models = self._builders("repair" if ask.purpose == "repair" else "draft")
        failures: list[tuple[str, ExpandError]] = []
        attempt, finish = 0, Finish.OTHER
        for requests, following in zip_longest(models, models[1:]):
            reason = ""
            for _ in range(UNUSABLE_TRIES):
                try:
                    bought = await self._context.client.buy(requests.order(ask, self._text, attempt=attempt))
                # An outcome that somebody is to settle first is no reason to buy the same elsewhere.
                except HeldError:
                    raise
                except (AuthorError, InputError) as error:
                    if len(models) == 1 or (isinstance(error, InputError) and requests is models[0]):
                        raise
                    failures.append((requests.model, error))
                    reason = str(error)
                    break
                self._counter.add(bought)
                if bought.answer.usable:
                    return bought.answer
                attempt += 1
                finish = bought.answer.finish
                reason = UNUSABLE.get(finish, EMPTY)[1]
                self._show()
                if following is not None and finish in UNUSABLE:
                    break  # the same words get the same verdict, and another model can be asked
            if following is not None:
                self._replace(requests.model, following.model, reason)
        if failures:
            raise all_failed(failures)
        topics = self._text.skeleton.topics
        about = [topics[slot] for slot in ask.slots if topics]
        self._notes.append(_unusable(self._section.number, finish, about, attempt))
        return None

    def _replace(self, model: str, following: str, reason: str) -> None:
        """Say once in a run that one model stands in for another, and why."""
        if (model, following) not in self._context.replaced:
            self._context.replaced[model, following] = reason
            message = f"{self._chapter.id}/{self._section.number}: {following} stands in for {model}: {reason}"
            self._context.usage.on_event(Notice(message=message))

    async def _repair(self) -> None:
        """Ask for one repair for each topic with faults that a model can mend; keep the better text."""
        if not self._builders("repair"):
            return
        for slot, problems in self._faults().items():
            lines = max(LEAST_LINES, self._text.body_lines(slot))
            ask = Ask(purpose="repair", slots=(slot,), lines=lines, ordinal=0, problems=problems)
            answer = await self._usable(ask)
            if answer is None:
                continue
            repaired = self._text.replaced(slot, answer.text, answer.finish)
            if self._misses(repaired) < self._misses(self._text):
                self._text = repaired
            self._show()

    def _faults(self) -> dict[int, tuple[str, ...]]:
        """What a model could mend, by topic."""
        found: dict[int, list[str]] = {}
        for finding in self._findings(self._text):
            slot = self._text.slot_at(finding.line) if finding.mendable else None
            if slot is not None and finding.severity != "note":
                found.setdefault(slot, []).append(f"{finding.message}; {finding.remedy}")
        return {slot: tuple(problems) for slot, problems in sorted(found.items())}

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


UNUSABLE: Mapping[Finish, tuple[str, str]] = {
    Finish.REFUSAL: ("refusal", "the model refused to write"),
    Finish.CONTENT_FILTER: ("refusal", "the provider's content filter held back the text"),
}
EMPTY = ("empty", "the model answered without any text")
"""Kind and words of the finding for an answer that cannot be used, by its end."""


def _unusable(section: int, finish: Finish, topics: Sequence[str], tries: int) -> Finding:
    """The finding for a request that got no usable answer in so many tries."""
    kind, what = UNUSABLE.get(finish, EMPTY)
    about = f" on {'; '.join(topics)}" if topics else ""
    return Finding(
        kind=kind,
        section=section,
        line=1,
        severity="blocking",
        message=f"{what}{about}, {tries} times",
        remedy="change the topic's wording or the model, or write it by hand",
        mendable=False,
    )
