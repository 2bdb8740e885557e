"""Batches: many attempts that are sent together, and wait together for up to a day.

A batch is written down before and after each step that a provider could have seen:

    open ──► prepared ──► uploaded ──► creating ──► submitted ──► collected
      │          │            │            │
      └──────────┴────────────┴────────────┴──► withdrawn (released), or lost (unknown, charged)

Its attempts belong to the batch and to no process, so that they outlive the one that submitted
them: an owner that is a batch is never dead. Only one batch at a time is on its way to its
provider (``submitting``); what its submitter has left behind is gone on with by the next.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from expand.errors import LedgerError
from expand.ledger import admission_check, attempts, rows
from expand.ledger.batch_rows import BatchRow, Settlement, Stage, packed, read
from expand.ledger.database import Connection, ConstraintError, LedgerFile
from expand.ledger.rows import stamp
from expand.ledger.settlement import charge_for
from expand.ledger.store import Ledger
from expand.ledger.values import AttemptRow, Order, Reservation, Run, State, Verdict
from expand.llm.types import AttemptFailedError
from expand.schema import Json

AT_ONCE = 200
"""How many attempts one transaction takes, so that others are not kept waiting."""


class SubmittingError(LedgerError):
    """Another process is submitting a batch right now."""


class Batches:
    """The batches of a ledger. Every method is one transaction, or one for ``AT_ONCE`` attempts,
    and each may be repeated after a kill.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger: LedgerFile = ledger

    # --- on the way to the provider -----------------------------------------------------------

    def begin(self, run: Run, *, model: str, base_url: str, terms: Mapping[str, Json]) -> BatchRow:
        """Open a batch that this run will submit. Raises ``SubmittingError``."""
        batch = f"batch-{rows.fresh(8)}"
        now = stamp(self._ledger.clock())
        try:
            with self._ledger.writing() as connection:
                self._ledger.database.refuse_newer(connection)
                connection.execute("INSERT INTO owner (id, pid, began_at) VALUES (?, 0, ?)", (batch, now))
                connection.execute(
                    "INSERT INTO batch (id, run, submitter, submitting, stage, model, base_url,"
                    " terms, began_at) VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?)",
                    (batch, run.id, run.owner, Stage.OPEN, model, base_url, packed(terms), now),
                )
        except ConstraintError as error:
            raise self._busy() from error
        return self.get(batch)

    def unfinished(self, run: Run) -> BatchRow | None:
        """What a submitter that is gone left on its way; this run goes on with it. None when
        there is nothing. Raises ``SubmittingError`` while its submitter lives.
        """
        with self._ledger.writing() as connection:
            found = connection.execute(
                "SELECT batch.*, owner.ended_at AS gone_at FROM batch"
                " JOIN owner ON owner.id = batch.submitter WHERE submitting = 1"
            ).fetchone()
            if found is None:
                return None
            if found["gone_at"] is None and found["submitter"] != run.owner:
                raise self._busy()
            connection.execute("UPDATE batch SET submitter = ? WHERE id = ?", (run.owner, found["id"]))
        return read(found)

    @staticmethod
    def _busy() -> SubmittingError:
        return SubmittingError(
            "another process is submitting a batch; wait until it is done, then look with "
            "`expand chapter --batch status`"
        )

    def reserve(
        self, batch: BatchRow, orders: Sequence[Order], *, hold_unknown: bool
    ) -> Iterator[tuple[Order, Verdict]]:
        """Ask for a place in the budget for each order; limits per minute are for live calls."""
        for first in range(0, len(orders), AT_ONCE):
            with self._ledger.writing() as connection:
                self._at(connection, batch, Stage.OPEN)
                now = self._ledger.clock()
                decided = [
                    (order, _verdict(connection, order, batch.id, now, hold=hold_unknown))
                    for order in orders[first : first + AT_ONCE]
                ]
            yield from decided

    def prepared(self, batch: BatchRow) -> BatchRow:
        """Nothing more joins it; from now on it is submitted as it is."""
        with self._ledger.writing() as connection:
            self._at(connection, batch, Stage.OPEN)
            count = connection.execute(
                "SELECT count(*) FROM attempt WHERE owner = ? AND state = 'reserved'", (batch.id,)
            ).fetchone()[0]
            _set(connection, batch, stage=Stage.PREPARED, requests=count)
        return self.get(batch.id)

    def uploaded(self, batch: BatchRow, input_file: str) -> BatchRow:
        """Its input file is with the provider."""
        with self._ledger.writing() as connection:
            self._at(connection, batch, Stage.PREPARED)
            _set(connection, batch, stage=Stage.UPLOADED, input_file=input_file)
        return self.get(batch.id)

    def creating(self, batch: BatchRow) -> BatchRow:
        """The provider is about to be asked to make it: from now on it may cost something."""
        with self._ledger.writing() as connection:
            self._at(connection, batch, Stage.UPLOADED)
            now = self._ledger.clock()
            for row in _live(connection, batch.id):
                if row.state is State.RESERVED:
                    attempts.mark_sent(connection, row, now)
            _set(connection, batch, stage=Stage.CREATING)
        return self.get(batch.id)

    def not_created(self, batch: BatchRow) -> BatchRow:
        """It is certain that the provider has not made it and cannot any more: once again."""
        with self._ledger.writing() as connection:
            self._at(connection, batch, Stage.CREATING)
            _set(connection, batch, stage=Stage.PREPARED, input_file="")
        return self.get(batch.id)

    def submitted(self, batch: BatchRow, *, remote: str, status: str, expires_at: int | None) -> BatchRow:
        """The provider has it, under an id of its own; ``expires_at`` in Unix seconds."""
        with self._ledger.writing() as connection:
            self._at(connection, batch, Stage.CREATING)
            _set(
                connection,
                batch,
                stage=Stage.SUBMITTED,
                submitting=None,
                remote=remote,
                remote_status=status,
                submitted_at=stamp(self._ledger.clock()),
                expires_at=None if expires_at is None else stamp(datetime.fromtimestamp(expires_at, UTC)),
            )
        return self.get(batch.id)

    # --- what comes back ----------------------------------------------------------------------

    def settle(self, batch: BatchRow, results: Sequence[Settlement]) -> int:
        """Settle, release or leave unknown what is still in flight of these; returns how many.
        What was settled before stays as it is.
        """
        done = 0
        for first in range(0, len(results), AT_ONCE):
            with self._ledger.writing() as connection:
                for result in results[first : first + AT_ONCE]:
                    done += self._settle(connection, batch, result)
        return done

    def _settle(self, connection: Connection, batch: BatchRow, result: Settlement) -> int:
        found = connection.execute(
            "SELECT * FROM attempt WHERE request_key = ? AND owner = ?"
            f" AND state IN ('reserved', 'sent'){connection.lock}",
            (result.request_key, batch.id),
        ).fetchone()
        if found is None:
            return 0
        row, now = rows.read(found), self._ledger.clock()
        if result.answer is not None:
            charged, details = charge_for(row, result.answer, result.cost_pico_usd)
            attempts.charge(connection, row, State.SETTLED, charged, now=now, detail=details)
            attempts.keep_answer(connection, row.id, row.request_key, result.answer)
        elif result.failed is None:
            raise ValueError(f"{result.request_key}: neither an answer nor a failure")
        elif result.billed is False or row.state is State.RESERVED:
            attempts.release(connection, row, result.failed, now)
        else:
            attempts.leave_unknown(connection, row, result.failed, now)
        return 1

    def end(
        self,
        batch: BatchRow,
        stage: Stage,
        *,
        rest: AttemptFailedError,
        billed: bool | None,
        status: str = "",
    ) -> BatchRow:
        """End it: what is still in flight of it is released where it is certain that nothing was
        ``billed`` (False), and unknown otherwise. Harmless when it has ended already.
        """
        while True:
            with self._ledger.writing() as connection:
                left = _live(connection, batch.id, most=AT_ONCE)
                now = self._ledger.clock()
                for row in left:
                    if billed is False or row.state is State.RESERVED:
                        attempts.release(connection, row, rest, now)
                    else:
                        attempts.leave_unknown(connection, row, rest, now)
                if len(left) < AT_ONCE:
                    _end(connection, batch, stage, rest.message, status, stamp(now))
                    break
        return self.get(batch.id)

    # --- reading ------------------------------------------------------------------------------

    def get(self, batch_id: str) -> BatchRow:
        """One batch. Raises ``LedgerError``."""
        with self._ledger.reading() as connection:
            found = connection.execute("SELECT * FROM batch WHERE id = ?", (batch_id,)).fetchone()
        if found is None:
            raise LedgerError(f"batch {batch_id}: not in this ledger; check its id")
        return read(found)

    def all(self) -> tuple[BatchRow, ...]:
        """Every batch, the oldest first."""
        with self._ledger.reading() as connection:
            found = connection.execute("SELECT * FROM batch ORDER BY began_at, id").fetchall()
        return tuple(map(read, found))

    def living(self) -> tuple[BatchRow, ...]:
        """The batches that have not ended, the oldest first."""
        return tuple(batch for batch in self.all() if not batch.stage.ended)

    def in_flight(self, batch: BatchRow) -> tuple[AttemptRow, ...]:
        """Its attempts whose outcome is open, in the order in which they were reserved."""
        with self._ledger.reading() as connection:
            return tuple(_live(connection, batch.id))

    def forms(self, batch: BatchRow) -> Iterator[tuple[str, str]]:
        """The request key and canonical form of each of its open attempts, in order."""
        for row in self.in_flight(batch):
            with self._ledger.reading() as connection:
                found = connection.execute("SELECT form FROM request WHERE key = ?", (row.request_key,)).fetchone()
            yield row.request_key, zlib.decompress(found["form"]).decode()

    def _at(self, connection: Connection, batch: BatchRow, stage: Stage) -> None:
        found = connection.execute(f"SELECT stage FROM batch WHERE id = ?{connection.lock}", (batch.id,)).fetchone()
        if found is None or found["stage"] != stage:
            now = "gone" if found is None else found["stage"]
            raise LedgerError(f"batch {batch.id}: is {now}, not {stage}; another process went on with it")


def _verdict(connection: Connection, order: Order, batch: str, now: datetime, *, hold: bool) -> Verdict:
    key = order.request.key
    found = admission_check.AdmissionCheck(connection, order, hold_unknown=hold).verdict()
    if found is not None:
        return found
    attempts.keep_request(connection, key, order.request.canonical())
    attempts.keep(connection, order.question, key)
    attempt_id = rows.fresh(8)
    attempts.open_attempt(connection, order, key, attempt_id=attempt_id, owner=batch, now=now)
    return Reservation(attempt_id=attempt_id, amount=order.amount)


def _live(connection: Connection, batch: str, *, most: int | None = None) -> list[AttemptRow]:
    limit = "" if most is None else f" LIMIT {most}"
    found: Iterable[Any] = connection.execute(
        f"SELECT * FROM attempt WHERE owner = ? AND state IN ('reserved', 'sent') ORDER BY seq{limit}",
        (batch,),
    ).fetchall()
    return [rows.read(row) for row in found]


def _end(connection: Connection, batch: BatchRow, stage: Stage, note: str, status: str, now: str) -> None:
    counts = {
        row["state"]: row["n"]
        for row in connection.execute(
            "SELECT state, count(*) AS n FROM attempt WHERE owner = ? GROUP BY state", (batch.id,)
        ).fetchall()
    }
    _set(
        connection,
        batch,
        stage=stage,
        submitting=None,
        note=attempts.clean(note)[:500],
        ended_at=now,
        answered=counts.get(State.SETTLED, 0),
        unbilled=counts.get(State.RELEASED, 0),
        unknown=counts.get(State.UNKNOWN, 0) + counts.get(State.RECONCILED, 0),
        **({"remote_status": status} if status else {}),
    )
    connection.execute("UPDATE owner SET ended_at = ? WHERE id = ? AND ended_at IS NULL", (now, batch.id))


def _set(connection: Connection, batch: BatchRow, **columns: str | int | None) -> None:
    names = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(
        f"UPDATE batch SET {names} WHERE id = ? AND ended_at IS NULL",
        (*columns.values(), batch.id),
    )
