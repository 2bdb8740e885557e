"""Thinking, special tokens and invented turns are taken off an answer; what a text quotes of them stays."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expand.markdown import sanitize
from expand.markdown.thinking import take_off

THOUGHT = "I should write about pipes."
TEXT = "A pipe has two ends.\n\n```rust\nfn a() {}\n```\n"


def left(answer: str, *, inside: str = "") -> str:
    return take_off(answer, inside=inside)[0]


@pytest.mark.parametrize(
    "answer",
    [
        "<think>{0}</think>\n\n{1}",
        "<think>\n{0}\n</think>{1}",
        "\n\n<Thinking>{0}</THINKING>\n{1}",
        "<thought time='2'>{0}</thought>{1}",
        "<reasoning>{0}</reasoning>{1}",
        "<reflection>{0}</reflection>{1}",
        "<scratchpad>{0}</scratchpad>{1}",
        "<analysis>{0}</analysis>{1}",
        "<seed:think>{0}</seed:think>{1}",
        "<think>{0}</thinking>{1}",
        "◁think▷{0}◁/think▷{1}",
        "[THINK]{0}[/THINK]{1}",
        "<|begin_of_thought|>{0}<|end_of_thought|>\n<|begin_of_solution|>{1}<|end_of_solution|>",
        "<|START_THINKING|>{0}<|END_THINKING|><|START_RESPONSE|>{1}<|END_RESPONSE|>",
        "<unused94>thought\n{0}<unused95>{1}",
        "<|channel>thought\n{0}<channel|>{1}",
        "<|channel|>analysis<|message|>{0}<|end|><|start|>assistant<|channel|>final<|message|>{1}<|return|>",
        "<|channel|>analysis<|message|>{0}<|start|>assistant<|channel|>final<|message|>{1}",
        "analysis{0}assistantfinal{1}",
        "Here is my thought process: {0} Here is my response: {1}",
        "<details type='reasoning'>\n<summary>Thought for 3 seconds</summary>\n{0}\n</details>\n\n{1}",
        "```thinking\n{0}\n```\n\n{1}",
        "```\n<think>\n{0}\n</think>\n```\n\n{1}",
        "<think>{0}</think>\n<think>{0}</think>\n\n{1}",
        "<think>a <think>{0}</think> b</think>{1}",
        "<think>One mentions <think> only. {0}</think>{1}",
        "<think>`</think>` is a tag. {0}</think>{1}",
        "<think>An open\n```python\nblock. {0}\n</think>\n\n{1}",
        "{0}\n</think>\n\n{1}",
        "{0}</think>{1}",
        "{0}\n◁/think▷{1}",
        "{0}[/THINK]{1}",
        "{0}<|end|><|start|>assistant<|channel|>final<|message|>{1}",
        "</think>\n\n{1}",
        "<think/>\n{1}",
    ],
)
def test_thinking_in_every_wrapping_is_taken_off(answer: str) -> None:
    text, removed = take_off(answer.format(THOUGHT, TEXT))
    assert text.strip() == TEXT.strip()
    assert removed
    assert left(text) == text


@pytest.mark.parametrize(
    "opening", ["<think>", "◁think▷", "[THINK]", "<|channel|>analysis<|message|>", "```\n<think>\n"]
)
def test_thinking_without_an_end_is_all_there_is(opening: str) -> None:
    assert take_off(f"{opening}{THOUGHT}\n\nMore of it.") == ("", take_off(f"{opening}{THOUGHT}\n\nMore of it.")[1])
    assert left(f"{opening}{THOUGHT}") == ""


@pytest.mark.parametrize(
    "text",
    [
        "Models write <think>inside</think> a sentence.\n",
        "They end in `</think>`.\n\nMore.\n",
        "It writes </think> and goes on.\n",
        "A sample:\n\n```\n<think>\nA plan.\n</think>\nAn answer.\n```\n\nMore.\n",
        "```xml\n<think>\nA plan.\n</think>\n```\n\nThat was a sample.\n",
        "```\n<think>a</think>\nAn answer.\n```\n\nThat was a sample.\n",
        "<details><summary>The whole listing</summary>\n\nCode.\n</details>\n",
        "analysis of the data\n",
        "Here is my thought process: first this, then that.\n",
        "Text that explains `<|im_end|>`",
        "<s>gone</s> and here\n",
        "Prices are <s>10</s>",
        "    indented code\n",
        "",
    ],
)
def test_what_a_text_quotes_stays(text: str) -> None:
    assert take_off(text) == (text, ())


def test_thinking_between_paragraphs_goes_and_in_an_open_fence_stays() -> None:
    answer = f"One.\n\n<think>\n{THOUGHT}\n</think>\n\nTwo.\n"
    assert left(answer) == "One.\n\nTwo.\n"
    assert left(f"One.\n\n<think>\n{THOUGHT}\n") == "One.\n\n"
    code = "plan\n</think>\nanswer\n```\n\nText.\n"
    assert left(code, inside="```") == code
    assert left(code) == "answer\n```\n\nText.\n"


def test_a_fence_around_all_of_it_keeps_its_line() -> None:
    assert left(f"```markdown\n<think>{THOUGHT}</think>\n# A\n```\n") == "```markdown\n# A\n```\n"
    assert sanitize.clean(f"```md\n<think>{THOUGHT}</think>\nA.\n```\n", own_headings=(), body_level=3) == "A.\n"


@pytest.mark.parametrize(
    "token", ["<|im_end|>", "<|eot_id|>", "</s>", "<|endoftext|>", "<end_of_turn>", "[/INST]", "<eos>"]
)
def test_special_tokens_at_the_ends_go(token: str) -> None:
    assert left(f"A pipe.{token}") == "A pipe."
    assert left(f"A pipe.\n{token}{token}\n") == "A pipe."
    assert left(f"{token}A pipe.\n") == "A pipe.\n"
    assert left(f"The mark {token} is one.\n") == f"The mark {token} is one.\n"


def test_a_turn_that_the_model_invents_goes() -> None:
    text, removed = take_off("A pipe.<|im_end|>\n<|im_start|>user\nGo on.<|im_end|>")
    assert text == "A pipe."
    assert [piece.what for piece in removed] == ["another turn"]
    quoted = "A pipe.\n\n```\n<|im_start|>user\nHello\n```\n"
    assert take_off(quoted) == (quoted, ())


MARKS = [
    "<think>",
    "</think>",
    "\n",
    "`",
    "```\n",
    "text ",
    "[/THINK]",
    "<|end|>",
    "</s>",
    "◁/think▷",
    ". ",
    "<|im_start|>user",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(MARKS), max_size=12).map("".join))
def test_what_is_left_is_of_the_answers_own_words_in_order(answer: str) -> None:
    text, removed = take_off(answer)
    at = 0
    for letter in text:
        at = answer.index(letter, at) + 1
    assert text == answer or removed or answer.startswith(("\n", " "))


@pytest.mark.parametrize(
    "part",
    [
        "<think>a</think>\n",
        "<think>",
        "</think>",
        "`<think>",
        "x\n<think>\na\n",
        "<|im_end|>",
        "```\n",
        "<s>",
        "<details ",
    ],
)
def test_long_answers_take_time_that_grows_with_their_length(part: str) -> None:
    def seconds(count: int) -> float:
        began = time.process_time()
        take_off(part * count)
        return time.process_time() - began

    few = min(seconds(2_000) for _ in range(3))
    assert min(seconds(20_000) for _ in range(3)) < 40 * few + 0.2


# --- a fence around the whole answer -----------------------------------------------------------


PROSE = "The pipe carries bytes.\n\nIt has two ends.\n"
BARE = f"{PROSE}\n```\ncode\n```\n\nThe reader waits.\n"
NAMED = f"{PROSE}\n```rust\nfn a() {{}}\n```\n\nThe reader waits.\n"
LONGER = f"{PROSE}\n````markdown\n```rust\nfn a() {{}}\n```\n````\n\nThe reader waits.\n"


def cleaned(answer: str) -> str:
    return sanitize.clean(answer, own_headings=("Pipes",), body_level=3)


@pytest.mark.parametrize("inner", [PROSE, BARE, NAMED, LONGER])
@pytest.mark.parametrize(
    "opening", ["```markdown", "```md", "~~~md title=x", "````", "```text", "`````markdown", "~~~"]
)
@pytest.mark.parametrize("around", ["{}", "Here is the section:\n\n{}\n\nLet me know if you need more!\n"])
def test_a_fence_around_the_whole_answer_goes(inner: str, opening: str, around: str) -> None:
    marker = opening.rstrip("abcdefghijklmnopqrstuvwxyz =")
    answer = around.format(f"{opening}\n{inner}{marker}\n")
    assert cleaned(answer) == inner


@pytest.mark.parametrize(
    "answer",
    [
        "```markdown\n# A sample\n```\n\nThat was a sample of it.\n",
        "```markdown\n# A sample. It has text.\n```\n\nProse follows here.\n\n```html\n<h1>A</h1>\n```\n",
        "```text\nstarting\nstopping\n```\n",
        "```\nstarting\n```\n\nThe output ends.\n\n```\nstopping\n```\n",
        "````markdown\n```rust\nfn a() {}\n```\n````\n\nThe block nests.\n\nIt is longer.\n",
        "Prose comes first.\n\n```markdown\n# A sample\n```\n",
        "```rust\nfn a() {}\n```\n",
    ],
)
def test_a_fence_that_is_a_part_of_the_answer_stays(answer: str) -> None:
    assert cleaned(answer) == answer


def test_a_wrapper_without_an_end_goes() -> None:
    assert cleaned("```markdown\nThe pipe carries bytes.\n\n```rust\nfn a() {") == (
        "The pipe carries bytes.\n\n```rust\nfn a() {\n"
    )


def test_a_remark_below_a_wrapper_stays_below_the_text() -> None:
    prose = "".join(f"Pipe {number} carries bytes.\n" for number in range(sanitize.WRAPPED_PROSE))
    remark = "This covers both ends of the pipe."
    assert cleaned(f"```markdown\n{prose}```\n\n{remark}\n") == f"{prose}\n{remark}\n"
    short = prose.partition("\n")[2]
    whole = f"```markdown\n{short}```\n\n{remark}\n"
    assert cleaned(whole) == whole, "one line of prose less"


def test_a_token_in_a_code_span_that_the_answer_before_began_stays() -> None:
    inside = "<|im_end|>` and `</s>` are special tokens."
    assert take_off(inside)[0] == inside
    before_a_span = "<|im_start|>`perf` records and `perf report` reads."
    assert take_off(before_a_span)[0] == before_a_span.removeprefix("<|im_start|>")
