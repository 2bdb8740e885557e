"""Columns of text: folded where they have to be, never wider than the terminal without need."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from expand.reports import text_table
from expand.reports.text_table import TextColumn, beside, folded


def drawn(*columns: TextColumn, room: int, gap: int = 1, total: bool = False) -> list[str]:
    return list(beside(columns, room, gap=gap, total=total))


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
    assert folded(text, width) == lines


@given(st.text("ab 信\u0301", max_size=60), st.integers(2, 20))
def test_folding_loses_no_character_and_keeps_the_width(text: str, width: int) -> None:
    lines = folded(text, width)

    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(cell_len(line) <= width for line in lines)


def test_texts_stand_left_and_figures_right_as_wide_as_they_look() -> None:
    names = TextColumn(cells=["信号", "a"], least=2, head=["Name"])
    figures = TextColumn(cells=["1", "1,000"], least=5, head=["Lines", "asked"], right=True)

    assert drawn(names, figures, room=80) == [
        "     Lines",
        "Name asked",
        "──────────",
        "信号     1",
        "a    1,000",
    ]


def test_the_widest_text_gives_way_first_and_a_figure_never() -> None:
    long = TextColumn(cells=["one two three", "x"], least=4)
    short = TextColumn(cells=["four", "y"], least=2)
    figure = TextColumn(cells=["1,000,000", "2"], least=9, right=True)

    assert drawn(long, short, figure, room=20) == [
        "one   four 1,000,000",
        "two",
        "three",
        "x     y            2",
    ]
    assert drawn(long, short, figure, room=1) == [
        "one  fo 1,000,000",
        "two  ur",
        "thre",
        "e",
        "x    y          2",
    ]


def test_a_total_is_set_off() -> None:
    cells = TextColumn(cells=["1", "2", "3"], least=1)

    assert drawn(cells, room=9, total=True) == ["1", "2", "", "3"]


def test_every_character_takes_as_many_columns_as_a_terminal_gives_it() -> None:
    every = [chr(code) for code in range(0x30000) if not 0xD800 <= code < 0xE000]

    assert [c for c in every if text_table.cell_len(c) != cell_len(c)] == []
    assert text_table.cell_len("a…信") == 4
