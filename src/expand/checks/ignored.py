"""Silence findings: whole kinds, as book, outline and section say, and one in a block, as a comment above it says."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from expand.checks.finding import Finding
from expand.markdown import blocks

_COMMENT = re.compile(
    r"(?m)(?:<!--|\{/\*|^%)\s*expand:\s*ignore\s+(?P<kinds>[a-z-]+(?:[ \t,]+[a-z-]+)*?)[ \t]*(?:-->|\*/\}|$)"
)

_ANY_COMMENT = re.compile(r"(?ms)<!--.*?-->|\{/\*.*?\*/\}|^%[^\n]*$")


def not_ignored(
    findings: Iterable[Finding], texts: Mapping[int, str], ignored: Callable[[int], frozenset[str]]
) -> tuple[Finding, ...]:
    """The findings that are not silenced. ``texts`` holds the sections by number; ``ignored`` says which kinds are
    silenced in a whole section, 0 being the chapter."""
    silenced = {number: list(_silenced_lines(text)) for number, text in texts.items() if "expand:" in text}
    return tuple(
        one
        for one in findings
        if one.kind not in ignored(one.section)
        and not any(one.line in lines and one.kind in kinds for lines, kinds in silenced.get(one.section, ()))
    )


def _silenced_lines(text: str) -> Iterator[tuple[range, frozenset[str]]]:
    """The lines of the block below each comment ``expand: ignore KIND``, counted from 1, and the kinds."""
    kinds: set[str] = set()
    for block in blocks.blocks(text):
        rest = block.text
        if block.kind in ("html", "paragraph"):
            kinds.update(kind for found in _COMMENT.finditer(rest) for kind in re.split(r"[\s,]+", found["kinds"]))
            rest = _ANY_COMMENT.sub("", rest)
        if rest.strip():
            yield range(block.start + 1, block.end + 1), frozenset(kinds)
            kinds.clear()
