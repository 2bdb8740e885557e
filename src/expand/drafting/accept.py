"""Drafts handed over to their documents: all of those named, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from expand.document.draft import document_text
from expand.drafting.acceptance_record import Acceptances, require_unchanged
from expand.drafting.draft_review import review
from expand.drafting.results import ChapterResult
from expand.settings import Settings
from expand.workspace import Workspace, read_text


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
    """What became of a handover: ``accepted`` is empty when any chapter was ``refused``."""

    accepted: tuple[Accepted, ...] = ()
    refused: tuple[ChapterResult, ...] = ()


def accept_drafts(
    workspace: Workspace, settings: Settings, chapters: Sequence[str], *, force: bool = False
) -> AcceptResult:
    """Puts drafts in the place of their sources. Everything is checked before anything is replaced;
    when one cannot be written, those before it are taken back.

    Refused are drafts with blocking findings. Raises ``InputError`` for a chapter without a draft,
    and for a source that changed since its draft was made. ``force`` passes over both.
    """
    book = workspace.book()
    reviewed = [review(workspace, settings, book, chapter) for chapter in dict.fromkeys(chapters)]
    outlines = {chapter.id: workspace.outline(chapter.id) for chapter in reviewed}
    if not force:
        for outline in outlines.values():
            require_unchanged(workspace, outline)
        if refused := tuple(chapter for chapter in reviewed if chapter.blocking):
            return AcceptResult(refused=refused)
    texts = {chapter.id: document_text(read_text(workspace.draft_path(chapter.id))) for chapter in reviewed}
    return AcceptResult(accepted=_all_or_none(workspace, reviewed, texts))


def _all_or_none(
    workspace: Workspace, reviewed: Sequence[ChapterResult], texts: dict[str, str]
) -> tuple[Accepted, ...]:
    acceptances = Acceptances(workspace)
    done: list[Accepted] = []
    try:
        for chapter in reviewed:
            source = workspace.outline(chapter.id).source
            changed = acceptances.accept(chapter.id, source, texts[chapter.id])
            done.append(Accepted(chapter=chapter.id, source=source, draft=chapter.draft, changed=changed))
    except BaseException:
        for accepted in reversed(done):
            if accepted.changed:
                acceptances.undo(accepted.chapter)
        raise
    return tuple(done)
