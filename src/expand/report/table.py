"""A report on the terminal: tables that show every figure whole, however narrow it is.

A table that is too wide is shown in parts, each with the names of its rows; text folds, figures
never do.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from expand.report import wording
from expand.report.figures import show, show_row
from expand.report.sheet import LEFT, Facts, Notes, Sheet, Table

TEXT_WIDTH = 16
"""Columns that a text gets at least, if it has so many; longer ones fold."""
GAP = 3
"""Columns between two columns: padding on either side, and the box's own."""
WIDE = 160
"""Columns of an output that is no terminal."""


def as_table(sheet: Sheet, width: int = WIDE) -> str:
    """The whole report in lines of at most ``width`` columns, figures permitting."""
    console = Console(file=io.StringIO(), width=width, highlight=False, color_system=None)
    console.print(Text(sheet.title))
    console.print(wording.say(sheet.language, "made", made=f"{sheet.made:%Y-%m-%d %H:%M}"))
    for block in sheet.blocks:
        match block:
            case Facts():
                _head(console, sheet, block.id)
                console.print(Padding(_facts(block, sheet.language), (0, 0, 0, 2)))
            case Table() if block.rows:
                _head(console, sheet, block.id)
                _print_table(console, block, sheet.language)
            case Notes() if block.lines:
                _head(console, sheet, block.id)
                for line in block.lines:
                    _print_line(console, "[ ] " if block.todo else "- ", line)
    assert isinstance(console.file, io.StringIO)
    rows = console.file.getvalue().splitlines()
    return "\n".join(row.rstrip() for row in rows) + "\n"


def _head(console: Console, sheet: Sheet, id_: str) -> None:
    title = wording.say(sheet.language, id_)
    console.print(Text(f"\n{title}\n{'─' * cell_len(title)}"))


def _print_line(console: Console, mark: str, line: str) -> None:
    grid = Grid.grid(padding=0)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(f"  {mark}"), Text(line))
    console.print(grid)


def _facts(block: Facts, language: str) -> Grid:
    grid = Grid.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column(justify="right")
    for fact in block.facts:
        shown = show(fact.value, fact.kind, language, none=fact.none, both=True)
        grid.add_row(Text(wording.label(language, block.id, fact.id)), Text(shown))
    return grid


def _print_table(console: Console, table: Table, language: str) -> None:
    heads = [wording.label(language, table.id, column.id) for column in table.columns]
    rows = [show_row(table.columns, row, language) for row in table.rows]
    if table.total is not None:
        rows.append(show_row(table.columns, table.total, language, total=True))
    columns = list(zip(*rows, strict=True))
    widths = [
        _least(head, cells, column.kind in LEFT)
        for head, cells, column in zip(heads, columns, table.columns, strict=True)
    ]
    for number, part in enumerate(_parts(table, widths, console.width)):
        if number:
            console.print()
        grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False)
        for at in part:
            figure = table.columns[at].kind not in LEFT
            grid.add_column(
                Text(_folded(heads[at], widths[at])),
                justify="right" if figure else "left",
                no_wrap=figure,
                min_width=widths[at],
                overflow="fold",
            )
        for place, row in enumerate(rows):
            if table.total is not None and place == len(rows) - 1:
                grid.add_section()
            grid.add_row(*(Text(row[at]) for at in part))
        console.print(grid)


def _least(head: str, cells: Sequence[str], is_text: bool) -> int:
    """The columns without which something would not be shown."""
    widest = max((cell_len(cell) for cell in cells), default=0)
    word = max((cell_len(word) for word in head.split()), default=0)
    return max(min(widest, TEXT_WIDTH) if is_text else widest, word)


def _folded(head: str, width: int) -> str:
    """A header on as many lines as its column needs."""
    lines: list[str] = []
    for word in head.split():
        if lines and cell_len(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)


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
