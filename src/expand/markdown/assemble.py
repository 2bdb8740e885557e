"""Making a model's answers into one text: cleaning, joining, closing, splitting by topic.

``clean`` is in ``cleaning.py`` and ``join`` in ``seam.py``; both are meant to be used from here.
No function raises on any text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from expand.markdown import blocks, chat_boilerplate, continuation, sanitize
from expand.markdown.blocks import Block, rows
from expand.markdown.continuation import join
from expand.markdown.matching import likeness
from expand.markdown.sanitize import clean

__all__ = ["clean", "close", "extend", "join", "split_by_topics", "without_echoes"]

_RAW_HTML = re.compile(r" {0,3}<(!--|\?|!\[CDATA\[|(?:pre|script|style|textarea)(?=[\s>]|$))", re.IGNORECASE)
_RAW_ENDS = {"!--": "-->", "?": "?>", "![cdata[": "]]>"}


def extend(
    before: str,
    answer: str,
    *,
    own_headings: Sequence[str],
    body_level: int,
    cut: bool = False,
) -> str:
    """``before`` continued by an answer, cleaned in the place where it stands.

    ``before`` is what the earlier answers came to, cleaned with ``cut=True`` if the last of them
    was cut; ``cut`` says the same of this one. Headings of the answer keep their distance to each
    other and none gets above ``body_level``.
    """
    answer = chat_boilerplate.without_thinking(answer)
    inside = blocks.open_fence(before)
    if inside is not None and not continuation.continues(answer, inside):
        before, inside = close(before), None
    more = clean(answer, own_headings=own_headings, body_level=body_level, inside=inside, cut=cut)
    return join(before, more)


def close(text: str) -> str:
    """The text with the fence or raw HTML closed in which it ends; else as it is.

    Raw HTML is what runs on over blank lines: a comment, ``<pre>``, ``<script>`` and their like.
    """
    while (closing := blocks.closing_fence(text) or _html_end(text)) is not None:
        newline = blocks.newline_of(text)
        text = text + ("" if text.endswith(("\n", "\r")) else newline) + closing + newline
    return text


def without_echoes(text: str) -> str:
    """The text without the lines of a paragraph or list that say the very line above them again."""
    lines = rows(text)
    said = [row.strip() for row in lines]
    again = [n for n, (one, other) in enumerate(pairwise(said), 1) if one == other and one]
    if not again:
        return text
    echoes = {
        number
        for block in blocks.blocks(text)
        if block.kind in ("paragraph", "list")
        for number in again
        if block.start < number < block.end
    } - {number for fence in blocks.fences(text) for number in range(fence.start, fence.end)}
    return "".join(row for number, row in enumerate(lines) if number not in echoes)


def _html_end(text: str) -> str | None:
    """What ends the raw HTML in which a text ends, None where it ends in none."""
    last = blocks.blocks(text)[-1:]
    begun = _RAW_HTML.match(last[0].text) if last and last[0].kind == "html" else None
    if begun is None:
        return None
    opened = begun[1].lower()
    end = _RAW_ENDS.get(opened, f"</{opened}>")
    return None if end in last[0].text[begun.end() :].lower() else end


def split_by_topics(answer: str, titles: Sequence[str]) -> tuple[str, dict[int, str]]:
    """The text before any recognised heading, and the text under each, by index of its title.

    A heading is recognised when it is like a title (number, case, punctuation and what stands in
    brackets aside), a bold line alone when it is the title. A title met twice gets both texts.
    Thinking and a fence around the whole answer are taken off first.
    """
    answer = sanitize.bare(answer, titles)
    lines = rows(answer)
    parts: list[tuple[int | None, int, int]] = [(None, 0, 0)]
    for block in blocks.blocks(answer):
        index = _topic(block, titles)
        if index is not None:
            parts.append((index, block.start, block.end))
    found: dict[int, str] = {}
    head = ""
    for place, (index, _, body) in enumerate(parts):
        stop = parts[place + 1][1] if place + 1 < len(parts) else len(lines)
        text = "".join(lines[body:stop])
        if index is None:
            head = text
        else:
            found[index] = found.get(index, "") + text
    return head, found


def _topic(block: Block, titles: Sequence[str]) -> int | None:
    title = sanitize.standing_title(block)
    if not title or not titles:
        return None
    likest = [likeness(title, known) for known in titles]
    number = re.match(r"[\s*_]*(?:\d+\.)+(\d+)\b", title)
    if block.kind == "heading" and number and 0 < int(number[1]) <= len(titles):
        likest[int(number[1]) - 1] += 0.25
    best = max(range(len(titles)), key=lambda index: likest[index])
    return best if likest[best] >= (0.72 if block.kind == "heading" else 0.95) else None
