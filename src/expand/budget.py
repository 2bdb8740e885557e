"""The rules of the budget: pure arithmetic over exact integers.

Tokens are whole numbers. Money is in pico-dollars (1 USD = 10**12), whole numbers too, so that a price of 0.075 USD per
million tokens is exactly 75,000 pico-dollars a token. Unknown is None and never zero.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple

PICO_PER_USD = 10**12


def pico_from_usd(usd: Decimal) -> int:
    """Dollars to whole pico-dollars, rounded up so that a reservation is never too small."""
    return int((usd * PICO_PER_USD).to_integral_value(rounding=ROUND_CEILING))


def usd_from_pico(pico: int) -> Decimal:
    """Whole pico-dollars to exact dollars."""
    return Decimal(pico) / PICO_PER_USD


class Amount(NamedTuple):
    """Tokens and what they cost. ``pico_usd`` is None where the model has no known price."""

    tokens: int
    pico_usd: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """The most that a scope may spend; None means that this measure is not limited."""

    tokens: int | None = None
    pico_usd: int | None = None


NO_LIMIT = Limit()


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """Where one scope stands. ``used`` includes opening balances and unknown outcomes.

    ``scope`` is ``book``, ``chapter:<id>`` or ``run:<id>``; tokens and pico-dollars."""

    scope: str
    limit: Limit
    used_tokens: int = 0
    reserved_tokens: int = 0
    unknown_tokens: int = 0
    opening_tokens: int = 0
    used_pico_usd: int = 0
    reserved_pico_usd: int = 0

    @property
    def remaining_tokens(self) -> int | None:
        """Limit less used less reserved; negative when a provider billed above a reservation."""
        if self.limit.tokens is None:
            return None
        return self.limit.tokens - self.used_tokens - self.reserved_tokens

    @property
    def remaining_pico_usd(self) -> int | None:
        """The same in pico-dollars."""
        if self.limit.pico_usd is None:
            return None
        return self.limit.pico_usd - self.used_pico_usd - self.reserved_pico_usd


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Why an amount does not fit a scope.

    ``waitable`` says that it would fit if every reservation now in flight came back for nothing."""

    scope: str
    unit: str
    needed: int
    remaining: int
    reserved: int
    limit: int

    @property
    def waitable(self) -> bool:
        """Whether only calls in flight stand between the amount and the limit."""
        return self.needed <= self.remaining + self.reserved

    def __str__(self) -> str:
        """It in words: dollars are exact, without zeros at the end."""
        kind, _, name = self.scope.partition(":")
        whose = {"run": "this run (--budget)", "chapter": f"chapter {name}"}.get(kind, "the book")
        money = self.unit == "pico-USD"
        unit = "USD" if money else self.unit

        def write(amount: int) -> str:
            return f"{usd_from_pico(amount).normalize():f}" if money else f"{amount:,}"

        return f"{whose}: {write(self.needed)} {unit} needed, {write(self.remaining)} of {write(self.limit)} remain"


def shortfall(balances: Iterable[Balance], amount: Amount) -> Shortfall | None:
    """The worst reason why ``amount`` does not fit all of ``balances``; None when it fits.

    A reason that waiting cannot mend comes before one that it can."""
    found: list[Shortfall] = []
    for balance in balances:
        limits = balance.limit
        for unit, limit, needed, remaining, reserved in (
            ("tokens", limits.tokens, amount.tokens, balance.remaining_tokens, balance.reserved_tokens),
            ("pico-USD", limits.pico_usd, amount.pico_usd, balance.remaining_pico_usd, balance.reserved_pico_usd),
        ):
            if limit is not None and needed is not None and remaining is not None and needed > remaining:
                found.append(Shortfall(balance.scope, unit, needed, remaining, reserved, limit))
    return min(found, key=lambda s: s.waitable, default=None)
