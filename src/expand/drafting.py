"""One section from its first question to its last: ask, add, learn, ask again.

Whatever ends it - the target, the budget, the author, a stop - what came is in the manuscript.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from expand.asking import Ask, Loop
from expand.chapter import Chapter, Means
from expand.completion import Finish, Usage
from expand.contract import Finding
from expand.dispatch import StoppedError
from expand.errors import AuthorError, BudgetExceededError, ExpandError
from expand.events import Event, SectionGrew
from expand.ledger import Ledger, Order
from expand.manuscript import Manuscript
from expand.outline import Section
from expand.purchase import Bought, Purchase

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


def loop_for(manuscript: Manuscript, means: Means) -> Loop:
    """The length loop as the model's profile wants it."""
    return Loop(
        manuscript,
        lines_per_request=means.profile.lines_per_request,
        fresh_parts=bool(means.profile.aspects),
    )


class Drafting:
    """One section being drafted."""

    def __init__(
        self,
        *,
        chapter: Chapter,
        section: Section,
        edition: int,
        means: Means,
        ledger: Ledger,
        purchase: Purchase,
        run_id: str,
        tally: Tally,
        on_event: Callable[[Event], None],
    ) -> None:
        self._chapter = chapter
        self._section = section
        self._edition = edition
        self._ledger = ledger
        self._purchase = purchase
        self._run_id = run_id
        self._tally = tally
        self._on_event = on_event
        self._manuscript = Manuscript(chapter.frame(section))
        self._loop = loop_for(self._manuscript, means)
        self._notes: list[Finding] = []

    async def draft(self) -> Drafted:
        """Asks until the section is done, or until something ends it."""
        ended_by: ExpandError | None = None
        try:
            while (ask := self._loop.next()) is not None:
                self._loop.record(ask, await self._ask(ask))
        except (BudgetExceededError, StoppedError, AuthorError) as error:
            ended_by = error
        return Drafted(
            text=self._manuscript.render(),
            lines=self._manuscript.lines,
            notes=tuple(self._notes),
            ended_by=ended_by,
        )

    async def _ask(self, ask: Ask) -> int:
        """Puts one question; returns by how many lines the section grew."""
        manuscript = self._manuscript
        for attempt in range(UNUSABLE_TRIES):
            bought = await self._purchase.buy(self._order(ask, attempt))
            self._tally.add(bought)
            answer = bought.answer
            grown = manuscript.add(answer.text, answer.finish, ask.slots) if answer.usable else 0
            self._on_event(
                SectionGrew(
                    chapter=self._chapter.id,
                    section=self._section.number,
                    lines=manuscript.lines,
                    tokens=0 if bought.reused else bought.usage.total,
                    remaining_tokens=self._ledger.balance("book").remaining_tokens,
                )
            )
            if answer.usable:
                return grown
        topics = [manuscript.frame.topics[slot] for slot in ask.slots if manuscript.frame.topics]
        self._notes.append(_unusable(self._section.number, answer.finish, topics))
        return 0

    def _order(self, ask: Ask, attempt: int) -> Order:
        return self._chapter.order(
            self._section,
            ask,
            self._manuscript,
            run_id=self._run_id,
            edition=self._edition,
            attempt=attempt,
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
