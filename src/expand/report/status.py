"""The status report: what is finished, what is to be written, and what that takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction

from expand.drafting.result import ChapterResult
from expand.ledger.values import State
from expand.report import wording
from expand.report.budget import (
    budget_facts,
    budget_notes,
    burn_down,
    full_plan,
)
from expand.report.facts import BookFacts, ChapterFacts
from expand.report.pictures import pictures
from expand.report.plans import (
    Plans,
    forecast,
    hours,
    outline_notes,
    plans_of,
    plans_table,
    recommendation,
    what_fits,
)
from expand.report.scenario import Scenario, percent
from expand.report.sheet import Block, Column, Facts, Notes, Sheet, Table, Value
from expand.report.spending import by_model, by_purpose

Reviews = Mapping[str, ChapterResult]


def status_sheet(
    facts: BookFacts, reviews: Reviews, language: str, *, title: str = "title.status"
) -> Sheet:
    """The report as of now. ``reviews`` are the drafts held against their outlines, by chapter."""
    full = full_plan(facts)
    plans = plans_of(facts)
    resources = budget_facts(facts, full)
    drawn = {picture.id: picture for picture in pictures(facts, plans, language)}
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
        _todo(facts, reviews, language),
        _drafts(facts, reviews),
        _sections(facts, language),
        drawn.get("picture.sections"),
        by_model(facts),
        by_purpose(facts),
        drawn.get("picture.purposes"),
        Notes(id="notes", lines=_notes(facts, language)),
    )
    return Sheet(
        id="status",
        title=wording.say(language, title, book=facts.book.title.say(language)),
        language=language,
        made=facts.now,
        blocks=tuple(block for block in blocks if block is not None),
    )


def table_sheet(facts: BookFacts, language: str) -> Sheet:
    """Only the chapters and tiers: what a docs tree keeps between its markers."""
    full = full_plan(facts)
    plans: Plans = plans_of(facts)
    return Sheet(
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


def _total(rows: Iterable[tuple[Value, ...]], column: int) -> int:
    return sum(int(row[column] or 0) for row in rows)


def _source(chapter: ChapterFacts) -> str:
    return "record" if chapter.counted is None else "document"


def chapters_done(facts: BookFacts, language: str) -> Table:
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
    lines, target = _total(rows, 3), _total(rows, 5)
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
            _total(rows, 2),
            lines,
            _total(rows, 4),
            target,
            percent(lines, target),
            None,
        ),
    )


def chapters_to_do(facts: BookFacts, full: Scenario, language: str) -> Table:
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
    lines, target = _total(rows, 3), _total(rows, 4)
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
            _total(rows, 2),
            lines,
            target,
            _total(rows, 5),
            percent(lines, target),
            None,
            hours(full.hours),
            _total(rows, 9),
            None,
        ),
    )


def overall(facts: BookFacts, full: Scenario) -> Table:
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
            None
            if more_hours is None
            else percent(int(used_hours * 10), int((used_hours + more_hours) * 10)),
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


def _drafts(facts: BookFacts, reviews: Reviews) -> Table:
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


def _sections(facts: BookFacts, language: str) -> Table:
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
    asked, delivered = _total(rows, 3), _total(rows, 4)
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


def _todo(facts: BookFacts, reviews: Reviews, language: str) -> Notes:
    lines = []
    for chapter in facts.chapters:
        if chapter.finished:
            continue
        result = reviews.get(chapter.id)
        kind, count = _step(chapter, result)
        lines.append(
            wording.say(
                language,
                f"say.todo.{kind}",
                id=chapter.id,
                title=chapter.title.say(language),
                lines=f"{count:,}" if kind != "write" else f"{count:+,}",
            )
        )
    unknown = sum(part.attempts for part in facts.overview.open if part.state is State.UNKNOWN)
    if unknown:
        lines.append(wording.say(language, "say.todo.reconcile", attempts=f"{unknown:,}"))
    lines += [
        wording.say(language, "say.todo.lines", id=c.id, counted=f"{c.counted:,}")
        for c in facts.chapters
        if c.counted is not None and c.recorded is not None and c.counted != c.recorded
    ]
    return Notes(
        id="todo", lines=tuple(lines) or (wording.say(language, "say.nothing_todo"),), todo=True
    )


def _step(chapter: ChapterFacts, result: ChapterResult | None) -> tuple[str, int]:
    """What is to be done next with a chapter, and the lines that go with it."""
    if chapter.outlined is None:
        return "outline", 0
    if result is None:
        return "write", max(0, chapter.target - chapter.at_hand)
    return ("accept" if result.kept else "review"), result.lines


def _notes(facts: BookFacts, language: str) -> tuple[str, ...]:
    notes = [*outline_notes(facts, language)]
    for source in ("document", "record"):
        ids = [chapter.id for chapter in facts.chapters if _source(chapter) == source]
        if ids:
            words = wording.joined(language, ids)
            notes.append(wording.say(language, f"say.source.{source}", ids=words))
    return (*notes, *budget_notes(facts, language))
