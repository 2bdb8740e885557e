"""Columns of text: folded where they have to be, never wider than the terminal without need."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from expand.reports.report_model import Texts
from expand.reports.text_table import fold, table_lines


def drawn(columns: dict[str, bool], rows: list[list[str]], room: int, *, total: bool = False) -> list[str]:
    """The table's lines; ``columns`` says of each name whether it heads figures."""
    last = rows[-1] if total else None
    return list(table_lines(Texts([*columns], [*columns.values()], rows[:-1] if total else rows, last), room))


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 5, [""]),
        ("as it is", 8, ["as it is"]),
        ("one two three", 8, ["one two", "three"]),
        ("a longestword b", 5, ["a", "longe", "stwor", "d b"]),
        ("信号处理与管道", 6, ["信号处", "理与管", "道"]),
        ("信号", 1, ["信", "号"]),
    ],
)
def test_text_folds_between_words_and_within_long_ones(text: str, width: int, lines: list[str]) -> None:
    assert fold(text, width) == lines


@given(st.text("ab 信\u0301", max_size=60), st.integers(2, 20))
def test_folding_loses_no_character_and_keeps_the_width(text: str, width: int) -> None:
    lines = fold(text, width)

    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(cell_len(line) <= width for line in lines)


def test_texts_stand_left_and_figures_right_as_wide_as_they_look() -> None:
    assert drawn({"Name": False, "Lines asked": True}, [["信号", "1"], ["a", "1,000"]], 80) == [
        "       Lines",
        "Name   asked",
        "────────────",
        "信号       1",
        "a      1,000",
    ]


def test_the_widest_text_gives_way_first_and_a_figure_never() -> None:
    columns = {"Title": False, "By": False, "Lines": True}
    rows = [["one two three four five six", "nobody at all of them", "1,000,000,000,000"], ["x", "y", "2"]]

    assert drawn(columns, rows, 56) == [
        "Title              By                              Lines",
        "────────────────────────────────────────────────────────",
        "one two three      nobody at all of    1,000,000,000,000",
        "four five six      them",
        "x                  y                                   2",
    ]
    assert all("1,000,000,000,000" in "".join(drawn(columns, rows, room)) for room in (1, 20, 40))
    assert max(map(len, drawn(columns, rows, 1))) == 14 + 3 + 14 + 3 + 17


def test_a_total_is_set_off() -> None:
    assert drawn({"N": True}, [["1"], ["2"], ["3"]], 9, total=True) == ["N", "─", "1", "2", "", "3"]


def test_a_table_without_rows_is_its_head() -> None:
    assert drawn({"Name": False, "N": True}, [], 9) == ["Name   N", "────────"]


def test_an_id_is_not_broken_and_a_longer_word_is() -> None:
    columns, name = {"Title": False, "By": False}, "async-await-in-practice-and-theory_v2.10"

    assert any(name in line for line in drawn(columns, [["one two three four five", name]], 20))
    assert not any(name in line for line in drawn(columns, [["one two three four five", f"{name}0"]], 20))
