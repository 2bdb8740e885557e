"""What a batch would ask: the open questions of every section that is to be drafted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from expand.batch.lookahead import next_orders
from expand.client.client import BudgetedClient
from expand.drafting.balance_cache import BalanceCache
from expand.drafting.chapter_state import ModelSetup, Revision
from expand.drafting.draft_file import DraftFile
from expand.drafting.draft_store import open_chapter
from expand.drafting.run_options import RunOptions
from expand.drafting.run_plan import revision_of
from expand.drafting.section_run import RequestSetup
from expand.drafting.section_status import check_section_state
from expand.ledger import Ledger, Order, Run
from expand.llm.types import Answer, AttemptFailedError, Failure, OnText, Request, ignore_text
from expand.outline import Book, Section
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
            self._begin_anew(options)
        desk = RequestSetup(
            means=self.means,
            ledger=self.ledger,
            purchase=BudgetedClient(ledger=self.ledger, author=Nobody()),
            run_id=self.run.id,
            remaining=BalanceCache(self.ledger),
            on_event=lambda _: None,
        )
        raised = int(options.fresh and rehearse)
        editions = self.ledger.editions()
        plans: list[SectionPlan] = []
        for chapter in options.chapters:
            folio = self._folio(chapter, options)
            for section in options.chosen(folio.chapter.outline):
                edition = revision_of(chapter, section.number, editions)
                if raised:
                    edition = Revision(number=edition.number + raised)
                plans.append(await _section(desk, folio, section, options, edition))
        return BatchPlan(sections=tuple(plans))

    def _begin_anew(self, options: RunOptions) -> None:
        """Raises the editions; a section that a person edited is left to them."""
        chosen = []
        for chapter in options.chapters:  # nothing is raised where the input is wrong
            folio = self._folio(chapter, options)
            chosen += [
                (chapter, section.number)
                for section in options.chosen(folio.chapter.outline)
                if not folio.edited(section.number)
            ]
        for chapter, number in chosen:
            self.ledger.raise_edition(chapter, number)

    def _folio(self, chapter_id: str, options: RunOptions) -> DraftFile:
        chapter = open_chapter(
            self.workspace,
            self.book,
            chapter_id,
            options=options,
            means=self.means,
        )
        return DraftFile(self.workspace, chapter)


async def _section(
    desk: RequestSetup, folio: DraftFile, section: Section, options: RunOptions, edition: Revision
) -> SectionPlan:
    stands = check_section_state(folio, section, options, edition=edition)
    state: SectionState = "current"
    orders: tuple[Order, ...] = ()
    if stands.fate == "edited":
        state = "edited"
    elif stands.fate == "due":
        orders = await next_orders(desk, folio.chapter, section, edition=edition, setting=stands.setting)
        state = "open" if orders else "complete"
    return SectionPlan(
        chapter=folio.chapter.id,
        number=section.number,
        title=folio.chapter.title(section),
        state=state,
        orders=orders,
    )
