"""What a run finds before it begins: every chapter looked at once, before anything is spent."""

from __future__ import annotations

from dataclasses import dataclass

from expand.drafting.chapter import Edition
from expand.drafting.commission import Commission, Job
from expand.drafting.events import SectionPlanned
from expand.drafting.finished import Editions
from expand.drafting.folio import Folio
from expand.drafting.manuscript import Manuscript
from expand.drafting.ordering import rehearse
from expand.drafting.result import ChapterResult
from expand.drafting.section import loop_for
from expand.drafting.standing import standing


@dataclass(frozen=True, kw_only=True, slots=True)
class Agenda:
    """What is to be done about a chapter, and what is said of it before."""

    jobs: tuple[Job, ...]
    planned: tuple[SectionPlanned, ...]


def agenda(folio: Folio, commission: Commission, editions: Editions) -> Agenda:
    """A chapter's agenda. Where something is due, its first question is made on trial, so that what
    is wrong with the templates or the context window is said before anything is sent.

    Raises ``InputError``.
    """
    chapter = folio.chapter
    jobs: list[Job] = []
    planned: list[SectionPlanned] = []
    rehearsed = False
    for section in commission.chosen(chapter.outline):
        edition = edition_of(chapter.id, section.number, editions)
        stands = standing(folio, section, commission, edition=edition)
        jobs.append(Job(chapter=chapter.id, section=section.number))
        planned.append(
            SectionPlanned(
                chapter=chapter.id,
                section=section.number,
                title=chapter.title(section),
                lines=section.lines,
                reason=stands.reason,
            )
        )
        if stands.fate == "due" and not rehearsed:
            rehearsed = True
            manuscript = Manuscript(chapter.frame(section))
            ask = loop_for(manuscript, chapter.means).next()
            if ask is not None:
                rehearse(chapter, section, ask, manuscript)
    return Agenda(jobs=tuple(jobs), planned=tuple(planned))


def edition_of(chapter: str, section: int, editions: Editions) -> Edition:
    """The edition that the ledger has for a section."""
    number, instruction = editions.get((chapter, section), (0, ""))
    return Edition(number=number, instruction=instruction)


def planned_already(result: ChapterResult) -> list[SectionPlanned]:
    """What is said before of a chapter that is known to be finished."""
    return [
        SectionPlanned(
            chapter=result.id,
            section=section.number,
            title=section.title,
            lines=section.target_lines,
            reason="edited" if section.status == "edited" else "",
        )
        for section in result.sections
    ]
