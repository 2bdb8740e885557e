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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain, zip_longest
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
_FRONT_TITLE = re.compile(r"(?m)^[\"']?title[\"']?[ \t]*[:=]")

Titles = Mapping[int, tuple[str, tuple[str, ...]]]
"""Title and topics of each section by its number, without numbers of their own."""


class PlacedBlocks(NamedTuple):
    """A piece of the source for one section of the outline, ``text`` verbatim, and the index of the topic that it fits
    best, None when it fits none."""

    text: str
    topic: int | None


class Source(NamedTuple):
    """A source document by sections of the outline: ``header`` and ``footer`` are kept verbatim around a draft,
    ``placed`` is what is between them, by section number. ``headings`` are those that gave way to one of the tool's, by
    anchor, with the section and the topic whose heading that is (None: the section's own)."""

    header: str
    footer: str
    placed: Mapping[int, Sequence[PlacedBlocks]]
    headings: Mapping[str, tuple[int, int | None]]
    blocks: tuple[Block, ...] = ()
    """The author's, in their order, as they have to be found in a draft."""


def read_source(text: str, outline: Outline) -> Source:
    """A document with each block between its header and its footer in the section where it belongs.

    Its parts begin at the shallowest headings below the title, and the header ends there; without such headings it ends
    at the first rule or ordinary text. The footer begins at the rule before the closing references, at headings such as
    "See also" that end the document and are none of the outline's, or at definitions."""
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
    titles = chain.from_iterable((section.title, *section.topics) for section in outline.sections)
    own = {matching.title_key(said) for title in titles for said in title.every()}
    while starts and matching.title_key(title := starts[-1].title) not in own:
        if not (_CLOSING_TITLE.match(title) or _CLOSING_TITLE.match(unnumbered(title))):
            break
        end = min(end, starts.pop().lead)
    starts = [heading for heading in starts if heading.line < end]
    body = every[start].start if start < len(every) else len(page.lines)
    if starts:
        body = max((one.end for one in every if one.end <= starts[0].lead and one.kind != "rule"), default=0)
    else:  # one part without a heading
        starts = [Heading(line=body - 1, end=body, lead=body, level=level, title="")]
    below = [starts[0], *(heading for heading in headings if starts[0].line < heading.line < end)]
    parts: list[list[tuple[Heading, int]]] = []
    for heading, stop in zip(below, (*(other.lead for other in below[1:]), end), strict=True):
        if heading in starts:
            parts.append([])
        parts[-1].append((heading, stop))
    placed, given_way = _placed(page, parts, outline)
    return Source(page.cut(0, body).strip("\r\n").rstrip(), _closing(page, end), placed, given_way)


def _placed(
    page: Page, parts: Sequence[Sequence[tuple[Heading, int]]], outline: Outline
) -> tuple[Mapping[int, Sequence[PlacedBlocks]], Mapping[str, tuple[int, int | None]]]:
    """Each part of a document, as its headings with the lines where their texts end, in one section.

    A part whose heading is a section's goes there as a whole. Of any other, what stands under a heading that is a
    section's or topic's goes there, and the rest where its words say, or with what stands before it. What stands under
    one heading stays together, so that an explanation is not parted from its code. A heading below that is no topic's
    stays, one level below the topics, with what stands before it."""
    sections = [(one.number, [Wanted(topic.every()) for topic in one.topics]) for one in outline.sections] or [(1, [])]
    wanted = [Wanted(section.title.every(), section.heading) for section in outline.sections]
    names = [(one, *topics) for one, (_, topics) in zip(wanted, sections, strict=False)]
    counts = Counter(term for own in names for term in _terms(own))
    weights = {term: math.log((len(names) + 1) / count) for term, count in counts.items()}  # what all have says nothing
    known = located([part[0][0] for part in parts], wanted).values()
    units: list[list[tuple[Heading, int]]] = []
    for at, part in enumerate(parts):
        for heading, stop in part:
            if heading is part[0][0] or (at not in known and _alike(heading.title, names) is not None):
                units.append([])
            units[-1].append((heading, stop))
    own = {at: index for index, at in located([unit[0][0] for unit in units], wanted).items()}
    placed: dict[int, list[PlacedBlocks]] = {}
    given_way: dict[str, tuple[int, int | None]] = {}
    index = 0
    for at, part in enumerate(units):
        if at not in own:
            likely = _likeliest(part[0][0].title, page.cut(part[0][0].end, part[-1][1]), names, weights)
            index = index if likely is None else likely
        index = own.get(at, index)
        number, topics = sections[index]
        inside = [heading for heading, _ in part[at in own :]]
        named = {inside[place].line: topic for topic, place in located(inside, topics).items()}
        topic: int | None = None
        for heading, stop in part:
            first, lead = heading is part[0][0], _cut(page.lines, heading.lead, heading.line)
            if first and not named:
                topic = _likeliest(heading.title, page.cut(heading.end, stop), [(one,) for one in topics], weights)
            topic = named.get(heading.line, topic)
            if first or heading.line in named:
                above = _above(lead, heading)
                given_way[heading.anchor] = number, None if first and at in own else topic
            else:
                said = heading.title if heading.setext else heading.text.strip().lstrip("#").strip()
                depth = max(1, heading.level - part[0][0].level) + (3 if topics else 2)
                above = "\n\n".join(filter(None, (lead, f"{'#' * min(6, depth)} {said}")))
            texts = (above, *_texts(_cut(page.lines, heading.end, stop)))
            placed.setdefault(number, []).extend(PlacedBlocks(text, topic) for text in texts if text)
    return {number: placed[number] for number in sorted(placed) if placed[number]}, given_way


@lru_cache(maxsize=4096)
def _terms(names: tuple[Wanted, ...]) -> frozenset[str]:
    return frozenset(term for name in names for title in name.titles for term in matching.terms(title))


def _alike(title: str, among: Sequence[tuple[Wanted, ...]]) -> int | None:
    """The index of the names one of which the title is, None for none."""
    starts = {term[:3] for term in matching.terms(title)}  # likeness is slow: asked of words that begin alike
    near = ([one for one in names if any(term[:3] in starts for term in _terms((one,)))] for names in among)
    alike = [matching.best_likeness(title, [said for one in names for said in one.titles]) for names in near]
    return alike.index(max(alike)) if max(alike, default=0.0) >= SAME_TITLE else None


def _likeliest(title: str, text: str, among: Sequence[tuple[Wanted, ...]], weights: Mapping[str, float]) -> int | None:
    """The index of the names one of which the title is, else of those of which it and its text have the most words,
    against the number of theirs; None where they have none. A word of the title is worth three of the text, and one
    in the first name counts once more."""
    if (alike := _alike(title, among)) is not None:
        return alike
    above, own = matching.terms(title), matching.terms(text)
    worth = {term: weight * (3 if term in above else term in own) for term, weight in weights.items()}
    scores = []
    for names in among:
        bag, first = _terms(names), _terms(names[:1])
        fit = math.fsum(worth[term] for term in bag) / math.sqrt(max(len(bag), 1))
        scores.append(fit + math.fsum(weights[term] for term in above & first))
    best = max(scores, default=0.0)
    return scores.index(best) if best > 0 else None


def _above(lead: str, heading: Heading) -> str:
    """What belongs to a heading above it, and its ids as anchors: they stay when the heading is another."""
    known = (re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", lead) for name in heading.identifiers)
    ids = [f'<a id="{name}"></a>' for name, found in zip(heading.identifiers, known, strict=True) if not found]
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
    page = Page(text)
    every = outer_blocks(page)
    while every and every[-1].kind == "rule":
        every.pop()
    texts, start = [], None
    for block, following in zip_longest(every, every[1:]):
        start = block.start if start is None else start
        is_label = block.kind == "paragraph" and LABEL.search(block.text)
        if not is_label or following is None or following.kind == "rule":
            texts.append(_cut(page.lines, start, block.end))
            start = None
    return tuple(texts)


def section_heading(number: int, title: str) -> str:
    """``## 2. Profiling tools``."""
    return f"## {number}. {title}"


def topic_heading(section: int, topic: int, title: str) -> str:
    """``### 2.1 perf``; both numbers count from 1."""
    return f"### {section}.{topic} {title}"


def numbered_source(text: str, outline: Outline, titles: Titles, *, title: str, language: str) -> Source:
    """A source's text by sections of the outline, with its links to its own headings as they are numbered. ``title`` is
    the chapter's in the ``language``."""
    source = read_source(text, outline)
    moved: dict[str, str] = {}
    for name, (number, topic) in source.headings.items():
        section, topics = titles[number]
        heading = section_heading(number, section) if topic is None else topic_heading(number, topic + 1, topics[topic])
        moved[name] = anchor(heading.lstrip("# "))

    def followed(text: str) -> str:
        return relinked(text, moved, posixpath.basename(outline.source))

    closing = re.sub(r"\A(?:---|\*\*\*|___)[ \t]*(?:\n|\Z)", "", followed(source.footer)).strip("\n")
    return source._replace(
        header=_titled(Page(followed(source.header).strip("\n")), title, outline.title.every(), language),
        footer=f"---\n\n{closing}\n" if closing else "",
        placed={n: [one._replace(text=followed(one.text)) for one in placed] for n, placed in source.placed.items()},
        blocks=blocks.blocks(followed(text)),
    )


def with_contents(head: str, titles: Iterable[str], language: str) -> str:
    """What stands before the sections, with the table of contents; ``titles`` are numbered (``1. Methods``)."""
    entries = [f"- [{title}](#{anchor(title)})" for title in titles]
    return "\n".join([head, "", f"## {CONTENTS_TITLES.get(language, CONTENTS_TITLES['en'])}", "", *entries]) + "\n"


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
        heading = topic_heading(number, slot + 1, topic)
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
