"""Drafts held against their outlines, without sending anything."""

from __future__ import annotations

from dataclasses import dataclass

from expand.contract import Finding
from expand.drafting.authorship import means_for
from expand.drafting.expansion import across, open_chapter
from expand.drafting.folio import Folio
from expand.drafting.result import ChapterResult, SectionResult, with_findings
from expand.errors import InputError, Place
from expand.outline import Book
from expand.outline.plan import Plan
from expand.settings import Settings
from expand.text import lines
from expand.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """A reviewed draft: the chapter as a run would report it, and the document as it stands."""

    chapter: ChapterResult
    folio: Folio

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """The findings that stop ``accept``."""
        found = [*self.chapter.findings]
        found += [f for section in self.chapter.sections for f in section.findings]
        return tuple(finding for finding in found if finding.severity == "blocking")


def review(workspace: Workspace, settings: Settings, book: Book, chapter_id: str) -> Review:
    """Checks a chapter's draft in the language and plan that it was drafted in.

    Raises ``InputError`` when there is no draft.
    """
    draft = workspace.draft(chapter_id)
    if draft is None:
        workspace.outline(chapter_id)
        raise InputError(
            "there is no draft", remedy=f"make one with `expand chapter {chapter_id}`",
            place=Place(path=workspace.relative(workspace.draft_path(chapter_id))),
        )  # fmt: skip
    chapter = open_chapter(
        workspace,
        book,
        chapter_id,
        plan=Plan(draft.plan) if draft.plan in tuple(Plan) else Plan.FULL,
        language=draft.language if draft.language in book.languages else book.language,
        means=means_for(workspace, settings, ledger=None),
    )
    folio = Folio(workspace, chapter)
    found = across(workspace, folio, whole=True)
    sections = tuple(
        with_findings(
            SectionResult(
                number=section.number,
                title=chapter.title(section),
                target_lines=section.lines,
                lines=lines.of_section(folio.texts[section.number]),
                status="edited" if folio.edited(section.number) else "reused",
                findings=chapter.check(section, folio.texts[section.number]),
            ),
            [f for f in found if f.section == section.number],
        )
        for section in chapter.outline.sections
    )
    numbers = {section.number for section in sections}
    return Review(
        chapter=ChapterResult(
            id=chapter_id,
            draft=folio.path,
            language=chapter.language,
            plan=chapter.plan.value,
            sections=sections,
            findings=tuple(f for f in found if f.section not in numbers),
        ),
        folio=folio,
    )
