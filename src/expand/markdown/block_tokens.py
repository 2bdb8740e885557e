"""Markdown as markdown-it's block tokens, made without the parser where the text is plain.

The only module that imports markdown_it. Most of a draft are paragraphs whose lines all begin with
a letter, and headings alone between blank lines. No rule of Markdown makes anything else of them,
unless they stand in a fence, in raw HTML or in display math. Their tokens are made here, and the
parser gets only what lies between: the tokens are the same, at a tenth of the time.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.token import Token

_HEADING = re.compile(r"(#{1,6})[ \t]+([^\s#](?:[^\n]*[^\s#])?)[ \t]*\n?")
_FENCE_ROW = re.compile(r" {0,3}(`{3,}|~{3,})")
_OPENS_MORE = re.compile(r"<|\$\$")
"""What may open raw HTML or display math, which go on over blank lines and over anything."""


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    # Imported here: the command line must start without it.
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table").disable(["inline", "text_join"])
    parser.block.ruler.before("fence", "math_block", _math_rule, {"alt": ["paragraph"]})
    return parser


@lru_cache(maxsize=1)
def inline_parser() -> MarkdownIt:
    """A parser that reads inline markup, too."""
    # Imported here for the same reason.
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable("table")


def _math_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """``$$`` on a line of its own opens display math up to the next line that ends with it."""
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


def parsed(text: str) -> list[Token]:
    """The tokens as the parser makes them, of all of the text."""
    return _parser().parse(text)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Rows ``[start, end)`` for the parser. ``fences`` are the rows where fences are taken to
    begin: what stands in them is not looked at, so the parser must find them as well.
    """

    start: int
    end: int
    fences: frozenset[int]


def block_tokens(text: str) -> list[Token]:
    """The same tokens, plain stretches without the parser."""
    if "\r" in text or "\0" in text:
        return parsed(text)
    rows = text.split("\n")
    chunks = _chunks(rows)
    found: list[Token] = []
    at = 0
    for rough in _rough_stretches(rows, chunks):
        found += _plain_tokens(rows, chunks, at, rough.start)
        at = rough.end
        tokens = _parsed_rows(rows, rough.start, at)
        if at < len(rows) and not _is_whole(tokens, rough):
            at = len(rows)
            tokens = _parsed_rows(rows, rough.start, at)
        found += tokens
        if at == len(rows):
            return found
    return found + _plain_tokens(rows, chunks, at, len(rows))


def _parsed_rows(rows: list[str], start: int, end: int) -> list[Token]:
    last = "" if end == len(rows) else "\n"
    tokens = _kept("\n".join(rows[start:end]) + last)
    return [_moved(token, start) for token in tokens]


@lru_cache(maxsize=256)
def _kept(text: str) -> list[Token]:
    """The parser's tokens: a section holds most of what the answers and their parts held before."""
    return parsed(text)


def _moved(token: Token, by: int) -> Token:
    """The token so many rows further down."""
    if token.map is None or not by:
        return token
    return _token_type()(
        token.type,
        token.tag,
        token.nesting,
        token.attrs,
        [token.map[0] + by, token.map[1] + by],
        token.level,
        token.children,
        token.content,
        token.markup,
        token.info,
        token.meta,
        token.block,
        token.hidden,
    )


def _rough_stretches(rows: list[str], chunks: list[tuple[int, int]]) -> Iterator[_Stretch]:
    """The runs of chunks that the parser is needed for."""
    start: int | None = None
    fences: set[int] = set()
    at = 0
    for first, last in chunks:
        if first < at:
            continue  # it begins in a fence
        if _is_plain(rows, first, last):
            if start is not None:
                yield _Stretch(start, first, frozenset(fences))
                start = None
                fences.clear()
            continue
        start = first if start is None else start
        at, opens_more = _behind(rows, first, last, fences)
        if opens_more:
            break
    if start is not None:
        yield _Stretch(start, len(rows), frozenset(fences))


def _behind(rows: list[str], first: int, last: int, fences: set[int]) -> tuple[int, bool]:
    """The row behind a chunk and the fences that it opens, which are noted in ``fences``; and
    whether it may open what goes on over anything.
    """
    marker = ""
    for number in range(first, len(rows)):
        if number >= last and not marker:
            return number, False
        row = rows[number]
        found = _FENCE_ROW.match(row)
        if not marker and found is not None:
            marker = found[1]
            fences.add(number)
        elif marker and found is not None and found[1].startswith(marker):
            if not row.strip().strip(marker[0]):
                marker = ""
        elif not marker and _OPENS_MORE.search(row):
            return number, True
    return len(rows), False


def _is_whole(tokens: list[Token], rough: _Stretch) -> bool:
    """Whether the stretch is what it was taken for, and its last fence is closed in it."""
    fences = [token for token in tokens if token.type == "fence" and token.map is not None]
    if not rough.fences <= {token.map[0] for token in fences if token.map and token.level == 0}:
        return False
    if not fences:
        return True
    start, end = fences[-1].map or (0, 0)
    return end - start >= fences[-1].content.count("\n") + 2


def _chunks(rows: list[str]) -> list[tuple[int, int]]:
    """The runs of rows between blank ones."""
    blank = [number for number, row in enumerate(rows) if not row.strip(" \t")]
    return [(before + 1, after) for before, after in itertools.pairwise((-1, *blank, len(rows))) if before + 1 < after]


def _is_plain(rows: list[str], first: int, last: int) -> bool:
    if "".join([row[0] for row in rows[first:last]]).isalpha():
        return True
    return last - first == 1 and _HEADING.fullmatch(rows[first]) is not None


def _plain_tokens(rows: list[str], chunks: list[tuple[int, int]], start: int, end: int) -> list[Token]:
    """The tokens of the chunks that begin in the rows ``[start, end)``, all of them plain."""
    tokens: list[Token] = []
    for first, last in chunks[bisect_left(chunks, (start,)) : bisect_left(chunks, (end,))]:
        found = _HEADING.fullmatch(rows[first]) if last - first == 1 else None
        if found is None:
            said = "\n".join(rows[first:last]).strip()
            tokens += _tokens_of("paragraph", "p", "", said, first, last)
        else:
            tag, said = f"h{len(found[1])}", found[2].strip()
            tokens += _tokens_of("heading", tag, found[1], said, first, last)
    return tokens


@lru_cache(maxsize=1)
def _token_type() -> type[Token]:
    from markdown_it.token import Token  # start-up time

    return Token


def _tokens_of(kind: str, tag: str, markup: str, content: str, start: int, end: int) -> list[Token]:
    token = _token_type()
    return [
        token(f"{kind}_open", tag, 1, map=[start, end], markup=markup, block=True),
        token("inline", "", 0, map=[start, end], level=1, children=[], content=content, block=True),
        token(f"{kind}_close", tag, -1, markup=markup, block=True),
    ]
