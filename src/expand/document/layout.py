"""Where an outline's sections and topics are in a document that keeps its own form, and where new text goes in.

A section is found by the heading or id that the outline states, by its title, or by a title like it between its
neighbours; its topics likewise, among the headings below it. What is not found is added after its neighbour, with a
heading in the document's own style. Text goes in below what the author wrote under a heading, and above what closes the
place: reference definitions, comments, rules, and the anchors of the heading that follows.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise, zip_longest
from types import MappingProxyType
from typing import NamedTuple

from expand.document.page import Heading, Page, Span
from expand.markdown import matching
from expand.markdown.blocks import Block, anchor
from expand.markdown.matching import all_unnumbered, stands_in_block

PLACEHOLDER_CHARACTERS = 200
"""A longer block is no placeholder, whatever it begins with."""
SAME_TITLE = 0.8
"""The likeness from which a heading between its neighbours is that of a section or topic."""
RENAMED_TITLE = 0.5
"""The likeness from which a title is a new one for the same section or topic, where nothing else is in its place."""

_COUNTER = re.compile(r"\d+|[一二三四五六七八九十]+|(?<![A-Za-z])[A-Z](?![A-Za-z])")
_DEFINITION = re.compile(r"\s*\[\^?[^\]\n]+\]:")
_SMALL_WORD = re.compile(r"(?<![\w'’`./-])[a-z]{4,}(?![\w`./(])")
_LONG_WORD = re.compile(r"[^\W\d_]{4,}")
_ONES = ("", *"一二三四五六七八九")
_NUMERALS = tuple(f"{_ONES[ten] if ten > 1 else ''}{'十' if ten else ''}{one}" for ten in range(10) for one in _ONES)
_BLANK_END = re.compile(r"(?:\r\n|\n|\r(?!\n))[ \t]*(?:\r\n?|\n)[ \t]*\Z")
_COMMENT = re.compile(r"\s*(?:<!--.*?-->\s*)+\Z", re.DOTALL)


class Wanted(NamedTuple):
    """What is looked for: ``titles`` in every language, and the heading or ``#id`` that the outline states."""

    titles: tuple[str, ...]
    stated: str = ""


class Slot(NamedTuple):
    """A place for the model's text on a topic, by its index; ``heading`` is for one that the document has not."""

    topic: int
    heading: str = ""


class Placeholder(NamedTuple):
    """A block of the author's that stands for text to come; it gives way to the topic's text."""

    topic: int
    text: str


class Added(NamedTuple):
    """What stands there once the section has text: its heading, where the document does not have the section, and its
    first sentences, where the author has none."""

    text: str


def located(
    headings: Sequence[Heading], wanted: Sequence[Wanted], known: Mapping[int, int] = MappingProxyType({})
) -> dict[int, int]:
    """The index of the heading that is each of the wanted ones, for those that there are; ``known`` are some of them.

    What is stated or titled so is found wherever it is; what is only like it must stand between its neighbours, in
    their order. A heading is taken once. Of several with one title it is that of the level that most of the wanted ones
    have, then the first after the neighbour before."""
    found = dict(known)
    for index, item in enumerate(wanted):
        if item.stated and index not in found:
            _take(found, index, [at for at, heading in enumerate(headings) if _is_stated(heading, item.stated)])
    keys = [matching.title_key(heading.title) for heading in headings]
    unstated = (pair for pair in enumerate(wanted) if not pair[1].stated and pair[0] not in known)
    own = {index: {matching.title_key(title) for title in item.titles} for index, item in unstated}
    titled = {index: [at for at, key in enumerate(keys) if key and key in own[index]] for index in own}
    levels = Counter(level for ats in titled.values() for level in {headings[at].level for at in ats})
    usual = min(levels, key=lambda level: (-levels[level], level), default=0)
    for index, candidates in titled.items():
        _take(found, index, sorted(candidates, key=lambda at: headings[at].level != usual))
    for indexes, free in _gaps(found, headings, own):
        if len(indexes) == 1 and free and all(headings[at].level > headings[free[0]].level for at in free[1:]):
            # All words of the one in the other's title: "Installation" and "Installation on Linux". Nothing else could
            # be meant. What is below the heading is its own: the section's topics, once its draft is accepted.
            said, others = matching.terms(headings[free[0]].title), map(matching.terms, wanted[indexes[0]].titles)
            if any(said and other and (said <= other or other <= said) for other in others):
                found[indexes[0]] = free[0]
    return renamed(found, headings, wanted, least=SAME_TITLE)


def between(found: Mapping[int, int], first: int, last: int, count: int) -> list[int]:
    """The places, of ``count``, that none of the ``found`` has and that are between those of the neighbours before the
    index ``first`` and behind ``last``."""
    after = max((at for other, at in found.items() if other < first), default=-1)
    before = min((at for other, at in found.items() if other > last), default=count)
    return [at for at in range(after + 1, before) if at not in found.values()]


def _take(found: dict[int, int], index: int, candidates: Sequence[int]) -> None:
    free = [at for at in candidates if at not in found.values()]
    after = max((at for other, at in found.items() if other < index), default=-1)
    if free:
        found[index] = next((at for at in free if at > after), free[0])


def renamed(
    found: Mapping[int, int], headings: Sequence[Heading], wanted: Sequence[Wanted], *, least: float = RENAMED_TITLE
) -> dict[int, int]:
    """What was found, by index, and the headings between its neighbours that are like a title that is not stated."""
    every = dict(found)
    for indexes, free in _gaps(every, headings, (index for index, one in enumerate(wanted) if not one.stated)):
        titles = [wanted[index].titles for index in indexes]
        likely = [[matching.best_likeness(headings[at].title, own) for at in free] for own in titles]
        every |= {indexes[row]: free[column] for row, column in _in_order(likely, least=least)}
    return dict(sorted(every.items()))


def retitled(found: Mapping[int, int], headings: Sequence[Heading], former: Sequence[Heading]) -> dict[int, int]:
    """What was found, by index, and the headings that a person gave another title: those like the ``former`` ones, and
    of any title where as many of one level stand between two neighbours as are missing there."""
    every = renamed(found, headings, [Wanted((heading.title,)) for heading in former])
    for level in {heading.level for heading in former}:
        for indexes, free in _gaps(every, headings, (at for at, one in enumerate(former) if one.level == level)):
            own = [at for at in free if headings[at].level == level]
            every |= zip(indexes, own, strict=True) if len(own) == len(indexes) else ()
    return dict(sorted(every.items()))


def retitled_headings(former: Sequence[Heading], present: Sequence[Heading]) -> list[tuple[Heading, Heading]]:
    """The ``former`` headings to which a person gave another title, each with the present one."""
    found = located(present, [Wanted((heading.title,)) for heading in former])
    pairs = ((former[index], present[at]) for index, at in retitled(found, present, former).items())
    return [(was, now) for was, now in pairs if anchor(was.title) != anchor(now.title)]


def _gaps(
    found: Mapping[int, int], headings: Sequence[Heading], indexes: Iterable[int]
) -> Iterator[tuple[list[int], list[int]]]:
    """Runs of indexes that were not found, with the places free between their neighbours; ``found`` may grow."""
    missing = (index for index in indexes if index not in found)
    runs = [list(run) for _, run in groupby(missing, key=lambda index: sum(other < index for other in found))]
    yield from ((run, between(found, run[0], run[-1], len(headings))) for run in runs)


def _in_order(likely: Sequence[Sequence[float]], *, least: float) -> list[tuple[int, int]]:
    """Pairs of rows and columns that are like enough, none crossing another, of the greatest likeness in all."""
    best: list[list[tuple[float, list[tuple[int, int]]]]] = [[(0.0, [])] * (len(likely[0]) + 1)]
    for row, values in enumerate(likely):
        line: list[tuple[float, list[tuple[int, int]]]] = [(0.0, [])]
        for column, value in enumerate(values):
            options = [line[column], best[-1][column + 1]]
            if value >= least:
                total, pairs = best[-1][column]
                options.append((total + value, [*pairs, (row, column)]))
            line.append(max(options, key=lambda option: option[0]))
        best.append(line)
    return best[-1][-1][1]


def _is_stated(heading: Heading, stated: str) -> bool:
    if stated.startswith("#"):
        return stated[1:] in (*heading.identifiers, anchor(heading.title))
    return matching.title_key(heading.title) == matching.title_key(stated)


def section_headings(page: Page) -> tuple[Heading, ...]:
    """The headings that may be those of sections: all but the document's title."""
    headings = page.headings
    if headings and headings[0].level == 1 and all(heading.level > 1 for heading in headings[1:]):
        return headings[1:]
    return headings


def extents(headings: Sequence[Heading], own: Mapping[int, Heading], end: int) -> dict[int, tuple[int, int]]:
    """The lines ``[start, end)`` of each of its ``own`` sections that a document has: from the heading to what belongs
    to the next one that is a section's or at least as high, or to the ``end`` of the body."""
    starts, found = {heading.line for heading in own.values()}, {}
    for key, heading in own.items():
        ends = (h for h in headings if h.line > heading.line and (h.line in starts or h.level <= heading.level))
        found[key] = heading.line, next((other.lead for other in ends if other.line < end), end)
    return found


def section_texts(page: Page, wanted: Sequence[Wanted], *, end: int) -> tuple[dict[int, str], bool]:
    """The text of each section that a document has, from its heading on, by number, and whether its other headings up
    to line ``end`` all stand in them."""
    headings = section_headings(page)
    own = {index + 1: headings[at] for index, at in located(headings, wanted).items()}
    places = extents(headings, own, end)
    outside = [h for h in headings if h.line < end and not any(a <= h.line < b for a, b in places.values())]
    return {number: page.cut(*place) for number, place in places.items()}, not outside


def _insertion_line(page: Page, start: int, end: int) -> int:
    """Where text goes in between two lines: behind the last block that is the author's text, not a closing one."""
    inside = (s for s in page.spans if s.start >= start and s.end <= end and s.start < s.end and not _closes(s))
    return max((span.end for span in inside), default=start)


def _closes(span: Span) -> bool:
    """Whether a span stays at the end of its place: blank lines, definitions, comments, rules."""
    if span.block is None:
        return span.kind == "blank"
    kind, text = span.block.kind, span.block.text
    if kind == "html":
        return bool(_COMMENT.match(text))
    return kind == "rule" or (kind in ("other", "paragraph") and bool(_DEFINITION.match(text)))


# Headings in the document's own style


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadingStyle:
    """How a document writes the headings of one place: in title case or not, with a number or without.

    ``number`` is what the last of them has before its title, which a heading behind it goes on from; "" where they have
    none."""

    level: int
    title_case: bool = False
    number: str = ""

    def heading(self, title: str, newline: str, *, ahead: int = 0) -> str:
        """A heading of that style with its line ending; ``ahead`` is how far behind the last one it is; 0: before it,
        so it has no number, since those that follow keep theirs."""
        said = _title_case(title) if self.title_case else title
        found = [*_COUNTER.finditer(self.number)] if ahead else []
        if found:
            start, end = found[-1].span()
            said = self.number[:start] + _counted_on(found[-1][0], ahead) + self.number[end:] + said
        return f"{'#' * min(6, self.level)} {said}{newline}"


def style_of(siblings: Sequence[Heading], *, level: int) -> HeadingStyle:
    """The style that the headings of one place have in common; plain headings of a level where there are none."""
    if not siblings:
        return HeadingStyle(level=level)
    own = [heading.title for heading in siblings]
    titles = all_unnumbered(own)
    # A capital in every word; what stands first says nothing, and one word may be a name.
    behind = [title.partition(" ")[2] for title in titles]
    words = sum(len(_LONG_WORD.findall(rest)) for rest in behind)
    numbered = all(one != title and one.endswith(title) for one, title in zip(own, titles, strict=True))
    return HeadingStyle(
        level=siblings[0].level,
        title_case=words > 1 and all(_title_case(rest) == rest for rest in behind),
        number=own[-1].removesuffix(titles[-1]) if numbered else "",
    )


def _counted_on(counter: str, ahead: int) -> str:
    """A number, a Chinese numeral up to 99 or a letter, so many further on."""
    if counter.isdigit():
        return str(int(counter) + ahead)
    if counter.isascii():
        return chr(min(ord("Z"), ord(counter) + ahead))
    return _NUMERALS[min(len(_NUMERALS) - 1, _NUMERALS.index(counter) + ahead)] if counter in _NUMERALS else counter


def _title_case(title: str) -> str:
    return _SMALL_WORD.sub(lambda found: found[0].capitalize(), title)


# Sections as parts

Part = str | Slot | Placeholder | Added
"""A piece of a section: the author's own text verbatim, a place for the model's, a block that gives way to it, or what
is added beside it."""


class Arrangement(NamedTuple):
    """A document as pieces: the author's text, and section numbers; ``sections`` has each one's parts.

    ``present`` are the numbers of the sections that the document has."""

    pieces: tuple[str | int, ...]
    sections: Mapping[int, tuple[Part, ...]]
    present: frozenset[int]
    newline: str


class Named(NamedTuple):
    """A section of the outline: what to look for in a document, and what to write where it is missing."""

    wanted: Wanted
    title: str
    topics: tuple[Wanted, ...]
    topic_titles: tuple[str, ...]


def arrange(
    page: Page,
    sections: Sequence[Named],
    *,
    end: int | None = None,
    starts: Mapping[int, int] = MappingProxyType({}),
) -> Arrangement:
    """A document with the sections of an outline, numbered from 1. Text before line ``end`` is its body; what is behind
    closes it. ``starts`` are the sections that are known, by the lines of their headings."""
    body_end = len(page.lines) if end is None else end
    headings = section_headings(page)
    known = {starts[h.line] - 1: at for at, h in enumerate(headings) if 0 < starts.get(h.line, 0) <= len(sections)}
    found = located(headings, [section.wanted for section in sections], known)
    siblings = [heading for heading in headings if heading.line < body_end]
    level = min((headings[at].level for at in found.values()), default=min((h.level for h in siblings), default=2))
    style = style_of([heading for heading in siblings if heading.level == level], level=level)
    missing = _missing_after(len(sections), found)
    order = sorted(found, key=found.__getitem__)
    pieces: list[str | int] = []
    parts: dict[int, tuple[Part, ...]] = {}

    def add_missing(after: int, *, last: bool) -> None:
        for ahead, index in enumerate(missing.get(after, ()), 1):
            heading = style.heading(sections[index].title, page.newline, ahead=ahead if last else 0)
            below = HeadingStyle(level=style.level + 1, title_case=style.title_case)
            topics = enumerate(sections[index].topic_titles)
            slots = [Slot(topic, below.heading(title, page.newline)) for topic, title in topics]
            parts[index + 1] = (Added(heading), *(slots or [Slot(0)]))
            pieces.append(index + 1)

    places = extents(headings, {index: headings[at] for index, at in found.items()}, body_end)
    at = headings[found[order[0]]].lead if order else _insertion_line(page, 0, body_end)
    pieces.append(page.mark + page.cut(0, at))
    add_missing(-1, last=not order)
    for index in order:
        start, stop = places[index]
        pieces += [page.cut(at, start), index + 1]
        parts[index + 1] = section_parts(page, headings[found[index]], stop, sections[index])
        at = stop
        if index == order[-1] and style.number and missing.get(index):
            pieces.append(page.cut(at, body_end))  # its number goes on from the last of the document's
            at = max(at, body_end)
        add_missing(index, last=index == order[-1])
    pieces.append(page.cut(at, len(page.lines)))
    return Arrangement(
        pieces=tuple(piece for piece in pieces if piece != ""),
        sections=dict(sorted(parts.items())),
        present=frozenset(index + 1 for index in found),
        newline=page.newline,
    )


def section_parts(page: Page, own: Heading, end: int, section: Named) -> tuple[Part, ...]:
    """A section as the author's text and the places in it; without topics there is one place, below the section's own
    heading."""
    below = [heading for heading in page.headings if own.line < heading.line < end]
    found = located(below, section.topics)
    topic_at = {at: topic for topic, at in found.items()}
    # The topics by the last heading of their text, which may be one below theirs.
    ending: dict[int, int] = {}
    for at, topic in topic_at.items():
        behind = (n for n in range(at + 1, len(below)) if below[n].level <= below[at].level or n in topic_at)
        ending[next(behind, len(below)) - 1] = topic
    beside = [below[at] for at in sorted(found.values())]
    if not beside:
        beside = [heading for heading in below if heading.level == min(other.level for other in below)]
    style = style_of(beside, level=own.level + 1)
    missing = _missing_after(len(section.topics), found)
    parts: list[Part] = []

    def add_missing(after: int, *, last: bool) -> None:
        for ahead, topic in enumerate(missing.get(after, ()), 1):
            heading = style.heading(section.topic_titles[topic], page.newline, ahead=ahead if last else 0)
            parts.append(Slot(topic, heading))

    stops = [*(heading.lead for heading in below), end]
    parts += _segment(page, own.line, stops[0], 0, place=not section.topics)
    add_missing(-1, last=not below)
    for at, (start, stop) in enumerate(pairwise(stops)):
        parts += _segment(page, start, stop, topic_at.get(at))
        if at in ending:
            add_missing(ending[at], last=at == len(below) - 1)
    return tuple(parts)


def _missing_after(count: int, found: Mapping[int, object]) -> dict[int, list[int]]:
    """What a document does not have, by what it goes behind; -1 for the beginning."""
    missing: dict[int, list[int]] = {}
    last = -1
    for index in range(count):
        if index in found:
            last = index
        else:
            missing.setdefault(last, []).append(index)
    return missing


def _segment(page: Page, start: int, end: int, topic: int | None, *, place: bool = True) -> Iterator[Part]:
    """The author's lines, with a place for a topic where their text ends, or with none. Without ``place`` only what
    stands for text to come gives way to that of the topic."""
    if topic is None:
        if text := page.cut(start, end):
            yield text
        return
    line = _insertion_line(page, start, end) if place else end
    at = start
    pieces: list[Part] = []
    for span, following in zip_longest(page.spans, page.spans[1:]):
        if start <= span.start and span.end <= line and span.block is not None and is_placeholder(span.block):
            behind = following.end if following and following.kind == "blank" else span.end
            pieces.append(page.cut(at, span.start))
            at = min(behind, line)
            pieces.append(Placeholder(topic, page.cut(span.start, at)))
    pieces += [page.cut(at, line), *([Slot(topic)] if place else []), page.cut(line, end)]
    yield from (piece for piece in pieces if piece != "")


def is_placeholder(block: Block) -> bool:
    """Whether a block says only that text is to come: "TODO: …", "Coming soon", "待补充"."""
    if block.kind not in ("paragraph", "list", "quote") or block.text.count("\n") > 1:
        return False
    return len(block.text) <= PLACEHOLDER_CHARACTERS and stands_in_block(block.text)


def opened(parts: Sequence[Part], opening: str) -> tuple[Part, ...]:
    """A section with first sentences, where the author has none between its heading and what follows."""
    if not opening or (isinstance(parts[0], str) and _parted(parts[0])[1].strip()):
        return tuple(parts)
    return (parts[0], Added(opening), *parts[1:])


def giving_way(parts: Sequence[Part]) -> tuple[Part, ...]:
    """A section in which the author's text on each topic gives way to the model's; headings stay, and so does a topic's
    text until there is another."""
    found: list[Part] = []
    for part, following in zip_longest(parts, parts[1:]):
        head, own = _parted(part) if isinstance(part, str) else ("", "")
        if isinstance(following, Slot) and not following.heading and own.strip():
            found += [*([head] if head else []), Placeholder(following.topic, own)]
        else:
            found.append(part)
    return tuple(found)


def _parted(text: str) -> tuple[str, str]:
    """A text up to its last heading with the blanks below it, and the rest."""
    page = Page(text)
    end = max((heading.end for heading in page.headings), default=0)
    end = next((at for at in range(end, len(page.lines)) if page.lines[at].strip()), len(page.lines))
    return page.cut(0, end), page.cut(end, len(page.lines))


def own_texts(parts: Sequence[Part]) -> dict[int | None, str]:
    """The author's text on each topic that has any, without its heading: what stands right before the topic's place.
    Under None what stands between the section's heading and the first of its topics."""
    texts: dict[int | None, str] = {
        part.topic: _parted(before)[1].strip("\r\n")
        for before, part in pairwise(parts)
        if isinstance(part, Slot) and not part.heading and isinstance(before, str)
    }
    if isinstance(parts[0], str) and not (len(parts) > 1 and isinstance(parts[1], Slot) and not parts[1].heading):
        texts[None] = _parted(parts[0])[1].strip("\r\n")
    return {topic: text for topic, text in texts.items() if text.strip()}


class Filled(NamedTuple):
    """A section with its text: ``lines`` are the lines of each topic's text in it, counted from 0, as (start, end)."""

    text: str
    lines: Mapping[int, tuple[int, int]]


def fill(parts: Sequence[Part], bodies: Sequence[str], newline: str, *, headings: bool = False) -> Filled:
    """A section's text with the topics' ``bodies`` in their places. Where no topic has any, it is the author's alone,
    without the headings of those that are missing, unless ``headings`` are wanted."""
    some = headings or any(body.strip() for body in bodies)
    joiner = Joiner(newline)
    lines: dict[int, tuple[int, int]] = {}
    for part in parts:
        if isinstance(part, str):
            joiner.keep(part)
        elif isinstance(part, Placeholder):
            if not bodies[part.topic].strip():
                joiner.keep(part.text)
        elif some and isinstance(part, Added):
            joiner.insert(part.text)
        elif some and isinstance(part, Slot):
            joiner.insert(part.heading)
            start = joiner.insert(bodies[part.topic].strip("\n").replace("\n", newline))
            lines[part.topic] = (start, joiner.lines)
    return Filled(joiner.text, {topic: place for topic, place in lines.items() if place[0] < place[1]})


def untouched(parts: Sequence[Part], newline: str) -> str:
    """A section as its document has it, "" for one that it does not have."""
    return fill(parts, [""] * len(parts), newline).text


class Assembled(NamedTuple):
    """A document with its sections, and the line where each one begins, counted from 0."""

    text: str
    starts: Mapping[int, int]


def assembled(arrangement: Arrangement, texts: Mapping[int, str]) -> Assembled:
    """The document with the sections' texts. One that the document does not have, and that has no text, is left out."""
    joiner = Joiner(arrangement.newline)
    starts = {}
    for piece in arrangement.pieces:
        if isinstance(piece, str):
            joiner.keep(piece)
        elif piece in arrangement.present:
            text = texts[piece]
            changed = text != untouched(arrangement.sections[piece], arrangement.newline)
            starts[piece] = joiner.keep(text, changed=changed)
        elif texts[piece].strip():
            starts[piece] = joiner.insert(texts[piece].rstrip("\r\n"))  # a draft's has the blanks behind it, too
    return Assembled(joiner.text, starts)


class Joiner:
    """Joins what is kept, as it is, with what is inserted, which gets a blank line around it where there is none."""

    def __init__(self, newline: str) -> None:
        self.text = ""
        self._newline = newline
        self._inserted = False

    @property
    def lines(self) -> int:
        """The lines so far."""
        return self.text.count("\n") + self.text.count("\r") - self.text.count("\r\n")

    def keep(self, text: str, *, changed: bool = False) -> int:
        """Add a text as it is; what follows one that was ``changed`` gets a blank line before it. Returns the line
        where it begins."""
        if text.strip() and self._inserted and not text.startswith(("\n", "\r")):
            self._blank()
        start = self.lines
        self.text += text
        self._inserted = changed or (self._inserted and not text.strip())
        return start

    def insert(self, text: str) -> int:
        """Add a text with a line ending and a blank line before it. Returns the line where it begins."""
        if not text.strip():
            return self.lines
        self._blank()
        start = self.lines
        self.text += text if text.endswith(("\n", "\r")) else text + self._newline
        self._inserted = True
        return start

    def _blank(self) -> None:
        if self.text and not self.text.endswith(("\n", "\r")):
            self.text += self._newline
        if self.text.strip() and not _BLANK_END.search(self.text):
            self.text += self._newline
