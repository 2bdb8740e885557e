"""What the commands do: submit, look, collect, give up. Each opens the ledger and closes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Literal

from expand.batch.batch_results import Gathered, Submitted, Tray, joined
from expand.batch.batch_status import BatchStatus, batch_status
from expand.batch.collection import Collected, Collection
from expand.batch.metadata import commissions_of, parts, terms_of
from expand.batch.planning import BatchPlan, Nobody, Planning
from expand.batch.submission import Submission
from expand.budget import Limit
from expand.drafting.events import Event
from expand.drafting.model_setup import endpoint_of, model_setup_for, profile_of, require_language
from expand.drafting.results import RunResult
from expand.drafting.run import expand_chapters
from expand.drafting.run_options import RunSpec
from expand.errors import AuthorError, InputError
from expand.ledger import Ledger, Run
from expand.ledger.batch_rows import BatchRow, Stage
from expand.ledger.batches import Batches, SubmittingError
from expand.llm.batch_api import BatchAuthor
from expand.llm.pricing import batch_price_for
from expand.llm.types import AttemptFailedError, Failure, Usage
from expand.outline.allowance import limits_of, money_openings_of, openings_of
from expand.settings import Settings, require_author
from expand.workspace import Workspace

BatchAction = Literal["submit", "status", "collect", "cancel"]
Tell = Callable[[str], None]
Sleep = Callable[[float], Awaitable[None]]


async def submit(
    workspace: Workspace,
    settings: Settings,
    commission: RunSpec,
    *,
    budget_tokens: int | None = None,
    unpriced: bool = False,
    rehearse: bool = False,
    author: BatchAuthor | None = None,
    tell: Tell = lambda _: None,
    sleep: Sleep = asyncio.sleep,
) -> Submitted:
    """Reserve, upload and submit what the commission's sections ask next. What an earlier process
    left on its way is taken there first. With ``rehearse`` it is only worked out.

    Raises ``InputError``, ``SubmittingError``.
    """
    _require_batches(workspace, settings)
    require_language(profile_of(workspace, settings), workspace.book(), commission.language)
    with _ledger(workspace, commission.chapters, budget_tokens) as (ledger, run):
        batches = Batches(ledger)
        async with _author(settings, author) as opened:
            submission = Submission(batches=batches, author=opened, sleep=sleep, on_step=tell)
            carried: list[BatchRow] = []
            planned = BatchPlan(sections=())
            tray = Tray()
            problem = ""
            try:
                left = None if rehearse else batches.unfinished(run)
                if left is not None:
                    _require_same_place(left, settings)
                    tell(f"going on with batch {left.id}, {left.stage} by a process that is gone")
                    carried.append(await submission.carry(left, resumed=True))
                means = model_setup_for(workspace, settings, ledger=ledger, unpriced=unpriced)
                price = batch_price_for(settings.model, means.profile, settings.base_url)
                planning = Planning(
                    workspace=workspace,
                    book=workspace.book(),
                    means=replace(means, price=price),
                    ledger=ledger,
                    run=run,
                )
                planned = await planning.plan(commission, rehearse=rehearse)
                for orders in () if rehearse else parts(planned.orders):
                    batch = batches.begin(
                        run,
                        model=settings.model,
                        base_url=settings.base_url or "",
                        terms=terms_of(commission, means.profile.output_cap_name),
                    )
                    hold = settings.on_unknown == "hold"
                    tray.take(batches.reserve(batch, orders, hold_unknown=hold))
                    carried.append(await submission.carry(batches.prepared(batch)))
            except AuthorError as error:
                problem = str(error)
        return Submitted(
            batches=tuple(batch for batch in carried if batch.stage is Stage.SUBMITTED),
            plan=planned,
            waiting=tray.waiting,
            held=tray.held,
            refused=tuple(dict.fromkeys(tray.refused)),
            problem=problem,
            balance=ledger.balance("book"),
        )


async def collect(
    workspace: Workspace,
    settings: Settings,
    *,
    chapters: tuple[str, ...] | None = None,
    author: BatchAuthor | None = None,
    on_event: Callable[[Event], None] = lambda _: None,
    tell: Tell = lambda _: None,
) -> Gathered:
    """Settle what came back of every batch and draft their chapters, or only ``chapters``, from
    the answers that are there. Nothing is sent live. Raises ``InputError``.
    """
    _require_batches(workspace, settings)
    problems: list[str] = []
    found: list[Collected] = []
    with _ledger(workspace, (), None) as (ledger, run):
        batches = Batches(ledger)
        async with _author(settings, author) as opened:
            _tell_unfinished(batches, run, tell)
            for batch in batches.living():
                if batch.stage is not Stage.SUBMITTED:
                    continue
                _require_same_place(batch, settings)
                cost = _cost(workspace, replace(settings, model=batch.model))
                try:
                    collection = Collection(batches=batches, author=opened, cost=cost)
                    found.append(await collection.collect(batch))
                except AuthorError as error:
                    problems.append(str(error))
                    found.append(Collected(batch=batch, problem=str(error)))
        commissions = commissions_of(batches.all(), chapters)
    drafted = [
        await _draft(workspace, replace(settings, model=model), commission, on_event)
        for model, commission in commissions
    ]
    with _ledger(workspace, (), None) as (ledger, _):
        return Gathered(
            batches=tuple(found),
            problems=tuple(problems),
            drafted=joined(drafted, ledger.balance("book")),
            balance=ledger.balance("book"),
        )


async def cancel(
    workspace: Workspace,
    settings: Settings,
    *,
    author: BatchAuthor | None = None,
    tell: Tell = lambda _: None,
    sleep: Sleep = asyncio.sleep,
) -> tuple[BatchRow, ...]:
    """Have every batch end early; what is answered by then can be collected. One that is still on
    its way is withdrawn, one that its provider does not know is lost: charged as unknown.

    Raises ``AuthorError`` when the provider cannot be asked.
    """
    _require_batches(workspace, settings)
    with _ledger(workspace, (), None) as (ledger, run):
        batches = Batches(ledger)
        async with _author(settings, author) as opened:
            submission = Submission(batches=batches, author=opened, sleep=sleep, on_step=tell)
            left = batches.unfinished(run)
            if left is not None:
                _require_same_place(left, settings)
                await submission.withdraw(left)
            living = batches.living()
            for batch in living:
                _require_same_place(batch, settings)
                await _cancel_one(batches, opened, batch)
            return tuple(batches.get(batch.id) for batch in living) or (
                (batches.get(left.id),) if left is not None else ()
            )


async def look(
    workspace: Workspace, settings: Settings, *, author: BatchAuthor | None = None
) -> tuple[BatchStatus, ...]:
    """Where every batch stands, asked of the provider and written nowhere."""
    _require_batches(workspace, settings)
    ledger = Ledger.read(workspace.ledger_place)
    if ledger is None:
        return ()
    try:
        async with _author(settings, author) as opened:
            return await batch_status(ledger, opened, settings.base_url or "")
    finally:
        ledger.close()


async def _cancel_one(batches: Batches, author: BatchAuthor, batch: BatchRow) -> None:
    try:
        await author.cancel(batch.remote)
    except AttemptFailedError as failed:
        if failed.failure is Failure.NOT_FOUND:
            lost = AttemptFailedError(failed.failure, f"given up: {failed.message}")
            batches.end(batch, Stage.LOST, rest=lost, billed=None)
        elif failed.status != 409:  # it has ended already
            raise AuthorError(f"batch {batch.id} was not cancelled: {failed.message}") from failed


@contextmanager
def _ledger(workspace: Workspace, chapters: tuple[str, ...], budget_tokens: int | None) -> Iterator[tuple[Ledger, Run]]:
    book = workspace.book()
    outlines = {chapter: workspace.outline(chapter) for chapter in chapters}
    ledger = Ledger.open(workspace.ledger_place)
    try:
        run = ledger.begin_run(
            limits=limits_of(book, outlines),
            openings=openings_of(book),
            openings_pico_usd=money_openings_of(book),
            run_limit=Limit(tokens=budget_tokens),
        )
        yield ledger, run
    finally:
        ledger.close()


@asynccontextmanager
async def _author(settings: Settings, given: BatchAuthor | None) -> AsyncIterator[BatchAuthor]:
    if given is not None:
        yield given
        return
    async with BatchAuthor(endpoint_of(settings)) as opened:
        yield opened


async def _draft(
    workspace: Workspace,
    settings: Settings,
    commission: RunSpec,
    on_event: Callable[[Event], None],
) -> RunResult:
    """The usual assembly, stopped before it begins: it has what is in the ledger, and no more."""
    result = await expand_chapters(
        workspace,
        settings,
        commission,
        author=Nobody(),
        on_event=on_event,
        on_ready=lambda expansion: expansion.stop(),
    )
    return replace(result, interrupted=False)


def _cost(workspace: Workspace, settings: Settings) -> Callable[[Usage], int | None]:
    price = batch_price_for(settings.model, profile_of(workspace, settings), settings.base_url)
    return lambda usage: price.cost(usage) if price else None


def _tell_unfinished(batches: Batches, run: Run, tell: Tell) -> None:
    try:
        left = batches.unfinished(run)
    except SubmittingError as error:
        tell(str(error))
        return
    if left is not None:
        tell(
            f"batch {left.id} was left {left.stage}; `expand chapter --batch submit` goes on with "
            "it, `--batch cancel` gives it up"
        )


def _require_same_place(batch: BatchRow, settings: Settings) -> None:
    """A key must not go to another provider than the one that it is for."""
    if batch.base_url != (settings.base_url or ""):
        raise InputError(
            f"batch {batch.id} is with {batch.base_url or 'OpenAI'}, not with {settings.base_url or 'OpenAI'}",
            remedy=f"give --base-url {batch.base_url}"
            if batch.base_url
            else "leave out --base-url, OPENAI_BASE_URL and base_url",
        )


def _require_batches(workspace: Workspace, settings: Settings) -> None:
    if settings.embedded:
        raise InputError(
            "the embedded local model takes no batches",
            remedy="set OPENAI_API_KEY, or give --base-url and --model of a provider that does",
        )
    require_author(settings, path=workspace.settings_path)
