"""What a run works with: the ledger, the budgeted client, the author, the models' templates; opened in one place.

Library, command line and batches open their runs here, so that limits, keys and closing are the same for all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from expand.budget import Limit
from expand.client.client import BudgetedClient
from expand.client.retry_policy import RetryPolicy
from expand.drafting.events import Event, Notice, SectionGrew
from expand.drafting.length_loop import Outcome
from expand.drafting.model_setup import (
    Authors,
    ModelSetup,
    ThinkingRoom,
    author_for,
    model_setup_for,
    other_roles,
    profile_of,
    require_language,
)
from expand.drafting.results import fields_of
from expand.drafting.run_options import RunOptions
from expand.errors import LedgerError
from expand.ledger import AttemptEvent, Ledger, Order, StoredAnswer
from expand.ledger import Run as LedgerRun
from expand.llm.types import NO_USAGE, Author, Usage
from expand.outline import Book, Outline, limits_of, opening_of
from expand.schema import Json
from expand.settings import ModelRole, Settings, require_author
from expand.workspace import Workspace

if TYPE_CHECKING:
    from expand.drafting.budget_plan import ChapterBound

ROLES: tuple[ModelRole, ...] = ("draft", "repair", "review")


@dataclass(kw_only=True, slots=True)
class UsageCounter:
    """What one section bought in this run, section 0 being the chapter as a whole; tokens as charged. ``lines`` are
    those of its text so far, and ``streamed_lines`` those of an answer that is still arriving."""

    attempts: int = 0
    answers: int = 0
    usage: Usage = NO_USAGE
    lines: int = 0
    streamed_lines: int = 0

    def add(self, bought: StoredAnswer) -> None:
        """Count an answer that was bought now; one that the ledger had costs nothing."""
        if not bought.reused:
            self.answers += 1
            self.usage += bought.usage

    def as_json(self) -> dict[str, Json]:
        """What was bought, as scripts read it."""
        tokens = fields_of(self.usage, "prompt cached completion")
        return {**fields_of(self, "attempts answers"), "tokens": tokens}


class UsageCounters:
    """The counters of a run's sections by chapter and number, kept from the client's events, and the events that a run
    shows of them."""

    def __init__(self, ledger: Ledger, on_event: Callable[[Event], None] = lambda _: None) -> None:
        self.on_event = on_event
        self.counters: dict[tuple[str, int], UsageCounter] = {}
        self._ledger = ledger
        self._remaining = ledger.balance("book").remaining_tokens

    def of(self, chapter: str, section: int) -> UsageCounter:
        """A section's counter, which goes on counting."""
        return self.counters.setdefault((chapter, section), UsageCounter())

    def show(self, chapter: str, section: int, *, streaming: bool = False, text: str = "") -> None:
        """Tell how far a section is. The ledger is asked for the remaining budget as answers are added only: while they
        are ``streaming``, they are shown many times a second."""
        counter = self.of(chapter, section)
        if not streaming:
            self._remaining = self._ledger.balance("book").remaining_tokens
        self.on_event(
            SectionGrew(
                chapter=chapter,
                section=section,
                lines=counter.lines + counter.streamed_lines,
                tokens=counter.usage.total,
                remaining_tokens=self._remaining,
                streaming=streaming,
                text=text,
            )
        )

    def tell(self, chapter: str, section: int, message: str) -> None:
        """Tell a person something of a section, or with 0 of the chapter."""
        self.on_event(Notice(message=f"{chapter}/{section}: {message}" if section else f"{chapter}: {message}"))

    def note(self, event: AttemptEvent) -> None:
        """Count what became of an attempt, and pass it on."""
        chapter, section, purpose = event.order.address
        counter = self.of(chapter, section)
        if event.kind == "text":
            # A repair takes the place of lines that are counted already; what is for section 0 is no part of a section.
            if purpose != "repair" and section:
                counter.streamed_lines = event.text.count("\n")
                self.show(chapter, section, streaming=True, text=event.text)
            return
        counter.streamed_lines = 0
        if event.kind == "sent":
            counter.attempts += 1
        if event.kind != "waiting":
            self.on_event(event)
        if event.message and not event.final:
            wait = f" (waiting {event.seconds:.0f} s)" if event.seconds >= 1 else ""
            self.tell(chapter, section, f"{event.message}{wait}")


@dataclass(kw_only=True, slots=True)
class RunContext:
    """What a run works with. ``setup`` is that of the model that drafts, ``roles`` has those of every role: the one
    that is meant first, then those that are asked what another one did not answer. ``replaced`` says why one model
    stands in for another, by the names of both, ``bounds`` what the answers of chapters may cost."""

    workspace: Workspace
    book: Book
    options: RunOptions
    setup: ModelSetup
    ledger: Ledger
    run_id: str
    client: BudgetedClient
    usage: UsageCounters
    roles: Mapping[ModelRole, tuple[ModelSetup, ...]] = field(default_factory=dict)
    replaced: dict[tuple[str, str], str] = field(default_factory=dict)
    thinking: ThinkingRoom = field(default_factory=ThinkingRoom)
    bounds: dict[str, ChapterBound] = field(default_factory=dict)
    delivered: list[Outcome] = field(default_factory=list)
    """What the run's sections were asked for and got, of a model that writes whole ones."""

    def left(self, chapter: str = "") -> dict[str, int]:
        """What the budgets of the book and the run have left, and that of a chapter: ``tokens`` and ``pico_usd``, each
        only where it is limited."""
        scopes = ("book", f"run:{self.run_id}", *((f"chapter:{chapter}",) if chapter else ()))
        found: dict[str, int] = {}
        for balance in map(self.ledger.balance, scopes):
            for unit, most in (("tokens", balance.remaining_tokens), ("pico_usd", balance.remaining_pico_usd)):
                if most is not None:
                    found[unit] = min(most, found.get(unit, most))
        return found

    def has_for(self, order: Order, share: int) -> bool:
        """Whether an order can take but one part in ``share`` of what is left, in tokens and in money."""
        amount = {"tokens": order.amount.tokens, "pico_usd": order.amount.pico_usd or 0}
        return all(share * amount[unit] <= most for unit, most in self.left(order.address.chapter).items())

    def models_for(self, role: ModelRole) -> tuple[ModelSetup, ...]:
        """The models of a role, the one that is meant first."""
        return self.roles.get(role, (self.setup,))


@contextmanager
def open_ledger(
    workspace: Workspace, book: Book, outlines: Mapping[str, Outline] | None = None, *, budget: int | None = None
) -> Iterator[tuple[Ledger, LedgerRun]]:
    """The ledger with a run begun in it, under the limits of the book and of the outlines; closed at the end.
    ``budget`` limits this run alone, in tokens."""
    ledger = Ledger.open(workspace.ledger_place)
    try:
        limits = limits_of(book, outlines or {})
        yield ledger, ledger.begin_run(limits=limits, opening=opening_of(book), run_limit=Limit(tokens=budget))
    except BaseException:
        # A disk that is full refuses this write too, and the error that ends the run says more than its own would. The
        # next run ends this one's attempts.
        with suppress(LedgerError):
            ledger.close()
        raise
    ledger.close()


@asynccontextmanager
async def open_run(
    workspace: Workspace,
    settings: Settings,
    options: RunOptions,
    *,
    author: Author | None = None,
    on_event: Callable[[Event], None] = lambda _: None,
    outlines: Mapping[str, Outline] | None = None,
) -> AsyncIterator[RunContext]:
    """What a run works with. When the block ends, nothing is in flight or reserved any more.

    ``author`` writes in the place of the one that the settings mean, under the profile of the settings' model, and is
    not closed here. Raises ``InputError`` before anything is opened when nothing could be sent."""
    asked = settings.of_sections(*other_roles(workspace, settings, options))
    if author is None:
        for one in asked:
            require_author(one, path=workspace.settings_path)
    book = workspace.book()
    if options.language:
        require_language(profile_of(workspace, settings), book, options.language)
    async with AsyncExitStack() as stack:
        ledger, run = stack.enter_context(open_ledger(workspace, book, outlines, budget=options.budget))
        if ledger.taken_in:
            on_event(
                Notice(message=f"answers that an earlier run had to keep elsewhere, now taken in: {ledger.taken_in}")
            )
        usage = UsageCounters(ledger, on_event)
        prepare = None
        if author is None:
            author = own = Authors()
            for one in asked:
                own[one.model] = await stack.enter_async_context(author_for(one, profile_of(workspace, one)))
            prepare = own.open
        client = BudgetedClient(
            ledger=ledger,
            author=author,
            on_event=usage.note,
            retry=RetryPolicy(longest_wait_seconds=settings.longest_wait_seconds, replaceable=settings.replaceable()),
            prepare=prepare,
        )
        stack.push_async_callback(client.drain)  # before the author and the ledger are closed
        setups = {one.model: model_setup_for(workspace, one, ledger=ledger) for one in settings.of_sections("review")}
        yield RunContext(
            workspace=workspace,
            book=book,
            options=options,
            setup=setups[settings.model],
            ledger=ledger,
            run_id=run.id,
            client=client,
            usage=usage,
            roles={role: tuple(setups[one.model] for one in settings.for_role(role)) for role in ROLES},
        )
