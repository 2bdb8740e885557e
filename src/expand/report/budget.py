"""The budget report: used, reserved and remaining, what the rest may take, and how it was spent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal

from expand.budget import pico_from_usd
from expand.ledger.overview import Day, Open, Slice
from expand.ledger.values import State
from expand.report import wording
from expand.report.facts import BookFacts
from expand.report.figures import money, show
from expand.report.scenario import FULL, PRIORITIES, Scenario, percent, scenarios, shares
from expand.report.sheet import (
    Block,
    Column,
    Fact,
    Facts,
    Notes,
    Sheet,
    Table,
    Value,
)

LATEST = 10
"""So many of the latest attempts are shown one by one."""


def budget_sheet(facts: BookFacts, language: str) -> Sheet:
    """The report as of now, in ``language``."""
    full = full_plan(facts)
    blocks: list[Block] = [
        budget_facts(facts, full),
        burn_down(facts, full),
        Notes(id="notes", lines=budget_notes(facts, language)),
        _by_chapter(facts, full),
        _by_section(facts),
        by_model(facts),
        by_purpose(facts),
        _by_day(facts),
        _open(facts),
        _errors(facts),
        _latest(facts),
    ]
    title = wording.say(language, "title.budget", book=facts.book.title.say(language))
    return Sheet(id="budget", title=title, language=language, made=facts.now, blocks=tuple(blocks))


def full_plan(facts: BookFacts) -> Scenario:
    """The plan that the rest is estimated by: every chapter at its target."""
    return next(scenario for scenario in scenarios(facts) if scenario.name == FULL)


def cost(facts: BookFacts) -> Decimal | None:
    """What was spent in US dollars, the opening balance with it; None where a price is unknown."""
    if any(part.unpriced for part in facts.overview.slices):
        return None
    return money(_known_pico(facts))


def _known_pico(facts: BookFacts) -> int:
    spent = sum(part.cost_pico_usd for part in facts.overview.slices)
    return spent + _opening_pico(facts)


def _opening_pico(facts: BookFacts) -> int:
    return sum(pico_from_usd(opening.usd) for opening in facts.book.openings if opening.usd)


def budget_facts(facts: BookFacts, full: Scenario) -> Facts:
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


def rate_notes(facts: BookFacts, language: str) -> tuple[str, ...]:
    """What a line is taken to need, where that comes from, and for which model."""
    rate = facts.rate
    names = {"model": facts.model, "written": facts.language}
    return (
        wording.say(
            language,
            f"say.basis.{rate.basis}",
            middle=f"{float(rate.middle):,.1f}",
            low=f"{float(rate.low):,.1f}",
            high=f"{float(rate.high):,.1f}",
            sections=rate.sections,
            **names,
        ),
        wording.say(language, "say.model", **names),
    )


def budget_notes(facts: BookFacts, language: str) -> tuple[str, ...]:
    """What has to be known with the figures."""
    notes = [*rate_notes(facts, language)]
    for opening in facts.book.openings:
        notes.append(
            wording.say(
                language,
                "say.opening",
                tokens=f"{opening.tokens:,}",
                ids=wording.joined(language, list(opening.chapters)),
            )
        )
    remaining = facts.balance.remaining_tokens
    if remaining is not None and remaining < 0:
        notes.append(wording.say(language, "say.over", tokens=f"{-remaining:,}"))
    unknown = [part for part in facts.overview.open if part.state is State.UNKNOWN]
    if unknown:
        notes.append(
            wording.say(
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
            wording.say(
                language,
                "say.unpriced",
                models=wording.joined(language, without),
                cost=show(known, "money", language, none="unknown"),
            )
        )
    return tuple(notes)


_USE = (
    Column(id="attempts"),
    Column(id="prompt", kind="tokens"),
    Column(id="cached", kind="tokens"),
    Column(id="completion", kind="tokens"),
    Column(id="reasoning", kind="tokens"),
    Column(id="tokens", kind="tokens"),
    Column(id="cost", kind="money", none="unpriced"),
)


def _sums(parts: Iterable[Slice]) -> tuple[Value, ...]:
    """The columns of ``_USE`` over some slices."""
    every = tuple(parts)
    unpriced = any(part.unpriced for part in every)
    return (
        sum(part.attempts for part in every),
        sum(part.prompt for part in every),
        sum(part.cached for part in every),
        sum(part.completion for part in every),
        sum(part.reasoning for part in every),
        sum(part.tokens for part in every),
        None if unpriced else money(sum(part.cost_pico_usd for part in every)),
    )


def _grouped(
    facts: BookFacts, id_: str, heads: Sequence[Column], key: Callable[[Slice], tuple[Value, ...]]
) -> Table:
    groups: dict[tuple[Value, ...], list[Slice]] = {}
    for part in facts.overview.slices:
        groups.setdefault(key(part), []).append(part)
    return Table(
        id=id_,
        columns=(*heads, *_USE),
        rows=tuple((*name, *_sums(parts)) for name, parts in groups.items()),
        total=(*(None for _ in heads), *_sums(facts.overview.slices)) if len(groups) > 1 else None,
    )


def _by_chapter(facts: BookFacts, full: Scenario) -> Table:
    estimated = {chapter.id: chapter.tokens.middle for chapter in full.chapters}
    names = dict.fromkeys([*estimated, *facts.by_chapter])
    rows = []
    for chapter in names:
        parts = facts.by_chapter.get(chapter, ())
        rows.append(
            (
                chapter,
                sum(part.tokens for part in parts),
                estimated.get(chapter, 0),
                sum(part.attempts for part in parts),
            )
        )
    return Table(
        id="by_chapter",
        columns=(
            Column(id="id", kind="text"),
            Column(id="used", kind="tokens"),
            Column(id="estimated_remaining", kind="tokens"),
            Column(id="attempts"),
        ),
        rows=tuple(rows),
        total=(None, *(sum(row[column] for row in rows) for column in (1, 2, 3))),  # type: ignore[misc]
    )


def _by_section(facts: BookFacts) -> Table:
    heads = (Column(id="chapter", kind="text"), Column(id="section", kind="ordinal"))
    return _grouped(facts, "by_section", heads, lambda part: (part.chapter, part.section))


def by_model(facts: BookFacts) -> Table:
    """Attempts, tokens and cost by the model that was asked."""
    return _grouped(
        facts, "by_model", (Column(id="model", kind="text"),), lambda part: (part.model,)
    )


def by_purpose(facts: BookFacts) -> Table:
    """The same by purpose, with each one's share of the tokens."""
    table = _grouped(
        facts, "by_purpose", (Column(id="purpose", kind="word"),), lambda part: (part.purpose,)
    )
    tokens = [int(row[6] or 0) for row in table.rows]
    return Table(
        id=table.id,
        columns=(*table.columns, Column(id="share", kind="percent")),
        rows=tuple((*row, share) for row, share in zip(table.rows, shares(tokens), strict=True)),
        total=(*table.total, Decimal("100.0") if sum(tokens) else None) if table.total else None,
    )


def _by_day(facts: BookFacts) -> Table:
    days = facts.overview.days
    return Table(
        id="by_day",
        columns=(
            Column(id="day", kind="text"),
            Column(id="attempts"),
            Column(id="tokens", kind="tokens"),
            Column(id="cost", kind="money", none="unpriced"),
            Column(id="remaining", kind="tokens", none="unlimited"),
        ),
        rows=tuple(
            (day.day, day.attempts, day.tokens, _day_cost([day]), remaining)
            for day, remaining in zip(days, left_by_day(facts), strict=True)
        ),
        total=(
            None,
            sum(day.attempts for day in days),
            sum(day.tokens for day in days),
            _day_cost(days),
            None,
        )
        if len(days) > 1
        else None,
    )


def _day_cost(days: Sequence[Day]) -> Decimal | None:
    if any(day.unpriced for day in days):
        return None
    return money(sum(day.cost_pico_usd for day in days))


def left_by_day(facts: BookFacts) -> tuple[int | None, ...]:
    """What was left of the limit after each day; reservations in flight do not count."""
    limit = facts.balance.limit.tokens
    left = None if limit is None else limit - facts.balance.opening_tokens
    found: list[int | None] = []
    for day in facts.overview.days:
        left = None if left is None else left - day.tokens
        found.append(left)
    return tuple(found)


def _open(facts: BookFacts) -> Table:
    parts: tuple[Open, ...] = facts.overview.open
    return Table(
        id="open",
        columns=(
            Column(id="chapter", kind="text"),
            Column(id="section", kind="ordinal"),
            Column(id="model", kind="text"),
            Column(id="state", kind="word"),
            Column(id="attempts"),
            Column(id="tokens", kind="tokens"),
        ),
        rows=tuple(
            (p.chapter, p.section, p.model, str(p.state), p.attempts, p.tokens) for p in parts
        ),
        total=(
            *(None,) * 4,
            sum(part.attempts for part in parts),
            sum(part.tokens for part in parts),
        )
        if len(parts) > 1
        else None,
    )


def _signed(value: float) -> Decimal:
    return Decimal(str(round(100 * value, 1))).quantize(Decimal("0.1"))


def _errors(facts: BookFacts) -> Table:
    return Table(
        id="errors",
        columns=(
            Column(id="model", kind="text"),
            Column(id="attempts"),
            Column(id="estimated", kind="tokens"),
            Column(id="billed", kind="tokens"),
            Column(id="mean", kind="error"),
            Column(id="deviation", kind="percent"),
            Column(id="least", kind="error"),
            Column(id="greatest", kind="error"),
        ),
        rows=tuple(
            (
                e.model,
                e.attempts,
                e.estimated,
                e.prompt,
                _signed(e.mean),
                _signed(e.deviation),
                _signed(e.least),
                _signed(e.greatest),
            )
            for e in facts.overview.errors
        ),
    )


def _latest(facts: BookFacts) -> Table:
    return Table(
        id="attempts_latest",
        columns=(
            Column(id="chapter", kind="text"),
            Column(id="section", kind="ordinal"),
            Column(id="purpose", kind="word"),
            Column(id="state", kind="word"),
            Column(id="estimated", kind="tokens"),
            Column(id="prompt", kind="tokens"),
            Column(id="error", kind="error"),
            Column(id="output_cap", kind="tokens"),
            Column(id="completion", kind="tokens"),
            Column(id="reserved_tokens", kind="tokens"),
            Column(id="used", kind="tokens"),
        ),
        rows=tuple(
            (
                row.chapter,
                row.section,
                row.purpose,
                str(row.state),
                row.prompt_estimate,
                row.usage.prompt,
                _signed(row.usage.prompt / row.prompt_estimate - 1)
                if row.usage_source == "provider" and row.prompt_estimate
                else None,
                row.output_cap,
                row.usage.completion,
                row.reserved.tokens,
                row.used_tokens,
            )
            for row in facts.overview.latest
        ),
    )


def burn_down(facts: BookFacts, full: Scenario) -> Facts:
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


def _ends_on(facts: BookFacts, a_day: int | None) -> str | None:
    remaining = facts.balance.remaining_tokens
    if remaining is None or not a_day:
        return None
    days = max(0, remaining) // a_day
    today = facts.now.date()
    return None if days > (date.max - today).days else (today + timedelta(days=days)).isoformat()


def _ends_at(facts: BookFacts, full: Scenario) -> str | None:
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
