"""Batches: many attempts that are sent together, and wait together for up to a day.

A batch is written down before and after each step that can cost something:

    prepared ──► creating ──► submitted ──► collected
        │            │
        └────────────┴──► withdrawn (released), or lost (unknown, charged)

Its attempts belong to the batch and to no process, so that they outlive the one that submitted
them: an owner that is a batch is never dead. What became of one whose submitter is gone is found out by the next.
"""

from __future__ import annotations

import enum
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from expand.errors import LedgerError
from expand.ledger import attempts
from expand.ledger.attempts import insert, optional, parse, timestamp
from expand.ledger.database import Connection
from expand.ledger.store import Ledger, objection
from expand.ledger.values import AttemptRow, Order, Run, State, Verdict
from expand.llm.types import AttemptFailedError, Usage
from expand.schema import Json

if TYPE_CHECKING:
    from expand.llm.batch_api import BatchLine  # it loads the client of a provider, and reports only read


AT_ONCE = 200
"""How many attempts are reserved, or settled, in one transaction: a distant server takes seconds for so many, and
others wait for its end."""


_OUTCOMES = {State.SETTLED: "answered", State.RELEASED: "unbilled"}
_OUTCOMES |= dict.fromkeys((State.UNKNOWN, State.RECONCILED), "unknown")
"""What the outcome of an attempt counts as."""


class Stage(enum.StrEnum):
    """How far a batch has come; see the module."""

    PREPARED = "prepared"
    CREATING = "creating"
    SUBMITTED = "submitted"
    COLLECTED = "collected"
    WITHDRAWN = "withdrawn"
    LOST = "lost"

    @classmethod
    def _missing_(cls, value: object) -> Stage | None:
        """Earlier versions had two more stages before the one that may cost something."""
        return cls.PREPARED if value in ("open", "uploaded") else None

    @property
    def ended(self) -> bool:
        """Whether nothing of it is in flight any more."""
        return self in (Stage.COLLECTED, Stage.WITHDRAWN, Stage.LOST)


class BatchRow(NamedTuple):
    """One batch. ``terms`` is what it was asked under, as its author wrote it. ``remote`` is the provider's id, ""
    before it is known. ``requests`` and the three counts of outcomes are those of its attempts."""

    id: str
    stage: Stage
    model: str
    base_url: str
    terms: Mapping[str, Json]
    requests: int
    input_file: str
    remote: str
    remote_status: str
    note: str
    answered: int
    unbilled: int
    unknown: int
    began_at: datetime
    submitted_at: datetime | None
    expires_at: datetime | None
    ended_at: datetime | None


class Batches:
    """The batches of a ledger. Every method but ``prepare`` is one transaction, and may be repeated after a kill."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    # --- on the way to the provider -----------------------------------------------------------

    def prepare(
        self, run: Run, orders: Sequence[Order], *, model: str, base_url: str, terms: Mapping[str, Json]
    ) -> tuple[BatchRow, list[tuple[Order, Verdict]]]:
        """Write down a batch that this run will submit: reserve a place in the budget for each order, or say what
        stands in its way. Nothing is marked as sent before it is ``CREATING``. Limits per minute are for live calls,
        and do not count here."""
        batch = f"batch-{attempts.new_id(8)}"
        stated = json.dumps(dict(terms), ensure_ascii=False, sort_keys=True)
        values = {"run": run.id, "submitter": run.owner, "stage": Stage.PREPARED}
        values |= {"model": model, "base_url": base_url, "terms": stated}
        verdicts: list[tuple[Order, Verdict]] = []
        with self.ledger.writing() as connection:
            self.ledger.database.version()
            begun = {"id": batch, "began_at": timestamp(connection.now())}
            insert(connection, "owner", {**begun, "pid": 0})
            insert(connection, "batch", {**begun, **values})
        for part in (orders[first : first + AT_ONCE] for first in range(0, len(orders), AT_ONCE)):
            with self._step(batch, Stage.PREPARED) as connection:
                for order in part:
                    verdict = objection(connection, order) or attempts.open_attempt(
                        connection, order, owner=batch, state=State.RESERVED
                    )
                    verdicts.append((order, verdict))
        return self.get(batch), verdicts

    def left_behind(self, run: Run) -> tuple[BatchRow, ...]:
        """Those that submitters that are gone left on their way; this run takes them over."""
        with self.ledger.writing() as connection:
            found = connection.query(
                "SELECT batch.id FROM batch JOIN owner ON owner.id = batch.submitter WHERE owner.ended_at IS NOT NULL"
                " AND batch.ended_at IS NULL AND submitted_at IS NULL ORDER BY batch.began_at, batch.id"
            )
            for (batch,) in found:
                _set(connection, batch, submitter=run.owner)
        return tuple(self.get(batch) for (batch,) in found)

    def move(self, batch: BatchRow, stage: Stage, **columns: str | int | None) -> BatchRow:
        """Take a batch on to a ``stage``, and set ``columns`` of it. To ``CREATING``: the provider has its input file
        and is about to be asked to make it; from now on it may cost something. To ``SUBMITTED``: the provider has it,
        under an id of its own."""
        with self._step(batch.id, batch.stage) as connection:
            if stage is Stage.CREATING:
                # Marked before the call that may cost something, in one transaction with the stage. After the call, a
                # crash in between would give back what the provider is about to work on.
                for row in attempts.in_flight(connection, batch.id):
                    attempts.mark_sent(connection, row)
            if stage is Stage.SUBMITTED:
                columns |= {"submitting": None, "submitted_at": timestamp(connection.now())}
            _set(connection, batch.id, stage=stage, **columns)
        return self.get(batch.id)

    @contextmanager
    def _step(self, batch: str, stage: Stage) -> Iterator[Connection]:
        """Write one step of a batch that is at ``stage``. Refuse it to a process that was taken for dead, and whose
        batch another one went on with."""
        with self.ledger.writing() as connection:
            found = connection.execute("SELECT stage FROM batch WHERE id = ?", (batch,)).fetchone()
            now = "gone" if found is None else Stage(found["stage"])
            if now != stage:
                raise LedgerError(f"batch {batch}: is {now}, not {stage}; another process went on with it")
            yield connection

    # --- what comes back ----------------------------------------------------------------------

    def settle(self, batch: BatchRow, lines: Iterable[BatchLine], cost: Callable[[Usage], int | None]) -> int:
        """Settle, release or leave unknown what is still in flight of these; returns how many. What was settled before
        stays as it is. ``cost`` prices what an answer used."""
        done = 0
        with self.ledger.writing() as connection:
            for line in lines:
                found = connection.execute(
                    "SELECT * FROM attempt WHERE request_key = ? AND owner = ? AND state IN ('reserved', 'sent')",
                    (line.custom_id, batch.id),
                ).fetchone()
                if found is None:
                    continue
                row, outcome, done = attempts.read(found), line.outcome, done + 1
                if isinstance(outcome, AttemptFailedError):
                    attempts.fail(connection, row, outcome, unbilled=line.billed is False)
                else:
                    pico = None if outcome.usage is None else cost(outcome.usage)
                    attempts.settle(connection, row, outcome, pico)
        return done

    def end(
        self, batch: BatchRow, stage: Stage, *, rest: AttemptFailedError, unbilled: bool, status: str = ""
    ) -> BatchRow:
        """End it: what is still in flight of it is released where it is certain that it is ``unbilled``, and unknown
        otherwise. Harmless when it has ended already. Refused where another process went on with one to withdraw."""
        step = self._step(batch.id, batch.stage) if stage is Stage.WITHDRAWN else self.ledger.writing()
        with step as connection:
            for row in attempts.in_flight(connection, batch.id):
                attempts.fail(connection, row, rest, unbilled=unbilled)
            columns = {"note": attempts.clean(rest.message)[:500], "remote_status": status or batch.remote_status}
            ended_at = timestamp(connection.now())
            _set(connection, batch.id, stage=stage, submitting=None, ended_at=ended_at, **columns)
            over = "UPDATE owner SET ended_at = ? WHERE id = ? AND ended_at IS NULL"
            connection.execute(over, (ended_at, batch.id))
        return self.get(batch.id)

    # --- reading ------------------------------------------------------------------------------

    def get(self, batch_id: str) -> BatchRow:
        """One batch. Raises ``LedgerError``."""
        found = next((batch for batch in self.all() if batch.id == batch_id), None)
        if found is None:
            raise LedgerError(f"batch {batch_id}: not in this ledger; check its id")
        return found

    def all(self) -> tuple[BatchRow, ...]:
        """Every batch, the oldest first."""
        with self.ledger.database.snapshot() as connection:
            counts: dict[str, Counter[str]] = defaultdict(Counter)
            for batch, state, count in connection.query(
                "SELECT batch.id, state, count(*) FROM attempt JOIN batch ON batch.id = owner GROUP BY batch.id, state"
            ):
                counts[batch].update({"requests": count, _OUTCOMES.get(State(state), ""): count})
            rows = connection.query("SELECT * FROM batch ORDER BY began_at, id")
        return tuple(_read(row, counts[row["id"]]) for row in rows)

    def in_flight(self, batch: BatchRow) -> tuple[AttemptRow, ...]:
        """Its attempts whose outcome is open, in the order in which they were reserved."""
        return tuple(attempts.in_flight(self.ledger.database, batch.id))


def _set(connection: Connection, batch: str, **columns: str | int | None) -> None:
    names = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(f"UPDATE batch SET {names} WHERE id = ? AND ended_at IS NULL", (*columns.values(), batch))


def _read(row: Any, counts: Counter[str]) -> BatchRow:
    read: dict[str, Any] = {name: counts[name] for name in ("requests", *_OUTCOMES.values())}
    read |= {name: optional(parse, row[name]) for name in ("began_at", "submitted_at", "expires_at", "ended_at")}
    read |= {"stage": Stage(row["stage"]), "terms": json.loads(row["terms"])}
    return BatchRow(**{name: read.get(name, row[name]) for name in BatchRow._fields})
