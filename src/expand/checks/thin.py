"""Check whether a section fills its lines with next to nothing: a word a line, "Step 1", brackets, bare comments.

Measured is the matter of a block: the columns of its letters and digits, markers and comments aside. Its bounds are per
kind of block and far below what people write: prose wrapped at 40 columns has 30 and more a line.
"""

from collections.abc import Mapping

from expand.checks.finding import Finding, excerpt, finding
from expand.markdown import blocks, code, matching
from expand.markdown.blocks import Block, Kind

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
