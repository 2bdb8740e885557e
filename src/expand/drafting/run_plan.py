"""What a run finds before it begins: every chapter looked at once, before anything is spent."""

from __future__ import annotations

from dataclasses import dataclass

from expand.drafting.chapter_state import Revision
from expand.drafting.draft_file import DraftFile
from expand.drafting.events import SectionPlanned
from expand.drafting.request_builder import rehearse
from expand.drafting.result_cache import Revisions
from expand.drafting.results import ChapterResult
from expand.drafting.run_options import Job, RunOptions
from expand.drafting.section_run import loop_for
from expand.drafting.section_status import check_section_state
from expand.drafting.section_text import SectionText


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPlan:
    """What is to be done about a chapter, and what is said of it before."""

    jobs: tuple[Job, ...]
    planned: tuple[SectionPlanned, ...]


def run_plan(folio: DraftFile, options: RunOptions, editions: Revisions) -> RunPlan:
    """A chapter's agenda. Where something is due, its first question is made on trial, so that what
    is wrong with the templates or the context window is said before anything is sent.

    Raises ``InputError``.
    """
    chapter = folio.chapter
    jobs: list[Job] = []
    planned: list[SectionPlanned] = []
    rehearsed = False
    for section in options.chosen(chapter.outline):
        edition = revision_of(chapter.id, section.number, editions)
        stands = check_section_state(folio, section, options, edition=edition)
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
            manuscript = SectionText(chapter.frame(section))
            ask = loop_for(manuscript, chapter.means).next()
            if ask is not None:
                rehearse(chapter, section, ask, manuscript)
    return RunPlan(jobs=tuple(jobs), planned=tuple(planned))


def revision_of(chapter: str, section: int, editions: Revisions) -> Revision:
    """The edition that the ledger has for a section."""
    number, instruction = editions.get((chapter, section), (0, ""))
    return Revision(number=number, instruction=instruction)


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
