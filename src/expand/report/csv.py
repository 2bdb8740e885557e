"""A report as CSV: one figure a line, so that a script needs no layout to find it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from expand.report.figures import plain
from expand.report.sheet import Facts, Notes, Sheet, Table, Value

HEADER = ("table", "row", "figure", "value")


def as_csv(sheet: Sheet) -> str:
    """Lines of table, row, figure and value; the row is its number from 1, or ``total``."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    for block in sheet.blocks:
        match block:
            case Facts():
                writer.writerows((block.id, "", f.id, plain(f.value)) for f in block.facts)
            case Table():
                for number, row in enumerate(block.rows, 1):
                    writer.writerows(_lines(block, str(number), row))
                if block.total is not None:
                    writer.writerows(_lines(block, "total", block.total))
            case Notes():
                writer.writerows(
                    (block.id, number, "note", line) for number, line in enumerate(block.lines, 1)
                )
    return out.getvalue()


def _lines(table: Table, name: str, row: tuple[Value, ...]) -> Iterator[tuple[str, str, str, str]]:
    for column, value in zip(table.columns, row, strict=True):
        if value is not None or name != "total":
            yield table.id, name, column.id, plain(value)
