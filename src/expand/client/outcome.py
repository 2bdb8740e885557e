"""What a purchase comes to: an answer and how it came, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from expand.errors import AuthorError, BudgetExceededError
from expand.ledger import Order, Refused, StoredAnswer
from expand.llm.types import Answer, Usage


class RefusedError(BudgetExceededError):
    """A limit refused an order for good. ``shortfall`` holds the figures, None where it is not
    a figure that is missing but a price.
    """

    def __init__(self, refused: Refused) -> None:
        remedy = "; raise the limit, or ask for less" if refused.shortfall is not None else ""
        super().__init__(refused.message + remedy)
        self.shortfall = refused.shortfall


class HeldError(AuthorError):
    """An earlier outcome of the same request is unknown, and unknowns are to be held."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bought:
    """An answer and how it came. ``usage`` is what was charged for it, now or when it was bought;
    ``reused`` says that it was in the ledger already; ``attempts`` counts those made just now.
    """

    answer: Answer
    attempt_id: str
    usage: Usage
    reused: bool
    attempts: int


def bought(stored: StoredAnswer, *, reused: bool, attempts: int) -> Bought:
    """A stored answer as what was bought."""
    return Bought(
        answer=stored.answer,
        attempt_id=stored.attempt_id,
        usage=stored.usage,
        reused=reused,
        attempts=attempts,
    )


def in_batch(order: Order, batch: str) -> str:
    """Why an order that is in a batch is held, and what to do."""
    return (
        f"chapter {order.address.chapter} section {order.address.section}: it is asked in {batch}; "
        "take its answers with `expand chapter --batch collect` once it has ended"
    )


def held(order: Order, attempt_id: str) -> str:
    """Why an order is held, and what to do."""
    return (
        f"chapter {order.address.chapter} section {order.address.section}: the outcome of attempt "
        f"{attempt_id} is unknown; settle it with `expand ledger reconcile {attempt_id}`, or run "
        "with --on-unknown retry"
    )
