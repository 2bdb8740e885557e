"""Take in what a provider returns for a batch: settle answers by their usage, release the rest or leave it unknown.

A provider bills the requests that it answered, and reports how many those are. So an answer is settled by its usage,
and a line that reports a failure is released. A request that is in neither file is released only where every answer
that the provider counts was read, so that it cannot be one of them; in any other case it stays charged. Reading is
idempotent: what was settled before is left as it is, and a file that breaks off concludes nothing.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from expand.client.retry_policy import RULES
from expand.errors import AuthorError
from expand.ledger.batches import AT_ONCE, Batches, BatchRow, Settlement, Stage
from expand.llm.batch_api import BatchAuthor, BatchLine, RemoteBatch, result_line
from expand.llm.types import AttemptFailedError, Failure, Usage

Cost = Callable[[Usage], int | None]
"""What an answer's usage costs in a batch, in pico-dollars; None without a price."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectedBatch:
    """One batch after a collection. ``remote`` is None when the provider could not be asked; ``problem`` then says
    why. ``settled`` counts what this collection settled, ``unreadable`` the lines that could not be read."""

    batch: BatchRow
    remote: RemoteBatch | None = None
    problem: str = ""
    settled: int = 0
    unreadable: int = 0
    reasons: tuple[str, ...] = ()
    """Why requests brought no answer: each reason once, with how often."""


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
        """Settle the lines of a file, ``AT_ONCE`` at a time, so that a large file is never in memory as a whole."""
        waiting: list[Settlement] = []
        try:
            async for raw in lines:
                line = result_line(raw)
                if line is None:
                    self.unreadable += 1
                    continue
                if line.billed is not False:
                    self._answered.add(line.custom_id)
                if line.custom_id in self._open:
                    waiting.append(self._settlement(line))
                if len(waiting) >= AT_ONCE:
                    self.settled += self._batches.settle(self._batch, waiting)
                    waiting = []
        except AttemptFailedError as failed:
            if failed.failure is not Failure.NOT_FOUND:
                raise
            self._file_missing = True
        self.settled += self._batches.settle(self._batch, waiting)

    def _settlement(self, line: BatchLine) -> Settlement:
        if line.failed is not None:
            self.reasons[line.failed.message] += 1
        usage = line.answer.usage if line.answer else None
        return Settlement(
            request_key=line.custom_id,
            answer=line.answer,
            cost_pico_usd=None if usage is None else self._cost(usage),
            failed=line.failed,
            billed=line.billed,
        )

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
