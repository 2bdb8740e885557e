"""What a ledger says to an order, apart from yes: it is there already, or it may not be bought."""

from __future__ import annotations

import json
from dataclasses import replace

from expand.budget import Shortfall, shortfall
from expand.ledger import accounts, rows
from expand.ledger.database import Connection
from expand.ledger.values import Held, InFlight, Order, Refused, StoredAnswer


def found(
    connection: Connection, key: str, *, hold_unknown: bool
) -> StoredAnswer | InFlight | Held | None:
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


def refused(connection: Connection, order: Order) -> Refused | None:
    """Which limit the order would pass; None when it fits them all."""
    balances = accounts.locked(connection, order.all_scopes)
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
