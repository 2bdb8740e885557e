"""The plans side by side as a report, and the tables of them that the status report shows too."""

from dataclasses import dataclass

from expand.reports import messages
from expand.reports.budget_report import rate_notes
from expand.reports.data import BookData
from expand.reports.report_model import Notes, Report, Row, Table, columns
from expand.reports.rounding import estimated_cost, hours, percent, show
from expand.reports.scenarios import NONE, Scenario, TierState, best_fit, recommended, scenarios, together


@dataclass(frozen=True, kw_only=True, slots=True)
class Plans:
    """The plans of a book, the best that fits, and the one to take."""

    every: tuple[Scenario, ...]
    fits: Scenario
    best: Scenario

    @property
    def none(self) -> Scenario:
        """The book as it is."""
        return next(scenario for scenario in self.every if scenario.name == NONE)


def plans_of(data: BookData, chosen: frozenset[str] | None = None) -> Plans:
    """All plans over the ``chosen`` chapters, or over all that are not finished."""
    every = scenarios(data, chosen)
    fits = best_fit(data, chosen)
    return Plans(every=every, fits=fits, best=recommended(every, fits))


def plan_report(data: BookData, language: str, chosen: frozenset[str] | None = None) -> Report:
    """``expand plan`` as of now, in ``language``."""
    plans = plans_of(data, chosen)
    rows = tuple(row for scenario in plans.every for row in _chapter_rows(data, scenario, language))
    return Report(
        id="plan",
        title=messages.say(language, "title.plan", book=data.book.title.say(language)),
        language=language,
        made=data.now,
        blocks=(
            plans_table(data, plans),
            recommendation(data, plans, language),
            plan_tiers(data, plans, language),
            Table(id="plan_chapters", columns=_CHAPTER, rows=rows),
            what_fits(data, plans, language),
            Notes(id="notes", lines=(*outline_notes(data, language), *rate_notes(data, language))),
        ),
    )


def plans_table(data: BookData, plans: Plans) -> Table:
    """A row a plan: lines, tokens with their range, cost, hours, completion, what is left."""
    return Table(
        id="plans",
        columns=columns(
            *("plan", "added", "lines_after", "tokens_low", "tokens", "tokens_high", "cost", "hours"),
            *("tier_rate", "book_lines", "book_rate", "left", "fits"),
        ),
        rows=tuple(_plan_row(data, scenario) for scenario in plans.every),
    )


def _plan_row(data: BookData, scenario: Scenario) -> Row:
    book, tier = scenario.book, _open_tiers(data, scenario)
    return (
        *(scenario.name, scenario.added, scenario.lines_after, *_takes(scenario)),
        *(percent(tier.lines, tier.target), book.lines, percent(book.lines, book.target)),
        *(scenario.left, scenario.fits),
    )


def _takes(scenario: Scenario) -> Row:
    """Tokens from low to high, cost and hours."""
    tokens = scenario.tokens
    return (tokens.low, tokens.middle, tokens.high, estimated_cost(scenario.pico_usd), hours(scenario.hours))


def _open_tiers(data: BookData, scenario: Scenario) -> TierState:
    """The tiers that still have chapters to write, together; all where none has."""
    unfinished = {chapter.tier for chapter in data.chapters if not chapter.finished}
    return together([tier for tier in scenario.tiers if tier.id in unfinished] or scenario.tiers)


def plan_tiers(data: BookData, plans: Plans, language: str) -> Table:
    """The tiers under each plan."""
    titles = {tier.id: tier.title.say(language) for tier in data.book.tiers}
    return Table(
        id="plan_tiers",
        columns=columns("plan", "tier", "title", "lines_after", "target", "rate"),
        rows=tuple(
            (scenario.name, tier.id, titles[tier.id], tier.lines, tier.target, percent(tier.lines, tier.target))
            for scenario in plans.every
            for tier in scenario.tiers
        ),
    )


_CHAPTER = columns(
    *("plan", "id", "title", "lines", "lines_after", "added", "tokens_low", "tokens", "tokens_high", "cost", "hours")
)


def _chapter_rows(data: BookData, scenario: Scenario, language: str) -> tuple[Row, ...]:
    """The chapters that a plan adds lines to."""
    titles = {chapter.id: chapter.title.say(language) for chapter in data.chapters}
    return tuple(
        (
            *(chapter.plan, chapter.id, titles[chapter.id], chapter.lines_now, chapter.lines_after, chapter.added),
            *(chapter.tokens.low, chapter.tokens.middle, chapter.tokens.high),
            *(estimated_cost(chapter.pico_usd), hours(chapter.hours)),
        )
        for chapter in scenario.chapters
        if chapter.added
    )


def what_fits(data: BookData, plans: Plans, language: str) -> Table:
    """The best set of chapters and plans that the remaining tokens allow."""
    rows = _chapter_rows(data, plans.fits, language)
    chapters = [chapter for chapter in plans.fits.chapters if chapter.added]
    now, after = (sum(chapter.lines_now for chapter in chapters), sum(chapter.lines_after for chapter in chapters))
    total = (None, None, None, now, after, plans.fits.added, *_takes(plans.fits))
    return Table(id="what_fits", columns=_CHAPTER, rows=rows, total=total if len(rows) > 1 else None)


def recommendation(data: BookData, plans: Plans, language: str) -> Notes:
    """The plan to take, and why."""
    best = plans.best
    key = best.name
    if key == NONE and plans.every[0].added:
        key = "broke"
    elif key != NONE and data.remaining_tokens is None:
        key = "unlimited"
    line = messages.say(
        language,
        f"say.recommend.{key}",
        plan=show(best.name, "plan", language, missing="dash"),
        tokens=f"{best.tokens.middle:,}",
        high=f"{best.tokens.high:,}",
        full=f"{plans.every[0].tokens.high:,}",
        remaining=show(data.remaining_tokens, "count", language, missing="unlimited"),
        rate=show(percent(best.book.lines, best.book.target), "percent", language, missing="dash"),
    )
    return Notes(id="recommendation", lines=(line,))


def forecast(data: BookData, plans: Plans, language: str) -> Table:
    """The tiers now and after the recommended plan."""
    titles = {tier.id: tier.title.say(language) for tier in data.book.tiers}

    def row(now: TierState, after: TierState) -> Row:
        rates = percent(now.lines, now.target), percent(after.lines, after.target)
        return (now.lines, after.lines, after.target, *rates)

    pairs = zip(plans.none.tiers, plans.best.tiers, strict=True)
    return Table(
        id="forecast",
        columns=columns("tier", "title", "lines", "after", "target", "rate_now", "rate_after"),
        rows=tuple((now.id, titles[now.id], *row(now, after)) for now, after in pairs),
        total=(None, None, *row(plans.none.book, plans.best.book)),
    )


def outline_notes(data: BookData, language: str) -> tuple[str, ...]:
    """Where an outline's sections do not add up to what is stated, and where records are old."""
    notes = [
        messages.say(language, "say.outline_differs", id=c.id, outlined=f"{c.outlined:,}", stated=f"{c.target:,}")
        for c in data.chapters
        if c.outlined is not None and c.outlined != c.target
    ]
    notes += [
        messages.say(language, "say.record_differs", id=c.id, recorded=f"{c.recorded:,}", counted=f"{c.counted:,}")
        for c in data.chapters
        if c.record_differs
    ]
    return tuple(notes)
