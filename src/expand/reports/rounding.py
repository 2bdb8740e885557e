"""Figures rounded as reports show them, and as text in the way of the language.

The only place where a number becomes text.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from expand.budget import usd_from_pico
from expand.reports import messages
from expand.reports.report_model import Column, Kind, Value

_MYRIAD = 10_000
_HOURS = {"en": " h", "zh": " 小时"}
_FORMS: dict[Kind, str] = {
    "ordinal": "{}",
    "count": "{:,}",
    "change": "{:+,}",
    "percent": "{:,.1f}%",
    "error": "{:+,.1f}%",
    "hours": "{:,.1f}",
    "money": "{:,f}",
    "factor": "{:,.1f}",
}


def money(pico: int | None) -> Decimal | None:
    """Pico-dollars as exact dollars with two places at least: 0.00, 1.25, 0.0004375."""
    if pico is None:
        return None
    exact = usd_from_pico(pico)
    whole = exact.quantize(Decimal("0.01"))
    return whole if whole == exact else exact.normalize()


def hours(value: Fraction | None) -> Decimal | None:
    """Hours to one decimal."""
    if value is None:
        return None
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    return exact.quantize(Decimal("0.1"), rounding=ROUND_HALF_UP)


def estimated_cost(pico: int | None) -> Decimal | None:
    """An estimate in US dollars, rounded up to a hundredth of a cent."""
    return None if pico is None else money(-(-pico // 10**8) * 10**8)


def percent(part: int, whole: int) -> Decimal | None:
    """``part`` of ``whole`` in percent, to one decimal, halves up; None of nothing."""
    if whole == 0:
        return None
    exact = Decimal(part * 100) / Decimal(whole)
    return exact.quantize(Decimal("0.1"), rounding=ROUND_HALF_UP)


def shares(parts: Sequence[int]) -> tuple[Decimal | None, ...]:
    """What each part is of their sum, in percent to one decimal, adding up to 100.0."""
    whole = sum(parts)
    if whole == 0:
        return (None,) * len(parts)
    tenths = [part * 1000 // whole for part in parts]
    order = sorted(range(len(parts)), key=lambda i: (-(parts[i] * 1000 % whole), i))
    for index in order[: 1000 - sum(tenths)]:
        tenths[index] += 1
    return tuple(Decimal(tenth) / 10 for tenth in tenths)


def plain(value: Value) -> str:
    """A value without separators or words, for scripts; "" for None."""
    if value is None:
        return ""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def show(value: Value, kind: Kind, language: str, *, none: str, both: bool = False) -> str:
    """A value for people. With ``both`` Chinese tokens come with their 万."""
    if value is None:
        return messages.say(language, none)
    if isinstance(value, str):
        if kind == "plan":
            return messages.say(language, f"plan.{value}", otherwise=value)
        return messages.say(language, value) if kind == "word" else value
    if kind in ("tokens", "estimate"):
        return _tokens(value, language, both=both, exact=kind == "tokens")
    return _FORMS[kind].format(value) + (_HOURS[language] if kind == "hours" else "")


def show_row(columns: Sequence[Column], row: Sequence[Value], language: str, *, total: bool = False) -> list[str]:
    """A table's row for people. What does not add up stays empty in a total."""
    cells = []
    for number, (column, value) in enumerate(zip(columns, row, strict=True)):
        if total and value is None and column.kind != "money":
            cells.append("" if number else messages.say(language, "total"))
        else:
            cells.append(show(value, column.kind, language, none=column.none))
    return cells


def _tokens(value: int | Decimal, language: str, *, both: bool, exact: bool) -> str:
    """Thousands; with ``both`` in Chinese also 万, exact (16.5 万) or, of an estimate, rounded."""
    shown = f"{value:,}"
    if language != "zh" or not both or -_MYRIAD < value < _MYRIAD:
        return shown
    myriads = Decimal(value) / _MYRIAD
    text = f"{myriads:,.4f}".rstrip("0").rstrip(".") if exact else f"约 {myriads:,.1f}"
    return f"{shown}（{text} 万）"
