"""Tables and whole reports as text: words fold, figures never do, however narrow the terminal is.

Rich tells how wide characters are (a Chinese one takes two columns). Its own ``Table`` takes 20 s for the 10,000 rows
that the report of a large book has; these few lines take 0.3 s.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from rich.cells import cell_len, chop_cells

from expand.redaction import printable
from expand.reports.report_model import Notes, Report, Texts, has_content, say, texts

PIPE_WIDTH = 160
"""Columns of an output that is no terminal."""
TEXT_WIDTH = 14
"""Columns that a text gets at least, if it has so many; a longer one folds."""
LONGEST_WORD = 40
"""A longer one, in letters that are no Chinese, may be broken over lines."""
GAP = 3
_WORD = re.compile(r"\s*\S+\s*")


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


def table_lines(table: Texts, width: int) -> Iterator[str]:
    """The table in lines of at most ``width`` columns, figures and ids permitting; one that is too wide in parts, each
    of which begins with the texts that name the rows."""
    rows = [*table.rows, *([table.total] if table.total is not None else [])]
    columns = list(zip(*rows, strict=True)) or [()] * len(table.heads)
    least = [*map(_least, table.heads, columns, table.figures)]
    names = 1
    while names < min(3, len(columns)) and not table.figures[names]:
        names += 1
    parts = [[*range(names)]]
    for at in range(names, len(columns)):
        if sum(least[one] + GAP for one in (*parts[-1], at)) - GAP > width and len(parts[-1]) > names:
            parts.append([*range(names)])
        parts[-1].append(at)
    for number, part in enumerate(parts):
        if number:
            yield ""
        heads = [fold(table.heads[at], least[at]) for at in part]
        widths = [max(least[at], *map(cell_len, [*head, *columns[at]])) for at, head in zip(part, heads, strict=True)]
        while sum(widths) + GAP * (len(widths) - 1) > width:  # the widest column that can gives way first
            spare = [place for place, at in enumerate(part) if widths[place] > least[at]]
            if not spare:
                break
            widths[max(spare, key=widths.__getitem__)] -= 1
        right = [table.figures[at] for at in part]
        deepest = max(map(len, heads))
        for line in zip(*([""] * (deepest - len(head)) + head for head in heads), strict=True):
            yield _line(line, widths, right)
        yield "─" * (sum(widths) + GAP * (len(widths) - 1))
        for row in rows:
            if row is table.total:
                yield ""
            for line in zip_longest(*map(fold, [row[at] for at in part], widths), fillvalue=""):
                yield _line(line, widths, right)


def _least(head: str, cells: Sequence[str], is_figure: bool) -> int:
    """The width that a column never goes below: that of its figures, or of its ids and other long words."""
    wide = max(map(cell_len, cells), default=0)
    if not is_figure:
        words = (len(word) for cell in cells for word in re.findall(r"[!-~]{15,}", cell))
        wide = max(min(wide, TEXT_WIDTH), max((word for word in words if word <= LONGEST_WORD), default=0))
    return max(wide, *map(cell_len, head.split()))


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = []
    for cell, width, at_right in zip(cells, widths, right, strict=True):
        room = " " * (width - cell_len(cell))
        padded.append(room + cell if at_right else cell + room)
    return (" " * GAP).join(padded).rstrip()


def report_lines(report: Report, width: int) -> Iterator[str]:
    """The whole report in lines of at most ``width`` columns, figures and ids permitting."""
    yield from fold(report.title, width)
    yield from fold(say(report.language, "made", made=f"{report.made:%Y-%m-%d %H:%M}"), width)
    for block in filter(has_content, report.blocks):
        title = say(report.language, block.id)
        yield from ("", title, "─" * cell_len(title))
        if isinstance(block, Notes):
            mark = "  [ ] " if block.todo else "  - "
            for note in block.lines:
                first, *others = fold(note, width - len(mark))
                yield from (mark + first, *(" " * len(mark) + line for line in others))
        else:
            yield from table_lines(texts(block, report.language), width)
