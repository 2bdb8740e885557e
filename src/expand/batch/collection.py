"""What came back of a batch: answers settled at what they cost, the rest released or left unknown.

A provider bills the requests that it has answered, and says how many those are. So an answer is
settled by its usage; a line of failure is released; and a request that is in neither file is
released only where all the answers that the provider counts are there, so that it cannot be one of
them. In any other case it stays charged. Reading is idempotent: what was settled before is left as
it is, and a file that breaks off concludes nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from expand.client.retry_policy import RULES
from expand.errors import AuthorError
from expand.ledger.batches import AT_ONCE, Batches, BatchRow, Settlement, Stage
from expand.llm.batch_api import BatchAuthor, RemoteBatch, result_line
from expand.llm.types import AttemptFailedError, Failure, Usage

Cost = Callable[[Usage], int | None]
"""What an answer's usage costs in a batch, in pico-dollars; None without a price."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """One batch after it was looked at. ``remote`` is None when the provider could not be asked,
    ``problem`` then says why. ``settled`` counts what this collection settled; ``strange`` counts
    lines that cannot be read.
    """

    batch: BatchRow
    remote: RemoteBatch | None = None
    problem: str = ""
    settled: int = 0
    strange: int = 0
    reasons: tuple[str, ...] = ()
    """Why requests brought no answer: each reason once, with how often."""


@dataclass(kw_only=True, slots=True)
class _Reading:
    """What was read of the files."""

    answers: set[str] = field(default_factory=set)
    settled: int = 0
    strange: int = 0
    gone: bool = False
    reasons: dict[str, int] = field(default_factory=dict)


class Collection:
    """Collects batches of one provider."""

    def __init__(self, *, batches: Batches, author: BatchAuthor, cost: Cost) -> None:
        self._batches = batches
        self._author = author
        self._cost = cost

    async def collect(self, batch: BatchRow) -> Collected:
        """Take in what there is of a submitted batch. Raises ``AuthorError`` when the provider
        cannot be asked; what was settled until then stays settled.
        """
        try:
            remote = await self._author.retrieve(batch.remote)
            if not remote.ended:
                return Collected(batch=batch, remote=remote)
            reading = await self._read(batch, remote)
        except AttemptFailedError as failed:
            raise AuthorError(_problem(batch, failed)) from failed
        batch = self._end(batch, remote, reading)
        reasons = sorted(reading.reasons.items(), key=lambda item: (-item[1], item[0]))
        return Collected(
            batch=batch,
            remote=remote,
            settled=reading.settled,
            strange=reading.strange,
            reasons=tuple(f"{count:,} x {said}" for said, count in reasons),
        )

    async def _read(self, batch: BatchRow, remote: RemoteBatch) -> _Reading:
        reading = _Reading()
        ours = {row.request_key for row in self._batches.in_flight(batch)}
        for file_id in (remote.output_file, remote.error_file):
            if file_id is None:
                continue
            try:
                await self._read_file(batch, self._author.results(file_id), ours, reading)
            except AttemptFailedError as failed:
                if failed.failure is not Failure.NOT_FOUND:
                    raise
                reading.gone = True
        return reading

    async def _read_file(self, batch: BatchRow, lines: AsyncIterator[bytes], ours: set[str], reading: _Reading) -> None:
        waiting: list[Settlement] = []
        async for raw in lines:
            line = result_line(raw)
            if line is None:
                reading.strange += 1
                continue
            if line.billed is not False:
                reading.answers.add(line.custom_id)
            if line.custom_id not in ours:
                continue
            if line.failed is not None:
                said = line.failed.message
                reading.reasons[said] = reading.reasons.get(said, 0) + 1
            usage = line.answer.usage if line.answer else None
            waiting.append(
                Settlement(
                    request_key=line.custom_id,
                    answer=line.answer,
                    cost_pico_usd=None if usage is None else self._cost(usage),
                    failed=line.failed,
                    billed=line.billed,
                )
            )
            if len(waiting) >= AT_ONCE:
                reading.settled += self._batches.settle(batch, waiting)
                waiting = []
        reading.settled += self._batches.settle(batch, waiting)

    def _end(self, batch: BatchRow, remote: RemoteBatch, reading: _Reading) -> BatchRow:
        """End the batch, and with it whatever neither file speaks of."""
        if remote.status == "failed" and not reading.answers and not remote.completed:
            said = "; ".join(remote.errors) or "no reason given"
            failed = AttemptFailedError(Failure.BAD_REQUEST, f"the batch was refused: {said}")
            reading.reasons[failed.message] = len(self._batches.in_flight(batch))
            return self._batches.end(batch, Stage.COLLECTED, rest=failed, billed=False, status=remote.status)
        counted = remote.total >= batch.requests and len(reading.answers) == remote.completed
        certain = counted and not reading.gone and not reading.strange
        lost = " and its files are gone" if reading.gone else ""
        rest = AttemptFailedError(Failure.CANCELLED, f"the batch is {remote.status}{lost} without a word of it")
        if left := len(self._batches.in_flight(batch)):
            reading.reasons[rest.message] = left
        return self._batches.end(
            batch,
            Stage.COLLECTED,
            rest=rest,
            billed=False if certain else None,
            status=remote.status,
        )


def _problem(batch: BatchRow, failed: AttemptFailedError) -> str:
    if failed.failure is Failure.NOT_FOUND:
        return (
            f"the provider knows no batch {batch.remote} ({failed.message}); use the key and the "
            "project that submitted it, or give it up with `expand chapter --batch cancel`"
        )
    return f"batch {batch.id}: {failed.message}; {RULES[failed.failure].remedy}"
