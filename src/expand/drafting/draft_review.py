"""Drafts held against their outlines, without sending anything."""

from __future__ import annotations

from expand.drafting.draft_file import DraftFile
from expand.drafting.draft_store import across, open_chapter
from expand.drafting.model_setup import model_setup_for
from expand.drafting.results import ChapterResult, SectionResult
from expand.drafting.run_options import RunOptions
from expand.errors import InputError, Place
from expand.markdown import lines
from expand.outline import Book
from expand.outline.plans import Plan
from expand.settings import Settings
from expand.workspace import Workspace


def review(workspace: Workspace, settings: Settings, book: Book, chapter_id: str) -> ChapterResult:
    """A chapter's draft held to its outline, in the language and plan that it was drafted in, as a
    run would report it.

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
        options=RunOptions(
            plan=Plan(draft.plan) if draft.plan in tuple(Plan) else Plan.FULL,
            language=draft.language if draft.language in book.languages else book.language,
        ),
        means=model_setup_for(workspace, settings, ledger=None),
    )
    folio = DraftFile(workspace, chapter)
    return ChapterResult.of(
        id=chapter_id,
        draft=folio.path,
        language=chapter.language,
        plan=chapter.plan.value,
        sections=[
            SectionResult(
                number=section.number,
                title=chapter.title(section),
                target_lines=section.lines,
                lines=lines.of_section(folio.texts[section.number]),
                status="edited" if folio.edited(section.number) else "reused",
                findings=chapter.check(section, folio.texts[section.number]),
            )
            for section in chapter.outline.sections
        ],
        across=across(workspace, folio, whole=True),
    )
