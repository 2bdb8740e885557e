"""The author's own document: what it holds, where each piece belongs, what a draft left out.

Nothing here changes a word of it: texts are cut by lines, verbatim.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

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
    if block.kind not in ("paragraph", "list", "html", "other") or block.end - block.start > 8:
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


def _cut(text: str, start: int, end: int) -> str:
    return "".join(rows(text)[start:end]).strip("\r\n")


def read_source(text: str) -> Source:
    """Header, sections and footer of a document.

    The header ends at the first rule, heading or ordinary text; sections begin at the shallowest
    headings below the title; the footer begins at the rule before the closing references.
    """
    every = blocks.blocks(text)
    head = _header_end(every)
    foot = _footer_start(every, head)
    level = _section_level(every)
    marks = [block for block in every[head:foot] if block.kind == "heading" and block.level <= level]
    body = every[head].start if head < len(every) else _end(every)
    end = every[foot].start if foot < len(every) else _end(every)
    sections: list[SourceSection] = []
    first = _cut(text, body, marks[0].start if marks else end)
    if any(block.kind != "rule" for block in blocks.blocks(first)):
        sections.append(SourceSection(title="", level=0, text=first))
    for number, mark in enumerate(marks):
        stop = marks[number + 1].start if number + 1 < len(marks) else end
        part = _cut(text, mark.end, stop)
        sections.append(SourceSection(title=mark.title, level=mark.level, text=part))
    return Source(
        header=_cut(text, 0, body).rstrip(),
        sections=tuple(sections),
        footer=_cut(text, end, _end(every)),
    )


def _end(every: Sequence[Block]) -> int:
    """The line after the last block."""
    return every[-1].end if every else 0


@dataclass(frozen=True, slots=True)
class _Piece:
    """Blocks that stay together (a label and its code), and the headings above them."""

    text: str
    titles: tuple[str, ...]


def _pieces(section: SourceSection) -> Iterator[_Piece]:
    titles = [section.title] if section.title else []
    below: list[Block] = []
    held: list[Block] = []

    def piece() -> _Piece:
        text = _cut(section.text, held[0].start, held[-1].end)
        return _Piece(text, tuple(titles + [block.title for block in below]))

    for block in blocks.blocks(section.text):
        if block.kind in ("heading", "rule"):
            if held:
                yield piece()
                held.clear()
            if block.kind == "heading":
                below = [above for above in below if above.level < block.level] + [block]
            continue
        held.append(block)
        if not (block.kind == "paragraph" and _LABEL.search(block.text)):
            yield piece()
            held.clear()
    if held:
        yield piece()


class _Targets:
    """The outline's sections as bags of words; a word of every section says nothing."""

    def __init__(self, outline: Outline) -> None:
        self._numbers = [section.number for section in outline.sections]
        titles = [section.title.every() for section in outline.sections]
        self._topics = [[topic.every() for topic in section.topics] for section in outline.sections]
        self._names = [
            [*own, *itertools.chain.from_iterable(topics)] for own, topics in zip(titles, self._topics, strict=True)
        ]
        self._titles = [_bag(own) for own in titles]
        self._bags = [_bag(names) for names in self._names]
        met = Counter(term for bag in self._bags for term in bag)
        every = len(self._bags)
        self._weights = {term: math.log((every + 1) / count) for term, count in met.items()}

    def _weight(self, shared: set[str]) -> float:
        return sum(self._weights[term] for term in shared)

    def _score(self, above: set[str], own: set[str], bag: set[str]) -> float:
        """Words in common, a heading's three times, against the size of the bag. ``own`` are a
        piece's words that no heading ``above`` it has.
        """
        fit = 3 * self._weight(above & bag) + self._weight(own & bag)
        return fit / math.sqrt(max(len(bag), 4))

    def _fit(self, piece: _Piece, above: set[str], own: set[str], index: int) -> float:
        titled = self._weight(above & self._titles[index])
        named = _named(piece, self._names[index])
        return self._score(above, own, self._bags[index]) + titled + named

    def best(self, piece: _Piece, otherwise: int) -> tuple[int, int | None]:
        """The index of the section that a piece fits best, and of its topic if it fits one."""
        above = _bag(piece.titles)
        own = matching.terms(piece.text) - above
        scores = [self._fit(piece, above, own, index) for index in range(len(self._bags))]
        most = max(scores, default=0.0)
        index = scores.index(most) if most > 0 else otherwise
        topics = [
            self._score(above, own, _bag(names)) + _named(piece, names)
            for names in (self._topics[index] if self._topics else ())
        ]
        most = max(topics, default=0.0)
        return index, topics.index(most) if most > 0 else None

    def number(self, index: int) -> int:
        """The number of a section; 1 where the outline has none."""
        return self._numbers[index] if self._numbers else 1


def _bag(titles: Sequence[str]) -> set[str]:
    return set().union(*map(matching.title_terms, titles))


_ALIKE = 0.8


def _named(piece: _Piece, names: Sequence[str]) -> float:
    """A bonus no word count comes near, where a heading above the piece is one of the names."""
    likest = max(
        (matching.likeness(title, name, _ALIKE) for title in piece.titles for name in names),
        default=0.0,
    )
    return 20 * likest if likest >= _ALIKE else 0.0


def place(source: Source, outline: Outline) -> dict[int, tuple[PlacedBlocks, ...]]:
    """Each piece of the source under the number of the section where it belongs, in order.

    Every block of the source's sections is in exactly one piece; a label stays with what it
    labels, a heading goes along as the pieces' ``title``. Pieces under one heading stay together,
    so that an explanation is not parted from its code. Those that are like no section go with
    what stands before them in the same part of the source, else to the first section.
    """
    targets = _Targets(outline)
    found: dict[int, list[PlacedBlocks]] = {}
    for part in source.sections:
        index = 0
        for titles, pieces in itertools.groupby(_pieces(part), key=lambda piece: piece.titles):
            texts = [piece.text for piece in pieces]
            whole = _Piece("\n\n".join(texts), titles)
            index, topic = targets.best(whole, index)
            title = titles[-1] if titles else ""
            placed = [PlacedBlocks(text=text, title=title, topic=topic) for text in texts]
            found.setdefault(targets.number(index), []).extend(placed)
    return {number: tuple(found[number]) for number in sorted(found)}


def _flat(text: str) -> str:
    return " ".join(text.split())


def _lines_of(block: Block) -> list[str]:
    """What must be found again: the code of a fence, the rows of a table, the items of a list."""
    if block.kind in ("fence", "code"):
        return [block.code]
    if block.kind in ("table", "list"):
        return block.text.splitlines()
    return [block.text]


def left_out(source: Iterable[Block], draft: str) -> tuple[Block, ...]:
    """The blocks of the ``source`` that are not in the draft, whitespace aside.

    Headings and rules are no content. Code must be there whole, a table row by row, a list line
    by line; anything else as one run of text.
    """
    there = _flat(draft)
    return tuple(
        block
        for block in source
        if block.kind not in ("heading", "rule") and not all(_flat(part) in there for part in _lines_of(block))
    )
