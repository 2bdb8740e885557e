"""Read Markdown as blocks with line ranges: headings, paragraphs, fences, links, anchors.

The only module that imports markdown_it. Nothing here writes Markdown: callers cut and join the
text by lines, so that what they do not change survives byte for byte. Lines are split where
Markdown splits them (``\\n``, ``\\r\\n``, ``\\r``), count from 0, and ranges are ``[start, end)``.
Inline markup is read only for links; everything else needs the block structure alone.
"""

from __future__ import annotations

import html
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import unquote

from expand.markdown import matching

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.token import Token

Kind = Literal["heading", "paragraph", "fence", "code", "list", "table", "quote", "html", "rule", "other"]

_ROW = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_FRONT_MATTER_KEY = re.compile(r"""#|["']?[A-Za-z_@$][\w.$-]*["']?\s*:""")
_FRONT_MATTER_ENDS = {"---": ("---", "..."), "+++": ("+++",), "{": ("}",)}
_HTML_LINK = re.compile(r"""(?is)<(?:a|img)\s[^<>]*?(?<![\w:@.-])(?:href|src)\s*=\s*(["'])(?P<target>[^"'{}]*)\1""")
_ATTRIBUTES = re.compile(r"[ \t]*(?:\{:?[^{}\n]*\}|:id=\S+)[ \t]*$")
_HTML_THAT_RUNS_ON = re.compile(r"(?i)<(!--|(?:script|pre|style|textarea)(?![\w:-]))")
"""What an HTML block that blank lines do not end begins with, as far as texts use it."""
_INLINE_MARKUP = re.compile(r"(?P<tick>`+)(?P<code>.+?)(?P=tick)|!?\[(?P<link>[^\]]*)\]\([^)]*\)|<[^>]+>")
_KINDS: dict[str, Kind] = {
    "heading_open": "heading",
    "paragraph_open": "paragraph",
    "fence": "fence",
    "code_block": "code",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "table_open": "table",
    "blockquote_open": "quote",
    "html_block": "html",
    "hr": "rule",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One block: ``text`` is its lines verbatim, without the last line's ending.

    ``level`` is a heading's level (1-6), ``title`` its inline source; ``setext`` says that it is underlined. ``info``
    is a fence's info string, ``code`` the content of a fence or of indented code, ``marker`` a fence's opening run of
    backticks or tildes; ``closed`` is False for a fence that only the end of the text ends."""

    kind: Kind
    start: int
    end: int
    text: str
    level: int = 0
    title: str = ""
    setext: bool = False
    info: str = ""
    marker: str = ""
    code: str = ""
    closed: bool = True

    @property
    def language(self) -> str:
        """The first word of a fence's info string in lower case, "" when there is none."""
        return language_of(self.info)


class Inline(NamedTuple):
    """The inline source of a paragraph (also of a list item or quote), heading or table cell at any depth, and its
    lines ``[line, end)``."""

    kind: Literal["paragraph", "heading", "cell"]
    line: int
    end: int
    text: str

    @property
    def prose(self) -> str:
        """The text without code spans, link targets and addresses."""
        return matching.prose(self.text)


class Link(NamedTuple):
    """A link or image: ``target`` with percent-escapes resolved, ``line`` of its block."""

    line: int
    target: str


def language_of(info: str) -> str:
    """The language of an info string, also behind its marker: ``rust,no_run``, ``{.rust}`` and ``Rust`` are "rust"."""
    found = re.match(r"[\s{.`~]*([^\s,{}:;`~]+)", info)
    return found.group(1).lower() if found else ""


def rows(text: str) -> list[str]:
    """The lines of a text as Markdown sees them, each with its ending."""
    return _ROW.findall(text)


def bare_rows(text: str) -> list[str]:
    """The same without their endings. U+2028, form feeds and the like end no line."""
    return [row.rstrip("\r\n") for row in rows(text)]


def newline_of(text: str) -> str:
    """The line ending that most lines of a text have: LF, CRLF or CR."""
    both = text.count("\r\n")
    counts = {"\n": text.count("\n") - both, "\r\n": both, "\r": text.count("\r") - both}
    return max(counts, key=counts.__getitem__)


def is_blank(row: str) -> bool:
    """Whether Markdown sees nothing on this line."""
    return not row.strip(" \t\r\n")


def front_matter_lines(lines: Sequence[str]) -> int:
    """How many lines of front matter a document begins with: YAML, TOML, or a JSON object."""
    if len(lines) < 2:
        return 0
    closing = _FRONT_MATTER_ENDS.get(lines[0].rstrip(), ())
    end = next((number for number, row in enumerate(lines[1:], 2) if row.rstrip() in closing), 0)
    if closing == ("---", "..."):
        return end if _FRONT_MATTER_KEY.match(lines[1]) else 0
    try:
        is_object = closing != ("}",) or isinstance(json.loads("".join(lines[:end])), dict)
    except (ValueError, RecursionError):
        is_object = False
    return end if is_object else 0


@lru_cache(maxsize=2)
def _parser(*, inline: bool) -> MarkdownIt:
    # Imported here because commands that read no Markdown must start without it.
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    if not inline:
        parser.disable(["inline", "text_join"])
        parser.block.ruler.before("fence", "math_block", _math_rule, {"alt": ["paragraph"]})
    return parser


def _math_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """``$$`` on a line of its own opens display math up to the next line that ends with it.

    CommonMark knows no math: without this rule a line of ``===`` inside would make a heading."""
    opening = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
    if state.is_code_block(start) or not opening.startswith("$$") or "$$" in opening[2:]:
        return False
    for line in range(start + 1, end):
        row = state.src[state.bMarks[line] : state.eMarks[line]]
        if row.rstrip().endswith("$$"):
            if not silent:
                state.line = line + 1
                state.push("math_block", "", 0).map = [start, state.line]
            return True
    return False


@lru_cache(maxsize=64)
def _parse(text: str) -> tuple[list[str], int, list[Token], dict[str, Any]]:
    """Lines, how many of them are front matter, which is parsed as blank lines, tokens, and link definitions."""
    lines, known = rows(text), dict[str, Any]()
    front = front_matter_lines(lines)
    body = "\n" * front + "".join(lines[front:]) if front else text
    return lines, front, _parser(inline=False).parse(body, known), known


def _verbatim(lines: Sequence[str], start: int, end: int) -> str:
    return "".join(lines[start:end]).rstrip("\r\n")


def _trimmed(lines: Sequence[str], start: int, end: int) -> int:
    """``end`` without the blank lines that markdown-it counts to a list or to code."""
    end = min(end, len(lines))
    while end > start + 1 and is_blank(lines[end - 1]):
        end -= 1
    return end


def _block(lines: Sequence[str], token: Token, title: str = "") -> Block:
    start, end = token.map or (0, 0)
    kind = _KINDS.get(token.type, "other")
    closed = True
    if kind == "fence":
        last = lines[min(end, len(lines)) - 1].strip(" \t\r\n>")
        closed = end - start > 1 and len(last) >= len(token.markup) and set(last) == {token.markup[0]}
    end = min(end, len(lines)) if kind == "fence" and closed else _trimmed(lines, start, end)
    return Block(
        kind=kind,
        start=start,
        end=end,
        text=_verbatim(lines, start, end),
        level=int(token.tag[1:]) if kind == "heading" else 0,
        title=title.strip(),
        setext=kind == "heading" and token.markup in ("=", "-"),
        info=token.info.strip(),
        marker=token.markup if kind == "fence" else "",
        code=token.content if kind in ("fence", "code") else "",
        closed=closed,
    )


def _uncovered(lines: Sequence[str], start: int, end: int) -> Iterator[Block]:
    """Runs of lines that no token covers, such as link definitions."""
    for blank, run in itertools.groupby(range(start, end), key=lambda at: is_blank(lines[at])):
        if not blank:
            numbers = list(run)
            first, last = numbers[0], numbers[-1] + 1
            yield Block(kind="other", start=first, end=last, text=_verbatim(lines, first, last))


@lru_cache(maxsize=64)
def blocks(text: str) -> tuple[Block, ...]:
    """The top-level blocks in order; together they cover every line that is not blank."""
    lines, front, tokens, _ = _parse(text)
    found: list[Block] = []
    at = front
    if front:
        found.append(Block(kind="other", start=0, end=front, text=_verbatim(lines, 0, front)))
    for index, token in enumerate(tokens):
        if token.level != 0 or token.nesting < 0 or token.map is None or token.type == "inline":
            continue
        block = _block(lines, token, tokens[index + 1].content if token.type == "heading_open" else "")
        found.extend(_uncovered(lines, at, block.start))
        found.append(block)
        at = block.end
    found.extend(_uncovered(lines, at, len(lines)))
    return tuple(found)


def headings(text: str) -> tuple[Block, ...]:
    """The top-level headings, never one from inside a fence, list, quote or HTML."""
    return tuple(block for block in blocks(text) if block.kind == "heading")


def fences(text: str) -> tuple[Block, ...]:
    """The fences at any depth, in order."""
    lines, _, tokens, _ = _parse(text)
    return tuple(_block(lines, token) for token in tokens if token.type == "fence")


@lru_cache(maxsize=64)
def paragraphs(text: str) -> tuple[Inline, ...]:
    """The paragraphs at any depth, in order; no headings, tables, code or HTML."""
    return tuple(one for one in inlines(text) if one.kind == "paragraph" and one.text.strip())


def inlines(text: str) -> Iterator[Inline]:
    """The inline texts of a document, in order."""
    for before, token in itertools.pairwise(_parse(text)[2]):
        if token.type == "inline":
            start, end = token.map or (0, 0)
            kind: Literal["paragraph", "heading", "cell"] = "cell"
            if before.type in ("paragraph_open", "heading_open"):
                start, end = before.map or (0, 0)
                kind = "paragraph" if before.type == "paragraph_open" else "heading"
            yield Inline(kind, start, end, token.content)


def shape(text: str) -> list[tuple[object, ...]]:
    """The structure of a document without its inline texts: kinds and levels of its blocks, code and HTML verbatim."""
    return [(t.type, t.level, t.tag, t.markup, t.info, t.content) for t in _parse(text)[2] if t.type != "inline"]


def sentences(text: str, *, without: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    """The sentences of all paragraphs, less what ``without`` finds in them; each with its line from 1."""
    for paragraph in paragraphs(text):
        line = paragraph.line + 1
        for sentence in matching.sentences(without.sub(lambda found: "\n" * found[0].count("\n"), paragraph.text)):
            start = len(sentence) - len(sentence.lstrip())
            yield line + sentence.count("\n", 0, start), sentence
            line += sentence.count("\n")


def links(text: str) -> tuple[Link, ...]:
    """Links and images outside of code, with reference links resolved, and those of HTML elements."""
    found = []
    front = front_matter_lines(rows(text))
    # CommonMark takes a footnote of one word for the definition of a link.
    body = re.sub(r"(?m)^( {0,3})(\[\^[^\]\n]+\]:)", r"\1\\\2", "".join(rows(text)[front:]))
    for token in _parser(inline=True).parse("\n" * front + body):
        line = token.map[0] if token.map else 0
        for part in token.children or (token,):
            target = part.attrGet("href") or part.attrGet("src")
            if target is not None:
                found.append(Link(line, unquote(str(target))))
            elif part.type in ("html_block", "html_inline"):
                targets = (html.unescape(link["target"]) for link in _HTML_LINK.finditer(part.content))
                found += [Link(line, unquote(target)) for target in targets]
    return tuple(found)


def without_attributes(title: str) -> str:
    """A heading's title without the attributes behind it: ``{#id}``, ``{: .class }``, ``:id=name``."""
    return _ATTRIBUTES.sub("", title)


def link_definitions(text: str) -> tuple[tuple[int, int], ...]:
    """The lines ``[start, end)`` of link definitions at any depth, in order."""
    known = _parse(text)[3]
    every = [*known.get("references", {}).values(), *known.get("duplicate_refs", ())]
    return tuple(sorted((found["map"][0], found["map"][1]) for found in every))


def open_fence(text: str) -> str | None:
    """The marker and info string of the fence that the text ends in, such as "```rust"."""
    last = next(reversed(fences(text)), None)
    # One that ends before the text does was ended by a list or quote.
    if last is None or last.closed or "".join(rows(text)[last.end :]).strip(" \t\r\n"):
        return None
    return f"{last.marker}{last.info}"


def closing_fence(text: str) -> str | None:
    """The line (without ending) that closes the fence in which the text ends, or None."""
    if open_fence(text) is None:
        return None
    fence = fences(text)[-1]
    # What lists and quotes put before it: a list marker becomes the indentation of its item; a quote's marker stays.
    before = fence.text.partition(fence.marker)[0]
    return re.sub(r"[^>\t]", " ", before) + fence.marker


def missing_html_end(block: Block) -> str:
    """What would end the HTML, such as a comment or ``<pre>``, that runs on over blank lines to the end of the text;
    "" for a block that is none."""
    begun = _HTML_THAT_RUNS_ON.match(block.text.strip()) if block.kind == "html" else None
    end = "" if begun is None else "-->" if begun[1] == "!--" else f"</{begun[1].lower()}>"
    return "" if end in block.text.lower()[4:] else end


def anchor(heading: str) -> str:
    """A heading's anchor as GitHub makes it: lower case, the text of links and code without their
    markup, no punctuation, hyphens for spaces."""
    kept = re.sub(r"[^\w\- ]", "", _without_markup(heading).strip().lower())
    return kept.replace(" ", "-")


def _without_markup(text: str) -> str:
    return _INLINE_MARKUP.sub(lambda found: found["code"] or _without_markup(found["link"] or ""), text)
