"""Take a model's thinking and its special tokens off an answer.

Models that think before they write mark their thinking off, each family in its own way, and servers that do not know
the way of a model hand all of it out as text. ``WRAPPERS`` is the table of those ways. A mark within a fence or a code
span is content: books about language models quote it. Every step takes time that grows with the length of the text.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from expand.markdown.blocks import newline_of
from expand.paths import packaged_table

_TABLE = packaged_table("thinking")
_NAMES: str = _TABLE["names"]


class Wrapper(NamedTuple):
    """How one family of models marks its thinking off: three regular expressions, without groups.

    ``ends`` is the mark that ends thinking even if nothing opened it, since the template of the prompt did. A wrapper
    that is ``certain`` is thinking without its closing mark, too: then the text has not begun. A ``plain`` one
    consists of words or tags that a text may hold as well, and counts at the start of an answer only."""

    opens: str
    closes: str
    ends: str
    certain: bool = True
    plain: bool = False


NEVER = r"(?!)"


def _wrapper(table: Mapping[str, Any]) -> Wrapper:
    stated: dict[str, Any] = {
        name: value.replace("«names»", _NAMES) if isinstance(value, str) else value for name, value in table.items()
    }
    return Wrapper(**{"closes": NEVER, "ends": NEVER, **stated})


WRAPPERS: Sequence[Wrapper] = tuple(map(_wrapper, _TABLE["wrappers"]))
"""The known ways, in any case. Tags of the first one close each other: some models open ``<think>`` and close
``</thinking>``."""

_KINDS = ("opens", "closes", "ends")
_FENCE = re.compile(r"^[ \t>]*(`{3,}|~{3,})([^\n]*)$", re.MULTILINE)
_THINKING_FENCE = re.compile(r"(`{3,}|~{3,})[ \t]*(?:think(?:ing)?|thoughts?|reasoning)[ \t]*\r?\n", re.IGNORECASE)
_FENCE_AROUND = re.compile(r"(`{3,}|~{3,})[ \t]*(markdown|mdx?|text|)[ \t]*\r?\n\s*", re.IGNORECASE)
_TOKEN = (
    r"(?:<[|｜][A-Za-z_▁]{1,40}[|｜]>|</?s>|<[be]os>|</?(?:start|end)_of_turn>|\[/?INST\]|<turn\|>|<\|turn>|"
    rf"<(?:{_NAMES})\s*/>)"
)
_FIRST_TOKEN = re.compile(rf"{_TOKEN}(?:(?:assistant|model)\b)?", re.IGNORECASE)
_LAST_TOKEN = re.compile(rf"{_TOKEN}\Z", re.IGNORECASE)
_LONGEST_TOKEN = 60
_LONGEST_STRUCK = 400
"""Characters in which ``</s>`` follows where ``<s>`` strikes words out."""
_NEXT_TURN = re.compile(
    r"(?:(?:<\|im_end\|>|<\|eot_id\|>|<\|end\|>|<end_of_turn>|</s>)\s*)?"
    r"(?:<\|im_start\|>\s*user\b|<\|start_header_id\|>\s*user\b|<start_of_turn>\s*user\b|<\|user\|>|</s>\s*\[INST\])",
    re.IGNORECASE,
)
_SENTENCE_ENDS = ".!?:…。！？：)\"'”’"
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ \t"


class Removed(NamedTuple):
    """A piece that was taken off an answer, and what it was: ``thinking``, ``special tokens`` or ``another turn``."""

    what: str
    text: str


class _Mark(NamedTuple):
    kind: str
    wrapper: int
    start: int
    end: int


@lru_cache(maxsize=1)
def _marks_pattern() -> re.Pattern[str]:
    parts = [
        f"(?P<{kind}{number}>{getattr(wrapper, kind)})"
        for number, wrapper in enumerate(WRAPPERS)
        for kind in _KINDS
        if getattr(wrapper, kind) != NEVER
    ]
    # One look at the character first, or each alternative is tried at every character of the text.
    return re.compile(rf"(?=[<\[◁ah])(?:{'|'.join(parts)})", re.IGNORECASE)


def _marks(text: str) -> list[_Mark]:
    found = []
    for match in _marks_pattern().finditer(text):
        name = match.lastgroup or ""
        kind = name.rstrip("0123456789")
        found.append(_Mark(kind, int(name.removeprefix(kind)), *match.span()))
    return found


class _CodeMap:
    """Which places of a text lie in a code span, or in a fence from some place on."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._line_ends = [found.start() for found in re.finditer("\n", text)]
        self._spans: dict[int, list[tuple[int, int]]] = {}
        self._fences: list[tuple[int, int]] = []

    def read_fences(self, start: int, inside: str) -> None:
        """Find the fences from ``start`` on, where the fence of the marker ``inside`` is open, "" for none."""
        opened, begun = inside, start
        self._fences = []
        for found in _FENCE.finditer(self._text, start):
            if not opened:
                if "`" not in found[2] or found[1][0] == "~":
                    opened, begun = found[1], found.start()
            elif found[1][0] == opened[0] and len(found[1]) >= len(opened) and not found[2].strip():
                self._fences.append((begun, found.end()))
                opened = ""
        if opened:
            self._fences.append((begun, len(self._text)))

    def in_span(self, place: int) -> bool:
        """Whether a place lies between backticks of its line."""
        line = bisect_right(self._line_ends, place - 1)
        if line not in self._spans:
            start = self._line_ends[line - 1] + 1 if line else 0
            end = self._line_ends[line] if line < len(self._line_ends) else len(self._text)
            self._spans[line] = _code_spans(self._text[start:end], start)
        return _lies_in(self._spans[line], place)

    def holds(self, place: int) -> bool:
        """Whether a place lies in code."""
        return _lies_in(self._fences, place) or self.in_span(place)


def _lies_in(ranges: list[tuple[int, int]], place: int) -> bool:
    at = bisect_right(ranges, (place, len(ranges) + place)) - 1
    return at >= 0 and ranges[at][0] <= place < ranges[at][1]


def _code_spans(line: str, offset: int) -> list[tuple[int, int]]:
    """The code spans of a line: a run of backticks up to the next run of the same length."""
    runs = [found.span() for found in re.finditer("`+", line)]
    later: dict[int, list[int]] = {}
    for number in reversed(range(len(runs))):
        later.setdefault(runs[number][1] - runs[number][0], []).append(number)
    spans, number = [], 0
    while number < len(runs):
        start, end = runs[number]
        same = later[end - start]
        while same and same[-1] <= number:
            same.pop()
        if same:
            spans.append((offset + start, offset + runs[same[-1]][1]))
            number = same[-1]
        number += 1
    return spans


def take_off(answer: str, *, inside: str = "") -> tuple[str, tuple[Removed, ...]]:
    """An answer without thinking, without special tokens at its ends and without turns that the model invented.

    Also what was taken off, in order; what remains is in the answer's own words and order. Thinking that never ends
    leaves "": the text did not begin. ``inside`` is the marker of the fence that the answer goes on in, "" for none."""
    marks = _marks(answer)
    code = _CodeMap(answer)
    removed: list[Removed] = []
    prefix, start = _after_leading(answer, marks, code, removed)
    code.read_fences(start, prefix.strip().rstrip(_LETTERS) or inside)
    rest = [mark for mark in marks if mark.start >= start and not code.holds(mark.start)]
    start = _after_lone_end(answer, start, rest, removed)
    kept, at = [prefix], start
    for begin, end in _inner(answer, [mark for mark in rest if mark.start >= start]):
        kept.append(answer[at:begin])
        removed.append(Removed("thinking", answer[begin:end]))
        at = _after_blank(answer, end)
    kept.append(answer[at:])
    text = "".join(kept)
    text = _without_next_turn(text, inside, removed)
    end = _last_solid(text)
    if end < len(text.rstrip()):
        removed.append(Removed("special tokens", text[end:].strip()))
        text = text[:end].rstrip(" \t")
    return text, tuple(removed)


def _after_leading(text: str, marks: Sequence[_Mark], code: _CodeMap, removed: list[Removed]) -> tuple[str, int]:
    """Where the answer goes on behind thinking and special tokens at its start, and what of the start stays: the line
    of a fence that holds the whole answer."""
    numbers = {mark.start: number for number, mark in enumerate(marks)}
    at = 0
    while True:
        begin = _solid(text, at)
        found = _THINKING_FENCE.match(text, begin)
        around = _FENCE_AROUND.match(text, begin)
        token = _FIRST_TOKEN.match(text, begin)
        number = numbers.get(begin)
        what, end = "thinking", None
        if found is not None:
            end = _fence_end(text, found)
        elif number is not None:
            end = _leading_end(text, marks, number, code)
        elif around is not None and around.end() in numbers:
            number = numbers[around.end()]
            end = _end_in_fence(text, marks, number, around, code)
            inner = _leading_end(text, marks, number, code)
            if end is None and inner is not None and _holds_all(text, around):
                removed.append(Removed("thinking", text[around.end() : inner]))
                return text[begin : around.end(2)] + newline_of(text), _after_blank(text, inner)
        elif token is not None and _closes_span(text, token.end()):
            pass  # it stands in a code span that the answer before began
        elif token is not None and not (token[0].lower() == "<s>" and "</s>" in text[begin : begin + _LONGEST_STRUCK]):
            what, end = "special tokens", token.end()
        if end is None:
            return "", _after_blank(text, at) if at else 0
        removed.append(Removed(what, text[begin:end]))
        at = end


def _closes_span(text: str, at: int) -> bool:
    """Whether a backtick stands at a place that opens no code span of its line."""
    line = text[at:].partition("\n")[0]
    return line.startswith("`") and line.count("`") % 2 == 1


def _leading_end(text: str, marks: Sequence[_Mark], number: int, code: _CodeMap) -> int | None:
    """Where thinking ends that begins with a mark at the start of the answer; None where it is none."""
    mark = marks[number]
    if mark.kind != "opens":
        return mark.end if mark.kind == "ends" else None
    end = _end_of(marks, number, code)
    return len(text) if end is None and WRAPPERS[mark.wrapper].certain else end


def _holds_all(text: str, fence: re.Match[str]) -> bool:
    """Whether a fence that begins a text holds it to its end, as far as its name or its last line tells."""
    last = _FENCE.match(text.rstrip().rpartition("\n")[2])
    return (bool(fence[2]) and fence[2].lower() != "text") or (last is not None and not last[2].strip())


def _solid(text: str, at: int) -> int:
    """The first place from ``at`` on that is not blank."""
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _after_blank(text: str, at: int) -> int:
    """Behind the rest of a blank line and the blank lines after it: indentation stays."""
    solid = _solid(text, at)
    line = text.rfind("\n", at, solid) + 1
    return line or solid


def _end_of(marks: Sequence[_Mark], number: int, code: _CodeMap) -> int | None:
    """Where the thinking ends that a mark opens, None for nowhere. Thinking within thinking belongs to it."""
    wrapper = marks[number].wrapper
    depth, last = 0, None
    for at in range(number, len(marks)):  # by index: a slice for each mark takes time that grows with the square
        mark = marks[at]
        if mark.wrapper != wrapper or (mark.start != marks[number].start and code.in_span(mark.start)):
            continue
        if mark.kind == "opens":
            depth += 1
            continue
        last = mark.end
        depth = 0 if mark.kind == "ends" and WRAPPERS[wrapper].closes != NEVER else depth - 1
        if depth == 0:
            return last
    return last  # a mark that thinking only mentioned was counted as one more opening


def _fence_end(text: str, opening: re.Match[str]) -> int:
    for found in _FENCE.finditer(text, opening.end()):
        if found[1][0] == opening[1][0] and len(found[1]) >= len(opening[1]) and not found[2].strip():
            return found.end()
    return len(text)


def _end_in_fence(text: str, marks: Sequence[_Mark], number: int, fence: re.Match[str], code: _CodeMap) -> int | None:
    """Where a fence at the start ends that holds thinking and nothing else, None for another fence."""
    end = _end_of(marks, number, code)
    if end is None:
        return len(text) if WRAPPERS[marks[number].wrapper].certain and not _closes_later(text, fence) else None
    closing = _FENCE.match(text, _after_blank(text, end))
    if closing and closing[1].startswith(fence[1]) and not closing[2].strip():
        return closing.end()
    return None


def _closes_later(text: str, fence: re.Match[str]) -> bool:
    return _fence_end(text, fence) < len(text)


def _after_lone_end(text: str, start: int, marks: Sequence[_Mark], removed: list[Removed]) -> int:
    """Behind the last mark that ends thinking which nothing opened; ``start`` when there is none."""
    depth = dict.fromkeys(range(len(WRAPPERS)), 0)
    last = start
    for mark in marks:
        if mark.kind == "opens":
            depth[mark.wrapper] += 1
        elif depth[mark.wrapper]:
            depth[mark.wrapper] -= 1
        elif mark.kind == "ends" and _stands_apart(text, mark):
            last = mark.end
    if last == start:
        return start
    removed.append(Removed("thinking", text[start:last]))
    return _after_blank(text, last)


def _stands_apart(text: str, mark: _Mark) -> bool:
    """Whether a mark is none that a sentence mentions: at the start or end of a line, or behind a whole sentence."""
    if not text.startswith("<", mark.start) or "|" in text[mark.start : mark.end]:
        return True
    before, after = (
        text[mark.start - 60 : mark.start] if mark.start >= 60 else text[: mark.start],
        text[mark.end :][:60],
    )
    line, rest = before.rpartition("\n")[2].strip(), after.partition("\n")[0].strip()
    if not rest or (not line and "\n" in before):
        return True
    return line[-1:] in _SENTENCE_ENDS and not rest[0].islower()


def _inner(text: str, marks: Sequence[_Mark]) -> list[tuple[int, int]]:
    """The ranges of thinking in the middle of a text: it begins a line, and where it ends, the line ends."""
    found: list[tuple[int, int]] = []
    until, number = -1, 0
    while number < len(marks):
        mark = marks[number]
        number += 1
        if mark.start < until or mark.kind != "opens" or WRAPPERS[mark.wrapper].plain or not _begins_line(text, mark):
            continue
        depth = 1
        end = None
        while number < len(marks):
            later = marks[number]
            number += 1
            if later.wrapper == mark.wrapper:
                depth += 1 if later.kind == "opens" else -1
                if depth == 0:
                    end = later.end
                    break
        if end is None:
            found.append((mark.start, len(text)))
            break
        if not text[end : text.find("\n", end) if "\n" in text[end : end + 1000] else end + 1000].strip():
            found.append((mark.start, end))
            until = end
    return found


def _begins_line(text: str, mark: _Mark) -> bool:
    return not text[max(0, mark.start - 40) : mark.start].rpartition("\n")[2].strip()


def _without_next_turn(text: str, inside: str, removed: list[Removed]) -> str:
    """The text up to where the model goes on in the user's place."""
    found = _NEXT_TURN.search(text)
    if found is None:
        return text
    code = _CodeMap(text)
    code.read_fences(0, inside)
    while found is not None:
        if not code.holds(found.start()):
            removed.append(Removed("another turn", text[found.start() :]))
            return text[: found.start()].rstrip(" \t")
        found = _NEXT_TURN.search(text, found.end())
    return text


def _last_solid(text: str) -> int:
    """Where the text ends before the special tokens at its end, blanks before them included."""
    end = len(text.rstrip())
    while True:
        tail = text[max(0, end - _LONGEST_TOKEN) : end]
        found = _LAST_TOKEN.search(tail)
        if found is None or (found[0].lower() == "</s>" and "<s>" in tail[: found.start()].rpartition("\n")[2].lower()):
            return end
        end = len(text[: end - len(found[0])].rstrip())
