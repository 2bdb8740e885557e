"""Tables and whole reports as text: words fold, figures never do, however narrow the terminal is.

Rich tells how wide characters are (a Chinese one takes two columns). Its own ``Table`` takes 20 s for the 10,000 rows
that the report of a large book has; these few lines take 0.3 s.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from rich.cells import cell_len, chop_cells

from expand.redaction import printable
from expand.reports import messages
from expand.reports.messages import Texts, texts
from expand.reports.report_model import Notes, Report, has_content

PIPE_WIDTH = 160
"""Columns of an output that is no terminal."""
TEXT_WIDTH = 14
"""Columns that a text gets at least, if it has so many; a longer one folds."""
GAP = 3
_WORD = re.compile(r"\s*\S+\s*")


class TextColumn(NamedTuple):
    """A column: its cells, and the width that it never goes below. A figure stands at the right and is never broken."""

    name: str
    cells: Sequence[str]
    is_figure: bool
    least: int


def text_columns(table: Texts) -> list[TextColumn]:
    """The columns of a table; what it totals is their last row."""
    rows = [*table.rows, *([table.total] if table.total is not None else [])]
    cells_of = list(zip(*rows, strict=True)) or [()] * len(table.heads)
    columns = []
    for name, cells, figure in zip(table.heads, cells_of, table.figures, strict=True):
        widest = max(map(cell_len, cells), default=0)
        least = max(widest if figure else min(widest, TEXT_WIDTH), *map(cell_len, name.split()))
        columns.append(TextColumn(name, cells, figure, least))
    return columns


def fold(text: str, width: int) -> list[str]:
    """A text on lines of at most ``width`` columns, broken between words; a longer word within."""
    if cell_len(text) <= width:
        return [text]
    width = max(width, 2)  # room for one wide character
    lines, line = [], ""
    for word in _WORD.findall(printable(text)):  # rich wraps text, too, but takes 50 ms to be imported
        if cell_len(line + word.rstrip()) <= width:
            line += word
            continue
        if line:
            lines.append(line)
        *full, line = chop_cells(word, width) if cell_len(word.rstrip()) > width else [word]
        lines += full
    return [one.rstrip() for one in (*lines, line)]


def _room(widths: Iterable[int]) -> int:
    return sum(width + GAP for width in widths) - GAP


def table_lines(columns: Sequence[TextColumn], width: int, *, total: bool = False) -> Iterator[str]:
    """The table in lines of at most ``width`` columns, figures permitting; ``total`` sets the last row off."""
    heads = [fold(column.name, column.least) for column in columns]
    widths = [
        max(column.least, *map(cell_len, [*head, *column.cells])) for column, head in zip(columns, heads, strict=True)
    ]
    while _room(widths) > width:  # the widest column that can gives way first
        spare = [at for at, column in enumerate(columns) if widths[at] > column.least]
        if not spare:
            break
        widths[max(spare, key=widths.__getitem__)] -= 1
    right = [column.is_figure for column in columns]
    deepest = max(map(len, heads))
    for row in zip(*([""] * (deepest - len(head)) + head for head in heads), strict=True):
        yield _line(row, widths, right)
    yield "─" * _room(widths)
    rows = list(zip(*(column.cells for column in columns), strict=True))
    for number, cells in enumerate(rows, 1):
        if total and number == len(rows):
            yield ""
        for line in zip_longest(*map(fold, cells, widths), fillvalue=""):
            yield _line(line, widths, right)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = []
    for cell, width, at_right in zip(cells, widths, right, strict=True):
        room = " " * (width - cell_len(cell))
        padded.append(room + cell if at_right else cell + room)
    return (" " * GAP).join(padded).rstrip()


def as_table(report: Report, width: int) -> str:
    """The whole report in lines of at most ``width`` columns, figures permitting."""
    return "".join(f"{line}\n" for line in _report_lines(report, width))


def _report_lines(report: Report, width: int) -> Iterator[str]:
    yield from fold(report.title, width)
    yield from fold(messages.say(report.language, "made", made=f"{report.made:%Y-%m-%d %H:%M}"), width)
    for block in report.blocks:
        if not has_content(block):
            continue
        title = messages.say(report.language, block.id)
        yield from ("", title, "─" * cell_len(title))
        if isinstance(block, Notes):
            mark = "  [ ] " if block.todo else "  - "
            for note in block.lines:
                first, *others = fold(note, width - len(mark))
                yield from (mark + first, *(" " * len(mark) + line for line in others))
        else:
            yield from fitted_table(texts(block, report.language), width)


def fitted_table(table: Texts, width: int) -> Iterator[str]:
    """The table; one that is too wide in parts, each of which begins with the texts that name the rows."""
    columns = text_columns(table)
    names = 1
    while names < min(3, len(columns)) and not columns[names].is_figure:
        names += 1
    parts = [columns[:names]]
    for column in columns[names:]:
        if _room(own.least for own in [*parts[-1], column]) > width and len(parts[-1]) > names:
            parts.append(columns[:names])
        parts[-1].append(column)
    for number, part in enumerate(parts):
        if number:
            yield ""
        yield from table_lines(part, width, total=table.total is not None)
