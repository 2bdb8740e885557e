"""Counting lines as the reader gets them, words and Chinese characters, and the length score.

A draft could reach any number with blank lines, rules and text said twice. ``effective`` is the
count that is not fooled: what pads does not count, and neither does how prose is wrapped.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from expand.markdown import blocks
from expand.markdown.blocks import Block
from expand.outline import Section, Unit

LEAST_COLUMNS = {"row": 25, "block": 12, "code": 60}
"""Columns from which a line outside of code, a block, and a block of code may count only once; a Chinese character has
two."""
CODE_LINES = 4
"""Lines such a block of code has: a command is shown again."""

NARROW_COLUMNS = 50
"""Prose that is wrapped at so many columns or fewer is counted as if each sentence stood on a line."""
WIDE_COLUMNS = 240
"""So is a line of prose of more columns: it holds a paragraph. Two long sentences have fewer."""
SENTENCE_COLUMNS = 120
"""So many columns of a long sentence count as a line."""
LEAST_SENTENCE = 40
"""Shorter sentences share a line with the next one."""

_SENTENCE_END = re.compile(r"(?<=[。！？])(?![。！？”’」』）)])|(?<=[.!?…])[\"'”’)*_]*\s+(?![a-z])")
_FULL_STOP = re.compile(r"[。！？]|[.!?](?:\s|$)")
_ENDS = (*".!?:;|。！？：；…\\>", "  ")
"""What a line ends in that its author ended: a sentence, a label, a hard break."""
_ITEM = re.compile(r"[ \t>]*(?:[-*+]|\d{1,9}[.)])[ \t]")
_HAN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_HAN}]|[^\s{_HAN}]*[^\W_{_HAN}][^\s{_HAN}]*")
_COMMENT = re.compile(r"<!--(?:(?!-->).)*(?:-->)?", re.DOTALL)
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


class _Counter:
    """Counts lines in order: a blank line counts when it parts two lines that count."""

    def __init__(self) -> None:
        self.total = 0
        self.rows: list[str] = []
        self.gap = False
        self._seen: set[tuple[str, str]] = set()

    def block(self, block: Block, lines: list[str], in_fences: set[int]) -> None:
        """Count a block of these lines; ``in_fences`` are the numbers of all lines within code."""
        if block.kind == "rule":
            if self.rows[-1:] != ["---"]:
                self._add("---")
        elif block.kind == "fence":
            self._fence(block, lines)
        elif (block.kind == "html" and _COMMENT.fullmatch(block.text.strip())) or (
            block.kind not in ("heading", "html") and self._again("block", block.text)
        ):
            self.gap = True
        else:
            self._other(block, lines, in_fences)

    def _add(self, row: str, lines: int = 1) -> None:
        """Count a line, unless it is blank or the third of its kind in a row."""
        if not row.strip(" \t"):
            self.gap = True
        elif self.rows[-2:] != [row, row]:
            self.rows.append(row)
            self.total += lines + (self.gap and self.total > 0)
            self.gap = False

    def _again(self, kind: Literal["block", "row", "code"], text: str) -> bool:
        """Whether a text was seen before; short ones and labels may repeat."""
        words = _words(text)
        if _columns(words) < LEAST_COLUMNS[kind] or words.rstrip("*_ ").endswith((":", "：")):
            return False
        again = (kind, words) in self._seen
        self._seen.add((kind, words))
        return again

    def _row(self, row: str, lines: int = 1) -> None:
        """Count a line outside of code, unless it stood before."""
        if not self._again("row", row):
            self._add(row, lines)

    def _fence(self, block: Block, lines: list[str]) -> None:
        solid = [row for row in (lines[1:-1] if block.closed else lines[1:]) if row.strip(" \t")]
        if solid and not (len(solid) >= CODE_LINES and self._again("code", block.code)):
            for row in lines:
                self._add(row)

    def _other(self, block: Block, lines: list[str], in_fences: set[int]) -> None:
        run: list[str] = []
        for number, row in enumerate(lines):
            # A table's head and its rule repeat from table to table, and code in a list is code.
            may_repeat = block.start + number in in_fences or (block.kind == "table" and number < 2)
            invisible = _INVISIBLE.fullmatch(row)
            if may_repeat or invisible or _ITEM.match(row):
                self._prose(run)
                run = []
            if invisible:
                self.gap = True
            elif may_repeat:
                self._add(row)
            elif block.kind in ("paragraph", "list", "quote"):
                run.append(row)
            else:
                self._row(row)
        self._prose(run)

    def _prose(self, run: Sequence[str]) -> None:
        """Count the rows of a paragraph: as they are where they are of a usual width, else its sentences."""
        if _is_narrow(run):
            self._by_sentence(" ".join(row.strip() for row in run))
            return
        for row in run:
            if len(row) > WIDE_COLUMNS // 2 and _columns(_words(row)) > WIDE_COLUMNS:
                self._by_sentence(row)
            else:
                self._row(row)

    def _by_sentence(self, text: str) -> None:
        line = ""
        for sentence in (*_SENTENCE_END.split(text), ""):
            line += sentence + " "
            if _columns(_words(line)) >= LEAST_SENTENCE or (not sentence and line.strip()):
                self._row(line, max(1, round(_columns(line) / SENTENCE_COLUMNS)))
                line = ""


def _is_narrow(run: Sequence[str]) -> bool:
    """Whether a paragraph is wrapped at few columns: at least half of its lines but the last end within a sentence."""
    widths = [_columns(_words(row)) + row.strip().count(" ") for row in run]
    if sum(widths) <= NARROW_COLUMNS or max(widths) > NARROW_COLUMNS or not any(map(_FULL_STOP.search, run)):
        return False
    return 2 * sum(not row.endswith(_ENDS) for row in run[:-1]) >= len(run) - 1


def effective(text: str) -> int:
    """Markdown lines without padding.

    A run of blank lines counts once, at the ends not at all. A rule after a rule, an empty fence and a comment do not
    count. A line of 25 columns or more outside of code and a whole block count once however often they stand there, and
    equal lines in a row twice. Labels ("Output:"), short bullets and commands may repeat. Prose that is
    wrapped at 50 columns or fewer, or not at all, has as many lines as with a sentence on each."""
    return _counted(text).total


@lru_cache(maxsize=256)
def _counted(text: str) -> _Counter:
    rows = blocks.bare_rows(text)
    in_fences = {line for fence in blocks.fences(text) for line in range(fence.start, fence.end)}
    counter = _Counter()
    at = 0
    for block in blocks.blocks(text):
        if block.start > at:
            counter.gap = True
        at = block.end
        counter.block(block, rows[block.start : block.end], in_fences)
    return counter


def of_section(text: str) -> int:
    """Lines of a section from its heading to the next one: without padding, and with the one blank
    line that separates it from what follows. This is the figure that is held against its target."""
    return effective(text) + 1


def words(text: str) -> int:
    """Words without padding, code and headings included: what spaces part and has a letter or a digit in it, and each
    Chinese or Japanese character."""
    return sum(len(_WORD.findall(row)) for row in _counted(text).rows)


@dataclass(frozen=True, slots=True)
class Measure:
    """What the length of a section is counted in, and how much of it comes to a line."""

    unit: Unit = "lines"
    a_line: float = 1.0

    def effective(self, text: str) -> int:
        """A text's length in lines, or in the lines that its words come to."""
        return effective(text) if self.unit == "lines" else round(words(text) / self.a_line)

    def of_section(self, text: str) -> int:
        """The same of a section: its lines end in the blank one that separates it from the next."""
        return of_section(text) if self.unit == "lines" else self.effective(text)

    def counted(self, text: str) -> int:
        """A section's length as the outline counts it."""
        return of_section(text) if self.unit == "lines" else words(text)

    def stated(self, lines: int) -> int:
        """What so many lines come to, as the outline counts."""
        return max(1, round(lines * self.a_line))


LINES = Measure()


def measure_of(section: Section, language: str) -> Measure:
    """What a draft of the section in a language is measured in."""
    count, unit = section.goal(language)
    return LINES if unit == "lines" else Measure(unit, count / section.lines)


def length_score(pairs: Iterable[tuple[float, float]]) -> float:
    """LongBench-Write's S_l over (asked, delivered) lines, weighted by what was asked.

    100 is on target, 0 is nothing delivered; one decimal. Without any line asked it is 100."""
    weights = scores = 0.0
    for asked, delivered in pairs:
        weights += asked
        if asked > 0 and delivered > 0:
            less = (delivered / asked - 1) / 3 if delivered > asked else (asked / delivered - 1) / 2
            scores += asked * 100 * max(0.0, 1 - less)
    return round(scores / weights, 1) if weights else 100.0
