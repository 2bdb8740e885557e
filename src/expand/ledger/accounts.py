"""The budget rows: one a scope, with running totals, so that a reservation never adds up history.

``used`` of a scope is its opening balance, what was settled (or reconciled) and what is unknown.
Every change of an attempt moves its tokens from one column to another in the same transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from expand.budget import Amount, Balance, Limit

NOTHING = Amount(tokens=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """A change of a scope's totals, in tokens and pico-dollars; negative takes away."""

    settled: Amount = NOTHING
    unknown: Amount = NOTHING
    reserved: Amount = NOTHING


def minus(amount: Amount) -> Amount:
    """The same amount taken away."""
    return Amount(tokens=-amount.tokens, pico_usd=-(amount.pico_usd or 0))


def ensure(connection: sqlite3.Connection, scopes: Iterable[str]) -> None:
    """Open an account, unlimited and empty, for every scope that has none."""
    connection.executemany(
        "INSERT INTO budget (scope) VALUES (?) ON CONFLICT DO NOTHING",
        [(scope,) for scope in scopes],
    )


def limit(connection: sqlite3.Connection, scope: str, most: Limit) -> None:
    """Set what a scope may spend from now on."""
    ensure(connection, [scope])
    connection.execute(
        "UPDATE budget SET limit_tokens = ?, limit_pico = ? WHERE scope = ?",
        (most.tokens, most.pico_usd, scope),
    )


def opening(connection: sqlite3.Connection, scope: str, *, tokens: int, pico_usd: int) -> None:
    """Set what a scope had spent before this ledger was kept."""
    ensure(connection, [scope])
    connection.execute(
        "UPDATE budget SET opening_tokens = ?, opening_pico = ? WHERE scope = ?",
        (tokens, pico_usd, scope),
    )


def move(connection: sqlite3.Connection, scopes: Iterable[str], change: Move) -> None:
    """Apply one change to every scope."""
    values = (
        change.settled.tokens,
        change.settled.pico_usd or 0,
        change.unknown.tokens,
        change.unknown.pico_usd or 0,
        change.reserved.tokens,
        change.reserved.pico_usd or 0,
    )
    connection.executemany(
        "UPDATE budget SET settled_tokens = settled_tokens + ?, settled_pico = settled_pico + ?,"
        " unknown_tokens = unknown_tokens + ?, unknown_pico = unknown_pico + ?,"
        " reserved_tokens = reserved_tokens + ?, reserved_pico = reserved_pico + ?"
        " WHERE scope = ?",
        [(*values, scope) for scope in scopes],
    )


def balance(connection: sqlite3.Connection, scope: str) -> Balance:
    """Where a scope stands; empty and unlimited when the ledger has never heard of it."""
    row = connection.execute("SELECT * FROM budget WHERE scope = ?", (scope,)).fetchone()
    return _balance(row) if row is not None else Balance(scope=scope, limit=Limit())


def balances(connection: sqlite3.Connection) -> tuple[Balance, ...]:
    """Every scope the ledger keeps account of, by name."""
    rows = connection.execute("SELECT * FROM budget ORDER BY scope").fetchall()
    return tuple(_balance(row) for row in rows)


def _balance(row: sqlite3.Row) -> Balance:
    return Balance(
        scope=row["scope"],
        limit=Limit(tokens=row["limit_tokens"], pico_usd=row["limit_pico"]),
        used_tokens=row["opening_tokens"] + row["settled_tokens"] + row["unknown_tokens"],
        reserved_tokens=row["reserved_tokens"],
        unknown_tokens=row["unknown_tokens"],
        opening_tokens=row["opening_tokens"],
        used_pico_usd=row["opening_pico"] + row["settled_pico"] + row["unknown_pico"],
        reserved_pico_usd=row["reserved_pico"],
    )
