"""Findings about the outline's topics: not treated, or headings that it does not know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from expand.checks.finding import Finding, excerpt
from expand.markdown import blocks, matching
from expand.markdown.blocks import Block

_LIKE = 0.72
_ENOUGH_PAIRS = 0.4


def _is_treated(topic: str, said: set[str]) -> bool:
    """Whether a key term of the topic is said: a word or identifier, or 40 % of its Chinese."""
    latin = matching.latin_terms(topic)
    chinese = matching.pairs(topic)
    if not latin and not chinese:
        return True
    return bool(latin & said) or (bool(chinese) and len(chinese & said) >= _ENOUGH_PAIRS * len(chinese))


def _under(every: Sequence[Block], index: int) -> list[Block]:
    """The content below a heading, down to the next one of its level or above."""
    found = []
    for block in every[index + 1 :]:
        if block.kind == "heading" and block.level <= every[index].level:
            break
        if block.kind not in ("heading", "rule", "html"):
            found.append(block)
    return found


def _heading_of(topic: str, every: Sequence[Block]) -> int | None:
    likest = [
        (matching.likeness(block.title, topic), -index) for index, block in enumerate(every) if block.kind == "heading"
    ]
    best = max(likest, default=(0.0, 0))
    return -best[1] if best[0] >= _LIKE else None


def missing(text: str, topics: Sequence[str], *, section: int) -> Iterator[Finding]:
    """Topics with nothing under their heading, or of which the section says no key term."""
    if not topics:
        return
    every = blocks.blocks(text)
    content = "\n".join(block.text for block in every if block.kind not in ("heading", "rule"))
    said = matching.terms(content)
    for number, topic in enumerate(topics, 1):
        at = _heading_of(topic, every)
        empty = at is not None and not _under(every, at)
        if not empty and _is_treated(topic, said):
            continue
        why = "nothing stands under its heading" if empty else "none of its key terms occurs"
        yield Finding(
            kind="topic-missing",
            section=section,
            line=1 if at is None else every[at].start + 1,
            severity="warning",
            message=f"topic {number} of {len(topics)} is not treated ({why}): {excerpt(topic)}",
            remedy="write about it",
            mendable=True,
        )


def unknown(text: str, title: str, topics: Sequence[str], *, section: int) -> Iterator[Finding]:
    """Headings at the level of sections or topics that are neither; below that any may stand."""
    for number, block in enumerate(blocks.headings(text)):
        if block.level > 3 or (block.level == 3 and not topics):
            continue
        if number == 0 or any(matching.likeness(block.title, known) >= _LIKE for known in topics):
            continue
        again = matching.likeness(block.title, title) >= 1.0
        yield Finding(
            kind="unknown-heading",
            section=section,
            line=block.start + 1,
            severity="warning" if block.level < 3 else "note",
            message=f"the heading of level {block.level} "
            f"{'stands there twice' if again else 'is not in the outline'}: {excerpt(block.title)}",
            remedy="make it deeper or take it out, or add it to the outline's topics",
            mendable=False,
        )
