"""Check whether passages, lists, tables and headings are in the draft's language."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from expand.checks.finding import Finding, Severity, excerpt, finding
from expand.markdown import blocks, languages, matching

FOREIGN_LETTERS = 40
"""A piece of fewer letters is in no language: names and commands."""
_PATH = re.compile(r"[!-~]*[/_\\][!-~]*")
"""Paths and names of files, in no language; whatever includes them in the page."""
MOSTLY_FOREIGN = 0.5
"""Above this share of the text the section must not be accepted."""


def wrong_language(text: str, own_titles: Sequence[str], *, section: int, language: str) -> list[Finding]:
    """At most one: pieces of 40 letters or more that are in another language. ``own_titles`` are the outline's."""
    sizes: list[tuple[int, str, int, str | None]] = []
    for line, words in _pieces(text, {matching.title_key(title) for title in own_titles}):
        piece = _PATH.sub(" ", words)
        size = languages.letters(piece)
        sizes.append((line, piece, size, languages.foreign(piece, language) if size >= FOREIGN_LETTERS else None))
    wrong = [one for one in sizes if one[3] is not None]
    if not wrong:
        return []
    share = sum(size for _, _, size, _ in wrong) / sum(size for _, _, size, _ in sizes)
    severity: Severity = "blocking" if share > MOSTLY_FOREIGN else "warning"
    line, piece, _, found = wrong[0]
    message = (
        f"{len(wrong)} of {len(sizes)} passages ({share:.0%} of the text) are not in {language!r}; "
        f"the first at line {line + 1} is in {found!r}: {excerpt(piece)}"
    )
    remedy = f"write them in {language!r}"
    return [finding("wrong-language", section, line + 1, message, severity=severity, remedy=remedy)]


def _pieces(text: str, own: set[str]) -> Iterator[tuple[int, str]]:
    """First line from 0 and words of each passage, of each list and table as a whole, and of all headings together.

    Quotations may be in any language, code is in none, and the outline's own titles are as its author wrote them."""
    top = [block for block in blocks.blocks(text) if block.kind in ("paragraph", "list", "table")]
    starts = {line: block.start for block in top for line in range(block.start, block.end)}
    inner = [(starts[one.line], one.prose) for one in blocks.paragraphs(text) if one.line in starts]
    for start, group in groupby(inner, key=lambda one: one[0]):
        yield start, "\n".join(prose for _, prose in group)
    for block in top:
        if block.kind == "table":
            yield block.start, matching.prose(block.text).replace("|", " ")
    headings = [one for one in blocks.headings(text) if matching.title_key(one.title) not in own]
    if headings:
        yield headings[0].start, "\n".join(matching.prose(one.title) for one in headings)
