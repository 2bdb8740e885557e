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

from expand.document.site import SummaryEntry
from expand.errors import InputError, Place
from expand.importers.lengths import Length, Unit, read_line
from expand.importers.text_patterns import chapter_name, file_id, number_of_file, plain, title_of_file
from expand.markdown import blocks, lines
from expand.markdown.blocks import Block
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
_ANCHOR = re.compile(r"\s*\{[#.:][^}]*\}\s*$")


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

    @property
    def target_lines(self) -> int | None:
        """The target, where it is stated in lines."""
        return int(self.target.amount) if self.target and self.target.unit == "lines" else None


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
    headings = blocks.headings(text)
    title, rest = _title(text, headings)
    name = title or title_of_file(file)
    top = min((block.level for block in rest), default=0)
    tops = [block for block in rest if block.level == top]
    rows = blocks.rows(text)
    ends = [*(block.start for block in tops[1:]), len(rows)]
    sections = []
    for block, called, end in zip(tops, _called(*tops), ends, strict=False):
        if _NO_SECTION.match(called):
            continue
        inside = [b for b in rest if block.start < b.start < end]
        deep = min((b.level for b in inside), default=0)
        topics = tuple(_called(*(b for b in inside if b.level == deep)))
        length, present = read_line(block.title).length, lines.of_section("".join(rows[block.start : end]))
        sections.append(
            ProposedSection(title=called, length=length, topics=topics, present=present, line=block.start + 1)
        )
    chapter, target = chapter or id_of_file(file), read_line(headings[0].title).length if title and headings else None
    line = headings[0].start + 1 if headings else 1
    return tidy(Proposal(id=chapter, title=name, sections=tuple(sections), file=file, line=line, target=target))


def id_of_file(file: str) -> str:
    """The id of a chapter that is a file: the number it begins with, else its name."""
    path = PurePosixPath(file)
    if path.stem.lower() in ("index", "readme") and path.parent.name:
        return file_id(path.parent.name)
    return number_of_file(file) or file_id(path.stem)


def _title(text: str, headings: tuple[Block, ...]) -> tuple[str, tuple[Block, ...]]:
    """The document's title and the headings below it; "" when it has no title of its own."""
    front = ""
    first = blocks.blocks(text)[:1]
    if first and first[0].kind == "other" and first[0].text.startswith("---"):
        found = _FRONT_TITLE.search(first[0].text)
        front = found[2] if found else ""
    tops = [block for block in headings if block.level == 1]
    if len(tops) == 1 and headings[0] is tops[0]:
        (called,) = _called(tops[0])
        named = chapter_name(called)
        return named.title if named is not None and named.strong and named.title else called, headings[1:]
    return front, headings


def _called(*headings: Block) -> list[str]:
    """The titles of neighbours, without numbers and lines."""
    titles = [plain(read_line(_ANCHOR.sub("", heading.title)).title) for heading in headings]
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
