"""Counting lines as the reader gets them, and the length score.

A draft could reach any number with blank lines, rules and text said twice. ``effective`` is the
count that is not fooled: what pads does not count.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from expand.markdown import blocks
from expand.markdown.blocks import Block

LINE_COLUMNS = 25
"""Columns from which a line outside of code may count only once; a Chinese character has two."""
BLOCK_COLUMNS = 12
"""Columns from which a whole block may."""
RUN = 4
"""Lines of code that, met again in a row, count only once."""
RUN_COLUMNS = 60
"""Columns such a run must have together: four closing brackets are no repetition."""

_INVISIBLE = re.compile(r"(?:<br\s*/?>|&nbsp;|\\|\u200b|\u3000|\s)*")


def count(text: str) -> int:
    """Lines as ``wc -l`` counts them; a last line without a newline counts too."""
    return text.count("\n") + (bool(text) and not text.endswith("\n"))


def _columns(words: str) -> int:
    """The columns of words that single spaces part, without those spaces."""
    letters = len(words) - words.count(" ")
    if words.isascii():  # a third of the time that the first report of a large book takes
        return letters
    return letters + sum(unicodedata.east_asian_width(letter) in "WF" for letter in words)


def _words(text: str) -> str:
    return " ".join(text.split())


def _is_label(words: str) -> bool:
    return words.rstrip("*_ ").endswith((":", "："))


class _Counter:
    """Counts lines in order: a blank line counts when it parts two lines that count."""

    def __init__(self) -> None:
        self.total = 0
        self._gap = False
        self._last = self._before = ""
        self._lines: set[str] = set()
        self._blocks: set[str] = set()
        self._runs: dict[tuple[str, ...], int] = {}
        self._code_lines = 0

    def blank(self) -> None:
        self._gap = True

    def add(self, row: str) -> None:
        self.total += 1 + (self._gap and self.total > 0)
        self._gap = False
        self._before, self._last = self._last, row

    def is_last(self, row: str) -> bool:
        """Whether the line counted last was this one."""
        return self._last == row

    def is_third(self, row: str) -> bool:
        """Whether this line was also the two lines counted before it."""
        return self._last == row == self._before

    def is_repeated_line(self, row: str) -> bool:
        """Whether a line outside of code stood before."""
        return _is_repeated(row, self._lines, LINE_COLUMNS)

    def is_repeated_block(self, block: Block) -> bool:
        """Whether a whole block stood before."""
        if block.kind in ("rule", "heading", "html", "fence"):
            return False
        return _is_repeated(block.text, self._blocks, BLOCK_COLUMNS)

    def repeated_code(self, lines: list[str]) -> set[int]:
        """The numbers of those lines of a fence that lie in a run that stood in earlier code."""
        solid = [(number, _words(row)) for number, row in enumerate(lines) if row.strip()]
        again: set[int] = set()
        for at in range(len(solid) - RUN + 1):
            run = tuple(row for _, row in solid[at : at + RUN])
            first = self._runs.setdefault(run, self._code_lines + at)
            # A run must not overlap itself: four equal lines and a fifth are five, not a repetition.
            if first + RUN <= self._code_lines + at and sum(map(_columns, run)) >= RUN_COLUMNS:
                again.update(number for number, _ in solid[at : at + RUN])
        self._code_lines += len(solid)
        return again


def _is_repeated(text: str, seen: set[str], columns: int) -> bool:
    """Whether a text is among the seen ones, to which it is added; short ones and labels may repeat."""
    words = _words(text)
    if _columns(words) < columns or _is_label(words):
        return False
    again = words in seen
    seen.add(words)
    return again


def _count_fence(block: Block, lines: list[str], counter: _Counter) -> None:
    inside = lines[1:-1] if block.closed else lines[1:]
    repeated = counter.repeated_code(inside)
    new = [row for number, row in enumerate(inside) if number not in repeated]
    if not any(row.strip(" \t") for row in new):
        return
    for row in (lines[0], *new, *(lines[-1:] if block.closed else ())):
        counter.add(row) if row.strip(" \t") else counter.blank()


def _count_other(block: Block, lines: list[str], in_fences: set[int], counter: _Counter) -> None:
    for number, row in enumerate(lines):
        # A table's head and its rule repeat from table to table, and code in a list is code.
        may_repeat = block.start + number in in_fences or (block.kind == "table" and number < 2)
        if _INVISIBLE.fullmatch(row):
            counter.blank()
        elif may_repeat or not (counter.is_repeated_line(row) or counter.is_third(row)):
            counter.add(row)


def _is_comment(block: Block) -> bool:
    text = block.text.strip()
    return block.kind == "html" and text.startswith("<!--") and text.find("-->") in (-1, len(text) - 3)


@lru_cache(maxsize=256)
def effective(text: str) -> int:
    """Markdown lines without padding.

    A run of blank lines counts once, at the ends not at all. A rule after a rule, an empty fence and a comment do not
    count. A line of 25 columns or more outside of code, a whole block, and a run of four lines of code count once
    however often they stand there. Labels ("Output:"), short bullets and closing brackets may repeat."""
    rows = [row.rstrip("\r\n") for row in blocks.rows(text)]
    in_fences = {line for fence in blocks.fences(text) for line in range(fence.start, fence.end)}
    counter = _Counter()
    at = 0
    for block in blocks.blocks(text):
        if block.start > at:
            counter.blank()
        at = block.end
        lines = rows[block.start : block.end]
        if _is_comment(block) or counter.is_repeated_block(block):
            counter.blank()
        elif block.kind == "rule":
            if not counter.is_last("---"):
                counter.add("---")
        elif block.kind == "fence":
            _count_fence(block, lines, counter)
        else:
            _count_other(block, lines, in_fences, counter)
    return counter.total


def of_section(text: str) -> int:
    """Lines of a section from its heading to the next one: without padding, and with the one blank
    line that separates it from what follows. This is the figure that is held against its target."""
    return effective(text) + 1


def length_score(pairs: Iterable[tuple[int, int]]) -> float:
    """LongBench-Write's S_l over (asked, delivered) lines, weighted by what was asked.

    100 is on target, 0 is nothing delivered; one decimal. Without any line asked it is 100."""
    weights = scores = 0.0
    for asked, delivered in pairs:
        weights += asked
        scores += asked * _score(asked, delivered)
    return round(scores / weights, 1) if weights else 100.0


def _score(asked: int, delivered: int) -> float:
    if asked <= 0 or delivered <= 0:
        return 0.0
    if delivered > asked:
        return 100 * max(0.0, 1 - (delivered / asked - 1) / 3)
    return 100 * max(0.0, 1 - (asked / delivered - 1) / 2)
