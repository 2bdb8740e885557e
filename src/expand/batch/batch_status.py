"""What is where: every batch as the ledger has it and as its provider sees it. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from expand.ledger import Ledger, State
from expand.ledger.batches import Batches, BatchRow, Stage
from expand.llm.batch_api import BatchAuthor, RemoteBatch
from expand.llm.types import AttemptFailedError


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchStatus:
    """One batch. ``remote`` is None where the provider has none of it or was not asked; then
    ``problem`` says why, "" if there was no reason to ask. ``reserved_tokens`` and ``in_flight``
    are what it still holds.
    """

    batch: BatchRow
    in_flight: int
    reserved_tokens: int
    remote: RemoteBatch | None
    problem: str
    now: datetime

    @property
    def age_seconds(self) -> float:
        """Since it was submitted, or else begun."""
        return (self.now - (self.batch.submitted_at or self.batch.began_at)).total_seconds()

    @property
    def left_seconds(self) -> float | None:
        """Until it expires; None when that is not known, or it has ended."""
        expires = self.batch.expires_at
        if expires is None or self.batch.stage is not Stage.SUBMITTED:
            return None
        return (expires - self.now).total_seconds()


async def batch_status(ledger: Ledger, author: BatchAuthor, base_url: str) -> tuple[BatchStatus, ...]:
    """Every batch of the ledger, the oldest first; those that are with the provider at
    ``base_url`` in its words as well.
    """
    batches = Batches(ledger)
    return tuple([await _stands(ledger, batches, b, author, base_url) for b in batches.all()])


async def _stands(ledger: Ledger, batches: Batches, batch: BatchRow, author: BatchAuthor, base_url: str) -> BatchStatus:
    rows = () if batch.stage.ended else batches.in_flight(batch)
    remote: RemoteBatch | None = None
    problem = ""
    if batch.stage is Stage.SUBMITTED:
        if batch.base_url != base_url:
            problem = f"with another provider: {batch.base_url or 'OpenAI'}"
        else:
            try:
                remote = await author.retrieve(batch.remote)
            except AttemptFailedError as failed:
                problem = failed.message
    return BatchStatus(
        batch=batch,
        in_flight=len(rows),
        reserved_tokens=sum(r.reserved.tokens for r in rows if r.state is not State.UNKNOWN),
        remote=remote,
        problem=problem,
        now=ledger.clock(),
    )
