"""Have a draft's sections and topics follow the outline's, whatever their numbers and titles are by now.

A section of the draft is the outline's section of its title, of a title like it between its neighbours, or of its
topics in the same place. What the outline no longer has keeps a number behind all others. A topic that the outline has
in another section goes there with its text: so sections are merged and split, and a section may become a topic.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import NamedTuple

from expand.document.draft import Draft, DraftSection, Stamp, section_heading, text_hash
from expand.document.layout import SAME_TITLE, Named, Wanted, between, located
from expand.document.page import Heading, Page
from expand.markdown import matching
from expand.markdown.blocks import anchor, rows
from expand.markdown.matching import unnumbered

RENAMED_TITLE = 0.5
"""The likeness from which a title is a new one for the same section, where nothing else is in its place."""


def followed(draft: Draft, sections: Sequence[Named]) -> Draft:
    """The draft with the numbers of the outline's sections. Headings that the tool wrote take on what the outline says.
    An edited section stays known as edited."""
    numbers = new_numbers(draft, sections)
    found = [_moved(draft, section, numbers[section.number], sections) for section in draft.sections]
    found = [
        (section, stamp and replace(stamp, id=stamp.id or old.number))
        for old, (section, stamp) in zip(draft.sections, found, strict=True)
    ]
    return replace(
        draft,
        sections=tuple(sorted((section for section, _ in found), key=lambda section: section.number)),
        stamps={section.number: stamp for section, stamp in found if stamp is not None},
        pieces=tuple(numbers[piece] if isinstance(piece, int) else piece for piece in draft.pieces),
    )


def new_numbers(draft: Draft, sections: Sequence[Named]) -> Mapping[int, int]:
    """The outline's number of each of the draft's sections."""
    own = sorted(draft.sections, key=lambda section: section.number)
    found = located([_heading_of(section) for section in own], [section.wanted for section in sections])
    _renamed(found, len(sections), len(own), lambda index, at: _follows(own[at], sections[index]))
    # Anywhere, one topic in common is chance: many sections have one on errors, or a summary.
    several = {index for index, section in enumerate(sections) if len(section.topics) > 1}
    _renamed(
        found,
        len(sections),
        len(own),
        lambda index, at: index in several and _shares_topics(own[at], sections[index]),
        anywhere=True,
    )
    numbers = {own[at].number: index + 1 for index, at in found.items()}
    free = count(max(len(sections), *(section.number for section in own), 0) + 1 if own else 1)
    for other in own:
        if other.number not in numbers:
            # The outline may have no titles in a translation's language: its numbers are the outline's.
            known = draft.translated and other.number - 1 not in found
            numbers[other.number] = other.number if known or other.number > len(sections) else next(free)
    return numbers


def known_by_draft(draft: Draft, sections: Sequence[Named]) -> tuple[Named, ...]:
    """The outline's sections, with the headings that a draft has for them among their titles."""
    numbers = new_numbers(draft, sections)
    known = list(sections)
    for section in draft.sections:
        at = numbers[section.number] - 1
        if at >= len(known) or known[at].wanted.stated:
            continue
        page, named = Page(section.text), known[at]
        topics = list(named.topics)
        for slot, place in _topic_places(page, topics).items():
            topics[slot] = Wanted((*topics[slot].titles, page.headings[place].title), topics[slot].stated)
        wanted = Wanted((*named.wanted.titles, _heading_of(section).title))
        known[at] = named._replace(wanted=wanted, topics=tuple(topics))
    return tuple(known)


def _renamed(
    found: dict[int, int], wanted: int, present: int, is_same: Callable[[int, int], bool], *, anywhere: bool = False
) -> None:
    """Adds to what was found, by index, what is the same under another name between its neighbours, or ``anywhere``."""
    for index in range(wanted):
        if index not in found:
            free = set(range(present)) - {*found.values()} if anywhere else between(found, index, index, present)
            at = next((at for at in sorted(free) if is_same(index, at)), None)
            if at is not None:
                found[index] = at


def title_of(section: DraftSection) -> str:
    """The section's title as its heading has it."""
    return unnumbered(_heading_of(section).title)


class Bodies(NamedTuple):
    """The text on each topic of a section, by index, whether it has text on others, and what stands before them."""

    texts: Mapping[int, str]
    others: bool
    opening: str = ""


def bodies(text: str, topics: Sequence[Wanted], authors: Sequence[str]) -> Bodies:
    """What a section's text says on each topic, less ``authors``, which are the source's blocks. Without topics all of
    it is under 0."""
    page = Page(text)
    places = _topic_places(page, topics) if topics else {0: 0}
    found = {slot: _less(page, *_extent(page, at, whole=not topics), authors)[0] for slot, at in places.items()}
    others = bool(topics) and any(
        heading.level <= page.headings[at].level and index not in places.values()
        for at in places.values()
        for index, heading in enumerate(page.headings[1:], 1)
    )
    first = min((heading.lead for heading in page.headings[1:]), default=len(page.lines))
    opening = _less(page, _extent(page, 0)[0], first, authors)[0] if topics else ""
    return Bodies({slot: body for slot, body in found.items() if body.strip()}, others, opening)


def _topic_places(page: Page, topics: Sequence[Wanted]) -> dict[int, int]:
    """The index of each topic's heading among those of a section."""
    below = page.headings[1:]
    found = located(below, topics)

    def is_like(index: int, at: int) -> bool:
        return matching.best_likeness(below[at].title, topics[index].titles) >= RENAMED_TITLE

    _renamed(found, len(topics), len(below), is_like)
    return {topic: at + 1 for topic, at in found.items()}


def _extent(page: Page, at: int, *, whole: bool = False) -> tuple[int, int]:
    """The lines of the text below a heading: all of it, or down to the next heading of its level."""
    if at >= len(page.headings):
        return len(page.lines), len(page.lines)
    own = page.headings[at]
    later = () if whole else (other.lead for other in page.headings[at + 1 :] if other.level <= own.level)
    return own.end, next(iter(later), len(page.lines))


def _less(page: Page, start: int, end: int, authors: Sequence[str]) -> tuple[str, str]:
    """The text of some lines without the author's blocks, and these alone. A block of the author's may begin another
    one, as a list that the model went on with."""
    known = {" ".join(text.split()) for text in authors}
    body, rest = "", ""
    for span in page.spans:
        if span.start < start or span.end > end or span.kind in ("mark", "front-matter"):
            continue
        if span.kind == "blank":
            body, rest = (body + span.text if body else ""), (rest + span.text if rest else "")
        elif " ".join(span.text.split()) in known:
            rest += span.text
        else:
            begins = (text for text in authors if text and span.text.startswith((f"{text}\n", f"{text}\r")))
            own = "" if body else next(begins, "")
            rest, body = rest + own, body + span.text[len(own) :].lstrip("\r\n")
    return body.strip("\r\n").replace("\r\n", "\n"), rest.strip("\r\n")


class Carried(NamedTuple):
    """Text that came to a section from others, by topic: whether a person had edited one of them, and the stamp of
    the first."""

    texts: dict[int, str]
    edited: bool
    stamp: Stamp | None


def with_topics_moved(
    draft: Draft, sections: Sequence[Named], authors: Sequence[str], changed: Collection[int]
) -> tuple[Draft, Mapping[int, Carried]]:
    """A draft that follows the outline, without the texts that belong to other sections by now, and these by the number
    of the section where they belong. What the author wrote stays where it is. Sections that are not ``changed`` in the
    outline stay as they are."""
    carried: dict[int, Carried] = {}
    for number, named in enumerate(sections, 1):
        own = draft.section(number)
        if own is not None and not named.topics:
            continue
        there = _topic_places(Page(own.text), named.topics) if own else {}
        for slot, topic in enumerate(named.topics or (named.wanted,)):
            others = (one for one in draft.sections if one.number != number and one.number in changed)
            places = ((other, at) for other in others if (at := _unwanted(other, topic, sections)) is not None)
            other, at = next(places, (None, 0)) if slot not in there else (None, 0)
            if other is None:
                continue
            draft, text = _taken(draft, other, at, authors)
            former = carried.get(number, Carried({}, False, draft.stamps.get(other.number)))
            edited = former.edited or draft.edited(other.number)
            carried[number] = former._replace(texts={**former.texts, slot: text}, edited=edited)
    emptied = [s.number for s in draft.sections if s.number > len(sections) and not bodies(s.text, (), authors).texts]
    for number in emptied:
        draft = draft.without(number)
    return draft, {number: one for number, one in carried.items() if any(map(str.strip, one.texts.values()))}


def _unwanted(section: DraftSection, topic: Wanted, sections: Sequence[Named]) -> int | None:
    """The index of the heading with a topic's title in a section that has no such topic any more."""
    page = Page(section.text)
    known = section.number <= len(sections)
    wanted = _topic_places(page, sections[section.number - 1].topics).values() if known else ()
    keys = {matching.title_key(title) for title in topic.titles} - {""}
    titled = (at for at, heading in enumerate(page.headings) if matching.title_key(heading.title) in keys)
    return next((at for at in titled if at not in wanted and (at or not known)), None)


def _taken(draft: Draft, section: DraftSection, at: int, authors: Sequence[str]) -> tuple[Draft, str]:
    """The draft without the text below a heading of a section, and that text. The heading stays where the author's
    blocks do."""
    page = Page(section.text)
    start, end = _extent(page, at, whole=at == 0)
    body, rest = _less(page, start, end, authors)
    heading = page.headings[at]
    keeps = at == 0 or bool(rest) or " ".join(heading.text.split()) in {" ".join(text.split()) for text in authors}
    kept = page.cut(0, start if keeps else heading.lead) + (f"\n{rest}\n\n" if rest else "")
    left = DraftSection(number=section.number, text=kept + page.cut(end, len(page.lines)))
    stamp = draft.stamps.get(section.number)
    if stamp is not None and not draft.edited(section.number):
        stamp = replace(stamp, text=text_hash(left.text), lines=0)
    return draft.having(left, stamp), body


def inserted(text: str, slot: int, topics: Sequence[Wanted], topic: str) -> str:
    """An edited section with a topic's text, ``topic`` with its heading: before the first of the later topics that it
    has, else at its end."""
    page = Page(text)
    later = [page.headings[at].lead for other, at in _topic_places(page, topics).items() if other > slot]
    at = min(later, default=len(page.lines))
    before, behind = page.cut(0, at).rstrip("\r\n"), page.cut(at, len(page.lines))
    return f"{before}\n\n{topic.strip()}\n\n{behind}"


def _heading_of(section: DraftSection) -> Heading:
    """The section's heading; one without a title where a person took it away."""
    return next(iter(Page(section.text).headings), Heading(level=2, title=""))


def _follows(section: DraftSection, named: Named) -> bool:
    """Whether a section that has no other may be one of the outline's under another title."""
    likeness = matching.best_likeness(title_of(section), named.wanted.titles)
    return likeness >= RENAMED_TITLE or _shares_topics(section, named)


def _shares_topics(section: DraftSection, named: Named) -> bool:
    """Whether at least half of the topics have a heading in the section."""
    titles = [heading.title for heading in Page(section.text).headings[1:]]
    treated = [
        any(matching.best_likeness(title, topic.titles) >= SAME_TITLE for title in titles) for topic in named.topics
    ]
    return bool(treated) and 2 * sum(treated) >= len(treated)


def _moved(
    draft: Draft, section: DraftSection, number: int, sections: Sequence[Named]
) -> tuple[DraftSection, Stamp | None]:
    stamp = draft.stamps.get(section.number)
    text = section.text
    if draft.layout == "numbered" and number <= len(sections):
        by_tool = stamp is not None and stamp.name == anchor(title_of(section))
        title = sections[number - 1].title if by_tool else title_of(section)
        text = renumbered(text, section.number, number, title)
    if stamp is not None and not draft.edited(section.number):
        stamp = replace(stamp, text=text_hash(text))
    return DraftSection(number=number, text=text), stamp


def renumbered(text: str, former: int, number: int, title: str) -> str:
    """A numbered section under another number and title; only headings that the tool wrote change."""
    lines = rows(text)
    for heading in Page(text).headings:
        row = lines[heading.line]
        if heading.line == 0:
            lines[0] = section_heading(number, title) + row[len(row.rstrip("\r\n")) :]
        elif former != number and re.match(rf"### {former}\.\d+ ", row):
            lines[heading.line] = row.replace(f"{former}.", f"{number}.", 1)
    return "".join(lines)
