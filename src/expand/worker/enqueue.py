"""What a run puts on the queue: the sections that are due, each with its key."""

from __future__ import annotations

from dataclasses import dataclass

from expand.drafting.chapter_state import ModelSetup
from expand.drafting.draft_file import DraftFile
from expand.drafting.draft_store import open_chapter
from expand.drafting.result_cache import ResultCache, Revisions
from expand.drafting.run_options import RunOptions
from expand.drafting.run_plan import revision_of, run_plan
from expand.drafting.section_status import check_section_state
from expand.ledger import Ledger
from expand.outline import Book
from expand.schema import Json
from expand.worker.jobs import SectionJob
from expand.workspace import Workspace

SIDE_BY_SIDE = 8
"""How many chapters are begun at a time, so that a provider's cache is warm for their sections."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionRequest:
    """A run's sections: those to queue in the order of their work, and how many are
    ``current`` in their drafts or ``edited`` by hand.
    """

    jobs: tuple[SectionJob, ...]
    current: int
    edited: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Queued:
    """What became of a run that was put on the queue."""

    model: str
    queued: tuple[SectionJob, ...]
    there: tuple[SectionJob, ...]
    done: tuple[SectionJob, ...]
    current: int
    edited: int
    withdrawn: int

    def as_json(self) -> dict[str, Json]:
        """The object that ``expand chapter --queue --json`` prints."""
        return {
            "model": self.model,
            "queued": [_named(job) for job in self.queued],
            "there_already": [_named(job) for job in self.there],
            "bought_already": [_named(job) for job in self.done],
            "current": self.current,
            "edited": self.edited,
            "withdrawn": self.withdrawn,
        }


def _named(job: SectionJob) -> dict[str, Json]:
    return {"chapter": job.chapter, "section": job.section, "target_lines": job.lines}


@dataclass(frozen=True, kw_only=True, slots=True)
class Enqueuer:
    """Works out what a run wants. Sends nothing."""

    workspace: Workspace
    book: Book
    means: ModelSetup
    ledger: Ledger

    def wanted(self, options: RunOptions) -> SectionRequest:
        """the run's sections. With ``fresh`` they are asked for anew, but for edited ones.

        Raises ``InputError`` before anything is asked for when the input is wrong.
        """
        options.require_side_by_side("--queue", "workers draft them side by side")
        if options.fresh:
            self._begin_anew(options)
        editions = self.ledger.editions()
        finished = ResultCache(self.workspace, options, self.means.profile)
        chapters: list[list[SectionJob]] = []
        current = edited = 0
        for chapter in options.chapters:
            known = finished.result(chapter, editions)
            if known is not None:
                left = sum(section.status == "edited" for section in known.sections)
                edited += left
                current += len(known.sections) - left
                continue
            folio = self._folio(chapter, options)
            found = run_plan(folio, options, editions)
            edited += sum(planned.reason == "edited" for planned in found.planned)
            current += sum(not planned.reason for planned in found.planned)
            chapters.append(self._due(folio, options, editions))
        return SectionRequest(jobs=_in_order(chapters), current=current, edited=edited)

    def _due(self, folio: DraftFile, options: RunOptions, editions: Revisions) -> list[SectionJob]:
        chapter = folio.chapter
        jobs: list[SectionJob] = []
        for section in options.chosen(chapter.outline):
            edition = revision_of(chapter.id, section.number, editions)
            stands = check_section_state(folio, section, options, edition=edition)
            if stands.fate == "due":
                jobs.append(
                    SectionJob(
                        chapter=chapter.id,
                        section=section.number,
                        options=options.for_job(),
                        key=stands.key,
                        edition=edition.number,
                        model=self.means.profile.name,
                        lines=section.lines,
                        present=dict(stands.setting.present),
                    )
                )
        return jobs

    def _begin_anew(self, options: RunOptions) -> None:
        """Raises the editions; a section that a person edited is left to them."""
        chosen = []
        for chapter in options.chapters:  # nothing is raised where the input is wrong
            folio = self._folio(chapter, options)
            chosen += [
                (chapter, section.number)
                for section in options.chosen(folio.chapter.outline)
                if not folio.edited(section.number)
            ]
        for chapter, number in chosen:
            self.ledger.raise_edition(chapter, number)

    def _folio(self, chapter: str, options: RunOptions) -> DraftFile:
        return DraftFile(
            self.workspace,
            open_chapter(
                self.workspace,
                self.book,
                chapter,
                options=options,
                means=self.means,
            ),
        )


def _in_order(chapters: list[list[SectionJob]]) -> tuple[SectionJob, ...]:
    """As many chapters as are worked on at a time, each with one section; then their others."""
    found: list[SectionJob] = []
    for at in range(0, len(chapters), SIDE_BY_SIDE):
        block = chapters[at : at + SIDE_BY_SIDE]
        found += [jobs[0] for jobs in block if jobs]
        found += [job for jobs in block for job in jobs[1:]]
    return tuple(found)
