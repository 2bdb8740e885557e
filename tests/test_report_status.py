"""The status report, the plans and the budget of known books, through the command line."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_books import draft_text, filled
from workspaces import expand, shipped, small


@pytest.fixture
def book(tmp_path: Path) -> Path:
    return shipped(tmp_path / "book")


def test_the_shipped_book_reports_what_its_author_kept_by_hand_and_right(book: Path) -> None:
    shown = expand(book, "status", "--language", "zh", "--format", "markdown").out

    for row in (
        "| **合计** |  | **214** | **2,549** | **+2,335** | **2,750** | **92.7%** |  |",
        "| 01 | 高级进程管理 | 132 | 1,509 | +1,377 | 1,500 | 100.6% | book.yaml |",
        "| 02 | 安全与沙箱 | 82 | 1,040 | +958 | 1,250 | 83.2% | book.yaml |",
        "| 03 | 性能工程实践 | 75 | 75 | 1,000 | +925 | 7.5% | 高 | 1.5 小时 | 文档 |",
        "| 总额 | 1,000,000（100 万） |",
        "| 已用 | 165,000（16.5 万） |",
        "| 行数 | 2,549 | 3,000 | 5,549 | 45.9% |",
        "| 4 | 第四层：高级主题 | 2,781 | 5,549 | 7,500 | 37.1% | 74.0% |",
        "| 3 | 第三层：参考 | 5,048 | 5,048 | 6,233 | 81.0% | 81.0% |",
    ):
        assert row in shown.splitlines()
    assert "**232** | **232** | **3,000** | **+2,768**" in shown
    assert "**21,305** | **24,073** | **25,609** | **83.2%** | **94.0%**" in shown
    assert {"118.3%", "110.7%"} <= set(shown.split())
    assert shown.count("1,025") == 1
    assert "章节 03：各小节合计 1,025 行" in shown


def test_the_plans_of_the_shipped_book(book: Path) -> None:
    plans = {row["plan"]: row for row in expand(book, "plan", "--json").json["plans"]}

    assert list(plans) == ["full", "lean", "none"]
    assert plans["full"]["lines_after"] == 5549
    assert plans["full"]["added"] == 2768
    assert (plans["full"]["tier_rate"], plans["full"]["book_rate"]) == (74.0, 94.0)
    assert plans["full"]["book_lines"] == 24073
    assert plans["full"]["hours"] == 4.5
    assert (plans["lean"]["lines_after"], plans["lean"]["tier_rate"]) == (3899, 52.0)
    assert (plans["none"]["added"], plans["none"]["left"]) == (0, 835_000)


def test_a_plan_for_some_chapters_leaves_the_others_alone(book: Path) -> None:
    shown = expand(book, "plan", "03", "--json").json

    assert {row["id"] for row in shown["plan_chapters"]} == {"03"}
    assert shown["plans"][0]["added"] == 925
    wrong = expand(book, "plan", "33")
    assert (wrong.code, wrong.out) == (2, "")
    assert "has no chapter '33'; did you mean 03?" in wrong.err
    assert expand(book, "plan", "zzz").err.endswith("'zzz'; known are: 01, 02, 03, 04, 05\n")


def test_says_where_lines_were_counted(book: Path) -> None:
    (book / "chapters" / "04_testing_and_benchmarking.md").write_text("x\n" * 90 + "end")

    shown = expand(book, "status", "--json").json

    assert [row["lines"] for row in shown["pending_chapters"]] == [75, 91, 74]
    assert [row["before"] for row in shown["pending_chapters"]] == [75, 83, 74]
    (book / "chapters" / "04_testing_and_benchmarking.md").unlink()
    gone = expand(book, "status", "--json").json
    assert gone["pending_chapters"][1]["source"] == "record"
    assert gone["pending_chapters"][1]["lines"] == 83


def test_a_document_that_reached_its_target_is_finished(book: Path) -> None:
    (book / "chapters" / "04_testing_and_benchmarking.md").write_text("x\n" * 950)

    shown = expand(book, "status", "--json").json

    row = next(row for row in shown["finished_chapters"] if row["id"] == "04")
    assert (row["before"], row["lines"], row["added"], row["rate"]) == (83, 950, 867, 95.0)
    assert shown["totals"]["pending_chapters"]["lines"] == 149


def test_a_draft_is_held_against_its_contract(tmp_path: Path) -> None:
    place = filled(tmp_path / "book")

    shown = expand(place, "status", "--json").json

    (row,) = shown["drafts"]
    assert (row["id"], row["asked_lines"], row["draft_lines"]) == ("07", 100, 83)
    assert row["contract"] == "short"
    assert row["warnings"] > 0
    assert shown["todo"][0].startswith("Review the draft of 07")
    assert shown["todo"][1].startswith("Write an outline for 08")
    assert "1 attempt with an unknown outcome" in shown["todo"][2]


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_update_changes_nothing_but_what_is_between_the_markers(book: Path, ending: str) -> None:
    newline = "\r\n" if ending == "\r\n" else "\n"
    before = f"\ufeff# Chapters{newline}{newline}  odd  {newline}<!-- expand status begin -->"
    after = f"<!-- expand status end -->{newline}{newline}tail\t{newline}end{ending}"
    path = book / "chapters" / "README.md"
    path.write_bytes((before + "\nold figures\n" + after).encode())

    ran = expand(book, "status", "--update", str(path), "--language", "zh")

    text = path.read_bytes().decode()
    assert (ran.code, ran.out) == (0, "")
    assert text.startswith(before)
    assert text.endswith(after)
    inside = text[len(before) : -len(after)]
    assert "old figures" not in inside
    assert "| **合计** |  | **214** | **2,549** |" in inside
    assert ("\r\n" in inside) == (newline == "\r\n")
    stamp = path.stat().st_mtime_ns
    expand(book, "status", "--update", str(path), "--language", "zh")
    assert path.read_bytes().decode() == text
    assert path.stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing\n", "<!-- expand status begin --> is missing; put"),
        ("<!-- expand status begin -->", "<!-- expand status end --> is missing"),
        (
            "<!-- expand status begin --><!-- expand status begin --><!-- expand status end -->",
            "stands there 2 times",
        ),
        (
            "<!-- expand status end -->\n<!-- expand status begin -->\n",
            "stands before <!-- expand status begin -->; swap them",
        ),
    ],
)
def test_update_refuses_a_document_without_its_markers(book: Path, text: str, message: str) -> None:
    path = book / "page.md"
    path.write_text(text)

    ran = expand(book, "status", "--update", str(path))

    assert ran.code == 2
    assert message in ran.err
    assert "page.md" in ran.err
    assert path.read_text() == text


def test_update_names_a_file_that_is_not_there(book: Path) -> None:
    ran = expand(book, "status", "--update", str(book / "none.md"))

    assert (ran.code, "there is no such file" in ran.err) == (2, True)


def test_output_goes_to_a_file_and_wrong_choices_are_named(book: Path, tmp_path: Path) -> None:
    path = tmp_path / "out" / "status.csv"

    ran = expand(book, "status", "--format", "csv", "-o", str(path))

    assert (ran.code, ran.out) == (0, "")
    assert path.read_text().startswith("table,row,figure,value\n")
    form = expand(book, "budget", "--format", "xml")
    assert (form.code, form.out) == (2, "")
    assert "'xml'; known are: table, json, markdown, csv, html" in form.err
    language = expand(book, "budget", "--language", "fr")
    assert (language.code, language.out) == (2, "")
    assert "no language 'fr'; give one of: en, zh" in language.err


class Page(HTMLParser):
    """What a page is made of: open tags that were never closed, and every address in it."""

    VOID = frozenset({"meta", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        if tag not in self.VOID:
            self.open.append(tag)
        values = dict(attrs)
        self.addresses += [v for k, v in values.items() if v and k in {"href", "src", "xlink:href", "data"}]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_needs_nothing_from_elsewhere_and_no_script(tmp_path: Path, language: str) -> None:
    place = filled(tmp_path / "book")

    text = expand(place, "status", "--format", "html", "--language", language).out

    page = Page()
    page.feed(text)
    assert page.open == []
    assert "script" not in page.tags
    assert all(address.startswith("#") or address == "data:," for address in page.addresses)
    assert not re.search(r"url\(|@import|\bon\w+=|//(?!www\.w3\.org)", text)
    assert text.count('style="--share: ') > 5
    assert page.tags["table"] > 5
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert "Threads <b>" not in text


def test_a_book_of_sixty_chapters_makes_a_page_below_two_megabytes(tmp_path: Path) -> None:
    place = small(tmp_path / "book")
    outline = (place / "outlines" / "07.yaml").read_text()
    draft = draft_text()
    for number in range(10, 69):
        path = place / "outlines" / f"{number}.yaml"
        path.write_text(outline.replace("id: 07", f"id: {number}"))
        (place / "drafts").mkdir(exist_ok=True)
        (place / "drafts" / f"{number}.md").write_text(draft)

    ran = expand(place, "status", "--format", "html")

    assert ran.code == 0
    assert len(ran.out.encode()) < 2_000_000
    assert ran.out.count('<th scope="row">68</th>') == 2
