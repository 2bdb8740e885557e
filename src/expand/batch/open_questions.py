"""Find the questions that sections can ask now. Nothing is sent or reserved.

Each section is worked through on the answers that are there, up to the first question without one; what it would ask
next depends on the answer. Repairs of different topics do not depend on each other, and go together. The length
contract holds as it does live: the answers are drafted by the same loop, whose questions are known by what they ask and
not by their exact words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from expand.client.client import BudgetedClient, StoppedError
from expand.drafting.draft_file import DraftStore
from expand.drafting.length_loop import Ask
from expand.drafting.model_setup import ModelSetup
from expand.drafting.run_context import RunContext, UsageCounters
from expand.drafting.run_options import RunOptions
from expand.drafting.section_run import SectionRun
from expand.drafting.section_state import check_sections
from expand.errors import InputError
from expand.ledger import Ledger, Order, Run, StoredAnswer
from expand.llm.types import Answer, AttemptFailedError, Failure, OnText, Request, ignore_text
from expand.workspace import Workspace

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
    book = workspace.book()
    context = RunContext(
        workspace=workspace,
        book=book,
        options=options,
        setup=setup,
        ledger=ledger,
        run_id=run.id,
        client=BudgetedClient(ledger=ledger, author=NoAuthor()),
        usage=UsageCounters(ledger),
    )
    questions: list[SectionQuestions] = []
    drafts = DraftStore(workspace, book, options=options, setup=setup)
    for chapter, check in check_sections(drafts, ledger, dry_run=dry_run):
        state: QuestionState = "edited" if check.state == "edited" else "current"
        orders: tuple[Order, ...] = ()
        if check.state == "due":
            section = _OpenQuestions(context, chapter, check)
            ended_by = await section.draft()
            if isinstance(ended_by, InputError):
                raise ended_by
            orders = tuple(section.found.values())
            state = "open" if orders else "complete"
        number = check.section.number
        title = chapter.skeletons[number].title
        questions.append(SectionQuestions(chapter=chapter.id, number=number, title=title, state=state, orders=orders))
    return tuple(questions)


def orders_of(sections: Sequence[SectionQuestions]) -> tuple[Order, ...]:
    """All orders, those that finish what was begun first: they come first where the budget is short."""
    every = (order for section in sections for order in section.orders)
    return tuple(sorted(every, key=lambda order: order.rank))


class _OpenQuestionError(Exception):
    """A question has no answer in the ledger."""


@dataclass(eq=False)
class _OpenQuestions(SectionRun):
    """A section worked through without buying: ``found`` gathers its open questions by name."""

    found: dict[str, Order] = field(default_factory=dict)

    async def _usable(self, ask: Ask) -> Answer | None:
        """The stored answer to a question; None for a repair without one."""
        try:
            return await super()._usable(ask)
        except _OpenQuestionError:
            if ask.purpose == "repair":
                return None
            raise StoppedError("what is asked next depends on the answer") from None

    async def _buy(self, order: Order) -> StoredAnswer:
        """The stored answer. An order without one is noted."""
        stored = self.context.ledger.known(order)
        if stored is None:
            self.found[order.question or order.request.key] = order
            raise _OpenQuestionError
        return stored

    def _show(self) -> None:
        """Show nothing: nobody watches."""
