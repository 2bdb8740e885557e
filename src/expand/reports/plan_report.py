"""The plans side by side as a report, and the tables of them that the status report shows too."""

from __future__ import annotations

from dataclasses import dataclass

from expand.reports import messages
from expand.reports.budget_report import rate_notes
from expand.reports.data import BookData
from expand.reports.report_model import Column, Notes, Report, Table, Value
from expand.reports.rounding import estimated_cost, hours, percent, show
from expand.reports.scenarios import NONE, Scenario, TierState, best_fit, recommended, scenarios


@dataclass(frozen=True, kw_only=True, slots=True)
class Plans:
    """The plans of a book, the best that fits, and the one to take."""

    every: tuple[Scenario, ...]
    fits: Scenario
    best: Scenario


def plans_of(facts: BookData, chosen: frozenset[str] | None = None) -> Plans:
    """All plans over the ``chosen`` chapters, or over all that are not finished."""
    every = scenarios(facts, chosen)
    fits = best_fit(facts, chosen)
    return Plans(every=every, fits=fits, best=recommended(every, fits))


def plan_sheet(facts: BookData, language: str, chosen: frozenset[str] | None = None) -> Report:
    """``expand plan`` as of now, in ``language``."""
    plans = plans_of(facts, chosen)
    title = messages.say(language, "title.plan", book=facts.book.title.say(language))
    return Report(
        id="plan",
        title=title,
        language=language,
        made=facts.now,
        blocks=(
            plans_table(facts, plans),
            recommendation(facts, plans, language),
            plan_tiers(facts, plans, language),
            _by_chapter(facts, plans, language),
            what_fits(facts, plans, language),
            Notes(id="notes", lines=(*outline_notes(facts, language), *rate_notes(facts, language))),
        ),
    )


def plans_table(facts: BookData, plans: Plans) -> Table:
    """A row a plan: lines, tokens with their range, cost, hours, completion, what is left."""
    return Table(
        id="plans",
        columns=(
            Column(id="plan", kind="plan"),
            Column(id="added", kind="change"),
            Column(id="lines_after"),
            Column(id="tokens_low", kind="estimate"),
            Column(id="tokens", kind="estimate"),
            Column(id="tokens_high", kind="estimate"),
            Column(id="cost", kind="money", none="unpriced"),
            Column(id="hours", kind="hours"),
            Column(id="tier_rate", kind="percent"),
            Column(id="book_lines"),
            Column(id="book_rate", kind="percent"),
            Column(id="left", kind="estimate", none="unlimited"),
            Column(id="fits", kind="word"),
        ),
        rows=tuple(_plan_row(facts, scenario) for scenario in plans.every),
    )


def _plan_row(facts: BookData, scenario: Scenario) -> tuple[Value, ...]:
    book, tier = scenario.book, _touched(facts, scenario)
    return (
        scenario.name,
        scenario.added,
        scenario.lines_after,
        scenario.tokens.low,
        scenario.tokens.middle,
        scenario.tokens.high,
        estimated_cost(scenario.pico_usd),
        hours(scenario.hours),
        percent(tier.lines, tier.target),
        book.lines,
        percent(book.lines, book.target),
        scenario.left,
        scenario.fits,
    )


def _touched(facts: BookData, scenario: Scenario) -> TierState:
    """The tiers that still have chapters to write, together; all where none has."""
    open_tiers = {chapter.tier for chapter in facts.chapters if not chapter.finished}
    tiers = [tier for tier in scenario.tiers if tier.id in open_tiers] or list(scenario.tiers)
    return TierState(id="", lines=sum(tier.lines for tier in tiers), target=sum(tier.target for tier in tiers))


def plan_tiers(facts: BookData, plans: Plans, language: str) -> Table:
    """The tiers under each plan."""
    titles = {tier.id: tier.title.say(language) for tier in facts.book.tiers}
    return Table(
        id="plan_tiers",
        columns=(
            Column(id="plan", kind="plan"),
            Column(id="tier", kind="text"),
            Column(id="title", kind="text"),
            Column(id="lines_after"),
            Column(id="target"),
            Column(id="rate", kind="percent"),
        ),
        rows=tuple(
            (
                scenario.name,
                tier.id,
                titles[tier.id],
                tier.lines,
                tier.target,
                percent(tier.lines, tier.target),
            )
            for scenario in plans.every
            for tier in scenario.tiers
        ),
    )


_CHAPTER = (
    Column(id="plan", kind="plan"),
    Column(id="id", kind="text"),
    Column(id="title", kind="text"),
    Column(id="lines"),
    Column(id="lines_after"),
    Column(id="added", kind="change"),
    Column(id="tokens_low", kind="estimate"),
    Column(id="tokens", kind="estimate"),
    Column(id="tokens_high", kind="estimate"),
    Column(id="cost", kind="money", none="unpriced"),
    Column(id="hours", kind="hours"),
)


def _chapter_rows(facts: BookData, scenario: Scenario, language: str) -> tuple[tuple[Value, ...], ...]:
    titles = {chapter.id: chapter.title.say(language) for chapter in facts.chapters}
    return tuple(
        (
            chapter.plan,
            chapter.id,
            titles[chapter.id],
            chapter.lines_now,
            chapter.lines_after,
            chapter.added,
            chapter.tokens.low,
            chapter.tokens.middle,
            chapter.tokens.high,
            estimated_cost(chapter.pico_usd),
            hours(chapter.hours),
        )
        for chapter in scenario.chapters
        if chapter.added
    )


def _by_chapter(facts: BookData, plans: Plans, language: str) -> Table:
    rows = [row for scenario in plans.every for row in _chapter_rows(facts, scenario, language)]
    return Table(id="plan_chapters", columns=_CHAPTER, rows=tuple(rows))


def what_fits(facts: BookData, plans: Plans, language: str) -> Table:
    """The best set of chapters and plans that the remaining tokens allow."""
    fits = plans.fits
    rows = _chapter_rows(facts, fits, language)
    chapters = [chapter for chapter in fits.chapters if chapter.added]
    return Table(
        id="what_fits",
        columns=_CHAPTER,
        rows=rows,
        total=(
            None,
            None,
            None,
            sum(chapter.lines_now for chapter in chapters),
            sum(chapter.lines_after for chapter in chapters),
            fits.added,
            fits.tokens.low,
            fits.tokens.middle,
            fits.tokens.high,
            estimated_cost(fits.pico_usd),
            hours(fits.hours),
        )
        if len(rows) > 1
        else None,
    )


def recommendation(facts: BookData, plans: Plans, language: str) -> Notes:
    """The plan to take, and why."""
    best = plans.best
    kind = best.name
    if kind == NONE and plans.every[0].added:
        kind = "broke"
    remaining = facts.balance.remaining_tokens
    reached = percent(best.book.lines, best.book.target)
    return Notes(
        id="recommendation",
        lines=(
            messages.say(
                language,
                f"say.recommend.{kind}",
                plan=show(best.name, "plan", language, none="dash"),
                tokens=f"{best.tokens.middle:,}",
                high=f"{best.tokens.high:,}",
                full=f"{plans.every[0].tokens.high:,}",
                remaining=show(remaining, "tokens", language, none="unlimited"),
                rate=show(reached, "percent", language, none="dash"),
            ),
        ),
    )


def forecast(facts: BookData, plans: Plans, language: str) -> Table:
    """The tiers now and after the recommended plan."""
    now = {s.name: s for s in plans.every}[NONE]
    titles = {tier.id: tier.title.say(language) for tier in facts.book.tiers}
    pairs = list(zip(now.tiers, plans.best.tiers, strict=True))

    def row(before: TierState, after: TierState) -> tuple[Value, ...]:
        return (
            before.lines,
            after.lines,
            after.target,
            percent(before.lines, before.target),
            percent(after.lines, after.target),
        )

    return Table(
        id="forecast",
        columns=(
            Column(id="tier", kind="text"),
            Column(id="title", kind="text"),
            Column(id="lines"),
            Column(id="after"),
            Column(id="target"),
            Column(id="rate_now", kind="percent"),
            Column(id="rate_after", kind="percent"),
        ),
        rows=tuple((b.id, titles[b.id], *row(b, a)) for b, a in pairs),
        total=(None, None, *row(now.book, plans.best.book)),
    )


def outline_notes(facts: BookData, language: str) -> tuple[str, ...]:
    """Where an outline's sections do not add up to what is stated, and where records are old."""
    notes = [
        messages.say(
            language,
            "say.outline_differs",
            id=chapter.id,
            outlined=f"{chapter.outlined:,}",
            stated=f"{chapter.target:,}",
        )
        for chapter in facts.chapters
        if chapter.outlined is not None and chapter.outlined != chapter.target
    ]
    notes += [
        messages.say(
            language,
            "say.record_differs",
            id=chapter.id,
            recorded=f"{chapter.recorded:,}",
            counted=f"{chapter.counted:,}",
        )
        for chapter in facts.chapters
        if chapter.counted is not None and chapter.recorded is not None and chapter.counted != chapter.recorded
    ]
    return tuple(notes)
