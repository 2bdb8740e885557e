"""The attempt rows: how one is opened, how it changes state, and how it is read back.

A change of state is one row of history, and it moves the attempt's tokens between the columns of
its scopes in the same transaction. Nothing else ever changes an attempt.
"""

from __future__ import annotations

import functools
import hashlib
import json
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from expand.budget import Amount
from expand.errors import LedgerError
from expand.ledger import budget_totals, rows
from expand.ledger.budget_totals import Move
from expand.ledger.database import Connection
from expand.ledger.rows import stamp
from expand.ledger.values import AttemptRow, Order, State, UsageSource
from expand.llm.types import Answer, AttemptFailedError, Usage

# What is asked, whatever the exact words: a question remembers the request it was last put in.
#
# An answer to a question serves even where the request would by now read differently, say because
# another section was rewritten in between.


def keep(connection: Connection, question: str | None, key: str) -> None:
    """Note which request a question was last put in."""
    if question is not None:
        connection.execute(
            "INSERT INTO question (key, request_key) VALUES (?, ?)"
            " ON CONFLICT (key) DO UPDATE SET request_key = excluded.request_key",
            (question, key),
        )


def requests(connection: Connection, question: str | None, key: str) -> tuple[str, ...]:
    """The request keys whose answer would serve: the question's own first, then ``key``."""
    row = connection.execute("SELECT request_key FROM question WHERE key = ?", (question,)).fetchone()
    return (key,) if row is None or row["request_key"] == key else (row["request_key"], key)


SEND_FROM = (State.RESERVED,)
END_FROM = (State.SENT,)
SETTLE_FROM = (State.SENT, State.UNKNOWN, State.RECONCILED, State.SETTLED)
"""An answer is kept however late it comes: another process may have taken this one for dead while
its connection to the ledger was lost, or a first try to settle may have been lost half-way."""
CANCEL_FROM = (State.RESERVED, State.SENT, State.UNKNOWN)


def clean(text: str) -> str:
    """The text with U+FFFD for what not every database holds: lone surrogates and NUL."""
    return encodable(text).replace("\x00", "\ufffd")


def encodable(text: str) -> str:
    """The text with U+FFFD for lone surrogates, which no UTF-8 file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


_WINDOW_BITS, _MEMORY = 12, 5
"""4 KB, about what a request is, and as little to look for repetitions with: less to set up."""


def _packed(form: bytes) -> bytes:
    packing = zlib.compressobj(1, zlib.DEFLATED, _WINDOW_BITS, _MEMORY)
    return packing.compress(form) + packing.flush()


def keep_request(connection: Connection, key: str, form: str) -> None:
    """Keep the canonical form of a request under its key, once."""
    connection.execute(
        "INSERT INTO request (key, form) VALUES (?, ?) ON CONFLICT (key) DO UPDATE"
        " SET form = excluded.form WHERE request.form IS NULL",
        (key, _packed(form.encode())),
    )


def open_attempt(
    connection: Connection,
    order: Order,
    key: str,
    *,
    attempt_id: str,
    owner: str,
    now: datetime,
    sent: bool = False,
) -> None:
    """Write a new attempt in state reserved and take its amount from every scope, each of which
    has an account. ``sent``: it is marked as sent at once, which its history says after the other.
    """
    scopes = order.all_scopes
    at = stamp(now)
    connection.execute(
        "INSERT INTO attempt (id, request_key, run, owner, chapter, section, purpose, language,"
        " plan, model, scopes, state, prompt_estimate, output_cap, reserved_tokens,"
        " reserved_pico, reserved_at, sent_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            attempt_id,
            key,
            order.run_id,
            owner,
            order.address.chapter,
            order.address.section,
            order.address.purpose,
            order.language,
            order.plan,
            order.request.model,
            _listed(scopes),
            State.SENT if sent else State.RESERVED,
            order.prompt_tokens if order.prompt_estimate is None else order.prompt_estimate,
            order.request.max_output_tokens,
            order.amount.tokens,
            order.amount.pico_usd,
            at,
            at if sent else None,
        ),
    )
    first = (attempt_id, State.RESERVED, at, f"{order.amount.tokens} tokens")
    if sent:
        connection.execute(f"{_HISTORY}, (?, ?, ?, ?)", (*first, attempt_id, State.SENT, at, ""))
    else:
        connection.execute(_HISTORY, first)
    budget_totals.move(connection, scopes, Move(reserved=order.amount))


@functools.lru_cache(512)
def _listed(scopes: tuple[str, ...]) -> str:
    return json.dumps(scopes, ensure_ascii=False)


_HISTORY = "INSERT INTO event (attempt, state, at, detail) VALUES (?, ?, ?, ?)"


def record(connection: Connection, attempt_id: str, state: State, now: datetime, detail: str) -> None:
    """Add a row to the attempt's history."""
    connection.execute(_HISTORY, (attempt_id, state, stamp(now), detail))


class Charge(NamedTuple):
    """What an attempt is charged in the end. ``cost_pico_usd`` is None without a price."""

    usage: Usage
    source: UsageSource
    cost_pico_usd: int | None

    @property
    def amount(self) -> Amount:
        """The same as an amount."""
        return Amount(tokens=self.usage.total, pico_usd=self.cost_pico_usd)


def at_reservation(row: AttemptRow, source: UsageSource = "reservation") -> Charge:
    """The charge of an attempt whose usage is not known: all that was reserved for it."""
    completion = min(row.output_cap, row.reserved.tokens)
    return Charge(
        usage=Usage(prompt=row.reserved.tokens - completion, completion=completion),
        source=source,
        cost_pico_usd=row.reserved.pico_usd,
    )


def fetch(connection: Connection, attempt_id: str, allowed: tuple[State, ...]) -> AttemptRow:
    """The attempt, which must be in one of the ``allowed`` states, and which nobody else changes
    before this transaction ends. Raises ``LedgerError``.
    """
    found = connection.execute(f"SELECT * FROM attempt WHERE id = ?{connection.lock}", (attempt_id,)).fetchone()
    if found is None:
        raise LedgerError(f"attempt {attempt_id}: not in this ledger; check its id")
    row = rows.read(found)
    if row.state not in allowed:
        raise LedgerError(f"attempt {attempt_id}: is {row.state}, not {' or '.join(allowed)}; nothing was changed")
    return row


def mark_sent(connection: Connection, row: AttemptRow, now: datetime) -> None:
    """Reserved becomes sent; the reservation stays."""
    _update(connection, row.id, {"state": State.SENT, "sent_at": stamp(now)})
    record(connection, row.id, State.SENT, now, "")


def record_charge(connection: Connection, attempt_id: str, state: State, charged: Charge, now: datetime) -> None:
    """Say in the attempt's history what it was charged."""
    detail = f"{charged.usage.total} tokens by {charged.source}"
    record(connection, attempt_id, state, now, detail)


def charge(
    connection: Connection,
    row: AttemptRow,
    state: State,
    charged: Charge,
    *,
    now: datetime,
    detail: Mapping[str, str | int | None],
) -> None:
    """Settle, leave unknown or reconcile: charge the attempt and free what held its place.

    ``detail`` holds further columns of the attempt to set.
    """
    usage = charged.usage
    _update(
        connection,
        row.id,
        {
            "state": state,
            "prompt": usage.prompt,
            "cached": usage.cached,
            "completion": usage.completion,
            "reasoning": usage.reasoning,
            "usage_source": charged.source,
            "cost_pico": charged.cost_pico_usd,
            "ended_at": stamp(now),
            **detail,
        },
    )
    record_charge(connection, row.id, state, charged, now)
    amount = charged.amount
    unknown = state is State.UNKNOWN
    _rebook(connection, row, Move(unknown=amount) if unknown else Move(settled=amount))


_UNCHARGED: Mapping[str, str | int | None] = {
    **dict.fromkeys(("prompt", "cached", "completion", "reasoning"), 0),
    **dict.fromkeys(("usage_source", "cost_pico")),
}


def release(connection: Connection, row: AttemptRow, failed: AttemptFailedError, now: datetime) -> None:
    """The attempt was not billed: give its reservation back, or what it was charged for it."""
    columns = {"state": State.RELEASED, "ended_at": stamp(now), **failure_columns(failed)}
    if row.state is State.UNKNOWN:
        columns |= _UNCHARGED
    _update(connection, row.id, columns)
    record(connection, row.id, State.RELEASED, now, failed.failure)
    _rebook(connection, row, Move())


def leave_unknown(connection: Connection, row: AttemptRow, failed: AttemptFailedError, now: datetime) -> None:
    """Nobody knows whether the attempt was billed: charge its reservation."""
    charge(
        connection,
        row,
        State.UNKNOWN,
        at_reservation(row),
        now=now,
        detail=failure_columns(failed),
    )


def failure_columns(failed: AttemptFailedError) -> dict[str, str | int | None]:
    """The columns that say why an attempt brought no answer."""
    return {
        "failure": failed.failure,
        "status": failed.status,
        "message": clean(failed.message)[:2000],
    }


def _rebook(connection: Connection, row: AttemptRow, now: Move) -> None:
    """Take from the scopes what the attempt added to them as it was, and add what it does now."""
    budget_totals.move(connection, row.scopes, budget_totals.reverse(budget_totals.share(row)), now)


def _update(connection: Connection, attempt_id: str, columns: Mapping[str, str | int | None]) -> None:
    names = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(
        f"UPDATE attempt SET {names} WHERE id = ?",
        (*columns.values(), attempt_id),
    )


def keep_answer(connection: Connection, attempt_id: str, request_key: str, answer: Answer) -> bool:
    """Store the answer's text under its request; an answer that is already there stays,
    unless its text was left out of an import. Returns whether it was stored.
    """
    text = encodable(answer.text)
    kept = connection.execute(
        "INSERT INTO answer (request_key, attempt, text, sha256, finish, model)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (request_key) DO UPDATE SET"
        " attempt = excluded.attempt, text = excluded.text, sha256 = excluded.sha256,"
        " finish = excluded.finish, model = excluded.model WHERE answer.text IS NULL"
        " RETURNING attempt",
        (
            request_key,
            attempt_id,
            connection.exact(text),
            hashlib.sha256(text.encode()).hexdigest(),
            answer.finish,
            clean(answer.model),
        ),
    )
    return kept.fetchone() is not None


def reconcile(connection: Connection, row: AttemptRow, charged: Charge, now: datetime) -> None:
    """An unknown outcome became known: charge what was really billed."""
    charge(connection, row, State.RECONCILED, charged, now=now, detail={})
