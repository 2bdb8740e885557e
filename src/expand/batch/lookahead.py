"""Find the questions of a section that can be asked at once, without knowing each other's answers.

A live run asks, looks at the answer, and asks again. A batch takes hours, so each one should ask for all that is
certain to be asked anyway. To find out, the section is worked through on the answers that are there; from the first
question without one, answers are imagined: as long as the real ones let expect, then shorter, then longer. A question
that comes up each time, and goes on from no imagined text, does not depend on those answers. It is asked with the
words that the real text so far gives it; nothing imagined is ever sent.

The length contract holds as it does live: the answers are drafted by the same loop, whose questions are known by what
they ask and not by their exact words. A section's first question goes alone, since its answer tells how many lines the
model gives for a line asked. Repairs of different topics go together.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from expand.client.client import BudgetedClient, StoppedError
from expand.drafting.chapter import Chapter
from expand.drafting.draft_file import DraftStore
from expand.drafting.length_loop import Ask, Outcome, delivery_ratio
from expand.drafting.model_setup import ModelSetup
from expand.drafting.run_context import RunContext, UsageCounters
from expand.drafting.run_options import RunOptions
from expand.drafting.section_run import SectionRun
from expand.drafting.section_state import SectionCheck, check_sections
from expand.drafting.section_text import SectionText, imagined_line
from expand.errors import InputError
from expand.ledger import Ledger, Order, Run, StoredAnswer
from expand.llm.types import Answer, AttemptFailedError, Failure, Finish, OnText, Request, ignore_text
from expand.outline import Plan
from expand.workspace import Workspace

FACTORS = (1.0, 0.6, 1.25)
"""How long imagined answers are, for a line expected. The first gives the questions their words."""

QuestionState = Literal["current", "edited", "complete", "open"]
"""Its draft is current; a person edited it; all its answers are there and only the draft is to be written; or it has
questions to ask."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionQuestions:
    """What one section needs next: ``orders`` in the order of its questions."""

    chapter: str
    number: int
    title: str
    state: QuestionState
    orders: tuple[Order, ...] = ()


class NoAuthor:
    """The author of a run that must not send anything."""

    async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
        """Refuse."""
        raise AttemptFailedError(Failure.UNREACHABLE, "nothing is sent live when drafts are assembled")


async def open_questions(
    workspace: Workspace, setup: ModelSetup, ledger: Ledger, run: Run, options: RunOptions, *, dry_run: bool
) -> tuple[SectionQuestions, ...]:
    """The questions that every section of a run can ask now. Sends and reserves nothing."""
    client = BudgetedClient(ledger=ledger, author=NoAuthor())
    lean = frozenset(chapter for chapter, _ in ledger.bought(Plan.LEAN.value))
    context = RunContext(ledger=ledger, run_id=run.id, client=client, usage=UsageCounters(ledger), lean=lean)
    questions: list[SectionQuestions] = []
    drafts = DraftStore(workspace, workspace.book(), options=options, setup=setup)
    for chapter, check in check_sections(drafts, ledger, dry_run=dry_run):
        state: QuestionState = "edited" if check.state == "edited" else "current"
        orders: tuple[Order, ...] = ()
        if check.state == "due":
            orders = await _next_orders(context, chapter, check)
            state = "open" if orders else "complete"
        number = check.section.number
        title = chapter.skeletons[number].title
        questions.append(SectionQuestions(chapter=chapter.id, number=number, title=title, state=state, orders=orders))
    return tuple(questions)


def orders_of(sections: Sequence[SectionQuestions]) -> tuple[Order, ...]:
    """All orders, those that finish what was begun first: they come first where the budget is short."""
    every = (order for section in sections for order in section.orders)
    return tuple(sorted(every, key=lambda order: order.rank))


async def _next_orders(context: RunContext, chapter: Chapter, check: SectionCheck) -> tuple[Order, ...]:
    """The orders that a section can place now; none when the answers that are there complete it."""
    found: list[dict[str, Order]] = []
    for factor in FACTORS:
        lookahead = Lookahead(context, chapter, check, factor=factor)
        ended_by = await lookahead.draft()
        if isinstance(ended_by, InputError):
            raise ended_by
        found.append(lookahead.wanted)
        if len(lookahead.wanted) <= 1 or not lookahead.imagined:
            break
    certain = set.intersection(*(set(wanted) for wanted in found))
    return tuple(order for question, order in found[0].items() if question in certain)


class _OpenQuestionError(Exception):
    """A question has no answer in the ledger."""


class Lookahead(SectionRun):
    """A section worked through without buying: ``wanted`` gathers its open questions by name, and
    ``imagined`` the slots of text that is imagined."""

    def __init__(self, context: RunContext, chapter: Chapter, check: SectionCheck, *, factor: float) -> None:
        super().__init__(context, chapter, check)
        self.wanted: dict[str, Order] = {}
        self._factor = factor
        self._answered = 0
        self._outcomes: list[Outcome] = []
        self._real: SectionText | None = None
        self.imagined: set[int] = set()
        self._serial = itertools.count(1)

    async def _ask(self, ask: Ask) -> tuple[int, bool]:
        """Ask once, and learn from a real answer that was not cut how much the model delivers."""
        grown, cut = await super()._ask(ask)
        if not self.imagined and not cut:
            self._outcomes.append(Outcome(ask=ask, grown=grown))
        return grown, cut

    async def _usable(self, ask: Ask) -> Answer | None:
        """The stored answer to a question, or an imagined one, or None for a repair."""
        if not self.imagined.isdisjoint(ask.slots):
            return self._imagine(ask)
        try:
            return await super()._usable(ask)
        except _OpenQuestionError:
            return self._open(ask)

    async def _buy(self, order: Order) -> StoredAnswer:
        """The stored answer. An order without one is noted as wanted."""
        stored = self._context.ledger.known(order)
        if stored is None:
            self.wanted[order.question or order.request.key] = order
            raise _OpenQuestionError
        self._answered += 1
        return stored

    def _open(self, ask: Ask) -> Answer | None:
        if ask.purpose == "repair":
            return None
        if not self._answered:
            raise StoppedError("the first answer tells how much to ask for")
        if self._real is None:
            self._real = self.text.copy()
        return self._imagine(ask)

    def _imagine(self, ask: Ask) -> Answer:
        self.imagined.update(ask.slots)
        titles = [self.text.skeleton.topics[slot] for slot in ask.slots[1:]]
        count = round(ask.lines * delivery_ratio(self._outcomes) * self._factor)
        text = _imagined_text(titles, count, self._serial)
        return Answer(text=text, finish=Finish.STOP, usage=None)

    async def _repair(self) -> None:
        """Repairs are for text that is there."""
        if not self.imagined:
            await super()._repair()

    @property
    def _shown_text(self) -> SectionText:
        """The real text: orders have the words that it gives them."""
        return self._real or self.text

    def _show(self) -> None:
        """Show nothing: the text that grows is imagined."""


def _imagined_text(titles: Sequence[str], count: int, serial: itertools.count[int]) -> str:
    """A text of ``count`` lines, spread over one topic and those with ``titles`` after it."""
    parts = len(titles) + 1
    blocks = []
    for part in range(parts):
        size = count // parts + (part < count % parts)
        lines = [imagined_line(next(serial)) for _ in range(max(1, size))]
        blocks.append("\n".join([f"### {titles[part - 1]}", "", *lines] if part else lines))
    return "\n\n".join(blocks) + "\n"
