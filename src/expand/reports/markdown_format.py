"""A report as Markdown, to stand in a docs tree."""

from __future__ import annotations

import re
from collections.abc import Sequence

from expand.reports import messages
from expand.reports.report_model import LEFT, Block, Facts, Notes, Report, Table
from expand.reports.rounding import show, show_row

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~])")


def as_markdown(sheet: Report) -> str:
    """The whole report: a title, the day, and a section for each block that has something."""
    made = "> " + messages.say(sheet.language, "made", made=f"{sheet.made:%Y-%m-%d %H:%M}")
    parts = [f"# {escaped(sheet.title)}", made]
    for block in sheet.blocks:
        body = block_markdown(block, sheet.language)
        if body:
            parts += [f"## {messages.say(sheet.language, block.id)}", body]
    return "\n\n".join(parts) + "\n"


def block_markdown(block: Block, language: str) -> str:
    """One block without its heading; "" where there is nothing to show."""
    match block:
        case Facts():
            facts = [
                (
                    messages.label(language, block.id, fact.id),
                    show(fact.value, fact.kind, language, none=fact.none, both=True),
                )
                for fact in block.facts
            ]
            names = (messages.say(language, "measure"), messages.say(language, "value"))
            return _table([names, *facts], [False, True])
        case Table() if block.rows:
            head = [messages.label(language, block.id, c.id) for c in block.columns]
            rows = [[escaped(cell) for cell in show_row(block.columns, row, language)] for row in block.rows]
            if block.total is not None:
                cells = show_row(block.columns, block.total, language, total=True)
                rows.append([f"**{escaped(cell)}**" if cell else "" for cell in cells])
            return _table([head, *rows], [c.kind not in LEFT for c in block.columns])
        case Notes():
            mark = "- [ ] " if block.todo else "- "
            return "\n".join(f"{mark}{_line(line)}" for line in block.lines)
        case _:
            return ""


def escaped(text: str) -> str:
    """Text as it stands, whatever Markdown would make of it; on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _line(text: str) -> str:
    """A sentence of the report: what stands in backticks stays code."""
    parts = " ".join(text.split()).split("`")
    return "".join(
        f"`{part}`" if number % 2 and number < len(parts) - 1 else escaped(part) for number, part in enumerate(parts)
    )


def _table(rows: Sequence[Sequence[str]], right: list[bool]) -> str:
    rule = "|" + "|".join("---:" if number else "---" for number in right) + "|"
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, rule, *body])
