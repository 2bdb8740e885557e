"""Check a text by itself: whether it ends in the middle, holds forbidden characters, uses names that are not defined,
or fills its lines with next to nothing.

``thin`` measures the matter of a block: the columns of its letters and digits, markers and comments aside. Its bounds
are per kind of block and far below what people write: prose wrapped at 40 columns has 30 and more a line.
"""

import re
from collections.abc import Container, Mapping

from expand.checks.finding import Finding, excerpt, finding
from expand.markdown import blocks, code, matching, names
from expand.markdown.assemble import ends_in_the_middle
from expand.markdown.blocks import Block, Kind
from expand.markdown.sanitize import FORBIDDEN, HARMFUL, name_of

LONGEST_END = 48
"""Characters of an end that a message quotes."""


def cut_texts(text: str, *, section: int) -> list[Finding]:
    """A finding for each heading's text that ends in the middle. An open fence is a finding of its own."""
    lines = blocks.rows(text)
    heads = [block.start for block in blocks.headings(text)]
    found = []
    for start, end in zip([0, *heads], [*heads, len(lines)], strict=True):
        part = "".join(lines[start:end])
        if part.strip() and blocks.open_fence(part) is None and ends_in_the_middle(part):
            words = " ".join(part.split())[-LONGEST_END:]
            line = start + len(blocks.rows(part.rstrip()))
            found.append(finding("cut", section, line, f"the text ends in the middle: …{excerpt(words)}"))
    return found


def forbidden_characters(text: str, *, section: int) -> list[Finding]:
    """One finding for each such character: its name, how often and where first it stands."""
    lines: dict[str, list[int]] = {}
    for number, row in enumerate(text.split("\n"), 1):
        for found in FORBIDDEN.finditer(row):
            lines.setdefault(found[0], []).append(number)
    return [
        finding(
            "forbidden-character",
            section,
            where[0],
            f"the text holds {name_of(character)}" + (f", {len(where):,} times" if len(where) > 1 else ""),
            severity="blocking" if HARMFUL.match(character) else "warning",
        )
        for character, where in lines.items()
    ]


_RANGE = re.compile(r"\^\w-\w")
"""``[^a-z]`` is part of a regular expression."""


def undefined_references(texts: Mapping[int, str], known: Container[str]) -> list[Finding]:
    """Each name once, where it is used first. ``texts`` are the sections by number; ``known`` are names that are
    defined elsewhere."""
    missing = names.lacking(list(texts.values()), known)
    found = []
    for section in sorted(texts):
        for use in names.uses(texts[section]) if missing else ():
            if use.sure and use.name in missing and not _RANGE.fullmatch(use.said):
                missing.remove(use.name)
                what = f"the footnote [{use.said}]" if use.form == "note" else f"the link reference [{use.said}]"
                found.append(finding("undefined-reference", section, use.line + 1, f"{excerpt(what)} is not defined"))
    return found


LEAST_COLUMNS: Mapping[Kind, int] = {"paragraph": 15, "quote": 15, "list": 10}
"""Below so many columns of matter a line, on the average of its lines, a block is thin; a Chinese character has two."""
LEAST_CODE = 0.4
"""Below this share of lines that are neither comments nor brackets alone, a block of code is thin."""
THIN_LINES = 10
THIN_SHARE = 0.25
"""Thin blocks are named where they have so many lines and this share of the section's."""


def thin_text(text: str, *, section: int) -> list[Finding]:
    """At most one finding: for the thin blocks of a section, at the first of them."""
    every = [(block, _rows(block)) for block in blocks.blocks(text) if block.kind not in ("rule", "html")]
    thin = [(block, rows) for block, rows in every if _is_thin(block, rows)]
    size, whole = (sum(len(rows) for _, rows in some) for some in (thin, every))
    if size < THIN_LINES or size < THIN_SHARE * whole:
        return []
    first = thin[0][0]
    message = (
        f"{size} of {whole} lines carry next to nothing; the first at line {first.start + 1}: {excerpt(first.text)}"
    )
    return [finding("thin", section, first.start + 1, message)]


def _rows(block: Block) -> list[str]:
    return [row for row in (block.code if block.kind == "fence" else block.text).splitlines() if row.strip()]


def _is_thin(block: Block, rows: list[str]) -> bool:
    if block.kind == "fence" and code.is_programming(block.language):
        solid = sum(any(map(str.isalnum, row)) and not code.is_comment(row, block.language) for row in rows)
        return solid < LEAST_CODE * len(rows)
    if block.kind not in LEAST_COLUMNS or block.text.rstrip("*_ ").endswith((":", "：")):  # a label announces
        return False
    matter = "".join(matching.unnumbered(row.strip(" \t-*+>")) for row in rows)
    columns = sum(map(str.isalnum, matter)) + matching.cjk_letters(matter)
    return columns < LEAST_COLUMNS[block.kind] * len(rows)
