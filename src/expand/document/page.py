"""A document as spans: every character of it is in exactly one, so that what is not changed is written back as it was.

Spans are the byte order mark, the front matter, blank lines and top-level blocks. What stands inside a container (a
``:::`` directive, an HTML or JSX element or a shortcode that ends further down) is one span: a heading
in it parts no document.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote

from expand.markdown import blocks, names
from expand.markdown.blocks import Block, anchor, rows

BYTE_ORDER_MARK = "\ufeff"

_DIRECTIVE = re.compile(r" {0,3}(?P<run>:{3,}|/{3,})[ \t]*(?P<name>[^\s:/].*)?$")
_TAG = re.compile(
    r"""(?xs)
      <!--\s*tabs:(?:start|(?P<close_tabs>end))\s*--> | <!--.*?(?:-->|\Z)
    | <(?P<close>/?)(?P<name>[A-Za-z][\w.:-]*|(?=>))
      (?:"[^"]*"|'[^']*'|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}|[^"'{}<>])*?(?P<void>/?)>
    | \{%-?\s*(?P<close_block>end)?(?P<block>\w+)(?:(?!%\}).){0,500}%\}
    | \{/\* | (?P<close_comment>\*/\})
    | \{\{[<%]\s*(?P<close_code>/?)\s*(?P<code>[\w-]+)(?:(?!\}\}).){0,500}[>%]\}\}"""
)
"""What opens or closes an element: in HTML, JSX, docsify's tabs, comments of MDX, Liquid, Jinja, Hugo's shortcodes."""
_VOID_TAGS = frozenset("area base br col embed hr img input link meta source track wbr".split())  # noqa: SIM905
_ATTRIBUTES = re.compile(r"[ \t]*\{:?[ \t]*(?P<body>[^{}\n]*)\}[ \t]*#*[ \t]*$")
_IDENTIFIER = re.compile(r"(?:^|\s)#(?P<id>[^\s{}]+)")
_ANCHOR_TAG = re.compile(
    r"""<(?:a|span)\s+[^>]*?\b(?:id|name)\s*=\s*["']?(?P<id>[^"'\s>]+)[^>]*?(?:/>|>\s*</(?:a|span)\s*>|>)""",
    re.IGNORECASE,
)
_TARGET = re.compile(r"(?:\((?P<id>[^\s()]+)\)=|\[\]\(\)\{[ \t]*\#(?P<empty>[^\s{}]+)[ \t]*\})[ \t]*$")
_CODE_SPAN = re.compile(r"(?P<tick>`+)(?:(?!`).)+(?P=tick)", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->|\{/\*.*?\*/\}", re.DOTALL)
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
_FRAGMENT = re.compile(
    r"""(?:\]\(\s*<?|\]:[ \t]*<?|\bhref\s*=\s*["']?)(?P<page>[^\s#()<>"']*)#(?P<id>[^\s()<>"']+)""", re.IGNORECASE
)
LABEL = re.compile(r"[:：][*_\s]*$")
CLOSING_LINES = 8
"""A longer block at the end of a document is text of its last section, not of the footer."""


class Span(NamedTuple):
    """Lines ``[start, end)`` of a document, ``text`` verbatim with their endings.

    ``block`` is what the lines are, None for a mark, front matter, blank lines and containers."""

    kind: Literal["mark", "front-matter", "blank", "block", "container"]
    start: int
    end: int
    text: str
    block: Block | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Heading:
    """A heading that parts the document.

    ``line`` is its first line and ``end`` the line after it; ``lead`` is the first line of what belongs to it above:
    anchors, targets and comments. ``title`` is without attributes; ``identifiers`` are the explicit ids that links may
    name: its own and those of its anchors. ``anchor`` is as GitHub makes it: a second one of a name has ``-1`` behind
    it."""

    line: int = 0
    end: int = 0
    lead: int = 0
    level: int
    title: str
    text: str = ""
    setext: bool = False
    identifiers: tuple[str, ...] = ()
    anchor: str = ""


class Page:
    """A document read once. ``text`` is the whole of it, the byte order mark included."""

    def __init__(self, text: str) -> None:
        self.text = text
        marked = text.startswith(BYTE_ORDER_MARK)
        self.mark = BYTE_ORDER_MARK if marked else ""
        self.lines = rows(text[1:] if marked else text)
        self.spans = tuple(self._spans())

    @property
    def newline(self) -> str:
        """The line ending that the document uses."""
        return blocks.newline_of(self.text)

    @cached_property
    def headings(self) -> tuple[Heading, ...]:
        """The headings outside containers, in order."""
        found: list[Heading] = []
        met: Counter[str] = Counter()
        lead: int | None = None  # the first line of what belongs to the next heading
        for span in self.spans:
            block = span.block
            if block is not None and block.kind == "heading":
                first = span.start if lead is None else lead
                heading = _heading(block, span.text, first, above=self.cut(first, span.start))
                base = anchor(heading.title)
                found.append(replace(heading, anchor=f"{base}-{met[base]}" if met[base] else base))
                met[base] += 1
            if span.kind != "blank":
                lead = (span.start if lead is None else lead) if block is not None and _leads(block) else None
        return tuple(found)

    def cut(self, start: int, end: int) -> str:
        """The lines ``[start, end)`` verbatim."""
        return "".join(self.lines[start:end])

    def _spans(self) -> Iterator[Span]:
        if self.mark:
            yield Span("mark", 0, 0, self.mark)
        at = blocks.front_matter_lines(self.lines)
        if at:
            yield Span("front-matter", 0, at, self.cut(0, at))
        # Parsed as blank lines, so that the numbers of the lines stay.
        every = blocks.blocks("\n" * at + self.cut(at, len(self.lines)))
        for first, last in _containers(every):
            start, end = every[first].start, every[last].end
            if at < start:
                yield Span("blank", at, start, self.cut(at, start))
            if first == last:
                yield Span("block", start, end, self.cut(start, end), every[first])
            else:
                yield Span("container", start, end, self.cut(start, end))
            at = end
        if at < len(self.lines):
            yield Span("blank", at, len(self.lines), self.cut(at, len(self.lines)))


def _heading(block: Block, text: str, lead: int, *, above: str) -> Heading:
    attributes = _ATTRIBUTES.search(block.title)
    title = block.title[: attributes.start()] if attributes else block.title
    named = [found["id"] for found in _IDENTIFIER.finditer(attributes["body"] if attributes else "")]
    named += [found["id"] for part in (title, above) for found in _ANCHOR_TAG.finditer(part)]
    named += [found["id"] or found["empty"] for row in rows(above) if (found := _TARGET.match(row.strip()))]
    return Heading(
        line=block.start,
        end=block.end,
        lead=lead,
        level=block.level,
        title=_ANCHOR_TAG.sub("", title).strip(),
        text=text,
        setext=block.setext,
        identifiers=tuple(dict.fromkeys(named)),
    )


def _leads(block: Block) -> bool:
    """Whether a block right above a heading belongs to it: anchors, targets and comments, and nothing else."""
    if block.kind not in ("html", "paragraph"):
        return False
    rest = _COMMENT.sub("", _ANCHOR_TAG.sub("", block.text))
    return not "".join(_TARGET.sub("", row.strip()) for row in rows(rest)).strip()


def _containers(every: Sequence[Block]) -> Iterator[tuple[int, int]]:
    """The blocks in order, as first and last index: those of a container together, any other by itself."""
    ends: dict[int, int] = {}
    for first, last in (*_directives(every), *_elements(every)):
        ends[first] = max(ends.get(first, first), last)
    at = 0
    while at < len(every):
        first, last = at, at
        while at <= last:  # a container that begins within this one may end behind it
            last = max(last, ends.get(at, at))
            at += 1
        yield first, last


def _directives(every: Sequence[Block]) -> Iterator[tuple[int, int]]:
    """The directives that are closed, as indices of the first and last block."""
    opened: list[tuple[str, int]] = []
    for index, block in enumerate(every):
        if block.kind in ("fence", "code", "html", "heading", "rule"):
            continue
        for found in filter(None, map(_DIRECTIVE.match, blocks.bare_rows(block.text))):
            if found["name"]:
                opened.append((found["run"], index))
            elif opened and found["run"].startswith(opened[-1][0]):
                yield opened.pop()[1], index


def first_fault(text: str) -> tuple[int, str, str] | None:
    """The code block, comment or script of a document that never ends: text behind it would not be read as text. Its
    line, counted from 0, what it is, and how to mend it."""
    for block in blocks.blocks(text.removeprefix(BYTE_ORDER_MARK))[-1:]:
        if block.kind == "fence" and not block.closed:
            return block.start, f"the code block {block.marker}{block.info} never ends", f"close it with {block.marker}"
        if ending := blocks.missing_html_end(block):
            return block.start, f"the HTML {block.text.split()[0]} never ends", f"close it with {ending}"
    return None


def _elements(every: Sequence[Block]) -> Iterator[tuple[int, int]]:
    """The elements and shortcodes that open in one block and close in another, as indices of the two."""
    opened: dict[str, list[int]] = {}
    for index, block in enumerate(every):
        if block.kind not in ("html", "paragraph"):
            continue
        for found in _TAG.finditer(_CODE_SPAN.sub("", block.text)):
            names = (found[key] for key in ("name", "block", "code") if found[key] is not None)
            name = next(names, None if found[0].startswith("<!--") and "tabs:" not in found[0] else "")
            if name is None or found["void"] or name.lower() in _VOID_TAGS:
                continue  # None: another comment
            if not any(found[key] for key in ("close", "close_block", "close_code", "close_tabs", "close_comment")):
                opened.setdefault(name, []).append(index)
            elif opened.get(name):
                first = opened[name].pop()
                if first < index:
                    yield first, index


# The header and the footer of a document


def outer_blocks(page: Page) -> list[Block]:
    """The blocks of a document, each container as one."""
    return [
        span.block or Block(kind="other", start=span.start, end=span.end, text=span.text.rstrip("\r\n"))
        for span in page.spans
        if span.kind not in ("mark", "blank")
    ]


def footer_line(page: Page) -> int:
    """The line where a document's footer begins; the number of its lines without one."""
    every = outer_blocks(page)
    start = footer_start(every, header_end(every))
    return every[start].start if start < len(every) else len(page.lines)


def _is_meta(block: Block) -> bool:
    if block.kind == "quote":
        return True
    if block.kind == "html":
        return "<!--" in block.text or "<img" in block.text
    first = block.text.lstrip()
    return block.kind == "paragraph" and bool(_META.match(first)) and not LABEL.search(first)


def header_end(every: Sequence[Block]) -> int:
    """The number of blocks that make the header: front matter, title, quotes and meta lines."""
    at = 0
    if every and every[0].kind == "other" and blocks.front_matter_lines(rows(every[0].text)):
        at = 1
    while at < len(every) and every[at].kind == "html":
        at += 1
    top = section_level(every)
    if at < len(every) and every[at].kind == "heading" and every[at].level < top:
        at += 1
    while at < len(every) and _is_meta(every[at]):
        at += 1
    return at


def section_level(every: Sequence[Block]) -> int:
    """The heading level that parts a document into sections: the shallowest below its title."""
    levels = [block.level for block in every if block.kind == "heading"]
    if levels and levels[0] == 1 and levels.count(1) == 1:
        levels = levels[1:]
    return min(levels, default=2)


def footer_start(every: Sequence[Block], after: int) -> int:
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


class Fragment(NamedTuple):
    """A link with an anchor: the page that it names ("" for its own), the anchor, and its place in the text."""

    page: str
    anchor: str
    place: tuple[int, int]


def fragments(text: str) -> Iterator[Fragment]:
    """The links of a text that name an anchor: inline, in definitions, and as ``href``; code is left alone."""
    for found in _FRAGMENT.finditer(names.without_code(text)) if "#" in text else ():
        yield Fragment(unquote(found["page"]), unquote(found["id"]).lower(), found.span("id"))


def relinked(text: str, anchors: Mapping[str, str], file: str) -> str:
    """The text with other anchors in its links to the document itself, which is named ``file``."""
    for fragment in reversed([*fragments(text)] if anchors else []):
        new = anchors.get(fragment.anchor)
        if new is not None and fragment.page.removeprefix("./") in ("", file):
            start, end = fragment.place
            text = text[:start] + (quote(new) if "%" in text[start:end] else new) + text[end:]
    return text
