"""The words of reports in both languages, and how figures become text."""

from __future__ import annotations

import string
from decimal import Decimal

import pytest

from expand.reports.report_model import (
    LANGUAGES,
    Column,
    Kind,
    catalogue,
    counted,
    estimated_cost,
    money,
    plain,
    say,
    show,
)


def test_every_catalogue_has_the_same_keys() -> None:
    english, *others = (catalogue(language).keys() for language in LANGUAGES)

    assert all(english == other for other in others)


@pytest.mark.parametrize("key", sorted(catalogue("en")))
def test_every_language_says_the_same_with_the_same_figures(key: str) -> None:
    texts = [say(language, key) for language in LANGUAGES]

    def fields(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    assert all(texts)
    assert len({frozenset(fields(text)) for text in texts}) == 1


@pytest.mark.parametrize(
    ("count", "signed", "english", "chinese"),
    [
        (0, False, "0 lines", "0 行"),
        (1, False, "1 line", "1 行"),
        (2, False, "2 lines", "2 行"),
        (1, True, "+1 line", "+1 行"),
        (1_234, True, "+1,234 lines", "+1,234 行"),
    ],
)
def test_plurals_are_right(count: int, signed: bool, english: str, chinese: str) -> None:
    assert counted("en", "line", count, signed=signed) == english
    assert counted("zh", "line", count, signed=signed) == chinese


def test_a_word_without_a_wording_stands_for_itself() -> None:
    assert show("my-plan", Column("plan", "plan"), "zh") == "my-plan"
    assert show("full", Column("plan", "plan"), "zh") == "完整 full"
    assert show("high", Column("plan", "plan"), "zh") == "high"


@pytest.mark.parametrize(
    ("value", "kind", "english", "chinese"),
    [
        (165_000, "tokens", "165,000", "165,000（16.5 万）"),
        (9_999, "tokens", "9,999", "9,999"),
        (-123_456, "tokens", "-123,456", "-123,456（-12.3456 万）"),
        (195_598, "estimate", "195,598", "195,598（约 19.6 万）"),
        (2_549, "count", "2,549", "2,549"),
        (925, "change", "+925", "+925"),
        (Decimal("1118.3"), "percent", "1,118.3%", "1,118.3%"),
        (Decimal("4.5"), "hours", "4.5 h", "4.5 小时"),
        (Decimal("1234.00000001"), "money", "1,234.00000001", "1,234.00000001"),
        (None, "tokens", "unlimited", "不限"),
    ],
)
def test_figures_in_the_way_of_the_language(
    value: int | Decimal | None, kind: Kind, english: str, chinese: str
) -> None:
    assert show(value, Column("limit", kind, "unlimited"), "en") == english
    assert show(value, Column("limit", kind, "unlimited"), "zh") == chinese


@pytest.mark.parametrize(
    ("pico", "text"),
    [(0, "0.00"), (1_250_000_000_000, "1.25"), (437, "0.000000000437"), (10**20, "100000000.00")],
)
def test_money_is_exact(pico: int, text: str) -> None:
    assert plain(money(pico)) == text


def test_what_is_unknown_is_not_zero() -> None:
    assert estimated_cost(None) is None
    assert plain(None) == ""
