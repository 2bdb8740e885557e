"""What a batch would ask: the open questions of every section that is to be drafted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from expand.batch.lookahead import next_orders
from expand.client.client import BudgetedClient
from expand.drafting.chapter import Chapter, Revision
from expand.drafting.draft_file import DraftFile, open_chapter
from expand.drafting.model_setup import ModelSetup
from expand.drafting.run_context import RunContext, UsageCounters
from expand.drafting.run_options import RunOptions
from expand.drafting.section_state import SectionCheck, check_section_state, raise_revisions, revision_of
from expand.ledger import Ledger, Order, Run
from expand.llm.types import Answer, AttemptFailedError, Failure, OnText, Request, ignore_text
from expand.outline import Book
from expand.workspace import Workspace

SectionState = Literal["current", "edited", "complete", "open"]
"""Its draft is current; a person edited it; all its answers are there and only the draft is to be
written; or it has questions to ask."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionPlan:
    """What one section needs next. ``orders`` in the order of its questions."""

    chapter: str
    number: int
    title: str
    state: SectionState
    orders: tuple[Order, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchPlan:
    """What a batch would ask, section by section."""

    sections: tuple[SectionPlan, ...]

    @property
    def orders(self) -> tuple[Order, ...]:
        """All orders: those that finish what was begun first, as where the budget is short."""
        every = [order for section in self.sections for order in section.orders]
        return tuple(sorted(every, key=lambda order: order.rank))


class Nobody:
    """The author of a run that sends nothing."""

    async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
        """Refuses; whoever asks must not."""
        raise AttemptFailedError(Failure.UNREACHABLE, "nothing is sent live in a batch run")


@dataclass(frozen=True, kw_only=True, slots=True)
class Planning:
    """Works out A run's open questions on what the ledger holds. Sends nothing."""

    workspace: Workspace
    book: Book
    means: ModelSetup
    ledger: Ledger
    run: Run

    async def plan(self, options: RunOptions, *, rehearse: bool = False) -> BatchPlan:
        """The plan. With ``options.fresh`` sections are bought anew, but for edited ones: their
        editions are raised, with ``rehearse`` only in thought.

        Raises ``InputError`` before anything is reserved when the input is wrong.
        """
        options.require_side_by_side("--batch", "a batch asks for all at once")
        if options.fresh and not rehearse:
            raise_revisions(self.ledger, options, lambda chapter: self._draft_file(chapter, options))
        context = RunContext(
            ledger=self.ledger,
            run_id=self.run.id,
            client=BudgetedClient(ledger=self.ledger, author=Nobody()),
            usage=UsageCounters(self.ledger),
        )
        revisions = self.ledger.editions()
        sections: list[SectionPlan] = []
        for chapter in options.chapters:
            draft_file = self._draft_file(chapter, options)
            for section in options.chosen(draft_file.chapter.outline):
                revision = revision_of(chapter, section.number, revisions)
                if options.fresh and rehearse:
                    revision = Revision(number=revision.number + 1)
                check = check_section_state(draft_file, section, options, revision)
                sections.append(await _section(context, draft_file.chapter, check))
        return BatchPlan(sections=tuple(sections))

    def _draft_file(self, chapter_id: str, options: RunOptions) -> DraftFile:
        chapter = open_chapter(self.workspace, self.book, chapter_id, options=options, setup=self.means)
        return DraftFile(self.workspace, chapter)


async def _section(context: RunContext, chapter: Chapter, check: SectionCheck) -> SectionPlan:
    state: SectionState = "current"
    orders: tuple[Order, ...] = ()
    if check.state == "edited":
        state = "edited"
    elif check.state == "due":
        orders = await next_orders(context, chapter, check)
        state = "open" if orders else "complete"
    return SectionPlan(
        chapter=chapter.id,
        number=check.section.number,
        title=chapter.title(check.section),
        state=state,
        orders=orders,
    )
