"""Take a model's thinking and its special tokens off an answer.

Models that think before they write mark their thinking off, each family in its own way, and servers that do not know
the way of a model hand all of it out as text. ``data/thinking.toml`` is the table of those ways. A mark within a fence
or a code span is content: books about language models quote it. Every step takes time that grows with the length of the
text.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from expand.markdown import names
from expand.markdown.blocks import newline_of
from expand.paths import packaged_table

_TABLE = packaged_table("thinking")
_NAMES: str = _TABLE["names"]
_WRAPPERS: Sequence[dict[str, Any]] = _TABLE["wrappers"]
"""The known ways, in any case: regular expressions without groups, for the marks that open and close thinking.

``ends`` is the mark that ends thinking even if nothing opened it, since the template of the prompt did. A wrapper that
is ``certain`` is thinking without its closing mark, too: then the text has not begun. A ``plain`` one consists of words
or tags that a text may hold as well, and counts at the start of an answer only. Tags of the first wrapper close each
other: some models open ``<think>`` and close ``</thinking>``."""

_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)[^\n]*?(?<!`)\1(?!`)")
"""It looks through the rest of a line for each length of a run of backticks that nothing closes: a line has few."""
_FENCE = re.compile(r"^[ \t>]*(`{3,}|~{3,})([^\n]*)$", re.MULTILINE)
_FENCE_AROUND = re.compile(r"(`{3,}|~{3,})[ \t]*(markdown|mdx?|text|)[ \t]*\r?\n\s*", re.IGNORECASE)
_TOKEN = _TABLE["special-token"].replace("«names»", _NAMES)
_FIRST_TOKEN = re.compile(rf"{_TOKEN}(?:(?:assistant|model)\b)?", re.IGNORECASE)
_LAST_TOKEN = re.compile(rf"{_TOKEN}\Z", re.IGNORECASE)
_LONGEST_TOKEN = 60
_LONGEST_STRUCK = 400
"""Characters in which ``</s>`` follows where ``<s>`` strikes words out."""
_NEXT_TURN = re.compile(_TABLE["next-turn"])
_SENTENCE_ENDS = ".!?:…。！？：)\"'”’"


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
        f"(?P<{kind}{number}>{wrapper[kind].replace('«names»', _NAMES)})"
        for number, wrapper in enumerate(_WRAPPERS)
        for kind in ("opens", "closes", "ends")
        if kind in wrapper
    ]
    # One look at the character first, or each alternative is tried at every character of the text.
    return re.compile(rf"(?=[<\[◁ah`~])(?:{'|'.join(parts)})", re.IGNORECASE)


def _marks(text: str) -> list[_Mark]:
    found = []
    for match in _marks_pattern().finditer(text):
        name = match.lastgroup or ""
        kind = name.rstrip("0123456789")
        found.append(_Mark(kind, int(name.removeprefix(kind)), *match.span()))
    return found


def _without_code(text: str, start: int, opened: str) -> str:
    """The text with all code blanked out, from ``start`` on, where the fence ``opened`` is open, "" for none."""
    fence = f"{opened}\n" if opened else ""
    return text[:start] + names.without_code(fence + text[start:])[len(fence) :]


def closes(row: re.Match[str], marker: str) -> bool:
    """Whether a fence's row closes the fence that the marker opened."""
    return row[1].startswith(marker) and not row[2].strip()


def take_off(answer: str, *, inside: str = "") -> tuple[str, tuple[Removed, ...]]:
    """An answer without thinking, without special tokens at its ends and without turns that the model invented.

    Also what was taken off, in order; what remains is in the answer's own words and order. Thinking that never ends
    leaves "": the text did not begin. ``inside`` opens the fence that the answer goes on in, "" for none."""
    removed: list[Removed] = []
    marks = _marks(_CODE_SPAN.sub(lambda found: "\0" * len(found[0]), answer))
    prefix, start = _after_leading(answer, marks, removed)
    plain = _without_code(answer, start, prefix.strip() or inside)
    marks = [mark for mark in _marks(plain) if mark.start >= start]
    start = _after_lone_end(answer, start, marks, removed)
    kept, at = [prefix], start
    for begin, end in _inner(answer, [mark for mark in marks if mark.start >= start]):
        kept.append(answer[at:begin])
        removed.append(Removed("thinking", answer[begin:end]))
        at = _after_blank(answer, end)
    text = "".join((*kept, answer[at:]))
    if turn := _NEXT_TURN.search(_without_code(text, 0, inside)):  # the model goes on in the user's place
        removed.append(Removed("another turn", text[turn.start() :]))
        text = text[: turn.start()].rstrip(" \t")
    end = _last_solid(text)
    if end < len(text.rstrip()):
        removed.append(Removed("special tokens", text[end:].strip()))
        text = text[:end].rstrip(" \t")
    return text, tuple(removed)


def _after_leading(text: str, marks: Sequence[_Mark], removed: list[Removed]) -> tuple[str, int]:
    """Where the answer goes on behind thinking and special tokens at its start, and what of the start stays: the line
    of a fence that holds the whole answer."""
    numbers = {mark.start: number for number, mark in enumerate(marks)}
    at = 0
    while True:
        begin = _solid(text, at)
        around = _FENCE_AROUND.match(text, begin)
        token = _FIRST_TOKEN.match(text, begin)
        what, end = "thinking", None
        if around and around.end() in numbers:
            inner = _leading_end(text, marks, numbers[around.end()])
            closing = _FENCE.match(text, _after_blank(text, inner)) if inner else None
            if closing and closes(closing, around[1]):
                end = closing.end()  # it held nothing else
            elif inner == len(text):
                end = inner
            elif inner and around[2]:  # of one without a name nobody can tell whether it holds all
                removed.append(Removed("thinking", text[around.end() : inner]))
                return text[begin : around.end(2)] + newline_of(text), _after_blank(text, inner)
        elif begin in numbers:
            end = _leading_end(text, marks, numbers[begin])
        elif token:
            # A backtick that opens no code span of its line closes one that the answer before began.
            line = text[token.end() :].partition("\n")[0]
            in_span = line.startswith("`") and line.count("`") % 2 == 1
            struck = token[0].lower() == "<s>" and "</s>" in text[begin : begin + _LONGEST_STRUCK]
            what, end = "special tokens", None if in_span or struck else token.end()
        if end is None:
            return "", _after_blank(text, at) if at else 0
        removed.append(Removed(what, text[begin:end]))
        at = end


def _leading_end(text: str, marks: Sequence[_Mark], number: int) -> int | None:
    """Where thinking ends that begins with a mark at the start of the answer; None where it is none."""
    mark = marks[number]
    if mark.kind != "opens":
        return mark.end if mark.kind == "ends" else None
    end = _end_of(marks, number)
    return len(text) if end is None and _WRAPPERS[mark.wrapper].get("certain", True) else end


def _solid(text: str, at: int) -> int:
    """The first place from ``at`` on that is not blank."""
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _after_blank(text: str, at: int) -> int:
    """Behind the rest of a blank line and the blank lines after it: indentation stays."""
    solid = _solid(text, at)
    return text.rfind("\n", at, solid) + 1 or solid


def _end_of(marks: Sequence[_Mark], number: int) -> int | None:
    """Where the thinking ends that a mark opens, None for nowhere. Thinking within thinking belongs to it."""
    wrapper = marks[number].wrapper
    depth, last = 0, None
    for at in range(number, len(marks)):  # by index: a slice for each mark takes time that grows with the square
        mark = marks[at]
        if mark.wrapper != wrapper:
            continue
        if mark.kind == "opens":
            depth += 1
            continue
        last = mark.end
        depth = 0 if mark.kind == "ends" and "closes" in _WRAPPERS[wrapper] else depth - 1
        if depth == 0:
            return last
    return last  # a mark that thinking only mentioned was counted as one more opening


def _after_lone_end(text: str, start: int, marks: Sequence[_Mark], removed: list[Removed]) -> int:
    """Behind the last mark that ends thinking which nothing opened; ``start`` when there is none."""
    depth: Counter[int] = Counter()
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
    before = text[max(0, mark.start - 60) : mark.start]
    line = before.rpartition("\n")[2].strip()
    rest = text[mark.end : mark.end + 60].partition("\n")[0].strip()
    return not rest or (not line and "\n" in before) or (line[-1:] in _SENTENCE_ENDS and not rest[0].islower())


def _inner(text: str, marks: Sequence[_Mark]) -> list[tuple[int, int]]:
    """The ranges of thinking in the middle of a text: it begins a line, and where it ends, the line ends."""
    found: list[tuple[int, int]] = []
    at = 0
    for number, mark in enumerate(marks):
        line = text[max(0, mark.start - 40) : mark.start].rpartition("\n")[2]
        if mark.start < at or mark.kind != "opens" or line.strip() or _WRAPPERS[mark.wrapper].get("plain"):
            continue
        at = _end_of(marks, number) or len(text)
        if not text[at : at + 1000].partition("\n")[0].strip():
            found.append((mark.start, at))
    return found


def _last_solid(text: str) -> int:
    """Where the text ends before the special tokens at its end, blanks before them included."""
    end = len(text.rstrip())
    while True:
        tail = text[max(0, end - _LONGEST_TOKEN) : end]
        found = _LAST_TOKEN.search(tail)
        if found is None or (found[0].lower() == "</s>" and "<s>" in tail[: found.start()].rpartition("\n")[2].lower()):
            return end
        end = len(text[: end - len(found[0])].rstrip())
