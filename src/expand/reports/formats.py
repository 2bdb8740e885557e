"""A report in the format that was asked for, and kept up to date inside a document of the user's own.

JSON and CSV are written here, the others by their modules.
"""

import csv
import io
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Literal, get_args

from expand.errors import InputError, Place
from expand.redaction import printable
from expand.reports.messages import plain
from expand.reports.report_model import Facts, Kind, Notes, Report, Table, Value
from expand.reports.text_table import PIPE_WIDTH, as_table
from expand.schema import Json
from expand.workspace import decoded, write_atomically

Format = Literal["table", "json", "markdown", "csv", "html"]
FORMATS: tuple[Format, ...] = get_args(Format)
HEADER = ("table", "row", "figure", "value")
_FORMULA = ("=", "+", "-", "@", "\t", "＝", "＋", "－", "＠")
"""How a formula begins in a spreadsheet, after OWASP's list."""
BEGIN = "<!-- expand status begin -->"
END = "<!-- expand status end -->"
"""Only what stands between these two markers in a user's document is replaced; every other byte stays as it was."""


def as_csv(report: Report) -> str:
    """Lines of table, row, figure and value: one figure a line, so that a script needs no layout to find it.

    The row is its number from 1, or ``total``."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    for block in report.blocks:
        match block:
            case Facts():
                writer.writerows((block.id, "", f.id, _cell(f.value)) for f in block.facts)
            case Table():
                for number, row in enumerate(block.rows, 1):
                    cells = zip(block.columns, row, strict=True)
                    writer.writerows((block.id, number, column.id, _cell(value)) for column, value in cells)
                for column, value in zip(block.columns, block.total or (), strict=False):
                    if value is not None:
                        writer.writerow((block.id, "total", column.id, _cell(value)))
            case Notes():
                writer.writerows((block.id, number, "note", _cell(line)) for number, line in enumerate(block.lines, 1))
    return out.getvalue()


def _cell(value: Value) -> str:
    """A value as a cell, on one line. A spreadsheet takes a text that begins like a formula for one, which may send
    what stands beside it elsewhere: such a text gets an apostrophe before it. Figures stay figures, also below zero."""
    shown = plain(value)
    if not isinstance(value, str):
        return shown
    shown = re.sub(r"[\r\n]+", " ", shown)
    return f"'{shown}" if shown.lstrip(" ").startswith(_FORMULA) else shown


def as_json(report: Report) -> dict[str, Json]:
    """One JSON object: exact figures under their ids. Unknown is null, money decimal text; the rest are numbers."""
    found: dict[str, Json] = {}
    totals: dict[str, Json] = {}
    for block in report.blocks:
        match block:
            case Facts():
                values = {fact.id: _value(fact.value, fact.kind) for fact in block.facts}
                found |= values if block.flat else {block.id: values}
            case Table():
                found[block.id] = [_row(block, row) for row in block.rows]
                if block.total is not None:
                    total = _row(block, block.total)
                    totals[block.id] = {name: value for name, value in total.items() if value is not None}
            case Notes():
                found[block.id] = list(block.lines)
    if totals:
        found["totals"] = totals
    found["made"] = report.made.isoformat(timespec="seconds")
    return found


def _row(table: Table, row: tuple[Value, ...]) -> dict[str, Json]:
    return {column.id: _value(value, column.kind) for column, value in zip(table.columns, row, strict=True)}


def _value(value: Value, kind: Kind) -> Json:
    if isinstance(value, Decimal):
        return plain(value) if kind == "money" else float(value)
    return value


def render(report: Report, form: Format, *, width: int | None = None) -> str:
    """The report as printable text, ending in one newline; ``width`` is the terminal's, if there is one."""
    match form:
        case "json":
            text = json.dumps(as_json(report), ensure_ascii=False, indent=2) + "\n"
        case "csv":
            text = as_csv(report)
        case "table":
            text = as_table(report, width or PIPE_WIDTH)
        case _:
            from expand.reports.report_page import rendered  # Jinja takes 0.1 s to load

            text = rendered(report, f"report.{'html' if form == 'html' else 'md'}.j2")
    return printable(text)


def renew(path: Path, report: Report) -> None:
    """Replaces what stands between the markers in ``path`` by the report's tables.

    Nothing is written when nothing changed. Raises ``InputError`` when the file or a marker is
    missing, or one stands there twice."""
    if not path.is_file():
        raise InputError("there is no such file", remedy="name one", place=Place(path=path))
    data, begin, end = path.read_bytes(), BEGIN.encode(), END.encode()
    decoded(data, path)
    for marker in (begin, end):
        count = data.count(marker)
        if count != 1:
            raise InputError(
                f"the marker {marker.decode()} " + (f"stands there {count} times" if count else "is missing"),
                remedy=f"put {BEGIN} and {END} once each, on lines of their own, around the place for the table",
                place=Place(path=path),
            )
    start, stop = data.index(begin) + len(begin), data.index(end)
    if stop < start:
        raise InputError(f"{END} stands before {BEGIN}", remedy="swap them", place=Place(path=path))
    newline = "\r\n" if b"\r\n" in data else "\n"
    tables = render(report, "markdown").replace("\n", newline)
    new = data[:start] + f"{newline * 2}{tables}{newline}".encode() + data[stop:]
    if new != data:
        write_atomically(path, new)
