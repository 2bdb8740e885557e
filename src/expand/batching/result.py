"""What a submission and a collection came to, as values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from expand.batching.collection import Collected
from expand.batching.planning import BatchPlan
from expand.budget import Balance
from expand.drafting.result import RunResult
from expand.ledger import Held, InFlight, Order, Refused
from expand.ledger.batch_rows import BatchRow
from expand.ledger.values import Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Submitted:
    """What a submission came to. ``batches`` are those that the provider took now, one that was
    left on its way by an earlier process first. ``waiting`` counts questions that are in flight
    already, ``held`` those whose earlier outcome is unknown and to be left alone. ``refused`` are
    the budget's reasons. ``problem`` is why the provider did not take one, "" if it took all.
    """

    batches: tuple[BatchRow, ...]
    plan: BatchPlan
    waiting: int
    held: int
    refused: tuple[str, ...]
    problem: str
    balance: Balance

    @property
    def exit_code(self) -> int:
        """The code of the contract."""
        return 4 if self.problem else 3 if self.refused else 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """What a collection came to. ``drafted`` is None where no chapter was to be drafted.
    ``problems`` are why a provider could not be asked.
    """

    batches: tuple[Collected, ...]
    problems: tuple[str, ...]
    drafted: RunResult | None
    balance: Balance

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


class Tray:
    """What the ledger said to the orders of a submission."""

    def __init__(self) -> None:
        self.waiting = 0
        self.held = 0
        self.refused: list[str] = []

    def take(self, verdicts: Iterable[tuple[Order, Verdict]]) -> None:
        """Note what stood in the way of each order."""
        for order, verdict in verdicts:
            match verdict:
                case InFlight():
                    self.waiting += 1
                case Held():
                    self.held += 1
                case Refused():
                    at = f"{order.address.chapter}/{order.address.section}"
                    self.refused.append(f"{at}: {verdict.message}")


def joined(results: Sequence[RunResult], balance: Balance) -> RunResult | None:
    """Several runs as one; None of none. ``balance`` is the book's after them all."""
    if not results:
        return None
    return replace(
        results[-1],
        chapters=tuple(chapter for result in results for chapter in result.chapters),
        balance=balance,
        attempts=sum(result.attempts for result in results),
        answers=sum(result.answers for result in results),
        seconds=sum(result.seconds for result in results),
    )
