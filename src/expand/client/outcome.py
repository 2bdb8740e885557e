"""What a purchase ends with: an answer and how it came, or the error that says why there is none; and its events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from expand.errors import AuthorError, BudgetExceededError, ExpandError
from expand.ledger import Order, Refused, StoredAnswer
from expand.llm.types import Answer, Usage


@dataclass(frozen=True, kw_only=True, slots=True)
class Bought:
    """An answer and how it came. ``usage`` is what was charged for it, now or when it was bought; ``reused`` says that
    it was in the ledger already; ``attempts`` counts those made just now."""

    answer: Answer
    attempt_id: str
    usage: Usage
    reused: bool
    attempts: int

    @classmethod
    def of(cls, stored: StoredAnswer, *, reused: bool, attempts: int) -> Bought:
        """What was bought, from what was stored."""
        return cls(
            answer=stored.answer, attempt_id=stored.attempt_id, usage=stored.usage, reused=reused, attempts=attempts
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something to show the user while a purchase goes on.

    ``text``: what has arrived of an answer so far, a few times a second."""

    kind: Literal["waiting", "sent", "text", "settled", "failed"]
    order: Order
    attempt_id: str = ""
    seconds: float = 0.0
    """How long the wait will be."""
    message: str = ""
    text: str = ""
    final: bool = False
    """Of a failure: it ends the run, and is said once when the run ends."""
    usage: Usage | None = None
    """Of a settlement: what was charged."""


class StoppedError(ExpandError):
    """The run was stopped before this order was bought."""

    exit_code = 130


class RefusedError(BudgetExceededError):
    """A limit refused an order for good. ``shortfall`` holds the figures, None where it is not a figure that is missing
    but a price."""

    def __init__(self, refused: Refused) -> None:
        remedy = "; raise the limit, or ask for less" if refused.shortfall is not None else ""
        super().__init__(refused.message + remedy)
        self.shortfall = refused.shortfall


class HeldError(AuthorError):
    """An earlier outcome of the same request is unknown, and unknowns are to be held; or the request is in a batch."""

    @classmethod
    def by_batch(cls, order: Order, batch: str) -> HeldError:
        """The request is in a batch, which takes hours."""
        return cls(
            f"{_name(order)}: it is asked in {batch}; "
            "take its answers with `expand chapter --batch collect` once it has ended"
        )

    @classmethod
    def by_unknown(cls, order: Order, attempt_id: str) -> HeldError:
        """The outcome of an earlier attempt is unknown."""
        return cls(
            f"{_name(order)}: the outcome of attempt {attempt_id} is unknown; settle it with "
            f"`expand ledger reconcile {attempt_id}`, or run with --on-unknown retry"
        )


def _name(order: Order) -> str:
    return f"chapter {order.address.chapter} section {order.address.section}"
