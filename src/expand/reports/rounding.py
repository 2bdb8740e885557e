"""Figures rounded as reports show them, and as text in the way of the language.

The only place where a number becomes text.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from expand.budget import usd_from_pico
from expand.reports import messages
from expand.reports.report_model import Column, Fact, Facts, Kind, Row, Table, Value

_TENTH = Decimal("0.1")
_HUNDREDTH = Decimal("0.01")
_MYRIAD = 10_000
_FORMS: dict[Kind, str] = {
    "ordinal": "{}",
    "change": "{:+,}",
    "percent": "{:,.1f}%",
    "error": "{:+,.1f}%",
    "hours": "{:,}",
    "money": "{:,f}",
    "factor": "{:,.1f}",
}


def money(pico: int) -> Decimal:
    """Pico-dollars as exact dollars with two places at least: 0.00, 1.25, 0.0004375."""
    exact = usd_from_pico(pico)
    whole = exact.quantize(Decimal("0.01"))
    return whole if whole == exact else exact.normalize()


def hours(value: Fraction | None) -> Decimal | None:
    """Hours to one decimal; below a tenth to two, so that what takes some minutes is not nothing."""
    if value is None:
        return None
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    return exact.quantize(_TENTH if exact >= _TENTH or not exact else _HUNDREDTH, rounding=ROUND_HALF_UP)


def estimated_cost(pico: int | None) -> Decimal | None:
    """An estimate in US dollars, rounded up to a hundredth of a cent."""
    return None if pico is None else money(-(-pico // 10**8) * 10**8)


def percent(part: int, whole: int) -> Decimal | None:
    """``part`` of ``whole`` in percent, to one decimal, halves up; None of nothing."""
    if whole == 0:
        return None
    return (Decimal(part * 100) / Decimal(whole)).quantize(_TENTH, rounding=ROUND_HALF_UP)


def signed_percent(value: float) -> Decimal:
    """A ratio such as -0.03 in percent, to one decimal."""
    return Decimal(str(round(100 * value, 1))).quantize(_TENTH)


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


def show(value: Value, kind: Kind, language: str, *, missing: str) -> str:
    """A value for people; ``missing`` is the key of the message for None. Chinese tokens come with their 万."""
    if value is None:
        return messages.say(language, missing)
    if isinstance(value, str):
        return _word(value, kind, language)
    if kind in ("tokens", "estimate"):
        return _tokens(value, language, exact=kind == "tokens")
    shown = _FORMS.get(kind, "{:,}").format(value)
    return shown + messages.say(language, "hours.unit") if kind == "hours" else shown


def _word(value: str, kind: Kind, language: str) -> str:
    if kind == "plan":
        key = f"plan.{value}"
        return messages.say(language, key) if key in messages.catalogue(language) else value
    return messages.say(language, value) if kind == "word" else value


def _tokens(value: int | Decimal, language: str, *, exact: bool) -> str:
    """Thousands; in Chinese also 万, exact (16.5 万) or, of an estimate, rounded."""
    shown = f"{value:,}"
    if language != "zh" or -_MYRIAD < value < _MYRIAD:
        return shown
    myriads = Decimal(value) / _MYRIAD
    text = f"{myriads:,.4f}".rstrip("0").rstrip(".") if exact else f"约 {myriads:,.1f}"
    return f"{shown}（{text} 万）"


def show_fact(block: Facts, fact: Fact, language: str) -> tuple[str, str]:
    """A fact's label and value for people."""
    shown = show(fact.value, fact.kind, language, missing=fact.missing)
    return messages.label(language, block.id, fact.id), shown


def show_heads(table: Table, language: str) -> list[str]:
    """The names of a table's columns for people."""
    return [messages.label(language, table.id, column.id) for column in table.columns]


def show_row(columns: Sequence[Column], row: Row, language: str, *, total: bool = False) -> list[str]:
    """A table's row for people. What does not add up stays empty in a total."""
    cells = []
    for number, (column, value) in enumerate(zip(columns, row, strict=True)):
        if total and value is None and column.kind != "money":
            cells.append("" if number else messages.say(language, "total"))
        else:
            cells.append(show(value, column.kind, language, missing=column.missing))
    return cells
