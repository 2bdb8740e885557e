"""What a line takes in tokens, money and time, estimated from what was bought; and plans side by side: what each adds,
takes and leaves, and the best that fits. Pure.

An estimate says where it comes from: the ledger (sections by the same model in the same language), the book's opening
balance, or a stated default; what other models took says nothing of it. It always has a range, so that it cannot be
taken for more than it is.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from expand.outline import LEAN_LINES, PRIORITIES, Book

if TYPE_CHECKING:
    from expand.llm.profile import Price
    from expand.reports.data import BookData, ChapterData

DEFAULT_TOKENS_PER_LINE = Fraction(45)
"""A delivered line with its prompts, before anything was bought: about 32 of them prompt."""
PROMPT_SHARE = Fraction(32, 45)
"""How much of the tokens is prompt, where list prices have to stand in for what was paid."""
STATED_SPREAD = Fraction(1, 2)
"""How far, up and down, a figure may be off where too few sections show a spread."""
ENOUGH_SECTIONS = 3
"""From so many sections on the range is what they showed."""
FULL, LEAN, NONE = "full", "lean", "none"


class Basis(enum.StrEnum):
    """Where an estimate comes from, the best first."""

    MEASURED = "measured"
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
    if own := [one for one in samples if one.lines > 0 < one.tokens and (one.model, one.language) == (model, language)]:
        return _measured(own, pico_usd_per_token)
    if opening_tokens > 0 and opening_lines > 0:
        return _stated(Fraction(opening_tokens, opening_lines), Basis.OPENING, pico_usd_per_token)
    return _stated(DEFAULT_TOKENS_PER_LINE, Basis.DEFAULT, pico_usd_per_token)


def _stated(middle: Fraction, basis: Basis, price: Fraction | None, sections: int = 0) -> Rate:
    return Rate(middle * (1 - STATED_SPREAD), middle, middle * (1 + STATED_SPREAD), basis, sections, price)


def _measured(samples: Sequence[Sample], listed: Fraction | None) -> Rate:
    """The rate of all lines together, at what was paid; its range is that of the sections, without the outermost tenth
    of the lines at either end."""
    lines, tokens = sum(sample.lines for sample in samples), sum(sample.tokens for sample in samples)
    costs = [sample.cost_pico_usd for sample in samples]
    price = (None if None in costs else Fraction(sum(filter(None, costs)), tokens)) or listed
    middle = Fraction(tokens, lines)
    if len(samples) < ENOUGH_SECTIONS:
        return _stated(middle, Basis.MEASURED, price, len(samples))
    ordered = sorted(samples, key=lambda sample: sample.tokens / sample.lines)
    low, high = min(middle, _quantile(ordered, 1, lines)), max(middle, _quantile(ordered, 9, lines))
    return Rate(low, middle, high, Basis.MEASURED, len(samples), price)


def _quantile(ordered: Sequence[Sample], tenths: int, lines: int) -> Fraction:
    """The tokens a line below which so many tenths of all the lines lie."""
    passed = 0
    for sample in ordered:
        passed += sample.lines
        if 10 * passed >= tenths * lines:
            break
    return Fraction(sample.tokens, sample.lines)


# Plans.


class ChapterPlan(NamedTuple):
    """One chapter under a plan: its lines afterwards, those to be bought, and what they take.

    ``hours`` is None where nothing tells; ``pico_usd`` is None without a price."""

    id: str
    plan: str
    lines_now: int
    lines_after: int
    lines_to_buy: int
    tokens: Range
    pico_usd: int | None
    hours: Fraction | None

    @property
    def added(self) -> int:
        """Lines more than now."""
        return self.lines_after - self.lines_now


class TierState(NamedTuple):
    """A tier's lines, its target, and what it has reached."""

    id: str
    lines: int
    target: int


def together(tiers: Iterable[TierState]) -> TierState:
    """Several tiers as one."""
    states = list(tiers)
    return TierState(id="", lines=sum(tier.lines for tier in states), target=sum(tier.target for tier in states))


class Scenario:
    """The book under one plan, as sums over its ``chapters``; ``tiers`` are those of the book afterwards.

    ``pico_usd`` is None without a price, ``hours`` where nothing tells, ``left`` (of the allowance, if it takes what is
    expected) without a limit. ``fits`` is ``yes`` even at the upper end, ``perhaps`` as expected, or ``no``."""

    def __init__(self, data: BookData, name: str, chapters: Sequence[ChapterPlan]) -> None:
        self.name = name
        self.chapters = tuple(chapters)
        self.tiers = _tiers(data, {chapter.id: chapter.added for chapter in chapters})
        self.book = together(self.tiers)
        self.added = sum(chapter.added for chapter in chapters)
        self.lines_after = sum(chapter.lines_after for chapter in chapters)
        self.tokens = sum((chapter.tokens for chapter in chapters), NO_TOKENS)
        costs = [chapter.pico_usd for chapter in chapters]
        self.pico_usd = None if None in costs else sum(filter(None, costs))
        hours = [chapter.hours for chapter in chapters]
        self.hours = None if None in hours else sum(filter(None, hours), Fraction(0))
        remaining = data.balance.remaining_tokens
        self.left = None if remaining is None else remaining - self.tokens.middle
        if remaining is None or self.tokens.high <= remaining:
            self.fits = "yes"
        else:
            self.fits = "perhaps" if self.tokens.middle <= remaining else "no"


def scenarios(data: BookData, chosen: frozenset[str] | None = None) -> tuple[Scenario, ...]:
    """Full, lean and none; ``chosen`` are the chapters they apply to."""
    return tuple(Scenario(data, name, _planned(data, name, chosen)) for name in _TARGETS)


def full_plan(data: BookData) -> Scenario:
    """The plan that the rest is estimated by: every chapter at its target."""
    return Scenario(data, FULL, _planned(data, FULL))


def by_priority(data: BookData) -> list[ChapterData]:
    """The chapters in the order in which they are written: those of high priority first."""
    return sorted(data.chapters, key=lambda chapter: PRIORITIES.index(chapter.priority))


def best_fit(data: BookData, chosen: frozenset[str] | None = None) -> Scenario:
    """What the remaining budget reaches for even at the upper ends: one chapter after the other by priority, as a run
    takes them, each under the plan that brings it the most lines of those that fit."""
    plans = [_planned(data, name, chosen) for name in _TARGETS]
    options = {each[0].id: each for each in zip(*plans, strict=True)}
    left, picked = data.balance.remaining_tokens, dict[str, ChapterPlan]()
    for chapter in by_priority(data):
        fitting = (one for one in options[chapter.id] if left is None or one.tokens.high <= max(0, left))
        best = picked[chapter.id] = max(fitting, key=lambda one: one.added)
        left = None if left is None else left - best.tokens.high
    return Scenario(data, "fits", [picked[chapter.id] for chapter in data.chapters])


def recommended(every: Sequence[Scenario], fits: Scenario) -> Scenario:
    """Full if it fits even at the upper end, else lean, else the best that fits, else none."""
    by_name = {scenario.name: scenario for scenario in every}
    full, lean, none = by_name[FULL], by_name[LEAN], by_name[NONE]
    if full.added == 0:
        return none
    if full.fits == "yes":
        return full
    if lean.fits == "yes" and lean.added >= fits.added:
        return lean
    return fits if fits.added else none


def _full(chapter: ChapterData) -> int:
    return chapter.lines if chapter.finished else chapter.target


_TARGETS: Mapping[str, Callable[[ChapterData], int]] = {
    FULL: _full,
    LEAN: lambda chapter: min(_full(chapter), max(LEAN_LINES, chapter.lines)),
    NONE: lambda chapter: chapter.lines,
}
"""The lines of a chapter under each plan. Where plans agree on a chapter, the first of them gives the name."""


def _tiers(data: BookData, added: Mapping[str, int]) -> tuple[TierState, ...]:
    """The tiers with so many lines more by chapter; a tier that states its lines gains them too."""
    states = []
    for tier in data.book.tiers:
        own = [chapter for chapter in data.chapters if chapter.tier == tier.id]
        lines = sum(chapter.lines for chapter in own) if tier.lines is None else tier.lines
        states.append(TierState(tier.id, lines + sum(added[chapter.id] for chapter in own), tier.target_lines))
    return tuple(states)


def _planned(data: BookData, plan: str, chosen: frozenset[str] | None = None) -> tuple[ChapterPlan, ...]:
    """The chapters under a plan; those that are not ``chosen`` stay as they are."""
    found = []
    for chapter in data.chapters:
        applies = chosen is None or chapter.id in chosen
        wanted = max(chapter.lines, _TARGETS[plan](chapter)) if applies else chapter.lines
        missing = max(0, wanted - chapter.available_lines)
        if chapter.drafted and wanted <= max(chapter.target, chapter.lines):
            missing = 0  # no section would ask for anything
        tokens = data.rate.tokens(missing)
        found.append(
            ChapterPlan(
                id=chapter.id,
                plan=plan if applies else NONE,
                lines_now=chapter.lines,
                lines_after=wanted,
                lines_to_buy=missing,
                tokens=tokens,
                pico_usd=data.rate.pico_usd(tokens.middle),
                hours=_hours(data, chapter, missing),
            )
        )
    return tuple(found)


def opening_lines(book: Book, chapters: tuple[ChapterData, ...]) -> int:
    """The lines that the opening balances brought."""
    opened = {chapter for opening in book.openings for chapter in opening.chapters}
    return sum(chapter.lines - chapter.before for chapter in chapters if chapter.id in opened)


def _hours(data: BookData, chapter: ChapterData, missing: int) -> Fraction | None:
    """The share of what the outline states, which a person has planned; else what the model's runs took; else as the
    opening balance."""
    if missing == 0:
        return Fraction(0)
    whole = chapter.target - chapter.lines
    if chapter.hours and whole > 0:
        return Fraction(str(chapter.hours)) * missing / whole
    if data.hours_per_line is not None:
        return Fraction(data.hours_per_line) * missing
    hours = sum((Fraction(str(opening.hours)) for opening in data.book.openings), Fraction(0))
    lines = opening_lines(data.book, data.chapters) if hours else 0
    return hours / lines * missing if lines > 0 else None
