"""The back end of ``expand chapter --batch``: submit, status, collect, cancel. Each opens the ledger and closes it.

What a provider returns is settled here: answers by their usage, the rest released or left unknown. A provider bills the
requests that it answered, and reports how many those are. So an answer is settled by its usage, and a line that reports
a failure is released. A request that is in neither file is released only where every answer that the provider counts
was read, so that it cannot be one of them; in any other case it stays charged. Reading is idempotent: what was settled
before is left as it is, and a file that breaks off concludes nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import replace

from expand.batch.batch_reports import BatchStatus, CollectedBatch, CollectReport, SubmitReport
from expand.batch.lookahead import NoAuthor, SectionQuestions, open_questions, orders_of
from expand.batch.submission import Submission, split
from expand.client.retry_policy import RULES
from expand.drafting.events import Event
from expand.drafting.model_setup import endpoint_of, model_setup_for, profile_of, require_language
from expand.drafting.results import RunResult
from expand.drafting.run import Run as DraftRun
from expand.drafting.run_context import ignore_event, open_ledger
from expand.drafting.run_options import RunOptions
from expand.errors import AuthorError, InputError
from expand.ledger import Ledger, Order, Run, State
from expand.ledger.batches import AT_ONCE, Batches, BatchRow, Stage, SubmittingError
from expand.ledger.values import Verdict
from expand.llm.batch_api import BatchAuthor, BatchLine, RemoteBatch, result_line
from expand.llm.profile import Profile
from expand.llm.tokens import batch_price_for
from expand.llm.types import AttemptFailedError, Failure, Usage
from expand.outline import Plan
from expand.schema import Json
from expand.settings import Settings, require_author
from expand.workspace import Workspace

Tell = Callable[[str], None]


class BatchBackend:
    """Sections bought through the Batch API of the provider in the settings.

    ``author`` takes the batches in the place of that provider and is not closed here; ``tell`` gets each step in words.
    Every method raises ``InputError`` where the settings mean an author that takes no batches, or another provider
    than the one that has a batch."""

    def __init__(
        self,
        workspace: Workspace,
        settings: Settings,
        *,
        author: BatchAuthor | None = None,
        tell: Tell = lambda _: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._workspace = workspace
        self._settings = settings
        self._author = author
        self._tell = tell
        self._sleep = sleep

    async def submit(self, options: RunOptions, *, dry_run: bool = False) -> SubmitReport:
        """Reserve, upload and submit what the sections of a run ask next. A batch that an earlier process left
        unfinished is submitted first. With ``dry_run`` nothing is reserved or sent.

        Raises ``SubmittingError`` while another process submits."""
        workspace, settings = self._workspace, self._settings
        if options.context == "text" or options.cascade:
            raise InputError(
                "--context text drafts sections one after the other, and a batch asks for all at once",
                remedy="leave out --context and --cascade, or --batch",
            )
        require_language(profile_of(workspace, settings), workspace.book(), options.language)
        submitted: list[BatchRow] = []
        sections: tuple[SectionQuestions, ...] = ()
        verdicts: list[tuple[Order, Verdict]] = []
        problem = ""
        async with self._opened(options) as (batches, ledger, run, author):
            submission = Submission(batches, author, sleep=self._sleep, tell=self._tell)
            try:
                left = None if dry_run else batches.unfinished(run)
                if left is not None:
                    self._require_same_provider(left)
                    self._tell(f"going on with batch {left.id}, {left.stage} by a process that is gone")
                    submitted.append(await submission.submit(left, resumed=True))
                setup = model_setup_for(workspace, settings, ledger=ledger)
                setup = replace(setup, price=batch_price_for(settings.model, setup.profile, settings.base_url))
                sections = await open_questions(workspace, setup, ledger, run, options, dry_run=dry_run)
                for orders in () if dry_run else split(orders_of(sections)):
                    batch, decided = batches.prepare(
                        run,
                        orders,
                        model=settings.model,
                        base_url=settings.base_url or "",
                        terms=terms_of(options, setup.profile),
                        hold_unknown=settings.on_unknown == "hold",
                    )
                    verdicts += decided
                    submitted.append(await submission.submit(batch))
            except AuthorError as error:
                problem = str(error)
            return SubmitReport(
                batches=tuple(batch for batch in submitted if batch.stage is Stage.SUBMITTED),
                sections=sections,
                verdicts=tuple(verdicts),
                problem=problem,
                balance=ledger.balance("book"),
                dry_run=dry_run,
            )

    async def status(self) -> tuple[BatchStatus, ...]:
        """Where every batch stands, as the ledger has it and as its provider sees it."""
        self._require_batches()
        ledger = Ledger.read(self._workspace.ledger_place)
        if ledger is None:
            return ()
        try:
            batches = Batches(ledger)
            async with self._opened_author() as author:
                return tuple([await self._status(ledger, batches, batch, author) for batch in batches.all()])
        finally:
            ledger.close()

    async def collect(
        self, chapters: tuple[str, ...] | None = None, *, on_event: Callable[[Event], None] = ignore_event
    ) -> CollectReport:
        """Settle what came back of every batch and draft their chapters, or only ``chapters``, from the answers that
        are there."""
        found: list[CollectedBatch] = []
        async with self._opened() as (batches, ledger, run, author):
            self._tell_unfinished(batches, run)
            for batch in batches.living():
                if batch.stage is not Stage.SUBMITTED:
                    continue
                self._require_same_provider(batch)
                try:
                    found.append(await collect_batch(batches, author, batch, self._cost(batch.model)))
                except AuthorError as error:
                    found.append(CollectedBatch(batch=batch, problem=str(error)))
            wanted = options_of(batches.all(), chapters)
            balance = ledger.balance("book")
        runs = [await self._assemble(model, options, on_event) for model, options in wanted]
        return CollectReport(batches=tuple(found), runs=runs, balance=runs[-1].balance if runs else balance)

    async def _assemble(self, model: str, options: RunOptions, on_event: Callable[[Event], None]) -> RunResult:
        """Draft chapters from the answers that the ledger has: a run that is stopped before it begins."""
        settings = replace(self._settings, model=model)
        run = DraftRun(self._workspace, options, settings=settings, author=NoAuthor(), on_event=on_event)
        run.stop()
        return replace(await run.complete(), interrupted=False)

    async def cancel(self, chapters: tuple[str, ...] | None = None) -> tuple[BatchRow, ...]:
        """Have every batch end early, or those that ask for one of ``chapters``; what is answered by then can be
        collected. One that is not submitted yet is withdrawn; one that its provider does not know is lost, and its
        requests are charged as unknown. Returns them as they stand then.

        Raises ``AuthorError`` when the provider cannot be asked."""
        async with self._opened() as (batches, _, run, author):
            left = batches.unfinished(run)
            chosen = [batch for batch in batches.living() if _asks_for(batch, chapters)]
            if left is not None and left.id in {batch.id for batch in chosen}:
                self._require_same_provider(left)
                await Submission(batches, author, sleep=self._sleep, tell=self._tell).withdraw(left)
            for batch in map(batches.get, [batch.id for batch in chosen]):
                self._require_same_provider(batch)
                if batch.stage.ended:
                    continue
                try:
                    await author.cancel(batch.remote)
                except AttemptFailedError as failed:
                    if failed.failure is Failure.NOT_FOUND:
                        lost = AttemptFailedError(failed.failure, f"given up: {failed.message}")
                        batches.end(batch, Stage.LOST, rest=lost, billed=None)
                    elif failed.status != 409:  # it has ended already
                        raise AuthorError(f"batch {batch.id} was not cancelled: {failed.message}") from failed
            return tuple(batches.get(batch.id) for batch in chosen)

    async def _status(self, ledger: Ledger, batches: Batches, batch: BatchRow, author: BatchAuthor) -> BatchStatus:
        rows = () if batch.stage.ended else batches.in_flight(batch)
        remote: RemoteBatch | None = None
        problem = ""
        if batch.stage is Stage.SUBMITTED:
            if batch.base_url != (self._settings.base_url or ""):
                problem = f"with another provider: {batch.base_url or 'OpenAI'}"
            else:
                try:
                    remote = await author.retrieve(batch.remote)
                except AttemptFailedError as failed:
                    problem = failed.message
        now, expires = ledger.clock(), batch.expires_at
        return BatchStatus(
            batch=batch,
            in_flight=len(rows),
            reserved_tokens=sum(r.reserved.tokens for r in rows if r.state is not State.UNKNOWN),
            age_seconds=(now - (batch.submitted_at or batch.began_at)).total_seconds(),
            left_seconds=(expires - now).total_seconds() if expires and batch.stage is Stage.SUBMITTED else None,
            remote=remote,
            problem=problem,
        )

    @asynccontextmanager
    async def _opened(
        self, options: RunOptions | None = None
    ) -> AsyncIterator[tuple[Batches, Ledger, Run, BatchAuthor]]:
        """Ledger and provider, with a run begun under the limits of the book and of the chapters of ``options``."""
        self._require_batches()
        workspace, options = self._workspace, options or RunOptions()
        outlines = {chapter: workspace.outline(chapter) for chapter in options.chapters}
        with open_ledger(workspace, workspace.book(), outlines, budget=options.budget) as (ledger, run):
            async with self._opened_author() as author:
                yield Batches(ledger), ledger, run, author

    def _opened_author(self) -> AbstractAsyncContextManager[BatchAuthor]:
        return nullcontext(self._author) if self._author else BatchAuthor(endpoint_of(self._settings))

    def _cost(self, model: str) -> Cost:
        settings = replace(self._settings, model=model)
        price = batch_price_for(model, profile_of(self._workspace, settings), settings.base_url)
        return lambda usage: price.cost(usage) if price else None

    def _tell_unfinished(self, batches: Batches, run: Run) -> None:
        try:
            left = batches.unfinished(run)
        except SubmittingError as error:
            self._tell(str(error))
            return
        if left is not None:
            self._tell(
                f"batch {left.id} was left {left.stage}; `expand chapter --batch submit` goes on with "
                "it, `--batch cancel` gives it up"
            )

    def _require_same_provider(self, batch: BatchRow) -> None:
        """A key must not go to another provider than the one that it is for."""
        here, there = self._settings.base_url or "", batch.base_url
        if here != there:
            raise InputError(
                f"batch {batch.id} is with {there or 'OpenAI'}, not with {here or 'OpenAI'}",
                remedy=f"give --base-url {there}" if there else "leave out --base-url, OPENAI_BASE_URL and base_url",
            )

    def _require_batches(self) -> None:
        if self._settings.embedded:
            raise InputError(
                "the embedded local model takes no batches",
                remedy="set OPENAI_API_KEY, or give --base-url and --model of a provider that does",
            )
        require_author(self._settings, path=self._workspace.settings_path)


def terms_of(options: RunOptions, profile: Profile) -> dict[str, Json]:
    """What a batch is submitted for and how its requests are put, as the ledger keeps it, so that it can be gone on
    with and collected without saying it again."""
    return {
        "chapters": list(options.chapters),
        "language": options.language,
        "leave_out": [*profile.leave_out],
        "output_cap_name": profile.output_cap_name,
        "plan": options.plan.value,
        "system_role": profile.system_role,
        "sections": None if options.sections is None else [*sorted(options.sections)],
    }


def options_of(rows: Sequence[BatchRow], chapters: tuple[str, ...] | None) -> list[tuple[str, RunOptions]]:
    """Model and options of the runs that draft from the batches, each chapter as it was submitted last."""
    last: dict[str, tuple[str, RunOptions]] = {}
    for row in rows:
        if row.stage is not Stage.WITHDRAWN:
            options = RunOptions(plan=Plan(str(row.terms["plan"])), language=str(row.terms["language"]))
            last.update((chapter, (row.model, options)) for chapter in _chapters(row))
    runs: dict[tuple[str, RunOptions], list[str]] = {}
    for chapter in sorted(last):
        if chapters is None or chapter in chapters:
            runs.setdefault(last[chapter], []).append(chapter)
    return [(model, replace(options, chapters=tuple(named))) for (model, options), named in runs.items()]


def _asks_for(batch: BatchRow, chapters: tuple[str, ...] | None) -> bool:
    return chapters is None or not set(chapters).isdisjoint(_chapters(batch))


def _chapters(batch: BatchRow) -> list[str]:
    named = batch.terms["chapters"]
    assert isinstance(named, list)  # as ``terms_of`` wrote it
    return [str(chapter) for chapter in named]


Cost = Callable[[Usage], int | None]
"""What an answer's usage costs in a batch, in pico-dollars; None without a price."""


async def collect_batch(batches: Batches, author: BatchAuthor, batch: BatchRow, cost: Cost) -> CollectedBatch:
    """Take in what there is of a submitted batch. Raises ``AuthorError`` when the provider cannot be asked; what was
    settled until then stays settled."""
    try:
        remote = await author.retrieve(batch.remote)
        if not remote.ended:
            return CollectedBatch(batch=batch, remote=remote)
        results = _Results(batches, batch, cost)
        for file_id in (remote.output_file, remote.error_file):
            if file_id is not None:
                await results.read(author.results(file_id))
    except AttemptFailedError as failed:
        raise AuthorError(_problem(batch, failed)) from failed
    ended = results.end(remote)
    reasons = sorted(results.reasons.items(), key=lambda item: (-item[1], item[0]))
    return CollectedBatch(
        batch=ended,
        remote=remote,
        settled=results.settled,
        unreadable=results.unreadable,
        reasons=tuple(f"{count:,} x {reason}" for reason, count in reasons),
    )


class _Results:
    """What was read of a batch's two files."""

    def __init__(self, batches: Batches, batch: BatchRow, cost: Cost) -> None:
        self._batches = batches
        self._batch = batch
        self._cost = cost
        self._open = {row.request_key for row in batches.in_flight(batch)}
        self._answered: set[str] = set()
        self._file_missing = False
        self.settled = 0
        self.unreadable = 0
        self.reasons: Counter[str] = Counter()

    async def read(self, lines: AsyncIterator[bytes]) -> None:
        """Settle the lines of a file, ``AT_ONCE`` at a time: a large file is never in memory as a whole, and others who
        write to the ledger are not kept waiting."""
        waiting: list[BatchLine] = []
        try:
            async for raw in lines:
                line = result_line(raw)
                if line is None:
                    self.unreadable += 1
                    continue
                if line.billed is not False:
                    self._answered.add(line.custom_id)
                if line.custom_id in self._open:
                    waiting.append(line)
                    if line.failed is not None:
                        self.reasons[line.failed.message] += 1
                if len(waiting) >= AT_ONCE:
                    self.settled += self._batches.settle(self._batch, waiting, self._cost)
                    waiting = []
        except AttemptFailedError as failed:
            if failed.failure is not Failure.NOT_FOUND:
                raise
            self._file_missing = True
        self.settled += self._batches.settle(self._batch, waiting, self._cost)

    def end(self, remote: RemoteBatch) -> BatchRow:
        """End the batch, and with it whatever neither file mentions."""
        if remote.status == "failed" and not self._answered and not remote.completed:
            certain = True  # the provider rejected the input file: nothing ran
            said = f"the batch was refused: {'; '.join(remote.errors) or 'no reason given'}"
            rest = AttemptFailedError(Failure.BAD_REQUEST, said)
        else:
            counted = remote.total >= self._batch.requests and len(self._answered) == remote.completed
            certain = counted and not self._file_missing and not self.unreadable
            lost = " and its files are gone" if self._file_missing else ""
            said = f"the batch is {remote.status}{lost} without a word of it"
            rest = AttemptFailedError(Failure.CANCELLED, said)
        if left := len(self._batches.in_flight(self._batch)):
            self.reasons[said] = left
        billed = False if certain else None
        return self._batches.end(self._batch, Stage.COLLECTED, rest=rest, billed=billed, status=remote.status)


def _problem(batch: BatchRow, failed: AttemptFailedError) -> str:
    if failed.failure is Failure.NOT_FOUND:
        return (
            f"the provider knows no batch {batch.remote} ({failed.message}); use the key and the "
            "project that submitted it, or give it up with `expand chapter --batch cancel`"
        )
    return f"batch {batch.id}: {failed.message}; {RULES[failed.failure].remedy}"
