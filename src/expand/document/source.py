"""Read the author's own document, and place each piece of it in a section of the outline.

Nothing here changes a word of it: texts are cut by lines, verbatim.
"""

import math
import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, groupby, zip_longest
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import quote, unquote

from expand.document.layout import Wanted, located
from expand.document.page import Heading, Page
from expand.markdown import blocks, matching, names
from expand.markdown.blocks import Block, rows
from expand.markdown.matching import unnumbered
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
_CLOSING_TITLE = re.compile(
    r"(?i)^\W*(?:see also|references?|bibliography|further reading|footnotes|appendi(?:x|ces)\b.*|resources|links|"
    r"参考(?:资料|文献|链接)?|附录.*|延伸阅读|相关(?:链接|文档|资源)|脚注)\W*$"
)
_FRAGMENT = re.compile(
    r"""(?:\]\(\s*<?|\]:[ \t]*<?|\bhref\s*=\s*["']?)(?P<page>[^\s#()<>"']*)#(?P<id>[^\s()<>"']+)""", re.IGNORECASE
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
    every = _blocks_of(page)
    level, header_end = _section_level(every), _header_end(every)
    own_lines = every[header_end - 1].end if header_end else 0  # a comment below the title is the title's
    headings = [replace(heading, lead=max(heading.lead, own_lines)) for heading in page.headings]
    starts = [heading for heading in headings if heading.level <= level]
    if headings and headings[0].level < level:
        starts = [heading for heading in starts if heading is not headings[0]]
    footer = _footer_start(every, header_end)
    end = every[footer].start if footer < len(every) else len(page.lines)
    while starts and matching.title_key(title := starts[-1].title) not in own:
        if not (_CLOSING_TITLE.match(title) or _CLOSING_TITLE.match(unnumbered(title))):
            break
        end = min(end, starts.pop().lead)
    starts = [heading for heading in starts if heading.line < end]
    body = first = every[header_end].start if header_end < len(every) else len(page.lines)
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


def _blocks_of(page: Page) -> list[Block]:
    """The blocks of a document, each container as one."""
    return [
        span.block or Block(kind="other", start=span.start, end=span.end, text=span.text.rstrip("\r\n"))
        for span in page.spans
        if span.kind not in ("mark", "blank")
    ]


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


def footer_line(page: Page) -> int:
    """The line where a document's footer begins; the number of its lines without one."""
    every = _blocks_of(page)
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
    if every and every[0].kind == "other" and blocks.front_matter_lines(rows(every[0].text)):
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


def _footer_start(every: Sequence[Block], after: int) -> int:
    """The index of the block with which the footer begins; the number of blocks without one.

    A footer begins with a rule and holds only references and maintenance lines."""
    start = len(every)
    for at in range(len(every) - 1, after - 1, -1):
        block = every[at]
        short = block.kind in ("paragraph", "list", "html", "other") and block.end - block.start <= CLOSING_LINES
        said = short and (_is_meta(block) or _CLOSING_WORDS.match(block.text))
        if not (block.kind == "rule" or _is_definition(block) or said):
            break
        if (block.kind == "rule" and at + 1 < len(every)) or all(map(_is_definition, every[at:])):
            start = at
    return start


def _is_definition(block: Block) -> bool:
    return block.kind in ("other", "paragraph") and bool(re.match(r" {0,3}\[[^\]\n]+\]:", block.text))


def _cut(lines: Sequence[str], start: int, end: int) -> str:
    return "".join(lines[start:end]).strip("\r\n")


def _texts(text: str) -> tuple[str, ...]:
    """The blocks of a text, less the rules that it ends in; what a label labels is one with it."""
    lines = rows(text)
    every = _blocks_of(Page(text))
    while every and every[-1].kind == "rule":
        every.pop()
    texts, start = [], None
    for block, following in zip_longest(every, every[1:]):
        start = block.start if start is None else start
        is_label = block.kind == "paragraph" and _LABEL.search(block.text)
        if not is_label or following is None or following.kind == "rule":
            texts.append(_cut(lines, start, block.end))
            start = None
    return tuple(texts)


class _Sections:
    """The outline's sections and topics by their names, as bags of words; a word that every section has says
    nothing."""

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


class Fragment(NamedTuple):
    """A link with an anchor: the page that it names ("" for its own), the anchor, and its place in the text."""

    page: str
    anchor: str
    place: tuple[int, int]


def fragments(text: str) -> Iterator[Fragment]:
    """The links of a text that name an anchor: inline, in definitions, and as ``href``; code is left alone."""
    for found in _FRAGMENT.finditer(names.without_code(text)) if "#" in text else ():
        yield Fragment(unquote(found["page"]), unquote(found["id"]).lower(), found.span("id"))


def relinked(
    text: str, anchors: Mapping[str, str], file: str, titles: Mapping[str, tuple[str, str]] = MappingProxyType({})
) -> str:
    """The text with other anchors in its links to the document itself, which is named ``file``. A link that says just
    the former one of the two ``titles`` of an anchor says the other one then."""
    for fragment in reversed([*fragments(text)] if anchors else []):
        new = anchors.get(fragment.anchor)
        if new is not None and fragment.page.removeprefix("./") in ("", file):
            start, end = fragment.place
            before, (former, title) = text[:start], titles.get(fragment.anchor, ("", ""))
            if former and before.endswith(said := f"[{former}]({fragment.page}#"):
                before = f"{before.removesuffix(said)}[{title}]({fragment.page}#"
            text = before + (quote(new) if "%" in text[start:end] else new) + text[end:]
    return text
