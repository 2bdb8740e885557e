"""The passages of a document that a translation changes: all else stays as it is, byte for byte.

A passage is the text of a paragraph, heading or table cell at any depth, of a link that stands alone, or of a title in
the front matter, without the marks around it and on one line. Code, HTML, directives, link definitions and formulas
hold none. What has to be in a translation as it is in its original, ``faults`` says.
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from typing import Literal, NamedTuple

from expand.document.page import BYTE_ORDER_MARK, Page, relinked
from expand.markdown import blocks, languages, matching, names
from expand.markdown.blocks import rows

_MARKS = re.compile(
    r"(?:[:/]{3,}|!!!|\?\?\?|===|<!--|\$\$|\[TOC\]|\[![A-Z]+\]|\{[%*]|\{\{[%<]|(?:import|export)\s.*[;'\"{]|</?[A-Za-z][^<>]*>$)"
)
"""What a row begins with that is no prose: directives, admonitions, tabs, tags, shortcodes, MDX."""
_FRONT = re.compile(
    r"""(?i)(?P<key>(?:(?:side)?bar_?)?(?:title|label)|long_?title|sub_?title|link_?title|description|summary|tagline|excerpt)
    [ \t]*[:=][ \t]*(?P<quote>["']?)(?P<text>[^|>\[{&*!%@`#"'\s].*?)(?P=quote)[ \t]*$""",
    re.VERBOSE,
)
_LEAD = re.compile(r"\[\^[^\]\s]+\]:\s+|\[[ xX]\]\s+")
"""The mark of a footnote, and of a task."""
_LINK = re.compile(r"!?\[(?P<text>[^\[\]]+)\]\((?:[^()\s]|\([^()\s]*\))*\)$")
_ATTRIBUTES = re.compile(r"\s*\{:?\s*[#.][^{}]*\}$")
_CODE = re.compile(r"(?<!`)(?P<tick>`+)(?!`).+?(?<!`)(?P=tick)(?!`)")
_KEPT = re.compile(
    r"""(?xa)
      (?<!`)(?P<tick>`+)(?!`).+?(?<!`)(?P=tick)(?!`) | \$(?=\S)[^$\n]+(?<=\S)\$(?!\d)
    | (?<=\]\()(?:[^()\s]|\([^()\s]*\))+ | (?<=\]\[)[^\]]+(?=\]) | \[\^[^\]\s]+\]
    | <[^<>\s][^<>]*> | https?://[\w./?=&%\#~:@+,;!$*-]*[\w/]
    | \{\{.*?\}\} | \{%.*?%\} | \$\{[^{}]*\} | \{[A-Za-z_][\w.]*\} | \{:?[#.][^{}]*\} | %[sdif]\b | &\#?\w+;
    """
)
"""Code, formulas, targets, references, footnotes, tags, addresses, placeholders, attributes, entities."""
_NUMBER = re.compile(r"(?a)(?<![\w.])\d+(?:[.,]\d+)*(?![\w]*[A-Za-z])")
_SCALED = re.compile(r"(?a)\s*(?:[万亿千百]|(?:hundred|thousand|[mb]illion)\b)")
_LEAST_LETTERS = 40
"""A translation of fewer letters is in no language: names and commands."""
_LABEL = re.compile(r"\[([^\[\]]+)\](?:\[\])?(?![\[(:])")


class Passage(NamedTuple):
    """``start`` and ``end`` are offsets in the document, ``line`` counts from 0. ``title`` says that it is a heading or
    the entry of one in a list of contents."""

    text: str
    start: int
    end: int
    line: int
    kind: Literal["text", "cell", "front-matter"] = "text"
    title: bool = False


def passages(text: str) -> tuple[Passage, ...]:
    """The passages of a document in order, those without a letter left out."""
    lines = rows(text.removeprefix(BYTE_ORDER_MARK))
    starts = [*accumulate(map(len, lines), initial=len(text) - sum(map(len, lines)))]
    front = blocks.front_matter_lines(lines)
    found = [
        Passage(row["text"], starts[at] + row.start("text"), starts[at] + row.end("text"), at, "front-matter", True)
        for at in range(front)
        if (row := _FRONT.match(lines[at].rstrip("\r\n")))
    ]
    reached = (-1, 0)  # the row of a table, and where its last cell ended
    for inline in blocks.inlines("".join(lines)):
        runs: list[list[tuple[int, int, int]]] = [[]]  # of rows that make one passage
        for at, one in enumerate(inline.text.split("\n"), inline.line):
            raw, said = lines[at].rstrip("\r\n"), one.strip()
            if inline.kind == "cell":
                after = reached[1] if reached[0] == at else 0
                said = said.replace("|", r"\|")
                place = raw.find(said, after)
                reached = at, max(place, after) + len(said)
            else:
                place = raw.rfind(said)
            broken = raw.endswith("  ") or said.endswith("\\")
            is_prose = place >= 0 and said and not _MARKS.match(said)
            if is_prose:
                runs[-1].append((at, place, place + len(said.rstrip("\\") if broken else said)))
            if broken or not is_prose:
                runs.append([])
        found += [_passage(lines, starts, run, inline.kind) for run in runs if run]
    return tuple(one for one in found if languages.letters(matching.prose(one.text)))


def _passage(
    lines: Sequence[str],
    starts: Sequence[int],
    run: Sequence[tuple[int, int, int]],
    kind: Literal["paragraph", "heading", "cell"],
) -> Passage:
    """The passage in some rows, without what stands before and behind its prose."""
    parts = [lines[at][start:end] for at, start, end in run]
    (line, start, _), (last, _, end) = run[0], run[-1]
    lead = _LEAD.match(parts[0]) if kind == "paragraph" else None
    skip = lead.end() if lead else 0
    title = kind == "heading"
    if title and (attributes := _ATTRIBUTES.search(parts[-1])):
        end -= len(parts[-1]) - attributes.start()
        parts[-1] = parts[-1][: attributes.start()]
    text = parts[0][skip:]
    for part in parts[1:]:  # on one line, without a space between Chinese characters
        close = text and part and matching.is_cjk(text[-1]) and matching.is_cjk(part[0])
        text += part if close else f" {part}"
    if len(run) == 1 and (link := _LINK.match(text)):
        skip, end, text = skip + link.start("text"), end - (len(text) - link.end("text")), link["text"]
        title = True
    bare = matching.unnumbered(text)
    if title and len(run) == 1 and text.endswith(bare):
        skip, text = skip + len(text) - len(bare), bare
    begin = starts[line] + start + skip
    return Passage(text, begin, starts[last] + end, line, "cell" if kind == "cell" else "text", title)


def replaced(text: str, new: Mapping[Passage, str]) -> str:
    """The document with other texts in the place of passages."""
    for passage in sorted(new, reverse=True, key=lambda one: one.start):
        said = new[passage]
        if passage.kind == "front-matter":
            before = text[passage.start - 1]
            if before in "\"'":
                said = said.replace("\\", "\\\\").replace('"', '\\"') if before == '"' else said.replace("'", "’")
            elif re.search(r":(?:\s|$)|\s#|^[\W_]", said):
                said = json.dumps(said, ensure_ascii=False)
        text = text[: passage.start] + said + text[passage.end :]
    return text


def translated(text: str, said: Mapping[Passage, str]) -> str:
    """The document with these translations in it, but for those that would change its structure."""
    wanted = blocks.shape(text)
    whole = replaced(text, said)
    if blocks.shape(whole) == wanted:
        return whole
    kept: dict[Passage, str] = {}
    for passage, one in said.items():
        if blocks.shape(replaced(text, {**kept, passage: one})) == wanted:
            kept[passage] = one
    return replaced(text, kept)


def with_links_moved(text: str, original: str) -> str:
    """A translation whose links to its own headings lead to their anchors in it."""
    pairs = zip(Page(original).headings, Page(text).headings, strict=False)
    moved = {was.anchor: now.anchor for was, now in pairs if was.anchor not in (now.anchor, *was.identifiers)}
    return relinked(text, moved, "")


def faults(original: str, said: str, language: str, *, cell: bool, defined: Collection[str]) -> list[str]:
    """What is wrong with the translation of a passage into ``language``. ``defined`` are the names of the document's
    link definitions."""
    if not said:
        return ["it is missing"]
    found: list[str] = []
    was, now = Counter(_kept(original, defined)), Counter(_kept(said, defined))
    found += [f"it lacks {lost}" for lost in was - now]
    found += [f"it adds {added}" for added in now - was]
    numbers = Counter(_numbers(said))
    scaled = bool(re.search("[万亿]|illion|thousand", said))
    found += [
        f"it lacks the number {number}"
        for number in Counter(_numbers(original)) - numbers
        if not (scaled and len(number) > 3)
    ]
    if cell and re.search(r"(?<!\\)\|", _CODE.sub("", said)):
        found.append("it has a | that ends the table's cell")
    prose = matching.prose(said)
    wrong = languages.foreign(prose, language) if languages.letters(prose) >= _LEAST_LETTERS else None
    words = len(re.findall(r"\b[a-z]{2,}\b", prose))
    chinese = matching.cjk_letters(prose) and not matching.is_cjk_language(language)
    same = said == original and (words > 2 or chinese)
    if wrong or same:
        found.append(f"it is not in {language!r}")
    return found


def _kept(text: str, defined: Collection[str]) -> list[str]:
    labels = [one[0] for one in _LABEL.finditer(_CODE.sub("", text)) if names.name_of(one[1]) in defined]
    return [*(one[0] for one in _KEPT.finditer(text)), *labels]


def _numbers(text: str) -> list[str]:
    """The numbers in prose, as figures alone; those before a word that scales them are left out."""
    plain = matching.prose(_KEPT.sub(" ", text)).translate(str.maketrans("０１２３４５６７８９", "0123456789"))
    found = (one for one in _NUMBER.finditer(plain) if not _SCALED.match(plain, one.end()))
    return [one[0].replace(",", "") for one in found]
