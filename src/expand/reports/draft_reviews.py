"""The drafts of a book held against their outlines, for the status report."""

from collections.abc import Collection
from contextlib import closing

from expand.drafting.accept import review
from expand.drafting.model_setup import profile_of
from expand.drafting.result_cache import ResultCache
from expand.drafting.results import ChapterResult
from expand.drafting.run_options import RunOptions
from expand.ledger import Ledger
from expand.outline import Plan
from expand.reports.data import BookData
from expand.reports.status_report import Reviews
from expand.settings import Settings
from expand.workspace import Workspace


def reviews(workspace: Workspace, settings: Settings, data: BookData) -> Reviews:
    """Every draft of the book held against its outline, as of now."""
    drafted = [
        chapter.id
        for chapter in data.chapters
        if chapter.outlined is not None
        and workspace.draft_path(
            data.book.draft_name(chapter.id, workspace.draft_language(data.book, chapter.id))
        ).is_file()
    ]
    judged = workspace.state_path("code", "verdicts.json").is_file()  # what runs stored has no verdicts
    known = _cached(workspace, settings, data, drafted) if drafted and not judged else {}
    return {
        chapter: known.get(chapter) or review(workspace, settings, data.book, chapter, known_code=judged)
        for chapter in drafted
    }


def _cached(workspace: Workspace, settings: Settings, data: BookData, drafted: Collection[str]) -> Reviews:
    """What a run stored of chapters that it had nothing left to do for, as far as nothing changed since: a review would
    find the same."""
    if (ledger := Ledger.read(workspace.ledger_place)) is None:
        return {}
    with closing(ledger):
        editions = ledger.editions()
    by_kind: dict[tuple[Plan, str], list[str]] = {}
    for chapter in data.chapters:
        draft = chapter.draft
        if draft and chapter.id in drafted and draft.plan in tuple(Plan):
            by_kind.setdefault((Plan(draft.plan), draft.language), []).append(chapter.id)
    known: dict[str, ChapterResult] = {}
    for (plan, language), chapters in by_kind.items():
        options = RunOptions(chapters=tuple(chapters), plan=plan, language=language)
        cache = ResultCache(workspace, options, profile_of(workspace, settings))
        results = {chapter: cache.result(chapter, editions) for chapter in chapters}
        known.update((chapter, result) for chapter, result in results.items() if result)
    return known
