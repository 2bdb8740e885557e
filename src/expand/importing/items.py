"""List items as people type them, which is not always as Markdown wants them.

Besides ``1.``, ``-`` and ``*`` also ``1、``, ``（1）``, ``一、`` and ``•``; what is indented deeper
belongs to what stands above it. A task box in front of an item goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

_ITEM = re.compile(
    r"""(?x)^(?P<indent>[\s>]*)
    (?:(?P<number>\d{1,3}(?:\.\d{1,3})*\s*[.)、．）](?!\d)|[(（]\d{1,3}[)）]|[一二三四五六七八九十]{1,3}、)\s*
      |(?P<bullet>[-*+•‣·])\s+)
    (?:\[[ xX]\]\s+)?(?P<text>\S.*)$"""
)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_STRONG = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1")
_EMPHASIS = re.compile(r"(?<![\w*])([*_])(?=[^\s*_])([^*_]+?)(?<=\S)\1(?![\w*])")
_TAB = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """An item: ``depth`` counts from 0, ``numbered`` says how it was marked."""

    text: str
    depth: int
    numbered: bool


def items_of(lines: Iterable[str]) -> list[Item]:
    """The items in the lines, wrapped ones joined; lines outside of items are passed over."""
    found: list[Item] = []
    columns: list[int] = []
    for line in lines:
        item = _ITEM.match(line)
        column = len(line.expandtabs(_TAB)) - len(line.expandtabs(_TAB).lstrip(" >"))
        if item is None:
            if found and line.strip() and column > columns[-1]:
                found[-1] = replace(found[-1], text=f"{found[-1].text} {line.strip()}")
            continue
        while columns and column <= columns[-1]:
            columns.pop()
        columns.append(column)
        found.append(
            Item(
                text=item["text"].strip(),
                depth=len(columns) - 1,
                numbered=item["number"] is not None,
            )
        )
    return found


def plain(text: str) -> str:
    """Text without links, bold and italics; code spans keep their backticks."""
    text = _LINK.sub(r"\1", text)
    for mark in (_STRONG, _EMPHASIS):
        text = mark.sub(r"\2", text)
    return text.strip()
