"""What tokens cost, exactly: whole pico-dollars a token (1 USD = 10**12), and None where unknown.

A price comes from the profile, else from the genai-prices package as installed; nothing is
downloaded. Where a provider's price steps up with the length of the prompt, each step is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

from expand.llm.endpoint import OPENAI_URL, is_private
from expand.llm.profile import EMBEDDED_MODEL, Profile
from expand.llm.types import Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, PriceCalculation, TieredPrices

HALF = Decimal("0.5")
"""What a provider takes off for a batch, where nobody says otherwise."""

_PICO_PER_TOKEN = 10**6
"""Pico-dollars a token for one US dollar per million tokens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """Pico-dollars a token, for prompts of more than ``above`` tokens."""

    above: int = 0
    prompt: int
    cached: int
    completion: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Price(Rates):
    """Pico-dollars a token. ``steps`` replace them all for longer prompts, the shortest first."""

    steps: tuple[Rates, ...] = ()

    @property
    def rates(self) -> tuple[Rates, ...]:
        """The rates from the shortest prompts to the longest."""
        return (self, *self.steps)

    def cost(self, usage: Usage) -> int:
        """What an answer cost, in pico-dollars, at the rates that its prompt's length calls for."""
        rates = self._reached(usage.prompt)[-1]
        fresh = usage.prompt - usage.cached
        return fresh * rates.prompt + usage.cached * rates.cached + usage.completion * rates.completion

    def bound(self, prompt_tokens: int, cap: int) -> int:
        """The most that a request can cost, in pico-dollars: the cap used up, and the highest
        rates that a prompt of up to ``prompt_tokens`` can reach."""
        reached = self._reached(prompt_tokens)
        prompt = max(max(rates.prompt, rates.cached) for rates in reached)
        return prompt_tokens * prompt + cap * max(rates.completion for rates in reached)

    def _reached(self, prompt_tokens: int) -> list[Rates]:
        return [self, *(rates for rates in self.steps if prompt_tokens > rates.above)]


def price_for(model: str, profile: Profile, base_url: str | None, *, now: datetime | None = None) -> Price | None:
    """The price of ``model`` at ``base_url`` (None is the SDK's own); None when it is not known.

    The embedded model costs nothing. A server on this machine or a private network has no price
    unless its profile states one. ``now`` is for prices that change with the date or the hour."""
    if stated := profile.prices:
        return Price(prompt=_pico(stated.prompt), cached=_pico(stated.cached), completion=_pico(stated.completion))
    if base_url is None and model == EMBEDDED_MODEL:
        return Price(prompt=0, cached=0, completion=0)
    url = base_url or OPENAI_URL
    if is_private(url):
        return None
    return _published(profile.like or model, url, now)


def batch_price_for(model: str, profile: Profile, base_url: str | None, *, now: datetime | None = None) -> Price | None:
    """The price of ``model`` in a batch: the profile's discount off its price, else the published
    price for batches, else half."""
    live = price_for(model, profile, base_url, now=now)
    if live is None:
        return None
    if profile.prices is None and profile.batch_discount is None:
        published = _published(profile.like or model, base_url or OPENAI_URL, now, {"processing": "batch"})
        if published is not None and published != live:
            return published
    discount = HALF if profile.batch_discount is None else profile.batch_discount
    return _with_steps(
        Rates(
            above=rates.above,
            prompt=_off(rates.prompt, discount),
            cached=_off(rates.cached, discount),
            completion=_off(rates.completion, discount),
        )
        for rates in live.rates
    )


def _with_steps(rates: Iterable[Rates]) -> Price:
    base, *steps = rates
    return Price(prompt=base.prompt, cached=base.cached, completion=base.completion, steps=tuple(steps))


def _off(pico: int, discount: Decimal) -> int:
    """A rate less a discount, rounded up so that a reservation is never too small."""
    return int((pico * (1 - discount)).to_integral_value(rounding=ROUND_CEILING))


def _published(model: str, url: str, now: datetime | None, context: Mapping[str, str] | None = None) -> Price | None:
    from genai_prices import Usage as Priced  # start-up time
    from genai_prices import calc_price

    try:
        found = calc_price(
            Priced(),
            model,
            provider_api_url=url,
            genai_request_timestamp=(now or datetime.now(UTC)).astimezone(UTC),
            price_context=context,
        )
    except LookupError:
        return None
    return _price(found)


def _price(found: PriceCalculation) -> Price | None:
    prices: ModelPrice = found.model_price
    if prices.input_mtok is None or prices.output_mtok is None:
        return None
    # OpenAI writes its cache by itself and bills it: then a fresh prompt token may cost that much.
    written = prices.cache_write_mtok if found.provider.id == "openai" else None
    starts = {
        tier.start
        for value in (prices.input_mtok, prices.output_mtok, prices.cache_read_mtok, written)
        if value is not None and not isinstance(value, Decimal)
        for tier in value.tiers
    }
    return _with_steps(_rates(prices, written, above) for above in (0, *sorted(starts)))


def _rates(prices: ModelPrice, written: Decimal | TieredPrices | None, above: int) -> Rates:
    fresh = _at(prices.input_mtok, above)
    cached = fresh if prices.cache_read_mtok is None else _at(prices.cache_read_mtok, above)
    return Rates(
        above=above,
        prompt=_pico(max(fresh, _at(written, above))),
        cached=_pico(cached),
        completion=_pico(_at(prices.output_mtok, above)),
    )


def _at(value: Decimal | TieredPrices | None, above: int) -> Decimal:
    """USD per million tokens for prompts of just over ``above`` tokens; 0 where there is none."""
    if value is None or isinstance(value, Decimal):
        return value or Decimal(0)
    reached = [tier.price for tier in value.tiers if tier.start <= above and above > 0]
    return reached[-1] if reached else value.base


def _pico(usd_per_million: Decimal) -> int:
    """To whole pico-dollars a token, rounded up."""
    return int((usd_per_million * _PICO_PER_TOKEN).to_integral_value(rounding=ROUND_CEILING))
