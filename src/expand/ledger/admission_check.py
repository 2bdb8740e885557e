"""What a ledger says to an order, apart from yes: it is there already, or it may not be bought."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

from expand.budget import Balance, Shortfall, shortfall
from expand.errors import LedgerError
from expand.ledger import attempts, budget_totals, rows
from expand.ledger.database import Connection
from expand.ledger.rows import parse, stamp
from expand.ledger.values import Held, InFlight, ModelLimits, Order, Paused, Refused, StoredAnswer

# What holds calls to a model back, over all processes: a pause, or its limits per minute.
#
# A call counts in the minute after it was reserved. Its tokens are its reservation while it is in
# flight, and what it was charged afterwards, so a refused call costs a request and no tokens.

WINDOW = timedelta(seconds=60)
_LIVE = "NOT EXISTS (SELECT 1 FROM batch WHERE batch.id = attempt.owner)"
"""SQL: not in a batch, which has limits of its own."""
BUSY_SECONDS = 0.25
"""How long to wait before asking again whether a call in flight has ended."""


def pause(connection: Connection, model: str, until: datetime) -> None:
    """Let nobody call ``model`` before ``until``; a longer pause already set stays."""
    connection.execute(
        "INSERT INTO pause (model, until) VALUES (?, ?)"
        " ON CONFLICT (model) DO UPDATE SET until = excluded.until"
        " WHERE pause.until < excluded.until",
        (model, stamp(until)),
    )


def obstacle(connection: Connection, order: Order, until: str | None, now: datetime) -> Paused | None:
    """Why the order's model may not be called right now, and for how long; None when it may.
    ``until`` is when the pause that its provider asked for ends.
    """
    model = order.request.model
    return _resting(model, until, now) or _crowded(connection, model, order.rates) or _too_fast(connection, order, now)


def paused(connection: Connection, model: str, now: datetime) -> Paused | None:
    """The pause that a provider asked for, while it lasts."""
    row = connection.execute("SELECT until FROM pause WHERE model = ?", (model,)).fetchone()
    return _resting(model, None if row is None else row["until"], now)


def _resting(model: str, until: str | None, now: datetime) -> Paused | None:
    left = 0.0 if until is None else (parse(until) - now).total_seconds()
    if left <= 0:
        return None
    return Paused(seconds=left, reason=f"{model}: the provider asked for a pause")


def _crowded(connection: Connection, model: str, limits: ModelLimits) -> Paused | None:
    if limits.concurrency is None:
        return None
    live: int = connection.execute(
        f"SELECT count(*) FROM attempt WHERE model = ? AND state IN ('reserved', 'sent') AND {_LIVE}",
        (model,),
    ).fetchone()[0]
    if live < limits.concurrency:
        return None
    return Paused(seconds=BUSY_SECONDS, reason=f"{model}: {live} calls at a time are in flight")


def _too_fast(connection: Connection, order: Order, now: datetime) -> Paused | None:
    limits, model = order.rates, order.request.model
    if limits.rpm is None and limits.tpm is None:
        return None
    calls, tokens, oldest = connection.execute(
        "SELECT count(*), coalesce(sum(CASE WHEN state IN ('reserved', 'sent')"
        " THEN reserved_tokens ELSE prompt + completion END), 0), min(reserved_at)"
        " FROM attempt WHERE model = ? AND reserved_at > ?"
        f" AND NOT (state = 'released' AND sent_at IS NULL) AND {_LIVE}",
        (model, stamp(now - WINDOW)),
    ).fetchone()
    if oldest is None:
        return None  # an order above the limit of a whole minute may go when it goes alone
    seconds = max(BUSY_SECONDS, (parse(oldest) + WINDOW - now).total_seconds())
    if limits.rpm is not None and calls >= limits.rpm:
        return Paused(seconds=seconds, reason=f"{model}: {calls:,} calls in the last minute")
    if limits.tpm is not None and tokens + order.amount.tokens > limits.tpm:
        return Paused(seconds=seconds, reason=f"{model}: {tokens:,} tokens in the last minute")
    return None


_SERVES = "request_key IN (?, (SELECT request_key FROM question WHERE key = ?))"
_MET = (
    f"EXISTS (SELECT 1 FROM answer WHERE {_SERVES} AND text IS NOT NULL)"
    f" OR EXISTS (SELECT 1 FROM attempt WHERE {_SERVES} AND state IN ('reserved', 'sent'))"
)
_UNKNOWN = f" OR EXISTS (SELECT 1 FROM attempt WHERE {_SERVES} AND state = 'unknown')"
_PAUSE = "(SELECT until FROM pause WHERE model = ?) AS until"
_GLANCE = f"SELECT {_MET} AS met, {_PAUSE}"
_GLANCE_HOLDING = f"SELECT {_MET}{_UNKNOWN} AS met, {_PAUSE}"


class AdmissionCheck:
    """What stands in an order's way. Asked for when it is made and read later, in so few statements
    that a server is reached once: mostly nothing stands there.
    """

    def __init__(self, connection: Connection, order: Order, *, hold_unknown: bool) -> None:
        serves = (order.request.key, order.question)
        self._connection = connection
        self._order = order
        self._hold = hold_unknown
        self._scopes = order.all_scopes
        self._glance = connection.execute(
            _GLANCE_HOLDING if hold_unknown else _GLANCE,
            (*serves * (3 if hold_unknown else 2), order.request.model),
        )
        self._balances = budget_totals.ask(connection, self._scopes)
        self.until: str | None = None
        """When the pause of the order's model ends; read with the verdict."""

    def verdict(self) -> StoredAnswer | InFlight | Held | Refused | None:
        """What is there already, or which limit would be passed; None when it may be bought."""
        connection, order = self._connection, self._order
        met, self.until = self._glance.fetchone()
        if met:
            return self._there()
        balances = budget_totals.told(connection, self._scopes, self._balances)
        return _refused(connection, order, balances)

    def _there(self) -> StoredAnswer | InFlight | Held:
        connection, order = self._connection, self._order
        for known in attempts.requests(connection, order.question, order.request.key):
            there = _found(connection, known, hold_unknown=self._hold)
            if there is not None:
                attempts.keep(connection, order.question, known)
                return there
        raise LedgerError(
            f"request {order.request.key}: its answer's attempt is not in this ledger; "
            "`expand ledger verify` says how far it is damaged"
        )


def _found(connection: Connection, key: str, *, hold_unknown: bool) -> StoredAnswer | InFlight | Held | None:
    """What the ledger knows of the request already; None when it may be bought.

    With ``hold_unknown``, an earlier attempt whose outcome is unknown stands in the way.
    """
    stored = rows.stored_answer(connection, key)
    if stored is not None:
        return stored
    live = connection.execute(
        "SELECT attempt.id, attempt.owner, batch.id AS batch FROM attempt"
        " LEFT JOIN batch ON batch.id = attempt.owner"
        " WHERE request_key = ? AND state IN ('reserved', 'sent')",
        (key,),
    ).fetchone()
    if live is not None:
        in_batch = live["batch"] is not None
        return InFlight(attempt_id=live["id"], owner=live["owner"], in_batch=in_batch)
    if hold_unknown:
        unknown = connection.execute(
            "SELECT id FROM attempt WHERE request_key = ? AND state = 'unknown'", (key,)
        ).fetchone()
        if unknown is not None:
            return Held(attempt_id=unknown["id"])
    return None


def _refused(connection: Connection, order: Order, balances: tuple[Balance, ...]) -> Refused | None:
    """Which limit the order would pass; None when it fits them all."""
    if order.amount.pico_usd is None and not order.unpriced:
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
    if missing.waitable and (held := _in_batches(connection, missing)):
        missing = replace(missing, reserved=missing.reserved - held)
        if not missing.waitable:
            message += "; batches that are not collected yet hold the rest"
    return Refused(message=message, shortfall=missing)


def _in_batches(connection: Connection, missing: Shortfall) -> int:
    """How much of what a scope has reserved is in batches, and so does not come back soon."""
    column = "reserved_pico" if missing.unit == "pico-USD" else "reserved_tokens"
    found = connection.execute(
        f"SELECT scopes, {column} AS held FROM attempt JOIN batch ON batch.id = attempt.owner"
        " WHERE state IN ('reserved', 'sent')"
    ).fetchall()
    return sum(row["held"] or 0 for row in found if missing.scope in json.loads(row["scopes"]))
