"""A report in the format that was asked for, and kept up to date inside a document of the user's own.

JSON and CSV are written here, Markdown and HTML by the Jinja templates beside this module. A page needs no script and
nothing from elsewhere; the same figures give the same bytes.
"""

import csv
import io
import json
import re
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from expand.errors import InputError, Place
from expand.redaction import escaped, printable
from expand.reports.report_model import Column, Notes, Report, Table, Value, has_content, plain, say, texts
from expand.reports.text_table import PIPE_WIDTH, report_lines
from expand.schema import Json
from expand.workspace import decoded, write_atomically

if TYPE_CHECKING:
    import jinja2

Format = Literal["table", "json", "markdown", "csv", "html"]
FORMATS: tuple[Format, ...] = get_args(Format)
HEADER = ("table", "row", "figure", "value")
_FORMULA = ("=", "+", "-", "@", "\t", "＝", "＋", "－", "＠")
"""How a formula begins in a spreadsheet, after OWASP's list."""
_CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
BEGIN = "<!-- expand status begin -->"
END = "<!-- expand status end -->"
"""Only what stands between these two markers in a user's document is replaced; every other byte stays as it was."""


def as_csv(report: Report) -> str:
    """Lines of table, row, figure and value: one figure a line, so that a script needs no layout to find it.

    The row is its number from 1, ``total``, or empty where a table has one row of facts."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    for block in report.blocks:
        if isinstance(block, Notes):
            writer.writerows((block.id, number, "note", _cell(line)) for number, line in enumerate(block.lines, 1))
            continue
        for number, row in enumerate(block.rows, 1):
            cells = zip(block.columns, row, strict=True)
            writer.writerows((block.id, "" if block.facts else number, column.id, _cell(one)) for column, one in cells)
        total = zip(block.columns, block.total or (), strict=False)
        writer.writerows((block.id, "total", column.id, _cell(one)) for column, one in total if one is not None)
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
    """One JSON object: exact figures under their ids. Unknown is null, money decimal text; the rest are numbers. The
    facts that are named like the report stand at the top level."""
    found: dict[str, Json] = {}
    totals: dict[str, Json] = {}
    for block in report.blocks:
        if isinstance(block, Notes):
            found[block.id] = list(block.lines)
            continue
        rows = [{c.id: _value(c, value) for c, value in zip(block.columns, row, strict=True)} for row in block.rows]
        if not block.facts:
            found[block.id] = list[Json](rows)
        else:
            found |= rows[0] if block.id == report.id else {block.id: rows[0]}
        if block.total is not None:
            total = zip(block.columns, block.total, strict=True)
            totals[block.id] = {column.id: _value(column, value) for column, value in total if value is not None}
    if totals:
        found["totals"] = totals
    found["made"] = report.made.isoformat(timespec="seconds")
    return found


def _value(column: Column, value: Value) -> Json:
    if isinstance(value, Decimal):
        return plain(value) if column.kind == "money" else float(value)
    return value


def render(report: Report, form: Format, *, width: int | None = None) -> str:
    """The report as printable text, ending in one newline; ``width`` is the terminal's, if there is one. Without a
    title, Markdown has only the tables and notes."""
    match form:
        case "json":
            text = json.dumps(as_json(report), ensure_ascii=False, indent=2) + "\n"
        case "csv":
            text = as_csv(report)
        case "table":
            text = "".join(f"{line}\n" for line in report_lines(report, width or PIPE_WIDTH))
        case _:
            text = (
                _environment()
                .get_template(f"report.{'html' if form == 'html' else 'md'}.j2")
                .render(
                    report=report,
                    blocks=[block for block in report.blocks if has_content(block)],
                    made=f"{report.made:%Y-%m-%d %H:%M}",
                    say=partial(say, report.language),
                    texts=partial(texts, language=report.language),
                )
            )
    return printable(text)


@cache
def _environment() -> "jinja2.Environment":
    import jinja2  # 0.1 s

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("expand.reports"),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["table"] = lambda block: isinstance(block, Table)
    environment.filters |= {
        "anchor": lambda name: re.sub(r"[._]", "-", name),
        # A sentence in parts, each with whether it stood between two backticks. More of them in a row stay text:
        # Markdown would read a title's own backticks as the beginning of other code, and what follows as HTML.
        "code_parts": lambda line: [(part, number % 2 == 1) for number, part in enumerate(_CODE.split(line))],
        "escaped": escaped,
    }
    return environment


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
