"""The drafts in the status report: held against their outlines, and what is to be done next."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal

from expand.drafting.results import ChapterResult
from expand.ledger import Ledger
from expand.ledger.values import State
from expand.outline.plans import Plan
from expand.reports import messages
from expand.reports.data import BookData, ChapterData
from expand.reports.report_model import Column, Notes, Table, Value, column_sum
from expand.reports.rounding import percent
from expand.settings import Settings
from expand.workspace import Workspace

Reviews = Mapping[str, ChapterResult]
"""The drafts held against their outlines, by chapter."""


def reviews(workspace: Workspace, settings: Settings, facts: BookData) -> Reviews:
    """Every draft of the book held against its outline, as of now."""
    drafted = [
        chapter.id
        for chapter in facts.chapters
        if chapter.outlined is not None and workspace.draft_path(chapter.id).is_file()
    ]
    if not drafted:
        return {}
    from expand.drafting.accept import review  # start-up time: it parses code

    known = _known(workspace, settings, facts, drafted)
    return {chapter: known.get(chapter) or review(workspace, settings, facts.book, chapter) for chapter in drafted}


def _known(workspace: Workspace, settings: Settings, facts: BookData, drafted: Collection[str]) -> Reviews:
    """What a run kept of chapters that it had nothing left to do for, as far as nothing changed
    since: a review would find the same.
    """
    ledger = Ledger.read(workspace.ledger_place)
    if ledger is None:
        return {}
    from expand.drafting.model_setup import profile_of  # start-up time
    from expand.drafting.result_cache import ResultCache
    from expand.drafting.run_options import RunOptions

    try:
        editions = ledger.editions()
    finally:
        ledger.close()
    kinds: dict[tuple[Plan, str], list[str]] = {}
    for chapter in facts.chapters:
        draft = chapter.draft
        if draft and chapter.id in drafted and draft.plan in tuple(Plan):
            kinds.setdefault((Plan(draft.plan), draft.language), []).append(chapter.id)
    known: dict[str, ChapterResult] = {}
    for (plan, language), chapters in kinds.items():
        options = RunOptions(chapters=tuple(chapters), plan=plan, language=language)
        finished = ResultCache(workspace, options, profile_of(workspace, settings))
        results = {chapter: finished.result(chapter, editions) for chapter in chapters}
        known.update((chapter, result) for chapter, result in results.items() if result)
    return known


def drafts(facts: BookData, reviews: Reviews) -> Table:
    """Each draft against its outline: lines, length score, findings, whether it keeps it."""
    rows: list[tuple[Value, ...]] = []
    for chapter in facts.chapters:
        result = reviews.get(chapter.id)
        if result is None:
            continue
        found = result.every_finding
        counts = [sum(f.severity == kind for f in found) for kind in ("blocking", "warning")]
        rows.append(
            (
                chapter.id,
                result.plan,
                result.language,
                result.target_lines,
                result.lines,
                percent(result.lines, result.target_lines),
                Decimal(str(result.length_score)),
                *counts,
                "blocked" if counts[0] else "kept" if result.kept else "short",
            )
        )
    return Table(
        id="drafts",
        columns=(
            Column(id="id", kind="text"),
            Column(id="plan", kind="plan"),
            Column(id="language", kind="text"),
            Column(id="asked_lines"),
            Column(id="draft_lines"),
            Column(id="rate", kind="percent"),
            Column(id="length_score", kind="factor"),
            Column(id="blocking"),
            Column(id="warnings"),
            Column(id="contract", kind="word"),
        ),
        rows=tuple(rows),
    )


def sections(facts: BookData, language: str) -> Table:
    """The outlines of the chapters to write, and of those with a draft: delivered of asked."""
    rows: list[tuple[Value, ...]] = [
        (
            chapter.id,
            section.number,
            section.title.say(language),
            section.lines,
            section.delivered,
            percent(section.delivered, section.lines),
        )
        for chapter in facts.chapters
        if not chapter.finished or chapter.draft
        for section in chapter.sections
    ]
    asked, delivered = column_sum(rows, 3), column_sum(rows, 4)
    return Table(
        id="sections",
        columns=(
            Column(id="chapter", kind="text"),
            Column(id="section", kind="ordinal"),
            Column(id="title", kind="text"),
            Column(id="asked_lines"),
            Column(id="draft_lines"),
            Column(id="rate", kind="percent"),
        ),
        rows=tuple(rows),
        total=(None, None, None, asked, delivered, percent(delivered, asked)) if rows else None,
    )


def to_do(facts: BookData, reviews: Reviews, language: str) -> Notes:
    """What is to be done next, chapter by chapter, and in the books."""
    lines = []
    for chapter in facts.chapters:
        if chapter.finished:
            continue
        result = reviews.get(chapter.id)
        kind, count = _step(chapter, result)
        lines.append(
            messages.say(
                language,
                f"say.todo.{kind}",
                id=chapter.id,
                title=chapter.title.say(language),
                lines=f"{count:,}" if kind != "write" else f"{count:+,}",
            )
        )
    unknown = sum(part.attempts for part in facts.overview.open if part.state is State.UNKNOWN)
    if unknown:
        lines.append(messages.say(language, "say.todo.reconcile", attempts=f"{unknown:,}"))
    lines += [
        messages.say(language, "say.todo.lines", id=c.id, counted=f"{c.counted:,}")
        for c in facts.chapters
        if c.counted is not None and c.recorded is not None and c.counted != c.recorded
    ]
    return Notes(id="todo", lines=tuple(lines) or (messages.say(language, "say.nothing_todo"),), todo=True)


def _step(chapter: ChapterData, result: ChapterResult | None) -> tuple[str, int]:
    """What is to be done next with a chapter, and the lines that go with it."""
    if chapter.outlined is None:
        return "outline", 0
    if result is None:
        return "write", max(0, chapter.target - chapter.at_hand)
    return ("accept" if result.kept else "review"), result.lines
