"""The attempt rows and the budget rows: how an attempt is opened and changes state, and what its scopes have used.

A change of state is one row of history, and it moves the attempt's tokens between the columns of its scopes in the same
transaction (``_change``). Nothing else ever changes an attempt. Times are text in the tables, and all of one length.

A budget row, one a scope, has running totals, so that a reservation never adds up history. ``used`` of a scope is its
opening balance, what was settled (or reconciled) and what is unknown. Transactions that write follow one another (see
``database``), so no row needs a lock of its own.
"""

import hashlib
import json
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

from expand.budget import Amount, Balance, Limit
from expand.errors import LedgerError
from expand.ledger.database import Connection, Reader
from expand.ledger.values import AttemptRow, Order, Reservation, State, StoredAnswer, UsageSource
from expand.llm.types import Answer, AttemptFailedError, Failure, Finish, Usage

Read = TypeVar("Read")

MOST_TOKENS = 10**12
"""A usage above this is taken for a slip of the provider, and so for no usage at all."""

MOST_PICO_USD = 10**18
"""So is one that would cost more than this, a million dollars, for one answer."""

TOTALS = ("settled_tokens", "settled_pico", "unknown_tokens", "unknown_pico", "reserved_tokens", "reserved_pico")
"""The columns that attempts add up to."""

SERVES = "request_key IN (?, (SELECT request_key FROM question WHERE key = ?))"
"""SQL: rows of a request, or of the request that a question was last put in. Its values: request key, question."""


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


# --- texts, times and rows ------------------------------------------------------------------------


def timestamp(moment: datetime) -> str:
    """A time as the ledger writes it: ``2026-11-23T16:30:54.000000+00:00``, of one length, so that text sorts."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def parse(text: str) -> datetime:
    """Read what ``timestamp`` wrote."""
    return datetime.fromisoformat(text)


def optional(read: Callable[[str], Read], text: str | None) -> Read | None:
    """What a text reads as, or None."""
    return None if text is None else read(text)


def new_id(size: int) -> str:
    """So many random bytes in hexadecimal digits."""
    return os.urandom(size).hex()  # as ``secrets`` does it, which loads half of cryptography


def clean(text: str) -> str:
    """The text with U+FFFD for what not every database holds: lone surrogates and NUL."""
    return encodable(text).replace("\x00", "\ufffd")


def encodable(text: str) -> str:
    """The text with U+FFFD for lone surrogates, which no UTF-8 file can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def exact(text: str | bytes) -> str:
    """Decode what ``Connection.exact`` encoded."""
    return text if isinstance(text, str) else bytes(text).decode()


def insert(
    connection: Connection, table: str, values: Mapping[str, Any], *, key: tuple[str, ...] = (), once: bool = False
) -> None:
    """Insert a row; with ``key``, in the place of one that has the same; ``once``: unless it is there."""
    marks = ", ".join("?" for _ in values)
    others = ", ".join(f"{name} = excluded.{name}" for name in values if name not in key)
    conflict = f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {others}" if key else ""
    conflict = " ON CONFLICT DO NOTHING" if once else conflict
    connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks}){conflict}", tuple(values.values()))


def stored_answer(reader: Reader, key: str, question: str | None = None) -> StoredAnswer | None:
    """The answer to the request that a question was last put in, or else to the request ``key``."""
    found = reader.query(
        "SELECT answer.*, attempt.id, prompt, completion, cached, reasoning, usage_source, provider_request_id"
        " FROM answer LEFT JOIN attempt ON attempt.id = answer.attempt"
        f" WHERE answer.text IS NOT NULL AND answer.{SERVES}",
        (key, question),
    )
    if not found:
        return None
    row = next((row for row in found if row["request_key"] != key), found[0])
    if row["id"] is None:  # else it would be bought again, which nobody may do to an answer that is there
        raise LedgerError(
            f"request {row['request_key']}: its answer's attempt is not in this ledger; "
            "`expand ledger verify` says how far it is damaged"
        )
    usage = _usage(row)
    answer = Answer(
        text=exact(row["text"]),
        finish=Finish(row["finish"]),
        usage=usage if row["usage_source"] == "provider" else None,
        model=row["model"],
        provider_request_id=row["provider_request_id"],
    )
    return StoredAnswer(row["request_key"], row["attempt"], answer, usage)


def _usage(row: Any) -> Usage:
    return Usage(prompt=row["prompt"], completion=row["completion"], cached=row["cached"], reasoning=row["reasoning"])


def read(row: Any) -> AttemptRow:
    """A row of the table ``attempt`` as a value. Raises ``LedgerError`` for a damaged one."""
    try:
        converted = {
            "scopes": tuple(json.loads(row["scopes"])),
            "state": State(row["state"]),
            "reserved": Amount(tokens=row["reserved_tokens"], pico_usd=row["reserved_pico"]),
            "usage": _usage(row),
            "cost_pico_usd": row["cost_pico"],
            "failure": optional(Failure, row["failure"]),
            "finish": optional(Finish, row["finish"]),
            "reserved_at": parse(row["reserved_at"]),
            "sent_at": optional(parse, row["sent_at"]),
            "ended_at": optional(parse, row["ended_at"]),
        }
        # Any other field is called like its column.
        return AttemptRow(**{**{name: row[name] for name in AttemptRow._fields if name not in converted}, **converted})
    except (ValueError, TypeError, RecursionError) as error:
        raise LedgerError(f"attempt {row['id']} is damaged: {error}; `expand ledger verify` says how far") from error


# --- opening one ----------------------------------------------------------------------------------


def share(state: State, reserved: Amount, charged: Amount) -> Counter[str]:
    """What an attempt in this state adds to the totals of its scopes, by column."""
    if state in (State.RESERVED, State.SENT):
        return Counter(reserved_tokens=reserved.tokens, reserved_pico=reserved.pico_usd or 0)
    kind = "unknown" if state is State.UNKNOWN else "settled"
    return Counter({f"{kind}_tokens": charged.tokens, f"{kind}_pico": charged.pico_usd or 0})


def note_question(connection: Connection, question: str | None, key: str) -> None:
    """Note which request a question was last put in. An answer to a question serves even where the request would by now
    read differently, say because another section was rewritten in between."""
    if question is not None:
        insert(connection, "question", {"key": question, "request_key": key}, key=("key",))


def new_row(order: Order, attempt_id: str, *, owner: str, at: str, state: State) -> dict[str, str | int | None]:
    """The columns of a new attempt, reserved or sent ``at`` a time."""
    return {
        "id": attempt_id,
        "request_key": order.request.key,
        "run": order.run_id,
        "owner": owner,
        "chapter": order.address.chapter,
        "section": order.address.section,
        "purpose": order.address.purpose,
        "language": order.language,
        "plan": order.plan,
        "model": order.request.model,
        "scopes": json.dumps(order.scopes, ensure_ascii=False),
        "state": state,
        "prompt_estimate": order.prompt_tokens if order.prompt_estimate is None else order.prompt_estimate,
        "output_cap": order.request.max_output_tokens,
        "reserved_tokens": order.amount.tokens,
        "reserved_pico": order.amount.pico_usd,
        "reserved_at": at,
        "sent_at": at if state is State.SENT else None,
    }


def open_attempt(connection: Connection, order: Order, *, owner: str, state: State) -> Reservation:
    """Write a new attempt, reserved or sent, and take its amount from every scope, each of which has an account."""
    row = new_row(order, attempt_id := new_id(8), owner=owner, at=timestamp(connection.now()), state=state)
    open_row(connection, row, form=order.request.canonical(), question=order.question)
    return Reservation(attempt_id)


def open_row(connection: Connection, row: Mapping[str, Any], *, form: str, question: str | None) -> None:
    """Write an attempt that ``new_row`` made, with history, request and question; take its amount from its scopes."""
    # The request's form is kept with its first attempt, before it is sent: the audit derives the key from it, and a
    # batch that is submitted after a crash needs the words.
    connection.execute(
        "INSERT INTO request (key, form) VALUES (?, ?) ON CONFLICT (key) DO UPDATE"
        " SET form = excluded.form WHERE request.form IS NULL",
        (row["request_key"], zlib.compress(form.encode(), 1)),
    )
    note_question(connection, question, row["request_key"])
    insert(connection, "attempt", row)
    # Two lines of history although there is one transaction: the audit checks the same path of states for live attempts
    # and for those of a batch, which are sent much later.
    state, at, amount = State(row["state"]), row["reserved_at"], Amount(row["reserved_tokens"], row["reserved_pico"])
    _record(connection, row["id"], State.RESERVED, at, f"{amount.tokens} tokens")
    if state is State.SENT:
        _record(connection, row["id"], State.SENT, at, "")
    add_totals(connection, tuple(json.loads(row["scopes"])), share(state, amount, NOTHING.amount))


# --- changing one ---------------------------------------------------------------------------------


def fetch(connection: Connection, attempt_id: str, allowed: tuple[State, ...]) -> AttemptRow:
    """The attempt, which must be in one of the ``allowed`` states. Raises ``LedgerError``."""
    found = connection.execute("SELECT * FROM attempt WHERE id = ?", (attempt_id,)).fetchone()
    if found is None:
        raise LedgerError(f"attempt {attempt_id}: not in this ledger; check its id")
    row = read(found)
    if row.state not in allowed:
        raise LedgerError(f"attempt {attempt_id}: is {row.state}, not {' or '.join(allowed)}; nothing was changed")
    return row


def in_flight(reader: Reader, owner: str) -> list[AttemptRow]:
    """The attempts of an owner whose outcome is open, in the order in which they were reserved."""
    select = "SELECT * FROM attempt WHERE owner = ? AND state IN ('reserved', 'sent') ORDER BY seq"
    return list(map(read, reader.query(select, (owner,))))


def mark_sent(connection: Connection, row: AttemptRow) -> None:
    """Reserved becomes sent; the reservation stays."""
    _change(connection, row, State.SENT, columns={"sent_at": timestamp(connection.now())})


def fail(connection: Connection, row: AttemptRow, failed: AttemptFailedError, *, unbilled: bool = False) -> None:
    """End an attempt without an answer: release one that was not sent or is ``unbilled`` for certain, and what it was
    charged; else leave it unknown, charged at its reservation."""
    columns = {
        "failure": failed.failure,
        "status": failed.status,
        "message": clean(failed.message)[:2000],
        "answered_by": clean(failed.model),
        "provider_request_id": clean(failed.provider_request_id),
    }
    if unbilled or row.state is State.RESERVED:
        _change(connection, row, State.RELEASED, columns=columns, charge=NOTHING, history=str(failed.failure))
    else:
        _change(connection, row, State.UNKNOWN, columns=columns, charge=at_reservation(row))


def reconcile(connection: Connection, row: AttemptRow, charge: Charge) -> None:
    """An unknown outcome became known: charge what was really billed."""
    _change(connection, row, State.RECONCILED, columns={}, charge=charge)


def settle(connection: Connection, row: AttemptRow, answer: Answer, cost_pico_usd: int | None) -> None:
    """Charge an attempt for its answer, and store that. Without a credible report the reservation is charged; without a
    cost, the price of the reservation."""
    # The reservation is the default and the report the exception. The other way round, a server that forgets its usage
    # would write for nothing, and the limit would not hold.
    charge = at_reservation(row)
    if answer.usage is not None and _credible(answer.usage, cost_pico_usd):
        cost = row.reserved.pico_usd if cost_pico_usd is None else cost_pico_usd
        charge = Charge(usage=answer.usage, source="provider", cost_pico_usd=cost)
    columns = {
        "finish": answer.finish,
        "answered_by": clean(answer.model),
        "provider_request_id": clean(answer.provider_request_id),
    }
    _change(connection, row, State.SETTLED, columns=columns, charge=charge)
    # Lone surrogates cannot be encoded, and some servers send them. Refusing the text would lose what is paid for.
    text = encodable(answer.text)
    # An answer that is already there stays: what was handed out once must be handed out again. One whose text was left
    # out of an import gives way.
    connection.execute("DELETE FROM answer WHERE request_key = ? AND text IS NULL", (row.request_key,))
    stored = {
        "request_key": row.request_key,
        "attempt": row.id,
        "text": connection.exact(text),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "finish": answer.finish,
        "model": columns["answered_by"],
    }
    insert(connection, "answer", stored, once=True)


def settle_once(connection: Connection, attempt_id: str, answer: Answer, cost_pico_usd: int | None) -> StoredAnswer:
    """Settle an attempt that may have been settled, or given up, before. Returns the answer that its request has from
    now on: an earlier one stays. Raises ``LedgerError``."""
    # An answer is kept however late it comes: another process may have taken this one for dead while its connection to
    # the ledger was lost.
    row = fetch(connection, attempt_id, (State.SENT, State.UNKNOWN, State.RECONCILED, State.SETTLED))
    # Settled already: a connection broke after the commit and before its acknowledgement, and the caller tries again.
    # Charging once more would count one answer twice.
    if row.state is not State.SETTLED:
        settle(connection, row, answer, cost_pico_usd)
    # Read it back rather than return `answer`: another attempt at the same request may have been settled before. All
    # who ask for a request must get the same text, or two runs would draft different sections.
    stored = stored_answer(connection, row.request_key)
    assert stored is not None  # it was written just now, or before
    return stored


def _credible(usage: Usage, cost_pico_usd: int | None) -> bool:
    if cost_pico_usd is not None and cost_pico_usd > MOST_PICO_USD:
        return False
    figures = (usage.prompt, usage.completion, usage.cached, usage.reasoning)
    return min(figures) >= 0 and usage.total > 0 and max(figures) <= MOST_TOKENS


def _change(
    connection: Connection,
    row: AttemptRow,
    state: State,
    *,
    columns: Mapping[str, str | int | None],
    charge: Charge | None = None,
    history: str = "",
) -> None:
    """Change an attempt's state, its history and its scopes' totals: the three always agree. With a ``charge``, which
    frees what held its place, the attempt ends."""
    at, amount = timestamp(connection.now()), NOTHING.amount
    if charge is not None:
        usage, amount = charge.usage, charge.amount
        history = history or f"{amount.tokens} tokens by {charge.source}"
        columns = {
            "prompt": usage.prompt,
            "cached": usage.cached,
            "completion": usage.completion,
            "reasoning": usage.reasoning,
            "usage_source": charge.source,
            "cost_pico": charge.cost_pico_usd,
            "ended_at": at,
            **columns,
        }
    names = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(f"UPDATE attempt SET state = ?, {names} WHERE id = ?", (state, *columns.values(), row.id))
    _record(connection, row.id, state, at, history)
    moved = share(state, row.reserved, amount)
    moved.subtract(share(row.state, row.reserved, row.charged))
    add_totals(connection, row.scopes, moved)


def _record(connection: Connection, attempt_id: str, state: State, at: str, detail: str) -> None:
    insert(connection, "event", {"attempt": attempt_id, "state": state, "at": at, "detail": detail})


# --- what scopes have used -------------------------------------------------------------------------


def ensure_scopes(connection: Connection, scopes: Iterable[str]) -> None:
    """Open an account, unlimited and empty, for every scope that has none."""
    for scope in scopes:
        insert(connection, "budget", {"scope": scope}, once=True)


def add_totals(connection: Connection, scopes: tuple[str, ...], changes: Mapping[str, int]) -> None:
    """Add the ``changes`` to the totals of every scope, each of which has an account already."""
    # The difference is written, not the new sum. A sum computed here would overwrite what another transaction added, if
    # writers ever stopped following one another. Running totals, because adding up history would read every attempt of
    # the book for every reservation. `audit` adds it up and compares, so a slip here is found.
    columns = ", ".join(f"{name} = {name} + ?" for name in changes)
    marks = ", ".join("?" * len(scopes))
    connection.execute(f"UPDATE budget SET {columns} WHERE scope IN ({marks})", (*changes.values(), *scopes))


def balance(reader: Reader, scope: str) -> Balance:
    """Where a scope stands; empty and unlimited when the ledger has never heard of it."""
    return next(iter(balances(reader, (scope,))), Balance(scope=scope, limit=Limit()))


def balances(reader: Reader, scopes: tuple[str, ...]) -> tuple[Balance, ...]:
    """Where those of the scopes stand that have an account, by name."""
    marks = ", ".join("?" * len(scopes))
    return tuple(
        Balance(
            scope=row["scope"],
            limit=Limit(tokens=row["limit_tokens"], pico_usd=row["limit_pico"]),
            # Derived when it is read. A stored `used` would be one more figure that could disagree with its parts.
            used_tokens=row["opening_tokens"] + row["settled_tokens"] + row["unknown_tokens"],
            reserved_tokens=row["reserved_tokens"],
            unknown_tokens=row["unknown_tokens"],
            opening_tokens=row["opening_tokens"],
            used_pico_usd=row["opening_pico"] + row["settled_pico"] + row["unknown_pico"],
            reserved_pico_usd=row["reserved_pico"],
        )
        for row in reader.query(f"SELECT * FROM budget WHERE scope IN ({marks}) ORDER BY scope", scopes)
    )
