"""Plans, the best set that fits, and what a line is estimated to take."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_books import NOW

from expand.budget import Balance, Limit
from expand.ledger.values import Aggregates, Day
from expand.llm.profile import Price
from expand.outline import Allowance, Book, Opening, Priority, Text
from expand.reports.budget_report import burn_down
from expand.reports.data import BookData, ChapterData, DraftSummary, SectionData
from expand.reports.estimates import Basis, Rate, Sample, best_fit, full_plan, list_price, rate, scenarios
from expand.reports.formats import as_json
from expand.reports.plan_report import plan_report, plans_of
from expand.reports.report_model import Notes
from expand.reports.status_report import overall

RATE = Rate(low=Fraction(5), middle=Fraction(10), high=Fraction(20), basis=Basis.DEFAULT)


def chapter(id_: str, now: int, target: int, priority: Priority = "medium", hours: float = 0.0) -> ChapterData:
    return ChapterData(
        id=id_,
        title=Text(plain=f"Chapter {id_}"),
        recorded=now,
        before=now,
        target=target,
        outlined=target,
        priority=priority,
        hours=hours,
    )


def book_data(
    *chapters: ChapterData,
    remaining: int | None = 1_000_000,
    openings: tuple[Opening, ...] = (),
    days: tuple[Day, ...] = (),
) -> BookData:
    balance = Balance(scope="book", limit=Limit(tokens=remaining))
    return BookData(
        book=Book(
            title=Text(plain="A book"),
            language="en",
            languages=("en",),
            allowance=Allowance(tokens=remaining),
            openings=openings,
        ),
        chapters=chapters,
        aggregates=Aggregates(balance=balance, days=days),
        now=NOW,
        model="m",
        rate=RATE,
        balance=balance,
    )


def said(of: BookData) -> str:
    report = plan_report(of, "en")
    (note,) = [b for b in report.blocks if isinstance(b, Notes) and b.id == "recommendation"]
    return note.lines[0]


def test_lean_is_450_lines_and_never_more_than_full() -> None:
    full, lean, none = scenarios(book_data(chapter("1", 10, 1000), chapter("2", 10, 300)))

    assert [c.lines_after for c in full.chapters] == [1000, 300]
    assert [c.lines_after for c in lean.chapters] == [450, 300]
    assert (none.added, none.tokens.high) == (0, 0)


def test_what_a_draft_has_is_not_bought_again() -> None:
    drafted = DraftSummary(language="en", plan="full", lines_by_section={1: 300, 2: 100})

    full = scenarios(book_data(chapter("1", 10, 1000)._replace(draft=drafted)))[0]

    assert (full.added, sum(chapter.lines_to_buy for chapter in full.chapters)) == (990, 600)
    assert (full.tokens.low, full.tokens.middle, full.tokens.high) == (3000, 6000, 12000)


@pytest.mark.parametrize(("last", "to_buy"), [(95, 0), (94, 56)])
def test_a_draft_whose_sections_have_their_lines_takes_nothing_more(last: int, to_buy: int) -> None:
    drafted = DraftSummary(language="en", plan="full", lines_by_section={1: 850, 2: last})
    sections = tuple(SectionData(lines=lines, delivered=delivered) for lines, delivered in ((900, 855), (100, last)))
    one = chapter("1", 10, 1000)._replace(draft=drafted, sections=sections)

    full = scenarios(book_data(one))[0]

    assert sum(chapter.lines_to_buy for chapter in full.chapters) == to_buy
    assert full.tokens.middle == 10 * to_buy


def test_hours_come_from_the_outline_else_the_model_s_runs_else_the_opening_balance() -> None:
    outlined = book_data(chapter("1", 100, 1000, hours=1.8))
    assert [s.hours for s in scenarios(outlined)] == [Fraction("1.8"), Fraction("0.7"), 0]
    measured = replace(outlined, hours_per_line=0.5)
    assert scenarios(measured)[0].hours == Fraction("1.8"), "what a person plans is not what a run takes"
    assert scenarios(replace(book_data(chapter("1", 100, 1000)), hours_per_line=0.5))[0].hours == 450

    done = chapter("0", 300, 300)._replace(before=100)
    opened = book_data(done, chapter("1", 100, 1000), openings=(Opening(chapters=("0",), hours=2.0),))
    assert scenarios(opened)[0].hours == 9
    assert scenarios(book_data(chapter("1", 100, 1000)))[0].hours is None


@pytest.mark.parametrize(
    ("remaining", "best", "words"),
    [
        (40_000, "full", "takes 20,000 tokens, at most 40,000, of 40,000 remaining"),
        (None, "full", "No limit is set."),
        (39_999, "fits", "“What fits the remaining budget” take at most"),
        (9_000, "fits", "take at most 9,000"),
        (100, "none", "no chapter fits the 100 tokens remaining"),
        (-5, "none", "no chapter fits the -5 tokens remaining"),
    ],
)
def test_recommends_the_most_that_fits(remaining: int | None, best: str, words: str) -> None:
    of = book_data(
        chapter("1", 0, 1000, "low"),
        chapter("2", 0, 1000, "high"),
        remaining=remaining,
    )

    assert plans_of(of).best.name == best
    assert words in said(of)


def test_recommends_lean_where_nothing_that_fits_brings_more() -> None:
    of = book_data(chapter("1", 0, 1000), chapter("2", 0, 1000), remaining=18_000)

    assert plans_of(of).best.name == "lean"
    assert "the full plan may take 40,000 tokens, more than the 18,000 remaining" in said(of)


@pytest.mark.parametrize("remaining", [1_000_000, 18_000, 9_000, None])
def test_a_book_without_a_target_is_brought_to_no_rate(remaining: int | None) -> None:
    of = book_data(chapter("1", 0, 1000), chapter("2", 0, 450), remaining=remaining)
    assert "the book" not in said(of)
    assert "–" not in said(of)
    assert [plan["book_lines"] for plan in as_json(plan_report(of, "en"))["plans"]] == [None] * 3  # type: ignore[index, call-overload, union-attr]


def test_of_hours_below_a_tenth_the_share_is_right() -> None:
    of = book_data(chapter("1", 100, 1000, hours=0.06))
    assert overall(replace(of, hours_used=0.02), full_plan(of)).rows[-1][1:] == (
        Decimal("0.02"), Decimal("0.06"), Decimal("0.08"), Decimal("25.0")
    )  # fmt: skip


def test_nothing_is_recommended_where_nothing_is_left_to_write() -> None:
    of = book_data(chapter("1", 1000, 1000), remaining=100)

    assert plans_of(of).best.name == "none"
    assert said(of).endswith("there is nothing left to write.")


books = st.lists(
    st.tuples(st.integers(0, 900), st.integers(1, 1500), st.sampled_from(["high", "medium", "low"])),
    min_size=1,
    max_size=4,
)


@given(books, st.integers(-100, 60_000))
@settings(max_examples=60, deadline=None)
def test_what_fits_is_picked_by_priority(chapters: list[tuple[int, int, Priority]], remaining: int) -> None:
    of = book_data(
        *(chapter(str(n), now, max(now, target), p) for n, (now, target, p) in enumerate(chapters)),
        remaining=remaining,
    )
    every = [scenario.chapters for scenario in scenarios(of)]

    found = best_fit(of)

    assert found.tokens.high <= max(0, remaining)
    left = max(0, remaining)
    for priority in ("high", "medium", "low"):
        for at, plan in enumerate(found.chapters):
            if of.chapters[at].priority == priority:
                assert plan.added == max(each[at].added for each in every if each[at].tokens.high <= left)
                left -= plan.tokens.high


def sample(model: str, language: str, lines: int, tokens: int, cost: int | None = None) -> Sample:
    return Sample(model=model, language=language, lines=lines, tokens=tokens, cost_pico_usd=cost)


def test_learns_from_the_same_model_and_language() -> None:
    samples = [
        sample("m", "en", 100, 3000, 9000),
        sample("m", "en", 50, 1000, 3000),
        sample("m", "en", 10, 900, 2700),
        sample("m", "zh", 100, 9000),
        sample("n", "en", 100, 100),
        sample("m", "en", 0, 100),
    ]

    found = rate(samples, model="m", language="en", pico_usd_per_token=Fraction(7))

    assert (found.basis, found.sections) == (Basis.MEASURED, 3)
    assert found.middle == Fraction(4900, 160)
    assert (found.low, found.high) == (Fraction(20), Fraction(4900, 160))
    assert found.pico_usd_per_token == 3
    assert found.pico_usd(100) == 300


def test_the_range_leaves_out_the_outermost_tenths_of_the_lines() -> None:
    samples = [sample("m", "en", 10, 10 * n) for n in range(1, 21)]

    found = rate(samples, model="m", language="en")

    assert (found.low, found.middle, found.high) == (Fraction(2), Fraction(21, 2), Fraction(18))


def test_falls_back_step_by_step_and_says_so() -> None:
    other = [sample("m", "zh", 100, 9000, None)]
    foreign = [sample("n", "en", 100, 700, 100)]

    by_model = rate(foreign + other, model="m", language="zh", pico_usd_per_token=Fraction(7))
    by_others = rate(foreign, model="m", language="en", opening_tokens=1000, opening_lines=20)
    opening = rate([], model="m", language="en", opening_tokens=1000, opening_lines=20)
    default = rate([], model="m", language="en", opening_tokens=1000)

    assert (by_model.basis, by_model.middle, by_model.sections) == (Basis.MEASURED, Fraction(90), 1)
    assert by_model.pico_usd_per_token == 7
    assert (by_model.low, by_model.high) == (Fraction(45), Fraction(135))
    assert by_others == opening, "what another model took says nothing of this one"
    assert rate(foreign, model="m", language="en") == default
    assert by_others.pico_usd_per_token is None
    assert by_others.pico_usd(5) is None
    assert (opening.basis, opening.middle) == (Basis.OPENING, Fraction(50))
    assert (default.basis, default.middle) == (Basis.DEFAULT, Fraction(45))


def test_a_list_price_weighs_prompt_and_completion() -> None:
    assert list_price(Price(prompt=45, cached=1, completion=90)) == 32 + 2 * 13


def burnt(of: BookData) -> dict[str, object]:
    found = burn_down(of, full_plan(of))
    return {column.id: value for column, value in zip(found.columns, found.rows[0], strict=True)}


def test_the_allowance_ends_on_a_day_and_at_a_chapter() -> None:
    days = tuple(
        Day(day=day, attempts=1, prompt=tokens, completion=0, cost_pico_usd=0, unpriced=0)
        for day, tokens in (("2026-11-22", 900), ("2026-11-24", 1100))
    )
    chapters = (chapter("1", 0, 1000, "low"), chapter("2", 0, 1000, "high"))

    assert burnt(book_data(*chapters, remaining=15_000, days=days)) == {
        "tokens_a_day": 500,
        "ends_on": "2026-12-25",
        "ends_at": "1",
    }
    assert burnt(book_data(*chapters, remaining=9_999, days=days))["ends_at"] == "2"
    assert burnt(book_data(*chapters, remaining=20_000, days=days))["ends_at"] is None
    assert burnt(book_data(*chapters, remaining=20_000, days=days))["ends_on"] is None, "it lasts"
    assert burnt(book_data(*chapters, remaining=19_999, days=days))["ends_on"] is not None
    assert burnt(book_data(*chapters, remaining=None, days=days)) == {
        "tokens_a_day": 500,
        "ends_on": None,
        "ends_at": None,
    }
    assert burnt(book_data(*chapters))["tokens_a_day"] is None
