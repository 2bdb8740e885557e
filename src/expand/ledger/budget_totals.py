"""The budget rows: one a scope, with running totals, so that a reservation never adds up history.

``used`` of a scope is its opening balance, what was settled (or reconciled) and what is unknown. Every change of an
attempt moves its tokens from one column to another in the same transaction. Transactions that write follow one another
(see ``database``), so no row needs a lock of its own.
"""

from collections.abc import Iterable, Mapping

from expand.budget import Balance, Limit
from expand.ledger.database import Connection, DatabaseRow, Reader

BOOK = "book"
TOTALS = ("settled_tokens", "settled_pico", "unknown_tokens", "unknown_pico", "reserved_tokens", "reserved_pico")
"""The columns that attempts add up to."""

Totals = tuple[int, int, int, int, int, int]
"""What an attempt adds to each of ``TOTALS``."""

_COLUMNS = ", ".join(("scope", "limit_tokens", "limit_pico", "opening_tokens", "opening_pico", *TOTALS))


def ensure(connection: Connection, scopes: Iterable[str]) -> None:
    """Open an account, unlimited and empty, for every scope that has none."""
    for scope in scopes:
        connection.execute("INSERT INTO budget (scope) VALUES (?) ON CONFLICT DO NOTHING", (scope,))


def set_limits(connection: Connection, limits: Mapping[str, Limit]) -> None:
    """Set what each scope may spend from now on."""
    ensure(connection, limits)
    for scope, limit in limits.items():
        connection.execute(
            "UPDATE budget SET limit_tokens = ?, limit_pico = ? WHERE scope = ?", (limit.tokens, limit.pico_usd, scope)
        )


def set_openings(connection: Connection, tokens: Mapping[str, int], pico_usd: Mapping[str, int]) -> None:
    """Set what each scope had spent before this ledger was kept; a scope that only one of the two names has 0 of the
    other."""
    scopes = sorted(tokens.keys() | pico_usd.keys())
    ensure(connection, scopes)
    for scope in scopes:
        connection.execute(
            "UPDATE budget SET opening_tokens = ?, opening_pico = ? WHERE scope = ?",
            (tokens.get(scope, 0), pico_usd.get(scope, 0), scope),
        )


def add(connection: Connection, scopes: tuple[str, ...], totals: Totals, *, instead_of: Totals | None = None) -> None:
    """Add to every scope what an attempt adds now ``instead_of`` before. Each scope has an account already."""
    # The difference is written, not the new sum. A sum computed here would overwrite what another transaction added, if
    # writers ever stopped following one another.
    before = instead_of or (0, 0, 0, 0, 0, 0)
    changes = [now - then for now, then in zip(totals, before, strict=True)]
    if any(changes):
        # Running totals, because adding up history would read every attempt of the book for every reservation. `audit`
        # adds it up and compares, so a slip here is found.
        columns = ", ".join(f"{name} = {name} + ?" for name in TOTALS)
        marks = ", ".join("?" * len(scopes))
        connection.execute(f"UPDATE budget SET {columns} WHERE scope IN ({marks})", (*changes, *scopes))


def balance(reader: Reader, scope: str) -> Balance:
    """Where a scope stands; empty and unlimited when the ledger has never heard of it."""
    return next(iter(balances(reader, (scope,))), Balance(scope=scope, limit=Limit()))


def balances(reader: Reader, scopes: tuple[str, ...] | None = None) -> tuple[Balance, ...]:
    """Where the scopes stand that have an account, by name; None for all there are."""
    where = "" if scopes is None else f" WHERE scope IN ({', '.join('?' * len(scopes))})"
    return tuple(map(_balance, reader.query(f"SELECT {_COLUMNS} FROM budget{where} ORDER BY scope", scopes or ())))


def _balance(row: DatabaseRow) -> Balance:
    return Balance(
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
