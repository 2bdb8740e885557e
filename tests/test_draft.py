"""Drafts as documents: what is written is read back, and a person's changes are seen."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expand.document.draft import (
    Draft,
    Stamp,
    document_text,
    read,
    render,
    text_hash,
)
from expand.document.numbered import section_heading, topic_heading, with_contents
from expand.markdown.blocks import anchor

HEAD = "# Title\n\n> **Level**: expert\n\n## Contents\n\n- [1. One](#1-one)"
TRICKY = [
    "Plain text.",
    "```text\n## 3. x\n---\n<!-- expand 1=a:b -->\n```",
    "````md\n```\n## 2. inner\n```\n````",
    "~~~\n## 1. y\n~~~",
    "    ## 4. indented code",
    "---",
    "***",
    "> ## 3. quoted",
    "- item\n\n  ## 5. in a list",
    "#### Deeper",
    "### 1.1 Topic",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "<div>\n## 6. in HTML\n</div>",
    "$$\nx = 1\n$$",
    "One line.\r\nAnother line.",
    "```sh\r\n## 7. code\r\n```",
    "文字。",
    "<!-- a comment -->",
    "#[derive(Debug)]",
    "Text\n---\nof a setext heading",
]
SOURCE = "f" * 64
bodies = st.lists(st.sampled_from(TRICKY), max_size=6).map("\n\n".join)
sections_of = st.lists(bodies, max_size=5).map(
    lambda texts: {
        number: f"## {number}. Title\n\n{text}".rstrip("\n") if text else f"## {number}. Title"
        for number, text in enumerate(texts, 1)
    }
)
footers = st.sampled_from(
    [
        "",
        "**Maintenance**: kept by its authors.",
        "*End.*\n\nTwo blocks.",
        "**See**: [b](b.md)\n\n---\n\n**Maintenance**: a team",
        "## References\n\n- one\n\n***\n\nend",
    ]
)


def stamped(sections: dict[int, str], key: str = "0123456789abcdef") -> dict[int, Stamp]:
    return {number: Stamp(key=key, text=text_hash(text)) for number, text in sections.items()}


def written(sections: dict[int, str], footer: str = "", first: str = HEAD) -> str:
    every: tuple[str | int, ...] = (first, *sections, f"---\n\n{footer}" if footer else "")
    texts = [one if isinstance(one, str) else sections[one] for one in every]
    text = "\n\n".join(one.strip("\n") for one in texts if one) + "\n"
    given = stamped(sections)
    return render(text, layout="numbered", pieces=every, stamps=given, language="en", plan="full", source=SOURCE)


def around(draft: Draft) -> tuple[str, ...]:
    """Header and footer without blanks around them."""
    head, *footer = (piece for piece in draft.pieces if isinstance(piece, str))
    return head.strip("\n"), "".join(footer).partition("\n")[2].strip("\n")


@settings(deadline=None)
@given(sections_of, footers, st.sampled_from([HEAD, "# Title", "# Title\n\nA rule:\n\n---\n\nX."]))
def test_what_was_rendered_is_read_back(sections: dict[int, str], footer: str, first: str) -> None:
    text = written(sections, footer if sections else "", first)
    draft = read(text)

    assert draft.sections == sections
    assert draft.stamps == stamped(sections)
    assert (draft.language, draft.plan) == ("en", "full")
    assert around(draft) == (first, footer if sections else "")
    assert draft.rest_edited == (False, False)
    assert not any(map(draft.edited, sections))
    assert text.endswith(" -->\n")
    assert again(draft) == text


def again(draft: Draft) -> str:
    parts = [(one if isinstance(one, str) else draft.sections[one]).strip("\n") for one in draft.pieces]
    edited = zip(draft.rest, draft.rest_edited, strict=True)
    return render(
        "\n\n".join(filter(None, parts)) + "\n",
        layout=draft.layout,
        pieces=draft.pieces,
        stamps=draft.stamps,
        rest=[hashed if mine else "" for hashed, mine in edited],
        language=draft.language,
        plan=draft.plan,
        source=draft.source_hash,
    )


@settings(deadline=None)
@given(sections_of.filter(bool), st.data())
def test_a_changed_section_is_edited_and_the_others_are_not(sections: dict[int, str], data: st.DataObject) -> None:
    chosen = data.draw(st.sampled_from([*sections]))
    heading = f"## {chosen}. Title"
    number_of_lines = written(sections).split("\n")
    at = next(  # the first such line that is a heading
        index
        for index, line in enumerate(number_of_lines)
        if line == heading and sum(row.startswith("```") for row in number_of_lines[:index]) % 2 == 0
    )
    number_of_lines[at] += "\n\nMine."
    draft = read("\n".join(number_of_lines))

    assert [*filter(draft.edited, draft.sections)] == [chosen]


def test_the_last_line_is_hidden_and_names_keys_and_hashes() -> None:
    one = "## 1. One\n\nText."
    text = render(
        f"# T\n\n{one}\n",
        layout="numbered",
        pieces=("# T\n\n", 1),
        stamps={1: Stamp(key="", text=text_hash(one), demands="def")},
        language="zh",
        plan="lean",
        source="abc",
    )
    assert text.splitlines()[-1] == (
        f"<!-- expand language=zh plan=lean source=abc layout=numbered ended=1 "
        f"rest={text_hash('# T')},{text_hash('')} 1=-:{text_hash(one)}::def -->"
    )
    draft = read(text)
    assert draft.stamps[1] == Stamp(key="", text=text_hash(one), demands="def")
    assert draft.source_hash == "abc"
    assert document_text(text) == "# T\n\n## 1. One\n\nText.\n"
    assert document_text("No draft of ours.") == "No draft of ours."
    assert (draft.language, draft.plan) == ("zh", "lean")


def test_without_the_last_line_everything_is_a_persons() -> None:
    text = written({1: "## 1. One\n\nText."})
    draft = read(text[: text.rindex("<!--")])

    assert draft.stamps == {}
    assert draft.edited(1)
    assert draft.rest_edited == (True, True)
    assert not draft.edited(2), "a section that is not there is not edited"
    assert 2 not in draft.sections


def test_a_last_line_that_was_meddled_with_proves_nothing() -> None:
    draft = read("# T\n\n## 1. One\n\nText.\n\n<!-- expand language plan=full 1=x x=1 -->\n")
    assert draft.language == ""
    assert draft.plan == "full"
    assert draft.stamps == {1: Stamp(key="x", text="")}
    assert draft.edited(1)


def test_a_comment_of_that_form_elsewhere_is_text() -> None:
    text = written({1: "## 1. One\n\n<!-- expand 1=a:b -->\n\nText."})
    assert not read(text).edited(1)


def test_edited_head_and_footer_are_seen_and_stay_known() -> None:
    text = written({1: "## 1. One\n\nText."}, "Footer.")
    draft = read(text.replace("expert", "anyone").replace("Footer.", "My footer."))

    assert draft.rest_edited == (True, True)
    assert "anyone" in around(draft)[0]
    assert around(draft)[1] == "My footer."
    assert not draft.edited(1)
    kept = read(again(draft))
    assert kept.rest_edited == (True, True)
    assert around(kept)[1] == "My footer."


@pytest.mark.parametrize(("edited", "footer"), [("Footer", True), ("Text", True), ("Footer Text", False)])
def test_a_footer_with_rules_is_told_from_the_last_section_by_either(edited: str, footer: bool) -> None:
    text = written({1: "## 1. One\n\nText.\n\n---\n\nMore."}, "Footer.\n\n---\n\nEnd.")
    for word in edited.split():
        text = text.replace(f"{word}.", f"{word} of mine.")
    draft = read(text)
    assert around(draft)[1].startswith("Footer") is footer
    assert draft.rest_edited == (False, "Footer" in edited)
    assert draft.edited(1) is ("Text" in edited)


def test_a_footer_that_a_person_added_is_part_of_the_last_section() -> None:
    text = written({1: "## 1. One\n\nText."})
    draft = read(text.replace("Text.\n", "Text.\n\n---\n\nMy footer.\n"))
    assert draft.edited(1)
    assert around(draft)[1] == ""


def test_numbers_are_taken_from_the_headings_whatever_stands_between() -> None:
    draft = read("# T\n\n## Foreword\n\nF.\n\n## 2. Two\n\nB.\n\n## Aside\n\nC.\n\n## 5. Five\n\nE.\n")
    assert [*draft.sections] == [2, 5]
    assert draft.sections[2] == "## 2. Two\n\nB.\n\n## Aside\n\nC."
    assert around(draft)[0] == "# T\n\n## Foreword\n\nF."


def test_a_section_begins_at_a_heading_of_level_two() -> None:
    draft = read("# 9. T\n\n## 1. One\n\n### 2. Step\n\nA.\n")
    assert [*draft.sections] == [1]
    assert around(draft)[0] == "# 9. T"


def test_the_first_of_two_sections_of_one_number_counts() -> None:
    draft = read("# T\n\n## 1. One\n\nA.\n\n## 1. One\n\nB.\n")
    assert draft.sections == {1: "## 1. One\n\nA.\n\n## 1. One\n\nB."}


def test_nothing_is_read_from_an_empty_document() -> None:
    draft = read("")
    assert (draft.sections, around(draft)) == ({}, ("", ""))


def test_hashes_leave_blanks_around_a_text_out() -> None:
    assert text_hash("\n a \n") == text_hash("a")
    assert text_hash("a\r\nb") != text_hash("a\nb")
    assert len(text_hash("")) == 16


def test_headings_and_contents() -> None:
    assert section_heading(2, "Profiling tools") == "## 2. Profiling tools"
    assert topic_heading(2, 1, "perf") == "### 2.1 perf"
    made = with_contents("# T", ["1. A", "2. B (x)"], "zh")
    assert made == "# T\n\n## 目录\n\n- [1. A](#1-a)\n- [2. B (x)](#2-b-x)\n"
    assert with_contents("# T", [], "fr").startswith("# T\n\n## Contents\n")


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("1. Methods & goals", "1-methods--goals"),
        ("2. 性能剖析工具（perf）", "2-性能剖析工具perf"),
        ("3. I/O: `splice`", "3-io-splice"),
        ("  4. Zero-copy_x  ", "4-zero-copy_x"),
    ],
)
def test_anchors_are_githubs(heading: str, expected: str) -> None:
    assert anchor(heading) == expected


@pytest.mark.parametrize("count", [100, 1000])
def test_a_changed_heading_is_looked_for_in_little_time(count: int) -> None:
    others = "".join(f"## Mine {number}\n\nText.\n\n" for number in range(count))
    drafted = render(
        f"# T\n\n{others}## One\n\nOwn.\n",
        layout="keep",
        stamps={1: Stamp(key="k", text="", name="one")},
        language="en",
        plan="full",
    )
    began = time.process_time()
    sections = read(drafted.replace("## One", "## Two")).sections
    assert time.process_time() - began < 3
    assert sections == {1: "## Two\n\nOwn.\n"}
