"""What sections say, in short: for those that come after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from expand.markdown import assemble, blocks

LINES_PER_SECTION = 10
LONGEST_LINE = 160


def of_sections(texts: Sequence[str]) -> str:
    """For each section its headings, and the beginning of the first paragraph under each."""
    return "\n".join(line for text in texts for line in _of_section(text))


def by_topic(text: str, topics: Sequence[str]) -> Mapping[int, str]:
    """The text of a section by topic index; without topics, all of it under 0."""
    heading, _, body = text.partition("\n")
    if not topics:
        return {0: body} if heading else {}
    _, found = assemble.split_by_topics(body, topics)
    return found


def _of_section(text: str) -> list[str]:
    kept: list[str] = []
    wants_paragraph = False
    for block in blocks.blocks(text):
        if block.kind == "heading":
            kept.append(f"{'#' * block.level} {block.title}")
            wants_paragraph = True
        elif block.kind == "paragraph" and wants_paragraph:
            kept.append(" ".join(block.text.split())[:LONGEST_LINE])
            wants_paragraph = False
    return kept[:LINES_PER_SECTION]
