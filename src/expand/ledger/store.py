"""The ledger: who may spend what, what was sent, and every answer that was paid for.

These hold after every transaction, and so after a kill at any instant:

* for each scope, used + reserved + remaining = limit, where used is the opening balance, what was settled and what is
  unknown, and reserved is what is in flight;
* nothing is sent without a reservation that was there before, so a provider that keeps to the output cap never bills
  more than the limit;
* an answer is stored in the same transaction that settles its attempt and its budget;
* no two attempts at the same request are in flight at once, and none is begun for a request that has its answer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from expand.budget import NO_LIMIT, Amount, Balance, Limit, shortfall
from expand.errors import LedgerError
from expand.ledger import attempts, spill
from expand.ledger.database import PATIENCE_SECONDS, Connection, Database, connect, read
from expand.ledger.values import (
    Aggregates,
    AttemptRow,
    Day,
    InFlight,
    Open,
    Order,
    OutputHistory,
    Pause,
    Paused,
    Refused,
    Run,
    Slice,
    State,
    StoredAnswer,
    Verdict,
)
from expand.ledger_location import LedgerPlace
from expand.llm.types import Answer, AttemptFailedError, Failure, Finish
from expand.paths import DATA

WINDOW = timedelta(seconds=60)
BUSY_SECONDS = 0.25
"""How long to wait before asking again whether a call in flight has ended."""

_IN_FLIGHT = "state IN ('reserved', 'sent')"
_NO_BATCH = "NOT EXISTS (SELECT 1 FROM batch WHERE batch.id = attempt.owner)"
"""SQL: not in a batch, which has limits of its own."""

LARGEST = 2**62
"""The largest figure that a row can hold: 4.6 million dollars in pico-dollars."""

SEVERAL_LINES = 8
"""Lines from which an answer says what a line takes."""

CRASHED = AttemptFailedError(Failure.CRASHED, "the process ended while it was in flight")
ENDED = AttemptFailedError(Failure.CANCELLED, "the run ended while it was in flight")


class Ledger:
    """An open ledger. Use it from one thread; many processes may share it.

    Every method is one transaction and raises ``LedgerError`` when the ledger cannot be used."""

    def __init__(self, database: Database, clock: Callable[[], datetime] | None = None) -> None:
        """``clock`` gives the time in UTC; else the database does."""
        self.database = database
        database.clock = clock or database.clock
        self._owner: str | None = None
        self.taken_in = 0
        """How many answers that had been kept elsewhere came into the ledger by this process."""

    @classmethod
    def open(
        cls,
        place: LedgerPlace,
        *,
        clock: Callable[[], datetime] | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> Ledger:
        """Open the ledger at ``place``, creating it and bringing it up to date as needed."""
        return cls(connect(place, patience_seconds), clock)

    @classmethod
    def read(cls, place: LedgerPlace) -> Ledger | None:
        """Open the ledger at ``place`` for reading only; None if there is none."""
        database = read(place)
        return None if database is None else cls(database)

    def writing(self) -> AbstractContextManager[Connection]:
        """Write one transaction: all of it or nothing, durable when it ends."""
        return self.database.writing()

    def close(self) -> None:
        """End this process's runs: what it still has in flight becomes unknown, and nothing stays reserved. Harmless
        when repeated."""
        # Forget the owner first, so that closing again, say after an error, does nothing.
        owner, self._owner = self._owner, None
        try:
            if owner is not None:
                with self.writing() as connection:
                    _end_owner(connection, owner, ENDED)
        finally:
            if owner is not None:
                # Even when the write failed. Otherwise the lock would outlive its use, and no later run could recover
                # the attempts of this process before it exits.
                self.database.leave(owner)
            self.database.close()

    # --- runs -------------------------------------------------------------------------------------

    def begin_run(
        self,
        *,
        limits: Mapping[str, Limit],
        opening: Amount | None = None,
        run_limit: Limit = NO_LIMIT,
    ) -> Run:
        """Begin a run: record the limits of ``book`` and ``chapter:<id>`` scopes and the book's opening balance as they
        are now, and recover the attempts of dead processes. What is not stated stays as it was."""
        # The lock comes before the owner's row. In the other order, another process could see an owner without a lock,
        # take it for dead, and release attempts that are about to be sent.
        if self._owner is None:
            self._owner = self.database.enter()
        # Before anything is reserved: what dead processes hold would otherwise refuse this run's first orders.
        self.recover()
        run = Run(id=attempts.new_id(5), owner=self._owner)
        stated = {**limits, f"run:{run.id}": run_limit}
        for figure in (*(opening or ()), *(each for one in stated.values() for each in (one.tokens, one.pico_usd))):
            if figure is not None and not -LARGEST <= figure <= LARGEST:
                most = f"the most is {LARGEST:,} tokens or 4 million dollars"
                raise LedgerError(f"{figure:,} is more than a ledger can hold; {most}")
        with self.writing() as connection:
            now = attempts.timestamp(connection.now())
            attempts.insert(connection, "owner", {"id": run.owner, "pid": os.getpid(), "began_at": now}, once=True)
            attempts.insert(connection, "run", {"id": run.id, "owner": run.owner, "began_at": now})
            # Limits are written at the start of each run, not read from the book at each reservation: every process
            # that shares the ledger then checks against the same figures, whichever checkout of the book it has.
            attempts.ensure_scopes(connection, ["book"])
            for scope, limit in stated.items():
                columns = {"scope": scope, "limit_tokens": limit.tokens, "limit_pico": limit.pico_usd}
                attempts.insert(connection, "budget", columns, key=("scope",))
            if opening is not None:
                columns = {"scope": "book", "opening_tokens": opening.tokens, "opening_pico": opening.pico_usd or 0}
                attempts.insert(connection, "budget", columns, key=("scope",))
        return run

    def recover(self) -> None:
        """Recover the attempts of dead processes: take in the answers that they had to keep elsewhere, mark the other
        sent ones unknown, release the rest."""
        self.taken_in += spill.take_in(self.database)
        # A batch is an owner too. It is no process, and never dead.
        others = self.database.query(
            "SELECT id FROM owner WHERE ended_at IS NULL AND id <> ? AND id NOT IN"
            " (SELECT id FROM batch WHERE ended_at IS NULL)",
            (self._owner or "",),
        )
        # No time and no process id is consulted. Clocks jump, ids are reused, and a suspended laptop looks dead for
        # hours; a lock that can be taken is proof.
        for (owner,) in others:
            with self.database.claim(owner) as dead:
                # One transaction for each owner, within its claim: two processes that start together cannot recover one
                # owner twice, and a failure leaves the others as they are.
                if dead:
                    with self.writing() as connection:
                        _end_owner(connection, owner, CRASHED)

    def prove_writable(self) -> None:
        """Write something and take it back, so that whatever refuses a run's first write is found."""
        with self.writing() as connection:
            connection.execute("INSERT INTO pause (model, until) VALUES ('', '')")
            connection.execute("DELETE FROM pause WHERE model = ''")

    # --- attempts ---------------------------------------------------------------------------------

    def reserve(self, order: Order) -> Verdict:
        """Reserve a place in the budget and mark the attempt as sent, in one transaction; or say what stands in the
        way. From now on the attempt may cost something, so send it at once.

        Checked in this order: the answer is there; the same request is in flight; a limit would be passed; the model is
        paused or at its rate limit. An earlier attempt of unknown outcome does not stand in the way: its text is lost,
        both are reserved, and the limit holds either way."""
        if self._owner is None:
            raise LedgerError(f"{self.database.name}: no run was begun")
        with self.writing() as connection:
            self.database.version()  # a newer expand may have upgraded the ledger while this one was running
            # All questions and the reservation share one transaction. Asked before it, their answers could be out of
            # date when the money is taken: two processes would both find room for the last request.
            return (
                objection(connection, order)
                or _obstacle(connection, order)
                # Marked as sent at once. A transaction of its own would close a window of a millisecond in which a
                # crash is charged although nothing went out; it would cost a second commit for every attempt.
                or attempts.open_attempt(connection, order, owner=self._owner, state=State.SENT)
            )

    def settle(self, attempt_id: str, answer: Answer, *, cost_pico_usd: int | None) -> StoredAnswer:
        """An answer came: store it, charge what the provider reported, free the rest.

        Without a usable report the reservation itself is charged. ``cost_pico_usd`` prices the reported usage; where it
        is None and the reservation had a price, that one is charged. An answer that comes late, to an attempt that was
        given up meanwhile, is charged and kept as well. Returns the answer that the request has from now on: an earlier
        one stays."""
        with self.writing() as connection:
            return attempts.settle_once(connection, attempt_id, answer, cost_pico_usd)

    def keep_elsewhere(self, order: Order, attempt_id: str, answer: Answer, *, cost_pico_usd: int | None) -> Path:
        """Keep an answer that cannot be settled now in a file outside the ledger, which ``recover`` takes in later, in
        any process. Returns the file. Raises ``LedgerError`` where that cannot be written either."""
        return spill.write(self.database, self._owner or "", order, attempt_id, answer, cost_pico_usd)

    def fail(self, attempt_id: str, failed: AttemptFailedError, *, unbilled: bool) -> None:
        """The attempt failed. Where it is certain that it is ``unbilled``, its reservation goes back; else it stays
        charged at it."""
        with self.writing() as connection:
            row = attempts.fetch(connection, attempt_id, (State.SENT, State.UNKNOWN))
            # Unknown already: this process may have been taken for dead while its connection was lost. It knows better
            # where nothing was billed; else the charge is the same, and there is nothing to change.
            if unbilled or row.state is State.SENT:
                attempts.fail(connection, row, failed, unbilled=unbilled)

    def pause(self, model: str, seconds: float) -> None:
        """Let no process call ``model`` for so many seconds; a longer pause already set stays."""
        with self.writing() as connection:
            connection.execute(
                "INSERT INTO pause (model, until) VALUES (?, ?) ON CONFLICT (model) DO UPDATE"
                " SET until = excluded.until WHERE pause.until < excluded.until",
                (model, attempts.timestamp(connection.now() + timedelta(seconds=seconds))),
            )

    def pauses(self) -> tuple[Pause, ...]:
        """The models that no process may call for now, and for how long."""
        rows, now = self.database.query("SELECT model, until FROM pause ORDER BY model"), self.database.now()
        found = (Pause(row["model"], (attempts.parse(row["until"]) - now).total_seconds()) for row in rows)
        return tuple(pause for pause in found if pause.seconds > 0)

    def resume(self, model: str) -> None:
        """Lift the pause of ``model``: processes that wait for its end go on within seconds."""
        with self.writing() as connection:
            connection.execute("DELETE FROM pause WHERE model = ?", (model,))

    # --- editions ---------------------------------------------------------------------------------

    def raise_edition(self, chapter: str, section: int, *, instruction: str = "") -> int:
        """Raise the section's edition by one, so that its requests are bought afresh; returns the new one.
        ``instruction`` is what an editor wants of it."""
        with self.writing() as connection:
            connection.execute(
                "INSERT INTO edition (chapter, section, number, instruction) VALUES (?, ?, 1, ?)"
                " ON CONFLICT (chapter, section) DO UPDATE"
                " SET number = edition.number + 1, instruction = excluded.instruction",
                (chapter, section, attempts.clean(instruction)),
            )
        return self.edition(chapter, section)

    def edition(self, chapter: str, section: int) -> int:
        """How often the section was asked for afresh."""
        return self.editions().get((chapter, section), (0, ""))[0]

    def editions(self) -> dict[tuple[str, int], tuple[int, str]]:
        """All sections that were asked for afresh: by chapter and number, how often, and what an editor wants of the
        present edition ("" for nothing)."""
        found = self.database.query("SELECT chapter, section, number, instruction FROM edition")
        return {(chapter, section): (number, instruction) for chapter, section, number, instruction in found}

    # --- what it holds ----------------------------------------------------------------------------

    def known(self, order: Order) -> StoredAnswer | None:
        """The answer that serves an order: to its question, or to its very request."""
        return attempts.stored_answer(self.database, order.request.key, order.question)

    def balance(self, scope: str) -> Balance:
        """Where a scope stands; empty and unlimited when it was never used."""
        return attempts.balance(self.database, scope)

    def bought(self, plan: str) -> frozenset[tuple[str, int]]:
        """The sections, by chapter and number, that have answers bought under a plan."""
        found = self.database.query(
            "SELECT DISTINCT chapter, section FROM attempt WHERE plan = ? AND finish IS NOT NULL", (plan,)
        )
        return frozenset((chapter, section) for chapter, section in found)

    def attempts(self, state: State | None = None) -> list[AttemptRow]:
        """The attempts, or those in one state, oldest first."""
        where, values = ("", ()) if state is None else (" WHERE state = ?", (state,))
        return list(map(attempts.read, self.database.query(f"SELECT * FROM attempt{where} ORDER BY seq", values)))

    def overview(self) -> Aggregates:
        """All of it added up for reports."""
        slices, days, held = (DATA / "aggregates.sql").read_text(encoding="utf-8").split(";\n\n")
        with self.database.snapshot() as connection:
            # A run that a crash ended has no end, and does not count.
            spans = connection.query("SELECT began_at, ended_at FROM run WHERE ended_at IS NOT NULL ORDER BY id")
            # The columns of each statement are the fields of what is made of its rows, in order. Sums are made by the
            # database, since a ledger may hold hundreds of thousands of attempts.
            return Aggregates(
                balance=attempts.balance(connection, "book"),
                slices=tuple(map(Slice._make, connection.query(slices))),
                days=tuple(map(Day._make, connection.query(days))),
                open=tuple(Open._make(row)._replace(state=State(row["state"])) for row in connection.query(held)),
                seconds=sum((attempts.parse(end) - attempts.parse(began)).total_seconds() for began, end in spans),
            )

    def prompt_history(self, model: str, latest: int = 100) -> float:
        """The greatest of the model's latest reported prompts divided by what was counted for it; 0.0 without any."""
        ((worst,),) = self.database.query(
            "SELECT max(ratio) FROM (SELECT CAST(prompt AS DOUBLE PRECISION) / prompt_estimate AS ratio"
            " FROM attempt WHERE model = ? AND usage_source = 'provider' AND prompt_estimate > 0"
            " ORDER BY reserved_at DESC, seq DESC LIMIT ?) AS latest",
            (model, latest),
        )
        return worst or 0.0

    def output_history(self, model: str, latest: int = 50) -> OutputHistory:
        """What the model's latest drafted texts of several lines took."""
        found = self.database.query(
            "SELECT completion, reasoning, attempt.finish, text FROM attempt"
            " JOIN answer ON answer.attempt = attempt.id WHERE attempt.model = ? AND usage_source = 'provider'"
            " AND text IS NOT NULL AND purpose IN ('draft', 'revise', 'continue')"
            " ORDER BY reserved_at DESC, seq DESC LIMIT ?",
            (model, latest),
        )
        counts = [attempts.exact(row["text"]).count("\n") + 1 for row in found]
        several = [(row, lines) for row, lines in zip(found, counts, strict=True) if lines >= SEVERAL_LINES]
        return OutputHistory(
            answers=len(several),
            cut=sum(row["finish"] != Finish.STOP for row, _ in several),
            tokens_a_line=max(((row["completion"] - row["reasoning"]) / lines for row, lines in several), default=0.0),
            reasoning=max((row["reasoning"] for row, _ in several), default=0),
        )


def _end_owner(connection: Connection, owner: str, failed: AttemptFailedError) -> None:
    """End the runs and attempts of a process that is gone, so that nothing of its stays reserved."""
    # Only a sent attempt may have been billed. Marking reserved ones unknown as well would charge batches that never
    # left this machine; releasing sent ones would let the bill pass the limit.
    for row in attempts.in_flight(connection, owner):
        attempts.fail(connection, row, failed)
    ended = (attempts.timestamp(connection.now()), owner)
    connection.execute("UPDATE owner SET ended_at = ? WHERE id = ?", ended)
    connection.execute("UPDATE run SET ended_at = ? WHERE owner = ? AND ended_at IS NULL", ended)


def pauses_in(place: LedgerPlace) -> tuple[Pause, ...]:
    """The pauses in the ledger at ``place``; none where there is no ledger. Raises ``LedgerError``."""
    ledger = Ledger.read(place)
    if ledger is None:
        return ()
    with closing(ledger):
        return ledger.pauses()


# --- what stands in an order's way -------------------------------------------------------------------


def objection(connection: Connection, order: Order) -> StoredAnswer | InFlight | Refused | None:
    """What is there already, or which limit would be passed; None when the order may be bought.

    The order of the questions is the order of their worth: an answer that is there costs nothing, whatever the limits
    say by now; and a request that is in flight must not go out a second time, even where there is room for it."""
    # By key or by question: the wording of a request changes with its chapter's outline, its question only with its own
    # section. By the key alone, a changed topic would buy the whole chapter again.
    serves = (order.request.key, order.question)
    stored = attempts.stored_answer(connection, *serves)
    if stored is not None:
        attempts.note_question(connection, order.question, stored.request_key)
        return stored
    # Before the limits: whoever asks for what is in flight waits for that answer, and must not be told that the budget
    # is exhausted, by the very reservation that will serve it.
    live = connection.execute(
        "SELECT attempt.id, attempt.owner, request_key, batch.id AS batch FROM attempt"
        f" LEFT JOIN batch ON batch.id = attempt.owner WHERE {_IN_FLIGHT} AND {attempts.SERVES}",
        serves,
    ).fetchone()
    if live is not None:
        attempts.note_question(connection, order.question, live["request_key"])
        return InFlight(attempt_id=live["id"], owner=live["owner"], in_batch=live["batch"] is not None)
    # The rows are made before they are read: `attempts.open_attempt` updates them, and an UPDATE of a missing row
    # changes nothing and reports no error.
    scopes = order.scopes
    attempts.ensure_scopes(connection, scopes)
    return _refused(connection, order, attempts.balances(connection, scopes))


def _refused(connection: Connection, order: Order, balances: tuple[Balance, ...]) -> Refused | None:
    """Which limit the order would pass; None when it fits them all."""
    if order.amount.pico_usd is None and not order.unpriced:
        # Without a price the money limit cannot be checked. Counting the order as free would be the one way around it,
        # so it takes the user's word (--unpriced).
        for balance in balances:
            if balance.limit.pico_usd is not None:
                return Refused(
                    message=f"{balance.scope}: {order.request.model} has no known price and the "
                    "limit is in money; pass --unpriced to let it through"
                )
    missing = shortfall(balances, order.amount)
    if missing is None:
        return None
    message = str(missing)
    # A reservation in a batch comes back in a day, not in seconds. Counted as waitable, a live run would sit there
    # until its batch is collected, which may never happen while it runs.
    if missing.waitable:
        column = "reserved_pico" if missing.unit == "pico-USD" else "reserved_tokens"
        # Scopes are compared in Python: they are a JSON list, and the two databases have no common function for it.
        # There are few open batches, and this runs only when an order does not fit.
        found = connection.query(
            f"SELECT scopes, {column} AS held FROM attempt JOIN batch ON batch.id = attempt.owner WHERE {_IN_FLIGHT}"
        )
        held = sum(row["held"] or 0 for row in found if missing.scope in json.loads(row["scopes"]))
        missing = replace(missing, reserved=missing.reserved - held)
        if not missing.waitable:
            message += "; batches that are not collected yet hold the rest"
    return Refused(message=message, shortfall=missing)


def _obstacle(connection: Connection, order: Order) -> Paused | None:
    """Why the order's model may not be called right now, by any process, and for how long: a pause, or its limits. None
    when it may.

    A call counts in the minute after it was reserved. Its tokens are its reservation while it is in flight, and what it
    was charged afterwards, so a refused call costs a request and no tokens."""
    # After the limits, and only for live calls. An order that can never fit should be refused at once rather than wait
    # a minute for its turn and be refused then.
    model, limits = order.request.model, order.rates
    paused = connection.execute("SELECT until FROM pause WHERE model = ?", (model,)).fetchone()
    left = 0.0 if paused is None else (attempts.parse(paused["until"]) - connection.now()).total_seconds()
    if left > 0:
        return Paused(seconds=left, reason=f"{model}: the provider asked for a pause", by_provider=True)
    if limits.concurrency is not None:
        # Counted in the ledger, over all processes. Each process's own limiter cannot know how many the others have
        # out.
        live: int = connection.execute(
            f"SELECT count(*) FROM attempt WHERE model = ? AND {_IN_FLIGHT} AND {_NO_BATCH}", (model,)
        ).fetchone()[0]
        if live >= limits.concurrency:
            return Paused(seconds=BUSY_SECONDS, reason=f"{model}: {live} calls at a time are in flight")
    return None if limits.rpm is None and limits.tpm is None else _too_fast(connection, order)


def _too_fast(connection: Connection, order: Order) -> Paused | None:
    # A sliding minute over the attempts themselves. A token bucket would need a row of its own for each model, and
    # would not notice a settlement that turned out smaller than its reservation.
    calls, tokens, oldest = connection.execute(
        f"SELECT count(*), coalesce(sum(CASE WHEN {_IN_FLIGHT} THEN reserved_tokens ELSE prompt + completion END), 0),"
        " min(reserved_at) FROM attempt WHERE model = ? AND reserved_at > ?"
        f" AND NOT (state = 'released' AND sent_at IS NULL) AND {_NO_BATCH}",
        (order.request.model, attempts.timestamp(connection.now() - WINDOW)),
    ).fetchone()
    if oldest is None:
        return None  # an order above the limit of a whole minute may go when it goes alone
    # Wait until the oldest call leaves the window, not longer: by then there may be room, and the question is asked
    # again.
    seconds = max(BUSY_SECONDS, (attempts.parse(oldest) + WINDOW - connection.now()).total_seconds())
    model, limits = order.request.model, order.rates
    if limits.rpm is not None and calls >= limits.rpm:
        return Paused(seconds=seconds, reason=f"{model}: {calls:,} calls in the last minute")
    if limits.tpm is not None and tokens + order.amount.tokens > limits.tpm:
        return Paused(seconds=seconds, reason=f"{model}: {tokens:,} tokens in the last minute")
    return None
