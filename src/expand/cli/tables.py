"""What the command line shows on a terminal: tables in its width, and prose folded between words."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from expand.reports.text_table import PIPE_WIDTH, room_of, table_lines, text_columns


@dataclass(frozen=True, kw_only=True, slots=True)
class TableColumn:
    """A column. ``figure`` says that its cells are set right and never broken. Where room is short, the columns of the
    greatest ``spare`` are left out first; those of 0 never are.
    """

    name: str
    figure: bool = True
    spare: int = 0


def console() -> Console:
    """A console on stdout: as wide as the terminal, or wide enough for a pipe."""
    piped = not sys.stdout.isatty() and not os.environ.get("COLUMNS")
    return Console(highlight=False, markup=False, emoji=False, width=PIPE_WIDTH if piped else None)


def say(where: Console, line: str) -> None:
    """Prints a line of prose, folded between words on a terminal and left whole in a pipe."""
    where.print(Text(line), soft_wrap=not where.is_terminal)


def table(
    columns: Sequence[TableColumn], rows: Sequence[Sequence[str]], *, width: int, total: Sequence[str] | None = None
) -> Text:
    """The table in at most ``width`` columns, figures permitting; ``total`` is set off below."""
    every = [*rows, *([total] if total is not None else [])]
    text = text_columns([column.name for column in columns], [column.figure for column in columns], every)
    shown = list(range(len(columns)))
    while room_of(text[at].least for at in shown) > width and any(columns[at].spare for at in shown):
        shown.remove(max(shown, key=lambda at: columns[at].spare))
    lines = table_lines([text[at] for at in shown], width, total=total is not None)
    return Text("\n".join(lines), no_wrap=True, overflow="ignore")
