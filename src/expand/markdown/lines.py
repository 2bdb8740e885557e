"""Counting lines as the reader gets them, and the length score.

A draft could reach any number with blank lines, rules and text said twice. ``effective`` is the
count that is not fooled: what pads does not count.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

from expand.markdown import blocks
from expand.markdown.blocks import Block

SUBSTANTIAL = 25
"""Columns from which a line outside of code may count only once; a Chinese character has two."""
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
    if words.isascii():
        return letters
    return letters + sum(map("WF".__contains__, map(unicodedata.east_asian_width, words)))


def _words(text: str) -> str:
    return " ".join(text.split())


def _is_label(words: str) -> bool:
    return words.rstrip("*_ ").endswith((":", "："))


class _Tally:
    """Counts lines in order: a blank line counts when it parts two lines that count."""

    def __init__(self) -> None:
        self.total = 0
        self._gap = False
        self._last = self._before = ""

    def blank(self) -> None:
        self._gap = True

    def add(self, row: str) -> None:
        self.total += 1 + (self._gap and self.total > 0)
        self._gap = False
        self._before, self._last = self._last, row

    def pads(self, row: str) -> bool:
        """Whether this line was also the two lines counted before it."""
        return self._last == row == self._before

    def follows(self, row: str) -> bool:
        """Whether the line counted last was this one."""
        return self._last == row


class _Code:
    """Which lines of code repeat a run that stood in earlier code."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, ...], int] = {}
        self._at = 0

    def repeated(self, lines: list[str]) -> set[int]:
        """The numbers of those lines of ``lines`` that lie in a repeated run."""
        solid = [(number, _words(row)) for number, row in enumerate(lines) if row.strip()]
        again: set[int] = set()
        for at in range(len(solid) - RUN + 1):
            run = tuple(row for _, row in solid[at : at + RUN])
            first = self._runs.setdefault(run, self._at + at)
            if first + RUN <= self._at + at and sum(map(_columns, run)) >= RUN_COLUMNS:
                again.update(number for number, _ in solid[at : at + RUN])
        self._at += len(solid)
        return again


class _Prose:
    """Which lines outside of code were there before."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def all_new(self, rows: list[str]) -> bool:
        """Whether no line was there before, nor twice among them, short or long: then they are
        noted. Mostly so, and found out at once.
        """
        words = {*map(_words, rows)}
        if len(words) < len(rows) or not self._seen.isdisjoint(words):
            return False
        self._seen |= words
        return True

    def repeated(self, row: str) -> bool:
        words = _words(row)
        if _columns(words) < SUBSTANTIAL or _is_label(words):
            return False
        again = words in self._seen
        self._seen.add(words)
        return again


def _fence_rows(block: Block, lines: list[str], code: _Code) -> Iterator[str | None]:
    """The fence's lines that count; None stands for a blank one."""
    inside = lines[1:-1] if block.closed else lines[1:]
    again = code.repeated(inside)
    kept = [None if blocks.is_blank(row) else row for number, row in enumerate(inside) if number not in again]
    if any(kept):
        yield lines[0]
        yield from kept
        if block.closed:
            yield lines[-1]


def _is_again(block: Block, seen: set[str]) -> bool:
    """Whether the whole block stood before; a short one or a label may."""
    if block.kind in ("rule", "heading", "html", "fence"):
        return False
    words = _words(block.text)
    if _columns(words) < 12 or _is_label(words):
        return False
    again = words in seen
    seen.add(words)
    return again


def _count_rows(block: Block, lines: list[str], nested: set[int], tally: _Tally, met: _Prose) -> None:
    """Counts the lines of a block that is no fence; ``nested`` are its lines inside fences."""
    plain = block.kind == "paragraph" and "".join([row[:1] for row in lines]).isalnum()
    if plain and not tally.follows(lines[0]) and met.all_new(lines):
        for row in lines:
            tally.add(row)
        return
    for number, row in enumerate(lines):
        line = block.start + number
        exempt = line in nested or (block.kind == "table" and number < 2)
        if not row[:1].isalnum() and _INVISIBLE.fullmatch(row):
            tally.blank()
        elif exempt or not (met.repeated(row) or tally.pads(row)):
            tally.add(row)


def _is_comment(block: Block) -> bool:
    text = block.text.strip()
    return block.kind == "html" and text.startswith("<!--") and text.find("-->") in (-1, len(text) - 3)


@lru_cache(maxsize=256)
def effective(text: str) -> int:
    """Markdown lines without padding.

    A run of blank lines counts once, at the ends not at all. A rule after a rule, an empty fence
    and a comment do not count. A line of 25 columns or more outside of code, a whole block, and
    a run of four lines of code count once however often they stand there. Labels ("Output:"),
    short bullets and closing brackets may repeat.
    """
    if text.startswith("#") and "\n" not in text and "\r" not in text:
        return 1  # a heading alone, of which most sections consist at first
    every = [row.rstrip("\r\n") for row in blocks.rows(text)]
    nested = {line for fence in blocks.fences(text) for line in range(fence.start, fence.end)}
    tally, code, met = _Tally(), _Code(), _Prose()
    seen: set[str] = set()
    at = 0
    for block in blocks.blocks(text):
        if block.start > at:
            tally.blank()
        at = block.end
        lines = every[block.start : block.end]
        if _is_comment(block) or _is_again(block, seen):
            tally.blank()
        elif block.kind == "rule":
            if not tally.follows("---"):
                tally.add("---")
        elif block.kind == "fence":
            for row in _fence_rows(block, lines, code):
                tally.blank() if row is None else tally.add(row)
        else:
            _count_rows(block, lines, nested, tally, met)
    return tally.total


def of_section(text: str) -> int:
    """Lines of a section from its heading to the next one: without padding, and with the one blank
    line that separates it from what follows. This is the figure that is held against its target.
    """
    return effective(text) + 1


def length_score(pairs: Iterable[tuple[int, int]]) -> float:
    """LongBench-Write's S_l over (asked, delivered) lines, weighted by what was asked.

    100 is on target, 0 is nothing delivered; one decimal. Without any line asked it is 100.
    """
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
