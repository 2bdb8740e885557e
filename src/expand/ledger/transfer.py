"""Moving a ledger: JSON Lines out of it, and into a new one with equal totals.

The first line says what it is; then a line each for scopes, owners, runs, batches, editions and questions, then one
line an attempt with its history, and with its request and answer where texts are wanted. Without them, hashes and
figures still arrive, but the answers would have to be bought again.
"""

import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, nullcontext
from typing import Any

from expand.errors import LedgerError
from expand.ledger import attempts, audit
from expand.ledger.attempts import insert, parse, timestamp
from expand.ledger.database import Connection, ConstraintError, LedgerBusyError, tables
from expand.ledger.store import LARGEST, Ledger
from expand.ledger_location import LedgerPlace

_MALFORMED = (*(ValueError, TypeError, KeyError, OverflowError, RecursionError), *(ConstraintError, LedgerError))

FORMAT = 1
"""The format that is written and read; it is stated on the first line."""

_BEFORE = {"scope": "budget", "owner": "owner", "run": "run", "batch": "batch", "edition": "edition"}
_AFTER = {"question": "question"}
"""Tables with a line a row, by the kind of line: what attempts point to, and what points to their requests."""
_LEFT_OUT = {
    "budget": attempts.TOTALS,
    "attempt": ("seq",),
    "event": ("seq", "attempt"),
    "answer": ("request_key", "attempt"),
}
"""Columns that are added up anew, or said by where a row stands."""


def _columns(table: str) -> dict[str, str]:
    """The columns that are moved, with their types."""
    return {name: kind for name, kind in tables().columns[table].items() if name not in _LEFT_OUT.get(table, ())}


def export(place: LedgerPlace, *, texts: bool) -> Iterator[str]:
    """The ledger's lines, from one consistent state of it. Raises ``LedgerError``."""
    ledger = Ledger.read(place)
    if ledger is None:
        raise LedgerError(f"{place}: there is no ledger to export; check the workspace")
    with closing(ledger), ledger.database.snapshot() as connection:
        yield _line("ledger", {"format": FORMAT, "texts": texts})
        yield from _rows(connection, _BEFORE)
        for row in connection.execute("SELECT * FROM attempt ORDER BY seq"):
            yield _line("attempt", _attempt(connection, row, texts=texts))
        yield from _rows(connection, _AFTER)


def _rows(connection: Connection, tables: dict[str, str]) -> Iterator[str]:
    for kind, table in tables.items():
        names = [*_columns(table)]
        for row in connection.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY {', '.join(names[:2])}"):
            yield _line(kind, dict(row))


def _line(kind: str, values: dict[str, Any]) -> str:
    return json.dumps({"kind": kind, **values}, ensure_ascii=False)


def _attempt(connection: Connection, row: Any, *, texts: bool) -> dict[str, Any]:
    values: dict[str, Any] = {name: row[name] for name in _columns("attempt")}
    values["history"] = [
        list(event)
        for event in connection.query(
            "SELECT state, at, detail FROM event WHERE attempt = ? ORDER BY seq", (row["id"],)
        )
    ]
    if texts:  # with the first of its attempts
        for (form,) in connection.query(
            "SELECT form FROM request WHERE key = ? AND NOT EXISTS"
            " (SELECT 1 FROM attempt WHERE request_key = request.key AND seq < ?)",
            (row["request_key"], row["seq"]),
        ):
            try:
                values["request"] = None if form is None else zlib.decompress(form).decode()
            except (zlib.error, ValueError) as error:
                damaged = f"the request of attempt {row['id']} is damaged; `expand ledger verify` says how far"
                raise LedgerError(damaged) from error
    for answer in connection.query("SELECT text, sha256, finish, model FROM answer WHERE attempt = ?", (row["id"],)):
        text = attempts.exact(answer["text"]) if texts and answer["text"] is not None else None
        values["answer"] = {**dict(answer), "text": text}
    return values


def import_(place: LedgerPlace, lines: Iterable[str | bytes], *, name: str = "") -> tuple[int, int]:
    """Fill a new or empty ledger at ``place`` with exported lines, all of them or nothing. Returns how many attempts
    and answers they brought.

    Totals are added up anew, and the whole is audited before it is kept. Raises ``LedgerError``, which names the line,
    and the file where ``name`` says it."""
    with closing(Ledger.open(place)) as ledger, ledger.writing() as connection:
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
                said = what[:300]  # it may quote a value of any length
                raise LedgerError(f"{where}: {said}; import what `expand ledger export` wrote, unchanged") from error
        if not number:
            raise LedgerError(f"{name or 'nothing to import'}: the input is empty")
        for finding in audit.findings(ledger.database, lambda: nullcontext(connection)):
            raise LedgerError(f"the import does not add up, nothing was kept: {finding}")
        counted = "SELECT (SELECT count(*) FROM attempt), (SELECT count(*) FROM answer)"
        ((attempted, answered),) = connection.query(counted)
    return attempted, answered


def _take(connection: Connection, values: dict[str, Any], *, first: bool) -> None:
    kind = values["kind"]
    if first:
        if kind != "ledger" or values["format"] != FORMAT:
            raise ValueError(f"the first line has to state format {FORMAT}")
    elif kind == "attempt":
        _take_attempt(connection, values)
    elif table := {**_BEFORE, **_AFTER}.get(kind):
        row = _chosen(values, table)
        insert(connection, table, row, key=tuple(row)[: 2 if kind == "edition" else 1])
    else:
        raise ValueError(f"{repr(kind)[:100]} is not a kind of line")


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


def _take_attempt(connection: Connection, values: dict[str, Any]) -> None:
    key = values["request_key"]
    form = values.get("request")  # with the first of its attempts
    connection.execute(
        "INSERT INTO request (key, form) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (key, None if form is None else zlib.compress(form.encode(), 1)),
    )
    insert(connection, "attempt", _chosen(values, "attempt"))
    for state, at, detail in values["history"]:
        event = _chosen({"state": state, "at": at, "detail": detail}, "event")
        insert(connection, "event", {"attempt": values["id"], **event})
    if "answer" in values:
        answer = _chosen(values["answer"], "answer")
        if answer["text"] is not None:
            answer["text"] = connection.exact(answer["text"])
        insert(connection, "answer", {"request_key": key, "attempt": values["id"], **answer})
    row = attempts.read(connection.execute("SELECT * FROM attempt WHERE id = ?", (values["id"],)).fetchone())
    attempts.ensure_scopes(connection, row.scopes)
    attempts.add_totals(connection, row.scopes, attempts.share(row.state, reserved=row.reserved, charged=row.charged))
