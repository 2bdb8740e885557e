"""Columns of text beside each other: what is too long folds, figures never do.

As wide as it looks: a Chinese character takes two columns. Nothing here is a report's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

GAP = 3
"""Columns between two columns."""
_WORD = re.compile(r"\s*\S+\s*")
_NARROW = re.compile("[ -~\xb1\xb7\xd7\u2013-\u201d\u2026\u2500-\u257f]*")
"""Characters of one column each: what reports in English are made of."""


class Column(NamedTuple):
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


def beside(
    columns: Sequence[Column], room: int, *, gap: int = GAP, total: bool = False
) -> Iterator[str]:
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
