"""The budget report: used, reserved and remaining, what the rest may take, and how it was spent."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from expand.budget import pico_from_usd
from expand.ledger.values import State
from expand.reports import messages
from expand.reports.data import BookData
from expand.reports.report_model import Block, Fact, Facts, Notes, Report
from expand.reports.rounding import money, percent, show
from expand.reports.scenarios import PRIORITIES, Scenario, full_plan
from expand.reports.usage_tables import (
    by_chapter,
    by_day,
    by_model,
    by_purpose,
    by_section,
    errors,
    latest,
    tied_up,
)

LATEST = 10
"""So many of the latest attempts are shown one by one."""


def budget_sheet(facts: BookData, language: str) -> Report:
    """The report as of now, in ``language``."""
    full = full_plan(facts)
    blocks: list[Block] = [
        budget_facts(facts, full),
        burn_down(facts, full),
        Notes(id="notes", lines=budget_notes(facts, language)),
        by_chapter(facts, full),
        by_section(facts),
        by_model(facts),
        by_purpose(facts),
        by_day(facts),
        tied_up(facts),
        errors(facts),
        latest(facts),
    ]
    title = messages.say(language, "title.budget", book=facts.book.title.say(language))
    return Report(id="budget", title=title, language=language, made=facts.now, blocks=tuple(blocks))


def cost(facts: BookData) -> Decimal | None:
    """What was spent in US dollars, the opening balance with it; None where a price is unknown."""
    if any(part.unpriced for part in facts.overview.slices):
        return None
    return money(_known_pico(facts))


def _known_pico(facts: BookData) -> int:
    spent = sum(part.cost_pico_usd for part in facts.overview.slices)
    return spent + _opening_pico(facts)


def _opening_pico(facts: BookData) -> int:
    return sum(pico_from_usd(opening.usd) for opening in facts.book.openings if opening.usd)


def budget_facts(facts: BookData, full: Scenario) -> Facts:
    """The figures of the contract, at the top level of the JSON object."""
    balance = facts.balance
    limit = balance.limit.tokens
    tokens = full.tokens
    opening = any(opening.usd for opening in facts.book.openings)
    return Facts(
        id="budget",
        flat=True,
        facts=(
            Fact(id="limit", value=limit, none="unlimited"),
            Fact(id="used", value=balance.used_tokens),
            Fact(id="opening", value=balance.opening_tokens),
            Fact(id="unknown", value=balance.unknown_tokens),
            Fact(id="reserved", value=balance.reserved_tokens),
            Fact(id="remaining", value=balance.remaining_tokens, none="unlimited"),
            Fact(
                id="used_percent",
                value=percent(balance.used_tokens, limit or 0),
                kind="percent",
                none="dash",
            ),
            Fact(id="estimated_remaining", value=tokens.middle, kind="estimate"),
            Fact(id="estimated_low", value=tokens.low, kind="estimate"),
            Fact(id="estimated_high", value=tokens.high, kind="estimate"),
            Fact(
                id="projected_total",
                value=balance.used_tokens + balance.reserved_tokens + tokens.middle,
                kind="estimate",
            ),
            Fact(id="currency", value="USD", kind="text"),
            Fact(id="cost", value=cost(facts), kind="money", none="unpriced"),
            Fact(
                id="opening_cost",
                value=money(_opening_pico(facts)) if opening else None,
                kind="money",
            ),
        ),
    )


def rate_notes(facts: BookData, language: str) -> tuple[str, ...]:
    """What a line is taken to need, where that comes from, and for which model."""
    rate = facts.rate
    names = {"model": facts.model, "written": facts.language}
    return (
        messages.say(
            language,
            f"say.basis.{rate.basis}",
            middle=f"{float(rate.middle):,.1f}",
            low=f"{float(rate.low):,.1f}",
            high=f"{float(rate.high):,.1f}",
            sections=rate.sections,
            **names,
        ),
        messages.say(language, "say.model", **names),
    )


def budget_notes(facts: BookData, language: str) -> tuple[str, ...]:
    """What has to be known with the figures."""
    notes = [*rate_notes(facts, language)]
    for opening in facts.book.openings:
        notes.append(
            messages.say(
                language,
                "say.opening",
                tokens=f"{opening.tokens:,}",
                ids=messages.joined(language, list(opening.chapters)),
            )
        )
    remaining = facts.balance.remaining_tokens
    if remaining is not None and remaining < 0:
        notes.append(messages.say(language, "say.over", tokens=f"{-remaining:,}"))
    unknown = [part for part in facts.overview.open if part.state is State.UNKNOWN]
    if unknown:
        notes.append(
            messages.say(
                language,
                "say.unknown",
                attempts=f"{sum(part.attempts for part in unknown):,}",
                tokens=f"{sum(part.tokens for part in unknown):,}",
            )
        )
    without = sorted({part.model for part in facts.overview.slices if part.unpriced})
    if without:
        known = money(_known_pico(facts))
        notes.append(
            messages.say(
                language,
                "say.unpriced",
                models=messages.joined(language, without),
                cost=show(known, "money", language, none="unknown"),
            )
        )
    return tuple(notes)


def burn_down(facts: BookData, full: Scenario) -> Facts:
    """At this rate: the day on which the allowance ends, and the chapter in which it does."""
    days = facts.overview.days
    a_day: int | None = None
    if days:
        first = date.fromisoformat(days[0].day)
        span = (max(facts.now.date(), date.fromisoformat(days[-1].day)) - first).days + 1
        a_day = sum(day.tokens for day in days) // span
    return Facts(
        id="burn_down",
        facts=(
            Fact(id="tokens_a_day", value=a_day, none="dash"),
            Fact(id="ends_on", value=_ends_on(facts, a_day), kind="text", none="never"),
            Fact(
                id="ends_at", value=_ends_at(facts, full), kind="text",
                none="unlimited" if facts.balance.limit.tokens is None else "lasts",
            ),
        ),
    )  # fmt: skip


def _ends_on(facts: BookData, a_day: int | None) -> str | None:
    remaining = facts.balance.remaining_tokens
    if remaining is None or not a_day:
        return None
    days = max(0, remaining) // a_day
    today = facts.now.date()
    return None if days > (date.max - today).days else (today + timedelta(days=days)).isoformat()


def _ends_at(facts: BookData, full: Scenario) -> str | None:
    """The first chapter, by priority, that the remaining tokens are not expected to finish."""
    remaining = facts.balance.remaining_tokens
    if remaining is None:
        return None
    by_id = {chapter.id: chapter for chapter in facts.chapters}
    ordered = sorted(full.chapters, key=lambda c: PRIORITIES.index(by_id[c.id].priority))
    for chapter in ordered:
        remaining -= chapter.tokens.middle
        if remaining < 0 and chapter.tokens.middle:
            return chapter.id
    return None
