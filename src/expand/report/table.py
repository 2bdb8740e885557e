"""A report on the terminal: tables that show every figure whole, however narrow it is.

A table that is too wide is shown in parts, each with the names of its rows; text folds, figures
never do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from expand.report import wording
from expand.report.columns import GAP, Column, beside, cell_len, folded
from expand.report.figures import show, show_row
from expand.report.sheet import LEFT, Facts, Notes, Sheet, Table

TEXT_WIDTH = 16
"""Columns that a text gets at least, if it has so many; longer ones fold."""
WIDE = 160
"""Columns of an output that is no terminal."""


def as_table(sheet: Sheet, width: int = WIDE) -> str:
    """The whole report in lines of at most ``width`` columns, figures permitting."""
    return "".join(f"{line}\n" for line in _lines(sheet, width))


def _lines(sheet: Sheet, width: int) -> Iterator[str]:
    yield from folded(sheet.title, width)
    yield from folded(
        wording.say(sheet.language, "made", made=f"{sheet.made:%Y-%m-%d %H:%M}"), width
    )
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


def _head(sheet: Sheet, id_: str) -> tuple[str, ...]:
    title = wording.say(sheet.language, id_)
    return ("", title, "─" * cell_len(title))


def _note(mark: str, line: str, width: int) -> Iterator[str]:
    for part in folded(line, width - len(mark)):
        yield f"{mark}{part}"
        mark = " " * len(mark)


def _facts(block: Facts, language: str, width: int) -> Iterator[str]:
    names = [wording.label(language, block.id, fact.id) for fact in block.facts]
    shown = [
        show(fact.value, fact.kind, language, none=fact.none, both=True) for fact in block.facts
    ]
    columns = [
        Column(cells=names, least=_least("", names, True)),
        Column(cells=shown, least=max(_word(text) for text in shown), right=True),
    ]
    for line in beside(columns, width - 2, gap=2):
        yield f"  {line}"


def _table(table: Table, language: str, width: int) -> Iterator[str]:
    heads = [wording.label(language, table.id, column.id) for column in table.columns]
    rows = [show_row(table.columns, row, language) for row in table.rows]
    if table.total is not None:
        rows.append(show_row(table.columns, table.total, language, total=True))
    columns = []
    for head, cells, column in zip(heads, zip(*rows, strict=True), table.columns, strict=True):
        is_text = column.kind in LEFT
        least = _least(head, cells, is_text)
        columns.append(
            Column(head=folded(head, least), cells=cells, least=least, right=not is_text)
        )
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
