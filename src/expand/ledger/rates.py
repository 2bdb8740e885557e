"""What holds calls to a model back, over all processes: a pause, or its limits per minute.

A call counts in the minute after it was reserved. Its tokens are its reservation while it is in
flight, and what it was charged afterwards, so a refused call costs a request and no tokens.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from expand.ledger.database import Connection
from expand.ledger.moment import parse, stamp
from expand.ledger.values import ModelLimits, Order, Paused

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


def obstacle(
    connection: Connection, order: Order, until: str | None, now: datetime
) -> Paused | None:
    """Why the order's model may not be called right now, and for how long; None when it may.
    ``until`` is when the pause that its provider asked for ends.
    """
    model = order.request.model
    return (
        _resting(model, until, now)
        or _crowded(connection, model, order.rates)
        or _too_fast(connection, order, now)
    )


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
        "SELECT count(*) FROM attempt WHERE model = ? AND state IN ('reserved', 'sent')"
        f" AND {_LIVE}",
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
