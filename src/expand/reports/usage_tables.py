"""How the tokens were spent, table by table: by chapter, section, model, purpose and day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from expand.ledger.aggregates import Day, Open, Slice
from expand.reports.data import BookData
from expand.reports.report_model import Column, Table, Value
from expand.reports.rounding import money, shares
from expand.reports.scenarios import Scenario

_USE = (
    Column(id="attempts"),
    Column(id="prompt", kind="tokens"),
    Column(id="cached", kind="tokens"),
    Column(id="completion", kind="tokens"),
    Column(id="reasoning", kind="tokens"),
    Column(id="tokens", kind="tokens"),
    Column(id="cost", kind="money", none="unpriced"),
)


def _sums(parts: Sequence[Slice]) -> tuple[Value, ...]:
    """The columns of ``_USE`` over some slices, of which there is one at least."""
    # The last seven fields of a slice, which all add up.
    attempts, prompt, cached, completion, reasoning, cost, unpriced = (
        parts[0][-7:] if len(parts) == 1 else map(sum, zip(*(part[-7:] for part in parts), strict=True))
    )
    return (
        attempts,
        prompt,
        cached,
        completion,
        reasoning,
        prompt + completion,
        None if unpriced else money(cost),
    )


def _grouped(facts: BookData, id_: str, heads: Sequence[Column], key: Callable[[Slice], tuple[Value, ...]]) -> Table:
    groups: dict[tuple[Value, ...], list[Slice]] = {}
    for part in facts.overview.slices:
        groups.setdefault(key(part), []).append(part)
    return Table(
        id=id_,
        columns=(*heads, *_USE),
        rows=tuple((*name, *_sums(parts)) for name, parts in groups.items()),
        total=(*(None for _ in heads), *_sums(facts.overview.slices)) if len(groups) > 1 else None,
    )


def by_chapter(facts: BookData, full: Scenario) -> Table:
    """Tokens and attempts by chapter, and what its missing lines are expected to take."""
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


def by_section(facts: BookData) -> Table:
    """The same as by model, by section."""
    heads = (Column(id="chapter", kind="text"), Column(id="section", kind="ordinal"))
    return _grouped(facts, "by_section", heads, lambda part: (part.chapter, part.section))


def by_model(facts: BookData) -> Table:
    """Attempts, tokens and cost by the model that was asked."""
    return _grouped(facts, "by_model", (Column(id="model", kind="text"),), lambda part: (part.model,))


def by_purpose(facts: BookData) -> Table:
    """The same by purpose, with each one's share of the tokens."""
    table = _grouped(facts, "by_purpose", (Column(id="purpose", kind="word"),), lambda part: (part.purpose,))
    tokens = [int(row[6] or 0) for row in table.rows]
    return Table(
        id=table.id,
        columns=(*table.columns, Column(id="share", kind="percent")),
        rows=tuple((*row, share) for row, share in zip(table.rows, shares(tokens), strict=True)),
        total=(*table.total, Decimal("100.0") if sum(tokens) else None) if table.total else None,
    )


def by_day(facts: BookData) -> Table:
    """Tokens and cost by day, and what was left of the limit after each."""
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


def left_by_day(facts: BookData) -> tuple[int | None, ...]:
    """What was left of the limit after each day; reservations in flight do not count."""
    limit = facts.balance.limit.tokens
    left = None if limit is None else limit - facts.balance.opening_tokens
    found: list[int | None] = []
    for day in facts.overview.days:
        left = None if left is None else left - day.tokens
        found.append(left)
    return tuple(found)


def tied_up(facts: BookData) -> Table:
    """What is in flight, and what is of unknown outcome."""
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
        rows=tuple((p.chapter, p.section, p.model, str(p.state), p.attempts, p.tokens) for p in parts),
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


def errors(facts: BookData) -> Table:
    """How far prompts were from their estimates, by model: mean and spread."""
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


def latest(facts: BookData) -> Table:
    """The latest attempts one by one: estimated against actual, reserved against used."""
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
