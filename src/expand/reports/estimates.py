"""What a line takes in tokens, money and time, estimated from what was bought. Pure.

An estimate says where it comes from: the ledger (the same model and language if there are such sections, else the same
model), the book's opening balance, or a stated default; what other models took says nothing of it. It always has a
range, so that it cannot be taken for more than it is.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from expand.llm.profile import Price

DEFAULT_TOKENS_PER_LINE = Fraction(45)
"""A delivered line with its prompts, before anything was bought: about 32 of them prompt."""
PROMPT_SHARE = Fraction(32, 45)
"""How much of the tokens is prompt, where list prices have to stand in for what was paid."""
STATED_SPREAD = Fraction(1, 2)
"""How far, up and down, a figure may be off where too few sections show a spread."""
ENOUGH_SECTIONS = 3
"""From so many sections on the range is what they showed."""


class Basis(enum.StrEnum):
    """Where an estimate comes from, the best first."""

    MODEL_AND_LANGUAGE = "model and language"
    MODEL = "model"
    OPENING = "opening"
    DEFAULT = "default"


class Sample(NamedTuple):
    """One section that was bought: delivered lines, and what they took.

    ``model`` is "" where several models wrote it. ``cost_pico_usd`` is None without a price. ``chapter`` and
    ``section`` say which it is."""

    model: str
    language: str
    lines: int
    tokens: int
    cost_pico_usd: int | None = None
    chapter: str = ""
    section: int = 0


@dataclass(frozen=True, slots=True)
class Range:
    """Whole tokens: what is expected, and between which bounds."""

    low: int
    middle: int
    high: int

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.middle + other.middle, self.high + other.high)


NO_TOKENS = Range(0, 0, 0)


class Rate(NamedTuple):
    """Tokens a line with their range; ``sections`` is how many it is based on.

    ``pico_usd_per_token`` is None where it is not known what a token costs."""

    low: Fraction
    middle: Fraction
    high: Fraction
    basis: Basis
    sections: int = 0
    pico_usd_per_token: Fraction | None = None

    def tokens(self, lines: int) -> Range:
        """What so many lines take."""
        return Range(round(self.low * lines), round(self.middle * lines), round(self.high * lines))

    def pico_usd(self, tokens: int) -> int | None:
        """What so many tokens cost; None where that is not known."""
        return None if self.pico_usd_per_token is None else round(self.pico_usd_per_token * tokens)


def list_price(price: Price) -> Fraction:
    """Pico-dollars that a token costs at list prices, nothing cached."""
    return PROMPT_SHARE * price.prompt + (1 - PROMPT_SHARE) * price.completion


def rate(
    samples: Sequence[Sample],
    *,
    model: str,
    language: str,
    opening_tokens: int = 0,
    opening_lines: int = 0,
    pico_usd_per_token: Fraction | None = None,
) -> Rate:
    """What a line by ``model`` in ``language`` takes, from the best samples that there are.

    ``opening_lines`` are the lines that ``opening_tokens`` brought. ``pico_usd_per_token`` is the model's list price,
    for when its own sections have none."""
    own = [sample for sample in samples if sample.lines > 0 and sample.tokens > 0 and sample.model == model]
    same = [sample for sample in own if sample.language == language]
    if best := same or own:
        return _measured(best, Basis.MODEL_AND_LANGUAGE if same else Basis.MODEL, pico_usd_per_token)
    if opening_tokens > 0 and opening_lines > 0:
        return _stated(Fraction(opening_tokens, opening_lines), Basis.OPENING, pico_usd_per_token)
    return _stated(DEFAULT_TOKENS_PER_LINE, Basis.DEFAULT, pico_usd_per_token)


def _stated(middle: Fraction, basis: Basis, price: Fraction | None, sections: int = 0) -> Rate:
    return Rate(middle * (1 - STATED_SPREAD), middle, middle * (1 + STATED_SPREAD), basis, sections, price)


def _measured(samples: Sequence[Sample], basis: Basis, listed: Fraction | None) -> Rate:
    """The rate of all lines together, at what was paid; its range is that of the sections, without the outermost tenth
    of the lines at either end."""
    lines, tokens = sum(sample.lines for sample in samples), sum(sample.tokens for sample in samples)
    costs = [sample.cost_pico_usd for sample in samples]
    price = (None if None in costs else Fraction(sum(filter(None, costs)), tokens)) or listed
    middle = Fraction(tokens, lines)
    if len(samples) < ENOUGH_SECTIONS:
        return _stated(middle, basis, price, len(samples))
    ordered = sorted(samples, key=lambda sample: sample.tokens / sample.lines)
    low, high = min(middle, _quantile(ordered, 1, lines)), max(middle, _quantile(ordered, 9, lines))
    return Rate(low, middle, high, basis, len(samples), price)


def _quantile(ordered: Sequence[Sample], tenths: int, lines: int) -> Fraction:
    """The tokens a line below which so many tenths of all the lines lie."""
    passed = 0
    for sample in ordered:
        passed += sample.lines
        if 10 * passed >= tenths * lines:
            break
    return Fraction(sample.tokens, sample.lines)
