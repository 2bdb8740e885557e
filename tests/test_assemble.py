"""Cleaning answers, closing fences, splitting by topic."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_texts import markdown_texts, titles_alike

from expand.markdown import assemble, blocks, sanitize

RUST = "```rust\n#[derive(Debug)]\n# comment\n---\nstruct Pipe;\n```\n"


def clean(answer: str, *, own: tuple[str, ...] = ("2. Zero copy",), level: int = 4) -> str:
    return sanitize.clean(answer, own_headings=own, body_level=level)


@pytest.mark.parametrize(
    "preamble",
    [
        "Sure! Here is the section on zero copy:",
        "Sure!",
        "Certainly. Below is the expanded section.",
        "Of course! I'd be happy to help. Here's the requested text:",
        "Here is the expanded section, about 150 lines:",
        "I'll now write the section on zero copy.",
        "I've expanded the section as you asked.",
        "As requested, the section follows.",
        "Continuing from where we left off:",
        "当然，以下是第2节的正文：",
        "好的，我将为您撰写这一节。",
        "当然可以！以下是扩展后的内容：",
        "以下内容根据您的要求扩写。",
        "以下是“零拷贝”章节的正文：",
        "根据您的大纲，本节如下：",
        "<think>The user wants pipes.</think>",
        "Sure! Here is the section.\n\n---",
    ],
)
def test_a_preamble_is_dropped(preamble: str) -> None:
    assert clean(f"{preamble}\n\nSplice moves pages.\n") == "Splice moves pages.\n"


@pytest.mark.parametrize(
    "sign_off",
    [
        "Let me know if you need more detail!",
        "I hope this helps. Feel free to ask if anything is unclear.",
        "Would you like me to continue with the next section?",
        "If you have questions, I'd be happy to help.",
        "希望这对您有帮助！",
        "如果您需要更多内容，请随时告诉我。",
        "需要我继续写下一节吗？",
        "（未完待续）",
        "*Word count: 1,200*",
        "---\n\nThis concludes the section.",
    ],
)
def test_a_sign_off_is_dropped(sign_off: str) -> None:
    assert clean(f"Splice moves pages.\n\n{sign_off}\n") == "Splice moves pages.\n"


@pytest.mark.parametrize("said", [1, 30, 300])
@pytest.mark.parametrize("offers", [0, 1, 60])
def test_a_sign_off_is_dropped_from_a_paragraph_of_any_length(said: int, offers: int) -> None:
    text = " ".join(["Splice moves pages.", *["It copies nothing."] * said])
    talk = " Let me know if you need more detail!" * offers
    assert clean(f"{text}{talk}\n") == f"{text}\n"


@pytest.mark.parametrize(
    "content",
    [
        "Sure, splice can fail with EINVAL.",
        "Here is the same loop with a larger buffer:",
        "Here is the section of the config that matters:\n\n```toml\na = 1\n```",
        "Okay is not a status code.",
        "The following table lists the calls:\n\n| a |\n|---|\n| 1 |",
        "以下内容介绍了 splice 的用法。",
        "以下是一个示例：\n\n```rust\nfn main() {}\n```",
        "可以用 splice 移动数据。",
        "If you have more than one pipe, use `tee`.",
        "Feel free to adapt the buffer size to your disks.",
        "如果缓冲区太小，请调大它。",
        "Let it run for a minute before you measure.",
    ],
)
def test_content_that_sounds_alike_stays(content: str) -> None:
    assert clean(content) == content + "\n"
    assert clean(f"First.\n\n{content}\n") == f"First.\n\n{content}\n"


def test_greetings_go_sentence_by_sentence() -> None:
    assert clean("Certainly! Zero copy means no copy.") == "Zero copy means no copy.\n"
    assert clean("A.\n\nSplice ends here. Let me know if it helps.") == "A.\n\nSplice ends here.\n"


def test_thinking_without_an_end_leaves_nothing() -> None:
    assert clean("<think>hm, pipes") == ""
    assert clean("Text with <think>inside</think>.") == "Text with <think>inside</think>.\n"
    assert clean("  \n\n") == ""


@pytest.mark.parametrize(
    "heading",
    [
        "## 2. Zero copy",
        "# Zero Copy",
        "#### 2 Zero copy:",
        "**2. Zero copy**",
        "**Zero copy:**",
        "2. Zero copy",
        "Zero copy\n=========",
        "## 第2节 Zero copy",
        "---\n\n## Zero copy",
        "## Chapter 2: Zero copy\n\n### **Zero copy**",
    ],
)
def test_copies_of_the_own_heading_are_dropped(heading: str) -> None:
    assert clean(f"{heading}\n\nText.\n") == "Text.\n"


def test_an_own_heading_comes_off_later_too_but_its_words_do_not() -> None:
    assert clean("Text.\n\n## Zero copy\n\nMore.\n") == "Text.\n\n\nMore.\n"
    assert clean("Text.\n\n**Zero copy**\n\nMore.\n") == "Text.\n\n**Zero copy**\n\nMore.\n"


def test_headings_are_shifted_and_lose_their_numbers() -> None:
    answer = "## 2.1.1 Pipes\n\na\n\n### 2.1.1.1. Size\n\nb\n\n## 一、Sockets ##\n\nc\n\n###### Deep\n"
    assert clean(answer) == ("#### Pipes\n\na\n\n##### Size\n\nb\n\n#### Sockets\n\nc\n\n###### Deep\n")
    assert clean("##### Only\n\na\n") == "#### Only\n\na\n"
    assert clean("## 1.90 features\n") == "#### 1.90 features\n"
    assert clean("## 3 ways to copy\n") == "#### 3 ways to copy\n"
    assert clean("Setext\n------\n\na\n") == "#### Setext\n\na\n"


def test_prose_with_a_rule_right_below_stays_prose() -> None:
    assert clean("The data is moved.\n---\nMore text.\n") == "The data is moved.\n\n---\nMore text.\n"
    assert clean("The data is moved.\n---\n") == "The data is moved.\n"


def test_a_wrapped_answer_is_unwrapped() -> None:
    inner = f"Text.\n\n{RUST}\nMore.\n"
    for answer in (
        f"```markdown\n## Zero copy\n\n{inner}```",
        f"Sure! Here is the section:\n\n```markdown\n{inner}```\n\nLet me know if you need more.",
        f"````md\n{inner}````\n",
        f"```\n## Zero copy\n\n{inner}```\n",
        f"```markdown\n{inner}",
    ):
        assert clean(answer) == inner
    example = "```markdown\n# Title\n```\n\nThis is a heading.\n"
    assert clean(example) == example
    assert clean("```\nplain\n```\n") == "```\nplain\n```\n"


def test_bytes_that_need_no_change_survive() -> None:
    text = (
        "Text with tabs\tand trailing  \r\nbreaks.\r\n\r\n| wide | 表格 |\r\n|:---|---:|\r\n"
        "| a\\|b | `x` |\r\n\r\n- a\r\n\t- b\r\n\r\n$$\r\nx\r\n===\r\n$$\r\n\r\n<details>\r\n"
        "<summary>S</summary>\r\n\r\n</details>\r\n\r\n" + RUST.replace("\n", "\r\n")
    )
    assert clean(text) == text
    assert clean("## 1. A\r\n\r\nb") == "#### A\r\n\r\nb\r\n"


def test_comments_at_the_end_are_dropped_and_others_stay() -> None:
    assert clean("Text.\n\n<!-- end of section -->\n\n---\n<!-- checked -->\n") == "Text.\n"
    assert clean("Text.\n\n<!-- a note -->\n\nMore.\n") == "Text.\n\n<!-- a note -->\n\nMore.\n"
    assert clean("Text.\n<!-- right below -->\n") == "Text.\n"
    code = "```html\n<!-- not one -->\n```\n"
    assert clean(code) == code
    assert sanitize.clean("Text.\n\n<!-- a note -->\n", own_headings=(), body_level=4, cut=True).endswith("-->\n")


def test_a_cut_answer_keeps_its_end() -> None:
    cut = sanitize.clean("Sure!\n\nSplice moves", own_headings=(), body_level=4, cut=True)
    assert cut == "Splice moves"
    code = sanitize.clean("A\n\n```rust\nlet a\n\n", own_headings=(), body_level=4, cut=True)
    assert code == "A\n\n```rust\nlet a\n\n"
    assert sanitize.clean("A\n\n", own_headings=(), body_level=4, cut=True) == "A\n"


def test_a_wrapper_with_other_fences_inside_is_found() -> None:
    inner = "Text.\n\n~~~rust\nlet a = b;\n~~~\n\nMore.\n"
    assert clean(f"```markdown\n{inner}```\n") == inner
    bare = "Text.\n\n```\ncode\n```\n"
    assert clean(f"````markdown\n{bare}````\n") == bare


def test_a_fence_that_only_talk_precedes_is_opened_again() -> None:
    assert sanitize.without_reopening("Sure!\n\nCertainly!\n", "```rust") == "Sure!\n\nCertainly!\n"
    assert sanitize.without_reopening("```toml\na\n", "```rust") == "```toml\na\n"


def test_closing() -> None:
    assert assemble.close("a\n\n```rust\nx") == "a\n\n```rust\nx\n```\n"
    assert assemble.close("- ~~~\n  x\n") == "- ~~~\n  x\n  ~~~\n"
    assert assemble.close("```\r\nx\r\n") == "```\r\nx\r\n```\r\n"
    assert assemble.close("a") == "a"


def test_topics_are_recognised_by_likeness() -> None:
    answer = (
        "Intro.\n\n### 2.1 Latency and throughput\n\nA\n\n#### Detail\n\nB\n\n"
        "**Setting goals**\n\nC\n\n"
        "```md\n### Tools\n```\n\n## 3. TOOLS!\n\nD\n\n### 2.1 Latency & throughput\n\nE\n"
    )
    titles = ["Latency and throughput (P99)", "Setting goals", "Tools"]
    head, found = assemble.split_by_topics(answer, titles)
    assert head == "Intro.\n\n"
    assert found == {
        0: "\nA\n\n#### Detail\n\nB\n\n\nE\n",
        1: "\nC\n\n```md\n### Tools\n```\n\n",
        2: "\nD\n\n",
    }
    assert assemble.split_by_topics("## A\n", []) == ("## A\n", {})


def test_a_wrapped_answer_is_split_too() -> None:
    answer = "Sure! Here are the sections:\n\n```markdown\n### Pipes\n\nA\n\n### Tools\n\nB\n```\n"
    assert assemble.split_by_topics(answer, ["Pipes", "Tools"])[1] == {0: "\nA\n\n", 1: "\nB\n"}
    assert assemble.split_by_topics("<think>x</think>Sure!\n\nA\n", ["Pipes"]) == (
        "Sure!\n\nA\n",
        {},
    )


def test_a_heading_of_the_same_words_is_the_topics() -> None:
    head, found = assemble.split_by_topics("### 4.2 Buffers in the kernel\n\nx\n", ["Pipes", "Kernel buffers"])
    assert (head, found) == ("", {1: "\nx\n"})
    assert assemble.split_by_topics("### Something else\n", ["Pipes", "Kernel buffers"])[1] == {}


# Properties


def code_of(text: str) -> str:
    return "".join(block.code for block in blocks.fences(text))


answers = st.builds(
    lambda before, text, after: before + text + after,
    st.sampled_from(["", "Sure! Here is the section:\n\n", "## 2. Zero copy\n\n", "---\n", "好的。\n\n"]),
    markdown_texts,
    st.sampled_from(["", "\n\n---\n", "\n\nLet me know if you need more.\n", "\n\n希望有帮助！"]),
)


@settings(max_examples=200, deadline=None)
@given(answers, st.booleans())
def test_cleaning_twice_is_cleaning_once(answer: str, cut: bool) -> None:
    once = sanitize.clean(answer, own_headings=("Zero copy",), body_level=4, cut=cut)
    assert sanitize.clean(once, own_headings=("Zero copy",), body_level=4, cut=cut) == once


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["Text.\n", "## A\n", "- b\n", "| c |\n|---|\n", "Sure!\n"]), max_size=4))
def test_cleaning_keeps_code_and_levels(parts: list[str]) -> None:
    answer = "\n".join([*parts, RUST, *parts])
    cleaned = clean(answer)
    assert code_of(answer) == code_of(cleaned)
    levels = [block.level for block in blocks.headings(cleaned)]
    assert not levels or min(levels) == 4


@settings(max_examples=300, deadline=None)
@given(st.one_of(markdown_texts, st.text(alphabet="`~> -\n\tab1.", max_size=40)))
def test_closing_always_balances(text: str) -> None:
    closed = assemble.close(text)
    assert closed.startswith(text)
    assert blocks.open_fence(closed) is None
    assert assemble.close(closed) == closed


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_nothing_raises(one: str, other: str) -> None:
    sanitize.clean(one, own_headings=(other,), body_level=3)
    assemble.split_by_topics(one, [other, "a"])
    assert isinstance(sanitize.continues_fence(one, "```rust"), bool)


@settings(max_examples=150, deadline=None)
@given(answers, st.lists(st.sampled_from(["Title", "Part", "Bold"]), max_size=3, unique=True))
def test_splitting_keeps_every_line_but_the_headings(answer: str, titles: list[str]) -> None:
    head, found = assemble.split_by_topics(answer, titles)
    kept = len(head) + sum(len(text) for text in found.values())
    assert kept <= len(answer)
    if not found:
        assert head == sanitize.unwrapped(answer)


# Thresholds, on both sides


@pytest.mark.parametrize(("length", "expected"), [(400, "Text.\n"), (401, None)])
@pytest.mark.parametrize("sentence", ["Here is the section {}:", "Let me know {}!"])
def test_a_long_sentence_is_content(sentence: str, length: int, expected: str | None) -> None:
    said = sentence.format("x" * (length - len(sentence) + 2))
    answer = f"{said}\n\nText.\n" if said.startswith("Here") else f"Text.\n\n{said}\n"
    assert len(said) == length
    assert clean(answer) == (expected or answer)


@pytest.mark.parametrize(("length", "is_heading"), [(80, True), (81, False)])
def test_a_long_underlined_line_is_prose(length: int, is_heading: bool) -> None:
    title = "a" * length
    assert clean(f"{title}\n---\n\nb\n") == (f"#### {title}\n\nb\n" if is_heading else f"{title}\n\n---\n\nb\n")


@pytest.mark.parametrize(("greetings", "is_reopened"), [(0, True), (2, True), (3, False)])
def test_a_fence_is_opened_again_among_the_first_three_lines(greetings: int, is_reopened: bool) -> None:
    more = "Sure!\n\n" * greetings + "```rust\nb();\n```\n"
    assert sanitize.without_reopening(more, "```rust") == ("b();\n```\n" if is_reopened else more)


@pytest.mark.parametrize(
    ("common", "total", "form", "is_topic"),
    [
        (9, 25, "## {}", True),
        (23, 64, "## {}", False),
        (19, 40, "**{}**", True),
        (18, 38, "**{}**", False),
    ],
)
def test_how_like_a_topic_a_heading_has_to_be(common: int, total: int, form: str, is_topic: bool) -> None:
    title, heading = titles_alike(common, total)
    _, found = assemble.split_by_topics(f"{form.format(heading)}\n\nText.\n", ["Pipes", title])
    assert found == ({1: "\nText.\n"} if is_topic else {})
