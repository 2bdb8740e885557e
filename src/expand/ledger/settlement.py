"""What an answer costs, and how it is written down.

Nearly every answer comes to an attempt that is in flight, with a usage that can be believed: that
takes one change of the attempt. Whatever else there is has its attempt looked at first.
"""

from __future__ import annotations

import json
from datetime import datetime

from expand.budget import Amount
from expand.ledger import attempts, budget_totals, rows
from expand.ledger.attempts import Charge
from expand.ledger.budget_totals import Move
from expand.ledger.database import Connection
from expand.ledger.rows import stamp
from expand.ledger.values import AttemptRow, State, StoredAnswer
from expand.llm.types import Answer, Usage

MOST_TOKENS = 10**12
"""A usage above this is taken for a slip of the provider, and so for no usage at all."""

MOST_PICO_USD = 10**18
"""So is one that would cost more than this, a million dollars, for one answer."""


def settle(
    connection: Connection,
    attempt_id: str,
    answer: Answer,
    cost_pico_usd: int | None,
    now: datetime,
) -> StoredAnswer:
    """Charge an attempt for its answer and store that; returns the answer that the request has
    from now on. Raises ``LedgerError``.
    """
    if answer.usage is not None and _credible(answer.usage, cost_pico_usd):
        stored = _as_reported(connection, attempt_id, answer, answer.usage, cost_pico_usd, now)
        if stored is not None:
            return stored
    row = attempts.fetch(connection, attempt_id, attempts.SETTLE_FROM)
    if row.state is not State.SETTLED:
        charged, details = charge_for(row, answer, cost_pico_usd)
        attempts.charge(connection, row, State.SETTLED, charged, now=now, detail=details)
        return _keep(connection, row.id, row.request_key, answer, charged)
    return _there(connection, row.request_key)


def _as_reported(
    connection: Connection,
    attempt_id: str,
    answer: Answer,
    usage: Usage,
    cost_pico_usd: int | None,
    now: datetime,
) -> StoredAnswer | None:
    """Charge what the provider reported, if the attempt is in flight; None if it is not."""
    ended = connection.execute(
        "UPDATE attempt SET state = 'settled', prompt = ?, cached = ?, completion = ?,"
        " reasoning = ?, usage_source = 'provider', cost_pico = coalesce(?, reserved_pico),"
        " ended_at = ?, finish = ?, answered_by = ?, provider_request_id = ?"
        " WHERE id = ? AND state = 'sent'"
        " RETURNING request_key, scopes, reserved_tokens, reserved_pico, cost_pico",
        (
            usage.prompt,
            usage.cached,
            usage.completion,
            usage.reasoning,
            cost_pico_usd,
            stamp(now),
            answer.finish,
            attempts.clean(answer.model),
            attempts.clean(answer.provider_request_id),
            attempt_id,
        ),
    ).fetchone()
    if ended is None:
        return None
    request_key, scopes, reserved_tokens, reserved_pico, cost = ended
    charged = Charge(usage=usage, source="provider", cost_pico_usd=cost)
    attempts.record_charge(connection, attempt_id, State.SETTLED, charged, now)
    given_back = budget_totals.minus(Amount(tokens=reserved_tokens, pico_usd=reserved_pico))
    change = Move(settled=charged.amount, reserved=given_back)
    budget_totals.move(connection, tuple(json.loads(scopes)), change)
    return _keep(connection, attempt_id, request_key, answer, charged)


def _keep(connection: Connection, attempt_id: str, request_key: str, answer: Answer, charged: Charge) -> StoredAnswer:
    if not attempts.keep_answer(connection, attempt_id, request_key, answer):
        return _there(connection, request_key)
    return StoredAnswer(
        attempt_id=attempt_id,
        text=attempts.encodable(answer.text),
        finish=answer.finish,
        model=attempts.clean(answer.model),
        usage=charged.usage,
        usage_source=charged.source,
        provider_request_id=attempts.clean(answer.provider_request_id),
    )


def _there(connection: Connection, request_key: str) -> StoredAnswer:
    stored = rows.stored_answer(connection, request_key)
    assert stored is not None  # it was there before
    return stored


def charge_for(
    row: AttemptRow, answer: Answer, cost_pico_usd: int | None
) -> tuple[Charge, dict[str, str | int | None]]:
    """What an attempt is charged for its answer, and the columns that say how the answer came.

    Without a credible report the reservation is charged.
    """
    charged = attempts.at_reservation(row)
    if answer.usage is not None and _credible(answer.usage, cost_pico_usd):
        cost = row.reserved.pico_usd if cost_pico_usd is None else cost_pico_usd
        charged = Charge(usage=answer.usage, source="provider", cost_pico_usd=cost)
    return charged, {
        "finish": answer.finish,
        "answered_by": attempts.clean(answer.model),
        "provider_request_id": attempts.clean(answer.provider_request_id),
    }


def _credible(usage: Usage, cost_pico_usd: int | None) -> bool:
    if cost_pico_usd is not None and cost_pico_usd > MOST_PICO_USD:
        return False
    figures = (usage.prompt, usage.completion, usage.cached, usage.reasoning)
    return min(figures) >= 0 and usage.total > 0 and max(figures) <= MOST_TOKENS
