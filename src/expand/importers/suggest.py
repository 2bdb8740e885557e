"""A consultation put together: settings, book, ledger and author become an outline.

However it ends, nothing is reserved any more when it returns, every answer is in the ledger, and
the outline is either whole or not there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from expand.budget import Balance, Limit
from expand.client.client import Bought, BudgetedClient, Event, StoppedError, always_ready
from expand.drafting.model_setup import ModelSetup, model_setup_for, profile_of, require_language
from expand.drafting.run_context import DeferredAuthor
from expand.drafting.run_options import RunOptions
from expand.errors import AuthorError, BudgetExceededError, ExpandError, InputError, Place
from expand.importers.import_run import DEFAULT_LINES
from expand.importers.suggestion_loop import SECTION, TRIES, Consultation, SuggestionRequest
from expand.importers.target import SuggestionTarget, find_target
from expand.importers.writer import OutlineWriter, WrittenOutline
from expand.ledger import Ledger, Order, Run
from expand.llm.types import Author, Usage
from expand.outline import Book
from expand.outline.allowance import limits_of, money_openings_of, openings_of
from expand.schema import Json
from expand.settings import Settings, require_author
from expand.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class SuggestRequest:
    """What is asked for: ``subject`` is a chapter's id, a document or a title. ``force`` changes an
    outline that is there, ``fresh`` asks anew where an answer is stored.
    """

    subject: str
    id: str | None = None
    lines: int | None = None
    language: str | None = None
    force: bool = False
    fresh: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Suggested:
    """What became of it. ``taken`` is None where there is no outline, for the reason in
    ``stopped_by``; ``findings`` is what the outline that was written still owes. ``usage`` is what
    the answers cost, now or when they were bought; ``attempts`` are those made now.
    """

    subject: SuggestionTarget
    model: str
    taken: WrittenOutline | None
    booked: tuple[str, ...]
    findings: tuple[str, ...]
    attempts: int
    answers: int
    usage: Usage
    balance: Balance
    stopped_by: str = ""
    stop_code: int = 0

    @property
    def exit_code(self) -> int:
        """0; 3 or 4 for what stopped it; 5 for an outline that owes something."""
        return self.stop_code or (5 if self.findings else 0)

    def as_json(self) -> dict[str, Json]:
        """What is spent, and what is wrong, as scripts read it."""
        return {
            "model": self.model,
            "attempts": self.attempts,
            "answers": self.answers,
            "tokens": {
                "prompt": self.usage.prompt,
                "cached": self.usage.cached,
                "completion": self.usage.completion,
            },
            "findings": list(self.findings),
            "stopped_by": self.stopped_by,
            "budget": {
                "limit": self.balance.limit.tokens,
                "used": self.balance.used_tokens,
                "reserved": self.balance.reserved_tokens,
                "remaining": self.balance.remaining_tokens,
            },
        }


async def suggest(
    workspace: Workspace,
    settings: Settings,
    request: SuggestRequest,
    options: RunOptions,
    *,
    author: Author | None = None,
    on_event: Callable[[Event], None] = lambda _: None,
    on_ready: Callable[[BudgetedClient], None] = lambda _: None,
) -> Suggested:
    """Has sections proposed and writes the outline. Raises ``InputError`` before anything is sent.

    ``author`` proposes in the place of the one that the settings mean. ``on_ready`` gets the
    purchase before it begins, to stop it.
    """
    book, subject = _subject(workspace, settings, request)
    if author is None:
        require_author(settings, path=workspace.settings_path)
    ledger = Ledger.open(workspace.ledger_place)
    try:
        means = model_setup_for(workspace, settings, ledger=ledger)
        consultation = replace(
            _consultation(workspace, request, book, subject, means, ledger), unpriced=options.unpriced
        )
        _refuse_waste(workspace, consultation, request, ledger)
        if request.fresh:
            number = ledger.raise_edition(consultation.subject.id, SECTION)
            consultation = replace(consultation, edition=number)
        there = subject.id in workspace.chapter_ids()
        outlines = {subject.id: workspace.outline(subject.id)} if there else {}
        run = ledger.begin_run(
            limits=limits_of(book, outlines),
            openings=openings_of(book),
            openings_pico_usd=money_openings_of(book),
            run_limit=Limit(tokens=options.budget),
        )
        async with AsyncExitStack() as opened:
            prepare = always_ready
            if author is None:
                profile = consultation.means.profile
                author = own = await opened.enter_async_context(DeferredAuthor(settings, profile))
                prepare = own.open
            buying = _Buying(consultation, ledger, run, on_event)
            buying.purchase = BudgetedClient(
                ledger=ledger,
                author=author,
                on_event=buying.note,
                on_unknown=settings.on_unknown,
                prepare=prepare,
            )
            on_ready(buying.purchase)
            return await buying.through(force=request.force)
    finally:
        ledger.close()


def rehearse(workspace: Workspace, settings: Settings, request: SuggestRequest) -> tuple[Order, int]:
    """The first request, which is not sent, and how many there are at most."""
    book, subject = _subject(workspace, settings, request)
    ledger = Ledger.read(workspace.ledger_place)
    try:
        means = model_setup_for(workspace, settings, ledger=ledger)
        consultation = _consultation(workspace, request, book, subject, means, ledger)
        if request.fresh:
            consultation = replace(consultation, edition=consultation.edition + 1)
        return consultation.order(SuggestionRequest(), run_id="none"), TRIES
    finally:
        if ledger:
            ledger.close()


class _Buying:
    """One consultation under way: what it has taken so far."""

    def __init__(
        self,
        consultation: Consultation,
        ledger: Ledger,
        run: Run,
        on_event: Callable[[Event], None],
    ) -> None:
        self.purchase: BudgetedClient | None = None
        self._consultation = consultation
        self._ledger = ledger
        self._run = run
        self._on_event = on_event
        self._attempts = 0
        self._bought: list[Bought] = []

    def note(self, event: Event) -> None:
        """Counts what is sent, and passes the event on."""
        self._attempts += event.kind == "sent"
        self._on_event(event)

    async def through(self, *, force: bool) -> Suggested:
        """Consults, and writes what came of it."""
        assert self.purchase is not None  # it was given at once
        try:
            proposed = await self._consultation.consult(self._buy)
        except (BudgetExceededError, AuthorError, StoppedError) as error:
            return self._result(stopped_by=error)
        finally:
            await self.purchase.drain()
        filing = self._consultation.filing
        if not force:
            filing.refuse_changes([proposed.taken])
        return self._result(
            taken=proposed.taken,
            booked=filing.write([proposed.taken]),
            findings=proposed.findings,
        )

    async def _buy(self, question: SuggestionRequest) -> Bought:
        assert self.purchase is not None  # it was given at once
        order = self._consultation.order(question, run_id=self._run.id)
        bought = await self.purchase.buy(order)
        self._bought.append(bought)
        return bought

    def _result(
        self,
        *,
        taken: WrittenOutline | None = None,
        booked: tuple[str, ...] = (),
        findings: tuple[str, ...] = (),
        stopped_by: ExpandError | None = None,
    ) -> Suggested:
        usages = [bought.usage for bought in self._bought]
        return Suggested(
            subject=self._consultation.subject,
            model=self._consultation.means.profile.name,
            taken=taken,
            booked=booked,
            findings=findings,
            attempts=self._attempts,
            answers=len(self._bought),
            usage=Usage(
                prompt=sum(usage.prompt for usage in usages),
                completion=sum(usage.completion for usage in usages),
                cached=sum(usage.cached for usage in usages),
            ),
            balance=self._ledger.balance("book"),
            stopped_by=str(stopped_by) if stopped_by else "",
            stop_code=stopped_by.exit_code if stopped_by else 0,
        )


def _subject(workspace: Workspace, settings: Settings, request: SuggestRequest) -> tuple[Book, SuggestionTarget]:
    """The book, and the chapter that is meant, in a language that the model writes."""
    book = workspace.book()
    subject = find_target(workspace, book, request.subject, chapter=request.id, language=request.language)
    require_language(profile_of(workspace, settings), book, subject.how.language)
    return book, subject


def _consultation(
    workspace: Workspace,
    request: SuggestRequest,
    book: Book,
    subject: SuggestionTarget,
    means: ModelSetup,
    ledger: Ledger | None,
) -> Consultation:
    lines = request.lines or subject.target or DEFAULT_LINES
    return Consultation(
        subject=subject,
        book=book,
        means=means,
        filing=OutlineWriter(workspace=workspace, book=book, how=subject.how, lines=lines),
        lines=lines,
        edition=ledger.edition(subject.id, SECTION) if ledger else 0,
    )


def _refuse_waste(workspace: Workspace, consultation: Consultation, request: SuggestRequest, ledger: Ledger) -> None:
    """Refuses to buy a proposal that would not be written, as an outline is there."""
    if request.force or consultation.subject.id not in workspace.chapter_ids():
        return
    if not request.fresh and ledger.known(consultation.order(SuggestionRequest(), run_id="none")):
        return
    path = workspace.outline_path(consultation.subject.id)
    raise InputError(
        f"it is there, and sections proposed for chapter {consultation.subject.id} would change it",
        remedy="--force changes it in place; comments, and what the sections do not speak of, stay",
        place=Place(path=workspace.relative(path)),
    )
