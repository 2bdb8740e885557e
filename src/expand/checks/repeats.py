"""Findings about text that stands there twice: passages, sentences and code blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from expand.checks.finding import Finding, Severity, excerpt
from expand.markdown import blocks, chat_boilerplate, matching
from expand.markdown.blocks import Passage

NEAR = 0.8
"""The share of three-word runs in common from which two passages say the same."""
LEAST_WORDS = 8
LEAST_CJK = 25
LITTLE = 20
"""One repetition of fewer words than this is only noted."""
LOOPED = 3
"""A sentence is looped when it stands in a section this often."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """A passage or code block that could repeat another; ``line`` counts from 1."""

    section: int
    line: int
    text: str
    code: bool
    marks: frozenset[int] = field(repr=False)
    """The hashes of its runs of three words; of code, of all its lines."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A passage, how many words it has, and the hashes of its runs of three."""

    passage: Passage
    words: int
    marks: frozenset[int]


@lru_cache(maxsize=4)
def _read(text: str) -> tuple[_Read, ...]:
    """The passages of ``LEAST_WORDS`` or more: shorter ones hold nothing that is enough."""
    found = []
    for passage in blocks.passages(text):
        words = matching.tokens(passage.text)
        if len(words) >= LEAST_WORDS:
            marks = frozenset(map(hash, zip(words, words[1:], words[2:], strict=False)))
            found.append(_Read(passage, len(words), marks))
    return tuple(found)


def _is_enough(text: str, words: int) -> bool:
    """Whether a text of so many words is long enough to be a repetition; code spans and addresses
    do not count.
    """
    said = matching.prose(text)
    if said != text:
        words = len(matching.tokens(said))
    chinese = matching.cjk_letters(said)  # each is a word of its own
    return (words - chinese) / LEAST_WORDS + chinese / LEAST_CJK >= 1


@lru_cache(maxsize=128)
def units(text: str, *, section: int) -> tuple[Unit, ...]:
    """Everything in a section that is long enough to be called a repetition."""
    found = []
    for read in _read(text):
        said, line = read.passage.text, read.passage.line + 1
        if _is_enough(said, read.words):
            found.append(Unit(section=section, line=line, text=said, code=False, marks=read.marks))
    for block in blocks.fences(text):
        flat = tuple(" ".join(row.split()) for row in block.code.splitlines() if row.strip())
        if len(flat) >= 4 and sum(map(len, flat)) >= 60:
            line = block.start + 1
            found.append(
                Unit(
                    section=section,
                    line=line,
                    text=block.code,
                    code=True,
                    marks=frozenset({hash(("code", *flat))}),
                )
            )
    return tuple(found)


def pairs(every: Iterable[Unit]) -> list[tuple[Unit, Unit]]:
    """Each unit that says what an earlier one said, with the first one that said it."""
    every = tuple(every)
    again = _marks_met_twice(every)
    firsts: list[Unit] = []
    index: dict[int, list[int]] = {}
    found: list[tuple[Unit, Unit]] = []
    for unit in every:
        telling = unit.marks & again
        shared = Counter(first for mark in telling for first in index.get(mark, ()))
        earlier = _nearest(unit, shared, firsts) if shared else None
        if earlier is not None:
            found.append((unit, earlier))
            continue
        for mark in telling:
            index.setdefault(mark, []).append(len(firsts))
        firsts.append(unit)
    return found


def _marks_met_twice(every: Iterable[Unit]) -> set[int]:
    """The marks that more than one unit has: the only ones that can tell of a repetition."""
    seen: set[int] = set()
    again: set[int] = set()
    for unit in every:
        again |= unit.marks & seen
        seen |= unit.marks
    return again


def _nearest(unit: Unit, shared: Mapping[int, int], firsts: Sequence[Unit]) -> Unit | None:
    for number, common in shared.items():
        other = firsts[number]
        if common / (len(unit.marks) + len(other.marks) - common) >= NEAR:
            return other
    return None


def _may_loop(text: str) -> bool:
    """Whether so many runs of three words stand there again as a looped sentence must have."""
    every = _read(text)
    marks = frozenset[int]().union(*(read.marks for read in every))
    again = sum(read.words - 2 for read in every) - len(marks)
    return again >= (LOOPED - 1) * (LEAST_WORDS - 2)


def _loops(text: str, again: set[int]) -> list[tuple[str, int, int]]:
    """Sentences that a section says at least three times: text, count, line of the second."""
    if not _may_loop(text):
        return []
    seen: dict[tuple[str, ...], list[tuple[str, int]]] = {}
    for passage in blocks.passages(text):
        if passage.line + 1 in again:
            continue
        for sentence in chat_boilerplate.sentences(passage.text):
            words = tuple(matching.tokens(sentence))
            seen.setdefault(words, []).append((sentence, passage.line + 1))
    looped = [
        [(sentence, line) for sentence, line in met if _is_enough(sentence, len(words))]
        for words, met in seen.items()
        if len(met) >= LOOPED
    ]
    return [(met[0][0], len(met), met[1][1]) for met in looped if len(met) >= LOOPED]


def within(text: str, *, section: int) -> Iterator[Finding]:
    """At most one finding a section: how much of it repeats, and where that begins."""
    every = units(text, section=section)
    found = pairs(every)
    if found:
        unit, earlier = found[0]
        most = len(found) * 2 >= len(every) and len(found) >= 3
        little = len(found) == 1 and len(matching.tokens(unit.text)) < LITTLE
        severity: Severity = "blocking" if most else "note" if little else "warning"
        yield Finding(
            kind="repeats",
            section=section,
            line=unit.line,
            severity=severity,
            message=f"{len(found)} of {len(every)} passages and code blocks repeat earlier ones; "
            f"first line {unit.line} repeats line {earlier.line}: {excerpt(unit.text)}",
            remedy="say it once, and write something new in its place",
            mendable=not little,
        )
    for sentence, times, line in _loops(text, {unit.line for unit, _ in found})[:1]:
        yield Finding(
            kind="repeats",
            section=section,
            line=line,
            severity="blocking" if times >= 8 else "warning",
            message=f"one sentence stands {times} times in the section: {excerpt(sentence)}",
            remedy="say it once",
            mendable=True,
        )


def across(texts: Mapping[int, str]) -> Iterator[Finding]:
    """One finding for each section that repeats passages of earlier sections."""
    every = [unit for number in sorted(texts) for unit in units(texts[number], section=number)]
    later: dict[int, list[tuple[Unit, Unit]]] = {}
    for unit, earlier in pairs(every):
        if unit.section != earlier.section:
            later.setdefault(unit.section, []).append((unit, earlier))
    for section, found in later.items():
        unit, earlier = found[0]
        yield Finding(
            kind="repeats",
            section=section,
            line=unit.line,
            severity="warning",
            message=f"{len(found)} passages or code blocks repeat earlier sections; first line "
            f"{unit.line} repeats section {earlier.section}, line {earlier.line}: "
            f"{excerpt(unit.text)}",
            remedy="refer to the earlier section, and write something new in its place",
            mendable=True,
        )
