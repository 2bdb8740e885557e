"""The ledger: who may spend what, what was sent, and every answer that was paid for.

What holds after every transaction, and so after a kill at any instant:

* for each scope, used + reserved + remaining = limit, where used is the opening balance, what was
  settled and what is unknown, and reserved is what is in flight;
* nothing is sent without a reservation that was there before, so a provider that keeps to the
  output cap never bills more than the limit;
* an answer is stored in the same transaction that settles its attempt and its budget;
* no two attempts at the same request are in flight at once, and none is begun for a request that
  has its answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from expand.budget import Limit
from expand.errors import LedgerError
from expand.ledger import (
    admission_check,
    attempts,
    budget_totals,
    connect,
    recovery,
    rows,
    settlement,
)
from expand.ledger.database import Database, Mark
from expand.ledger.queries import Queries
from expand.ledger.values import Order, Paused, Reservation, Run, State, StoredAnswer, Verdict
from expand.ledger_location import LedgerPlace
from expand.llm.types import Answer, AttemptFailedError, Failure

PATIENCE_SECONDS = 30.0
"""How long a write waits for another process's to end."""

MOST_TOKENS = settlement.MOST_TOKENS
"""No attempt is charged more than this."""

LARGEST = 2**62
"""The largest figure that a row can hold: 4.6 million dollars in pico-dollars."""


class Ledger(Queries):
    """A ledger, open. Use it from one thread; many processes may share it.

    Every method is one transaction and raises ``LedgerError`` when the ledger cannot be used.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime] | None = None) -> None:
        super().__init__(database, clock)
        self._owner: Mark | None = None

    @classmethod
    def open(
        cls,
        place: LedgerPlace,
        *,
        clock: Callable[[], datetime] | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> Ledger:
        """Open the ledger at ``place``, creating it and bringing it up to date as needed."""
        return cls(connect.open_database(place, patience_seconds), clock)

    @classmethod
    def read(cls, place: LedgerPlace) -> Ledger | None:
        """Open the ledger at ``place`` for reading only; None if there is none."""
        database = connect.read_database(place, PATIENCE_SECONDS)
        return None if database is None else cls(database)

    def close(self) -> None:
        """End this process's runs: what it still has in flight becomes unknown, nothing stays
        reserved. Harmless when repeated.
        """
        if self._owner is None:
            self.database.close()
            return
        leaving, self._owner = self._owner, None
        try:
            with self.writing() as connection:
                recovery.inherit(connection, leaving.id, recovery.ENDED, self.clock())
        finally:
            self.database.close()
            leaving.leave()

    def begin_run(
        self,
        *,
        limits: Mapping[str, Limit],
        openings: Mapping[str, int],
        run_limit: Limit | None = None,
        openings_pico_usd: Mapping[str, int] | None = None,
    ) -> Run:
        """Begin a run: record the limits and opening balances of ``book`` and ``chapter:<id>``
        scopes as they are now, and put the attempts of dead owners in order. Scopes that are not
        named keep what they had.
        """
        if self._owner is None:
            self._owner = self.database.enter()
        unknown, released = self.recover()
        run = Run(id=rows.fresh(5), owner=self._owner.id, unknown=unknown, released=released)
        money = openings_pico_usd or {}
        _refuse_huge([*limits.values(), *([run_limit] if run_limit else [])], openings, money)
        now = rows.stamp(self.clock())
        with self.writing() as connection:
            connection.execute(
                "INSERT INTO owner (id, pid, began_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (run.owner, os.getpid(), now),
            )
            connection.execute("INSERT INTO run (id, owner, began_at) VALUES (?, ?, ?)", (run.id, run.owner, now))
            budget_totals.lock_book(connection)
            for scope, most in limits.items():
                budget_totals.limit(connection, scope, most)
            for scope in sorted(openings.keys() | money.keys()):
                budget_totals.opening(
                    connection,
                    scope,
                    tokens=openings.get(scope, 0),
                    pico_usd=money.get(scope, 0),
                )
            budget_totals.limit(connection, f"run:{run.id}", run_limit or Limit())
        return run

    def prove_writable(self) -> None:
        """Write what is there already, so that whatever refuses a run's first write is found."""
        self.database.prove_writable()

    def recover(self) -> tuple[int, int]:
        """Put the attempts of dead owners in order: what was sent becomes unknown, what was only
        reserved is released. Returns how many became unknown and how many were released.
        """
        with self.reading() as connection:
            owners = recovery.others(connection, self._owner.id if self._owner else "")
        unknown = released = 0
        for dead in owners:
            remains = self.database.claim(dead)
            if remains is None:
                continue
            try:
                with self.writing() as connection:
                    sent, unsent = recovery.inherit(connection, dead, recovery.CRASHED, self.clock())
            except BaseException:
                remains.leave_be()
                raise
            remains.bury()
            unknown += sent
            released += unsent
        return unknown, released

    def reserve(self, order: Order, *, hold_unknown: bool = False, send: bool = False) -> Verdict:
        """Ask for a place in the budget, or learn what stands in the way, in one transaction.

        Looked at in this order: the answer is there; the same request is in flight; an earlier
        outcome is unknown (with ``hold_unknown``); a limit would be passed; the model is paused
        or at its rate limit. With ``send``, what is reserved is marked as sent at once.
        """
        if self._owner is None:
            raise LedgerError(f"{self.name}: no run was begun")
        key = order.request.key
        with self.writing() as connection:
            outlook = admission_check.AdmissionCheck(connection, order, hold_unknown=hold_unknown)
            self.database.refuse_newer(connection)
            found = outlook.verdict()
            if found is not None:
                return found
            now = self.clock()
            paused = admission_check.obstacle(connection, order, outlook.until, now)
            if paused is not None:
                return paused
            attempts.keep_request(connection, key, order.request.canonical())
            attempts.keep(connection, order.question, key)
            attempt_id = rows.fresh(8)
            attempts.open_attempt(
                connection,
                order,
                key,
                attempt_id=attempt_id,
                owner=self._owner.id,
                now=now,
                sent=send,
            )
        return Reservation(attempt_id=attempt_id, amount=order.amount)

    def sent(self, attempt_id: str) -> Paused | None:
        """The attempt is about to be sent; from now on its outcome may cost something.

        If the provider has asked for a pause since it was reserved, it must not be sent: then its
        reservation is given back, and the pause is returned.
        """
        now = self.clock()
        with self.writing() as connection:
            row = attempts.fetch(connection, attempt_id, attempts.SEND_FROM)
            pause = admission_check.paused(connection, row.model, now)
            if pause is None:
                attempts.mark_sent(connection, row, now)
            else:
                held = AttemptFailedError(Failure.CANCELLED, "held back by a pause, never sent")
                attempts.release(connection, row, held, now)
        return pause

    def settle(self, attempt_id: str, answer: Answer, *, cost_pico_usd: int | None) -> StoredAnswer:
        """An answer came: store it, charge what the provider reported, free the rest.

        Without a usable report the reservation itself is charged. ``cost_pico_usd`` prices the
        reported usage; where it is None and the reservation had a price, that one is charged.
        An answer that comes late, to an attempt that was given up meanwhile, is charged and kept
        as well. Returns the answer that the request has from now on: an earlier one stays.
        """
        with self.writing() as connection:
            return settlement.settle(connection, attempt_id, answer, cost_pico_usd, self.clock())

    def release(self, attempt_id: str, failed: AttemptFailedError) -> None:
        """The attempt failed and is unbilled for certain: its reservation goes back."""
        with self.writing() as connection:
            row = attempts.fetch(connection, attempt_id, attempts.CANCEL_FROM)
            attempts.release(connection, row, failed, self.clock())

    def unknown(self, attempt_id: str, failed: AttemptFailedError) -> None:
        """Nobody knows whether the attempt was billed: it stays charged at its reservation."""
        with self.writing() as connection:
            row = attempts.fetch(connection, attempt_id, (*attempts.END_FROM, State.UNKNOWN))
            if row.state is not State.UNKNOWN:
                attempts.leave_unknown(connection, row, failed, self.clock())

    def pause(self, model: str, seconds: float) -> None:
        """Let no process call ``model`` for so many seconds; a longer pause already set stays."""
        with self.writing() as connection:
            admission_check.pause(connection, model, self.clock() + timedelta(seconds=seconds))

    def raise_edition(self, chapter: str, section: int, *, instruction: str = "") -> int:
        """Raise the section's edition by one, so that its requests are bought afresh; returns
        the new one. ``instruction`` is what an editor wants of it.
        """
        with self.writing() as connection:
            connection.execute(
                "INSERT INTO edition (chapter, section, number, instruction) VALUES (?, ?, 1, ?)"
                " ON CONFLICT (chapter, section) DO UPDATE"
                " SET number = edition.number + 1, instruction = excluded.instruction",
                (chapter, section, instruction),
            )
        return self.edition(chapter, section)


def _refuse_huge(limits: list[Limit], openings: Mapping[str, int], money: Mapping[str, int]) -> None:
    figures = [*openings.values(), *money.values()]
    for limit in limits:
        figures += [figure for figure in (limit.tokens, limit.pico_usd) if figure is not None]
    for figure in figures:
        if not -LARGEST <= figure <= LARGEST:
            raise LedgerError(
                f"{figure:,} is more than a ledger can hold; the most is {LARGEST:,} tokens or 4 million dollars"
            )
