"""Have a draft's sections follow the outline's, whatever their numbers and titles are by now.

A section of the draft is the outline's section of its title, of a title like it between its neighbours, or of its
topics in the same place. What the outline no longer has keeps a number behind all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

from expand.document.draft import Draft, DraftSection, Stamp, numbered_heading, section_heading, text_hash
from expand.document.layout import SAME_TITLE, Named, located
from expand.document.page import Heading, Page
from expand.markdown import matching
from expand.markdown.blocks import anchor, rows
from expand.markdown.numbering import unnumbered

RENAMED_TITLE = 0.5
"""The likeness from which a title is a new one for the same section, where nothing else is in its place."""


def followed(draft: Draft, sections: Sequence[Named]) -> Draft:
    """The draft with the numbers of the outline's sections. Headings that the tool wrote take on what the outline says.
    An edited section stays known as edited.
    """
    numbers = new_numbers(draft, sections)
    found = [_moved(draft, section, numbers[section.number], sections) for section in draft.sections]
    return replace(
        draft,
        sections=tuple(sorted((section for section, _ in found), key=lambda section: section.number)),
        stamps={section.number: stamp for section, stamp in found if stamp is not None},
        pieces=tuple(numbers[piece] if isinstance(piece, int) else piece for piece in draft.pieces),
    )


def new_numbers(draft: Draft, sections: Sequence[Named]) -> Mapping[int, int]:
    """The outline's number of each of the draft's sections."""
    own = sorted(draft.sections, key=lambda section: section.number)
    headings = [_heading_of(section) for section in own]
    found = located(headings, [section.wanted for section in sections])
    taken = set(found.values())
    for index, section in enumerate(sections):
        if index in found:
            continue
        after = max((at for other, at in found.items() if other < index), default=-1)
        before = min((at for other, at in found.items() if other > index), default=len(own))
        same = [at for at in range(after + 1, before) if at not in taken and _follows(own[at], section)]
        if same:
            found[index] = same[0]
            taken.add(same[0])
    numbers = {own[at].number: index + 1 for index, at in found.items()}
    free = count(max(len(sections), *(section.number for section in own), 0) + 1 if own else 1)
    for other in own:
        if other.number not in numbers:
            numbers[other.number] = other.number if other.number > len(sections) else next(free)
    return numbers


def title_of(section: DraftSection) -> str:
    """The section's title as its heading has it."""
    return unnumbered(_heading_of(section).title)


def _heading_of(section: DraftSection) -> Heading:
    """The section's heading; one without a title where a person took it away."""
    headings = Page(section.text).headings
    if headings:
        return headings[0]
    return Heading(line=0, end=0, lead=0, level=2, title="", text="", setext=False)


def _follows(section: DraftSection, named: Named) -> bool:
    """Whether a section that has no other may be one of the outline's under another title."""
    likeness = max(matching.likenesses(title_of(section), named.wanted.titles), default=0.0)
    return likeness >= RENAMED_TITLE or _shares_topics(section, named)


def _shares_topics(section: DraftSection, named: Named) -> bool:
    """Whether at least half of the topics have a heading in the section."""
    titles = [heading.title for heading in Page(section.text).headings[1:]]
    treated = [
        any(max(matching.likenesses(title, topic.titles), default=0.0) >= SAME_TITLE for title in titles)
        for topic in named.topics
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
        ending = row[len(row.rstrip("\r\n")) :]
        if heading.line == 0:
            lines[0] = section_heading(number, title) + ending
        elif former != number and (rest := numbered_heading(row, former)) is not None:
            lines[heading.line] = f"### {number}.{rest}"
    return "".join(lines)
