"""Check for text that stands there twice: passages and code blocks."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

from expand.checks.finding import Finding, Severity, excerpt, finding
from expand.markdown import blocks, matching

_NO_WORDS = re.compile(r"<[^<>]*>|(?<=\])\([^()\s]*\)")
"""Tags and the targets of links."""
_PARTS = re.compile(r"\n(?:[ \t>]*\n)+[ \t>]*|\n(?=[ \t>]*(?:[-*+]|\d+[.)]) )")
NEAR = 0.8
"""The share of three-word runs in common from which two passages say the same."""
CHANGED = 0.85
"""So do longer ones of which this share of the words is the same in the same order: a tenth may be changed."""
CANDIDATE = 0.45
"""The share of a passage's runs that such a one has in common with the other: a changed word breaks three."""
LEAST_WORDS = 8
LEAST_CJK = 25
"""What is shorter than so many words, or Chinese characters, may stand there twice."""
LEAST_CODE_ROWS = 4
LEAST_CODE_CHARACTERS = 60
"""A code block that has less of either may, too: a command is shown again."""
MOST_SHARING = 50
"""A run of words that so many passages have in common says little of any two of them, and is not looked up further."""
LITTLE = 20
LITTLE_CJK = 40
"""One repetition of fewer words, or Chinese characters, than this is only noted."""
SEVERAL = 3
"""So many repetitions that are half of all passages or more block."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A passage or code block that could repeat another, at a line, from 1, of a section or of another chapter's file.

    ``runs`` are its runs of three words, ``words`` its words if it is a passage that is not ``little``; of code all
    lines are one run."""

    section: int
    line: int
    text: str
    runs: frozenset[tuple[str, ...]]
    words: tuple[str, ...] = ()
    little: bool = False
    file: str = ""


_Pairs = Iterable[tuple[Unit, Unit]]
"""Units that say what earlier ones said, with the first one that said it."""


def _units(text: str, *, section: int) -> list[Unit]:
    """Everything in a section that is long enough to be called a repetition."""
    found = []
    for paragraph in blocks.paragraphs(text):
        said = _NO_WORDS.sub("", paragraph.text)
        tokens, (words, cjk) = tuple(matching.tokens(said)), matching.size(said)
        if words / LEAST_WORDS + cjk / LEAST_CJK >= 1 and not said.startswith(":::"):  # a directive of the generator
            little = len(tokens) - cjk < LITTLE * (1 - cjk / LITTLE_CJK)
            own = () if little else tokens
            found.append(Unit(section, paragraph.line + 1, paragraph.text, _runs(tokens), own, little))
    for block in blocks.fences(text):
        rows = tuple(" ".join(row.split()) for row in blocks.bare_rows(block.code) if row.strip())
        if len(rows) >= LEAST_CODE_ROWS and sum(map(len, rows)) >= LEAST_CODE_CHARACTERS:
            found.append(Unit(section, block.start + 1, block.code, frozenset({("code", *rows)})))
    return found


def _runs(tokens: Sequence[str]) -> frozenset[tuple[str, ...]]:
    return frozenset(zip(tokens, tokens[1:], tokens[2:], strict=False))


def _repetitions(units: Iterable[Unit]) -> list[tuple[Unit, Unit]]:
    """Each unit that says what an earlier one said, with the first one that said it.

    Every run of three words points to the units that have it, so that only units with something in
    common are compared: a chapter of thousands of passages would take minutes pair by pair."""
    firsts: list[Unit] = []
    having: dict[tuple[str, ...], list[int]] = {}
    found: list[tuple[Unit, Unit]] = []
    for unit in units:
        shared = Counter(number for run in unit.runs for number in having.get(run, ()))
        # Two passages have no fewer runs together than the one has: what shares too few of them need not be compared.
        least = (CANDIDATE if unit.words else NEAR) * len(unit.runs)
        close = sorted(number for number, count in shared.items() if count >= least)
        near = next((firsts[number] for number in close if _is_near(unit, firsts[number], shared[number])), None)
        if near is not None:
            found.append((unit, near))
            continue
        for run in unit.runs:
            units_with_run = having.setdefault(run, [])
            if len(units_with_run) < MOST_SHARING:
                units_with_run.append(len(firsts))
        firsts.append(unit)
    return found


def _is_near(unit: Unit, other: Unit, shared: int) -> bool:
    if shared / (len(unit.runs) + len(other.runs) - shared) >= NEAR:
        return True
    if not unit.words or not other.words:
        return False
    matcher = SequenceMatcher(None, unit.words, other.words, autojunk=False)
    return matcher.real_quick_ratio() >= CHANGED and matcher.ratio() >= CHANGED


def within_section(text: str, *, section: int) -> Iterator[Finding]:
    """How much of a section repeats, and where that begins."""
    units = _units(text, section=section)
    repeated = _repetitions(units)
    if repeated:
        unit, earlier = repeated[0]
        most = len(repeated) * 2 >= len(units) and len(repeated) >= SEVERAL
        little = len(repeated) == 1 and unit.little
        severity: Severity = "blocking" if most else "note" if little else "warning"
        above = unit.line - earlier.line
        message = (
            f"{len(repeated)} of {len(units)} passages and code blocks repeat earlier ones; the first repeats what "
            f"stands {above} line{'s' if above > 1 else ''} above: {excerpt(unit.text)}"
        )
        yield finding("repeats", section, unit.line, message, severity=severity, mendable=not little)


def across_sections(texts: Mapping[int, str]) -> Iterator[Finding]:
    """One finding for each section that repeats passages or code blocks of earlier sections."""
    every = [unit for number in sorted(texts) for unit in _units(texts[number], section=number)]
    yield from _by_section((one for one in _repetitions(every) if one[0].section != one[1].section), "section")


def across_chapters(texts: Mapping[int, str], others: Mapping[str, str]) -> Iterator[Finding]:
    """One finding for each section that repeats passages of the book's other chapters, which go by their files.

    Code may stand in several chapters. The other chapters are only cut at blank lines and list items: to parse a book
    of a hundred chapters would take ten seconds."""
    own = [unit for number in sorted(texts) for unit in _units(texts[number], section=number) if unit.words]
    known = frozenset().union(*(unit.runs for unit in own))
    theirs = []
    for file, text in others.items():
        for start, end in pairwise([0, *(found.end() for found in _PARTS.finditer(text)), len(text)]):
            tokens = tuple(matching.tokens(_NO_WORDS.sub("", text[start:end])))
            if not known.isdisjoint(runs := _runs(tokens)):
                theirs.append(Unit(0, text.count("\n", 0, start) + 1, "", runs, tokens, file=file))
    pairs = _repetitions([*theirs, *own]) if theirs else []
    yield from _by_section(((unit, other) for unit, other in pairs if other.file and not unit.file), "chapter")


def _by_section(pairs: _Pairs, what: str) -> Iterator[Finding]:
    """A finding for each section with passages that earlier sections, or other chapters, have."""
    repeated: dict[int, list[tuple[Unit, Unit]]] = {}
    for unit, other in pairs:
        repeated.setdefault(unit.section, []).append((unit, other))
    for section, own in sorted(repeated.items()):
        unit, other = own[0]
        little = all(one.little for one, _ in own)
        place = f"{other.file}, line {other.line}" if other.file else f"section {other.section}"
        remedy = f"refer to the other {what}, and write something new in its place"
        message = f"{len(own)} of its parts stand in another {what}; the first in {place}: {excerpt(unit.text)}"
        severity: Severity = "note" if little else "warning"
        yield finding("repeats", section, unit.line, message, severity=severity, remedy=remedy, mendable=not little)
