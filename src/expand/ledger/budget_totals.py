"""The budget rows: one a scope, with running totals, so that a reservation never adds up history.

``used`` of a scope is its opening balance, what was settled (or reconciled) and what is unknown.
Every change of an attempt moves its tokens from one column to another in the same transaction.

Transactions that write follow one another, since each takes the ledger's one lock before anything
else; so no two of them wait for each other in a circle, however they go through these rows.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

from expand.budget import Amount, Balance, Limit
from expand.ledger.database import Connection, DatabaseRow, Rows
from expand.ledger.values import AttemptRow, State

BOOK = "book"
NO_AMOUNT = Amount(tokens=0)


class Move(NamedTuple):
    """A change of a scope's totals, in tokens and pico-dollars; negative takes away."""

    settled: Amount = NO_AMOUNT
    unknown: Amount = NO_AMOUNT
    reserved: Amount = NO_AMOUNT


def minus(amount: Amount) -> Amount:
    """The same amount taken away."""
    return Amount(tokens=-amount.tokens, pico_usd=-(amount.pico_usd or 0))


def share(row: AttemptRow) -> Move:
    """What an attempt, as it stands, adds to the totals of its scopes."""
    match row.state:
        case State.RESERVED | State.SENT:
            return Move(reserved=row.reserved)
        case State.UNKNOWN:
            return Move(unknown=row.charged)
        case _:
            return Move(settled=row.charged)


def ensure(connection: Connection, scopes: Iterable[str]) -> None:
    """Open an account, unlimited and empty, for every scope that has none."""
    connection.executemany(
        "INSERT INTO budget (scope) VALUES (?) ON CONFLICT DO NOTHING",
        [(scope,) for scope in sorted(scopes)],
    )


def lock_book(connection: Connection) -> None:
    """Wait for every other transaction that changes a budget, and let none begin."""
    ensure(connection, [BOOK])
    ask(connection, (BOOK,)).fetchall()


def ask(connection: Connection, scopes: tuple[str, ...]) -> Rows:
    """Ask where the scopes stand, so that nobody changes them before this transaction ends."""
    return connection.execute(_locking(connection.lock, len(scopes)), scopes)


def told(connection: Connection, scopes: tuple[str, ...], asked: Rows) -> tuple[Balance, ...]:
    """What ``ask`` was answered, by name. A scope without an account is given one."""
    found = asked.fetchall()
    if len(found) < len(scopes):
        ensure(connection, scopes)
        found = ask(connection, scopes).fetchall()
    return tuple(map(_balance, found))


def limit(connection: Connection, scope: str, most: Limit) -> None:
    """Set what a scope may spend from now on."""
    ensure(connection, [scope])
    connection.execute(
        "UPDATE budget SET limit_tokens = ?, limit_pico = ? WHERE scope = ?",
        (most.tokens, most.pico_usd, scope),
    )


def opening(connection: Connection, scope: str, *, tokens: int, pico_usd: int) -> None:
    """Set what a scope had spent before this ledger was kept."""
    ensure(connection, [scope])
    connection.execute(
        "UPDATE budget SET opening_tokens = ?, opening_pico = ? WHERE scope = ?",
        (tokens, pico_usd, scope),
    )


def move(connection: Connection, scopes: tuple[str, ...], *changes: Move) -> None:
    """Apply the changes to every scope, each of which has an account."""
    figures = [0, 0, 0, 0, 0, 0]
    for change in changes:
        for place, amount in enumerate((change.settled, change.unknown, change.reserved)):
            figures[2 * place] += amount.tokens
            figures[2 * place + 1] += amount.pico_usd or 0
    connection.execute(_moving(len(scopes)), (*figures, *scopes))


def reverse(change: Move) -> Move:
    """The same change undone."""
    return Move(
        settled=minus(change.settled),
        unknown=minus(change.unknown),
        reserved=minus(change.reserved),
    )


def balance(connection: Connection, scope: str) -> Balance:
    """Where a scope stands; empty and unlimited when the ledger has never heard of it."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM budget WHERE scope = ?", (scope,)).fetchone()
    return _balance(row) if row is not None else Balance(scope=scope, limit=Limit())


def balances(connection: Connection) -> tuple[Balance, ...]:
    """Every scope the ledger keeps account of, by name."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM budget ORDER BY scope").fetchall()
    return tuple(_balance(row) for row in rows)


_COLUMNS = (
    "scope, limit_tokens, limit_pico, opening_tokens, opening_pico, settled_tokens, settled_pico,"
    " unknown_tokens, unknown_pico, reserved_tokens, reserved_pico"
)


def _balance(row: DatabaseRow) -> Balance:
    (
        scope,
        limit_tokens,
        limit_pico,
        opening_tokens,
        opening_pico,
        settled_tokens,
        settled_pico,
        unknown_tokens,
        unknown_pico,
        reserved_tokens,
        reserved_pico,
    ) = row
    return Balance(
        scope=scope,
        limit=Limit(tokens=limit_tokens, pico_usd=limit_pico),
        used_tokens=opening_tokens + settled_tokens + unknown_tokens,
        reserved_tokens=reserved_tokens,
        unknown_tokens=unknown_tokens,
        opening_tokens=opening_tokens,
        used_pico_usd=opening_pico + settled_pico + unknown_pico,
        reserved_pico_usd=reserved_pico,
    )


@functools.cache
def _locking(lock: str, count: int) -> str:
    marks = ", ".join("?" * count)
    return f"SELECT {_COLUMNS} FROM budget WHERE scope IN ({marks}) ORDER BY scope{lock}"


@functools.cache
def _moving(count: int) -> str:
    marks = ", ".join("?" * count)
    return (
        "UPDATE budget SET settled_tokens = settled_tokens + ?, settled_pico = settled_pico + ?,"
        " unknown_tokens = unknown_tokens + ?, unknown_pico = unknown_pico + ?,"
        " reserved_tokens = reserved_tokens + ?, reserved_pico = reserved_pico + ?"
        f" WHERE scope IN ({marks})"
    )
