"""What the command line shows on a terminal: tables in its width, and prose folded between words."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, NamedTuple, TextIO, TypeVar

from rich.console import Console
from rich.text import Text

from expand.cli.output import unguarded
from expand.redaction import printable
from expand.reports.messages import Texts
from expand.reports.text_table import PIPE_WIDTH, table_lines

Row = TypeVar("Row")


class TableColumn(NamedTuple, Generic[Row]):
    """A column: its heading, and what it shows of a row; a number gets its thousands separated. ``figure`` says that
    its cells are set right and never broken."""

    name: str
    cell: Callable[[Row], str | int]
    figure: bool = True


def console(stream: TextIO | None = None) -> Console:
    """A console on stdout, or another stream: as wide as the terminal, or wide enough for a pipe."""
    stream = stream or sys.stdout
    piped = not stream.isatty() and not os.environ.get("COLUMNS")
    width = PIPE_WIDTH if piped else None
    return Console(file=unguarded(stream), highlight=False, markup=False, emoji=False, width=width)


def say(where: Console, line: str) -> None:
    """Prints a line of prose, folded between words on a terminal and left whole in a pipe."""
    where.print(Text(printable(line)), soft_wrap=not where.is_terminal)


def print_table(
    where: Console, columns: Sequence[TableColumn[Row]], rows: Iterable[Row], *, total: Row | None = None
) -> None:
    """Prints the rows in the console's width, in parts where it is narrow; ``total`` is set off below."""

    def shown(row: Row) -> list[str]:
        values = (column.cell(row) for column in columns)
        return [printable(value) if isinstance(value, str) else f"{value:,}" for value in values]

    names, figures = [column.name for column in columns], [column.figure for column in columns]
    table = Texts(names, figures, [*map(shown, rows)], None if total is None else shown(total))
    where.print(Text("\n".join(table_lines(table, where.width)), no_wrap=True, overflow="ignore"))
