"""The status report: what is finished, what is to be written, and what that takes."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from expand.reports import messages
from expand.reports.budget_report import budget_facts, budget_notes, burn_down
from expand.reports.charts import charts
from expand.reports.data import BookData, ChapterData
from expand.reports.draft_states import Reviews, drafts, sections, to_do
from expand.reports.plan_report import (
    Plans,
    forecast,
    outline_notes,
    plans_of,
    plans_table,
    recommendation,
    what_fits,
)
from expand.reports.report_model import (
    Block,
    Column,
    Facts,
    Notes,
    Report,
    Table,
    Value,
    column_sum,
)
from expand.reports.rounding import hours, percent
from expand.reports.scenarios import Scenario, full_plan
from expand.reports.usage_tables import by_model, by_purpose


def status_sheet(facts: BookData, reviews: Reviews, language: str, *, title: str = "title.status") -> Report:
    """The report as of now. ``reviews`` are the drafts held against their outlines, by chapter."""
    full = full_plan(facts)
    plans = plans_of(facts)
    resources = budget_facts(facts, full)
    drawn = {picture.id: picture for picture in charts(facts, plans, language)}
    blocks: tuple[Block | None, ...] = (
        chapters_done(facts, language),
        chapters_to_do(facts, full, language),
        drawn.get("picture.chapters"),
        overall(facts, full),
        Facts(id="resources", facts=resources.facts),
        burn_down(facts, full),
        drawn.get("picture.burn"),
        plans_table(facts, plans),
        recommendation(facts, plans, language),
        what_fits(facts, plans, language),
        forecast(facts, plans, language),
        drawn.get("picture.tiers"),
        to_do(facts, reviews, language),
        drafts(facts, reviews),
        sections(facts, language),
        drawn.get("picture.sections"),
        by_model(facts),
        by_purpose(facts),
        drawn.get("picture.purposes"),
        Notes(id="notes", lines=_notes(facts, language)),
    )
    return Report(
        id="status",
        title=messages.say(language, title, book=facts.book.title.say(language)),
        language=language,
        made=facts.now,
        blocks=tuple(block for block in blocks if block is not None),
    )


def table_sheet(facts: BookData, language: str) -> Report:
    """Only the chapters and tiers: what a docs tree keeps between its markers."""
    full = full_plan(facts)
    plans: Plans = plans_of(facts)
    return Report(
        id="status",
        title="",
        language=language,
        made=facts.now,
        blocks=(
            chapters_done(facts, language),
            chapters_to_do(facts, full, language),
            forecast(facts, plans, language),
        ),
    )


def _source(chapter: ChapterData) -> str:
    return "record" if chapter.counted is None else "document"


def chapters_done(facts: BookData, language: str) -> Table:
    """The finished chapters: lines before, now, added, target and rate."""
    rows: list[tuple[Value, ...]] = [
        (
            c.id,
            c.title.say(language),
            c.before,
            c.lines,
            c.lines - c.before,
            c.target,
            percent(c.lines, c.target),
            _source(c),
        )
        for c in facts.chapters
        if c.finished
    ]
    lines, target = column_sum(rows, 3), column_sum(rows, 5)
    return Table(
        id="finished_chapters",
        columns=(
            Column(id="id", kind="text"),
            Column(id="title", kind="text"),
            Column(id="before"),
            Column(id="lines"),
            Column(id="added", kind="change"),
            Column(id="target"),
            Column(id="rate", kind="percent"),
            Column(id="source", kind="word"),
        ),
        rows=tuple(rows),
        total=(
            None,
            None,
            column_sum(rows, 2),
            lines,
            column_sum(rows, 4),
            target,
            percent(lines, target),
            None,
        ),
    )


def chapters_to_do(facts: BookData, full: Scenario, language: str) -> Table:
    """The chapters to write: lines now, target, what is to be added, priority and hours."""
    took = {chapter.id: chapter.hours for chapter in full.chapters}
    rows: list[tuple[Value, ...]] = [
        (
            c.id,
            c.title.say(language),
            c.before,
            c.lines,
            c.target,
            max(0, c.target - c.lines),
            percent(c.lines, c.target),
            c.priority,
            hours(took[c.id]),
            c.draft.lines if c.draft else None,
            _source(c),
        )
        for c in facts.chapters
        if not c.finished
    ]
    lines, target = column_sum(rows, 3), column_sum(rows, 4)
    return Table(
        id="pending_chapters",
        columns=(
            Column(id="id", kind="text"),
            Column(id="title", kind="text"),
            Column(id="before"),
            Column(id="lines"),
            Column(id="target"),
            Column(id="to_add", kind="change"),
            Column(id="rate", kind="percent"),
            Column(id="priority", kind="word"),
            Column(id="hours", kind="hours"),
            Column(id="draft_lines"),
            Column(id="source", kind="word"),
        ),
        rows=tuple(rows),
        total=(
            None,
            None,
            column_sum(rows, 2),
            lines,
            target,
            column_sum(rows, 5),
            percent(lines, target),
            None,
            hours(full.hours),
            column_sum(rows, 9),
            None,
        ),
    )


def overall(facts: BookData, full: Scenario) -> Table:
    """Chapters, lines, tokens and hours: done, to do, together, and the share that is done."""
    done = [chapter for chapter in facts.chapters if chapter.finished]
    to_do = [chapter for chapter in facts.chapters if not chapter.finished]
    balance = facts.balance
    used_hours = hours(Fraction(str(round(facts.hours_used, 6)))) or Decimal("0.0")
    more_hours = hours(full.hours)
    rows: tuple[tuple[Value, ...], ...] = (
        _measure("measure.chapters", len(done), len(to_do)),
        _measure(
            "measure.lines",
            sum(chapter.lines for chapter in done),
            sum(max(chapter.target, chapter.lines) for chapter in to_do),
        ),
        _measure(
            "measure.tokens",
            balance.used_tokens + balance.reserved_tokens,
            full.tokens.middle,
        ),
        (
            "measure.hours",
            used_hours,
            more_hours,
            None if more_hours is None else used_hours + more_hours,
            None if more_hours is None else percent(int(used_hours * 10), int((used_hours + more_hours) * 10)),
        ),
    )
    return Table(
        id="totals_overall",
        columns=(
            Column(id="measure", kind="word"),
            Column(id="done"),
            Column(id="to_do"),
            Column(id="total"),
            Column(id="rate", kind="percent"),
        ),
        rows=rows,
    )


def _measure(name: str, done: int, to_do: int) -> tuple[Value, ...]:
    return (name, done, to_do, done + to_do, percent(done, done + to_do))


def _notes(facts: BookData, language: str) -> tuple[str, ...]:
    notes = [*outline_notes(facts, language)]
    for source in ("document", "record"):
        ids = [chapter.id for chapter in facts.chapters if _source(chapter) == source]
        if ids:
            words = messages.joined(language, ids)
            notes.append(messages.say(language, f"say.source.{source}", ids=words))
    return (*notes, *budget_notes(facts, language))
