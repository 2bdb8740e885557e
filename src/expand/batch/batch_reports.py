"""What the operations on batches came to: values for the command line, with the JSON that scripts read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from expand.batch.lookahead import SectionQuestions, orders_of
from expand.budget import Balance
from expand.drafting.results import RunResult, balance_json
from expand.ledger import Held, InFlight, Order, Refused
from expand.ledger.batches import BatchRow
from expand.ledger.values import Verdict
from expand.llm.batch_api import RemoteBatch
from expand.schema import Json


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmitReport:
    """What a submission came to. ``batches`` are those that the provider took now, first one that an earlier process
    left unfinished. ``verdicts`` are the ledger's on the orders of this submission. ``problem`` is why the provider
    did not take one, "" if it took all."""

    batches: tuple[BatchRow, ...]
    sections: tuple[SectionQuestions, ...]
    verdicts: tuple[tuple[Order, Verdict], ...]
    problem: str
    balance: Balance
    dry_run: bool

    @property
    def orders(self) -> tuple[Order, ...]:
        """The orders of all sections."""
        return orders_of(self.sections)

    @property
    def waiting(self) -> int:
        """How many questions are in flight already."""
        return sum(isinstance(verdict, InFlight) for _, verdict in self.verdicts)

    @property
    def held(self) -> int:
        """How many questions have an earlier outcome that is unknown and to be left alone."""
        return sum(isinstance(verdict, Held) for _, verdict in self.verdicts)

    @property
    def refused(self) -> tuple[str, ...]:
        """The budget's reasons, each once."""
        found = (
            f"{order.address.chapter}/{order.address.section}: {verdict.message}"
            for order, verdict in self.verdicts
            if isinstance(verdict, Refused)
        )
        return tuple(dict.fromkeys(found))

    @property
    def reserved_tokens(self) -> int:
        """What all questions reserve, or would."""
        return sum(order.amount.tokens for order in self.orders)

    @property
    def exit_code(self) -> int:
        """The code of the contract."""
        return 4 if self.problem else 3 if self.refused else 0

    def as_json(self) -> dict[str, Json]:
        """The submission, section by section."""
        return {
            "dry_run": self.dry_run,
            "batches": [batch_json(batch) for batch in self.batches],
            "questions": len(self.orders),
            "reserved_tokens": self.reserved_tokens,
            "waiting": self.waiting,
            "held": self.held,
            "refused": [*self.refused],
            "problem": self.problem,
            "sections": [
                {
                    "chapter": section.chapter,
                    "number": section.number,
                    "title": section.title,
                    "state": section.state,
                    "questions": len(section.orders),
                }
                for section in self.sections
            ],
            "budget": balance_json(self.balance),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchStatus:
    """One batch. ``in_flight`` and ``reserved_tokens`` are what it still holds; ``age_seconds`` is since it was
    submitted, or else begun, ``left_seconds`` until it expires, None when that is not known or it has ended. ``remote``
    is None where the provider has none of it or was not asked; then ``problem`` says why, "" if there was no reason to.
    """

    batch: BatchRow
    in_flight: int
    reserved_tokens: int
    age_seconds: float
    left_seconds: float | None
    remote: RemoteBatch | None
    problem: str

    def as_json(self) -> dict[str, Json]:
        """The batch, and what its provider says of it."""
        remote, left = self.remote, self.left_seconds
        provider: dict[str, Json] | None = None
        if remote is not None:
            counts: dict[str, Json] = {"total": remote.total, "completed": remote.completed, "failed": remote.failed}
            provider = {"status": remote.status, **counts, "errors": [*remote.errors]}
        return {
            **batch_json(self.batch),
            "in_flight": self.in_flight,
            "reserved_tokens": self.reserved_tokens,
            "age_seconds": round(self.age_seconds, 1),
            "left_seconds": None if left is None else round(left, 1),
            "provider": provider,
            "problem": self.problem,
        }


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


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectReport:
    """What a collection came to. ``runs`` drafted the chapters from the answers that are there."""

    batches: tuple[CollectedBatch, ...]
    runs: Sequence[RunResult]
    balance: Balance

    @property
    def problems(self) -> tuple[str, ...]:
        """Why a provider could not be asked."""
        return tuple(collected.problem for collected in self.batches if collected.problem)

    @property
    def drafted(self) -> RunResult | None:
        """All runs as one; None where no chapter was to be drafted."""
        if not self.runs:
            return None
        return replace(
            self.runs[-1],
            chapters=tuple(chapter for run in self.runs for chapter in run.chapters),
            balance=self.balance,
            attempts=sum(run.attempts for run in self.runs),
            answers=sum(run.answers for run in self.runs),
            tokens=sum(run.tokens for run in self.runs),
            seconds=sum(run.seconds for run in self.runs),
        )

    @property
    def missing(self) -> tuple[tuple[str, int], ...]:
        """Chapter and number of the sections that still lack answers."""
        chapters = (chapter for run in self.runs for chapter in run.chapters)
        return tuple((c.id, s.number) for c in chapters for s in c.sections if s.status == "failed")

    @property
    def exit_code(self) -> int:
        """The code of the contract: 4 over 3 over 5 over 0."""
        if self.problems:
            return 4
        return self.drafted.exit_code if self.drafted else 0

    def as_json(self) -> dict[str, Json]:
        """The batches, and the run that drafted from them."""
        drafted: dict[str, Json] = self.drafted.as_json() if self.drafted else {"chapters": []}
        return {
            **drafted,
            "batches": [
                {
                    **batch_json(collected.batch),
                    "settled": collected.settled,
                    "unreadable_lines": collected.unreadable,
                    "reasons": [*collected.reasons],
                    "problem": collected.problem,
                }
                for collected in self.batches
            ],
            "missing": [{"chapter": chapter, "section": number} for chapter, number in self.missing],
            "budget": balance_json(self.balance),
        }


def batch_json(batch: BatchRow) -> dict[str, Json]:
    """One batch as every operation shows it."""
    times = {name: getattr(batch, name) for name in ("began_at", "submitted_at", "expires_at", "ended_at")}
    return {
        "id": batch.id,
        "provider_id": batch.remote or None,
        "stage": batch.stage.value,
        "provider_status": batch.remote_status or None,
        "model": batch.model,
        **{name: batch.terms[name] for name in ("chapters", "language", "plan")},
        **{name: getattr(batch, name) for name in ("requests", "answered", "unbilled", "unknown")},
        **{name: time and time.isoformat(timespec="seconds") for name, time in times.items()},
        "note": batch.note,
    }
