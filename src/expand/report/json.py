"""A report as one JSON object: exact figures under their ids, money as decimal text."""

from __future__ import annotations

from decimal import Decimal

from expand.completion import Json
from expand.report.figures import plain
from expand.report.sheet import Facts, Kind, Notes, Sheet, Table, Value


def as_json(sheet: Sheet) -> dict[str, Json]:
    """The object. Unknown is null; percentages and hours are numbers."""
    found: dict[str, Json] = {}
    totals: dict[str, Json] = {}
    for block in sheet.blocks:
        match block:
            case Facts():
                values = {fact.id: _value(fact.value, fact.kind) for fact in block.facts}
                if block.flat:
                    found |= values
                else:
                    found[block.id] = values
            case Table():
                found[block.id] = [_row(block, row) for row in block.rows]
                if block.total is not None:
                    totals[block.id] = {
                        name: value
                        for name, value in _row(block, block.total).items()
                        if value is not None
                    }
            case Notes():
                found[block.id] = list(block.lines)
    if totals:
        found["totals"] = totals
    found["made"] = sheet.made.isoformat(timespec="seconds")
    return found


def _row(table: Table, row: tuple[Value, ...]) -> dict[str, Json]:
    return {
        column.id: _value(value, column.kind)
        for column, value in zip(table.columns, row, strict=True)
    }


def _value(value: Value, kind: Kind) -> Json:
    if isinstance(value, Decimal):
        return plain(value) if kind == "money" else float(value)
    return value
