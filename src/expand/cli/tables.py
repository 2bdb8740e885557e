"""Tables for people: figures are never broken; where room is short, whole columns give way."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 160
"""Columns of an output that is no terminal and has no COLUMNS."""
TEXT_WIDTH = 14
"""Columns that a text gets at least; a longer one folds."""
GAP = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class TableColumn:
    """A column. ``figure`` says that its cells are set right and never broken. Those of the
    greatest ``spare`` give way first; those of 0 never do.
    """

    name: str
    figure: bool = True
    spare: int = 0


def console() -> Console:
    """A console on stdout: as wide as the terminal, or wide enough for a pipe."""
    piped = not sys.stdout.isatty() and not os.environ.get("COLUMNS")
    return Console(highlight=False, markup=False, emoji=False, width=PIPE_WIDTH if piped else None)


def say(where: Console, line: str) -> None:
    """A line of prose, folded between words on a terminal and left whole in a pipe."""
    where.print(Text(line), soft_wrap=not where.is_terminal)


def table(
    columns: Sequence[TableColumn],
    rows: Sequence[Sequence[str]],
    *,
    width: int,
    total: Sequence[str] | None = None,
) -> Table:
    """The table in at most ``width`` cells, figures permitting; ``total`` is set off below."""
    every = [*rows, total] if total is not None else list(rows)
    least = [_least(column, [row[at] for row in every]) for at, column in enumerate(columns)]
    shown = _fitting(columns, least, width)
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False)
    for at in shown:
        column = columns[at]
        grid.add_column(
            Text(column.name),
            justify="right" if column.figure else "left",
            no_wrap=column.figure,
            min_width=least[at],
            overflow="fold",
        )
        grid.columns[-1].header = Text(_folded(column.name, least[at]))
    for row in rows:
        grid.add_row(*(Text(row[at]) for at in shown))
    if total is not None:
        grid.add_section()
        grid.add_row(*(Text(total[at]) for at in shown))
    return grid


def _least(column: TableColumn, cells: Sequence[str]) -> int:
    widest = max((cell_len(cell) for cell in cells), default=0)
    word = max(cell_len(word) for word in column.name.split())
    return max(widest if column.figure else min(widest, TEXT_WIDTH), word)


def _fitting(columns: Sequence[TableColumn], least: Sequence[int], width: int) -> list[int]:
    """The places of the columns that there is room for."""
    shown = list(range(len(columns)))
    while sum(least[at] for at in shown) + GAP * (len(shown) - 1) > width:
        spare = [at for at in shown if columns[at].spare]
        if not spare:
            break
        shown.remove(max(spare, key=lambda at: columns[at].spare))
    return shown


def _folded(name: str, width: int) -> str:
    """A header on as many lines as its column needs."""
    lines: list[str] = []
    for word in name.split():
        if lines and cell_len(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)
