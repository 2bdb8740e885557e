"""Figures rounded as reports show them. Pure."""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from expand.budget import usd_from_pico

_TENTH = Decimal("0.1")
_HUNDREDTH = Decimal("0.01")


def dollars(exact: Decimal) -> Decimal:
    """Dollars with two places at least: 0.00, 1.25, 0.0004375."""
    whole = exact.quantize(_HUNDREDTH)
    return whole if whole == exact else exact.normalize()


def money(pico: int) -> Decimal:
    """Pico-dollars as exact dollars with two places at least."""
    return dollars(usd_from_pico(pico))


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
    return (Decimal(part * 100) / whole).quantize(_TENTH, rounding=ROUND_HALF_UP) if whole else None


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
