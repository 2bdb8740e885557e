"""The drafts of a book held against their outlines, for the status report."""

from collections.abc import Mapping
from contextlib import closing

from expand.drafting.accept import review
from expand.drafting.draft_counts import DraftSummary
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
    drafted = {
        chapter.id: chapter.draft
        for chapter in data.chapters
        if chapter.outlined is not None
        and workspace.draft_path(
            data.book.draft_name(chapter.id, workspace.draft_language(data.book, chapter.id))
        ).is_file()
    }
    judged = workspace.state_path("code", "verdicts.json").is_file()  # what runs stored has no verdicts
    known = {} if judged else _cached(workspace, settings, drafted)
    return {
        chapter: known.get(chapter) or review(workspace, settings, data.book, chapter, known_code=judged)
        for chapter in drafted
    }


def _cached(workspace: Workspace, settings: Settings, drafted: Mapping[str, DraftSummary | None]) -> Reviews:
    """What a run stored of chapters that it had nothing left to do for, as far as nothing changed since: a review would
    find the same."""
    if not drafted or (ledger := Ledger.read(workspace.ledger_place)) is None:
        return {}
    with closing(ledger):
        editions = ledger.editions()
    known: dict[str, ChapterResult] = {}
    made = {(draft.plan, draft.language) for draft in drafted.values() if draft and draft.plan in tuple(Plan)}
    for plan, language in made:
        chapters = tuple(
            c for c, draft in drafted.items() if draft and (draft.plan, draft.language) == (plan, language)
        )
        options = RunOptions(chapters=chapters, plan=Plan(plan), language=language)
        cache = ResultCache(workspace, options, profile_of(workspace, settings))
        known |= {chapter: found for chapter in chapters if (found := cache.result(chapter, editions))}
    return known
