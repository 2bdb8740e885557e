"""The plans side by side as a report, and the tables of them that the status report shows too."""

from collections.abc import Sequence
from typing import NamedTuple

from expand.errors import InputError
from expand.reports.budget_report import rate_notes
from expand.reports.data import BookData
from expand.reports.estimates import (
    NONE,
    ChapterPlan,
    Scenario,
    TierState,
    best_fit,
    recommended,
    scenarios,
    together,
)
from expand.reports.report_model import (
    Column,
    Notes,
    Report,
    Row,
    Table,
    estimated_cost,
    hours,
    percent,
    say,
    show,
    table,
)
from expand.workspace import meant


class Plans(NamedTuple):
    """The plans of a book, the last being the book as it is; the best set that fits, and the plan to take."""

    every: tuple[Scenario, ...]
    fits: Scenario
    best: Scenario


def plans_of(data: BookData, chosen: frozenset[str] | None = None) -> Plans:
    """All plans over the ``chosen`` chapters, or over all that are not finished."""
    every, fits = scenarios(data, chosen), best_fit(data, chosen)
    return Plans(every, fits, recommended(every, fits))


def plan_report(data: BookData, language: str, chosen: Sequence[str] = ()) -> Report:
    """``expand plan`` as of now, in ``language``, for the ``chosen`` chapters or for all. Raises ``InputError``."""
    known = [chapter.id for chapter in data.chapters]
    for chapter in chosen:
        if chapter not in known:
            near = meant(chapter, known)
            remedy = f"did you mean {near}?" if near else f"known are: {', '.join(known)}"
            raise InputError(f"the book has no chapter {chapter!r}", remedy=remedy)
    plans = plans_of(data, frozenset(chosen) or None)
    blocks = (
        plans_table(data, plans),
        recommendation(data, plans, language),
        table("plan_chapters", _CHAPTER, (row for plan in plans.every for row in _chapter_rows(data, plan, language))),
        what_fits(data, plans, language),
        Notes("notes", (*outline_notes(data, language), *rate_notes(data, language))),
    )
    title = say(language, "title.plan", book=data.book.title.say(language))
    return Report("plan", title, language, data.now, blocks)


def plans_table(data: BookData, plans: Plans) -> Table:
    """A row a plan: lines, tokens with their range, cost, hours, completion, what is left. The tiers' rate is that of
    those with chapters to write, or of all where none has."""
    unfinished = {chapter.tier for chapter in data.chapters if not chapter.finished}
    rows: list[Row] = []
    for plan in plans.every:
        tier, book = together([tier for tier in plan.tiers if tier.id in unfinished] or plan.tiers), plan.book
        rates = percent(tier.lines, tier.target), book.lines if book.target else None, percent(book.lines, book.target)
        rows.append((plan.name, plan.added, plan.lines_after, *_takes(plan), *rates, plan.left, plan.fits))
    names = f"plan added lines_after {_TAKES} tier_rate book_lines book_rate left fits"
    return table("plans", names, rows)


_TAKES = "tokens_low tokens tokens_high cost hours"


def _takes(plan: Scenario | ChapterPlan) -> Row:
    tokens = plan.tokens
    return (tokens.low, tokens.middle, tokens.high, estimated_cost(plan.pico_usd), hours(plan.hours))


_CHAPTER = f"plan id title lines lines_after added {_TAKES}"


def _chapter_rows(data: BookData, plan: Scenario, language: str) -> list[Row]:
    titles = {chapter.id: chapter.title.say(language) for chapter in data.chapters}
    return [
        (c.plan, c.id, titles[c.id], c.lines_now, c.lines_after, c.added, *_takes(c)) for c in plan.chapters if c.added
    ]


def what_fits(data: BookData, plans: Plans, language: str) -> Table:
    """The best set of chapters and plans that the remaining tokens allow."""
    takes = dict(zip(_TAKES.split(), _takes(plans.fits), strict=True))
    rows = _chapter_rows(data, plans.fits, language)
    return table("what_fits", _CHAPTER, rows, sums="lines lines_after added", totals=takes)


def recommendation(data: BookData, plans: Plans, language: str) -> Notes:
    """The plan to take, and why."""
    best, full = plans.best, plans.every[0]
    key = best.name
    if key == NONE and full.added:
        key = "broke"
    elif key != NONE and data.balance.remaining_tokens is None:
        key = "unlimited"
    if best.name != NONE and not best.book.target:
        key += "_alone"  # without a target for the book there is no rate to say
    line = say(
        language,
        f"say.recommend.{key}",
        plan=show(best.name, Column("plan", "plan"), language),
        tokens=f"{best.tokens.middle:,}",
        high=f"{best.tokens.high:,}",
        full=f"{full.tokens.high:,}",
        remaining=show(data.balance.remaining_tokens, Column("remaining", missing="unlimited"), language),
        rate=show(percent(best.book.lines, best.book.target), Column("rate", "percent"), language),
    )
    return Notes("recommendation", (line,))


def forecast(data: BookData, plans: Plans, language: str) -> Table:
    """The tiers now and after the recommended plan."""
    titles = {tier.id: tier.title.say(language) for tier in data.book.tiers}
    names = "lines after target rate_now rate_after"

    def figures(now: TierState, after: TierState) -> Row:
        rates = percent(now.lines, now.target), percent(after.lines, after.target)
        return (now.lines, after.lines, after.target, *rates)

    none, best = plans.every[-1], plans.best
    rows = [(n.id, titles[n.id], *figures(n, after)) for n, after in zip(none.tiers, best.tiers, strict=True)]
    total = dict(zip(names.split(), figures(none.book, best.book), strict=True))
    return table("forecast", f"tier title {names}", rows, totals=total, least_rows=0)


def outline_notes(data: BookData, language: str) -> tuple[str, ...]:
    """Where an outline's sections do not add up to what is stated."""
    return tuple(
        say(language, "say.outline_differs", id=c.id, outlined=f"{c.outlined:,}", stated=f"{c.target:,}")
        for c in data.chapters
        if c.outlined is not None and c.outlined != c.target
    )
