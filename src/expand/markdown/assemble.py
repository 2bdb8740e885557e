"""Assemble a section from a model's answers: split them by topic, close what is open, summarise. Nothing raises."""

import re
from collections.abc import Mapping, Sequence

from expand.markdown import blocks, matching, sanitize
from expand.markdown.blocks import Block, newline_of, rows

SAME_TITLE = 0.72
"""The likeness from which a heading is a topic's."""
SAME_BOLD_TITLE = 0.95
"""The likeness from which a bold line alone is a topic's heading: it may as well be emphasis."""
NUMBER_BONUS = 0.25
"""Likeness added where a heading has a topic's number, so that a free wording is recognised."""
SUMMARY_LINES = 10
"""Lines of a section's summary."""
SUMMARY_COLUMNS = 160
"""Characters of each line of it."""

_RAW_HTML = re.compile(r" {0,3}<(!--|\?|!\[CDATA\[|(?:pre|script|style|textarea)(?=[\s>]|$))", re.IGNORECASE)
_RAW_ENDS = {"!--": "-->", "?": "?>", "![cdata[": "]]>"}


def close(text: str) -> str:
    """The text with the fence or raw HTML closed in which it ends; else as it is.

    Raw HTML is what runs on over blank lines: a comment, ``<pre>``, ``<script>`` and their like."""
    # A loop: a fence may be open within raw HTML, and closing one shows the other.
    while (closing := blocks.closing_fence(text) or _html_end(text)) is not None:
        newline = newline_of(text)
        text = text + ("" if text.endswith(("\n", "\r")) else newline) + closing + newline
    return text


def _html_end(text: str) -> str | None:
    """What ends the raw HTML in which a text ends, None where it ends in none."""
    last = blocks.blocks(text)[-1:]
    opening = _RAW_HTML.match(last[0].text) if last and last[0].kind == "html" else None
    if opening is None:
        return None
    tag = opening[1].lower()
    end = _RAW_ENDS.get(tag, f"</{tag}>")
    return None if end in last[0].text[opening.end() :].lower() else end


def split_by_topics(answer: str, titles: Sequence[str]) -> tuple[str, dict[int, str]]:
    """The text before any recognised heading, and the text under each, by index of its title.

    A heading is recognised when it is like a title (number, case, punctuation and what stands in
    brackets aside), a bold line alone when it is the title. A title met twice gets both texts.
    Thinking and a fence around the whole answer are taken off first."""
    answer = sanitize.unwrapped(answer, titles)
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
    # By likeness, since models renumber, shorten and translate headings. By equality, most answers for several topics
    # would be taken for the text of the first one.
    scores = matching.likenesses(title, titles)
    is_heading = block.kind == "heading"
    number = re.match(r"[\s*_]*(?:\d+\.)+(\d{1,9})\b", title)
    if is_heading and number and 0 < int(number[1]) <= len(titles):
        scores[int(number[1]) - 1] += NUMBER_BONUS
    # A heading below the threshold stays in the text as a heading of the model's own. Dropping it could drop the only
    # thing that structures the answer.
    best = max(scores)
    return scores.index(best) if best >= (SAME_TITLE if is_heading else SAME_BOLD_TITLE) else None


def summary_of_sections(texts: Sequence[str]) -> str:
    """For each section its headings, and the beginning of the first paragraph under each."""
    return "\n".join(line for text in texts for line in _summary(text))


def by_topic(text: str, topics: Sequence[str]) -> Mapping[int, str]:
    """The text of a section by topic index; without topics, all of it under 0."""
    heading, _, body = text.partition("\n")
    if not topics:
        return {0: body} if heading else {}
    _, found = split_by_topics(body, topics)
    return found


def _summary(text: str) -> list[str]:
    lines: list[str] = []
    wants_paragraph = False
    for block in blocks.blocks(text):
        if block.kind == "heading":
            lines.append(f"{'#' * block.level} {block.title}")
            wants_paragraph = True
        elif block.kind == "paragraph" and wants_paragraph:
            lines.append(" ".join(block.text.split())[:SUMMARY_COLUMNS])
            wants_paragraph = False
    return lines[:SUMMARY_LINES]
