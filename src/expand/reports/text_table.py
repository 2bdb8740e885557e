"""A report on the terminal: tables that show every figure whole, however narrow it is.

A table that is too wide is shown in parts, each with the names of its rows; text folds, figures
never do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from expand.reports import messages
from expand.reports.report_model import LEFT, Facts, Notes, Report, Table
from expand.reports.rounding import show, show_row

# Columns of text beside each other: what is too long folds, figures never do.
#
# As wide as it looks: a Chinese character takes two columns. Nothing here is a report's own.

GAP = 3
"""Columns between two columns."""
_WORD = re.compile(r"\s*\S+\s*")
_NARROW = re.compile("[ -~\xb1\xb7\xd7\u2013-\u201d\u2026\u2500-\u257f]*")
"""Characters of one column each: what reports in English are made of."""


class TextColumn(NamedTuple):
    """A column: the lines of its ``head``, its ``cells``, and the width below which it never goes.

    ``right`` says that it is set right.
    """

    cells: Sequence[str]
    least: int
    head: Sequence[str] = ()
    right: bool = False


def cell_len(text: str) -> int:
    """The columns that a text takes."""
    if _NARROW.fullmatch(text):
        return len(text)
    from rich.cells import cell_len as measured  # start-up time

    return measured(text)


def folded(text: str, width: int) -> list[str]:
    """A text on lines of at most ``width`` columns, broken between words; a longer word within."""
    if cell_len(text) <= width:
        return [text]
    width = max(width, 2)  # room for one wide character
    lines: list[str] = []
    line = ""
    for word in _WORD.findall(text):
        bare = word.rstrip()
        if cell_len(line + bare) <= width:
            line += word
            continue
        if line:
            lines.append(line)
        *full, line = _chopped(word, width) if cell_len(bare) > width else [word]
        lines += full
    return [line.rstrip() for line in [*lines, line]]


def _chopped(word: str, width: int) -> list[str]:
    from rich.cells import chop_cells  # start-up time

    return chop_cells(word, width)


def beside(columns: Sequence[TextColumn], room: int, *, gap: int = GAP, total: bool = False) -> Iterator[str]:
    """The rows in lines of at most ``room`` columns, if no column has to go below its least width.

    ``total`` sets the last row off from the others.
    """
    sizes = [[cell_len(cell) for cell in column.cells] for column in columns]
    widths = _fitting(
        [
            max([column.least, *map(cell_len, column.head), *cells])
            for column, cells in zip(columns, sizes, strict=True)
        ],
        [column.least for column in columns],
        room - gap * (len(columns) - 1),
    )
    right = [column.right for column in columns]
    head = max(len(column.head) for column in columns)
    for at in range(head):
        row = [["", *column.head][max(0, at + 1 - head + len(column.head))] for column in columns]
        yield _line(row, [cell_len(cell) for cell in row], widths, right, gap)
    if head:
        yield "─" * (sum(widths) + gap * (len(columns) - 1))
    every = zip(*(column.cells for column in columns), strict=True)
    last = len(sizes[0]) - 1
    for at, (cells, wide) in enumerate(zip(every, zip(*sizes, strict=True), strict=True)):
        if total and at == last:
            yield ""
        if all(size <= width for size, width in zip(wide, widths, strict=True)):
            yield _line(cells, wide, widths, right, gap)
            continue
        parts = [folded(cell, width) for cell, width in zip(cells, widths, strict=True)]
        for line in zip_longest(*parts, fillvalue=""):
            yield _line(line, [cell_len(cell) for cell in line], widths, right, gap)


def _fitting(natural: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """The widths: the widest columns give way first."""
    widths = list(natural)
    for _ in range(sum(widths) - room):
        spare = [at for at, width in enumerate(widths) if width > least[at]]
        if not spare:
            break
        widths[max(spare, key=lambda at: widths[at])] -= 1
    return widths


def _line(
    row: Sequence[str],
    sizes: Sequence[int],
    widths: Sequence[int],
    right: Sequence[bool],
    gap: int,
) -> str:
    cells = [
        " " * (width - size) + cell if at_right else cell + " " * (width - size)
        for cell, size, width, at_right in zip(row, sizes, widths, right, strict=True)
    ]
    return (" " * gap).join(cells).rstrip()


TEXT_WIDTH = 16
"""Columns that a text gets at least, if it has so many; longer ones fold."""
WIDE = 160
"""Columns of an output that is no terminal."""


def as_table(sheet: Report, width: int = WIDE) -> str:
    """The whole report in lines of at most ``width`` columns, figures permitting."""
    return "".join(f"{line}\n" for line in _lines(sheet, width))


def _lines(sheet: Report, width: int) -> Iterator[str]:
    yield from folded(sheet.title, width)
    yield from folded(messages.say(sheet.language, "made", made=f"{sheet.made:%Y-%m-%d %H:%M}"), width)
    for block in sheet.blocks:
        match block:
            case Facts():
                yield from _head(sheet, block.id)
                yield from _facts(block, sheet.language, width)
            case Table() if block.rows:
                yield from _head(sheet, block.id)
                yield from _table(block, sheet.language, width)
            case Notes() if block.lines:
                yield from _head(sheet, block.id)
                for line in block.lines:
                    yield from _note("  [ ] " if block.todo else "  - ", line, width)


def _head(sheet: Report, id_: str) -> tuple[str, ...]:
    title = messages.say(sheet.language, id_)
    return ("", title, "─" * cell_len(title))


def _note(mark: str, line: str, width: int) -> Iterator[str]:
    for part in folded(line, width - len(mark)):
        yield f"{mark}{part}"
        mark = " " * len(mark)


def _facts(block: Facts, language: str, width: int) -> Iterator[str]:
    names = [messages.label(language, block.id, fact.id) for fact in block.facts]
    shown = [show(fact.value, fact.kind, language, none=fact.none, both=True) for fact in block.facts]
    columns = [
        TextColumn(cells=names, least=_least("", names, True)),
        TextColumn(cells=shown, least=max(_word(text) for text in shown), right=True),
    ]
    for line in beside(columns, width - 2, gap=2):
        yield f"  {line}"


def _table(table: Table, language: str, width: int) -> Iterator[str]:
    heads = [messages.label(language, table.id, column.id) for column in table.columns]
    rows = [show_row(table.columns, row, language) for row in table.rows]
    if table.total is not None:
        rows.append(show_row(table.columns, table.total, language, total=True))
    columns = []
    for head, cells, column in zip(heads, zip(*rows, strict=True), table.columns, strict=True):
        is_text = column.kind in LEFT
        least = _least(head, cells, is_text)
        columns.append(TextColumn(head=folded(head, least), cells=cells, least=least, right=not is_text))
    for number, part in enumerate(_parts(table, [column.least for column in columns], width)):
        if number:
            yield ""
        yield from beside([columns[at] for at in part], width, total=table.total is not None)


def _word(text: str) -> int:
    """The columns of the longest word."""
    return max((cell_len(word) for word in text.split()), default=0)


def _least(head: str, cells: Sequence[str], is_text: bool) -> int:
    """The columns without which something would not be shown."""
    widest = max((cell_len(cell) for cell in cells), default=0)
    return max(min(widest, TEXT_WIDTH) if is_text else widest, _word(head))


def _parts(table: Table, widths: list[int], width: int) -> list[list[int]]:
    """The columns in parts that fit; each begins with the texts that name the rows."""
    names = 1
    while names < min(3, len(widths)) and table.columns[names].kind in LEFT:
        names += 1
    named = list(range(names))
    parts: list[list[int]] = []
    part, used = list(named), sum(widths[at] + GAP for at in named)
    start = used
    for at in range(names, len(widths)):
        if used + widths[at] > width and len(part) > names:
            parts.append(part)
            part, used = list(named), start
        part.append(at)
        used += widths[at] + GAP
    return [*parts, part]
