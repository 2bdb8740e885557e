"""Read the author's own document, and place each piece of it in a section of the outline.

Nothing here changes a word of it: texts are cut by lines, verbatim.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, zip_longest

from expand.document.page import Page
from expand.markdown import blocks, matching
from expand.markdown.blocks import Block, rows
from expand.outline import Outline

_META = re.compile(
    r"""(?x)\s*(?:[>*_-]\s*)*(?:
      (\*\*|__)[^*_\n]{1,40}(?:\1\s*[:：]|[:：]\s*\1)      # **Audience**: …
    | \[?!\[                                               # badges
    | <!--
    | \[[^\]]+\]\([^)]*\)\s*$                              # a link alone
    )"""
)
_CLOSING_WORDS = re.compile(
    r"(?i)^[\s*_>]*(?:last (?:updated|modified)|maintain|references?\b|see also|参考|维护|更新|"
    r"文档|作者|版权|copyright|licen[cs]e|back to|返回|上一[章篇]|下一[章篇]|next:|previous:)"
)
_LABEL = re.compile(r"[:：][*_\s]*$")
CLOSING_LINES = 8
"""A longer block at the end of a document is text of its last section, not of the footer."""
HEADING_WEIGHT = 3
"""How many words of its text a word of a heading above a piece is worth."""
LEAST_TERMS = 4
"""A title or topic of fewer words counts as one of so many: else one shared word would be a fit."""
SAME_NAME = 0.8
"""The likeness from which a heading above a piece is the section's or topic's own title."""
SAME_NAME_BONUS = 20
"""What that is worth at full likeness: more than any number of words in common."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceSection:
    """A part of the source under one heading: ``text`` is what stands below it, verbatim.

    ``level`` is the heading's; text before the first heading has the title "" and level 0.
    """

    title: str
    level: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A source document: ``header`` and ``footer`` are kept verbatim around a draft."""

    header: str
    sections: tuple[SourceSection, ...]
    footer: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedBlocks:
    """A piece of the source for one section of the outline, ``text`` verbatim.

    ``topic`` is the index of the topic that it fits best, None when it fits none. ``title`` is
    the heading under which it stood.
    """

    text: str
    title: str
    topic: int | None


def read_source(text: str) -> Source:
    """Header, sections and footer of a document.

    The header ends at the first rule, heading or ordinary text; sections begin at the shallowest
    headings below the title; the footer begins at the rule before the closing references.
    """
    every = blocks.blocks(text)
    lines = rows(text)
    header_end = _header_end(every)
    footer_start = _footer_start(every, header_end)
    level = _section_level(every)
    headings = [b for b in every[header_end:footer_start] if b.kind == "heading" and b.level <= level]
    last = every[-1].end if every else 0
    body = every[header_end].start if header_end < len(every) else last
    end = every[footer_start].start if footer_start < len(every) else last
    sections: list[SourceSection] = []
    first = _cut(lines, body, headings[0].start if headings else end)
    if any(block.kind != "rule" for block in blocks.blocks(first)):
        sections.append(SourceSection(title="", level=0, text=first))
    stops = [*(heading.start for heading in headings[1:]), end]
    for heading, stop in zip(headings, stops, strict=False):
        part = _cut(lines, heading.end, stop)
        sections.append(SourceSection(title=heading.title, level=heading.level, text=part))
    return Source(
        header=_cut(lines, 0, body).rstrip(),
        sections=tuple(sections),
        footer=_cut(lines, end, last),
    )


def footer_line(page: Page) -> int:
    """The line where a document's footer begins; the number of its lines without one."""
    every = [span.block for span in page.spans if span.block is not None]
    start = _footer_start(every, _header_end(every))
    return every[start].start if start < len(every) else len(page.lines)


def _is_meta(block: Block) -> bool:
    if block.kind == "quote":
        return True
    if block.kind == "html":
        return "<!--" in block.text or "<img" in block.text
    first = block.text.lstrip()
    return block.kind == "paragraph" and bool(_META.match(first)) and not _LABEL.search(first)


def _header_end(every: Sequence[Block]) -> int:
    """The number of blocks that make the header: front matter, title, quotes and meta lines."""
    at = 0
    if every and every[0].kind == "other" and every[0].text.startswith("---"):
        at = 1
    while at < len(every) and every[at].kind == "html":
        at += 1
    top = _section_level(every)
    if at < len(every) and every[at].kind == "heading" and every[at].level < top:
        at += 1
    while at < len(every) and _is_meta(every[at]):
        at += 1
    return at


def _section_level(every: Sequence[Block]) -> int:
    """The heading level that parts a document into sections: the shallowest below its title."""
    levels = [block.level for block in every if block.kind == "heading"]
    if levels and levels[0] == 1 and levels.count(1) == 1:
        levels = levels[1:]
    return min(levels, default=2)


def _is_closing(block: Block) -> bool:
    if block.kind == "rule":
        return True
    if block.kind not in ("paragraph", "list", "html", "other") or block.end - block.start > CLOSING_LINES:
        return False
    return _is_meta(block) or bool(_CLOSING_WORDS.match(block.text))


def _footer_start(every: Sequence[Block], after: int) -> int:
    """The index of the block with which the footer begins; the number of blocks without one.

    A footer begins with a rule and holds only references and maintenance lines.
    """
    at = start = len(every)
    while at > after and _is_closing(every[at - 1]):
        at -= 1
        if every[at].kind == "rule" and at + 1 < len(every):
            start = at
    return start


def _cut(lines: Sequence[str], start: int, end: int) -> str:
    return "".join(lines[start:end]).strip("\r\n")


@dataclass(frozen=True, slots=True)
class _Piece:
    """Blocks that stay together (a label and its code), and the headings above them."""

    text: str
    titles: tuple[str, ...]


def _pieces(section: SourceSection) -> Iterator[_Piece]:
    lines = rows(section.text)
    titles = [section.title] if section.title else []
    above: list[Block] = []
    start: int | None = None
    every = blocks.blocks(section.text)
    for block, following in zip_longest(every, every[1:]):
        if block.kind == "heading":
            above = [heading for heading in above if heading.level < block.level] + [block]
        if block.kind in ("heading", "rule"):
            continue
        start = block.start if start is None else start
        is_label = block.kind == "paragraph" and _LABEL.search(block.text)
        if not is_label or following is None or following.kind in ("heading", "rule"):
            yield _Piece(_cut(lines, start, block.end), tuple(titles + [heading.title for heading in above]))
            start = None


class _Sections:
    """The outline's sections as bags of words; a word that every section has says nothing."""

    def __init__(self, outline: Outline) -> None:
        self.numbers = [section.number for section in outline.sections] or [1]
        self._topics = [[topic.every() for topic in section.topics] for section in outline.sections]
        own = [section.title.every() for section in outline.sections]
        self._titles = [_terms(titles) for titles in own]
        self._names = [[*titles, *chain(*topics)] for titles, topics in zip(own, self._topics, strict=True)]
        self._bags = [_terms(names) for names in self._names]
        found_in = Counter(term for bag in self._bags for term in bag)
        self._weights = {term: math.log((len(self._bags) + 1) / count) for term, count in found_in.items()}

    def best(self, piece: _Piece, otherwise: int) -> tuple[int, int | None]:
        """The index of the section that a piece fits best, and of its topic if it fits one."""
        above = _terms(piece.titles)
        own = matching.terms(piece.text) - above
        scores = [
            self._score(above, own, bag) + self._weight(above & titles) + _named(piece, names)
            for bag, titles, names in zip(self._bags, self._titles, self._names, strict=True)
        ]
        index = _greatest(scores)
        index = otherwise if index is None else index
        topics = self._topics[index] if self._topics else []
        return index, _greatest([self._score(above, own, _terms(names)) + _named(piece, names) for names in topics])

    def _weight(self, shared: set[str]) -> float:
        return math.fsum(self._weights[term] for term in shared)

    def _score(self, above: set[str], own: set[str], bag: set[str]) -> float:
        """Words in common, against the size of the bag. ``own`` are a piece's words that no heading
        ``above`` it has.
        """
        fit = HEADING_WEIGHT * self._weight(above & bag) + self._weight(own & bag)
        return fit / math.sqrt(max(len(bag), LEAST_TERMS))


def _greatest(scores: Sequence[float]) -> int | None:
    """The index of the first greatest score; None where none is above 0."""
    best = max(scores, default=0.0)
    return scores.index(best) if best > 0 else None


def _terms(titles: Sequence[str]) -> set[str]:
    return set().union(*map(matching.terms, titles))


def _named(piece: _Piece, names: Sequence[str]) -> float:
    """The bonus where a heading above the piece is one of the names."""
    likeness = max((max(matching.likenesses(title, names), default=0.0) for title in piece.titles), default=0.0)
    return SAME_NAME_BONUS * likeness if likeness >= SAME_NAME else 0.0


def place(source: Source, outline: Outline) -> dict[int, tuple[PlacedBlocks, ...]]:
    """Each piece of the source under the number of the section where it belongs, in order.

    Every block of the source's sections is in exactly one piece; a label stays with what it
    labels, a heading goes along as the pieces' ``title``. Pieces under one heading stay together,
    so that an explanation is not parted from its code. Those that are like no section go with
    what stands before them in the same part of the source, else to the first section.
    """
    sections = _Sections(outline)
    found: dict[int, list[PlacedBlocks]] = {}
    for part in source.sections:
        index = 0
        for titles, pieces in groupby(_pieces(part), key=lambda piece: piece.titles):
            texts = [piece.text for piece in pieces]
            index, topic = sections.best(_Piece("\n\n".join(texts), titles), index)
            title = titles[-1] if titles else ""
            placed = [PlacedBlocks(text=text, title=title, topic=topic) for text in texts]
            found.setdefault(sections.numbers[index], []).extend(placed)
    return {number: tuple(found[number]) for number in sorted(found)}
