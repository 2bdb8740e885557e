"""The status report: what is finished, what is to be written, how drafts compare, and what that takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from expand.drafting.model_setup import profile_of
from expand.drafting.run_options import RunOptions, settings_of
from expand.errors import InputError
from expand.ledger import Ledger
from expand.ledger.values import State
from expand.outline import Plan
from expand.reports.budget_report import budget_facts, budget_notes, budget_report, burn_down, by_day, spent_by
from expand.reports.data import BookData, ChapterData, figures
from expand.reports.estimates import Scenario, full_plan
from expand.reports.plan_report import (
    forecast,
    outline_notes,
    plan_report,
    plans_of,
    plans_table,
    recommendation,
    what_fits,
)
from expand.reports.report_model import (
    Block,
    Notes,
    Report,
    Row,
    Table,
    counted,
    estimated_cost,
    hours,
    percent,
    report_language,
    say,
    table,
)
from expand.settings import Settings
from expand.workspace import Workspace

if TYPE_CHECKING:
    from expand.drafting.results import ChapterResult  # loads the checks

Reviews = Mapping[str, "ChapterResult"]
"""The drafts held against their outlines, by chapter."""


def make_report(
    workspace: Workspace, name: str, *, language: str | None = None, chapters: Sequence[str] = (), **changes: Any
) -> Report:
    """The report of that name, as of now: ``budget``, ``plan`` (of these ``chapters``, or of all) or ``status``.
    ``changes`` are laid over the settings. Raises ``InputError``."""
    if name not in ("budget", "plan", "status"):
        raise InputError(f"there is no report {name!r}", remedy="give budget, status or plan")
    data = figures(workspace, priced=name != "budget", **changes)
    spoken = report_language(data.book.language, language)
    if name == "budget":
        return budget_report(data, spoken)
    if name == "plan":
        return plan_report(data, spoken, chapters)
    found = reviews(workspace, settings_of(workspace, **changes), data)
    return status_report(data, found, spoken)


def status_report(data: BookData, reviews: Reviews, language: str) -> Report:
    """The report as of now."""
    full = full_plan(data)
    plans = plans_of(data)
    sources = [
        say(language, f"say.source.{source}", ids=say(language, "listed").join(ids))
        for source in ("document", "outline", "record")
        if (ids := [chapter.id for chapter in data.chapters if chapter.source == source])
    ]
    blocks: tuple[Block, ...] = (
        finished_chapters(data, language),
        pending_chapters(data, full, language),
        overall(data, full),
        budget_facts(data, full, "resources"),
        burn_down(data, full),
        plans_table(data, plans),
        recommendation(data, plans, language),
        what_fits(data, plans, language),
        forecast(data, plans, language),
        to_do(data, reviews, language),
        drafts(data, reviews),
        findings_by_kind(reviews),
        per_line(data, reviews),
        spent_by(data, "model"),
        spent_by(data, "purpose"),
        by_day(data),
        Notes("notes", (*outline_notes(data, language), *sources, *budget_notes(data, language))),
    )
    said = say(language, "title.status", book=data.book.title.say(language))
    return Report("status", said, language, data.now, blocks)


def status_tables(data: BookData, language: str) -> Report:
    """Only the chapters and tiers: what a docs tree keeps between its markers."""
    blocks = (
        finished_chapters(data, language),
        pending_chapters(data, full_plan(data), language),
        forecast(data, plans_of(data), language),
    )
    return Report("status", "", language, data.now, blocks)


def finished_chapters(data: BookData, language: str) -> Table:
    """The finished chapters: lines before, now, added, target and rate."""
    names, sums = "id title before lines added target rate source", "before lines added target"
    rows: list[Row] = [
        (
            *(c.id, c.title.say(language), c.before, c.lines, c.lines - c.before, c.target),
            *(percent(c.lines, c.target), c.source),
        )
        for c in data.chapters
        if c.finished
    ]
    return table("finished_chapters", names, rows, sums=sums, rate=("lines", "target"), least_rows=0)


def pending_chapters(data: BookData, full: Scenario, language: str) -> Table:
    """The chapters to write: lines now, target, what is to be added, priority and hours."""
    names = "id title before lines target to_add rate priority hours draft_lines source"
    sums = "before lines target to_add draft_lines"
    takes = {chapter.id: hours(chapter.hours) for chapter in full.chapters}
    rows: list[Row] = [
        (
            *(c.id, c.title.say(language), c.before, c.lines, c.target, c.lacking),
            *(percent(c.lines, c.target), c.priority, takes[c.id], c.draft_lines, c.source),
        )
        for c in data.chapters
        if not c.finished
    ]
    totals = {"hours": hours(full.hours)}
    return table("pending_chapters", names, rows, sums=sums, rate=("lines", "target"), totals=totals, least_rows=0)


def overall(data: BookData, full: Scenario) -> Table:
    """Chapters, lines, tokens and hours: done, to do, together, and the share that is done."""
    done = [chapter for chapter in data.chapters if chapter.finished]
    pending = [chapter for chapter in data.chapters if not chapter.finished]
    used = hours(Fraction(str(round(data.hours_used, 6)))) or Decimal("0.0")
    more = hours(full.hours)
    rate = None if more is None else percent(int(used * 100), int((used + more) * 100))
    counted = {
        "chapters": (len(done), len(pending)),
        "lines": (sum(c.lines for c in done), sum(max(c.target, c.lines) for c in pending)),
        "tokens": (data.balance.used_tokens + data.balance.reserved_tokens, full.tokens.middle),
    }
    rows: list[Row] = [
        (f"measure.{name}", now, later, now + later, percent(now, now + later))
        for name, (now, later) in counted.items()
    ]
    rows.append(("measure.hours", used, more, None if more is None else used + more, rate))
    return table("totals_overall", "measure done to_do total rate", rows)


def drafts(data: BookData, reviews: Reviews) -> Table:
    """Each draft against its outline: lines, length score, findings, whether it keeps it."""
    rows: list[Row] = []
    for chapter in data.chapters:
        if (result := reviews.get(chapter.id)) is None:
            continue
        severities = [finding.severity for finding in result.every_finding]
        blocking, code = severities.count("blocking"), result.code
        row: Row = (
            *(result.id, result.plan, result.language, result.target_lines, result.lines),
            *(percent(result.lines, result.target_lines), Decimal(str(result.length_score))),
            *((code.blocks, code.checked - code.failed) if code else (None, None)),
            chapter.draft.citations if chapter.draft else 0,
            *(blocking, severities.count("warning"), "blocked" if blocking else "kept" if result.kept else "short"),
        )
        rows.append(row)
    names = "id plan language asked_lines draft_lines rate length_score code_blocks verified_blocks citations"
    return table("drafts", f"{names} blocking warnings contract", rows)


def findings_by_kind(reviews: Reviews) -> Table:
    """The findings of all drafts, the most frequent kinds first."""
    every = [finding for result in reviews.values() for finding in result.every_finding]
    found = Counter((finding.kind, str(finding.severity)) for finding in every)
    kinds = Counter(kind for kind, _ in found.elements())
    rows: list[Row] = [
        (kind, *(found[kind, severity] for severity in ("blocking", "warning", "note")))
        for kind, _ in kinds.most_common()
    ]
    sums = "blocking warnings notes_count"
    return table("findings", f"kind {sums}", rows, sums=sums)


def per_line(data: BookData, reviews: Reviews) -> Table:
    """What a line in a draft takes: the tokens that were reserved and billed for all sections, those of the texts that
    are kept, and those of the sections that keep their contract, by the lines of these alone."""
    parts = [part for part in data.aggregates.slices if part.section]
    verified = {(result.id, s.number) for result in reviews.values() for s in result.sections if s.kept}
    good = [sample for sample in data.samples if (sample.chapter, sample.section) in verified]
    lines, good_lines = (sum(sample.lines for sample in some) for some in (data.samples, good))
    stages: list[tuple[str, int, list[int], list[int | None]]] = [
        ("line.reserved", lines, [part.reserved for part in parts], [None]),
        ("line.bought", lines, [p.tokens for p in parts], [None if p.unpriced else p.cost_pico_usd for p in parts]),
        ("line.kept", lines, [s.tokens for s in data.samples], [s.cost_pico_usd for s in data.samples]),
        ("line.verified", good_lines, [s.tokens for s in good], [s.cost_pico_usd for s in good]),
    ]
    rows: list[Row] = []
    for name, count, tokens, costs in stages:
        if count:
            each = (Decimal(sum(tokens)) / count).quantize(Decimal("0.1"), rounding=ROUND_HALF_UP)
            pico = None if None in costs else sum(filter(None, costs))
            row = (name, count, sum(tokens), each, estimated_cost(pico), estimated_cost(pico and -(-pico // count)))
            rows.append(row)
    return table("per_line", "measure counted tokens tokens_per_line cost cost_per_line", rows)


def to_do(data: BookData, reviews: Reviews, language: str) -> Notes:
    """What is to be done next, chapter by chapter, and in the books."""
    lines = [_step(chapter, reviews.get(chapter.id), language) for chapter in data.chapters if not chapter.finished]
    unknown = sum(part.attempts for part in data.aggregates.open if part.state is State.UNKNOWN)
    if unknown:
        attempts = counted(language, "attempt", unknown)
        lines.append(say(language, "say.todo.reconcile", attempts=attempts))
    return Notes("todo", tuple(lines) or (say(language, "say.nothing_todo"),), todo=True)


def _step(chapter: ChapterData, result: ChapterResult | None, language: str) -> str:
    title = chapter.title.say(language)
    if chapter.outlined is None:
        return say(language, "say.todo.outline", id=chapter.id, title=title)
    if result is None:
        key, missing = "write", max(0, chapter.target - chapter.available_lines)
        lines = counted(language, "line", missing, signed=True)
    else:
        key, lines = "accept" if result.kept else "review", counted(language, "line", result.lines)
    return say(language, f"say.todo.{key}", id=chapter.id, title=title, lines=lines)


def reviews(workspace: Workspace, settings: Settings, data: BookData) -> Reviews:
    """Every draft of the book held against its outline, as of now. What a run stored of a chapter that it had nothing
    left to do for is taken as long as nothing changed since: a review would find the same."""
    book, known = data.book, dict[str, "ChapterResult"]()
    names = {c.id: book.draft_name(c.id, workspace.draft_language(book, c.id)) for c in data.chapters if c.outlined}
    drafts = {c.id: c.draft for c in data.chapters if c.id in names and workspace.draft_path(names[c.id]).is_file()}
    if not drafts:
        return known
    from expand.drafting.accept import open_draft, review  # it loads the checks and their parsers: 0.3 s
    from expand.drafting.draft_state import ResultCache

    judged = workspace.state_path("code", "verdicts.json").is_file()  # what runs stored has no verdicts
    if not judged and (ledger := Ledger.read(workspace.ledger_place)) is not None:
        with closing(ledger):
            editions = ledger.editions()
        for plan, language in {(d.plan, d.language) for d in drafts.values() if d and d.plan in tuple(Plan)}:
            chapters = tuple(c for c, d in drafts.items() if d and (d.plan, d.language) == (plan, language))
            options = RunOptions(chapters=chapters, plan=Plan(plan), language=language)
            cache = ResultCache(workspace, options, profile_of(workspace, settings))
            known |= {chapter: found for chapter in chapters if (found := cache.result(chapter, editions))}
    return {
        chapter: known.get(chapter)
        or review(open_draft(workspace, settings, book, chapter), workspace, settings, known_code=judged)
        for chapter in drafts
    }
