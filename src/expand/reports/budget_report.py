"""The budget report: used, reserved and remaining, what the rest may take, and how the tokens were spent."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Literal

from expand.budget import pico_from_usd
from expand.ledger.values import Day, Slice, State
from expand.reports.data import BookData, slices_by_chapter
from expand.reports.estimates import Scenario, by_priority, full_plan
from expand.reports.report_model import (
    Block,
    Column,
    Notes,
    Report,
    Row,
    Table,
    counted,
    facts,
    money,
    percent,
    say,
    table,
)


def budget_report(data: BookData, language: str) -> Report:
    """The report as of now, in ``language``."""
    full = full_plan(data)
    blocks: tuple[Block, ...] = (
        budget_facts(data, full, "budget"),
        burn_down(data, full),
        Notes("notes", budget_notes(data, language)),
        _by_chapter(data, full),
        spent_by(data, "model"),
        spent_by(data, "purpose"),
        by_day(data),
    )
    title = say(language, "title.budget", book=data.book.title.say(language))
    return Report("budget", title, language, data.now, blocks)


def budget_facts(data: BookData, full: Scenario, id_: str) -> Table:
    """The figures of the balance."""
    balance = data.balance
    limit, spent, tokens = balance.limit.tokens, balance.used_tokens, full.tokens
    unpriced = any(part.unpriced for part in data.aggregates.slices)
    opening_stated = any(opening.usd for opening in data.book.openings) or balance.opening_tokens <= 0
    return facts(
        id_,
        (Column("limit", "tokens", "unlimited"), limit),
        (Column("used", "tokens"), spent),
        (Column("opening", "tokens"), balance.opening_tokens),
        (Column("unknown", "tokens"), balance.unknown_tokens),
        (Column("reserved", "tokens"), balance.reserved_tokens),
        (Column("remaining", "tokens", "unlimited"), data.balance.remaining_tokens),
        (Column("used_percent", "percent"), percent(spent, limit or 0)),
        (Column("estimated_remaining", "estimate"), tokens.middle),
        (Column("estimated_low", "estimate"), tokens.low),
        (Column("estimated_high", "estimate"), tokens.high),
        (Column("projected_total", "estimate"), spent + balance.reserved_tokens + tokens.middle),
        (Column("currency", "text"), "USD"),
        (Column("cost", "money", "unpriced"), None if unpriced else money(_known_pico(data))),
        (Column("opening_cost", "money", "apart"), money(_opening_pico(data)) if opening_stated else None),
    )


def _known_pico(data: BookData) -> int:
    """What was spent where the price is known, the opening balance with it."""
    return sum(part.cost_pico_usd for part in data.aggregates.slices) + _opening_pico(data)


def _opening_pico(data: BookData) -> int:
    return sum(pico_from_usd(opening.usd) for opening in data.book.openings if opening.usd)


def rate_notes(data: BookData, language: str) -> tuple[str, ...]:
    """What a line is taken to need, where that comes from, and for which model; and where the hours come from."""
    rate = data.rate
    names = {"model": data.model, "written": data.book.language}
    figures = {"low": rate.low, "middle": rate.middle, "high": rate.high}
    based = say(
        language,
        f"say.basis.{rate.basis}",
        sections=counted(language, "section", rate.sections),
        **{name: f"{float(figure):,.1f}" for name, figure in figures.items()},
        **names,
    )
    stated = [chapter.hours > 0 for chapter in data.chapters if not chapter.finished]
    kinds = ["stated"] * any(stated)
    if not all(stated) and data.hours_per_line is not None:
        kinds.append("measured")
    elif not all(stated) and any(opening.hours for opening in data.book.openings):
        kinds.append("opening")
    minutes = f"{60 * (data.hours_per_line or 0) * 100:,.1f}"
    timed = [say(language, f"say.hours.{kind}", model=data.model, minutes=minutes) for kind in kinds]
    return (based, say(language, "say.model", **names), *timed)


def budget_notes(data: BookData, language: str) -> tuple[str, ...]:
    """What has to be known with the figures."""
    notes = [*rate_notes(data, language)]
    for opening in data.book.openings:
        ids = say(language, "listed").join(opening.chapters)
        notes.append(say(language, "say.opening", tokens=f"{opening.tokens:,}", ids=ids))
    if data.balance.remaining_tokens is not None and data.balance.remaining_tokens < 0:
        notes.append(say(language, "say.over", tokens=f"{-data.balance.remaining_tokens:,}"))
    unknown = [part for part in data.aggregates.open if part.state is State.UNKNOWN]
    if unknown:
        attempts = counted(language, "attempt", sum(part.attempts for part in unknown))
        tokens = f"{sum(part.tokens for part in unknown):,}"
        notes.append(say(language, "say.unknown", attempts=attempts, tokens=tokens))
    unpriced = sorted({part.model for part in data.aggregates.slices if part.unpriced})
    if unpriced:
        known = _known_pico(data)
        rest = say(language, "say.priced", cost=f"{money(known):,f}") if known else ""
        notes.append(say(language, "say.unpriced", models=say(language, "listed").join(unpriced)) + rest)
    return tuple(notes)


def burn_down(data: BookData, full: Scenario) -> Table:
    """At this rate: the day on which the allowance ends, and the chapter, by priority, in which it does; neither where
    it lasts."""
    days, today, remaining = data.aggregates.days, data.now.date(), data.balance.remaining_tokens
    per_day = ends_on = ends_at = None
    if days:
        first, last = date.fromisoformat(days[0].day), date.fromisoformat(days[-1].day)
        per_day = sum(day.tokens for day in days) // ((max(today, last) - first).days + 1)
    if remaining is not None:
        left, takes = remaining, {chapter.id: chapter.tokens.middle for chapter in full.chapters}
        for chapter in by_priority(data):
            left -= takes[chapter.id]
            if left < 0 and takes[chapter.id]:
                ends_at = chapter.id
                break
        if ends_at and per_day and (more := max(0, remaining) // per_day) <= (date.max - today).days:
            ends_on = (today + timedelta(days=more)).isoformat()
    return facts(
        "burn_down",
        (Column("tokens_a_day", "tokens"), per_day),
        (Column("ends_on", "text", "never" if ends_at else "dash"), ends_on),
        (Column("ends_at", "text", "unlimited" if remaining is None else "lasts"), ends_at),
    )


# How the tokens were spent, table by table.


def spent_by(data: BookData, head: Literal["model", "purpose"]) -> Table:
    """Attempts, tokens and cost by the model that was asked, or by purpose."""
    groups: dict[str, list[Slice]] = {}
    for part in data.aggregates.slices:
        groups.setdefault(getattr(part, head), []).append(part)
    rows: list[Row] = []
    for name, parts in groups.items():
        prompt, completion = sum(part.prompt for part in parts), sum(part.completion for part in parts)
        cached, reasoning = sum(part.cached for part in parts), sum(part.reasoning for part in parts)
        attempts = sum(part.attempts for part in parts)
        rows.append((name, attempts, prompt, cached, completion, reasoning, prompt + completion, _cost(parts)))
    sums = "attempts prompt cached completion reasoning tokens cost"
    return table(f"by_{head}", f"{head} {sums}", rows, sums=sums)


def _cost(parts: Sequence[Slice] | Sequence[Day]) -> Decimal | None:
    return None if any(part.unpriced for part in parts) else money(sum(part.cost_pico_usd for part in parts))


def _by_chapter(data: BookData, full: Scenario) -> Table:
    """Tokens and attempts by chapter, and what its missing lines are expected to take."""
    estimated = {chapter.id: chapter.tokens.middle for chapter in full.chapters}
    slices = slices_by_chapter(data.aggregates)
    rows: list[Row] = []
    for chapter in dict.fromkeys([*estimated, *slices]):
        parts = slices.get(chapter, [])
        used, attempts = sum(part.tokens for part in parts), sum(part.attempts for part in parts)
        rows.append((chapter, used, estimated.get(chapter, 0), attempts))
    sums = "used estimated_remaining attempts"
    return table("by_chapter", f"id {sums}", rows, sums=sums, least_rows=0)


def by_day(data: BookData) -> Table:
    """What was spent each day, and what was left of the limit after it; reservations in flight do not count."""
    days, limit = data.aggregates.days, data.balance.limit.tokens
    spent = accumulate((day.tokens for day in days), initial=data.balance.opening_tokens)
    left = [None if limit is None else limit - tokens for tokens in spent][1:]
    rows: list[Row] = [
        (day.day, day.attempts, day.tokens, _cost([day]), rest) for day, rest in zip(days, left, strict=True)
    ]
    return table("by_day", "day attempts tokens cost remaining", rows, sums="attempts tokens cost")
