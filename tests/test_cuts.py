"""A cut is seen in the text."""

from __future__ import annotations

import pytest

from expand.checks import check_text
from expand.drafting.section_text import SectionText, Skeleton
from expand.llm.types import Finish
from expand.markdown.assemble import ends_in_the_middle

FIRST = "The pipe carries its bytes in order.\n\nThe reader waits until some have come.\n\n"
ITEMS = "- The first end is read by one.\n- The second end is written.\n- The third one is closed.\n"


@pytest.mark.parametrize(
    "end",
    [
        "The writer goes on until the buffer of the pi",
        "One sentence ends here. The next two go on until the buf",
        "The writer goes on until the buffer is full,",
        "The writer of this pipe goes on, and the",
        "The writer goes on (until the buffer is full (",
        f"{ITEMS}- The fourth one goes on until the buf",
        "See [the manual page](https://example.org/man",
        "The writer goes on with the call to `wri",
        "The writer goes on with **the call to wri",
        "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 |  four",
        "```rust\nfn a() {",
        "管道按照顺序传递所有字节并且保持顺序，直到写的一端关闭，",
    ],
)
def test_a_text_that_ends_in_the_middle_is_cut(end: str) -> None:
    assert ends_in_the_middle(FIRST + end)
    if not end.startswith("```"):
        assert [found.kind for found in check_text(f"## A\n\n{FIRST}{end}", section=1)].count("cut") == 1


@pytest.mark.parametrize(
    "end",
    [
        "The writer goes on until the buffer is full.",
        "The writer goes on until the buffer is full:",
        "The writer goes on until it is “full”",
        "The writer goes on with the call to `write`",
        "The writer is described at https://example.org/man",
        "The writer of this one wrote to her@example.org",
        "Short words here",
        "- `read`\n- `write` and more\n- both of them in one call and then again",
        "- One of the two ends is closed\n- Both of the two ends are closed at once",
        "#### A heading that has no full stop at its end",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "a | b\n--|--\n1 | 2",
        "```rust\nfn a() {}\n```",
        "$$\nx = y\n$$",
        "管道按照顺序传递所有字节。",
        "管道按照顺序传递所有字节（见下）",
        "管道有时会丢失所有字节 :(",
        "",
    ],
)
def test_a_text_that_may_be_whole_is_not(end: str) -> None:
    assert not ends_in_the_middle(FIRST + end)
    assert not [found for found in check_text(FIRST + end, section=1) if found.kind == "cut"]


@pytest.mark.parametrize(("words", "cut"), [(5, False), (6, True)])
def test_a_paragraph_needs_six_words(words: int, cut: bool) -> None:
    assert ends_in_the_middle(FIRST + " ".join(["word"] * words)) == cut


@pytest.mark.parametrize(("characters", "cut"), [(11, False), (12, True)])
def test_a_chinese_one_needs_twelve_characters(characters: int, cut: bool) -> None:
    others = "管道按照顺序传递所有字节。\n\n读的一端等待字节到来。\n\n"
    assert ends_in_the_middle(others + "写" * characters) == cut


def test_others_have_to_end_in_full_stops() -> None:
    end = "The writer goes on until the buffer of the pipe is full"
    one = "The pipe carries its bytes in order.\n\n"
    assert not ends_in_the_middle(one + end), "one other is too few"
    assert ends_in_the_middle(one * 2 + end)
    assert not ends_in_the_middle(f"{one}{one}Nothing ends this paragraph either\n\n{end}")
    item = "- The writer goes on until the buffer is full\n"
    assert not ends_in_the_middle(ITEMS.splitlines(keepends=True)[0] + item), "one other item is too few"
    assert ends_in_the_middle(ITEMS + item)


def section() -> SectionText:
    return SectionText(Skeleton(number=1, title="Pipes", topics=("Ends",), target=40))


def test_stop_in_the_middle_is_a_cut_and_is_gone_on_from() -> None:
    text = section()
    text.add(f"{FIRST}The writer goes on until the buffer of the ker", Finish.STOP, (0,))
    assert text.cut == [True]
    assert text.bodies[0].endswith("ker")
    text.add("nel is full.\n", Finish.STOP, (0,))
    assert text.cut == [False]
    whole = section()
    whole.add(f"{FIRST}The writer goes on until it is full.\n", Finish.STOP, (0,))
    assert whole.cut == [False]


def test_what_was_taken_off_is_counted() -> None:
    text = section()
    text.add("<think>abc</think>A\x00 pipe.\u202e\n", Finish.STOP, (0,))
    assert text.removed == {"thinking": 18, "forbidden characters": 2}
    assert text.bodies == ["A pipe.\n"]
    text.add("<think>\n</think>\nIt has two ends.<|im_end|>\n", Finish.STOP, (0,))
    assert text.removed["special tokens"] == 10
    assert text.copy().removed == text.removed
