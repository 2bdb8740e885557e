"""The attempt rows: how an attempt is opened, and how it changes state.

A change of state is one row of history, and it moves the attempt's tokens between the columns of its scopes in the same
transaction (``_change``). Nothing else ever changes an attempt.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from expand.budget import Amount
from expand.errors import LedgerError
from expand.ledger import budget_totals, rows
from expand.ledger.database import Connection
from expand.ledger.values import AttemptRow, Order, Reservation, State, StoredAnswer, UsageSource
from expand.llm.types import Answer, AttemptFailedError, Usage

MOST_TOKENS = 10**12
"""A usage above this is taken for a slip of the provider, and so for no usage at all."""

MOST_PICO_USD = 10**18
"""So is one that would cost more than this, a million dollars, for one answer."""

RELEASE_FROM = (State.RESERVED, State.SENT, State.UNKNOWN)
SETTLE_FROM = (State.SENT, State.UNKNOWN, State.RECONCILED, State.SETTLED)
"""An answer is kept however late it comes: another process may have taken this one for dead while its connection to the
ledger was lost, or a first try to settle may have been lost half-way.
"""

Columns = Mapping[str, str | int | None]


class Charge(NamedTuple):
    """What an attempt is charged in the end. ``cost_pico_usd`` is None without a price."""

    usage: Usage
    source: UsageSource | None
    cost_pico_usd: int | None

    @property
    def amount(self) -> Amount:
        """The same as an amount."""
        return Amount(tokens=self.usage.total, pico_usd=self.cost_pico_usd)


NOTHING = Charge(usage=Usage(prompt=0, completion=0), source=None, cost_pico_usd=None)


def at_reservation(row: AttemptRow) -> Charge:
    """The charge of an attempt whose usage is not known: all that was reserved for it."""
    completion = min(row.output_cap, row.reserved.tokens)
    usage = Usage(prompt=row.reserved.tokens - completion, completion=completion)
    return Charge(usage=usage, source="reservation", cost_pico_usd=row.reserved.pico_usd)


# --- opening one ----------------------------------------------------------------------------------


def note_question(connection: Connection, question: str | None, key: str) -> None:
    """Note which request a question was last put in. An answer to a question serves even where the request would by now
    read differently, say because another section was rewritten in between.
    """
    if question is not None:
        rows.insert(connection, "question", {"key": question, "request_key": key}, key=("key",))


def keep_request(connection: Connection, key: str, form: str) -> None:
    """Keep the canonical form of a request under its key, once."""
    connection.execute(
        "INSERT INTO request (key, form) VALUES (?, ?) ON CONFLICT (key) DO UPDATE"
        " SET form = excluded.form WHERE request.form IS NULL",
        (key, zlib.compress(form.encode(), 1)),
    )


def open_attempt(connection: Connection, order: Order, *, owner: str, now: datetime, sent: bool) -> Reservation:
    """Write a new attempt, reserved or ``sent`` at once, and take its amount from every scope, each of which has an
    account.
    """
    # The request's form is kept with its first attempt, before it is sent: the audit derives the key from it, and a
    # batch that is submitted after a crash needs the words.
    key, scopes, at = order.request.key, order.all_scopes, rows.timestamp(now)
    keep_request(connection, key, order.request.canonical())
    note_question(connection, order.question, key)
    attempt_id = rows.new_id(8)
    state = State.SENT if sent else State.RESERVED
    rows.insert(
        connection,
        "attempt",
        {
            "id": attempt_id,
            "request_key": key,
            "run": order.run_id,
            "owner": owner,
            "chapter": order.address.chapter,
            "section": order.address.section,
            "purpose": order.address.purpose,
            "language": order.language,
            "plan": order.plan,
            "model": order.request.model,
            "scopes": json.dumps(scopes, ensure_ascii=False),
            "state": state,
            "prompt_estimate": order.prompt_tokens if order.prompt_estimate is None else order.prompt_estimate,
            "output_cap": order.request.max_output_tokens,
            "reserved_tokens": order.amount.tokens,
            "reserved_pico": order.amount.pico_usd,
            "reserved_at": at,
            "sent_at": at if sent else None,
        },
    )
    # Two lines of history although there is one transaction: the audit checks the same path of states for live attempts
    # and for those of a batch, which are sent much later.
    _record(connection, attempt_id, State.RESERVED, at, f"{order.amount.tokens} tokens")
    if sent:
        _record(connection, attempt_id, State.SENT, at, "")
    budget_totals.add(connection, scopes, budget_totals.share(state, reserved=order.amount, charged=NOTHING.amount))
    return Reservation(attempt_id=attempt_id, amount=order.amount)


# --- changing one ---------------------------------------------------------------------------------


def fetch(connection: Connection, attempt_id: str, allowed: tuple[State, ...]) -> AttemptRow:
    """The attempt, which must be in one of the ``allowed`` states. Raises ``LedgerError``."""
    found = connection.execute("SELECT * FROM attempt WHERE id = ?", (attempt_id,)).fetchone()
    if found is None:
        raise LedgerError(f"attempt {attempt_id}: not in this ledger; check its id")
    row = rows.read(found)
    if row.state not in allowed:
        raise LedgerError(f"attempt {attempt_id}: is {row.state}, not {' or '.join(allowed)}; nothing was changed")
    return row


def in_flight(connection: Connection, owner: str, *, most: int | None = None) -> list[AttemptRow]:
    """The attempts of an owner whose outcome is open, in the order in which they were reserved."""
    limit = "" if most is None else f" LIMIT {most}"
    found = connection.execute(
        f"SELECT * FROM attempt WHERE owner = ? AND state IN ('reserved', 'sent') ORDER BY seq{limit}", (owner,)
    )
    return [rows.read(row) for row in found.fetchall()]


def mark_sent(connection: Connection, row: AttemptRow, now: datetime) -> None:
    """Reserved becomes sent; the reservation stays."""
    _change(connection, row, State.SENT, now, columns={"sent_at": rows.timestamp(now)}, history="")


def release(connection: Connection, row: AttemptRow, failed: AttemptFailedError, now: datetime) -> None:
    """The attempt was not billed: give its reservation back, or what it was charged for it."""
    columns = _failure_columns(failed)
    _end(connection, row, State.RELEASED, NOTHING, now, columns=columns, history=str(failed.failure))


def leave_unknown(connection: Connection, row: AttemptRow, failed: AttemptFailedError, now: datetime) -> None:
    """Nobody knows whether the attempt was billed: charge its reservation."""
    _end(connection, row, State.UNKNOWN, at_reservation(row), now, columns=_failure_columns(failed))


def reconcile(connection: Connection, row: AttemptRow, charge: Charge, now: datetime) -> None:
    """An unknown outcome became known: charge what was really billed."""
    _end(connection, row, State.RECONCILED, charge, now)


def settle(connection: Connection, row: AttemptRow, answer: Answer, cost_pico_usd: int | None, now: datetime) -> None:
    """Charge an attempt for its answer, and store that. Without a credible report the reservation is charged; without a
    cost, the price of the reservation.
    """
    # The reservation is the default and the report the exception. The other way round, a server that forgets its usage
    # would write for nothing, and the limit would not hold.
    charge = at_reservation(row)
    if answer.usage is not None and _credible(answer.usage, cost_pico_usd):
        cost = row.reserved.pico_usd if cost_pico_usd is None else cost_pico_usd
        charge = Charge(usage=answer.usage, source="provider", cost_pico_usd=cost)
    columns = {
        "finish": answer.finish,
        "answered_by": rows.clean(answer.model),
        "provider_request_id": rows.clean(answer.provider_request_id),
    }
    _end(connection, row, State.SETTLED, charge, now, columns=columns)
    _keep_answer(connection, row, answer)


def settle_once(
    connection: Connection, attempt_id: str, answer: Answer, cost_pico_usd: int | None, now: datetime
) -> StoredAnswer:
    """Settle an attempt that may have been settled, or given up, before. Returns the answer that its request has from
    now on: an earlier one stays. Raises ``LedgerError``.
    """
    row = fetch(connection, attempt_id, SETTLE_FROM)
    # Settled already: a connection broke after the commit and before its acknowledgement, and the caller tries again.
    # Charging once more would count one answer twice.
    if row.state is not State.SETTLED:
        settle(connection, row, answer, cost_pico_usd, now)
    # Read it back rather than return `answer`: another attempt at the same request may have been settled before. All
    # who ask for a request must get the same text, or two runs would draft different sections.
    stored = rows.stored_answer(connection, row.request_key)
    assert stored is not None  # it was written just now, or before
    return stored


def _credible(usage: Usage, cost_pico_usd: int | None) -> bool:
    if cost_pico_usd is not None and cost_pico_usd > MOST_PICO_USD:
        return False
    figures = (usage.prompt, usage.completion, usage.cached, usage.reasoning)
    return min(figures) >= 0 and usage.total > 0 and max(figures) <= MOST_TOKENS


def _keep_answer(connection: Connection, row: AttemptRow, answer: Answer) -> None:
    """Store the answer's text under its request. An answer that is already there stays: what was handed out once must
    be handed out again. One whose text was left out of an import gives way.
    """
    # Lone surrogates cannot be encoded, and some servers send them. Refusing the text would lose what is paid for.
    text = rows.encodable(answer.text)
    connection.execute(
        "INSERT INTO answer (request_key, attempt, text, sha256, finish, model)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (request_key) DO UPDATE SET"
        " attempt = excluded.attempt, text = excluded.text, sha256 = excluded.sha256,"
        " finish = excluded.finish, model = excluded.model WHERE answer.text IS NULL",
        (
            row.request_key,
            row.id,
            connection.exact(text),
            hashlib.sha256(text.encode()).hexdigest(),
            answer.finish,
            rows.clean(answer.model),
        ),
    )


def _failure_columns(failed: AttemptFailedError) -> Columns:
    return {"failure": failed.failure, "status": failed.status, "message": rows.clean(failed.message)[:2000]}


def _end(
    connection: Connection,
    row: AttemptRow,
    state: State,
    charge: Charge,
    now: datetime,
    *,
    columns: Columns | None = None,
    history: str | None = None,
) -> None:
    """Charge an attempt, and free what held its place. ``columns`` are further ones to set."""
    usage = charge.usage
    charged: Columns = {
        "prompt": usage.prompt,
        "cached": usage.cached,
        "completion": usage.completion,
        "reasoning": usage.reasoning,
        "usage_source": charge.source,
        "cost_pico": charge.cost_pico_usd,
        "ended_at": rows.timestamp(now),
    }
    told = f"{usage.total} tokens by {charge.source}" if history is None else history
    _change(connection, row, state, now, columns={**charged, **(columns or {})}, history=told, charged=charge.amount)


def _change(
    connection: Connection,
    row: AttemptRow,
    state: State,
    now: datetime,
    *,
    columns: Columns,
    history: str,
    charged: Amount = NOTHING.amount,
) -> None:
    """Change an attempt's state, its history and its scopes' totals: the three always agree."""
    names = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(f"UPDATE attempt SET state = ?, {names} WHERE id = ?", (state, *columns.values(), row.id))
    _record(connection, row.id, state, rows.timestamp(now), history)
    # The old share is taken from the row as it was read in this transaction. Taking it from the caller's copy would go
    # wrong whenever another process changed the attempt in between.
    before = budget_totals.share(row.state, reserved=row.reserved, charged=row.charged)
    after = budget_totals.share(state, reserved=row.reserved, charged=charged)
    budget_totals.add(connection, row.scopes, after, instead_of=before)


def _record(connection: Connection, attempt_id: str, state: State, at: str, detail: str) -> None:
    connection.execute(
        "INSERT INTO event (attempt, state, at, detail) VALUES (?, ?, ?, ?)", (attempt_id, state, at, detail)
    )
