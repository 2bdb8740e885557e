"""Lines as the reader gets them, and the length score."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from markdown_texts import markdown_texts

from expand.markdown import lines

SENTENCE = "The kernel moves pages between pipes without copying them."


@pytest.mark.parametrize(("text", "number"), [("", 0), ("a", 1), ("a\n", 1), ("a\nb", 2), ("\n", 1)])
def test_count_is_what_wc_counts(text: str, number: int) -> None:
    assert lines.count(text) == number


def test_a_clean_text_loses_nothing() -> None:
    text = "# T\n\nText.\n\n- yes\n- yes\n\n```rust\nfn a() {\n}\n\nfn b() {\n}\n```\n\n---\n\nEnd.\n"
    assert lines.effective(text) == lines.count(text) == 18


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("\n\n\na\n\n\n\nb\n\n\n", 3),
        ("a\n\n---\n\n---\n\n***\n\nb\n", 5),
        (f"{SENTENCE}\n" * 150, 1),
        (f"{SENTENCE}\n\n" * 150, 1),
        (f"- {SENTENCE}\n" * 20, 1),
        ("内核在两个描述符之间移动数据页。\n\n" * 150, 1),
        ("- yes\n" * 150, 2),
        ("Output:\nOutput:\n<!-- c -->\nOutput:\n", 2),
        ("yes\nno\n\nno\n\nno\n\nno\n", 4),
        ("a\n\n```\n```\n\n```text\n\n```\n\nb\n", 3),
        ("a\n\n<br>\n\n&nbsp;\n\nb\n", 3),
        ("a\n\n<!-- one -->\n\n<!-- two -->\n\nb\n", 3),
        ("    x = 1\n", 1),
        ("## 1. Pipes", 1),
        ("#\r\rb", 3),
    ],
)
def test_padding_does_not_count(text: str, number: int) -> None:
    assert lines.effective(text) == number


def test_code_said_again_does_not_count() -> None:
    code = "".join(f"let value_{n} = compute_something({n});\n" for n in range(6))
    once = f"```rust\n{code}```\n"
    assert lines.effective(once) == 8
    assert lines.effective(f"{once}\n{once}") == 8
    assert lines.effective(f"{once}\n```rust\n{code}let last = 7;\n```\n") == 8 + 1 + 9, "a listing that grows"
    assert lines.effective("```rust\n" + 'println!("the same again");\n' * 100 + "```\n") == 4


def test_labels_table_heads_and_brackets_may_repeat() -> None:
    label = "**Expected output of the program**:\n"
    table = "| Measure | What it says here |\n|---------|-------------------|\n"
    text = f"{label}\n1\n\n{label}\n2\n\n{table}| a | b |\n\n{table}| c | d |\n"
    assert lines.effective(text) == lines.count(text)
    nested = "- a\n\n  ```sh\n  cargo build --release --all-features\n  ```\n"
    assert lines.effective(nested + "\n" + nested.replace("- a", "- b")) == 11


def test_an_open_fence_counts_what_stands_in_it() -> None:
    assert lines.effective("```rust\nfn f() {\n    1") == 3


@settings(max_examples=150, deadline=None)
@given(markdown_texts)
def test_effective_never_exceeds_the_count_and_ignores_added_padding(text: str) -> None:
    counted = lines.effective(text)
    assert 0 <= counted <= lines.count(text) + text.count("\r")
    assert lines.effective("\n\n" + text) == counted or text.startswith(("---", " "))


@pytest.mark.parametrize(
    ("pairs", "score"),
    [
        ([(100, 100)], 100.0),
        ([(100, 0)], 0.0),
        ([(100, 50)], 50.0),
        ([(100, 200)], 66.7),
        ([(100, 400)], 0.0),
        ([(100, 30)], 0.0),
        ([(100, 100), (300, 0)], 25.0),
        ([(150, 149), (250, 260)], 99.0),
        ([], 100.0),
        ([(0, 5)], 100.0),
    ],
)
def test_length_score(pairs: Sequence[tuple[int, int]], score: float) -> None:
    assert lines.length_score(pairs) == score


# Thresholds, on both sides


@pytest.mark.parametrize(("item", "number"), [("a" * 23, 3), ("a" * 24, 2), ("内" * 11, 3), ("内" * 12, 2)])
def test_a_line_of_25_columns_counts_once(item: str, number: int) -> None:
    assert lines.effective(f"- {item}\n- b\n- {item}\n") == number


@pytest.mark.parametrize(("block", "number"), [("a" * 11, 5), ("a" * 12, 3), ("内" * 5, 5), ("内" * 6, 3)])
def test_a_block_of_12_columns_counts_once(block: str, number: int) -> None:
    assert lines.effective(f"{block}\n\nb\n\n{block}\n") == number


@pytest.mark.parametrize(
    ("rows", "columns", "counted"),
    [(4, 60, 2 + 4), (4, 59, 2 + 4 + 1 + 2 + 4), (3, 60, 2 + 3 + 1 + 2 + 3)],
)
def test_a_block_of_four_lines_and_60_columns_of_code_counts_once(rows: int, columns: int, counted: int) -> None:
    width, more = divmod(columns, rows)
    code = "".join(f"{'abcd'[row] * (width + (row < more))}\n" for row in range(rows))
    assert lines.effective(f"```text\n{code}```\n\n```text\n{code}```\n") == counted


@pytest.mark.parametrize(("times", "counted"), [(2, 2), (3, 2), (4, 2)])
def test_a_short_line_counts_twice_in_a_row(times: int, counted: int) -> None:
    assert lines.effective("- yes\n" * times) == counted


def test_two_lines_of_a_table_may_repeat() -> None:
    row = "| A measure | What it says of the system |\n"
    rule = "|-----------|----------------------------|\n"
    tables = [f"{row}{rule}{row}| {number} | b |\n" for number in range(2)]
    assert lines.effective("\n".join(tables)) == 4 + 1 + 3, "the third line is one that repeats"


@pytest.mark.parametrize(
    ("asked", "delivered", "score"),
    [(100, 399, 0.3), (100, 400, 0.0), (100, 34, 2.9), (300, 100, 0.0), (300, 101, 1.5), (100, 101, 99.7)],
)
def test_the_length_score_ends_at_four_times_and_at_a_third(asked: int, delivered: int, score: float) -> None:
    assert lines.length_score([(asked, delivered)]) == score
