"""Submit a batch to its provider exactly once, whatever happens in between; take in what comes back.

Each step is in the ledger before the next one begins. Only one step can cost anything, the creation, and only its
outcome can be in doubt. Then the provider is asked for its batches: the one that carries our id in its metadata, or our
input file, is it. If there is none, the input file is deleted, so that no creation that is still under way can find it,
and the provider is asked again: if it still has none, none will come, and the batch is withdrawn, so that its requests
can be asked in another one. Where a provider can do neither, the batch is given up as lost, and its requests stay
charged as unknown.

A provider bills the requests that it answered, and reports how many those are. So an answer is settled by its usage,
and a line that reports a failure is released. A request that is in neither file is released only where every answer
that the provider counts was read, so that it cannot be one of them; in any other case it stays charged. Reading is
idempotent: what was settled before is left as it is, and a file that breaks off concludes nothing.
"""

import asyncio
import contextlib
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from expand.client.retry_policy import RULES
from expand.drafting.results import fields_of
from expand.errors import AuthorError
from expand.ledger import Order
from expand.ledger.attempts import timestamp
from expand.ledger.batches import AT_ONCE, Batches, BatchRow, Stage
from expand.llm.batch_api import BatchAuthor, BatchLine, RemoteBatch, input_line, result_line
from expand.llm.types import AttemptFailedError, Failure, RequestForm, Usage
from expand.schema import Json

SETTLING_SECONDS = 2.0
"""How long a creation that is under way is given before it is taken for gone."""

ID_KEY = "expand_batch"
"""What the provider's metadata call the batch."""

_UNABLE = (Failure.NOT_FOUND, Failure.BAD_REQUEST)


@dataclass(eq=False)
class Submission:
    """Submits batches. ``form`` says how their requests are put; ``tell`` gets each step in words."""

    batches: Batches
    author: BatchAuthor
    form: RequestForm
    tell: Callable[[str], None]

    async def submit(self, batch: BatchRow, orders: Sequence[Order]) -> BatchRow:
        """Have the provider make a batch of its orders; one without any is withdrawn.

        Raises ``AuthorError`` when the provider cannot be reached or refuses: then the batch is withdrawn and costs
        nothing, or the error says that its outcome is unknown."""
        if not orders:
            return self._withdrawn(batch, AttemptFailedError(Failure.CANCELLED, "there was nothing to ask"))
        try:
            self.tell(f"uploading {batch.requests:,} requests")
            batch = self.batches.move(batch, Stage.CREATING, input_file=await self._upload(batch, orders))
            self.tell("having the batch made")
            return self._taken(batch, await self.author.create(batch.input_file, metadata={ID_KEY: batch.id}))
        except AttemptFailedError as failed:
            if batch.stage is Stage.CREATING and RULES[failed.failure].billed != "no":
                self.tell(f"{failed.message}: looking whether the batch was made")
                if (found := await self.resolve(batch)).stage is Stage.SUBMITTED:
                    return found
            else:
                self._withdrawn(batch, failed)
                if batch.input_file:  # which nobody needs any more
                    with contextlib.suppress(AttemptFailedError):
                        await self.author.forget(batch.input_file)
            raise AuthorError(f"{with_remedy(failed)}; nothing was submitted") from failed

    async def resolve(self, batch: BatchRow) -> BatchRow:
        """What became of a batch that is on its way: submitted where its provider has it, and else withdrawn.

        Raises ``AuthorError`` when that cannot be found out now, or ever: then it is lost."""
        found = await self._find(batch) if batch.stage is Stage.CREATING else None
        if found is not None:
            return self._taken(batch, found)
        self.tell("it was not made, and costs nothing")
        return self._withdrawn(batch, AttemptFailedError(Failure.CANCELLED, "it was not made"))

    async def _upload(self, batch: BatchRow, orders: Sequence[Order]) -> str:
        """Upload the input file; its id."""
        with tempfile.TemporaryFile() as file:
            for request in (order.request for order in orders):
                messages: list[Json] = [{**one} for one in self.form.messages(request)]
                body = {**self.form.body(request), "model": request.model, "messages": messages}
                file.write(input_line(request.key, body))
            file.seek(0)
            return await self.author.upload(file, name=f"expand-{batch.id}.jsonl")

    async def _find(self, batch: BatchRow) -> RemoteBatch | None:
        """The batch as its provider has it; None where it certainly has none, and will not make it any more."""
        try:
            found = await self._listed(batch)
            if found is None:
                await self.author.forget(batch.input_file)
                await asyncio.sleep(SETTLING_SECONDS)
                found = await self._listed(batch)
        except AttemptFailedError as failed:
            if failed.failure not in _UNABLE:
                raise AuthorError(
                    f"whether the provider has batch {batch.id} cannot be seen now: {with_remedy(failed)}; its "
                    f"{batch.requests:,} requests stay reserved; look again with `expand chapter --batch submit`"
                ) from failed
            lost = AttemptFailedError(Failure.DISCONNECTED, f"nobody knows whether it was made: {failed.message}")
            self.batches.end(batch, Stage.LOST, rest=lost, unbilled=False)
            raise AuthorError(
                f"nobody can say whether batch {batch.id} was made: {failed.message}; its "
                f"{batch.requests:,} requests stay charged at their reservation; look for it at "
                "the provider, then settle them with `expand ledger reconcile`"
            ) from failed
        return found

    async def _listed(self, batch: BatchRow) -> RemoteBatch | None:
        """The batch in the provider's list; None when it is not there."""
        async for remote in self.author.batches():
            if remote.input_file == batch.input_file or remote.metadata.get(ID_KEY) == batch.id:
                return remote
        return None

    def _taken(self, batch: BatchRow, remote: RemoteBatch) -> BatchRow:
        self.tell(f"the provider has it: {remote.id}")
        ends = None if remote.expires_at is None else timestamp(datetime.fromtimestamp(remote.expires_at, UTC))
        return self.batches.move(batch, Stage.SUBMITTED, remote=remote.id, remote_status=remote.status, expires_at=ends)

    def _withdrawn(self, batch: BatchRow, rest: AttemptFailedError) -> BatchRow:
        return self.batches.end(batch, Stage.WITHDRAWN, rest=rest, unbilled=True)


def with_remedy(failed: AttemptFailedError) -> str:
    """What went wrong, and what helps."""
    return f"{failed.message}; {failed.remedy or RULES[failed.failure].remedy}"


# --- what comes back ----------------------------------------------------------------------------------

Cost = Callable[[Usage], int | None]
"""What an answer's usage costs in a batch, in pico-dollars; None without a price."""


@dataclass(eq=False)
class BatchState:
    """One batch, as the ledger has it and as its provider sees it.

    ``remote`` is None where the provider has none of it or was not asked; then ``problem`` says why, "" if there was no
    reason to. ``in_flight`` and ``reserved_tokens`` are what it still holds; ``age_seconds`` is since it was submitted,
    or else begun, ``left_seconds`` until it expires, None when that is not known or it has ended. ``settled`` counts
    the requests that a collection settled, ``unreadable`` the lines that it could not read."""

    batches: Batches
    batch: BatchRow
    remote: RemoteBatch | None = None
    problem: str = ""
    in_flight: int = 0
    reserved_tokens: int = 0
    age_seconds: float = 0.0
    left_seconds: float | None = None
    settled: int = 0
    unreadable: int = 0
    _reasons: Counter[str] = field(default_factory=Counter)
    _answered: set[str] = field(default_factory=set)

    @property
    def reasons(self) -> list[str]:
        """Why requests brought no answer: each reason once, with how often."""
        return [f"{count:,} x {reason}" for reason, count in self._reasons.most_common()]

    def as_json(self) -> dict[str, Json]:
        """The batch, what its provider says of it, and what was taken in."""
        remote, left = self.remote, self.left_seconds
        provider: dict[str, Json] | None = None
        if remote is not None:
            provider = {**fields_of(remote, "status total completed failed"), "errors": [*remote.errors]}
        return {
            **batch_json(self.batch),
            **fields_of(self, "in_flight reserved_tokens settled problem"),
            "age_seconds": round(self.age_seconds, 1),
            "left_seconds": None if left is None else round(left, 1),
            "provider": provider,
            "unreadable_lines": self.unreadable,
            "reasons": [*self.reasons],
        }

    async def look(self, author: BatchAuthor, cost: Cost | None = None) -> None:
        """Ask the provider. With the ``cost`` of usage, take in what it has of a batch that has ended; what was settled
        before something failed stays settled."""
        try:
            remote = await author.retrieve(self.batch.remote)
            if cost is not None and remote.ended:
                files = [file_id for file_id in (remote.output_file, remote.error_file) if file_id is not None]
                found = [await self._read(author.results(file_id), cost) for file_id in files]
                self._end(remote, file_missing=not all(found))
            self.remote = remote
        except AttemptFailedError as failed:
            self.problem = with_remedy(failed)
            if failed.failure is Failure.NOT_FOUND:
                self.problem = (
                    f"the provider knows no batch {self.batch.remote} ({failed.message}); use the key and the "
                    "project that submitted it, or give it up with `expand chapter --batch cancel`"
                )

    def measure(self) -> None:
        """Look into the ledger for what the batch holds now."""
        batch, now = self.batch, self.batches.ledger.database.now()
        held = self.batches.in_flight(batch)
        self.in_flight, self.reserved_tokens = len(held), sum(row.reserved.tokens for row in held)
        self.age_seconds = (now - (batch.submitted_at or batch.began_at)).total_seconds()
        if batch.expires_at and batch.stage is Stage.SUBMITTED:
            self.left_seconds = (batch.expires_at - now).total_seconds()

    async def _read(self, lines: AsyncIterator[bytes], cost: Cost) -> bool:
        """Settle the lines of a file; False where the provider has it no more. ``AT_ONCE`` at a time: a large file is
        never in memory as a whole, and others who write to the ledger are not kept waiting."""
        waiting: list[BatchLine] = []
        found = True
        try:
            async for raw in lines:
                line = result_line(raw)
                if line is None:
                    self.unreadable += 1
                    continue
                if line.billed is not False:
                    self._answered.add(line.custom_id)
                if isinstance(line.outcome, AttemptFailedError):
                    self._reasons[line.outcome.message] += 1
                waiting.append(line)
                if len(waiting) >= AT_ONCE:
                    self.settled += self.batches.settle(self.batch, waiting, cost)
                    waiting = []
        except AttemptFailedError as failed:
            if failed.failure is not Failure.NOT_FOUND:
                raise
            found = False
        self.settled += self.batches.settle(self.batch, waiting, cost)
        return found

    def _end(self, remote: RemoteBatch, *, file_missing: bool) -> None:
        """End the batch, and with it whatever neither file mentions."""
        if remote.status == "failed" and not self._answered and not remote.completed:
            certain = True  # the provider rejected the input file: nothing ran
            said = f"the batch was refused: {'; '.join(remote.errors) or 'no reason given'}"
            rest = AttemptFailedError(Failure.BAD_REQUEST, said)
        else:
            counted = remote.total >= self.batch.requests and len(self._answered) == remote.completed
            certain = counted and not file_missing and not self.unreadable
            lost = " and its files are gone" if file_missing else ""
            said = f"the batch is {remote.status}{lost} without a word of it"
            rest = AttemptFailedError(Failure.CANCELLED, said)
        if left := len(self.batches.in_flight(self.batch)):
            self._reasons[said] = left
        self.batch = self.batches.end(self.batch, Stage.COLLECTED, rest=rest, unbilled=certain, status=remote.status)


def batch_json(batch: BatchRow) -> dict[str, Json]:
    """One batch as every operation shows it."""
    times = {name: getattr(batch, name) for name in ("began_at", "submitted_at", "expires_at", "ended_at")}
    return {
        "id": batch.id,
        "provider_id": batch.remote or None,
        "stage": batch.stage.value,
        "provider_status": batch.remote_status or None,
        **{name: batch.terms[name] for name in ("chapters", "language", "plan")},
        **fields_of(batch, "model requests answered unbilled unknown note"),
        **{name: time and time.isoformat(timespec="seconds") for name, time in times.items()},
    }
