"""Reports of a book whose titles are formulas, HTML and Markdown: they are shown as they stand, in every format."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from workspaces import BOOK, OUTLINE, expand, small

from expand.redaction import escaped
from expand.reports.formats import as_csv, render
from expand.reports.report_model import Column, Notes, Report, Table, columns, facts

MADE = datetime(2026, 1, 1, tzinfo=UTC)
EVIL = "<script>alert(1)</script> | \"onload='x' & <img src=x onerror=y> `a` **b** # c"


def report(text: str, *notes: str) -> Report:
    return Report(
        id="status",
        title=text,
        language="en",
        made=MADE,
        blocks=(
            facts("figures", (Column("model", "text"), text), (Column("remaining"), -5)),
            Table("by_chapter", columns("chapter", "added", "cost"), ((text, -12, Decimal("-0.50")),)),
            Notes("risks", notes),
        ),
    )


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r=", "\n -", " =", "＝", "＋", "－", "＠"])
def test_a_text_that_begins_like_a_formula_is_quoted_in_csv(start: str) -> None:
    rows = list(csv.reader(io.StringIO(as_csv(report(f"{start}HYPERLINK(1)", f"{start}1"))), strict=True))
    cells = {row[2]: row[3] for row in rows}
    shown = re.sub("[\r\n]", " ", start)
    assert cells["model"] == cells["chapter"] == f"'{shown}HYPERLINK(1)"
    assert cells["note"] == f"'{shown}1"


@pytest.mark.parametrize("text", ["A=1", "1+1", "'=1", "", "（-）", "a@b"])
def test_other_texts_are_not(text: str) -> None:
    assert f",{text}\n" in as_csv(report(text))


def test_figures_below_zero_stay_figures() -> None:
    lines = as_csv(report("-5")).splitlines()
    assert "figures,,remaining,-5" in lines
    assert "by_chapter,1,added,-12" in lines
    assert "by_chapter,1,cost,-0.50" in lines
    assert "figures,,model,'-5" in lines  # a model of that name


@pytest.mark.parametrize(
    "text", [EVIL, "``` <img src=x onerror=y>`", "`` <img>", "a`<b>`", "&lt;b&gt;", "[x](javascript:y)", "\\<b>", "# x"]
)
def test_markdown_and_html_show_a_text_as_it_stands(text: str) -> None:
    markdown = render(report(text, text, f"chapter {text}"), "markdown")
    html = render(report(text, text, f"chapter {text}"), "html")
    rendered = blocks_as_html(markdown)
    for page in (rendered, html):
        body = page.partition("<body>")[2] or page
        assert not any(tag in body for tag in ("<script", "<img", "<b>", '<a href="javascript'))
    for line in markdown.splitlines():
        if line.startswith("|"):
            assert line.replace("\\|", "").count("|") in (3, 4), line


def blocks_as_html(markdown: str) -> str:
    return str(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))


def test_what_is_escaped_is_read_back_as_it_stood() -> None:
    special = "\\`*_[]<>|~#& and !(){}+-.=:\"'$^"
    inline = MarkdownIt("commonmark").parseInline(escaped(special))[0]
    assert "".join(token.content for token in inline.children or ()) == special
    assert escaped("a\n b\tc") == "a b c"


def test_every_report_of_a_book_with_such_titles(tmp_path: Path) -> None:
    place = small(tmp_path / "book")
    title = EVIL.replace('"', '\\"')
    (place / "outlines" / "book.yaml").write_text(
        BOOK.replace("{en: A small book, zh: 一本小书}", f'"{title}"').replace(
            "{en: Signals and pipes, zh: 信号与管道}", f'"{title}"'
        ),
        encoding="utf-8",
    )
    (place / "outlines" / "07.yaml").write_text(
        OUTLINE.replace("{en: Signal handling, zh: 信号处理}", f'"=1{title}"'), encoding="utf-8"
    )
    (place / "drafts").mkdir()
    (place / "drafts" / "07.md").write_text(f"# T\n\n## 1. One\n\n[{EVIL}](nowhere.md)\n\nTODO\n", encoding="utf-8")
    for command in (("status",), ("plan",), ("budget",)):
        html = expand(place, *command, "--format", "html").out
        assert "<script" not in html
        assert "<img" not in html
        assert '"onload=' not in html
        assert "<script" not in blocks_as_html(expand(place, *command, "--format", "markdown").out)
        for row in csv.reader(io.StringIO(expand(place, *command, "--format", "csv").out), strict=True):
            assert not row[3].startswith(("=", "+", "@"))
            assert not row[3].startswith("-") or Decimal(row[3]) < 0
    review = expand(place, "review", "07", "--format", "markdown")
    assert review.code in (0, 5)
    rendered = blocks_as_html(review.out)
    assert "<script" not in rendered
    assert "<img" not in rendered
