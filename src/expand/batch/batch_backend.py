"""The back end of ``expand chapter --batch``: submit, status, collect, cancel. Each opens the ledger and closes it.

Each section is worked through on the answers that are there, up to the first question without one; what it would ask
next depends on the answer. Repairs of different topics do not depend on each other, and go together. The length
contract holds as it does live: the answers are drafted by the same loop, whose questions are known by what they ask and
not by their exact words.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from typing import Literal

from expand.batch.submission import BatchState, Submission, batch_json
from expand.budget import Balance
from expand.client.client import BudgetedClient, StoppedError
from expand.drafting.budget_plan import ChapterBound
from expand.drafting.draft_file import DraftStore
from expand.drafting.length_loop import Ask
from expand.drafting.model_setup import ModelSetup, endpoint_of, model_setup_for, profile_of, require_language
from expand.drafting.results import RunResult, balance_json, fields_of
from expand.drafting.run import Run as DraftRun
from expand.drafting.run_context import RunContext, UsageCounters, open_ledger
from expand.drafting.run_options import RunOptions
from expand.drafting.section_run import SectionRun
from expand.drafting.section_state import check_chapters
from expand.errors import AuthorError, InputError
from expand.ledger import InFlight, Ledger, Order, Refused, Reservation, Run, StoredAnswer
from expand.ledger.batches import Batches, BatchRow, Stage
from expand.ledger.values import Verdict
from expand.llm.batch_api import MOST_REQUESTS, BatchAuthor
from expand.llm.tokens import batch_price_for
from expand.llm.types import Answer, AttemptFailedError, Failure, OnText, Request, Usage, ignore_text
from expand.outline import Plan
from expand.schema import Json
from expand.settings import Settings, require_author
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


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmitReport:
    """What a submission came to. ``batches`` are those that the provider took now, first one that an earlier process
    left unfinished. ``waiting`` questions are in flight already; ``refused`` are the budget's reasons, each once.
    ``problem`` is why the provider did not take one, "" if it took all."""

    batches: tuple[BatchRow, ...]
    sections: tuple[SectionQuestions, ...]
    waiting: int
    refused: tuple[str, ...]
    problem: str
    balance: Balance
    dry_run: bool

    @property
    def orders(self) -> tuple[Order, ...]:
        """The orders of all sections."""
        return orders_of(self.sections)

    @property
    def reserved_tokens(self) -> int:
        """What all questions reserve, or would."""
        return sum(order.amount.tokens for order in self.orders)

    @property
    def exit_code(self) -> int:
        """The code of the contract."""
        return 4 if self.problem else 3 if self.refused else 0

    def as_json(self) -> dict[str, Json]:
        """The submission, section by section."""
        return {
            **fields_of(self, "dry_run reserved_tokens waiting problem"),
            "batches": [batch_json(batch) for batch in self.batches],
            "questions": len(self.orders),
            "refused": [*self.refused],
            "sections": [
                {**fields_of(section, "chapter number title state"), "questions": len(section.orders)}
                for section in self.sections
            ],
            "budget": balance_json(self.balance),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectReport:
    """What a collection came to. ``drafted`` is the run that drafted the chapters from the answers that are there, None
    where no chapter was to be drafted."""

    batches: tuple[BatchState, ...]
    drafted: RunResult | None
    balance: Balance

    @property
    def problems(self) -> tuple[str, ...]:
        """Why a provider could not be asked."""
        return tuple(f"batch {state.batch.id}: {state.problem}" for state in self.batches if state.problem)

    @property
    def missing(self) -> tuple[tuple[str, int], ...]:
        """Chapter and number of the sections that still lack answers."""
        chapters = self.drafted.chapters if self.drafted else ()
        return tuple((c.id, s.number) for c in chapters for s in c.sections if s.status == "failed")

    @property
    def exit_code(self) -> int:
        """The code of the contract: 4 over 3 over 5 over 0."""
        if self.problems:
            return 4
        return self.drafted.exit_code if self.drafted else 0

    def as_json(self) -> dict[str, Json]:
        """The batches, and the run that drafted from them."""
        drafted: dict[str, Json] = self.drafted.as_json() if self.drafted else {"chapters": []}
        return {
            **drafted,
            "batches": [state.as_json() for state in self.batches],
            "missing": [{"chapter": chapter, "section": number} for chapter, number in self.missing],
            "budget": balance_json(self.balance),
        }


@dataclass(eq=False)
class BatchBackend:
    """Sections bought through the Batch API of the provider in the settings; ``tell`` gets each step in words.

    Every method raises ``InputError`` where the settings mean an author that takes no batches, or another provider
    than the one that has a batch."""

    workspace: Workspace
    settings: Settings
    tell: Callable[[str], None] = lambda _: None

    async def submit(self, options: RunOptions, *, dry_run: bool = False) -> SubmitReport:
        """Reserve, upload and submit what the sections of a run ask next, once it is known what became of a batch that
        an earlier process left unfinished. With ``dry_run`` nothing is reserved or sent.
        """
        workspace, settings = self.workspace, self.settings
        require_language(profile_of(workspace, settings), workspace.book(), options.language)
        submitted: list[BatchRow] = []
        sections: tuple[SectionQuestions, ...] = ()
        verdicts: list[tuple[Order, Verdict]] = []
        problem = ""
        async with self._opened(options) as (submission, run):
            batches, ledger = submission.batches, submission.batches.ledger
            try:
                for left in () if dry_run else batches.left_behind(run):
                    self._require_same_provider(left)
                    self.tell(f"going on with batch {left.id}, {left.stage} by a process that is gone")
                    submitted.append(await submission.resolve(left))
                setup = model_setup_for(workspace, settings, ledger=ledger)
                setup = replace(setup, price=batch_price_for(settings.model, setup.profile, settings.base_url))
                sections = await open_questions(workspace, setup, ledger, run, options, dry_run=dry_run)
                terms: dict[str, Json] = {  # so that it can be collected without saying it again
                    "chapters": [*options.chapters],
                    "language": options.language,
                    "plan": options.plan.value,
                }
                orders = () if dry_run else orders_of(sections)
                for first in range(0, len(orders), MOST_REQUESTS):
                    part, base_url = orders[first : first + MOST_REQUESTS], settings.base_url or ""
                    batch, decided = batches.prepare(run, part, model=settings.model, base_url=base_url, terms=terms)
                    verdicts += decided
                    reserved = [order for order, verdict in decided if isinstance(verdict, Reservation)]
                    submitted.append(await submission.submit(batch, reserved))
            except AuthorError as error:
                problem = str(error)
            refused = (
                f"{order.address.chapter}/{order.address.section}: {verdict.message}"
                for order, verdict in verdicts
                if isinstance(verdict, Refused)
            )
            return SubmitReport(
                batches=tuple(batch for batch in submitted if batch.stage is Stage.SUBMITTED),
                sections=sections,
                waiting=sum(isinstance(verdict, InFlight) for _, verdict in verdicts),
                refused=tuple(dict.fromkeys(refused)),
                problem=problem,
                balance=ledger.balance("book"),
                dry_run=dry_run,
            )

    async def status(self) -> tuple[BatchState, ...]:
        """Where every batch stands, as the ledger has it and as its provider sees it."""
        self._require_batches()
        ledger = Ledger.read(self.workspace.ledger_place)
        if ledger is None:
            return ()
        with closing(ledger):
            batches = Batches(ledger)
            found = tuple(BatchState(batches, batch) for batch in batches.all())
            async with BatchAuthor(endpoint_of(self.settings)) as author:
                for state in found:
                    state.measure()
                    if state.batch.stage is not Stage.SUBMITTED:
                        continue
                    if state.batch.base_url == (self.settings.base_url or ""):
                        await state.look(author)
                    else:
                        state.problem = f"with another provider: {state.batch.base_url or 'OpenAI'}"
        return found

    async def collect(self, chapters: tuple[str, ...] | None = None) -> CollectReport:
        """Settle what came back of every batch and draft their chapters, or only ``chapters``, from the answers that
        are there."""
        found: list[BatchState] = []
        async with self._opened() as (submission, _):
            batches = submission.batches
            for batch in (one for one in batches.all() if not one.stage.ended):
                if batch.stage is not Stage.SUBMITTED:
                    self.tell(
                        f"batch {batch.id} is {batch.stage}; unless another process is at it, `expand chapter --batch "
                        "submit` finds out what became of it"
                    )
                    continue
                self._require_same_provider(batch)
                found.append(state := BatchState(batches, batch))
                await state.look(submission.author, self._cost(batch.model))
                state.measure()
            wanted = options_of(batches.all(), chapters)
            balance = batches.ledger.balance("book")
        runs: list[RunResult] = []
        failed: list[InputError] = []
        for model, options in wanted:
            try:
                runs.append(await self._assemble(model, options))
            except InputError as error:  # the other chapters are drafted
                failed.append(error)
        if failed and not runs:
            raise failed[0]
        drafted = None
        if runs:
            drawn = tuple(chapter for run in runs for chapter in run.chapters)
            problems = (*(problem for run in runs for problem in run.problems), *map(str, failed))
            seconds = sum(run.seconds for run in runs)
            drafted = replace(runs[-1], chapters=drawn, problems=problems, seconds=seconds)
        return CollectReport(batches=tuple(found), drafted=drafted, balance=drafted.balance if drafted else balance)

    async def _assemble(self, model: str, options: RunOptions) -> RunResult:
        """Draft chapters from the answers that the ledger has: a run that is stopped before it begins."""
        settings = replace(self.settings, model=model)
        run = DraftRun(self.workspace, options, settings=settings, author=NoAuthor())
        run.stop()
        return replace(await run.complete(), interrupted=False)

    async def cancel(self, chapters: tuple[str, ...] | None = None) -> tuple[BatchRow, ...]:
        """Have every batch end early, or those that ask for one of ``chapters``; what is answered by then can be
        collected. One that is not submitted yet is withdrawn; one that its provider does not know is lost, and its
        requests are charged as unknown. Returns them as they stand then.

        Raises ``AuthorError`` when the provider cannot be asked."""
        async with self._opened() as (submission, run):
            batches = submission.batches
            left = {one.id for one in batches.left_behind(run)}
            every = [one for one in batches.all() if one.stage is Stage.SUBMITTED or one.id in left]
            chosen = [one for one in every if chapters is None or not set(chapters).isdisjoint(_chapters(one))]
            for found in chosen:
                self._require_same_provider(found)
                batch = found if found.stage is Stage.SUBMITTED else await submission.resolve(found)
                if batch.stage.ended:
                    continue
                try:
                    await submission.author.cancel(batch.remote)
                except AttemptFailedError as failed:
                    if failed.failure is Failure.NOT_FOUND:
                        lost = AttemptFailedError(failed.failure, f"given up: {failed.message}")
                        batches.end(batch, Stage.LOST, rest=lost, unbilled=False)
                    elif failed.status != 409:  # it has ended already
                        raise AuthorError(f"batch {batch.id} was not cancelled: {failed.message}") from failed
            return tuple(batches.get(batch.id) for batch in chosen)

    @asynccontextmanager
    async def _opened(self, options: RunOptions | None = None) -> AsyncIterator[tuple[Submission, Run]]:
        """Ledger and provider, with a run begun under the limits of the book and of the chapters of ``options``."""
        self._require_batches()
        workspace, options = self.workspace, options or RunOptions()
        outlines = {chapter: workspace.outline(chapter) for chapter in options.chapters}
        with open_ledger(workspace, workspace.book(), outlines, budget=options.budget) as (ledger, run):
            async with BatchAuthor(endpoint_of(self.settings)) as author:
                form = profile_of(workspace, self.settings).form
                yield Submission(Batches(ledger), author, form=form, tell=self.tell), run

    def _cost(self, model: str) -> Callable[[Usage], int | None]:
        settings = replace(self.settings, model=model)
        price = batch_price_for(model, profile_of(self.workspace, settings), settings.base_url)
        return lambda usage: price.cost(usage) if price else None

    def _require_same_provider(self, batch: BatchRow) -> None:
        """A key must not go to another provider than the one that it is for."""
        here, there = self.settings.base_url or "", batch.base_url
        if here != there:
            raise InputError(
                f"batch {batch.id} is with {there or 'OpenAI'}, not with {here or 'OpenAI'}",
                remedy=f"give --base-url {there}" if there else "leave out --base-url, OPENAI_BASE_URL and base_url",
            )

    def _require_batches(self) -> None:
        if self.settings.embedded:
            raise InputError(
                "the embedded local model takes no batches",
                remedy="set OPENAI_API_KEY, or give --base-url and --model of a provider that does",
            )
        require_author(self.settings, path=self.workspace.settings_path)


def options_of(rows: Sequence[BatchRow], chapters: tuple[str, ...] | None) -> list[tuple[str, RunOptions]]:
    """Model and options of the runs that draft from the batches, each chapter as it was submitted last."""
    last: dict[str, tuple[str, RunOptions]] = {}
    for row in rows:
        for chapter in () if row.stage is Stage.WITHDRAWN else _chapters(row):
            plan, language = Plan(str(row.terms["plan"])), str(row.terms["language"])
            last[chapter] = row.model, RunOptions(chapters=(chapter,), plan=plan, language=language)
    return [last[chapter] for chapter in sorted(last) if chapters is None or chapter in chapters]


def _chapters(batch: BatchRow) -> list[str]:
    named = batch.terms["chapters"]
    assert isinstance(named, list)  # as ``submit`` wrote it
    return [str(chapter) for chapter in named]


# --- what sections can ask now ------------------------------------------------------------------------


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
    for chapter, checks in check_chapters(drafts, ledger, dry_run=dry_run):
        context.bounds[chapter.id] = ChapterBound((chapter, check) for check in checks if check.state == "due")
        for check in checks:
            state: QuestionState = "edited" if check.state == "edited" else "current"
            orders: tuple[Order, ...] = ()
            if check.state == "due":
                section = _OpenQuestions(context, chapter, check)
                ended_by = await section.draft()
                if isinstance(ended_by, InputError):
                    raise ended_by
                orders = tuple(section.found.values())
                state = "open" if orders else "complete"
            number, title = check.section.number, chapter.skeletons[check.section.number].title
            questions.append(
                SectionQuestions(chapter=chapter.id, number=number, title=title, state=state, orders=orders)
            )
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
