"""What a document proposes for a chapter, before it is written as an outline.

Lines are Markdown lines, hours wall-clock hours. None means that the document does not say. A document's own headings
are its sections and topics: a length that a heading states ("Tools (250 lines)") is taken, and the lines under a
heading count as present, so that a section asks for no less than it has.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import PurePosixPath

from expand.document.layout import section_headings
from expand.document.page import Heading, Page
from expand.document.site import SummaryEntry
from expand.errors import InputError, Place
from expand.importers.lengths import Length, Unit, read_line
from expand.importers.text_patterns import chapter_name, file_id, number_of_file, plain, title_of_file
from expand.markdown import blocks, lines
from expand.markdown.matching import all_unnumbered
from expand.outline import CHARACTERS_A_LINE, WORDS_A_LINE, Priority
from expand.schema.input_file import UNWANTED

ROUND_TO = 5
"""Shares of a chapter's lines are multiples of this: nobody plans a section of 143 lines."""
LEAST_LINES = 25
"""What a section gets at least when its lines are a share of the chapter's."""
LONGEST = 480
"""Characters of a title or topic; what an outline may hold is a little more."""
MAX_AUDIENCE = 20_000
"""Characters of what an outline says of its readers."""
_NO_SECTION = re.compile(
    r"(?i)^(?:table of contents|contents|on this page|see also|references?|further reading|"
    r"footnotes|目录|本章目录|参考(?:资料|文献|链接)?|延伸阅读)$"
)
_FRONT_TITLE = re.compile(r"(?m)^title:[ \t]*([\"']?)(.+?)\1[ \t]*$")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProposedSection:
    """A section: ``length`` is what the document wants of it, ``present`` the lines that it already has. ``line`` is
    where the document says so, from 1. ``examples`` is the least number of code blocks, as it is a chapter's."""

    title: str
    length: Length | None = None
    topics: tuple[str, ...] = ()
    present: int = 0
    line: int = field(default=0, compare=False)
    examples: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A chapter: ``file`` is the document's name as the plan gives it, ``line`` where in the plan
    it stands (from 1), ``target`` the length that is stated for the whole chapter. ``id`` is "" where it gives none."""

    id: str
    title: str
    sections: tuple[ProposedSection, ...]
    file: str | None = None
    line: int = 1
    target: Length | None = None
    hours: float | None = None
    priority: Priority | None = None
    examples: int | None = None
    audience: str | None = None


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
    audience = _one_line(proposal.audience or "", MAX_AUDIENCE) or None
    return replace(
        proposal, title=title, sections=tuple(sections) or (ProposedSection(title=title),), audience=audience
    )


def settled(proposal: Proposal, *, lines: int) -> Proposal:
    """The proposal with a length for every section.

    What is left of the chapter's target is shared among the sections that state none, by their topics; none gets less
    than it already has. A chapter without a target has ``lines``, or where its sections count something else as much
    for each as the others have on average."""
    sections = proposal.sections
    unset = [section for section in sections if section.length is None]
    lengths = [section.length for section in sections if section.length]
    units = {length.unit for length in lengths}
    whole = proposal.target or (Length(lines, "lines") if len(units) != 1 or units == {"lines"} else None)
    unit = whole.unit if whole else units.pop()
    a_line: dict[str, Fraction] = {"words": Fraction(WORDS_A_LINE), "characters": CHARACTERS_A_LINE}
    rates = {length.unit: a_line.get(unit, 1) / Fraction(a_line.get(length.unit, 1)) for length in lengths}
    stated = [round(Fraction(length.amount) * rates[length.unit]) for length in lengths]
    left = int(whole.amount) - sum(stated) if whole else sum(stated) * len(unset) // len(stated)
    shares = iter(_shared(max(left, ROUND_TO), [Fraction(1 + len(one.topics)) for one in unset], unset))
    return replace(
        proposal, sections=tuple(s if s.length else replace(s, length=Length(next(shares), unit)) for s in sections)
    )


def scaled(proposal: Proposal, *, lines: int) -> Proposal:
    """The proposal with its sections' lines in their proportions, ``lines`` together; a section that states none counts
    as the others do on average. Only what sections have already can make more."""
    sections = proposal.sections
    stated = [Fraction(s.length.amount) for s in sections if s.length] or [Fraction(1)]
    mean = sum(stated, Fraction(0)) / len(stated)
    counts = _shared(lines, [Fraction(s.length.amount) if s.length else mean for s in sections], sections)
    return replace(
        proposal, sections=tuple(replace(s, length=Length(n, "lines")) for s, n in zip(sections, counts, strict=True))
    )


def _shared(amount: int, weights: Sequence[Fraction], sections: Sequence[ProposedSection]) -> list[int]:
    """An amount in shares by weight: multiples of ``ROUND_TO`` where the sum allows it, no less than a section has, and
    ``LEAST_LINES`` at least for each where there are so many."""
    if not sections:
        return []
    least = max(1, min(LEAST_LINES, amount // len(sections) // ROUND_TO * ROUND_TO))
    counts = [max(least, -(-s.present // ROUND_TO) * ROUND_TO) for s in sections]
    wants = [amount * weight / sum(weights) for weight in weights]
    step = max(ROUND_TO, amount // 1_000 // ROUND_TO * ROUND_TO)  # larger where five lines are next to nothing
    for left in range(amount - sum(counts), 0, -step):
        at = max(range(len(counts)), key=lambda at: wants[at] - counts[at])
        counts[at] += min(step, left)
    return counts


def converted(proposal: Proposal, per: Mapping[Unit, Length], *, place: Place) -> Proposal:
    """The proposal with lengths in what an outline can state: ``per`` says what a page or a minute comes to.

    Raises ``InputError`` for one that ``per`` does not know, at its line of the document that ``place`` names."""

    def stated(length: Length | None, title: str, line: int) -> Length | None:
        if length is None or length.unit in ("lines", "words", "characters"):
            return length
        if (one := per.get(length.unit)) is not None:
            return Length(round(Fraction(length.amount) * Fraction(one.amount)), one.unit)
        name = length.unit.removesuffix("s")
        what = f"{title!r} is {length}, and an outline states lines, words or characters"
        remedy = f"say what a {name} comes to: --{name} '300 words' (or lines, or characters)"
        if length.unit == "percent":
            what = f"{title!r} is a share of the chapter, and no length is stated for that"
            remedy = "state the chapter's, such as `Total: 2,000 words`"
        raise InputError(what, remedy=remedy, place=place._replace(line=line))

    return replace(
        proposal,
        target=stated(proposal.target, proposal.title, proposal.line),
        sections=tuple(
            replace(s, length=stated(s.length, s.title, s.line or proposal.line)) for s in proposal.sections
        ),
    )


def _one_line(text: str, longest: int = LONGEST) -> str:
    return " ".join(UNWANTED.sub(" ", text).split())[:longest].rstrip()


def _key(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


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


# Documents by their headings.


def read_headings(text: str, *, file: str, chapter: str | None = None) -> Proposal:
    """The chapter that the document named ``file`` is; ``chapter`` is its id if that is known.

    Without headings it has a single section, called as the chapter is."""
    page = Page(text)
    headings, rest = page.headings, section_headings(page)
    front = _FRONT_TITLE.search(page.cut(0, blocks.front_matter_lines(page.lines)))
    title, target = front[2] if front else "", None
    if len(rest) < len(headings):  # the first one is the document's title
        (title,), target = _called(headings[:1]), read_line(headings[0].title).length
        named = chapter_name(title)
        title = named.title if named is not None and named.strong and named.title else title
    tops = _highest(rest)
    ends = [*(heading.line for heading in tops[1:]), len(page.lines)]
    sections = [
        ProposedSection(
            title=called,
            length=read_line(heading.title).length,
            topics=tuple(_called(_highest([one for one in rest if heading.line < one.line < end]))),
            present=lines.of_section(page.cut(heading.line, end)),
            line=heading.line + 1,
        )
        for heading, called, end in zip(tops, _called(tops), ends, strict=False)
        if not _NO_SECTION.match(called)
    ]
    return tidy(
        Proposal(
            id=chapter or id_of_file(file),
            title=title or title_of_file(file),
            sections=tuple(sections),
            file=file,
            line=headings[0].line + 1 if headings else 1,
            target=target,
        )
    )


def _highest(headings: Sequence[Heading]) -> list[Heading]:
    """Those of the headings that none is above."""
    top = min((heading.level for heading in headings), default=0)
    return [heading for heading in headings if heading.level == top]


def id_of_file(file: str) -> str:
    """The id of a chapter that is a file: the number it begins with, else its name."""
    path = PurePosixPath(file)
    if path.stem.lower() in ("index", "readme") and path.parent.name:
        return file_id(path.parent.name)
    return number_of_file(file) or file_id(path.stem)


def _called(headings: Sequence[Heading]) -> list[str]:
    """The titles of neighbours, without numbers and lines."""
    titles = [plain(read_line(heading.title).title) for heading in headings]
    return [plain(bare) or title for bare, title in zip(all_unnumbered(titles), titles, strict=True)]


def with_ids(entries: Iterable[SummaryEntry], taken: Iterable[str] = ()) -> list[tuple[str, SummaryEntry]]:
    """The entries with ids that are not ``taken``: the numbers of their files if half of them have one and no two the
    same, else their names, behind the folders that they are in where another has that name too."""
    every = list(entries)
    numbers = [(entry.file and number_of_file(entry.file)) or "" for entry in every]
    numbered = [number for number in numbers if number]
    if len(set(numbered)) < len(numbered) or 2 * len(numbered) < len(every):
        numbers = [""] * len(every)
    ids = [number or _name(entry) for number, entry in zip(numbers, every, strict=True)]
    counts = Counter(map(str.casefold, ids))
    ids = [
        one if counts[one.casefold()] == 1 else _name(entry, whole=True) for one, entry in zip(ids, every, strict=True)
    ]
    return list(zip(all_free(ids, taken), every, strict=True))


def _name(entry: SummaryEntry, *, whole: bool = False) -> str:
    """An id from a file's name, or its ``whole`` path; the folder stands for its index."""
    if entry.file is None:
        return file_id(entry.title.lower())
    if not whole:
        return file_id(PurePosixPath(entry.file).stem) if number_of_file(entry.file) else id_of_file(entry.file)
    path = PurePosixPath(entry.file).with_suffix("")
    parts = path.parent.parts if path.name.lower() in ("index", "readme") else path.parts
    return file_id("-".join(parts))
