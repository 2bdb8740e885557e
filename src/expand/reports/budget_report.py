"""The budget report: used, reserved and remaining, what the rest may take, and how the tokens were spent."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal

from expand.budget import pico_from_usd
from expand.ledger.aggregates import Day, Slice
from expand.ledger.values import AttemptRow, State
from expand.reports import messages
from expand.reports.data import BookData
from expand.reports.report_model import (
    Column,
    Fact,
    Facts,
    Notes,
    Report,
    Row,
    Table,
    Value,
    column_sums,
    columns,
)
from expand.reports.rounding import money, percent, shares, signed_percent
from expand.reports.scenarios import PRIORITIES, Scenario, full_plan

LATEST = 10
"""So many of the latest attempts are shown one by one."""


def budget_report(data: BookData, language: str) -> Report:
    """The report as of now, in ``language``."""
    full = full_plan(data)
    return Report(
        id="budget",
        title=messages.say(language, "title.budget", book=data.book.title.say(language)),
        language=language,
        made=data.now,
        blocks=(
            budget_facts(data, full, "budget"),
            burn_down(data, full),
            Notes(id="notes", lines=budget_notes(data, language)),
            by_chapter(data, full),
            by_section(data),
            by_model(data),
            by_purpose(data),
            by_day(data),
            open_attempts(data),
            errors(data),
            latest(data),
        ),
    )


def budget_facts(data: BookData, full: Scenario, id_: str) -> Facts:
    """The figures of the balance; those of the block ``budget`` stand at the top level of the JSON object."""
    balance = data.balance
    limit, spent, tokens = balance.limit.tokens, balance.used_tokens, full.tokens
    opening = any(opening.usd for opening in data.book.openings)
    spent_before = balance.opening_tokens > 0
    unpriced = any(part.unpriced for part in data.aggregates.slices)
    return Facts(
        id=id_,
        flat=id_ == "budget",
        facts=(
            Fact("limit", limit, missing="unlimited"),
            Fact("used", spent),
            Fact("opening", balance.opening_tokens),
            Fact("unknown", balance.unknown_tokens),
            Fact("reserved", balance.reserved_tokens),
            Fact("remaining", data.remaining_tokens, missing="unlimited"),
            Fact("used_percent", percent(spent, limit or 0), "percent", missing="dash"),
            Fact("estimated_remaining", tokens.middle, "estimate"),
            Fact("estimated_low", tokens.low, "estimate"),
            Fact("estimated_high", tokens.high, "estimate"),
            Fact("projected_total", spent + balance.reserved_tokens + tokens.middle, "estimate"),
            Fact("currency", "USD", "text"),
            Fact("cost", None if unpriced else money(_known_pico(data)), "money", missing="unpriced"),
            Fact("opening_cost", money(_opening_pico(data)) if opening or not spent_before else None, "money", "apart"),
        ),
    )


def _known_pico(data: BookData) -> int:
    """What was spent where the price is known, the opening balance with it."""
    return sum(part.cost_pico_usd for part in data.aggregates.slices) + _opening_pico(data)


def _opening_pico(data: BookData) -> int:
    return sum(pico_from_usd(opening.usd) for opening in data.book.openings if opening.usd)


def rate_notes(data: BookData, language: str) -> tuple[str, ...]:
    """What a line is taken to need, where that comes from, and for which model."""
    rate = data.rate
    names = {"model": data.model, "written": data.language}
    figures = {"low": rate.low, "middle": rate.middle, "high": rate.high}
    return (
        messages.say(
            language,
            f"say.basis.{rate.basis}",
            sections=messages.counted(language, "section", rate.sections),
            **{name: f"{float(figure):,.1f}" for name, figure in figures.items()},
            **names,
        ),
        messages.say(language, "say.model", **names),
        *hours_notes(data, language),
    )


def hours_notes(data: BookData, language: str) -> tuple[str, ...]:
    """Where the hours of the chapters to write come from."""
    open_chapters = [chapter for chapter in data.chapters if not chapter.finished]
    kinds = ["stated"] * any(c.hours for c in open_chapters)
    if any(not c.hours for c in open_chapters) and data.hours_per_line is not None:
        kinds.append("measured")
    elif any(not c.hours for c in open_chapters) and any(o.hours for o in data.book.openings):
        kinds.append("opening")
    per_line = f"{60 * (data.hours_per_line or 0) * 100:,.1f}"
    return tuple(messages.say(language, f"say.hours.{kind}", model=data.model, minutes=per_line) for kind in kinds)


def budget_notes(data: BookData, language: str) -> tuple[str, ...]:
    """What has to be known with the figures."""
    notes = [*rate_notes(data, language)]
    for opening in data.book.openings:
        ids = messages.joined(language, opening.chapters)
        notes.append(messages.say(language, "say.opening", tokens=f"{opening.tokens:,}", ids=ids))
    if data.remaining_tokens is not None and data.remaining_tokens < 0:
        notes.append(messages.say(language, "say.over", tokens=f"{-data.remaining_tokens:,}"))
    unknown = [part for part in data.aggregates.open if part.state is State.UNKNOWN]
    if unknown:
        attempts = messages.counted(language, "attempt", sum(part.attempts for part in unknown))
        tokens = f"{sum(part.tokens for part in unknown):,}"
        notes.append(messages.say(language, "say.unknown", attempts=attempts, tokens=tokens))
    unpriced = sorted({part.model for part in data.aggregates.slices if part.unpriced})
    if unpriced:
        known = _known_pico(data)
        rest = messages.say(language, "say.priced", cost=f"{money(known):,f}") if known else ""
        notes.append(messages.say(language, "say.unpriced", models=messages.joined(language, unpriced)) + rest)
    return tuple(notes)


def burn_down(data: BookData, full: Scenario) -> Facts:
    """At this rate: the day on which the allowance ends, and the chapter in which it does; neither where it lasts."""
    days = data.aggregates.days
    per_day: int | None = None
    if days:
        first = date.fromisoformat(days[0].day)
        span = (max(data.now.date(), date.fromisoformat(days[-1].day)) - first).days + 1
        per_day = sum(day.tokens for day in days) // span
    covered = "unlimited" if data.balance.limit.tokens is None else "lasts"
    ends_at = _ends_at(data, full)
    return Facts(
        id="burn_down",
        facts=(
            Fact("tokens_a_day", per_day, missing="dash"),
            Fact(
                "ends_on", _ends_on(data, per_day) if ends_at else None, "text", missing="never" if ends_at else "dash"
            ),
            Fact("ends_at", ends_at, "text", missing=covered),
        ),
    )


def _ends_on(data: BookData, per_day: int | None) -> str | None:
    if data.remaining_tokens is None or not per_day:
        return None
    days = max(0, data.remaining_tokens) // per_day
    today = data.now.date()
    return None if days > (date.max - today).days else (today + timedelta(days=days)).isoformat()


def _ends_at(data: BookData, full: Scenario) -> str | None:
    """The first chapter, by priority, that the remaining tokens are not expected to finish."""
    remaining = data.remaining_tokens
    if remaining is None:
        return None
    priority = {chapter.id: PRIORITIES.index(chapter.priority) for chapter in data.chapters}
    for chapter in sorted(full.chapters, key=lambda chapter: priority[chapter.id]):
        remaining -= chapter.tokens.middle
        if remaining < 0 and chapter.tokens.middle:
            return chapter.id
    return None


# How the tokens were spent, table by table.

_USE = columns("attempts", "prompt", "cached", "completion", "reasoning", "tokens", "cost")


def _use(parts: Sequence[Slice]) -> Row:
    """The columns of ``_USE`` over some slices."""
    prompt, completion = sum(part.prompt for part in parts), sum(part.completion for part in parts)
    return (
        sum(part.attempts for part in parts),
        prompt,
        sum(part.cached for part in parts),
        completion,
        sum(part.reasoning for part in parts),
        prompt + completion,
        _cost(parts),
    )


def _cost(parts: Sequence[Slice] | Sequence[Day]) -> Decimal | None:
    return None if any(part.unpriced for part in parts) else money(sum(part.cost_pico_usd for part in parts))


def _grouped(data: BookData, id_: str, heads: tuple[Column, ...], key: Callable[[Slice], Row]) -> Table:
    groups: dict[Row, list[Slice]] = {}
    for part in data.aggregates.slices:
        groups.setdefault(key(part), []).append(part)
    return Table(
        id=id_,
        columns=(*heads, *_USE),
        rows=tuple((*name, *_use(parts)) for name, parts in groups.items()),
        total=(*(None for _ in heads), *_use(data.aggregates.slices)) if len(groups) > 1 else None,
    )


def by_chapter(data: BookData, full: Scenario) -> Table:
    """Tokens and attempts by chapter, and what its missing lines are expected to take."""
    estimated = {chapter.id: chapter.tokens.middle for chapter in full.chapters}
    slices = data.slices_by_chapter
    rows: list[Row] = []
    for chapter in dict.fromkeys([*estimated, *slices]):
        parts = slices.get(chapter, [])
        used, attempts = sum(part.tokens for part in parts), sum(part.attempts for part in parts)
        rows.append((chapter, used, estimated.get(chapter, 0), attempts))
    return Table(
        id="by_chapter",
        columns=columns("id", "used", "estimated_remaining", "attempts"),
        rows=tuple(rows),
        total=(None, *column_sums(rows, 1, 2, 3)),
    )


def by_section(data: BookData) -> Table:
    """Attempts, tokens and cost by section."""
    return _grouped(data, "by_section", columns("chapter", "section"), lambda part: (part.chapter, part.section))


def by_model(data: BookData) -> Table:
    """The same by the model that was asked."""
    return _grouped(data, "by_model", columns("model"), lambda part: (part.model,))


def by_purpose(data: BookData) -> Table:
    """The same by purpose, with each one's share of the tokens."""
    table = _grouped(data, "by_purpose", columns("purpose"), lambda part: (part.purpose,))
    tokens = [int(row[6] or 0) for row in table.rows]
    whole = Decimal("100.0") if sum(tokens) else None
    return Table(
        id=table.id,
        columns=(*table.columns, *columns("share")),
        rows=tuple((*row, share) for row, share in zip(table.rows, shares(tokens), strict=True)),
        total=(*table.total, whole) if table.total else None,
    )


def by_day(data: BookData) -> Table:
    """Tokens and cost by day, and what was left of the limit after each."""
    days = data.aggregates.days
    rows: list[Row] = [
        (day.day, day.attempts, day.tokens, _cost([day]), remaining)
        for day, remaining in zip(days, remaining_by_day(data), strict=True)
    ]
    return Table(
        id="by_day",
        columns=columns("day", "attempts", "tokens", "cost", "remaining"),
        rows=tuple(rows),
        total=(None, *column_sums(rows, 1, 2), _cost(days), None) if len(days) > 1 else None,
    )


def remaining_by_day(data: BookData) -> tuple[int | None, ...]:
    """What was left of the limit after each day; reservations in flight do not count."""
    limit = data.balance.limit.tokens
    left = None if limit is None else limit - data.balance.opening_tokens
    found: list[int | None] = []
    for day in data.aggregates.days:
        left = None if left is None else left - day.tokens
        found.append(left)
    return tuple(found)


def open_attempts(data: BookData) -> Table:
    """What is in flight, and what is of unknown outcome."""
    rows: list[Row] = [
        (part.chapter, part.section, part.model, str(part.state), part.attempts, part.tokens)
        for part in data.aggregates.open
    ]
    return Table(
        id="open",
        columns=columns("chapter", "section", "model", "state", "attempts", "tokens"),
        rows=tuple(rows),
        total=(*(None,) * 4, *column_sums(rows, 4, 5)) if len(rows) > 1 else None,
    )


def errors(data: BookData) -> Table:
    """How far prompts were from their estimates, by model: mean and spread."""
    return Table(
        id="errors",
        columns=columns("model", "attempts", "estimated", "billed", "mean", "deviation", "least", "greatest"),
        rows=tuple(
            (
                e.model,
                e.attempts,
                e.estimated,
                e.prompt,
                *map(signed_percent, (e.mean, e.deviation, e.least, e.greatest)),
            )
            for e in data.aggregates.errors
        ),
    )


def latest(data: BookData) -> Table:
    """The latest attempts one by one: estimated against actual, reserved against used."""
    return Table(
        id="attempts_latest",
        columns=columns(
            *("chapter", "section", "purpose", "state", "estimated", "prompt", "error"),
            *("output_cap", "completion", "reserved_tokens", "used"),
        ),
        rows=tuple(_attempt(row) for row in data.aggregates.latest),
    )


def _attempt(row: AttemptRow) -> Row:
    error: Value = None
    if row.usage_source == "provider" and row.prompt_estimate:
        error = signed_percent(row.usage.prompt / row.prompt_estimate - 1)
    return (
        *(row.chapter, row.section, row.purpose, str(row.state), row.prompt_estimate, row.usage.prompt, error),
        *(row.output_cap, row.usage.completion, row.reserved.tokens, row.used_tokens),
    )
