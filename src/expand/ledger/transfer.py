"""Moving a ledger: JSON Lines out of it, and into a new one with equal totals.

The first line says what it is; then comes one table after the other, a line a row. Without texts, hashes and figures
still arrive, but the answers would have to be bought again.
"""

import itertools
import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, nullcontext
from typing import Any, NamedTuple

from expand.errors import LedgerError
from expand.ledger import attempts, audit
from expand.ledger.attempts import parse, timestamp
from expand.ledger.database import Connection, ConstraintError, LedgerBusyError, tables
from expand.ledger.store import LARGEST, Ledger
from expand.ledger_location import LedgerPlace

_MALFORMED = (*(ValueError, TypeError, KeyError, OverflowError, RecursionError), *(ConstraintError, LedgerError))

MOST_SAID = 300
"""How much of an error is said: it may quote a value of any length."""

FORMAT = 2
"""The format that is written and read; it is stated on the first line."""

AT_ONCE = 1000
"""How many rows are read at once: a server sends all that is asked for, and texts are long."""

_TABLES: dict[str, tuple[str, ...]] = {
    "budget": ("scope",),
    "owner": ("id",),
    "run": ("id",),
    "batch": ("id",),
    "edition": ("chapter", "section"),
    "request": ("key",),
    "attempt": (),
    "event": (),
    "answer": (),
    "question": ("key",),
}
"""The tables that are moved, each after those that it points to; by which columns a row takes the place of another."""

_LEFT_OUT = {"budget": attempts.TOTALS, "attempt": ("seq",), "event": ("seq",)}
"""Columns that are added up anew, or said by where a row stands."""


def _columns(table: str) -> dict[str, str]:
    """The columns that are moved, with their types."""
    return {name: kind for name, kind in tables().columns[table].items() if name not in _LEFT_OUT.get(table, ())}


class Imported(NamedTuple):
    """What an import brought."""

    attempts: int
    answers: int


def export(place: LedgerPlace, *, texts: bool) -> Iterator[str]:
    """The ledger's lines, from one consistent state of it. Raises ``LedgerError``."""
    ledger = Ledger.read(place)
    if ledger is None:
        raise LedgerError(f"{place}: there is no ledger to export; check the workspace")
    with closing(ledger), ledger.database.snapshot() as connection:
        yield _line("ledger", {"format": FORMAT, "texts": texts})
        for table in _TABLES:
            for row in _rows(connection, table):
                yield _line(table, _told(row, texts=texts))


def _rows(connection: Connection, table: str) -> Iterator[Any]:
    names = [*_columns(table)]
    order = "seq" if "seq" in tables().columns[table] else ", ".join(names[:2])
    for first in itertools.count(0, AT_ONCE):
        found = connection.query(
            f"SELECT {', '.join(names)} FROM {table} ORDER BY {order} LIMIT ? OFFSET ?", (AT_ONCE, first)
        )
        yield from found
        if len(found) < AT_ONCE:
            return


def _line(kind: str, values: dict[str, Any]) -> str:
    return json.dumps({"kind": kind, **values}, ensure_ascii=False)


def _told(row: Any, *, texts: bool) -> dict[str, Any]:
    """A row as JSON holds it; ``texts`` are those of requests and answers."""
    values = dict(row)
    for name in values.keys() & {"form", "text"}:
        value = values[name] if texts else None
        try:
            values[name] = value and (zlib.decompress(value).decode() if name == "form" else attempts.exact(value))
        except (zlib.error, ValueError) as error:
            raise LedgerError(f"request {row[0]} is damaged; `expand ledger verify` says how far") from error
    return values


def import_(place: LedgerPlace, lines: Iterable[str | bytes], *, name: str = "") -> Imported:
    """Fill a new or empty ledger at ``place`` with exported lines, all of them or nothing.

    Totals are added up anew, and the whole is audited before it is kept; what is refused leaves no new ledger behind.
    Raises ``LedgerError``, which names the line, and the file where ``name`` says it."""
    ledger = Ledger.open(place)
    try:
        imported = _fill(ledger, lines, name)
    except BaseException:
        ledger.database.discard()
        raise
    ledger.close()
    return imported


def _fill(ledger: Ledger, lines: Iterable[str | bytes], name: str) -> Imported:
    with ledger.writing() as connection:
        if connection.execute("SELECT EXISTS (SELECT 1 FROM attempt)").fetchone()[0]:
            raise LedgerError(
                f"{ledger.database.name}: holds attempts already; import into a new one, which --ledger names"
            )
        number = 0
        for number, line in enumerate(lines, start=1):
            try:
                # JSON's own reader of bytes would guess another encoding, and let halves of characters pass.
                values = json.loads(line.decode("utf-8-sig") if isinstance(line, bytes) else line)
                with ledger.database.mapped():
                    _take(connection, values, first=number == 1)
                    connection.execute("SELECT 1").fetchone()  # a pipeline reports an error with the next result
            except LedgerBusyError:
                raise
            except _MALFORMED as error:
                where, what = f"{name}:{number}" if name else f"line {number}", f"{type(error).__name__}: {error}"
                raise LedgerError(
                    f"{where}: {what[:MOST_SAID]}; import what `expand ledger export` wrote, unchanged"
                ) from error
        if not number:
            raise LedgerError(f"{name or 'nothing to import'}: the input is empty")
        for finding in audit.findings(ledger.database, lambda: nullcontext(connection)):
            raise LedgerError(f"the import does not add up, nothing was kept: {finding}")
        attempts_, answers = (
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("attempt", "answer")
        )
    return Imported(attempts=attempts_, answers=answers)


def _take(connection: Connection, values: dict[str, Any], *, first: bool) -> None:
    kind = values["kind"]
    if first:
        if kind != "ledger" or values["format"] != FORMAT:
            raise ValueError(f"the first line has to state format {FORMAT}")
        return
    if kind not in _TABLES:
        raise ValueError(f"{repr(kind)[:100]} is not a kind of line")
    row = _chosen(values, kind)
    if row.get("form") is not None:
        row["form"] = zlib.compress(row["form"].encode(), 1)
    if row.get("text") is not None:
        row["text"] = connection.exact(row["text"])
    attempts.insert(connection, kind, row, key=_TABLES[kind])
    if kind == "attempt":
        taken = attempts.read(connection.execute("SELECT * FROM attempt WHERE id = ?", (row["id"],)).fetchone())
        attempts.ensure_scopes(connection, taken.scopes)
        attempts.add_totals(connection, taken.scopes, attempts.share(taken.state, taken.reserved, taken.charged))


def _chosen(values: dict[str, Any], table: str) -> dict[str, Any]:
    """The values of a table's columns, each of its column's type. Raises ValueError, KeyError."""
    chosen = {name: values[name] for name in _columns(table)}
    for name, kind in _columns(table).items():
        value = chosen[name]
        if value is None:
            continue  # where that may not be, the table says so
        if kind == "INTEGER":
            if type(value) is not int:
                raise ValueError(f"{name} is {value!r}, not a whole number")
            if not 0 <= value <= LARGEST:
                raise ValueError(f"{name} is {value:,}, and may be from 0 to {LARGEST:,}")
        elif not isinstance(value, str):
            raise ValueError(f"{name} is {value!r}, not a text")
        # One without a zone, or of another length, would not sort among the others.
        elif (name == "at" or name.endswith("_at")) and timestamp(parse(value)) != value:
            raise ValueError(f"{name} is {value!r}, not a time as in 2026-11-23T16:30:54.000000+00:00")
    return chosen
