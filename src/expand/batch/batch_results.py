"""What became of batches as JSON: what ``expand chapter --batch … --json`` prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from expand.batch.batch_status import BatchStatus
from expand.batch.collection import Collected
from expand.batch.planning import BatchPlan
from expand.budget import Balance
from expand.drafting.results import RunResult, balance_json
from expand.ledger import Held, InFlight, Order, Refused
from expand.ledger.batches import BatchRow
from expand.ledger.values import Verdict
from expand.schema import Json

# What a submission and a collection came to, as values.


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


def submitted_json(result: Submitted, *, dry_run: bool) -> dict[str, Json]:
    """A submission, section by section."""
    return {
        "dry_run": dry_run,
        "batches": [batch_json(batch) for batch in result.batches],
        "questions": len(result.plan.orders),
        "reserved_tokens": sum(order.amount.tokens for order in result.plan.orders),
        "waiting": result.waiting,
        "held": result.held,
        "refused": [*result.refused],
        "problem": result.problem,
        "sections": [
            {
                "chapter": section.chapter,
                "number": section.number,
                "title": section.title,
                "state": section.state,
                "questions": len(section.orders),
            }
            for section in result.plan.sections
        ],
        "budget": balance_json(result.balance),
    }


def whereabouts_json(one: BatchStatus) -> dict[str, Json]:
    """One batch, and what its provider says of it."""
    remote = one.remote
    seen: dict[str, Json] | None = None
    if remote is not None:
        seen = {
            "status": remote.status,
            "total": remote.total,
            "completed": remote.completed,
            "failed": remote.failed,
            "errors": [*remote.errors],
        }
    left = one.left_seconds
    return {
        **batch_json(one.batch),
        "in_flight": one.in_flight,
        "reserved_tokens": one.reserved_tokens,
        "age_seconds": round(one.age_seconds, 1),
        "left_seconds": None if left is None else round(left, 1),
        "provider": seen,
        "problem": one.problem,
    }


def gathered_json(result: Gathered) -> dict[str, Json]:
    """A collection: its batches, and the run that drafted from them."""
    drafted: dict[str, Json] = result.drafted.as_json() if result.drafted else {"chapters": []}
    return {
        **drafted,
        "batches": [
            {
                **batch_json(one.batch),
                "settled": one.settled,
                "unreadable_lines": one.strange,
                "reasons": [*one.reasons],
                "problem": one.problem,
            }
            for one in result.batches
        ],
        "missing": [{"chapter": c, "section": n} for c, n in result.missing],
        "budget": balance_json(result.balance),
    }


def batch_json(batch: BatchRow) -> dict[str, Json]:
    """One batch as every action shows it."""
    return {
        "id": batch.id,
        "provider_id": batch.remote or None,
        "stage": batch.stage.value,
        "provider_status": batch.remote_status or None,
        "model": batch.model,
        "chapters": batch.terms["chapters"],
        "language": batch.terms["language"],
        "plan": batch.terms["plan"],
        "requests": batch.requests,
        "answered": batch.answered,
        "unbilled": batch.unbilled,
        "unknown": batch.unknown,
        "began_at": _time(batch.began_at),
        "submitted_at": _time(batch.submitted_at),
        "expires_at": _time(batch.expires_at),
        "ended_at": _time(batch.ended_at),
        "note": batch.note,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
