"""A section while it is written: what is the tool's, what is the author's, what a model adds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expand.drafting.section_text import SectionText, Skeleton
from expand.llm.types import Finish
from expand.markdown import blocks, lines
from expand.markdown.code import fault

STOP, LENGTH = Finish.STOP, Finish.LENGTH
LISTING = "```rust\nfn own() {}\n```"


def section_text(
    *topics: str,
    target: int = 40,
    intro: tuple[str, ...] = (),
    placed: dict[int, tuple[str, ...]] | None = None,
) -> SectionText:
    return SectionText(
        Skeleton(
            number=2,
            title="Named pipes",
            topics=topics,
            target=target,
            intro=intro,
            placed=placed or {},
        )
    )


def sentences(first: int, count: int) -> str:
    return "".join(f"Sentence number {n} says one new thing.\n" for n in range(first, first + count))


def test_before_anything_is_written_it_is_headings_and_the_authors_text() -> None:
    empty = section_text("Opening", "Reading", intro=("Intro.",), placed={1: ("Own.", LISTING)})

    assert empty.render() == ("## 2. Named pipes\n\nIntro.\n\n### 2.1 Opening\n\n### 2.2 Reading\n\nOwn.\n\n" + LISTING)
    assert empty.lines == empty.base_lines == empty.render().count("\n") + 2
    assert section_text().render() == "## 2. Named pipes"


def test_an_answer_stands_below_its_topic_and_the_authors_text() -> None:
    section = section_text("Opening", "Reading", placed={0: ("Own.",)})
    grown = section.add("Model's text.\n", STOP, (0,))

    assert section.render() == ("## 2. Named pipes\n\n### 2.1 Opening\n\nOwn.\n\nModel's text.\n\n### 2.2 Reading")
    assert grown == 2
    assert section.lines == section.base_lines + 2
    assert section.body_lines(0) == 1
    assert section.body_lines(1) == 0


@pytest.mark.parametrize(
    ("revised", "said"),
    [(False, "Own.\n\nNew.\n\n#### Sizes\n\nA page."), (True, "New.")],
)
def test_the_authors_own_headings_stay_below_the_topic_or_give_way_with_its_text(revised: bool, said: str) -> None:
    placed: dict[int, tuple[str, ...]] = {0: ("Own.", "#### Sizes", "A page.")}
    skeleton = Skeleton(number=2, title="Pipes", topics=("Opening",), target=40, placed=placed, revised=revised)
    section = SectionText(skeleton)
    assert section.render() == "## 2. Pipes\n\n### 2.1 Opening\n\nOwn.\n\n#### Sizes\n\nA page."
    section.add("New.\n", STOP, (0,))
    assert section.render() == f"## 2. Pipes\n\n### 2.1 Opening\n\n{said}"


def test_an_answer_for_several_topics_is_taken_apart_at_their_headings() -> None:
    section = section_text("Opening a pipe", "Reading until the end", "Closing")
    section.add(
        "Lead-in that says something.\n\n### 2.1 Opening a pipe\n\nA.\n\n**Reading until the end**\n\nB.\n",
        STOP,
        (0, 1, 2),
    )
    assert section.bodies[0].split() == ["Lead-in", "that", "says", "something.", "A."]
    assert section.bodies[1].strip() == "B."
    assert section.bodies[2] == ""


def test_text_before_any_topic_is_the_first_topics() -> None:
    section = section_text("Opening", "Reading")
    section.add("No heading at all.\n", STOP, (0, 1))
    assert section.bodies == ["No heading at all.\n", ""]


def test_the_models_copies_of_headings_are_dropped_and_others_sink() -> None:
    section = section_text("Opening")
    section.add("## 2. Named pipes\n\n### Opening\n\n## Cases\n\nText.\n", STOP, (0,))
    assert section.render() == "## 2. Named pipes\n\n### 2.1 Opening\n\n#### Cases\n\nText."
    plain = section_text()
    plain.add("# Cases\n\nText.\n", STOP, (0,))
    assert plain.render() == "## 2. Named pipes\n\n### Cases\n\nText."


def test_a_continuation_goes_on_in_the_block_that_was_cut() -> None:
    section = section_text("Opening")
    section.add("Text.\n\n```rust\nfn sum(values: &[u64]) -> u64 {\n    let mut to", LENGTH, (0,))
    assert section.cut == [True]
    assert section.fence(0) == "```rust"
    assert blocks.open_fence(section.render()) is None, "the draft's block is closed meanwhile"

    section.add("tal = 0;\n    for v in values { total += v; }\n    total\n}\n```\n\nDone.\n", STOP, (0,))
    assert section.cut == [False]
    assert section.fence(0) == ""
    (block,) = blocks.fences(section.render())
    assert fault("rust", block.code) is None
    assert "let mut total = 0;" in block.code
    assert section.render().endswith("```\n\nDone.")


@pytest.mark.parametrize(
    ("text", "finish", "cut"),
    [
        ("A whole sentence.\n", LENGTH, False),
        ("A sentence that was", LENGTH, True),
        ("A sentence that stands", STOP, False),
        ("A sentence that was", STOP, True),
        ("文字。", LENGTH, False),
        ("```rust\nfn open() {", STOP, True),
        ("| a | b |\n|---|---|\n| 1 | 2 |", LENGTH, False),
    ],
)
def test_what_breaks_off(text: str, finish: Finish, cut: bool) -> None:
    section = section_text("Opening")
    section.add(text, finish, (0,))
    assert section.cut == [cut]


def test_only_the_last_topic_of_an_answer_is_cut() -> None:
    section = section_text("Opening", "Reading")
    section.add("### Opening\n\nWhole without a stop\n\n### Reading\n\nCut in the", LENGTH, (0, 1))
    assert section.cut == [False, True]


def test_an_answer_that_is_nothing_after_cleaning_changes_nothing() -> None:
    section = section_text("Opening")
    section.add("Text that was cut in the", LENGTH, (0,))
    before = section.render()
    assert section.add("### Opening\n", STOP, (0,)) == 0
    assert section.render() == before
    assert section.cut == [True]
    assert section.add("", STOP, (0,)) == 0


def test_the_tail_is_the_last_lines_of_a_topic() -> None:
    section = section_text("Opening")
    section.add(sentences(0, 5), STOP, (0,))
    assert section.tail(0, 2) == "Sentence number 3 says one new thing.\nSentence number 4 says one new thing."
    assert section.tail(0, 50).count("\n") == 4


CODE = "".join(f"let value_{n} = {n};\n" for n in range(6))
ROWS = "".join(f"| row {n} | {n} |\n" for n in range(6))


@pytest.mark.parametrize(
    ("text", "most", "tail"),
    [
        (f"Before.\n\n```rust\n{CODE}```\n", 3, f"```rust\n{CODE[-34:]}```"),
        (f"Before.\n\n```rust\n{CODE}```\n", 8, f"```rust\n{CODE}```"),
        (f"Before.\n\n```rust\n{CODE}```\n", 10, f"Before.\n\n```rust\n{CODE}```"),
        (f"| a | b |\n|---|---|\n{ROWS}", 1, "| a | b |\n|---|---|\n| row 5 | 5 |"),
        (f"| a | b |\n|---|---|\n{ROWS}", 7, f"| a | b |\n|---|---|\n{ROWS}"[:-1]),
        ("- one\n- two\n- three\n\nThen a sentence.\n", 3, "Then a sentence."),
        ("- one\n- two\n- three\n", 2, "- two\n- three"),
    ],
)
def test_the_tail_begins_with_a_block_or_its_head(text: str, most: int, tail: str) -> None:
    section = section_text("Opening")
    section.bodies = [text]
    assert section.tail(0, most) == tail


def test_what_was_said_already_is_not_said_again() -> None:
    section = section_text("Opening")
    said = "One sentence that is long enough to count as one.\n"
    assert section.add(said * 150, STOP, (0,)) == 2
    assert section.bodies == [said]
    assert section.add(said + "\nAnother sentence that says something new.\n", STOP, (0,)) == 2
    assert section.render().count("One sentence") <= 2


def test_repeated_lines_stay() -> None:
    section = section_text("Opening")
    text = "Row on\nRow on\n\n- a\n- a\n\n<div>\n</div>\n</div>\n\n"
    text += "```text\n0\n0\n```\n\n| a |\n|---|\n| 1 |\n| 1 |\n\n- ```sh\n  ls\n  ls\n  ```\n"
    section.add(text, STOP, (0,))
    assert section.bodies == [text]


@pytest.mark.parametrize(
    ("text", "closing"),
    [
        ("<!-- a comment", "-->"),
        ("<pre>\nx", "</pre>"),
        ("<SCRIPT src='x'>", "</script>"),
        ("<textarea", "</textarea>"),
        ("```html\n<!-- x", "```"),
    ],
)
def test_what_would_swallow_the_rest_of_the_draft_is_closed(text: str, closing: str) -> None:
    section = section_text("Opening", "Reading")
    section.add(f"A.\n\n{text}\n", LENGTH, (0,))
    rendered = section.render()
    assert f"{text}\n{closing}\n" in rendered
    assert "2.2 Reading" in [block.title for block in blocks.headings(rendered)]


@pytest.mark.parametrize("text", ["<div>", "<!-- x -->\n\nx", "<pre>x</pre>", "<prefix>", "<!DOCTYPE x>"])
def test_html_that_ends_by_itself_is_left_alone(text: str) -> None:
    section = section_text("Opening", "Reading")
    section.add(text, STOP, (0,))
    assert section.bodies[0].strip() == text
    assert f"{text}\n\n### 2.2 Reading" in section.render()


def test_padding_does_not_count() -> None:
    section = section_text("Opening")
    section.add("A.\n", STOP, (0,))
    assert section.add("Two.\n\n\n\n\n\n***\n***\n\n***\n", STOP, (0,)) <= 4


def test_a_replaced_topic_leaves_the_original_alone() -> None:
    section = section_text("Opening", "Reading")
    section.add("Old.\n", STOP, (0,))
    section.add("Kept.\n", STOP, (1,))
    copy = section.replaced((0,), "New, cut in the", LENGTH)
    assert copy.bodies == ["New, cut in the", "Kept.\n"]
    assert copy.cut == [True, False]
    assert section.bodies == ["Old.\n", "Kept.\n"]
    assert section.cut == [False, False]


def test_a_line_is_found_in_the_topic_whose_text_it_is() -> None:
    section = section_text("Opening", "Reading", placed={1: (LISTING,)})
    section.add("A.\n", STOP, (0,))
    section.add("B.\n\nC.\n", STOP, (1,))
    rows = section.render().split("\n")
    spans = section.spans()
    found = {row: slot_in(spans, number) for number, row in enumerate(rows, 1) if row}
    assert found == {
        "## 2. Named pipes": None,
        "### 2.1 Opening": None,
        "A.": 0,
        "### 2.2 Reading": None,
        "```rust": None,
        "fn own() {}": None,
        "```": None,
        "B.": 1,
        "C.": 1,
    }
    assert slot_in(spans, 999) is None


def slot_in(spans: dict[int, range], line: int) -> int | None:
    return next((slot for slot, span in spans.items() if line in span), None)


def test_a_loop_is_left_out_and_the_text_counts_as_cut() -> None:
    section = section_text("Opening", "Reading")
    section.add("What stands first.\n", STOP, (0,))
    assert section.loops == []
    section.add("What stands next.\n\n" + "And so it decides again what to do\n" * 300, STOP, (1,))
    assert section.bodies[1].count("And so it decides") == 1
    assert section.cut == [False, True]
    assert section.loops == [section.render().count("\n") + 1]
    copy = section.replaced((1,), "Whole.\n", STOP)
    assert copy.loops == section.loops


ANSWERS = st.lists(
    st.sampled_from(
        [
            "Plain text that ends.\n",
            "Text that is cut in the",
            "```rust\nfn a() {}\n```\n",
            "```rust\nfn open() {\n",
            "- one\n- two\n",
            "### Opening\n\nUnder it.\n\n### Reading\n\nUnder that.\n",
            "| a | b |\n|---|---|\n| 1 | 2 |\n",
            "Sure! Here is the text:\n\nReal text.\n",
            "",
            "文字。\n",
            "One.\r\nTwo.\r\n",
            "#### Deeper\n\nText.\n",
        ]
    ),
    max_size=6,
)


@settings(deadline=None)
@given(ANSWERS, st.data())
def test_it_only_grows_and_always_counts_itself(answers: list[str], data: st.DataObject) -> None:
    section = section_text("Opening", "Reading", placed={0: (LISTING,)}, intro=("Intro.",))
    for text in answers:
        slots = data.draw(st.sampled_from([(0,), (1,), (0, 1)]))
        before = section.lines
        grown = section.add(text, data.draw(st.sampled_from([STOP, LENGTH])), slots)
        assert section.lines == before + grown
        assert section.lines == lines.of_section(section.render())
        rendered = section.render()
        assert blocks.open_fence(rendered) is None
        assert LISTING in rendered
        headings = [b.title for b in blocks.blocks(rendered) if b.kind == "heading" and b.level < 4]
        assert headings == ["2. Named pipes", "2.1 Opening", "2.2 Reading"]
