"""The layout ``numbered``: the author's text in the form that the tool sets, for the rest of the way to be a document
like any other.

Front matter, title and introduction stay at the top, followed by the table of contents; closing parts stay at the end,
below a rule. Each section is a page of its own, in which the model's text has its places as it has in a document that
keeps its form. What is not the author's is written with line feeds; the whole takes on their mark and line endings
when it is written.
"""

import math
import posixpath
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, groupby, zip_longest
from typing import NamedTuple

from expand.document.layout import SAME_TITLE, Named, Part, Placeholder, Slot, Wanted, located, section_parts
from expand.document.page import (
    LABEL,
    Heading,
    Page,
    footer_start,
    header_end,
    outer_blocks,
    relinked,
    section_level,
)
from expand.markdown import blocks, matching
from expand.markdown.blocks import Block, anchor, rows
from expand.markdown.matching import unnumbered
from expand.outline import Outline

CONTENTS_TITLES = {"en": "Contents", "zh": "目录"}
_CLOSING_TITLE = re.compile(
    r"(?i)^\W*(?:see also|references?|bibliography|further reading|footnotes|appendi(?:x|ces)\b.*|resources|links|"
    r"参考(?:资料|文献|链接)?|附录.*|延伸阅读|相关(?:链接|文档|资源)|脚注)\W*$"
)
HEADING_WEIGHT = 3
"""How many words of its text a word of a heading above a piece is worth."""
LEAST_TERMS = 4
"""A title or topic of fewer words counts as one of so many: else one shared word would be a fit."""
SAME_NAME = 0.8
"""The likeness from which a heading above a piece is the section's or topic's own title."""
SAME_NAME_BONUS = 20
"""What that is worth at full likeness: more than any number of words in common."""
_FRONT_TITLE = re.compile(r"(?m)^[\"']?title[\"']?[ \t]*[:=]")

Titles = Mapping[int, tuple[str, tuple[str, ...]]]
"""Title and topics of each section by its number, without numbers of their own."""


class Piece(NamedTuple):
    """What stands under one heading: its ``texts`` (a label stays with what it labels), and the ``titles`` down to it.

    Pieces of one ``part`` are below one of the headings that part the document, or below none (-1). ``heading`` is the
    text of one that is not the part's own, with its level below that; ``anchor`` is a heading's, "" without one, and
    ``above`` what belongs to it, which stays where it does not."""

    part: int
    texts: tuple[str, ...]
    titles: tuple[str, ...] = ()
    anchor: str = ""
    above: str = ""
    heading: str = ""


class Source(NamedTuple):
    """A source document: ``header`` and ``footer`` are kept verbatim around a draft, ``pieces`` are what is between."""

    header: str
    pieces: tuple[Piece, ...]
    footer: str


@dataclass(frozen=True, slots=True)
class PlacedBlocks:
    """A piece of the source for one section of the outline, ``text`` verbatim, and the index of the topic that it fits
    best, None when it fits none."""

    text: str
    topic: int | None


def read_source(text: str, *, own: Container[str] = ()) -> Source:
    """Header, pieces and footer of a document.

    Its parts begin at the shallowest headings below the title, and the header ends there; without such headings it ends
    at the first rule or ordinary text. The footer begins at the rule before the closing references, at headings such as
    "See also" that end the document and whose ``title_key`` is not among the outline's ``own``, or at definitions."""
    page = Page(text)
    every = outer_blocks(page)
    level, start = section_level(every), header_end(every)
    own_lines = every[start - 1].end if start else 0  # a comment below the title is the title's
    headings = [replace(heading, lead=max(heading.lead, own_lines)) for heading in page.headings]
    starts = [heading for heading in headings if heading.level <= level]
    if headings and headings[0].level < level:
        starts = [heading for heading in starts if heading is not headings[0]]
    footer = footer_start(every, start)
    end = every[footer].start if footer < len(every) else len(page.lines)
    while starts and matching.title_key(title := starts[-1].title) not in own:
        if not (_CLOSING_TITLE.match(title) or _CLOSING_TITLE.match(unnumbered(title))):
            break
        end = min(end, starts.pop().lead)
    starts = [heading for heading in starts if heading.line < end]
    body = first = every[start].start if start < len(every) else len(page.lines)
    if starts:
        above = [block.end for block in every if block.end <= starts[0].lead and block.kind != "rule"]
        body, first = max(above, default=0), starts[0].line
    below = [heading for heading in headings if first <= heading.line < end]
    pieces = [] if starts else [Piece(-1, _texts(_cut(page.lines, first, below[0].lead if below else end)))]
    pieces += _pieces(page, {heading.line for heading in starts}, below, end)
    return Source(_cut(page.lines, 0, body).rstrip(), tuple(pieces), _closing(page, end))


def _pieces(page: Page, starts: Container[int], below: Sequence[Heading], end: int) -> Iterator[Piece]:
    """What stands under each heading, whether or not there is anything; parts begin in the lines ``starts``."""
    part, level, up = -1, 0, list[Heading]()
    for heading, stop in zip(below, [*(other.lead for other in below[1:]), end], strict=False):
        texts, above = _texts(_cut(page.lines, heading.end, stop)), _above(page, heading)
        if heading.line in starts:
            part, level, up = part + 1, heading.level, [heading]
            yield Piece(part, texts, (heading.title,), heading.anchor, above)
            continue
        up = [other for other in up if other.level < heading.level] + [heading]
        said = heading.title if heading.setext else heading.text.strip().lstrip("#").strip()
        row = f"{'#' * max(1, heading.level - level)} {said}"
        whole = "\n\n".join(filter(None, (_cut(page.lines, heading.lead, heading.line), row)))
        yield Piece(part, texts, tuple(other.title for other in up), heading.anchor, above, whole)


def _above(page: Page, heading: Heading) -> str:
    """What belongs to a heading above it, and its ids as anchors: they stay when the heading is another."""
    lead = _cut(page.lines, heading.lead, heading.line)
    ids = [
        f'<a id="{name}"></a>'
        for name in heading.identifiers
        if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", lead)
    ]
    return "\n\n".join(filter(None, (lead, *ids)))


def _closing(page: Page, start: int) -> str:
    """The lines from ``start``, where a heading with a number would be taken for a section of the tool's."""
    lines = [*page.lines]
    for heading in page.headings:
        if heading.line >= start and heading.level == 2 and re.match(r"\d+\.\s", heading.title):
            lines[heading.line] = lines[heading.line].replace(heading.title, unnumbered(heading.title), 1)
    return _cut(lines, start, len(lines))


def _cut(lines: Sequence[str], start: int, end: int) -> str:
    return "".join(lines[start:end]).strip("\r\n")


def _texts(text: str) -> tuple[str, ...]:
    """The blocks of a text, less the rules that it ends in; what a label labels is one with it."""
    lines = rows(text)
    every = outer_blocks(Page(text))
    while every and every[-1].kind == "rule":
        every.pop()
    texts, start = [], None
    for block, following in zip_longest(every, every[1:]):
        start = block.start if start is None else start
        is_label = block.kind == "paragraph" and LABEL.search(block.text)
        if not is_label or following is None or following.kind == "rule":
            texts.append(_cut(lines, start, block.end))
            start = None
    return tuple(texts)


class _Sections:
    """Sections and topics by their names, as bags of words; a word that every section has says nothing."""

    def __init__(self, outline: Outline) -> None:
        self.numbers = [section.number for section in outline.sections] or [1]
        self.topics = [[topic.every() for topic in section.topics] for section in outline.sections] or [[]]
        self._titles = [section.title.every() for section in outline.sections]
        self.names = [(*own, *chain(*topics)) for own, topics in zip(self._titles, self.topics, strict=False)]
        found_in = Counter(term for names in self.names for term in _terms(names))
        self._weights = {term: math.log((len(self.names) + 1) / count) for term, count in found_in.items()}

    def named(self, titles: Sequence[str], index: int) -> int | None:
        """The topic of a section whose title is one of the titles."""
        return _greatest([_named(titles, names) for names in self.topics[index]])

    def best(self, piece: Piece, among: Sequence[tuple[str, ...]]) -> int | None:
        """The index of the names that a piece fits best, if it fits any: by the words in common with its headings and
        its text, against the number of theirs."""
        above = _terms(piece.titles)
        own = _terms(piece.texts) - above
        scores = []
        for at, said in enumerate(among):
            bag = _terms(said)
            fit = HEADING_WEIGHT * self._weight(above & bag) + self._weight(own & bag)
            fit /= math.sqrt(max(len(bag), LEAST_TERMS))
            if among is self.names:  # a section's title counts once more
                fit += self._weight(above & _terms(self._titles[at]))
            scores.append(fit + _named(piece.titles, said))
        return _greatest(scores)

    def _weight(self, shared: frozenset[str]) -> float:
        return math.fsum(self._weights[term] for term in shared)


def _greatest(scores: Sequence[float]) -> int | None:
    """The index of the first greatest score; None where none is above 0."""
    best = max(scores, default=0.0)
    return scores.index(best) if best > 0 else None


@lru_cache(maxsize=4096)
def _terms(texts: tuple[str, ...]) -> frozenset[str]:
    return frozenset().union(*map(matching.terms, texts))


def _named(titles: Sequence[str], names: Sequence[str]) -> float:
    """The bonus where one of the titles is one of the names."""
    likeness = max((matching.best_likeness(title, names) for title in titles), default=0.0)
    return SAME_NAME_BONUS * likeness if likeness >= SAME_NAME else 0.0


class Placement(NamedTuple):
    """The pieces of a source by the number of their section, in order; and for each heading that gave way to one of the
    tool's, by its anchor, the section and the topic whose heading that is (None: the section's own)."""

    blocks: Mapping[int, tuple[PlacedBlocks, ...]]
    headings: Mapping[str, tuple[int, int | None]]


def place(source: Source, outline: Outline) -> Placement:
    """Each piece of the source in the section where it belongs.

    Every block of the source's sections is in exactly one piece. What stands under one heading stays together, so that
    an explanation is not parted from its code. A part whose heading is a section's goes there as a whole, in its order;
    of any other, each topic that it names and else what its words say. A heading below that is no topic's stays, one
    level below the topics, with what stands before it."""
    sections = _Sections(outline)
    wanted = [Wanted(section.title.every(), section.heading) for section in outline.sections]
    parts = [[*pieces] for _, pieces in groupby(source.pieces, key=lambda piece: piece.part)]
    titled = [Heading(level=2, title=(*pieces[0].titles, "")[0]) for pieces in parts]
    own = {at: index for index, at in located(titled, wanted).items()}
    found: dict[int, list[PlacedBlocks]] = {}
    headings: dict[str, tuple[int, int | None]] = {}
    for at, pieces in enumerate(parts):
        known = own.get(at)
        index, topic = known or 0, None
        structured = known is not None and any(
            sections.named(piece.titles[-1:], known) is not None for piece in pieces[1:]
        )
        for piece in pieces:
            last = piece.titles[-1:]
            named = sections.named(last, index) if piece.heading else None
            stays = bool(piece.heading) and named is None
            stays = stays and (known is not None or not any(_named(last, names) for names in sections.names))
            if known is None and not stays:
                best = sections.best(piece, sections.names)
                index = index if best is None else best
                topic = sections.best(piece, sections.topics[index])
            elif not piece.heading:
                topic = None if structured else sections.best(piece, sections.topics[index])
            elif named is not None:
                topic = named
            below = "###" if sections.topics[index] else "##"
            heading = re.sub(r"(?m)^#+ (?=.*\Z)", lambda found: (below + found[0])[-7:], piece.heading)  # noqa: B023
            texts = [heading if stays else piece.above, *piece.texts]
            for text in filter(None, texts):  # a heading inside a container may be a topic's title
                boxed = (sections.named((inner,), index) for inner in Page(text).inner_titles)
                own_topic = next((one for one in boxed if one is not None), topic)
                found.setdefault(sections.numbers[index], []).append(PlacedBlocks(text, own_topic))
            if piece.anchor and not stays:
                headings[piece.anchor] = (sections.numbers[index], topic if piece.heading or known is None else None)
    return Placement({number: tuple(found[number]) for number in sorted(found)}, headings)


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberedSource:
    """A source for the layout ``numbered``: what stands before its sections and behind them, and what of it belongs in
    each. ``blocks`` are the author's, in their order, as they have to be found in a draft."""

    head: str
    placed: Mapping[int, tuple[PlacedBlocks, ...]]
    footer: str
    blocks: tuple[Block, ...]


def section_heading(number: int, title: str) -> str:
    """``## 2. Profiling tools``."""
    return f"## {number}. {title}"


def topic_heading(section: int, topic: int, title: str) -> str:
    """``### 2.1 perf``; both numbers count from 1."""
    return f"### {section}.{topic} {title}"


def numbered_source(text: str, outline: Outline, titles: Titles, *, title: str, language: str) -> NumberedSource:
    """A source's text by sections of the outline, with its links to its own headings as they are numbered. ``title`` is
    the chapter's in the ``language``."""
    own = {matching.title_key(t) for s in outline.sections for one in (s.title, *s.topics) for t in one.every()}
    source = read_source(text, own=own)
    placement = place(source, outline)
    moved: dict[str, str] = {}
    for name, (number, topic) in placement.headings.items():
        section, topics = titles[number]
        heading = section_heading(number, section) if topic is None else topic_heading(number, topic + 1, topics[topic])
        moved[name] = anchor(heading.lstrip("# "))

    def followed(text: str) -> str:
        return relinked(text, moved, posixpath.basename(outline.source))

    header = _titled(Page(followed(source.header).strip("\n")), title, outline.title.every(), language)
    numbered = [f"{number}. {section}" for number, (section, _) in titles.items()]
    closing = re.sub(r"\A(?:---|\*\*\*|___)[ \t]*(?:\n|\Z)", "", followed(source.footer)).strip("\n")
    return NumberedSource(
        head=f"{header}\n\n{contents(numbered, language)}\n",
        placed={
            number: tuple(replace(block, text=followed(block.text)) for block in placed)
            for number, placed in placement.blocks.items()
        },
        footer=f"---\n\n{closing}\n" if closing else "",
        blocks=blocks.blocks(followed(text)),
    )


def contents(titles: Iterable[str], language: str) -> str:
    """The table of contents; ``titles`` are numbered (``1. Methods``)."""
    entries = [f"- [{title}](#{anchor(title)})" for title in titles]
    return "\n".join([f"## {CONTENTS_TITLES.get(language, CONTENTS_TITLES['en'])}", "", *entries]).strip("\n")


def _titled(header: Page, title: str, others: Sequence[str], language: str) -> str:
    """The header with the chapter's title, in the place of its own where that is one of its ``others``, or plainly not
    in the language: Latin for Chinese."""
    own = next((heading for heading in header.headings if heading.level == 1), None)
    if own is None:
        return with_title(header, title).strip("\n")
    is_cjk = bool(matching.cjk_letters(own.title))
    if own.title != title and (own.title in others or is_cjk != matching.is_cjk_language(language)):
        return f"{header.cut(0, own.line)}# {title}\n{header.cut(own.end, len(header.lines))}".rstrip("\n")
    return header.text


def with_title(page: Page, title: str) -> str:
    """A document with a title as its first heading, unless its front matter has one."""
    front = page.cut(0, blocks.front_matter_lines(page.lines))
    if _FRONT_TITLE.search(front):
        return page.text
    newline, rest = page.newline, page.text[len(page.mark) + len(front) :].lstrip("\r\n")
    above = f"{front.rstrip()}{2 * newline}" if front else ""
    return f"{page.mark}{above}# {title}{newline}{newline if rest else ''}{rest}"


def numbered_parts(
    number: int,
    title: str,
    topics: Sequence[str],
    intro: Sequence[str],
    placed: Mapping[int, Sequence[str]],
    *,
    revised: bool = False,
) -> Iterator[Part]:
    """A section as the author's text below the tool's headings, and the places for the model's. What is ``revised``
    gives way to it: the text on each topic, and the introduction of a section without topics."""
    own = placed if topics else {0: intro}
    texts = [section_heading(number, title), *(intro if topics or not revised else ())]
    wanted = []
    for slot, topic in enumerate(topics):
        boxed = [title for text in own.get(slot, ()) for title in Page(text).inner_titles]
        heading = topic_heading(number, slot + 1, topic)
        if matching.best_likeness(topic, boxed) < SAME_TITLE:  # else a container of the author's brings it
            texts.append(heading)
        texts += () if revised else own.get(slot, ())
        wanted.append(Wanted((), f"#{anchor(heading.lstrip('# '))}"))
    page = Page("".join("{}\n\n".format(text.strip("\n")) for text in texts))
    named = Named(Wanted(()), title, tuple(wanted), tuple(topics))
    for part in section_parts(page, page.headings[0], len(page.lines), named):
        if revised and isinstance(part, Slot):
            yield from (Placeholder(part.topic, "\n{}\n".format(text.strip("\n"))) for text in own.get(part.topic, ()))
        yield part


def renumbered(text: str, former: int, number: int, title: str) -> str:
    """A numbered section under another number and title; only headings that the tool wrote change."""
    lines = rows(text)
    for heading in Page(text).headings:
        row = lines[heading.line]
        if heading.line == 0:
            lines[0] = section_heading(number, title) + row[len(row.rstrip("\r\n")) :]
        elif former != number and re.match(rf"### {former}\.\d+ ", row):
            lines[heading.line] = row.replace(f"{former}.", f"{number}.", 1)
    return "".join(lines)
