"""Tables of a plan whose rows name chapters and state what is wanted of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from expand.importing.figures import bare_lines, hours_in, priority_in
from expand.importing.items import plain
from expand.importing.names import ChapterName, chapter_name
from expand.outline import Priority
from expand.text.markdown import Block

_TARGET = re.compile(r"(?i)目标行数|计划行数|^目标$|target|planned|goal")
_PRIORITY = re.compile(r"(?i)优先级|priority")
_HOURS = re.compile(r"(?i)时间|用时|耗时|工时|\btime\b|\bhours?\b|effort|estimate")
_CELL = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"^[\s|:-]+$")


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRow:
    """One row: the chapter it names and what its columns state; None where there is no column.

    ``line`` is where it stands, from 1, ``text`` the row as it is written.
    """

    line: int
    text: str
    id: str | None
    title: str
    target: int | None
    hours: float | None
    priority: Priority | None

    def fits(self, name: ChapterName) -> bool:
        """Whether the row is about the chapter."""
        if self.id is not None:
            return self.id == name.id
        return self.title.casefold() == name.title.casefold()


def table_rows(blocks: Sequence[Block]) -> tuple[TableRow, ...]:
    """The rows of all tables that state a target, hours or a priority, in order."""
    return tuple(
        row
        for block in blocks
        if block.kind == "table"
        for row in _rows(block.text.splitlines(), block.start + 1)
    )


def _rows(lines: Sequence[str], first: int) -> list[TableRow]:
    head = _cells(lines[0])
    columns = {
        wanted: next((at for at, cell in enumerate(head) if wanted.search(cell)), None)
        for wanted in (_TARGET, _PRIORITY, _HOURS)
    }
    if all(at is None for at in columns.values()):
        return []
    return [
        _row(text, line, columns)
        for line, text in enumerate(lines[1:], first + 1)
        if not _RULE.match(text)
    ]


def _row(text: str, line: int, columns: dict[re.Pattern[str], int | None]) -> TableRow:
    cells = _cells(text)

    def cell(wanted: re.Pattern[str]) -> str:
        at = columns[wanted]
        return cells[at] if at is not None and at < len(cells) else ""

    names = [name for name in (chapter_name(text) for text in cells[:3]) if name is not None]
    strong = next((name for name in names if name.strong), None)
    first = cells[0] if cells else ""
    number = f"{int(first):02d}" if re.fullmatch(r"\d{1,3}", first) else None
    title = next((plain(text) for text in cells[:3] if re.search(r"[^\W\d]", text)), "")
    return TableRow(
        line=line,
        text=text.strip(),
        id=strong.id if strong else number,
        title=strong.title if strong else title,
        target=bare_lines(cell(_TARGET)),
        hours=hours_in(cell(_HOURS)),
        priority=priority_in(cell(_PRIORITY)),
    )


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in _CELL.split(line.strip().strip("|"))]
