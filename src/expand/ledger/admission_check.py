"""What stands in an order's way: it is bought already, a limit would be passed, or the model may not be called now."""

import json
from dataclasses import replace
from datetime import timedelta

from expand.budget import Balance, Shortfall, shortfall
from expand.ledger import attempts
from expand.ledger.database import Connection
from expand.ledger.values import Held, InFlight, Order, Paused, Refused, StoredAnswer

WINDOW = timedelta(seconds=60)
BUSY_SECONDS = 0.25
"""How long to wait before asking again whether a call in flight has ended."""

_IN_FLIGHT = "state IN ('reserved', 'sent')"
_NO_BATCH = "NOT EXISTS (SELECT 1 FROM batch WHERE batch.id = attempt.owner)"
"""SQL: not in a batch, which has limits of its own."""


def objection(
    connection: Connection, order: Order, *, hold_unknown: bool
) -> StoredAnswer | InFlight | Held | Refused | None:
    """What is there already, or which limit would be passed; None when the order may be bought. With ``hold_unknown``,
    an earlier attempt whose outcome is unknown stands in the way.

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
    # Only on request. By default an unknown outcome is bought again: its text is lost, both attempts are reserved, and
    # the limit holds either way.
    if hold_unknown:
        unknown = connection.execute(f"SELECT id FROM attempt WHERE state = 'unknown' AND {attempts.SERVES}", serves)
        if (held := unknown.fetchone()) is not None:
            return Held(attempt_id=held["id"])
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
    if missing.waitable and (held := _in_batches(connection, missing)):
        missing = replace(missing, reserved=missing.reserved - held)
        if not missing.waitable:
            message += "; batches that are not collected yet hold the rest"
    return Refused(message=message, shortfall=missing)


def _in_batches(connection: Connection, missing: Shortfall) -> int:
    """How much of what a scope has reserved is in batches, and so does not come back soon."""
    column = "reserved_pico" if missing.unit == "pico-USD" else "reserved_tokens"
    # Scopes are compared in Python: they are a JSON list, and the two databases have no common function for it. There
    # are few open batches, and this runs only when an order does not fit.
    found = connection.query(
        f"SELECT scopes, {column} AS held FROM attempt JOIN batch ON batch.id = attempt.owner WHERE {_IN_FLIGHT}"
    )
    return sum(row["held"] or 0 for row in found if missing.scope in json.loads(row["scopes"]))


def obstacle(connection: Connection, order: Order) -> Paused | None:
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
