"""The layout ``numbered``: the author's text in the form that the tool sets, for the rest of the way to be a document
like any other.

Front matter, title and introduction stay at the top, followed by the table of contents; closing parts stay at the end,
below a rule. Each section is a page of its own, in which the model's text has its places as it has in a document that
keeps its form. What is not the author's is written with line feeds; the whole takes on their mark and line endings
when it is written.
"""

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from expand.document.layout import SAME_TITLE, Named, Part, Wanted, section_parts
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
    """A source for the layout ``numbered``: what stands around its sections, and what of it belongs in each.

    ``blocks`` are the author's, in their order, as they have to be found in a draft."""

    header: str
    placed: Mapping[int, tuple[PlacedBlocks, ...]]
    footer: str
    blocks: tuple[Block, ...]


def section_heading(number: int, title: str) -> str:
    """``## 2. Profiling tools``."""
    return f"## {number}. {title}"


def topic_heading(section: int, topic: int, title: str) -> str:
    """``### 2.1 perf``; both numbers count from 1."""
    return f"### {section}.{topic} {title}"


def numbered_source(text: str, outline: Outline, titles: Titles) -> NumberedSource:
    """A source's text by sections of the outline, with its links to its own headings as they are numbered."""
    own = {matching.title_key(t) for s in outline.sections for one in (s.title, *s.topics) for t in one.every()}
    source = read_source(text, own=own)
    placement = place(source, outline)
    moved: dict[str, str] = {}
    for name, (number, topic) in placement.headings.items():
        title, topics = titles[number]
        heading = section_heading(number, title) if topic is None else topic_heading(number, topic + 1, topics[topic])
        moved[name] = anchor(heading.lstrip("# "))

    def followed(text: str) -> str:
        return relinked(text, moved, posixpath.basename(outline.source))

    closing = followed(source.footer).strip("\n").split("\n")
    footer = closing[1:] if closing[0].strip() in ("---", "***", "___") else closing
    return NumberedSource(
        header=followed(source.header).strip("\n"),
        placed={
            number: tuple(replace(block, text=followed(block.text)) for block in placed)
            for number, placed in placement.blocks.items()
        },
        footer="\n".join(footer).strip("\n"),
        blocks=blocks.blocks(followed(text)),
    )


def head(header: str, titles: Iterable[str], *, title: str, others: Sequence[str], language: str) -> str:
    """The header and the table of contents; ``titles`` are numbered (``1. Methods``).

    The chapter's ``title`` takes the place of the header's own where that is one of its ``others``, or plainly not in
    the language: Latin for Chinese. A header without one gets it, unless its front matter has a title."""
    page = Page(header)
    lines = [row.rstrip("\n") for row in page.lines]
    own = next((heading for heading in page.headings if heading.level == 1), None)
    is_foreign = own is not None and (
        own.title in others or bool(matching.cjk_letters(own.title)) != matching.is_cjk_language(language)
    )
    if own is not None and own.title != title and is_foreign:
        lines[own.line : own.end] = [f"# {title}"]
    elif own is None and not has_front_title(page):
        front = blocks.front_matter_lines(page.lines)
        lines[front:front] = [""] * bool(front) + [f"# {title}", ""]
    contents = CONTENTS_TITLES.get(language, CONTENTS_TITLES["en"])
    entries = [f"- [{one}](#{anchor(one)})" for one in titles]
    return "\n".join(["\n".join(lines).strip("\n"), "", f"## {contents}", "", *entries]).strip("\n")


def has_front_title(page: Page) -> bool:
    """Whether a document's front matter has a title."""
    return bool(_FRONT_TITLE.search("".join(page.lines[: blocks.front_matter_lines(page.lines)])))


def pieces(head: str, numbers: Iterable[int], footer: str) -> tuple[str | int, ...]:
    """The pieces of a numbered document."""
    closing = [f"---\n\n{footer.strip()}\n"] if footer.strip() else []
    return (f"{head.strip()}\n", *numbers, *closing)


def numbered_parts(
    number: int, title: str, topics: Sequence[str], intro: Sequence[str], placed: Mapping[int, Sequence[str]]
) -> tuple[Part, ...]:
    """A section as the author's text below the tool's headings, and the places for the model's."""
    texts = [section_heading(number, title), *intro]
    wanted = []
    for slot, topic in enumerate(topics):
        own = placed.get(slot, ())
        boxed = [title for text in own for title in Page(text).inner_titles]
        heading = topic_heading(number, slot + 1, topic)
        if matching.best_likeness(topic, boxed) < SAME_TITLE:  # else a container of the author's brings it
            texts.append(heading)
        texts += own
        wanted.append(Wanted((), f"#{anchor(heading.lstrip('# '))}"))
    page = Page("".join("{}\n\n".format(text.strip("\n")) for text in texts))
    named = Named(Wanted(()), title, tuple(wanted), tuple(topics))
    return section_parts(page, page.headings[0], len(page.lines), named)


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
