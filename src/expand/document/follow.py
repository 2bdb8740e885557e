"""Have a draft's sections and topics follow the outline's, whatever their numbers and titles are by now.

A section of the draft is the outline's section of its title, of a title like it between its neighbours, or of its
topics in the same place. What the outline no longer has keeps a number behind all others. A topic that the outline has
in another section goes there with its text: so sections are merged and split, and a section may become a topic.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import NamedTuple

from expand.document.draft import Draft, Stamp, text_hash
from expand.document.layout import SAME_TITLE, Named, Wanted, between, located, renamed
from expand.document.numbered import renumbered
from expand.document.page import Heading, Page
from expand.markdown import matching
from expand.markdown.blocks import anchor
from expand.markdown.matching import unnumbered


def followed(draft: Draft, sections: Sequence[Named]) -> Draft:
    """The draft with the numbers of the outline's sections. Headings that the tool wrote take on what the outline says.
    An edited section stays known as edited."""
    numbers = new_numbers(draft, sections)
    texts: dict[int, str] = {}
    stamps: dict[int, Stamp] = {}
    for former, number in sorted(numbers.items(), key=lambda pair: pair[1]):
        texts[number] = text = _moved(draft, former, number, sections)
        if (stamp := draft.stamps.get(former)) is not None:
            hashed = stamp.text if draft.edited(former) else text_hash(text)
            stamps[number] = replace(stamp, text=hashed, id=stamp.id or former)
    pieces = tuple(numbers[piece] if isinstance(piece, int) else piece for piece in draft.pieces)
    return replace(draft, sections=texts, stamps=stamps, pieces=pieces)


def new_numbers(draft: Draft, sections: Sequence[Named]) -> Mapping[int, int]:
    """The outline's number of each of the draft's sections: by its title, by the outline's title when it was drafted,
    whatever a person calls it, or by its topics."""
    own = sorted(draft.sections)
    texts = [draft.sections[number] for number in own]
    stamps = [draft.stamps.get(number, Stamp(key="", text="")) for number in own]
    headings, wanted = [_heading_of(text) for text in texts], [section.wanted for section in sections]
    drafted = [Heading(level=2, title=(one.title or one.name).replace("-", " ")) for one in stamps]
    found = renamed(located(drafted, wanted, located(headings, wanted)), headings, wanted)
    for index, section in enumerate(sections):
        if index not in found:
            near = between(found, index, index, len(own))
            # Elsewhere, one topic in common is chance: many sections have one on errors, or a summary.
            far = [at for at in range(len(own)) if at not in found.values()] if len(section.topics) > 1 else []
            same = (at for at in (*near, *far) if _shares_topics(texts[at], section))
            found.update(zip((index,), same, strict=False))
    numbers = {own[at]: index + 1 for index, at in found.items()}
    free = count(max(len(sections), *own, 0) + 1)
    for other in own:
        if other not in numbers:
            # The outline may have no titles in a translation's language: its numbers are the outline's.
            known = draft.translated and other - 1 not in found
            numbers[other] = other if known or other > len(sections) else next(free)
    return numbers


def known_by_draft(draft: Draft, sections: Sequence[Named]) -> tuple[Named, ...]:
    """The outline's sections, with the headings that a draft has for them among their titles."""
    numbers = new_numbers(draft, sections)
    known = list(sections)
    for number, text in draft.sections.items():
        at = numbers[number] - 1
        if at >= len(known) or known[at].wanted.stated:
            continue
        page, named = Page(text), known[at]
        topics = list(named.topics)
        for slot, place in _topic_places(page, topics).items():
            topics[slot] = Wanted((*topics[slot].titles, page.headings[place].title), topics[slot].stated)
        wanted = Wanted((*named.wanted.titles, _heading_of(text).title))
        known[at] = named._replace(wanted=wanted, topics=tuple(topics))
    return tuple(known)


def title_of(section: str) -> str:
    """The title of a section's text as its heading has it."""
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
    found = renamed(located(below, topics), below, topics)
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
        own = draft.sections.get(number)
        if own is not None and not named.topics:
            continue
        there = _topic_places(Page(own), named.topics) if own else {}
        for slot, topic in enumerate(named.topics or (named.wanted,)):
            if slot in there:
                continue
            others = (other for other in draft.sections if other != number and other in changed)
            places = ((other, at) for other in others if (at := _unwanted(draft, other, topic, sections)) is not None)
            found = next(places, None)
            if found is None:
                continue
            other, at = found
            draft, text = _taken(draft, other, at, authors)
            former = carried.get(number, Carried({}, False, draft.stamps.get(other)))
            edited = former.edited or draft.edited(other)
            carried[number] = former._replace(texts={**former.texts, slot: text}, edited=edited)
    texts = draft.sections.items()
    kept = {n: text for n, text in texts if n <= len(sections) or bodies(text, (), authors).texts}
    draft = replace(draft, sections=kept)
    return draft, {number: one for number, one in carried.items() if any(map(str.strip, one.texts.values()))}


def _unwanted(draft: Draft, number: int, topic: Wanted, sections: Sequence[Named]) -> int | None:
    """The index of the heading with a topic's title in a section that has no such topic any more."""
    page = Page(draft.sections[number])
    known = number <= len(sections)
    wanted = _topic_places(page, sections[number - 1].topics).values() if known else ()
    keys = {matching.title_key(title) for title in topic.titles} - {""}
    titled = (at for at, heading in enumerate(page.headings) if matching.title_key(heading.title) in keys)
    return next((at for at in titled if at not in wanted and (at or not known)), None)


def _taken(draft: Draft, number: int, at: int, authors: Sequence[str]) -> tuple[Draft, str]:
    """The draft without a heading's text, and that text; the heading stays where the author's blocks do."""
    page = Page(draft.sections[number])
    start, end = _extent(page, at, whole=at == 0)
    body, rest = _less(page, start, end, authors)
    heading = page.headings[at]
    keeps = at == 0 or bool(rest) or " ".join(heading.text.split()) in {" ".join(text.split()) for text in authors}
    kept = page.cut(0, start if keeps else heading.lead) + (f"\n{rest}\n\n" if rest else "")
    left = kept + page.cut(end, len(page.lines))
    stamp = draft.stamps.get(number)
    if stamp is not None and not draft.edited(number):
        stamp = replace(stamp, text=text_hash(left), lines=0)
    return draft.having(number, left, stamp), body


def inserted(text: str, slot: int, topics: Sequence[Wanted], topic: str) -> str:
    """An edited section with a topic's text, ``topic`` with its heading: before the first of the later topics that it
    has, else at its end."""
    page = Page(text)
    later = [page.headings[at].lead for other, at in _topic_places(page, topics).items() if other > slot]
    at = min(later, default=len(page.lines))
    before, behind = page.cut(0, at).rstrip("\r\n"), page.cut(at, len(page.lines))
    return f"{before}\n\n{topic.strip()}\n\n{behind}"


def _heading_of(section: str) -> Heading:
    """The section's heading; one without a title where a person took it away."""
    return next(iter(Page(section).headings), Heading(level=2, title=""))


def _shares_topics(section: str, named: Named) -> bool:
    """Whether at least half of the topics have a heading in the section."""
    titles = [heading.title for heading in Page(section).headings[1:]]
    treated = [
        any(matching.best_likeness(title, topic.titles) >= SAME_TITLE for title in titles) for topic in named.topics
    ]
    return bool(treated) and 2 * sum(treated) >= len(treated)


def _moved(draft: Draft, former: int, number: int, sections: Sequence[Named]) -> str:
    """A section's text under its new number, and under the outline's title where the tool wrote the former one."""
    stamp, text = draft.stamps.get(former), draft.sections[former]
    if draft.layout == "keep":
        return text
    own = title_of(text)
    by_tool = stamp is not None and stamp.name == anchor(own) and number <= len(sections)
    return renumbered(text, former, number, sections[number - 1].title if by_tool else own)
