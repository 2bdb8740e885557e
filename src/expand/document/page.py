"""A document as spans: every character of it is in exactly one, so that what is not changed is written back as it was.

Spans are the byte order mark, the front matter, blank lines and top-level blocks. What stands inside a container (a
``:::`` directive, an HTML or JSX element, a shortcode or an expression that ends further down) is one span: a heading
in it parts no document.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

from expand.markdown import blocks
from expand.markdown.blocks import Block, anchor, rows

SpanKind = Literal["mark", "front-matter", "blank", "block", "container"]

BYTE_ORDER_MARK = "\ufeff"
MOST_EXPRESSION_BLOCKS = 100
"""An expression of MDX that has more blocks in it is taken for text that begins with a brace."""

_DIRECTIVE = re.compile(r" {0,3}(?P<run>:{3,}|/{3,})[ \t]*(?P<name>[^\s:/].*)?$")
_TAG = re.compile(
    r"""(?xs)
      <!--\s*tabs:(?:start|(?P<close_tabs>end))\s*--> | <!--.*?(?:-->|\Z)
    | <(?P<close>/?)(?P<name>[A-Za-z][\w.:-]*|(?=>))
      (?:"[^"]*"|'[^']*'|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}|[^"'{}<>])*?(?P<void>/?)>
    | \{%-?\s*(?P<close_block>end)?(?P<block>\w+)(?:(?!%\}).){0,500}%\}
    | \{\{[<%]\s*(?P<close_code>/?)\s*(?P<code>[\w-]+)(?:(?!\}\}).){0,500}[>%]\}\}"""
)
"""What opens or closes an element: in HTML and JSX, in docsify's tabs, in Liquid and Jinja, in Hugo's shortcodes."""
_EXPRESSION = re.compile(r"(?:export|import)\s|\{(?![#:%{/])|\{/\*")
_VOID_TAGS = frozenset("area base br col embed hr img input link meta source track wbr".split())  # noqa: SIM905
_ATTRIBUTES = re.compile(r"[ \t]*\{:?[ \t]*(?P<body>[^{}\n]*)\}[ \t]*#*[ \t]*$")
_IDENTIFIER = re.compile(r"(?:^|\s)#(?P<id>[^\s{}]+)")
_ANCHOR_TAG = re.compile(
    r"""<(?:a|span)\s+[^>]*?\b(?:id|name)\s*=\s*["']?(?P<id>[^"'\s>]+)[^>]*?(?:/>|>\s*</(?:a|span)\s*>|>)""",
    re.IGNORECASE,
)
_TARGET = re.compile(r"(?:\((?P<id>[^\s()]+)\)=|\[\]\(\)\{[ \t]*\#(?P<empty>[^\s{}]+)[ \t]*\})[ \t]*$")
_KNOWN_DIRECTIVE = re.compile(
    r"(?i)\{[\w:.-]+\}|(?:note|tip|info|important|warning|caution|danger|details|code-group|raw|abstract|success|question"
    r"|failure|bug|example|quote|admonition|tab|html|hint|attention|error|seealso)\b(?![.\w])"
)
_INNER_HEADING = re.compile(r"(?m)^[ \t>]*#{1,6}[ \t]+(?P<title>\S.*?)[ \t#]*$")
_CODE_SPAN = re.compile(r"(?P<tick>`+)(?:(?!`).)+(?P=tick)", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->|\{/\*.*?\*/\}", re.DOTALL)


class Span(NamedTuple):
    """Lines ``[start, end)`` of a document, ``text`` verbatim with their endings.

    ``block`` is what the lines are, None for a mark, front matter, blank lines and containers."""

    kind: SpanKind
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

    def __str__(self) -> str:
        """The document as its spans have it: the same text."""
        return "".join(span.text for span in self.spans)

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

    @property
    def inner_titles(self) -> tuple[str, ...]:
        """What the headings inside containers say."""
        inside = (span.text for span in self.spans if span.kind == "container")
        return tuple(found["title"] for text in inside for found in _INNER_HEADING.finditer(text))

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
    directives = ((opened.block, last) for opened, last in _directives(every) if last is not None)
    for first, last in (*directives, *_elements(every), *_expressions(every)):
        ends[first] = max(ends.get(first, first), last)
    at = 0
    while at < len(every):
        first, last = at, at
        while at <= last:  # a container that begins within this one may end behind it
            last = max(last, ends.get(at, at))
            at += 1
        yield first, last


class _Directive(NamedTuple):
    block: int
    line: int
    run: str
    name: str


def _directives(every: Sequence[Block]) -> Iterator[tuple[_Directive, int | None]]:
    """Where each directive opens, and the index of the block where it closes; None for one that never does."""
    open_runs: list[_Directive] = []
    for index, block in enumerate(every):
        if block.kind in ("fence", "code", "html", "heading", "rule"):
            continue
        for line, row in enumerate(rows(block.text), block.start):
            found = _DIRECTIVE.match(row.rstrip("\r\n"))
            if found is None:
                continue
            if found["name"]:
                open_runs.append(_Directive(index, line, found["run"], found["name"]))
            elif open_runs and found["run"].startswith(open_runs[-1].run):
                yield open_runs.pop(), index
    yield from ((opened, None) for opened in open_runs)


class Fault(NamedTuple):
    """What makes all that follows in a document part of something that begins in ``line``, counted from 0."""

    line: int
    says: str
    remedy: str


def first_fault(page: Page) -> Fault | None:
    """The first thing in a document that never ends: text behind it would not be read as text.

    What looks like the opening of a directive and is of no known kind is left alone: mkdocstrings has such lines."""
    every = blocks.blocks(page.text.removeprefix(BYTE_ORDER_MARK))
    found = [
        Fault(
            opened.line, f"the directive {opened.run} {opened.name.strip()} never ends", f"close it with {opened.run}"
        )
        for opened, last in _directives(every)
        if last is None and _KNOWN_DIRECTIVE.match(opened.name)
    ]
    for block in every[-1:]:
        if block.kind == "fence" and not block.closed:
            said = f"{block.marker}{block.info}"
            found.append(Fault(block.start, f"the code block {said} never ends", f"close it with {block.marker}"))
        if ending := blocks.missing_html_end(block):
            found.append(Fault(block.start, f"the HTML {block.text.split()[0]} never ends", f"close it with {ending}"))
    return min(found, default=None)


def _elements(every: Sequence[Block]) -> Iterator[tuple[int, int]]:
    """The elements and shortcodes that open in one block and close in another, as indices of the two."""
    opened: dict[str, list[int]] = {}
    for index, block in enumerate(every):
        if block.kind not in ("html", "paragraph"):
            continue
        for found in _TAG.finditer(_CODE_SPAN.sub("", block.text)):
            names = (found[key] for key in ("name", "block", "code") if found[key] is not None)
            name = next(names, "tabs:" if "tabs:" in found[0] else None)
            if name is None or found["void"] or name.lower() in _VOID_TAGS:
                continue  # None: another comment
            if not any(found[key] for key in ("close", "close_block", "close_code", "close_tabs")):
                opened.setdefault(name, []).append(index)
            elif opened.get(name):
                first = opened[name].pop()
                if first < index:
                    yield first, index


def _expressions(every: Sequence[Block]) -> Iterator[tuple[int, int]]:
    """MDX's imports, exports and expressions with blank lines in them, as indices of the first and last block."""
    for first, block in enumerate(every):
        if block.kind != "paragraph" or not _EXPRESSION.match(block.text):
            continue
        depth = 0
        for last in range(first, min(len(every), first + MOST_EXPRESSION_BLOCKS)):
            depth += sum(every[last].text.count(c) for c in "{([") - sum(every[last].text.count(c) for c in "})]")
            if depth <= 0:
                break
        if depth == 0 and last > first:
            yield first, last
