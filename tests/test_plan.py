"""Plans: shapes are kept and sums are exact."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from expand.outline import LEAN_LINES, MINIMUM_SECTION_LINES, Outline, Plan, Section, Text, scaled, under


def outline(*lines: int) -> Outline:
    return Outline(
        id="01",
        title=Text(plain="T"),
        source="chapters/01.md",
        sections=tuple(
            Section(number=number, title=Text(plain=f"S{number}"), lines=count) for number, count in enumerate(lines, 1)
        ),
    )


def lines_of(chapter: Outline) -> list[int]:
    return [section.lines for section in chapter.sections]


lengths = st.lists(st.integers(1, 2_000), min_size=1, max_size=15)


@given(lengths, st.integers(1, 5_000))
def test_the_sum_is_exact_but_for_the_floor_of_a_section(lines: list[int], wanted: int) -> None:
    given_out = lines_of(scaled(outline(*lines), wanted))
    floors = [min(MINIMUM_SECTION_LINES, count) for count in lines]
    assert all(count >= floor for count, floor in zip(given_out, floors, strict=True))
    raised = sum(count == floor for count, floor in zip(given_out, floors, strict=True))
    assert wanted <= sum(given_out) <= wanted + raised * MINIMUM_SECTION_LINES
    if all(wanted * count / sum(lines) >= MINIMUM_SECTION_LINES + 1 for count in lines):
        assert sum(given_out) == wanted


@given(lengths, st.integers(1, 5_000))
def test_the_shape_is_kept(lines: list[int], wanted: int) -> None:
    given_out = lines_of(scaled(outline(*lines), wanted))
    for asked, count in zip(lines, given_out, strict=True):
        exact = asked * wanted / sum(lines)
        floor = min(MINIMUM_SECTION_LINES, asked)
        assert abs(count - max(exact, floor)) < 1 + 1e-9


@given(lengths)
def test_scaled_to_its_own_length_an_outline_is_itself(lines: list[int]) -> None:
    same = outline(*lines)
    assert scaled(same, sum(lines)) == same


@given(lengths)
def test_full_is_the_outline_and_lean_never_more(lines: list[int]) -> None:
    chapter = outline(*lines)
    assert under(Plan.FULL, chapter) == chapter
    lean = under(Plan.LEAN, chapter)
    assert lean.target_lines <= max(chapter.target_lines, LEAN_LINES)
    if chapter.target_lines <= LEAN_LINES:
        assert lean == chapter


def test_chapter_03_under_the_lean_plan() -> None:
    lean = under(Plan.LEAN, outline(150, 250, 150, 200, 100, 100, 50, 25))
    assert lines_of(lean) == [66, 109, 66, 88, 44, 44, 22, 11]
    assert lean.target_lines == 450


def test_remainders_go_to_the_largest_first_and_ties_to_the_first() -> None:
    assert lines_of(scaled(outline(10, 10, 10), 31)) == [11, 10, 10]
    assert lines_of(scaled(outline(30, 21, 9), 50)) == [25, 18, 8]


def test_a_section_is_never_only_its_title() -> None:
    assert lines_of(scaled(outline(1000, 20, 3), 100)) == [98, 8, 3]
