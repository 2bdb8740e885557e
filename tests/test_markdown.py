"""Blocks, fences, paragraphs and links of Markdown texts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from markdown_texts import markdown_texts

from expand.markdown import blocks
from expand.markdown.blocks import Block


def kinds(text: str) -> list[str]:
    return [block.kind for block in blocks.blocks(text)]


def test_every_kind_is_told_apart() -> None:
    text = (
        "# T\n\npara\n\n```rs\nx\n```\n\n    code\n\n- a\n\n| a |\n|---|\n| 1 |\n\n> q\n\n"
        "<div>\n</div>\n\n---\n\n[r]: x\n"
    )
    assert kinds(text) == [
        "heading",
        "paragraph",
        "fence",
        "code",
        "list",
        "table",
        "quote",
        "html",
        "rule",
        "other",
    ]


def test_a_fence_hides_headings_rules_and_attributes() -> None:
    text = "## A\n\n```rust\n#[derive(Debug)]\n# comment\n---\n## B\n```\n\nB\n-\n"
    assert [(h.title, h.level, h.setext) for h in blocks.headings(text)] == [
        ("A", 2, False),
        ("B", 2, True),
    ]


def test_fences_report_language_content_and_closing() -> None:
    first, second, third = blocks.fences("```Rust,no_run\na\n```\n\n- x\n\n  ~~~ {.py}\n  b\n  ~~~\n\n````\nc\n```\n")
    assert (first.language, first.code, first.closed) == ("rust", "a\n", True)
    assert (second.language, second.code, second.closed) == ("py", "b\n", True)
    assert (third.language, third.code, third.closed) == ("", "c\n```\n", False)
    assert third.end == 13


@pytest.mark.parametrize(
    ("text", "opening", "closing"),
    [
        ("text\n", None, None),
        ("```rust\nfn f() {", "```rust", "```"),
        ("```rust\nfn f() {}\n```\n", None, None),
        ("```\n", "```", "```"),
        ("````md\n```\n", "````md", "````"),
        ("- a\n\n  ```py\n  x\n", "```py", "  ```"),
        ("1. ```py\n   x\n", "```py", "   ```"),
        ("> ~~~\n> x\n", "~~~", "> ~~~"),
        ("- ```py\n  x\n\nText.\n", None, None),
    ],
)
def test_an_open_fence_is_named(text: str, opening: str | None, closing: str | None) -> None:
    assert blocks.open_fence(text) == opening
    assert blocks.closing_fence(text) == closing


def test_front_matter_is_one_block() -> None:
    text = "---\ntitle: A\ntags: [b]\n---\n\n# T\n"
    first, second = blocks.blocks(text)
    assert (first.kind, first.start, first.end) == ("other", 0, 4)
    assert (second.title, second.start) == ("T", 5)


def test_a_rule_at_the_start_is_no_front_matter() -> None:
    assert kinds("---\n\ntext: x\n\n---\n") == ["rule", "paragraph", "rule"]
    assert kinds("---\nkey: value\n\ntext\n") == ["rule", "paragraph", "paragraph"]
    assert kinds("---\nkey: value\n") == ["rule", "paragraph"]


def test_front_matter_has_three_lines_at_least() -> None:
    assert kinds("---\na: b\n---\n") == ["other"]
    assert kinds("---\n---\n") == ["rule", "rule"]
    assert kinds("---\na: b\n...") == ["other"]
    assert kinds("---") == ["rule"]
    assert kinds("") == []


@pytest.mark.parametrize(("text", "closed"), [("```", False), ("```\n", False), ("```\n```", True), ("```\n\n", False)])
def test_an_empty_fence_is_closed_by_its_second_line(text: str, closed: bool) -> None:
    (fence,) = blocks.fences(text)
    assert fence.closed is closed


@pytest.mark.parametrize(("closing", "closed"), [("```", False), ("````", True), ("`````", True)])
def test_a_fence_is_closed_by_as_many_marks_as_opened_it(closing: str, closed: bool) -> None:
    (fence,) = blocks.fences(f"````\nx\n{closing}\n")
    assert fence.closed is closed


def test_display_math_is_one_block() -> None:
    assert kinds("a\n\n$$\nx\n===\n# y\n$$\n\nb\n") == ["paragraph", "other", "paragraph"]
    assert kinds("a\n$$\nx\n===\n$$\n") == ["paragraph", "other"]
    assert kinds("$$ x $$\n") == ["paragraph"]
    assert "heading" in kinds("$$\nx\n===\n")


def test_paragraphs_are_found_at_any_depth() -> None:
    text = "# T\n\nOne\ntwo\n\n- three\n  - four\n\n> five\n\n```\nsix\n```\n"
    assert [(p.line, p.text) for p in blocks.paragraphs(text)] == [
        (2, "One\ntwo"),
        (5, "three"),
        (6, "four"),
        (8, "five"),
    ]


def test_links_are_read_outside_of_code_only() -> None:
    text = "[a](x%20y.md) `[b](z.md)`\n\n![i](p.png) [c][r]\n\n```\n[d](d.md)\n```\n\n[r]: r.md\n"
    assert [(link.line, link.target) for link in blocks.links(text)] == [
        (0, "x y.md"),
        (2, "p.png"),
        (2, "r.md"),
    ]


def test_lines_are_split_only_where_markdown_splits_them() -> None:
    assert blocks.rows("a\u2028b\x0bc\r\nd\re\nf") == ["a\u2028b\x0bc\r\n", "d\r", "e\n", "f"]
    assert blocks.rows("") == []
    assert blocks.newline_of("a\r\nb") == "\r\n"


@settings(max_examples=150, deadline=None)
@given(markdown_texts)
def test_blocks_cover_every_line_once_and_verbatim(text: str) -> None:
    lines = blocks.rows(text)
    covered: list[int] = []
    for block in blocks.blocks(text):
        assert isinstance(block, Block)
        assert block.start < block.end <= len(lines)
        assert "".join(lines[block.start : block.end]).rstrip("\r\n") == block.text
        covered.extend(range(block.start, block.end))
    assert covered == sorted(set(covered))
    assert all(blocks.is_blank(lines[n]) for n in set(range(len(lines))) - set(covered))
