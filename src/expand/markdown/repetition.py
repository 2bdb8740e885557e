"""Recognise text that repeats without end, while it streams or afterwards. Pure.

Models fall into loops: a phrase, word, number, line or block again and again, on one line or on many, a few lines in
turn, or a list whose only news is that a number went up. ``LoopDetector`` is fed the pieces of a text in any cut and
says when it loops; ``loops`` finds the loops of a whole text.

A text is read as tokens: words, single Chinese characters, numbers, punctuation, line ends. A number that goes on as
the ones before it in the same words did (1, 2, 3; 5, 5, 5) is one symbol, so counting is repetition. From where
``CONTEXT`` tokens are met again, each that follows is compared with the one as far before it as they were. What still
is the same after ``TIMES`` times is a loop when it has ``MOST_WORDS`` words of one and the same text, or
``MOST_TOKENS`` tokens of any kind. So are as many tokens that were each met ``TIMES`` times with the same ones before
them, in whatever order: a few lines that take turns.

Published texts are repetitive as well: tables of zeros, hex dumps, drawings. They bring something new every few tokens,
or end; what remains is why the bounds are high. In 64 MB of published Markdown no run is longer than 86 words or 652
tokens; ``benchmarks/false_alarms.py`` counts the loops in such texts. Time grows with the text, memory is bounded.
"""

import re
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

CONTEXT = 8
"""Tokens that have to be met again together."""
TIMES = 4
"""How often they stood before, so that a listing shown twice or three times is no loop."""
WINDOW = 8192
"""Tokens that ``TIMES`` of a block that loops have at the most."""
MOST_WORDS = 200
"""So many words in a row that say nothing new are a loop. Chinese characters are words, and Latin ones of three letters
or more: not what a hex dump consists of."""
MOST_TOKENS = 1500
"""So are so many tokens of any kind: numbers that count, punctuation, blanks."""
SHAPE = 4
"""Tokens before a number, their own numbers aside, that tell which earlier number it goes on from."""

_TOKEN = re.compile(
    r"""(?P<newline>\r\n?|\n)
    | (?P<cjk>[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af])
    | (?P<number>0[xX][0-9a-fA-F]{1,14}|\d{1,16})
    | (?P<word>[^\W\d_\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af]{1,16})
    | (?P<blank>[^\S\r\n]{16})
    | (?P<mark>(?P<one>[^\w\s]|_)(?P=one){0,15})
    """,
    re.VERBOSE,
)
"""Sixteen characters at most, so that a word, a rule or blanks without end are many tokens, and not one that never
comes. Fewer blanks are none: indentation says nothing of a loop."""
_COUNTED = ""
"""The symbol of a number that goes on as those before it did."""
_NUMBER = "0"
"""What stands for any number in a shape."""
_LINE_END = re.compile(r"\r\n?|\n")
_TERMINALS = ".!?;。！？；"
_SENTENCE_END = re.compile(rf"""[{_TERMINALS}]+["'”’）)*_`]*[ \t]*""")


class Loop(NamedTuple):
    """A loop of a text: ``text[start:end]`` says again, more than ``TIMES`` times, what stands right before it."""

    start: int
    end: int


class LoopDetector:
    """Reads a text piece by piece. What it says does not depend on where the pieces begin and end."""

    def __init__(self) -> None:
        self.looping = False
        """Whether the text read so far ends in a loop; False again once it says something new."""
        self.start = 0
        """Where the first repetition begins of the loop, or of what may become one: what it repeats stands before."""
        self._rest = ""
        self._offset = self._count = 0
        self._symbols: list[str] = []
        self._starts = deque[int](maxlen=CONTEXT)
        self._met: dict[tuple[str, ...], tuple[int, int]] = {}
        """By ``CONTEXT`` symbols, how many tokens had been read when they stood there last, and how often they did."""
        self._stale = self._stale_words = self._stale_start = 0
        """Tokens in a row that were met ``TIMES`` times, the words among them, and since where nothing was new."""
        self._period = self._run = self._words = 0
        """How far before its repetition a token stands, the tokens that were repeated without a break, and the words
        among those beyond ``TIMES`` times since the last number that was counted up."""
        self._shape = (_COUNTED,) * SHAPE
        self._series: dict[tuple[str, ...], tuple[int, int | None]] = {}
        """By shape, the last number that followed it, and its difference from the one before."""

    def feed(self, piece: str) -> bool:
        """Read the next piece; returns ``looping``."""
        text = self._rest + piece
        done = 0
        for found in _TOKEN.finditer(text):
            if len(text) - found.end() < 2:
                break  # it may go on in the next piece: 0 as 0x1f
            done = found.end()
            self.take(found, self._offset + found.start())
        self._rest = text[done:]
        self._offset += done
        return self.looping

    def take(self, found: re.Match[str], start: int) -> None:
        """Read one token, which begins at ``start`` in the text."""
        kind, token = found.lastgroup, found[0]
        symbol = shape = token
        counts = False
        if kind == "number":
            value, shape = int(token, 16 if token[1:2] in ("x", "X") else 10), _NUMBER
            before, step = self._series.get(self._shape, (value, None))
            if len(self._series) > WINDOW:
                self._series.clear()  # a bound on the memory: the next numbers of each shape begin a series anew
            self._series[self._shape] = value, value - before
            if value - before == step:
                symbol, counts = _COUNTED, step != 0
        self._shape = (*self._shape[1:], shape)
        self._starts.append(start)
        self._symbols.append(symbol)
        self._count += 1
        gram = tuple(self._symbols[-CONTEXT:])
        last, times = self._met.get(gram, (-WINDOW, 0))
        times = times if (self._count - last) * TIMES <= WINDOW else 0
        is_word = kind == "cjk" or (kind == "word" and len(token) > 2)
        if self._run and symbol == self._symbols[-1 - self._period]:
            self._run += 1
        else:
            self._period = self._count - last
            self._run = CONTEXT if self._period * TIMES <= WINDOW else 0
            self.looping, self._words, self.start = False, 0, self._starts[0]
        self._met[gram] = self._count, times + 1
        beyond = self._run - (TIMES - 1) * self._period - CONTEXT + 1
        if self._run and beyond > 0:
            # A text that counts does not say the same: for it only the higher bound holds.
            self._words = 0 if counts else self._words + is_word
            self.looping |= self._words >= MOST_WORDS or beyond >= MOST_TOKENS
        if times == 0:
            self._stale_start = start
        if times < TIMES:
            self._stale = self._stale_words = 0
        else:
            self._stale, self._stale_words = self._stale + 1, 0 if counts else self._stale_words + is_word
        if not self.looping and (self._stale_words >= MOST_WORDS or self._stale >= MOST_TOKENS):
            self.looping, self.start = True, self._stale_start
        if len(self._symbols) > 2 * WINDOW:
            del self._symbols[:WINDOW]
        if len(self._met) > WINDOW:
            self._met.clear()


def loops(text: str) -> tuple[Loop, ...]:
    """The loops of a whole text, in order. Each leaves what it repeats standing before it, to the end of the line, or
    of the sentence where it is all on one line."""
    detector = LoopDetector()
    found: list[Loop] = []
    start: int | None = None
    for token in _TOKEN.finditer(text):
        detector.take(token, token.start())
        if detector.looping and start is None:
            start = _rounded(text, detector.start, token.end())
        elif start is not None and not detector.looping:
            # Up to where the line begins in which it ends; the sentence, where it is on one line.
            end = token.start()
            line = max(text.rfind("\n", start, end), text.rfind("\r", start, end)) + 1
            sentences = (sentence.end() for sentence in _SENTENCE_END.finditer(text, start, end))
            found.append(Loop(start, line or max(sentences, default=end)))
            start = None
    if start is not None:
        found.append(Loop(start, len(text)))
    return tuple(found)


def without(text: str, found: Sequence[Loop]) -> str:
    """The text less its loops."""
    ends = [0, *(loop.end for loop in found)]
    starts = [*(loop.start for loop in found), len(text)]
    return "".join(text[start:end] for start, end in zip(ends, starts, strict=True))


def _rounded(text: str, start: int, end: int) -> int:
    """Where the line ends in which a loop begins; the sentence, where all of the loop up to ``end`` is on one line."""
    said = text[:start].rstrip(" \t")[-1:]
    if not said or said in "\r\n":
        return start
    line_end = _LINE_END.search(text, start, end)
    if line_end:
        return line_end.end()
    if said in _TERMINALS:
        return start
    sentence_end = _SENTENCE_END.search(text, start, end)
    return sentence_end.end() if sentence_end else start
