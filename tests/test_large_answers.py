"""Answers of thousands of lines: every step takes time that grows with the text, and no faster."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from expand.checks import check_text
from expand.checks.repeats import across_sections
from expand.drafting.section_text import SectionText, Skeleton
from expand.llm.types import Finish
from expand.markdown import lines

COUNT = 3_000
MOST_SECONDS = 9.0
"""Of processor time, on a machine that has others to do. What grew with the square took many minutes."""
WORDS = ("scheduler", "worker", "parent", "kernel", "counter", "profiler", "loop", "child", "supervisor", "handler")


def _rows(count: int, row: Callable[[int, random.Random], str]) -> str:
    pick = random.Random(11)
    return "".join(row(number, pick) for number in range(count))


def _prose(number: int, pick: random.Random) -> str:
    return " ".join(pick.choices(WORDS, k=9)) + f" {pick.randrange(10**6)}.\n" + ("\n" if number % 4 == 3 else "")


SHAPES: dict[str, Callable[[], str]] = {
    "prose": lambda: _rows(COUNT, _prose),
    "repeated": lambda: "The same line is here again and again.\n" * COUNT,
    "much alike": lambda: _rows(
        COUNT // 2, lambda _, pick: f"Line {pick.randrange(50)} is here again and again, and {pick.randrange(50)}.\n\n"
    ),
    "one line": lambda: _rows(COUNT, _prose).replace("\n", " "),
    "fences": lambda: _rows(COUNT // 4, lambda n, _: f"```rust\nlet a{n * n} = {n};\n```\n\n"),
    "headings": lambda: _rows(COUNT // 4, lambda n, pick: f"## {pick.choice(WORDS)} {n * n}\n\ntext {n**3}\n\n"),
    "underlined headings": lambda: _rows(COUNT // 3, lambda n, pick: f"{pick.choice(WORDS)} {n * n}.\n---\n\n"),
    "items": lambda: _rows(COUNT, lambda n, pick: f"{'  ' * (n % 9)}- {pick.choice(WORDS)} {n * n}\n"),
    "quotes": lambda: ">" * 3000 + " deep\n" + _rows(COUNT, lambda n, _: f"{'> ' * (n % 30)}said {n * n}\n"),
    "brackets": lambda: "[" * 5 * COUNT,
    "rows": lambda: "| a | b |\n|---|---|\n" + _rows(COUNT, lambda n, pick: f"| {pick.choice(WORDS)} | {n * n} |\n"),
}


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_thousands_of_lines_take_seconds(shape: str) -> None:
    text = SHAPES[shape]()
    section = SectionText(Skeleton(number=2, title="Named pipes", topics=("Opening", "Reading"), target=40))
    began = time.process_time()
    section.add(text, Finish.STOP, (0, 1))
    section.add("And so on, to the end.\n", Finish.STOP, (1,))
    rendered = section.render()
    section.spans()
    lines.of_section(rendered)
    check_text(rendered, section=2)
    list(across_sections({1: rendered, 2: rendered[: len(rendered) // 10]}))
    assert time.process_time() - began < MOST_SECONDS
