"""The author's own document: read, placed and looked for again."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_texts import markdown_texts, titles_alike

from expand.checks import source_findings
from expand.checks.links import broken_incoming
from expand.document.numbered import PlacedBlocks, read_source
from expand.document.page import relinked
from expand.document.site import PLAIN, Site, files_of_link
from expand.markdown import blocks
from expand.outline import Layout, Outline, Section, Text
from expand.outline.reading import read_outline

ROOT = Path(__file__).parent.parent
STUB = """# Tier 4: 性能

> **类型**: 高级
> **版本**: 1.90

---

## 零拷贝技术

**splice (Linux)**:

```rust
fn zero_copy() { splice(); }
```

---

## 内存映射

Text about mmap.

- one
- two

---

**参考**: [优化](../a/b.md)

---

**维护**: Team
"""


def outline(*sections: tuple[str, tuple[str, ...]]) -> Outline:
    return Outline(
        id="03",
        title=Text(plain="T"),
        source="x.md",
        sections=tuple(
            Section(
                number=number,
                title=Text(by_language={"zh": title, "en": f"Section {number}"}),
                lines=100,
                topics=tuple(Text(plain=topic) for topic in topics),
            )
            for number, (title, topics) in enumerate(sections, 1)
        ),
    )


def placed(text: str, plan: Outline) -> dict[int, list[str]]:
    """The pieces of a document by section."""
    return {number: [piece.text for piece in pieces] for number, pieces in read_source(text, plan).placed.items()}


def test_header_sections_and_footer() -> None:
    source = read_source(STUB, outline())
    assert source.header == "# Tier 4: 性能\n\n> **类型**: 高级\n> **版本**: 1.90"
    assert [*source.headings] == ["零拷贝技术", "内存映射"]
    assert source.footer == "---\n\n**参考**: [优化](../a/b.md)\n\n---\n\n**维护**: Team"


def test_an_introduction_belongs_to_the_header_and_text_behind_a_rule_to_its_section() -> None:
    text = "# T\n\nAn introduction.\n\n---\n\n## A\n\nText.\n\n---\n\nMore text.\n"
    source = read_source(text, outline())
    assert (source.header, source.footer) == ("# T\n\nAn introduction.", "")
    assert placed(text, outline()) == {1: ["Text.", "---", "More text."]}


def test_odd_documents() -> None:
    assert not read_source("", outline()).placed
    assert read_source("# T\n", outline()).header == "# T"
    bare = "Only text.\n"
    assert (read_source(bare, outline()).header, placed(bare, outline())) == ("", {1: ["Only text."]})
    front = read_source("---\na: b\n---\n\n<!-- x -->\n\n# T\n\n**Kind**: x\n\n## A\n\nt\n", outline())
    assert front.header == "---\na: b\n---\n\n<!-- x -->\n\n# T\n\n**Kind**: x"
    flat = "# A\n\na\n\n# B\n\nb\n"
    assert placed(flat, outline(("A", ()), ("B", ()))) == {1: ["a"], 2: ["b"]}


def test_pieces_go_where_they_belong_verbatim() -> None:
    plan = outline(
        ("性能分析", ("指标",)),
        ("内存", ("共享内存", "内存映射（mmap）")),
        ("I/O", ("零拷贝（splice）", "io_uring")),
    )
    assert read_source(STUB, plan).placed == {
        2: [
            PlacedBlocks(text="Text about mmap.", topic=1),
            PlacedBlocks(text="- one\n- two", topic=1),
        ],
        3: [
            PlacedBlocks(
                text="**splice (Linux)**:\n\n```rust\nfn zero_copy() { splice(); }\n```",
                topic=0,
            ),
        ],
    }


def test_what_is_like_nothing_goes_with_its_neighbour_or_first() -> None:
    text = "# T\n\n## X\n\nqqq\n\n## Y\n\nmmap it\n\n## Z\n\nzzz\n\nLabel:\n"
    assert placed(text, outline(("Pipes", ()), ("Memory", ("mmap",)))) == {1: ["qqq"], 2: ["mmap it", "zzz", "Label:"]}
    assert placed(text, outline()) == {1: ["qqq", "mmap it", "zzz", "Label:"]}


def test_headings_that_are_no_topics_stay_below_the_tools() -> None:
    text = "# T\n\n## A\n\nText:\n\n### Deep\n\nmore\n\n### Deeper\n\nend\n"
    assert placed(text, outline(("A", ()))) == {1: ["Text:", "### Deep", "more", "### Deeper", "end"]}


@settings(max_examples=150, deadline=None)
@given(markdown_texts, st.integers(0, 3))
def test_nothing_of_a_source_is_lost(text: str, sections: int) -> None:
    plan = outline(*((f"Part {n}", ("Bold", "nested")) for n in range(sections)))
    source = read_source(text, plan)
    pieces = [p.text for ps in source.placed.values() for p in ps]
    whole = "\n\n".join([source.header, *pieces, source.footer])
    for block in blocks.blocks(text):
        if block.kind not in ("heading", "rule"):
            assert " ".join(block.text.split()) in " ".join(whole.split())


@pytest.mark.parametrize("chapter", ["03", "04", "05"])
def test_the_shipped_stubs_are_placed_whole(chapter: str) -> None:
    plan = read_outline(ROOT / "outlines" / f"{chapter}.yaml", root=ROOT, chapter_id=chapter)
    text = (ROOT / plan.source).read_text(encoding="utf-8")
    source = read_source(text, plan)
    draft = "\n\n".join([source.header, *(p.text for ps in source.placed.values() for p in ps), source.footer])
    assert {finding.kind for finding in source_findings(blocks.blocks(text), draft)} == {"superseded"}
    assert source_findings(blocks.blocks(text), "") != ()


def test_a_heading_that_is_a_topic_decides() -> None:
    plan = outline(("Testing", ("Integration tests (several processes)",)), ("CI integration", ()))
    source = read_source("# T\n\n## Integration tests\n\nRun them in CI.\n\n```sh\nci run\n```\n", plan)
    assert {number: [piece.topic for piece in pieces] for number, pieces in source.placed.items()} == {1: [0, 0]}


@pytest.mark.parametrize("block", ["<!-- kept by its authors -->", '<img src="logo.png">'])
def test_a_comment_or_a_picture_under_the_title_belongs_to_the_header(block: str) -> None:
    source = read_source(f"# T\n\n{block}\n\n## A\n\nText.\n", outline())
    assert block in source.header
    assert [*source.headings] == ["a"]


# Thresholds, on both sides


@pytest.mark.parametrize(("lines", "is_footer"), [(8, True), (9, False)])
def test_a_footer_holds_blocks_of_eight_lines(lines: int, is_footer: bool) -> None:
    closing = "References:\n" + "\n".join(f"[{number}]" for number in range(lines - 1))
    source = read_source(f"# T\n\n## A\n\na\n\n---\n\n{closing}\n", outline())
    assert source.footer == (f"---\n\n{closing}" if is_footer else "")


@pytest.mark.parametrize(("label", "is_header"), [(40, True), (41, False)])
def test_a_label_of_the_header_has_forty_characters(label: int, is_header: bool) -> None:
    line = f"**{'a' * label}**: text"
    assert (line in read_source(f"# T\n\n{line}\n\ntext\n", outline()).header) is is_header


def book(*topics: str) -> Outline:
    """Sections whose titles no text has a word of; one string of topic words each."""
    return Outline(
        id="03",
        title=Text(plain="T"),
        source="x.md",
        sections=tuple(
            Section(number=number, title=Text(plain="甲乙丙丁"[number - 1]), lines=9, topics=(Text(plain=words),))
            for number, words in enumerate(topics, 1)
        ),
    )


def placed_in(heading: str, text: str, plan: Outline) -> int:
    (number,) = placed(f"# T\n\n## {heading}\n\n{text}\n", plan)
    return number


@pytest.mark.parametrize(("words", "number"), [("one two", 2), ("one two three", 1), ("one two three four", 1)])
def test_a_word_of_a_heading_is_worth_three_of_the_text(words: str, number: int) -> None:
    plan = book("one two three", "alpha beta gamma")
    assert placed_in("Alpha qqqqqqqqq rrrrrrrrr sssssssss", f"{words} zzz.", plan) == number


def test_a_word_in_common_is_worth_less_in_a_larger_bag() -> None:
    assert placed_in("Qqqqqqqqq", "one five", book("one two three four", "five six seven")) == 2


@pytest.mark.parametrize(("common", "total", "number"), [(4, 10, 2), (79, 200, 1)])
def test_a_heading_that_is_like_a_topic_decides_against_all_words(common: int, total: int, number: int) -> None:
    topic, heading = titles_alike(common, total)
    assert placed_in(heading, "one two three", book("one two three", topic)) == number


@pytest.mark.parametrize("layout", ["keep", "numbered"])
@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("To be written.", set()), ("TODO", set()), ("*Coming soon…*", set()), ("待补充", set()),
        ("内容待补充。", set()), ("TODO: say what needs root", {"superseded"}), ("TODO：说明权限", {"superseded"}),
        ("To be written by root.", {"left-out"}), ("待补充的库存由夜间任务计算。", {"left-out"}),
    ],
)  # fmt: skip
def test_a_placeholder_that_says_nothing_else_is_not_missed(layout: Layout, block: str, said: set[str]) -> None:
    found = source_findings(blocks.blocks(f"## A\n\n{block}\n"), "## A\n\nText.\n", layout=layout)
    assert {finding.kind for finding in found} == said


def test_headings_and_rules_that_gave_way_are_said() -> None:
    source = blocks.blocks("# T\n\n---\n\n## 2. Pipes {#p}\n\na\n\n---\n\n## Files\n\nb\n\n***\n")
    found = source_findings(source, "# T\n\n## 1. Pipes\n\na\n\nb\n\n---\n\nc\n")
    assert [(finding.kind, finding.severity, finding.line) for finding in found] == [
        ("superseded", "note", 11),
        ("superseded", "note", 3),
    ]
    assert found[1].message == "2 of the source's rules (its lines 3, 9, 15) gave way to headings"
    assert {f.kind for f in source_findings(source, "# T\n", layout="keep")} == {"left-out"}


@pytest.mark.parametrize(
    ("link", "moved"),
    [
        ("[a](#old)", "[a](#new)"),
        ("[a](<#OLD> 'x')", "[a](<#new> 'x')"),
        ("[a](./p.md#old)", "[a](./p.md#new)"),
        ("[a]: #old", "[a]: #new"),
        ("<a href='#old'>", "<a href='#new'>"),
        ("[a](#%E6%97%A7)", "[a](#%E6%96%B0)"),
        ("[a](q.md#old)", "[a](q.md#old)"),
        ("`[a](#old)`", "`[a](#old)`"),
        ("```\n[a](#old)\n```", "```\n[a](#old)\n```"),
        ("[a](#other)", "[a](#other)"),
    ],
)
def test_links_within_a_document_follow_its_anchors(link: str, moved: str) -> None:
    assert relinked(f"{link}\n", {"old": "new", "旧": "新"}, "p.md") == f"{moved}\n"


@pytest.mark.parametrize(
    ("page", "target", "leads"),
    [
        ("docs/q.md", "p.md", True),
        ("docs/a/q.md", "../p.md", True),
        ("docs/a/q.md", "p.md", False),
        ("README.md", "docs/p.md?x", True),
        ("docs/q.md", "https://e.org/docs/p.md", False),
        ("docs/q.md", "", False),
        ("docs/q.md", "pp.md", False),
    ],
)
def test_links_of_other_pages_are_known(page: str, target: str, leads: bool) -> None:
    def means(own: str, target: str) -> bool:
        return Path("/w/docs/p.md") in files_of_link(Site(PLAIN, Path("/w")), Path("/w") / own, target)

    found = broken_incoming([(page, f"x\n\n[a]({target}#gone) [b](p.md#there)\n")], "docs/p.md", {"gone"}, means)
    assert [finding.message for finding in found] == [f"{page}:3: its link to #gone would lead nowhere"] * leads
