"""Plans side by side: what each adds, takes and leaves, and the best that fits. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP
from fractions import Fraction
from typing import NamedTuple

from expand.outline import LEAN_LINES, PlanSpec
from expand.reports.data import BookData, ChapterData
from expand.reports.estimates import NO_TOKENS, Range

FULL, LEAN, NONE = "full", "lean", "none"
STEPS = 2048
"""Into so many steps the remaining tokens are divided when the best set is looked for."""
PRIORITIES = ("high", "medium", "low")
_WEIGHTS = (10**24, 10**12, 1)
"""A line of one priority outweighs all the lines of a lower one that a book can have."""


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


class Scenario(NamedTuple):
    """The book under one plan; ``tiers`` are those of the book afterwards."""

    name: str
    chapters: tuple[ChapterPlan, ...]
    tiers: tuple[TierState, ...]
    remaining: int | None

    @property
    def added(self) -> int:
        """Lines more than now."""
        return sum(chapter.added for chapter in self.chapters)

    @property
    def lines_after(self) -> int:
        """The lines of all the book's listed chapters."""
        return sum(chapter.lines_after for chapter in self.chapters)

    @property
    def tokens(self) -> Range:
        """What they take."""
        return sum((chapter.tokens for chapter in self.chapters), NO_TOKENS)

    @property
    def pico_usd(self) -> int | None:
        """What they cost, None without a price."""
        costs = [chapter.pico_usd for chapter in self.chapters]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    @property
    def hours(self) -> Fraction | None:
        """How long they take, None where nothing tells."""
        hours = [chapter.hours for chapter in self.chapters]
        return None if None in hours else sum((h for h in hours if h is not None), Fraction(0))

    @property
    def book(self) -> TierState:
        """All tiers together."""
        return together(self.tiers)

    @property
    def left(self) -> int | None:
        """What stays of the allowance when it takes what is expected; None without a limit."""
        return None if self.remaining is None else self.remaining - self.tokens.middle

    @property
    def fits(self) -> str:
        """``yes`` even at the upper end, ``perhaps`` as expected, ``no``."""
        if self.remaining is None or self.tokens.high <= self.remaining:
            return "yes"
        return "perhaps" if self.tokens.middle <= self.remaining else "no"


Target = Callable[[ChapterData], int]


def scenarios(data: BookData, chosen: frozenset[str] | None = None) -> tuple[Scenario, ...]:
    """Full, lean, the book's own, and none; ``chosen`` are the chapters they apply to."""
    named: dict[str, Target] = {FULL: _full, LEAN: _lean}
    named |= {name: _own(spec) for name, spec in data.book.plans.items()}
    named[NONE] = _none
    return tuple(
        _scenario(data, name, {c.id: name for c in data.chapters}, {name: target}, chosen)
        for name, target in named.items()
    )


def full_plan(data: BookData) -> Scenario:
    """The plan that the rest is estimated by: every chapter at its target."""
    return _scenario(data, FULL, {c.id: FULL for c in data.chapters}, {FULL: _full}, None)


def best_fit(data: BookData, chosen: frozenset[str] | None = None) -> Scenario:
    """The set of chapters and plans that fits the remaining budget even at the upper ends.

    It brings the most lines of high priority, of those the most of medium, then of low; to within a 2048th of the
    budget, and never above it."""
    targets: dict[str, Target] = {FULL: _full, LEAN: _lean, NONE: _none}
    targets |= {name: _own(spec) for name, spec in data.book.plans.items()}
    options: list[tuple[ChapterData, list[ChapterPlan]]] = []
    for chapter in data.chapters:
        if chosen is None or chapter.id in chosen:
            plans = [_planned(data, chapter, name, target) for name, target in targets.items()]
            options.append((chapter, list({plan.lines_after: plan for plan in reversed(plans)}.values())))
    return _scenario(data, "fits", _pick(options, data.remaining_tokens), targets, chosen)


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


def _lean(chapter: ChapterData) -> int:
    return min(_full(chapter), max(LEAN_LINES, chapter.lines))


def _none(chapter: ChapterData) -> int:
    return chapter.lines


def _own(spec: PlanSpec) -> Target:
    def target(chapter: ChapterData) -> int:
        if chapter.id in spec.targets:
            return spec.targets[chapter.id]
        if spec.factor is None or chapter.finished:
            return chapter.lines
        return int((chapter.target * spec.factor).to_integral_value(rounding=ROUND_HALF_UP))

    return target


def _scenario(
    data: BookData, name: str, plans: Mapping[str, str], targets: Mapping[str, Target], chosen: frozenset[str] | None
) -> Scenario:
    chapters = tuple(
        _planned(data, chapter, plans[chapter.id], targets[plans[chapter.id]])
        if (chosen is None or chapter.id in chosen) and chapter.id in plans
        else _planned(data, chapter, NONE, _none)
        for chapter in data.chapters
    )
    return Scenario(
        name=name,
        chapters=chapters,
        tiers=tier_states(data, {chapter.id: chapter.lines_after for chapter in chapters}),
        remaining=data.remaining_tokens,
    )


def tier_states(data: BookData, lines: Mapping[str, int]) -> tuple[TierState, ...]:
    """The tiers with these lines by chapter; a tier that states its lines gains what is added."""
    now = {chapter.id: chapter.lines for chapter in data.chapters}
    states = []
    for tier in data.book.tiers:
        own = [chapter.id for chapter in data.chapters if chapter.tier == tier.id]
        if tier.lines is None:
            count = sum(lines[chapter] for chapter in own)
        else:
            count = tier.lines + sum(lines[chapter] - now[chapter] for chapter in own)
        states.append(TierState(id=tier.id, lines=count, target=tier.target_lines))
    return tuple(states)


def _planned(data: BookData, chapter: ChapterData, plan: str, target: Target) -> ChapterPlan:
    wanted = max(chapter.lines, target(chapter))
    missing = max(0, wanted - chapter.available_lines)
    if chapter.drafted and wanted <= max(chapter.target, chapter.lines):
        missing = 0  # no section would ask for anything
    tokens = data.rate.tokens(missing)
    return ChapterPlan(
        id=chapter.id,
        plan=plan,
        lines_now=chapter.lines,
        lines_after=wanted,
        lines_to_buy=missing,
        tokens=tokens,
        pico_usd=data.rate.pico_usd(tokens.middle),
        hours=_hours(data, chapter, missing),
    )


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
    lines = data.lines_of_openings if hours else 0
    return hours / lines * missing if lines > 0 else None


class _Choice(NamedTuple):
    """Plans for the chapters up to one of them; ``gain`` are the lines that they add, weighed by priority."""

    gain: int = 0
    plan: ChapterPlan | None = None
    before: _Choice | None = None


def _pick(options: Sequence[tuple[ChapterData, Sequence[ChapterPlan]]], remaining: int | None) -> dict[str, str]:
    """One option a chapter with the most lines by priority, within ``remaining`` tokens."""
    most = [max(plans, key=lambda plan: plan.added) for _, plans in options]
    if remaining is None or sum(plan.tokens.high for plan in most) <= remaining:
        return {plan.id: plan.plan for plan in most}
    step = max(1, -(-remaining // STEPS))
    best = {0: _Choice()}  # by the steps of the budget that they take
    for chapter, plans in options:
        weight = _WEIGHTS[PRIORITIES.index(chapter.priority)]
        extended: dict[int, _Choice] = {}
        for spent, choice in best.items():
            for plan in plans:
                cost = spent + -(-plan.tokens.high // step)
                gain = choice.gain + weight * plan.added
                affordable = not cost or cost * step <= remaining
                if affordable and (cost not in extended or extended[cost].gain < gain):
                    extended[cost] = _Choice(gain, plan, choice)
        best = _undominated(extended)
    picked = {}
    last: _Choice | None = max(best.values(), key=lambda choice: choice.gain)
    while last is not None and last.plan is not None:
        picked[last.plan.id] = last.plan.plan
        last = last.before
    return picked


def _undominated(choices: dict[int, _Choice]) -> dict[int, _Choice]:
    """The choices that no cheaper one matches."""
    kept: dict[int, _Choice] = {}
    top = -1
    for cost, choice in sorted(choices.items()):
        if choice.gain > top:
            kept[cost] = choice
            top = choice.gain
    return kept
