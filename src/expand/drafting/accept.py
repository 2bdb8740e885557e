"""Drafts held against their outlines, and handed over to their documents; nothing is sent."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from expand.document.draft import document_text
from expand.drafting.acceptance_record import Acceptances, require_unchanged
from expand.drafting.draft_file import DraftStore
from expand.drafting.model_setup import model_setup_for
from expand.drafting.results import ChapterResult
from expand.drafting.run_options import RunOptions
from expand.errors import InputError, Place
from expand.outline import Book, Outline
from expand.outline.plans import Plan
from expand.settings import Settings
from expand.workspace import Workspace, read_text


def review(workspace: Workspace, settings: Settings, book: Book, chapter_id: str) -> ChapterResult:
    """A chapter's draft held to its outline, in the language and plan that it was drafted in, as a run would report it.

    Raises ``InputError`` when there is no draft.
    """
    draft = workspace.draft(chapter_id)
    if draft is None:
        workspace.outline(chapter_id)
        place = Place(path=workspace.relative(workspace.draft_path(chapter_id)))
        raise InputError("there is no draft", remedy=f"make one with `expand chapter {chapter_id}`", place=place)
    options = RunOptions(
        plan=Plan(draft.plan) if draft.plan in tuple(Plan) else Plan.FULL,
        language=draft.language if draft.language in book.languages else book.language,
    )
    setup = model_setup_for(workspace, settings, ledger=None)
    draft_file = DraftStore(workspace, book, options=options, setup=setup).look(chapter_id)
    return draft_file.chapter_result(
        [
            draft_file.section_result(section, "edited" if draft_file.edited(section.number) else "reused")
            for section in draft_file.chapter.outline.sections
        ],
        whole=True,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """A draft that is in the place of its source now; ``changed`` is False where it was before.

    ``source`` and ``draft`` are paths relative to the workspace.
    """

    chapter: str
    source: str
    draft: str
    changed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptResult:
    """What accepting some drafts came to: ``accepted`` is empty when any chapter was ``refused``."""

    accepted: tuple[Accepted, ...] = ()
    refused: tuple[ChapterResult, ...] = ()


def _require_own_sources(outlines: Iterable[Outline]) -> None:
    """Refuses two chapters with one document: the second text would take the place of the first."""
    taken: dict[str, str] = {}
    for outline in outlines:
        other = taken.setdefault(posixpath.normpath(outline.source), outline.id)
        if other != outline.id:
            raise InputError(
                f"chapters {other} and {outline.id} have the same source",
                remedy="give each a document of its own in its outline, or accept one of them",
                place=Place(path=outline.source),
            )


def accept_drafts(
    workspace: Workspace, settings: Settings, chapters: Sequence[str], *, force: bool = False
) -> AcceptResult:
    """Puts drafts in the place of their sources. Everything is checked before anything is replaced; when one cannot be
    written, those before it are taken back.

    Refused are drafts with blocking findings. Raises ``InputError`` for a chapter without a draft, and for a source
    that changed since its draft was made. ``force`` passes over both.
    """
    book = workspace.book()
    reviewed = [review(workspace, settings, book, chapter) for chapter in dict.fromkeys(chapters)]
    outlines = {chapter.id: workspace.outline(chapter.id) for chapter in reviewed}
    _require_own_sources(outlines.values())
    if not force:
        for outline in outlines.values():
            require_unchanged(workspace, outline)
        if refused := tuple(chapter for chapter in reviewed if chapter.blocking):
            return AcceptResult(refused=refused)
    texts = {chapter.id: document_text(read_text(workspace.draft_path(chapter.id))) for chapter in reviewed}
    acceptances = Acceptances(workspace)
    done: list[Accepted] = []
    try:
        for chapter in reviewed:
            source = outlines[chapter.id].source
            changed = acceptances.accept(chapter.id, source, texts[chapter.id])
            done.append(Accepted(chapter=chapter.id, source=source, draft=chapter.draft, changed=changed))
    except BaseException:
        for accepted in reversed(done):
            if accepted.changed:
                acceptances.undo(accepted.chapter)
        raise
    return AcceptResult(accepted=tuple(done))
