"""What a run puts on the queue: the sections that are due, each with its key."""

from __future__ import annotations

from dataclasses import dataclass

from expand.drafting.draft_file import DraftFile, open_chapter
from expand.drafting.model_setup import ModelSetup
from expand.drafting.result_cache import ResultCache
from expand.drafting.run_options import RunOptions
from expand.drafting.section_state import SectionCheck, check_chapter_state, raise_revisions
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
            raise_revisions(self.ledger, options, lambda chapter: self._draft_file(chapter, options))
        revisions = self.ledger.editions()
        finished = ResultCache(self.workspace, options, self.means.profile)
        chapters: list[list[SectionJob]] = []
        current = edited = 0
        for chapter in options.chapters:
            known = finished.result(chapter, revisions)
            if known is not None:
                left = sum(section.status == "edited" for section in known.sections)
                edited += left
                current += len(known.sections) - left
                continue
            checks = check_chapter_state(self._draft_file(chapter, options), options, revisions)
            edited += sum(check.state == "edited" for check in checks)
            current += sum(not check.reason for check in checks)
            chapters.append([self._job(chapter, options, check) for check in checks if check.state == "due"])
        return SectionRequest(jobs=_in_order(chapters), current=current, edited=edited)

    def _job(self, chapter: str, options: RunOptions, check: SectionCheck) -> SectionJob:
        return SectionJob(
            chapter=chapter,
            section=check.section.number,
            options=options.for_job(),
            key=check.key,
            edition=check.revision.number,
            model=self.means.profile.name,
            lines=check.section.lines,
            present=dict(check.extra.present),
        )

    def _draft_file(self, chapter_id: str, options: RunOptions) -> DraftFile:
        chapter = open_chapter(self.workspace, self.book, chapter_id, options=options, setup=self.means)
        return DraftFile(self.workspace, chapter)


def _in_order(chapters: list[list[SectionJob]]) -> tuple[SectionJob, ...]:
    """As many chapters as are worked on at a time, each with one section; then their others."""
    found: list[SectionJob] = []
    for at in range(0, len(chapters), SIDE_BY_SIDE):
        block = chapters[at : at + SIDE_BY_SIDE]
        found += [jobs[0] for jobs in block if jobs]
        found += [job for jobs in block for job in jobs[1:]]
    return tuple(found)
