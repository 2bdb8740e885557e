"""What a document proposes for a chapter, before it is written as an outline.

Lines are Markdown lines, hours wall-clock hours. None means that the document does not say.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

from expand.outline import Priority
from expand.outline.schema import MAX_ID_BYTES
from expand.schema.source_text import UNWANTED

ROUND_TO = 5
"""Shares of a chapter's lines are multiples of this: nobody plans a section of 143 lines."""
LEAST_LINES = 25
"""What a section gets at least when its lines are a share of the chapter's."""
LONGEST_ID = 48
"""Characters of an id that is made of a file's name or a title."""
LONGEST = 480
"""Characters of a title or topic; what an outline may hold is a little more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProposedSection:
    """A section: ``lines`` is what the document wants of it, ``present`` what it already has."""

    title: str
    lines: int | None = None
    topics: tuple[str, ...] = ()
    present: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A chapter: ``file`` is the document's name as the plan gives it, ``line`` where in the plan
    it stands (from 1), ``target`` the lines that are stated for the whole chapter."""

    id: str
    title: str
    sections: tuple[ProposedSection, ...]
    file: str | None = None
    line: int = 1
    target: int | None = None
    hours: float | None = None
    priority: Priority | None = None


def tidy(proposal: Proposal) -> Proposal:
    """The proposal as an outline can hold it: texts on one line, no title or topic twice."""
    title = _one_line(proposal.title) or proposal.id
    titles = [_one_line(section.title) or str(number) for number, section in enumerate(proposal.sections, 1)]
    sections = []
    for section, called in zip(proposal.sections, all_free(titles, form="{} ({})"), strict=True):
        topics: dict[str, str] = {}
        for topic in filter(None, map(_one_line, section.topics)):
            topics.setdefault(_key(topic), topic)
        sections.append(replace(section, title=called, topics=tuple(topics.values())))
    return replace(proposal, title=title, sections=tuple(sections) or (ProposedSection(title=title),))


def settled(proposal: Proposal, *, lines: int) -> Proposal:
    """The proposal with a number of lines for every section.

    What is left of the chapter's target (``lines`` where it states none) is shared among the
    sections that state none, by their topics; none gets less than it already has, nor than ``LEAST_LINES`` where there
    are so many for each."""
    open_sections = [section for section in proposal.sections if section.lines is None]
    left = (proposal.target or lines) - sum(section.lines or 0 for section in proposal.sections)
    weights = sum(1 + len(section.topics) for section in open_sections)
    least = max(ROUND_TO, min(LEAST_LINES, left // max(1, len(open_sections)) // ROUND_TO * ROUND_TO))

    def share(section: ProposedSection) -> int:
        wanted = round(Fraction(left * (1 + len(section.topics)), weights * ROUND_TO)) * ROUND_TO
        return max(least, -(-section.present // ROUND_TO) * ROUND_TO, wanted)

    sections = (s if s.lines is not None else replace(s, lines=share(s)) for s in proposal.sections)
    return replace(proposal, sections=tuple(sections))


def scaled(proposal: Proposal, *, lines: int) -> Proposal:
    """The proposal with its sections' lines in their proportions, ``lines`` together.

    Multiples of ``ROUND_TO`` where the sum allows it, and ``LEAST_LINES`` at least for each; a
    section that states none counts by its topics. Only what sections have already can make more."""
    sections = proposal.sections
    stated = [Fraction(s.lines, 1 + len(s.topics)) for s in sections if s.lines]
    a_topic = sum(stated, Fraction(0)) / len(stated) if stated else Fraction(1)
    weights = [Fraction(s.lines) if s.lines else (1 + len(s.topics)) * a_topic for s in sections]
    least = max(1, min(LEAST_LINES, lines // len(sections) // ROUND_TO * ROUND_TO))
    floors = [max(least, -(-s.present // ROUND_TO) * ROUND_TO) for s in sections]
    spare = max(0, lines - sum(floors))
    wants = [
        max(Fraction(0), Fraction(lines) * weight / sum(weights) - floor)
        for weight, floor in zip(weights, floors, strict=True)
    ]
    total = sum(wants) or Fraction(1)
    shares = [spare * want / total for want in wants]
    counts = [floor + int(share // ROUND_TO) * ROUND_TO for floor, share in zip(floors, shares, strict=True)]
    by_rest = sorted(range(len(sections)), key=lambda at: (-(shares[at] % ROUND_TO), at))
    left = max(0, lines - sum(counts))
    for turn in range(-(-left // ROUND_TO)):
        counts[by_rest[turn % len(by_rest)]] += min(ROUND_TO, left - turn * ROUND_TO)
    return replace(
        proposal, sections=tuple(replace(section, lines=count) for section, count in zip(sections, counts, strict=True))
    )


def _one_line(text: str) -> str:
    return " ".join(UNWANTED.sub(" ", text).split())[:LONGEST].rstrip()


def _key(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def first_free(wanted: str, taken: Iterable[str]) -> str:
    """``wanted``, numbered from 2 where ``taken`` holds it already, in whatever case."""
    return all_free([wanted], taken)[0]


def all_free(wanted: Iterable[str], taken: Iterable[str] = (), form: str = "{}-{}") -> list[str]:
    """The names, each numbered from 2 where it is ``taken`` or stands before, in whatever case."""
    keys = {_key(text) for text in taken}
    copies: dict[str, int] = {}
    found = []
    for name in wanted:
        free, key = name, _key(name)
        while _key(free) in keys:
            copies[key] = copies.get(key, 1) + 1
            free = form.format(name, copies[key])
        keys.add(_key(free))
        found.append(free)
    return found


def file_id(text: str) -> str:
    """``text`` as a chapter's id: letters, digits and ``._-`` only, never ``book`` nor a name of Windows' devices."""
    kept = re.sub(r"[^\w.-]+", "-", text).strip("-._")[:LONGEST_ID]
    # Room for the number that tells it from another one of the same name.
    kept = kept.encode()[: MAX_ID_BYTES - 10].decode(errors="ignore").strip("-._") or "chapter"
    return f"{kept}-chapter" if re.fullmatch(r"(?i)book|con|prn|aux|nul|(?:com|lpt)\d", kept) else kept
