"""Cut a file into passages: what a request quotes, and what a text can cite.

A passage ends where the file says so - at a heading, a page, a definition at the margin - and not after so many lines.
So a change in one function leaves the passages of the others as they were, and with them the sections that cite those.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal, NamedTuple

from expand.markdown import blocks, matching
from expand.markdown.blocks import bare_rows

MOST_LINES = 40
"""A passage with more lines is cut where its parts begin."""
MOST_CHARACTERS = 4_000
"""The most characters of a passage: some 1,000 tokens."""
_MARK_DIGITS = 8
NOTE = re.compile(rf"\[\^r-(?P<mark>[0-9a-f]{{{_MARK_DIGITS}}})(?:-\d+)?\](?!:)")
"""The footnote of a citation where a draft uses it: its name has the passage's mark in it."""
MOST_DEPTH = 12
"""So many parts within one another are told apart."""

Unit = Literal["lines", "page", "cell"]
MARKDOWN = (".md", ".mdx", ".markdown")
HTML_ENDINGS = (".html", ".htm", ".xhtml")
_CLOSES = (")", "]", "}", "</")
_MARKUP = re.compile(
    r"(?is)<!--.*?(?:-->|(?=<p>\Z))"
    r"|<(?P<skipped>script|style|template|svg|nav|noscript)(?![\w:-])(?:[^<>]*/>|.*?(?:</(?P=skipped)\s*>|(?=<p>\Z)))"
    r"|<(?P<end>/?)(?P<tag>[a-z][\w:-]*+)(?:[^<>=]++|=\s*+(?:\"[^\"<]*+\"|'[^'<]*+')?)*+>|<[!?][^<>]*+>"
)
"""The tags of a web page; comments, and what readers do not see as text, whole."""
_INLINE = re.compile(
    "a|abbr|b|bdi|bdo|cite|code|data|dfn|em|font|i|ins|kbd|label|mark|q|s|samp|small|span|strong|sub|sup|time|tt|u|var|wbr"
)


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A part of a file: from line, page or cell ``first`` to ``last``, counted from 1.

    ``path`` is the file as the workspace names it, ``within`` the headings or definitions around the passage.
    ``origin`` is the address of a page that was saved, ``saved`` its date; both are "" for a file."""

    path: str
    unit: Unit
    first: int
    last: int
    text: str
    within: tuple[str, ...] = ()
    origin: str = ""
    saved: str = ""

    @cached_property
    def mark(self) -> str:
        """What the passage is known by while its words stay: hexadecimal digits of the hash of path and text."""
        return hashlib.sha256(f"{self.path}\0{self.text}".encode()).hexdigest()[:_MARK_DIGITS]

    @property
    def place(self) -> str:
        """The file and the lines, page or cell, in words that do for any language."""
        if self.unit == "lines":
            return f"{self.path}:{self.first}" + (f"-{self.last}" if self.last > self.first else "")
        return f"{self.path}, {'p.' if self.unit == 'page' else 'cell'} {self.first}"


class Lines(NamedTuple):
    """The text of a file as lines, with the number of each in the file, and headings by index: level and title.
    ``whole`` says that it is one passage if it is not too long."""

    texts: Sequence[str]
    numbers: Sequence[int]
    headings: Sequence[tuple[int, int, str]] = ()
    unit: Unit = "lines"
    whole: bool = False

    def only(self, wanted: range) -> Lines:
        """Those with these numbers."""
        kept = [(text, number) for text, number in zip(self.texts, self.numbers, strict=True) if number in wanted]
        return Lines([text for text, _ in kept], [number for _, number in kept], unit=self.unit, whole=True)


def passages_of(data: bytes, path: str, wanted: range | None = None) -> tuple[Passage, ...]:
    """The passages of a file, in order; of the ``wanted`` lines, pages or cells if any are named.

    Raises ``ValueError`` for a file that is not what its name says, or no text."""
    suffix = path[path.rfind(".") :].lower()
    if suffix == ".pdf":
        parts = list(_pages(data))
    elif b"\0" in data:
        raise ValueError("it is a binary file")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(f"byte {error.start} is not UTF-8") from error
        if suffix == ".ipynb":
            parts = list(_cells(text))
        elif suffix in HTML_ENDINGS:
            parts = [_of_html(text)]
        else:
            rows = ["" if row.startswith("<!-- expand language") else row for row in bare_rows(text)]
            headings = blocks.headings(text) if suffix in MARKDOWN else ()
            titles = [(block.start, block.level, block.title) for block in headings]
            parts = [Lines(rows, range(1, len(rows) + 1), titles)]
    parts = parts if wanted is None else [lines.only(wanted) for lines in parts]
    return tuple(passage for lines in parts for passage in cut(lines, path))


def cut(lines: Lines, path: str) -> Iterator[Passage]:
    """The passages of some lines, in order; none without a letter or digit."""
    open_titles: list[tuple[int, str]] = []
    ends = [*(start for start, _, _ in lines.headings), len(lines.texts)]
    for (begin, level, title), stop in zip([(0, 0, ""), *lines.headings], ends, strict=True):
        open_titles = [(at, said) for at, said in open_titles if at < level]
        around = tuple(said for _, said in open_titles)
        whole = lines.whole or bool(lines.headings)
        for start, end, within in _parts(lines.texts, begin, stop, around, whole=whole):
            for at, to, text in _bounded(lines, start, end):
                if any(map(str.isalnum, text)):
                    first, last, said = lines.numbers[at], lines.numbers[to], text.strip("\n")
                    yield Passage(path=path, unit=lines.unit, first=first, last=last, text=said, within=within)
        open_titles += [(level, title)] if title else []


def _parts(
    texts: Sequence[str], start: int, end: int, within: tuple[str, ...], *, whole: bool, depth: int = 0
) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """A piece as it is if it is ``whole`` and not too long, else cut where its parts begin, at any depth."""
    while start < end and not texts[start].strip():
        start += 1
    while start < end and not texts[end - 1].strip():
        end -= 1
    if (whole and end - start <= MOST_LINES) or start == end:
        yield start, end, within
        return
    begins = _begins(texts, start, end) if depth < MOST_DEPTH else []
    if not begins:
        yield from ((at, min(at + MOST_LINES, end), within) for at in range(start, end, MOST_LINES))
        return
    head = texts[start].strip()
    for number, (first, last) in enumerate(zip([start, *begins], [*begins, end], strict=True)):
        inside = within if not whole or not number else (*within, head)
        yield from _parts(texts, first, last, inside, whole=True, depth=depth + 1)


def _begins(texts: Sequence[str], start: int, end: int) -> list[int]:
    """Where the parts of a piece begin, the first one aside: at the lines behind a blank one that stand furthest left;
    where none is blank (YAML, JSON), at those that stand furthest left, as few as make parts of the size wanted."""
    inner = [at for at in range(start + 1, end) if texts[at].strip() and not texts[at].lstrip().startswith(_CLOSES)]
    behind = [at for at in inner if not texts[at - 1].strip()]
    if behind:
        least = min(_indent(texts[at]) for at in behind)
        return [at for at in behind if _indent(texts[at]) == least]
    least = min((_indent(texts[at]) for at in inner), default=0)
    begins: list[int] = []
    last = start
    level = [at for at in inner if _indent(texts[at]) == least]
    for at, following in pairwise([*level, end]):
        if following - last > MOST_LINES and at > last:
            begins.append(at)
            last = at
    return begins


def _indent(row: str) -> int:
    return len(row.expandtabs(4)) - len(row.expandtabs(4).lstrip())


def _bounded(lines: Lines, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """A piece as texts of at most ``MOST_CHARACTERS``, with the indices of their first and last lines."""
    first, held = start, ""
    for at in range(start, end):
        row = lines.texts[at].rstrip()
        if held and len(held) + len(row) >= MOST_CHARACTERS:
            yield first, at - 1, held
            first, held = at, ""
        while len(row) > MOST_CHARACTERS:
            yield at, at, row[:MOST_CHARACTERS]
            row = row[MOST_CHARACTERS:]
        held = f"{held}\n{row}" if at > first else row
    yield first, end - 1, held


def _cells(text: str) -> Iterator[Lines]:
    """The cells of a Jupyter notebook, without their outputs."""
    try:
        cells = json.loads(text)["cells"]
        sources = [cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"]) for cell in cells]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("it is no Jupyter notebook") from error
    for number, source in enumerate(sources, 1):
        rows = bare_rows(source)
        yield Lines(rows, [number] * len(rows), unit="cell", whole=True)


def _pages(data: bytes) -> Iterator[Lines]:
    import pypdfium2  # 0.1 s, and few books cite a PDF

    try:
        with closing(pypdfium2.PdfDocument(data)) as document:
            for number, page in enumerate(document, 1):
                rows = bare_rows(page.get_textpage().get_text_range())
                yield Lines(rows, [number] * len(rows), unit="page", whole=True)
    except pypdfium2.PdfiumError as error:
        raise ValueError(f"it cannot be read as PDF: {error}") from error


def _of_html(page: str) -> Lines:
    """The text of a web page: a row for each block, those of ``pre`` as they are, and a blank one between."""
    rows: list[tuple[str, int]] = []
    headings: list[tuple[int, int]] = []
    said, line, verbatim, at, here = "", 1, False, 0, 1
    for mark in _MARKUP.finditer(f"{page}<p>"):
        if not said or said.isspace():
            said, line = "", here
        said += html.unescape(page[at : mark.start()])
        here += page.count("\n", at, mark.end())
        at = mark.end()
        tag = (mark["tag"] or mark["skipped"] or "").lower()
        if not tag or _INLINE.fullmatch(tag):
            continue
        begun = said.lstrip("\r\n")
        line += said.count("\n", 0, len(said) - len(begun))
        block = bare_rows(begun) if verbatim else [" ".join(begun.split())]
        if any(map(str.strip, block)):
            rows += [*((row, line + number) for number, row in enumerate(block)), ("", line + len(block))]
        said = ""
        verbatim = not mark["end"] if tag == "pre" else verbatim
        if re.fullmatch("h[1-6]", tag) and not mark["end"]:
            headings.append((len(rows), int(tag[1])))
    titles = [(start, level, rows[start][0]) for start, level in headings if start < len(rows)]
    return Lines([row for row, _ in rows], [number for _, number in rows], titles)


def rankings(passages: Sequence[Passage], queries: Sequence[str]) -> list[list[Passage]]:
    """For each query the passages that share a term with it, the best one first."""
    if not passages:
        return [[] for _ in queries]
    # Terms as `matching` makes them, stems of words and pairs of Chinese characters: FTS5's own trigrams cannot find a
    # Chinese word, which mostly has two characters.
    with closing(sqlite3.connect(":memory:")) as index:
        index.execute("CREATE VIRTUAL TABLE passage USING fts5(terms)")
        for number, one in enumerate(passages):  # the terms as often as they stand there
            rows = f"{' '.join(one.within)} {one.path} {one.text}".splitlines()
            words = " ".join(term for row in rows for term in sorted(matching.terms(row)))
            index.execute("INSERT INTO passage (rowid, terms) VALUES (?, ?)", (number, words))
        found = []
        for query in queries:
            terms = " OR ".join(f'"{term}"' for term in sorted(matching.terms(query)))
            asked = "SELECT rowid FROM passage WHERE passage MATCH ? ORDER BY rank, rowid"
            found.append([passages[number] for (number,) in (index.execute(asked, (terms,)) if terms else ())])
        return found


def within_tokens(
    ranked: Sequence[Passage], most: int, count: Callable[[str], int], taken: Collection[Passage] = ()
) -> list[Passage]:
    """Of passages in their rank those that fit into ``most`` tokens, in the order of their places; none that is
    ``taken``."""
    marks = {passage.mark for passage in taken}
    chosen: list[Passage] = []
    for passage in ranked:
        if passage.mark in marks:
            continue
        size = count(shown("R100", passage))
        if size <= most:
            chosen.append(passage)
            marks.add(passage.mark)
            most -= size
        if most < LEAST_TOKENS:
            break
    return sorted(chosen, key=lambda passage: (passage.path, passage.first, passage.text))


LEAST_TOKENS = 30
"""With less room no further passage is tried."""


def shown(name: str, passage: Passage) -> str:
    """A passage as a request quotes it."""
    within = f" ({' › '.join(passage.within)})" if passage.within else ""
    return f"[{name}] {passage.place}{within}\n{passage.text}\n"


def quoted(passages: Mapping[str, Passage]) -> str:
    """Passages by the names under which they can be cited, as a request quotes them; "" for none."""
    return "\n".join(shown(name, passage) for name, passage in passages.items()).rstrip("\n")
