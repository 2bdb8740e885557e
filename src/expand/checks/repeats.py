"""Check for text that stands there twice: passages, sentences and code blocks."""

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
LOOPED = 3
"""A sentence is looped when it stands in a section this often."""
BLOCKING_LOOP = 8
"""When it stands there this often, the section must not be accepted."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A passage or code block that could repeat another; ``line`` counts from 1.

    ``runs`` are its runs of three words, ``words`` its words if it is a passage that is not ``little``; of code all
    lines are one run."""

    section: int
    line: int
    text: str
    runs: frozenset[tuple[str, ...]]
    words: tuple[str, ...] = ()
    little: bool = False


def _units(text: str, *, section: int) -> list[Unit]:
    """Everything in a section that is long enough to be called a repetition."""
    found = []
    for paragraph in blocks.paragraphs(text):
        said = _NO_WORDS.sub("", paragraph.text)
        tokens, size = matching.tokens(said), matching.size(said)
        if _is_long_enough(size) and not said.startswith(":::"):  # a directive of the site's generator
            little = len(tokens) - size[1] < LITTLE * (1 - size[1] / LITTLE_CJK)
            words = () if little else tuple(tokens)
            found.append(Unit(section, paragraph.line + 1, paragraph.text, _runs(tokens), words, little))
    for block in blocks.fences(text):
        rows = tuple(" ".join(row.split()) for row in blocks.bare_rows(block.code) if row.strip())
        if len(rows) >= LEAST_CODE_ROWS and sum(map(len, rows)) >= LEAST_CODE_CHARACTERS:
            found.append(Unit(section, block.start + 1, block.code, frozenset({("code", *rows)})))
    return found


def _runs(tokens: Sequence[str]) -> frozenset[tuple[str, ...]]:
    return frozenset(zip(tokens, tokens[1:], tokens[2:], strict=False))


def _is_long_enough(size: tuple[int, int]) -> bool:
    """Whether a text of so many words and Chinese characters is long enough to be a repetition."""
    words, cjk = size
    return words / LEAST_WORDS + cjk / LEAST_CJK >= 1


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


def _looped_sentence(text: str, repeated_lines: set[int]) -> tuple[str, int, int] | None:
    """A sentence that a section says at least three times: text, count, line of the second."""
    found: dict[tuple[str, ...], list[tuple[str, int]]] = {}
    for paragraph in blocks.paragraphs(text):
        for sentence in matching.sentences(paragraph.text) if paragraph.line + 1 not in repeated_lines else ():
            found.setdefault(tuple(matching.tokens(sentence)), []).append((sentence, paragraph.line + 1))
    for same in found.values():
        # Code spans and addresses do not count, so a sentence that is mostly code drops out.
        sized = same if len(same) >= LOOPED else []
        long_enough = [one for one in sized if _is_long_enough(matching.size(one[0]))]
        if len(long_enough) >= LOOPED:
            return long_enough[0][0], len(long_enough), long_enough[1][1]
    return None


def within_section(text: str, *, section: int) -> Iterator[Finding]:
    """How much of a section repeats, and where that begins; and a sentence that is looped."""
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
    looped = _looped_sentence(text, {unit.line for unit, _ in repeated})
    if looped:
        sentence, times, line = looped
        severity = "blocking" if times >= BLOCKING_LOOP else "warning"
        message = f"one sentence stands {times} times in the section: {excerpt(sentence)}"
        yield finding("repeats", section, line, message, severity=severity, remedy="say it once")


def across_sections(texts: Mapping[int, str]) -> Iterator[Finding]:
    """One finding for each section that repeats passages of earlier sections."""
    units = [unit for number in sorted(texts) for unit in _units(texts[number], section=number)]
    repeated: dict[int, list[tuple[Unit, Unit]]] = {}
    for unit, earlier in _repetitions(units):
        if unit.section != earlier.section:
            repeated.setdefault(unit.section, []).append((unit, earlier))
    remedy = "refer to the earlier section, and write something new in its place"
    for section, pairs in repeated.items():
        unit, earlier = pairs[0]
        little = all(one.little for one, _ in pairs)
        severity: Severity = "note" if little else "warning"
        many = "1 passage or code block repeats" if len(pairs) == 1 else f"{len(pairs)} passages or code blocks repeat"
        said = f"{many} earlier sections; the first repeats section {earlier.section}: {excerpt(unit.text)}"
        yield finding("repeats", section, unit.line, said, severity=severity, remedy=remedy, mendable=not little)


def across_chapters(texts: Mapping[int, str], others: Mapping[str, str]) -> Iterator[Finding]:
    """One finding for each section that repeats passages of the book's other chapters, which go by their files.

    Code may stand in several chapters. The other chapters are only cut at blank lines and list items: to parse a book
    of a hundred chapters would take ten seconds."""
    own = [unit for number in sorted(texts) for unit in _units(texts[number], section=number) if unit.words]
    having: dict[tuple[str, ...], list[int]] = {}
    for number, unit in enumerate(own):
        for run in unit.runs:
            having.setdefault(run, []).append(number)
    repeated: dict[int, dict[int, str]] = {}
    for file, text in others.items():
        for start, end in pairwise([0, *(found.end() for found in _PARTS.finditer(text)), len(text)]):
            passage = text[start:end]
            tokens = tuple(matching.tokens(_NO_WORDS.sub("", passage)))
            other = Unit(0, 0, passage, _runs(tokens), tokens)
            shared = Counter(number for run in other.runs for number in having.get(run, ()))
            for number, count in shared.items():
                if count >= CANDIDATE * len(own[number].runs) and _is_near(own[number], other, count):
                    place = f"{file}, line {text.count(chr(10), 0, start) + 1}"
                    repeated.setdefault(own[number].section, {}).setdefault(number, place)
    for section, places in sorted(repeated.items()):
        number, place = min(places.items())
        many = "1 passage repeats" if len(places) == 1 else f"{len(places)} passages repeat"
        message = f"{many} other chapters; the first repeats {place}: "
        remedy = "refer to the other chapter, and write something new in its place"
        yield finding("repeats", section, own[number].line, message + excerpt(own[number].text), remedy=remedy)
