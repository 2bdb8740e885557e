"""Counting lines as the reader gets them, words and Chinese characters, and the length score.

A draft could reach any number with blank lines, rules and text said twice. ``effective`` is the
count that is not fooled: what pads does not count, and neither does how prose is wrapped.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from expand.markdown import blocks
from expand.markdown.blocks import Block
from expand.outline import Section, Unit

LINE_COLUMNS = 25
"""Columns from which a line outside of code may count only once; a Chinese character has two."""
BLOCK_COLUMNS = 12
"""Columns from which a whole block may."""
RUN = 4
"""Lines of code that, met again in a row, count only once."""
RUN_COLUMNS = 60
"""Columns such a run must have together: four closing brackets are no repetition."""

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
        self.unwrapped = 0
        """Lines fewer than there are because prose is wrapped narrowly; negative where lines hold paragraphs."""
        self.rows: list[str] = []
        self._gap = False
        self._last = self._before = ""
        self._lines: set[str] = set()
        self._blocks: set[str] = set()
        self._runs: dict[tuple[str, ...], int] = {}
        self._code_lines = 0

    def blank(self) -> None:
        self._gap = True

    def add(self, row: str, lines: int = 1) -> None:
        self.rows.append(row)
        self.total += lines + (self._gap and self.total > 0)
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
    run: list[str] = []
    for number, row in enumerate(lines):
        # A table's head and its rule repeat from table to table, and code in a list is code.
        may_repeat = block.start + number in in_fences or (block.kind == "table" and number < 2)
        invisible = _INVISIBLE.fullmatch(row)
        if run and (may_repeat or invisible or _ITEM.match(row)):
            _count_prose(run, counter)
            run = []
        if invisible:
            counter.blank()
        elif may_repeat:
            counter.add(row)
        elif block.kind in ("paragraph", "list", "quote"):
            run.append(row)
        else:
            _count_row(row, counter)
    _count_prose(run, counter)


def _count_row(row: str, counter: _Counter, lines: int = 1) -> int:
    if counter.is_repeated_line(row) or counter.is_third(row):
        return 0
    counter.add(row, lines)
    return lines


def _count_prose(run: Sequence[str], counter: _Counter) -> None:
    """Counts the rows of a paragraph: as they are where they are as wide as most people write, else its sentences."""
    if _is_narrow(run):
        _count_sentences(" ".join(row.strip() for row in run), len(run), counter)
        return
    for row in run:
        if len(row) > WIDE_COLUMNS // 2 and _columns(_words(row)) > WIDE_COLUMNS:
            _count_sentences(row, 1, counter)
        else:
            _count_row(row, counter)


def _count_sentences(text: str, rows: int, counter: _Counter) -> None:
    counter.unwrapped += rows - sum(
        _count_row(sentence, counter, max(1, round(_columns(sentence) / SENTENCE_COLUMNS)))
        for sentence in _sentences(text)
    )


def _sentences(text: str) -> Iterator[str]:
    line = ""
    for sentence in _SENTENCE_END.split(text):
        line += sentence + " "
        if _columns(_words(line)) >= LEAST_SENTENCE:
            yield line
            line = ""
    if line.strip():
        yield line


def _is_narrow(run: Sequence[str]) -> bool:
    """Whether a paragraph is wrapped at few columns: it has the end of a sentence, and at least half of its lines but
    the last one end within one and have no room for the next word."""
    if len(run) < 2 or max(map(len, run)) > NARROW_COLUMNS or not any(map(_FULL_STOP.search, run)):
        return False
    widths = [_columns(_words(row)) + row.strip().count(" ") for row in run]
    most = max(widths)
    if most > NARROW_COLUMNS or sum(widths) <= NARROW_COLUMNS:
        return False
    full = sum(
        not row.endswith(_ENDS) and width + 1 + _columns(following.split(maxsplit=1)[0]) > most
        for row, width, following in zip(run, widths, run[1:], strict=False)
    )
    return 2 * full >= len(run) - 1


def _is_comment(block: Block) -> bool:
    text = block.text.strip()
    return block.kind == "html" and text.startswith("<!--") and text.find("-->") in (-1, len(text) - 3)


def effective(text: str) -> int:
    """Markdown lines without padding.

    A run of blank lines counts once, at the ends not at all. A rule after a rule, an empty fence and a comment do not
    count. A line of 25 columns or more outside of code, a whole block, and a run of four lines of code count once
    however often they stand there. Labels ("Output:"), short bullets and closing brackets may repeat. Prose that is
    wrapped at 50 columns or fewer, or not at all, has as many lines as with a sentence on each."""
    return _counted(text).total


@lru_cache(maxsize=256)
def _counted(text: str) -> _Counter:
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
    return counter


def of_section(text: str) -> int:
    """Lines of a section from its heading to the next one: without padding, and with the one blank
    line that separates it from what follows. This is the figure that is held against its target."""
    return effective(text) + 1


def padding(text: str) -> int:
    """The lines of a section that do not count."""
    return count(text) + 1 - of_section(text) - _counted(text).unwrapped


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
        scores += asked * _score(asked, delivered)
    return round(scores / weights, 1) if weights else 100.0


def _score(asked: float, delivered: float) -> float:
    if asked <= 0 or delivered <= 0:
        return 0.0
    if delivered > asked:
        return 100 * max(0.0, 1 - (delivered / asked - 1) / 3)
    return 100 * max(0.0, 1 - (asked / delivered - 1) / 2)
