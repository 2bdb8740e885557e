"""The layout ``numbered``: the author's text in the form that the tool sets, for the rest of the way to be a document
like any other.

Front matter, title and introduction stay at the top, followed by the table of contents; closing parts stay at the end,
below a rule. Each section is a page of its own, in which the model's text has its places as it has in a document that
keeps its form. What is not the author's is written with line feeds; the whole takes on their mark and line endings
when it is written.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from expand.document.layout import SAME_TITLE, Named, Part, Placeholder, Slot, Wanted, section_parts
from expand.document.page import Page
from expand.document.source import PlacedBlocks, place, read_source, relinked
from expand.markdown import blocks, matching
from expand.markdown.blocks import Block, anchor, rows
from expand.outline import Outline

CONTENTS_TITLES = {"en": "Contents", "zh": "目录"}
_FRONT_TITLE = re.compile(r"(?m)^[\"']?title[\"']?[ \t]*[:=]")

Titles = Mapping[int, tuple[str, tuple[str, ...]]]
"""Title and topics of each section by its number, without numbers of their own."""


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
