"""A report on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from expand.report import wording
from expand.report.figures import show
from expand.report.sheet import LEFT, Column, Facts, Notes, Sheet, Table, Value

if TYPE_CHECKING:
    from collections.abc import Iterator


def print_sheet(sheet: Sheet, file: TextIO) -> None:
    """Prints the whole report; colours only on a terminal that has them."""
    console = Console(file=file, highlight=False)
    console.print(Text(sheet.title, style="bold"))
    for block in sheet.blocks:
        match block:
            case Facts():
                console.print(_heading(sheet, block.id))
                console.print(Padding(_facts(block, sheet.language), (0, 0, 0, 2)))
            case Table() if block.rows:
                console.print(_heading(sheet, block.id))
                console.print(_grid(block, sheet.language))
            case Notes() if block.lines:
                console.print(_heading(sheet, block.id))
                for line in block.lines:
                    mark = "[ ] " if block.todo else "- "
                    console.print(Padding(Text(mark + line), (0, 0, 0, 2)))


def _heading(sheet: Sheet, id_: str) -> Text:
    return Text("\n" + wording.say(sheet.language, id_), style="bold")


def _facts(block: Facts, language: str) -> Grid:
    grid = Grid.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column(justify="right")
    for fact in block.facts:
        shown = show(fact.value, fact.kind, language, none=fact.none, both=True)
        grid.add_row(Text(wording.label(language, block.id, fact.id)), Text(shown))
    return grid


def _grid(block: Table, language: str) -> Grid:
    grid = Grid()
    for column in block.columns:
        grid.add_column(
            wording.label(language, block.id, column.id),
            justify="left" if column.kind in LEFT else "right",
        )
    for row in block.rows:
        grid.add_row(*_cells(block.columns, row, language))
    if block.total is not None:
        grid.add_section()
        name = Text(wording.say(language, "total"))
        grid.add_row(name, *_cells(block.columns[1:], block.total[1:], language, blank=True))
    return grid


def _cells(
    columns: tuple[Column, ...], row: tuple[Value, ...], language: str, *, blank: bool = False
) -> Iterator[Text]:
    for column, value in zip(columns, row, strict=True):
        empty = blank and value is None
        yield Text("" if empty else show(value, column.kind, language, none=column.none))
