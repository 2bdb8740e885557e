"""The items of a YAML list as pieces of text, so that they can be put in another order.

A comment above an item goes where the item goes; YAML libraries hang it on the item before.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ListText:
    """A list in block style: the text before it, its items (comments above them included), the
    text after it. ``column`` is where its dashes stand, from 0.
    """

    before: str
    items: tuple[str, ...]
    after: str
    column: int

    def with_items(self, items: Sequence[int | str]) -> str:
        """The text with the list made of these: an item by its number from 0, or a new item's
        YAML as it would stand at the left margin, without its dash.
        """
        pieces = [self.items[item] if isinstance(item, int) else self._new(item) for item in items]
        closed = [piece if piece.endswith("\n") else f"{piece}\n" for piece in pieces]
        return self.before + "".join(closed) + self.after

    def _new(self, yaml: str) -> str:
        margin = " " * self.column
        first, *rest = yaml.splitlines()
        return "\n".join([f"{margin}- {first}", *(f"{margin}  {line}" for line in rest)]) + "\n"


def list_text(text: str, starts: Sequence[tuple[int, int]]) -> ListText | None:
    """The list whose items' contents begin at ``starts`` (line and column from 0).

    None where its items do not each begin a line with their dash: in brackets, for instance.
    """
    rows = text.splitlines(keepends=True)
    dashes = [rows[line][:column].rstrip() for line, column in starts]
    if not dashes or any(dash.strip() != "-" for dash in dashes):
        return None
    column = len(dashes[0]) - 1
    begins = [_with_comments(rows, line, column) for line, _ in starts]
    end = _end(rows, starts[-1][0] + 1, column)
    cuts = [*begins, end]
    return ListText(
        before="".join(rows[: begins[0]]),
        items=tuple("".join(rows[a:b]) for a, b in itertools.pairwise(cuts)),
        after="".join(rows[end:]),
        column=column,
    )


def _with_comments(rows: Sequence[str], line: int, column: int) -> int:
    """The first of the comment lines right above an item that stand at its dash or deeper."""
    while (
        line > 0 and rows[line - 1].lstrip().startswith("#") and _indent(rows[line - 1]) >= column
    ):
        line -= 1
    return line


def _end(rows: Sequence[str], line: int, column: int) -> int:
    """The line after the last one of the list; what comments on the next key is not of it."""
    last = line
    for at in range(line, len(rows)):
        row = rows[at]
        if not row.strip():
            continue
        if _indent(row) <= column and not row.lstrip().startswith("#"):
            break
        if _indent(row) > column:
            last = at + 1
    return last


def _indent(row: str) -> int:
    return len(row) - len(row.lstrip(" "))
