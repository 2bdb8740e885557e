"""Moving a ledger: JSON Lines out of it, and into a new one with equal totals.

The first line says what it is; each of the others is a row of a table, an attempt one line. Without texts, hashes and
figures still arrive, but the answers would have to be bought again.
"""

import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from expand.errors import LedgerError
from expand.ledger import attempts, audit
from expand.ledger.database import Connection, ConstraintError, LedgerBusyError
from expand.ledger.sqlite import columns_of
from expand.ledger.store import LARGEST, Ledger
from expand.ledger_location import LedgerPlace

_MALFORMED = (*(ValueError, TypeError, KeyError, OverflowError, RecursionError), *(ConstraintError, LedgerError))

MOST_SAID = 300
"""How much of an error is said: it may quote a value of any length."""

FORMAT = 2
"""The format that is written and read; it is stated on the first line. In format 1, an attempt's line held its history,
its request and its answer."""

_TABLES = ("budget", "owner", "run", "batch", "edition", "request", "attempt", "event", "answer", "question")
"""What is moved, each table after those that its rows point to."""
_NUMBERED = ("attempt", "event")
"""Those whose rows are counted anew, in the order in which they are read."""
_LEFT_OUT = {"budget": attempts.TOTALS, **dict.fromkeys(_NUMBERED, ("seq",))}
_TEXTS = {"request": "form", "answer": "text"}


def _columns(table: str) -> dict[str, str]:
    """The columns that are moved, with their types."""
    return {name: kind for name, kind in columns_of(table).items() if name not in _LEFT_OUT.get(table, ())}


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What an import brought."""

    attempts: int
    answers: int


def export(place: LedgerPlace, *, texts: bool) -> Iterator[str]:
    """The ledger's lines, from one consistent state of it. Raises ``LedgerError``."""
    ledger = Ledger.read(place)
    if ledger is None:
        raise LedgerError(f"{place}: there is no ledger to export; check the workspace")
    try:
        with ledger.database.snapshot() as connection:
            yield _line("ledger", {"format": FORMAT, "texts": texts})
            for table in _TABLES:
                names = [*_columns(table)]
                order = "seq" if table in _NUMBERED else ", ".join(names[:2])
                for row in connection.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY {order}"):
                    values = dict(row)
                    if (text := _TEXTS.get(table)) is not None:
                        values[text] = _unpacked(table, row) if texts else None
                    yield _line(table, values)
    finally:
        ledger.close()


def _line(kind: str, values: dict[str, Any]) -> str:
    return json.dumps({"kind": kind, **values}, ensure_ascii=False)


def _unpacked(table: str, row: Any) -> str | None:
    """The text of a request or of an answer; None where an import brought it without."""
    stored = row[_TEXTS[table]]
    if stored is None or table == "answer":
        return None if stored is None else attempts.exact(stored)
    try:
        return zlib.decompress(stored).decode()
    except (zlib.error, ValueError) as error:
        raise LedgerError(f"request {row['key']} is damaged; `expand ledger verify` says how far") from error


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
            raise LedgerError(f"{ledger.name}: holds attempts already; import into a new ledger")
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
    """Take a line in. What its values mean together, the audit says in the end."""
    table = values["kind"]
    if first:
        if table != "ledger" or values["format"] != FORMAT:
            raise ValueError(f"the first line has to state format {FORMAT}")
        return
    if table not in _TABLES:
        raise ValueError(f"{repr(table)[:100]} is not a kind of line")
    row = {name: _checked(name, kind, values[name]) for name, kind in _columns(table).items()}
    if (name := _TEXTS.get(table)) is not None and row[name] is not None:
        row[name] = zlib.compress(row[name].encode(), 1) if table == "request" else connection.exact(row[name])
    key = () if table in _NUMBERED else tuple(row)[: 2 if table == "edition" else 1]
    attempts.insert(connection, table, row, key=key)
    if table == "attempt":
        attempt = attempts.read(connection.execute("SELECT * FROM attempt WHERE id = ?", (row["id"],)).fetchone())
        attempts.ensure_scopes(connection, attempt.scopes)
        totals = attempts.share(attempt.state, attempt.reserved, attempt.charged)
        attempts.add_totals(connection, attempt.scopes, totals)


def _checked(name: str, kind: str, value: Any) -> Any:
    """A value that is of its column's type. Raises ValueError."""
    if value is None:
        return None  # where that may not be, the table says so
    if kind == "INTEGER":
        if type(value) is not int:
            raise ValueError(f"{name} is {value!r}, not a whole number")
        if not 0 <= value <= LARGEST:
            raise ValueError(f"{name} is {value:,}, and may be from 0 to {LARGEST:,}")
    elif not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}, not a text")
    # One without a zone, or of another length, would not sort among the others.
    elif (name == "at" or name.endswith("_at")) and attempts.timestamp(attempts.parse(value)) != value:
        raise ValueError(f"{name} is {value!r}, not a time as in 2026-11-23T16:30:54.000000+00:00")
    return value
