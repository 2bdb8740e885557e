"""Outlines from documents: plans, SUMMARY.md, headings; and how they are written."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from expand.cli import app
from expand.doctor import shell_command
from expand.doctor.outline_check import check_outlines
from expand.document.site import SummaryEntry, read_summary
from expand.errors import InputError, InputErrors
from expand.importers import outline_yaml
from expand.importers.import_run import ImportRequest, ImportResult, read_document, write_outlines
from expand.importers.lengths import Length, Unit, bare_length, hours_in, lengths_in, priority_in, read_line
from expand.importers.outline_yaml import OutlineLanguage, updated_outline
from expand.importers.plan_document import read_plan
from expand.importers.proposal import (
    Proposal,
    ProposedSection,
    id_of_file,
    read_headings,
    settled,
    tidy,
    with_ids,
)
from expand.importers.text_patterns import chapter_name, file_id, items_of, plain, title_of_file
from expand.outline import Outline
from expand.outline.reading import read_outline
from expand.scaffold import create_workspace
from expand.workspace import Workspace

REPOSITORY = Path(__file__).parents[1]
PLANS = Path(__file__).parent / "plans"
CHAPTERS = ("03", "04", "05")
ZH = OutlineLanguage(code="zh", several=True)
PLAIN = OutlineLanguage(code="en", several=False)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """The shipped book and chapters, without outlines."""
    (tmp_path / "outlines").mkdir()
    (tmp_path / "expand.toml").write_text("")
    shutil.copy(REPOSITORY / "outlines" / "book.yaml", tmp_path / "outlines")
    shutil.copytree(REPOSITORY / "chapters", tmp_path / "chapters")
    return Workspace(root=tmp_path)


def import_document(workspace: Workspace, document: Path, request: ImportRequest | None = None) -> ImportResult:
    request = request or ImportRequest()
    return write_outlines(read_document(workspace, document, request), request)


def read_as(workspace: Workspace, document: Path) -> str:
    return read_document(workspace, document, ImportRequest()).kind


def shipped(chapter: str) -> Outline:
    path = REPOSITORY / "outlines" / f"{chapter}.yaml"
    return read_outline(path, root=REPOSITORY, chapter_id=chapter)


def said(outline: Outline, language: str) -> object:
    """All that a plan states of a chapter, in one language."""
    return (
        outline.id,
        outline.title.say(language),
        outline.source,
        outline.stated_lines,
        outline.hours,
        outline.priority,
        [(s.number, s.title.say(language), s.lines, [t.say(language) for t in s.topics]) for s in outline.sections],
    )


def copy_shipped(workspace: Workspace, *chapters: str) -> None:
    for chapter in chapters:
        shutil.copy(REPOSITORY / "outlines" / f"{chapter}.yaml", workspace.root / "outlines")


@pytest.mark.parametrize(("plan", "language"), [("plan_zh.md", "zh"), ("plan_en.md", "en")])
def test_a_plan_becomes_the_shipped_outlines(workspace: Workspace, plan: str, language: str) -> None:
    result = import_document(workspace, PLANS / plan)
    assert read_as(workspace, PLANS / plan) == "plan"
    assert [(one.id, one.state) for one in result.outlines] == [(c, "new") for c in CHAPTERS]
    assert result.added_to_book == ()
    for chapter in CHAPTERS:
        outline = workspace.outline(chapter)
        assert said(outline, language) == said(shipped(chapter), language)
        assert set(outline.title.by_language) == {language}


def test_a_plan_is_imported_beside_an_outline_that_is_broken(workspace: Workspace) -> None:
    workspace.outline_path("66").write_text("id: 66\nsections: 7\n")
    assert len(import_document(workspace, PLANS / "plan_en.md").outlines) == 3


def test_finished_chapters_of_a_plan_are_left_alone_and_named(workspace: Workspace) -> None:
    reading = read_document(workspace, PLANS / "plan_zh.md", ImportRequest())
    assert reading.plan.unplanned == {"01": "高级进程管理", "02": "安全与沙箱"}


@pytest.mark.parametrize("plan", ["plan_zh.md", "plan_en.md"])
def test_shipped_outlines_say_what_the_plan_says(workspace: Workspace, plan: str) -> None:
    copy_shipped(workspace, *CHAPTERS)
    result = import_document(workspace, PLANS / plan)
    assert {one.state for one in result.outlines} == {"same"}
    for chapter in CHAPTERS:
        former = (REPOSITORY / "outlines" / f"{chapter}.yaml").read_bytes()
        assert workspace.outline_path(chapter).read_bytes() == former


def test_an_outline_that_differs_is_not_touched_without_force(workspace: Workspace, tmp_path: Path) -> None:
    copy_shipped(workspace, "03")
    before = workspace.outline_path("03").read_bytes()
    plan = tmp_path / "plan.md"
    plan.write_text((PLANS / "plan_zh.md").read_text().replace("(250行)", "(260行)", 1))
    with pytest.raises(InputErrors, match=r"outlines/03.yaml: the outline exists.*--force"):
        import_document(workspace, plan)
    assert workspace.outline_path("03").read_bytes() == before
    assert workspace.chapter_ids() == ("03",), "nothing else was written either"
    import_document(workspace, plan, ImportRequest(force=True))
    after = workspace.outline_path("03").read_bytes()
    assert after == before.replace(b"lines: 250", b"lines: 260", 1)


def test_windows_line_ends_stay(workspace: Workspace, tmp_path: Path) -> None:
    text = (REPOSITORY / "outlines" / "03.yaml").read_bytes().replace(b"\n", b"\r\n")
    workspace.outline_path("03").write_bytes(text)
    book = workspace.book_path.read_bytes().replace(b"\n", b"\r\n")
    workspace.book_path.write_bytes(book)
    plan = tmp_path / "plan.md"
    plan.write_text(
        (PLANS / "plan_zh.md").read_text().replace("(250行)", "(260行)", 1) + "\n### 第9篇：管道\n\n1. 读 (90行)\n"
    )
    import_document(workspace, plan, ImportRequest(force=True))
    after = workspace.outline_path("03").read_bytes()
    assert after == text.replace(b"lines: 250", b"lines: 260", 1)
    booked = workspace.book_path.read_bytes()
    assert booked.startswith(book)
    assert booked.count(b"\n") == booked.count(b"\r\n")


def test_a_dry_run_writes_nothing(workspace: Workspace) -> None:
    result = import_document(workspace, PLANS / "plan_en.md", ImportRequest(dry_run=True))
    assert [one.lines for one in result.outlines] == [1025, 1000, 1000]
    assert workspace.chapter_ids() == ()


def test_only_the_chapter_asked_for(workspace: Workspace) -> None:
    import_document(workspace, PLANS / "plan_zh.md", ImportRequest(id="04"))
    assert workspace.chapter_ids() == ("04",)
    with pytest.raises(InputError, match=r"chapter '06' is not planned here; planned are: 03, 04"):
        import_document(workspace, PLANS / "plan_zh.md", ImportRequest(id="06"))


def test_the_brief_one_line_form(workspace: Workspace, tmp_path: Path) -> None:
    plan = tmp_path / "p.md"
    plan.write_text(
        "### 第十二篇：管道\n\n**目标**：300行\n\n"
        "1、**基础**（约100行） - 匿名管道；命名管道（FIFO）\n"
        "2、**工具** (200行)：lsof, strace（调用, 参数）\n"
    )
    (proposal,) = read_plan(plan.read_text()).chapters
    assert (proposal.id, proposal.title, proposal.target) == ("12", "管道", Length(300, "lines"))
    assert proposal.sections == (
        ProposedSection(title="基础", length=Length(100, "lines"), topics=("匿名管道", "命名管道（FIFO）")),
        ProposedSection(title="工具", length=Length(200, "lines"), topics=("lsof", "strace（调用, 参数）")),
    )
    result = import_document(workspace, plan)
    assert result.added_to_book == ("12",)
    book = workspace.book()
    assert [c.id for c in book.chapters][-1] == "12"
    assert book.chapters[-1].target_lines == 300
    former = (REPOSITORY / "outlines" / "book.yaml").read_text()
    assert workspace.book_path.read_text().startswith(former.rstrip("\n"))


def test_a_target_is_shared_by_sections_that_state_no_lines() -> None:
    plan = "## Chapter 7: Signals\n\nTarget: 400 lines\n\n1. Basics (100 lines)\n2. Masks\n   - a\n   - b\n3. Queues\n"
    (proposal,) = read_plan(plan).chapters
    lines = [s.length and s.length.amount for s in settled(proposal, lines=9_999).sections]
    assert lines == [100, 225, 75], "300 are left, by topics and title: 3 to 1"
    assert [s.length and s.length.amount for s in settled(proposal, lines=1).sections] == lines


def test_weak_headings_are_chapters_only_where_no_strong_ones_are() -> None:
    assert [p.id for p in read_plan("## 3. Pipes\n\n- Basics (90 lines)\n  - FIFOs\n").chapters] == ["03"]
    strong = "## 1. Plans\n\n### Chapter 3: Pipes\n\n- Basics: 90 lines\n"
    assert [p.id for p in read_plan(strong).chapters] == ["03"]
    outer = "## 3. Pipes\n\n### 1. Basics (90 lines)\n\n- x (20 lines)\n"
    (only,) = read_plan(outer).chapters
    assert [(s.title, str(s.length)) for s in only.sections] == [("Basics", "90 lines")]


def test_a_part_that_holds_chapters_is_not_one() -> None:
    plan = "## 第4章 总览\n\n### 第3篇：管道\n\n1. 基础 (90行)\n\n### 第5篇：信号\n\n1. 基础 (80行)\n"
    assert [(p.id, p.title) for p in read_plan(plan).chapters] == [("03", "管道"), ("05", "信号")]


def test_deeper_headings_without_lines_are_topics_of_sections_with_them() -> None:
    plan = (
        "# Chapter 2: Pipes (200 lines)\n\n## Basics (150 lines)\n\n### Reading\n\n### Writing\n\n## End (50 lines)\n"
    )
    (proposal,) = read_plan(plan).chapters
    assert proposal.title == "Pipes"
    assert proposal.target == Length(200, "lines")
    assert [(s.title, s.topics) for s in proposal.sections] == [
        ("Basics", ("Reading", "Writing")),
        ("End", ()),
    ]


def test_labels_state_what_the_tables_do_not() -> None:
    plan = (
        "### Chapter 1: A\n\n- **Priority**: low\n- **Time**: 2h\n- Source: `docs/01_a.md`\n\n"
        "1. B (50 lines)\n\n### Chapter 2: C\n\nTime: 30 min\nPriority: ?\n\n1. D (50 lines)\n"
    )
    one, two = read_plan(plan).chapters
    assert (one.priority, one.hours, one.file) == ("low", 2.0, "docs/01_a.md")
    assert (two.priority, two.hours, two.file) == (None, 0.5, None)


def test_tables_name_chapters_by_number_or_title() -> None:
    plan = (
        "| # | Chapter | Target | Hours |\n|---|---|---|---|\n| 1 | A | 70 | 1 h |\n"
        "\n| Chapter | Priority |\n|---|---|\n| C | high |\n| short |\n\n"
        "### Chapter 1: A\n\n1. B (50 lines)\n\n### Chapter 2: C\n\n1. D (50 lines)\n"
    )
    one, two = read_plan(plan).chapters
    assert (one.target, one.hours, two.priority) == (Length(70, "lines"), 1.0, "high")


def test_code_in_a_plan_is_no_list() -> None:
    plan = "### Chapter 1: A\n\n1. Real (50 lines)\n\n```text\n1. Not (70 lines)\n```\n"
    assert [s.title for s in read_plan(plan).chapters[0].sections] == ["Real"]


@pytest.mark.parametrize("text", ["", "# Notes\n\nNothing.\n", "## Chapter 1: A\n\n- no lines\n"])
def test_what_is_no_plan(text: str) -> None:
    assert read_plan(text).chapters == ()


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("(250行)", "250 lines"), ("约 1,200 行", "1,200 lines"), ("1.5k lines", "1,500 lines"),
        ("800-1,000行", "900 lines"), ("2千行", "2,000 lines"), ("1-2k lines", "1,500 lines"), ("~80 LOC", "80 lines"),
        ("(1.1-1.4)", ""), ("0 lines", ""), ("three lines", "3 lines"), ("underlines 5", ""), ("5 linesmen", ""),
        ("1 200 words", "1,200 words"), ("2 pages - 3 pages", "2.5 pages"), ("half a page", "0.5 pages"),
        ("½ page", "0.5 pages"), ("a page", "1 page"), ("2pp", "2 pages"), ("a 2-page intro", "2 pages"),
        ("12 to 15 minutes", "13.5 minutes"), ("1.5h", "90 minutes"), ("20'", "20 minutes"), ("15 %", "15 percent"),
        ("６００～８００字", "700 characters"), ("约１．５千字", "1,500 characters"),
        ("300字到400字", "350 characters"),
        ("一百五十行", "150 lines"), ("一万二千字", "12,000 characters"), ("三千二字", "3,200 characters"),
        ("二十页", "20 pages"), ("半页", "0.5 pages"), ("两三页", "2.5 pages"), ("第3页", ""), ("前10行", ""),
        ("3字段", ""), ("2页面", ""), ("Target: 1,000 lines (75 lines now)", "1,000 lines 75 lines"),
        ("现有75行，目标1,000行", "1,000 lines"), ("currently 75 lines, 1,000 lines wanted", "1,000 lines"),
    ],
)  # fmt: skip
def test_lengths(text: str, lengths: str) -> None:
    assert " ".join(map(str, lengths_in(text))) == lengths


@pytest.mark.parametrize(
    ("text", "title", "length", "rest"),
    [
        ("Tools (250 lines) - perf", "Tools", "250 lines", "perf"),
        ("Tools – about 250 lines", "Tools", "250 lines", ""),
        ("Tools (fast) [80行]", "Tools (fast)", "80 lines", ""),
        ("Tools (fast)", "Tools (fast)", "None", ""),
        ("Tools 250 lines: a, b", "Tools", "250 lines", "a, b"),
        ("工具 (200行)：lsof, strace（调用, 参数）", "工具", "200 lines", "lsof, strace（调用, 参数）"),
        ("400 words: Basics", "Basics", "400 words", ""),
        ("[300字] 基础", "基础", "300 characters", ""),
        ("2 pages on pipes", "pipes", "2 pages", ""),
        ("Basics (2 pages, with a picture)", "Basics (with a picture)", "2 pages", ""),
        ("Basics (one hundred and fifty lines)", "Basics", "150 lines", ""),
        ("Locks: twenty-five lines", "Locks", "25 lines", ""),
        ("Traces, two thousand five hundred words", "Traces", "2,500 words", ""),
        ("Queues (one hundred to two hundred lines)", "Queues", "150 lines", ""),
        ("Traces, two-three pages", "Traces", "2.5 pages", ""),
        ("One Hundred Years of Solitude", "One Hundred Years of Solitude", "None", ""),
        ("Basics (2 pages; caches, proxies)", "Basics", "2 pages", "caches, proxies"),
        ("Basics (with a picture, 2 pages)", "Basics (with a picture)", "2 pages", ""),
        ("Tools (20 min, 250 lines)", "Tools", "250 lines", ""),
        ("案例“双十一”，１０００字", "案例“双十一”", "1,000 characters", ""),
        ("基础150行", "基础", "150 lines", ""),
        ("Basics 150 lines", "Basics", "150 lines", ""),
        ("Print the last 10 lines", "Print the last 10 lines", "None", ""),
        ("Reading 5 lines at a time", "Reading 5 lines at a time", "None", ""),
        ("Head (first 10 lines)", "Head (first 10 lines)", "None", ""),
        ("Parsing 10 lines (2 pages)", "Parsing 10 lines", "2 pages", ""),
    ],
)
def test_the_length_stays_out_of_the_title(text: str, title: str, length: str, rest: str) -> None:
    found = read_line(text)
    assert (found.title, str(found.length), found.rest) == (title, length, rest)


@pytest.mark.parametrize(
    ("cell", "unit", "length"),
    [
        ("**1,000**", "lines", "1,000 lines"), ("1k", "words", "1,000 words"), ("-", "lines", "None"),
        ("3～4页", "lines", "3.5 pages"), ("~500", "characters", "500 characters"), ("版本3", "lines", "None"),
    ],
)  # fmt: skip
def test_cells(cell: str, unit: Unit, length: str) -> None:
    assert str(bare_length(cell, unit)) == length


def test_other_figures() -> None:
    assert hours_in("约1.5h") == 1.5
    assert hours_in("2 个小时") == 2.0
    assert hours_in("90 minutes") == 1.5
    assert hours_in("soon") is None
    assert priority_in("**高**") == "high"
    assert priority_in("P2, later") == "medium"
    assert priority_in("?") is None


WORDED_PLANS = sorted(one.stem for one in PLANS.glob("[0-9]*.md"))


def understood(plan: str) -> list[dict[str, object]]:
    return [
        {
            "title": one.title,
            "length": str(one.target).replace(",", "") if one.target else None,
            "hours": one.hours,
            "examples": one.examples,
            "audience": one.audience,
            "sections": [
                [s.title, str(s.length).replace(",", "") if s.length else None, list(s.topics)]
                + ([s.examples] if s.examples is not None else [])
                for s in one.sections
            ],
        }
        for one in read_plan((PLANS / f"{plan}.md").read_text()).chapters
    ]


@pytest.mark.parametrize("plan", WORDED_PLANS)
def test_plans_as_people_write_them(plan: str) -> None:
    """Each file has what a person reads in it beside it."""
    wanted = json.loads((PLANS / f"{plan}.json").read_text())
    unsaid = dict.fromkeys(("length", "hours", "examples", "audience"))
    meant = [unsaid | {key: one[key] for key in one if key != "id"} for one in wanted]
    assert understood(plan) == meant
    assert len(WORDED_PLANS) == 48


@pytest.mark.parametrize("plan", WORDED_PLANS)
def test_no_plan_becomes_a_chapter_by_itself(workspace: Workspace, plan: str) -> None:
    document = workspace.root / "chapters" / f"{plan}.md"
    shutil.copy(PLANS / f"{plan}.md", document)
    request = ImportRequest(per={"pages": Length(300, "words"), "minutes": Length(130, "words")})
    result = import_document(workspace, document, request)
    assert read_as(workspace, document) == "plan"
    wanted = json.loads((PLANS / f"{plan}.json").read_text())
    for one, meant in zip(result.outlines, wanted, strict=True):
        assert one.source != f"chapters/{plan}.md"
        assert one.sections == len(meant["sections"])
        assert one.id == meant["id"] if meant["id"].isdecimal() else "06" <= one.id < "20", "a number is free"


@pytest.mark.parametrize(
    ("text", "chapter", "title", "file"),
    [
        ("第3篇：03_性能.md", "03", "性能", "03_性能.md"),
        ("第二十一章 管道", "21", "管道", None),
        ("Chapter 3: Pipes (`07_pipes.md`)", "07", "Pipes", "07_pipes.md"),
        ("📋 3. Pipes", "03", "Pipes", None),
        ("[Pipes](docs/pipes.md)", "pipes", "Pipes", "docs/pipes.md"),
        ("12 Pipes", "12", "Pipes", None),
        ("《第15章 管道》扩写计划", "15", "管道 扩写计划", None),
        ("guide/index.md", "index", "Guide", "guide/index.md"),
    ],
)
def test_names_of_chapters(text: str, chapter: str, title: str, file: str | None) -> None:
    name = chapter_name(text)
    assert name is not None
    assert (name.id, name.title, name.file) == (chapter, title, file)


def test_what_names_no_chapter() -> None:
    assert chapter_name("Pipes") is None
    assert chapter_name("") is None
    assert title_of_file("03_process-pools.md") == "Process pools"
    assert title_of_file("README.md") == "README"


def test_items_as_people_type_them() -> None:
    lines = [
        "1. One", "   wrapped on", "   - [ ] two", "\t* three", "（4） four", "五、 five", "text",
        "• six", "1.1 seven", "- eight", "2.1.3 nine", "🔹 ten", "10 eleven (3 pages)", "11 XI (1 page)",
        "2️⃣ twelve", "③ 13",
    ]  # fmt: skip
    assert [(i.text, i.depth, i.number, i.more) for i in items_of(lines) if i.depth >= 0] == [
        ("One", 0, "1.", "wrapped on"), ("two", 1, "", ""), ("three", 2, "", ""),
        ("four", 1, "(4)", ""), ("five", 0, "五、", ""), ("six", 0, "", ""), ("seven", 0, "1.1", ""),
        ("eight", 1, "", ""), ("nine", 1, "2.1.3", ""), ("ten", 2, "", ""),
        ("eleven (3 pages)", 0, "10", ""), ("XI (1 page)", 0, "11", ""),
        ("twelve", 0, "2️⃣", ""), ("13", 1, "③", ""),
    ]  # fmt: skip
    assert [item.depth for item in items_of(["10 men (3 pages)", "10 women"])] == [-1, -1], (
        "one alone may be a sentence"
    )
    assert plain("**a** [b](c) *d* `e_f` g_h_i") == "a b d `e_f` g_h_i"
    assert plain("**`__init__`** and ``a`_b_`` and _c_") == "`__init__` and ``a`_b_`` and c"
    assert plain("\0 [a](`b`) `c`") == "\0 a `c`"


def test_proposals_become_what_an_outline_can_hold() -> None:
    proposal = Proposal(
        id="1",
        title=" \t ",
        sections=(
            ProposedSection(title="A\nB", topics=("x", "X", "", "y\x07")),
            ProposedSection(title="a b"),
            ProposedSection(title=""),
        ),
    )
    done = tidy(proposal)
    assert done.title == "1"
    assert [s.title for s in done.sections] == ["A B", "a b (2)", "3"]
    assert done.sections[0].topics == ("x", "y")
    assert tidy(replace(proposal, sections=())).sections[0].title == "1"
    assert [file_id(t) for t in ("Book", "a b/c", "..", "管道")] == [
        "Book-chapter", "a-b-c", "chapter", "管道",
    ]  # fmt: skip


def test_a_document_s_headings() -> None:
    text = (
        "---\ntitle: Not this\n---\n# Chapter 3: Pipes\n\n## Contents\n\n## 1. Reading {#read}\n\n"
        "### 1.1 Blocks\n\n### Polling\n\n#### deeper\n\n```md\n## no heading\n```\n\n"
        "## Writing (120 lines)\n\nText.\n"
    )
    proposal = read_headings(text, file="docs/03_pipes.md")
    assert (proposal.id, proposal.title) == ("03", "Pipes")
    assert proposal.sections == (
        ProposedSection(title="Reading", topics=("Blocks", "Polling"), present=12),
        ProposedSection(title="Writing", length=Length(120, "lines"), present=4),
    )


def test_documents_without_one_title() -> None:
    front = read_headings("---\ntitle: 'Pipes'\n---\n\n## A\n\n## B\n", file="x.md")
    assert (front.title, [s.title for s in front.sections]) == ("Pipes", ["A", "B"])
    several = read_headings("# A\n\n## B\n\n# C\n", file="guide/index.md")
    assert (several.id, several.title) == ("guide", "Guide")
    assert [(s.title, s.topics) for s in several.sections] == [("A", ("B",)), ("C", ())]
    empty = read_headings("", file="x.md")
    assert [s.title for s in empty.sections] == ["X"]
    assert id_of_file("a/README.md") == "a"


def test_sections_ask_for_no_less_than_they_have() -> None:
    text = "# T\n\n## A\n" + "".join(f"line {n}\n" for n in range(401)) + "\n## B\n"
    proposal = settled(read_headings(text, file="t.md"), lines=600)
    assert [str(s.length) for s in proposal.sections] == ["405 lines", "195 lines"]


def test_summary_and_ids() -> None:
    text = (
        "# Summary\n\n[Preface](preface.md)\n\n- Part\n- [One](01_one.md)\n"
        "  - [Deep](a/deep.md#part)\n"
        "- [Two \\[x\\]](<a b.md>)\n- [Draft]()\n- [Out](https://example.org/x.md)\n"
        "- [Again](01_one.md)\n- [Image](x.png)\n- []()\n\n```md\n- [Code](code.md)\n```\n"
    )
    entries = read_summary(text)
    assert [(e.title, e.file) for e in entries] == [
        ("Preface", "preface.md"), ("One", "01_one.md"), ("Deep", "a/deep.md"),
        ("Two [x]", "a b.md"), ("Draft", None),
    ]  # fmt: skip
    assert [chapter for chapter, _ in with_ids(entries)] == ["preface", "01_one", "deep", "a-b", "draft"]
    numbered = [SummaryEntry(title="A", file="01_a.md"), SummaryEntry(title="B", file="s/02-b.md")]
    assert [chapter for chapter, _ in with_ids(numbered)] == ["01", "02"]
    same = [SummaryEntry(title="A", file="a/x.md"), SummaryEntry(title="B", file="b/x.md"),
            SummaryEntry(title="X", file=None), SummaryEntry(title="Y", file="a-x.md")]  # fmt: skip
    assert [chapter for chapter, _ in with_ids(same)] == ["a-x", "b-x", "x", "a-x-2"]


def test_importing_a_summary(workspace: Workspace) -> None:
    source = workspace.root / "src"
    source.mkdir()
    (source / "SUMMARY.md").write_text("- [Pipes](pipes.md)\n- [Signals](signals.md)\n")
    (source / "pipes.md").write_text("# Something\n\n## Reading\n\n## Writing\n")
    import_document(workspace, source / "SUMMARY.md", ImportRequest(lines=300))
    assert read_as(workspace, source / "SUMMARY.md") == "summary"
    pipes, signals = workspace.outline("pipes"), workspace.outline("signals")
    assert (pipes.title.say("en"), pipes.source) == ("Pipes", "src/pipes.md")
    assert [(s.title.say("en"), s.lines) for s in pipes.sections] == [
        ("Reading", 150), ("Writing", 150),
    ]  # fmt: skip
    assert [(s.title.say("en"), s.lines) for s in signals.sections] == [("Signals", 300)]
    assert [c.id for c in workspace.book().chapters][-2:] == ["pipes", "signals"]
    again = import_document(workspace, source / "SUMMARY.md", ImportRequest(lines=900))
    assert {one.state for one in again.outlines} == {"same"}, "shares are not stated lines"


def test_importing_a_document_of_the_workspace_keeps_its_id(workspace: Workspace) -> None:
    document = workspace.root / "chapters" / "03_performance_engineering.md"
    result = import_document(workspace, document)
    assert read_as(workspace, document) == "headings"
    outline = workspace.outline("03")
    assert outline.source == "chapters/03_performance_engineering.md"
    assert outline.sections[0].title.say("en") == "Zero copy with splice"
    assert result.added_to_book == ()


def test_importing_a_document_from_elsewhere(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("else") / "7-pipes.md"
    elsewhere.write_text("# 管道\n\n## 读\n\n## 写\n")
    import_document(workspace, elsewhere)
    outline = workspace.outline("7")
    assert outline.source == "chapters/7-pipes.md"
    assert outline.title.by_language == {"zh": "管道"}


def test_what_is_no_document_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    config = tmp_path / "mkdocs.yml"
    config.write_text("nav: [a.md]\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"a \.yml file is no document.*`expand init` reads"):
        import_document(workspace, config)
    with pytest.raises(InputError, match="no such file; name a document"):
        import_document(workspace, tmp_path)


def test_what_cannot_be_imported(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        import_document(workspace, tmp_path / "none.md")
    text = tmp_path / "x.md"
    text.write_text("# A\n\n## B (30,000 lines)\n")
    with pytest.raises(InputError, match=r"x.md:1: chapter 06 makes no outline: .*30000; give a"):
        import_document(workspace, text)
    empty = tmp_path / "y.md"
    empty.write_text("Some 300 lines.\n")
    with pytest.raises(InputError, match="no heading, list or table names sections"):
        import_document(workspace, empty, ImportRequest(kind="plan"))
    with pytest.raises(InputError, match="no chapter is listed here"):
        import_document(workspace, text, ImportRequest(kind="summary"))
    with pytest.raises(InputError, match="the book has no language 'fr'; give one of: en, zh"):
        import_document(workspace, text, ImportRequest(language="fr"))
    assert workspace.chapter_ids() == ()


def test_without_a_book_and_with_a_schema(workspace: Workspace) -> None:
    workspace.book_path.unlink()
    schema = workspace.root / "outlines" / ".schema" / "outline.json"
    schema.parent.mkdir()
    schema.write_text("{}")
    import_document(workspace, PLANS / "plan_en.md")
    text = workspace.outline_path("04").read_text()
    assert text.startswith("# yaml-language-server: $schema=.schema/outline.json\n")
    assert workspace.outline("04").title.plain == "Testing and benchmarking"


EDITED = """\
id: 03 # the third
title: {zh: 管道, en: Pipes}
source: chapters/03.md
# how long
target_lines: 100
sections:
  # on reading
  - title: {zh: 读, en: "Reading"}
    lines: 40 # few
    note: Mind the gap.
    topics:
      - {zh: 阻塞, en: Blocking}
      # often asked
      - {zh: 轮询, en: Polling}
  # on writing
  - title: {zh: 写, en: Writing}
    lines: 60
  - title: 附录
    lines: 10
    topics: [一, 二]
# the end
"""


def update(*sections: ProposedSection, target: int | None = None) -> tuple[str, tuple[str, ...]]:
    proposal = Proposal(id="03", title="管道", sections=sections, target=Length(target, "lines") if target else None)
    return updated_outline(EDITED, proposal, language=ZH, lines=600)


def test_comments_move_with_their_sections_and_topics() -> None:
    changed, dropped = update(
        ProposedSection(title="写", length=Length(70, "lines")),
        ProposedSection(title="新: 节", length=Length(25, "lines"), topics=("甲",)),
        ProposedSection(title="读", length=Length(40, "lines"), topics=("轮询", "阻塞", "新的")),
        ProposedSection(title="附录", length=Length(10, "lines"), topics=("二", "三")),
        target=200,
    )
    assert dropped == ()
    assert (
        changed
        == """\
id: 03 # the third
title: {zh: 管道, en: Pipes}
source: chapters/03.md
# how long
target_lines: 200
sections:
  # on writing
  - title: {zh: 写, en: Writing}
    lines: 70
  - title: {zh: "新: 节"}
    lines: 25
    topics:
      - {zh: 甲}
  # on reading
  - title: {zh: 读, en: "Reading"}
    lines: 40 # few
    note: Mind the gap.
    topics:
      # often asked
      - {zh: 轮询, en: Polling}
      - {zh: 阻塞, en: Blocking}
      - {zh: 新的}
  - title: 附录
    lines: 10
    topics:
      - 二
      - {zh: 三}
# the end
"""
    )


def test_sections_that_go_are_named_and_topics_go_and_come() -> None:
    changed, dropped = update(
        ProposedSection(title="写", length=Length(60, "lines"), topics=("缓冲",)),
        ProposedSection(title="附录", length=Length(10, "lines")),
    )
    assert dropped == ("读",)
    assert "on reading" not in changed
    assert "  - title: {zh: 写, en: Writing}\n    lines: 60\n    topics:\n" in changed
    assert changed.endswith("- title: 附录\n    lines: 10\n# the end\n")


def test_a_title_in_another_language_is_added() -> None:
    english = OutlineLanguage(code="en", several=True)
    text = "id: 1\ntitle: {zh: 管道}\nsource: a.md\nsections:\n- title: 读\n  lines: 30\n"
    proposal = Proposal(
        id="1",
        title="Pipes",
        sections=(ProposedSection(title="读", length=Length(30, "lines")),),
        priority="low",
        hours=2.0,
    )
    assert updated_outline(text, proposal, language=english, lines=99)[0] == (
        "id: 1\ntitle: {zh: 管道, en: Pipes}\nsource: a.md\npriority: low\nhours: 2.0\n"
        "sections:\n- title: 读\n  lines: 30\n"
    )
    renamed = replace(proposal, sections=(ProposedSection(title="Read", length=Length(30, "lines")),))
    plain_text = text.replace("{zh: 管道}", "管道")
    assert "title: Pipes\n" in updated_outline(plain_text, renamed, language=PLAIN, lines=99)[0]


def run(*arguments: str, workspace: Workspace) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["--workspace", str(workspace.root), *arguments])
    if result.exception is not None and isinstance(result.exception, InputError):
        return result.exception.exit_code, result.stdout, str(result.exception)
    return result.exit_code, result.stdout, result.stderr


def test_the_command(workspace: Workspace) -> None:
    plan, name = str(PLANS / "plan_zh.md"), shell_command().name
    code, out, err = run("outline", "import", plan, "--dry-run", workspace=workspace)
    assert code == 0
    assert out.count("sections:\n") == 3
    assert "outlines/03.yaml: would be written, 8 sections, 1,025 lines (1,000 lines stated)" in err
    code, out, err = run("outline", "import", plan, workspace=workspace)
    assert code == 0
    assert out.splitlines() == [
        "outlines/03.yaml: written, 8 sections, 1,025 lines (1,000 lines stated)",
        "outlines/04.yaml: written, 7 sections, 1,000 lines",
        "outlines/05.yaml: written, 6 sections, 1,000 lines",
        f"next: {name} outline check, then {name} chapter 03 --dry-run",
    ]
    assert err.splitlines()[0] == "expand: plan_zh.md is read as a plan"
    table = [line.split() for line in err.splitlines()]
    assert ["42", "03", "性能工程实践", "1,000", "lines"] in table
    assert ["48", "1", "性能分析方法论", "150", "lines", "3"] in table
    assert [line for line in err.splitlines() if "not " in line and ".yaml" not in line] == [
        "expand: not imported, because no length is planned for them: 01 高级进程管理, 02 安全与沙箱",
        *(
            f"expand: line {number}: not understood as part of a chapter: {text}"
            for number, text in (
                (183, "- 每篇800-1,000行"),
                (184, "- 用时约4.5小时"),
                (188, "- 每篇400-500行"),
                (192, "- [ ] 写完03_性能工程实践.md (+925行)"),
                (193, "- [ ] 写完04_测试与基准.md (+917行)"),
            )
        ),
    ]
    code, out, err = run("outline", "import", plan, "--json", workspace=workspace)
    report = json.loads(out)
    assert report["read_as"] == "plan"
    assert {one["state"] for one in report["outlines"]} == {"same"}
    assert report["left_alone"] == {"01": "高级进程管理", "02": "安全与沙箱"}


def test_what_a_page_comes_to_is_asked_for_and_nothing_is_written_before(workspace: Workspace, tmp_path: Path) -> None:
    plan = str(PLANS / "03_checkboxes_pages.md")
    code, out, err = run("outline", "import", plan, workspace=workspace)
    assert (code, out) == (2, "")
    assert "03_checkboxes_pages.md:3: 'Why flags at all' is 0.5 pages" in err
    assert "--page '300 words'" in err
    assert workspace.chapter_ids() == ()
    code, out, err = run("outline", "import", plan, "--page", "40 lines", workspace=workspace)
    assert code == 0
    assert [section.lines for section in workspace.outline("06").sections] == [20, 100, 80, 40]
    assert ["7", "3", "Taking", "flags", "out", "again", "2", "pages", "3"] in map(str.split, err.splitlines())
    for wrong in ("300", "3 pages", "many words"):
        code, out, err = run("outline", "import", plan, "--page", wrong, workspace=workspace)
        assert (code, out) == (2, "")
        assert f"--page is '{wrong}'; give lines, words or characters" in err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "# Book\n\n- Chapter 1: A (900 lines)\n- Chapter 2: B (300 lines)\n",
            "plan.md:3: this is a plan, but the .* 3, 4",
        ),
        ("# To do\n\n- [ ] intro\n- [ ] end\n", "this looks like a plan, and states no lengths; take --from plan"),
        ("# Load tests\n\n- Goals (15 %)\n- Graphs (30 %)\n", "plan.md:3: 'Goals' is a share of the chapter"),
    ],
)
def test_a_plan_that_is_not_understood_is_no_chapter(
    workspace: Workspace, tmp_path: Path, text: str, message: str
) -> None:
    plan = tmp_path / "plan.md"
    plan.write_text(text)
    with pytest.raises(InputError, match=message):
        import_document(workspace, plan)
    assert workspace.chapter_ids() == ()


def test_a_document_that_is_taken_for_the_chapter_says_so(workspace: Workspace, tmp_path: Path) -> None:
    stub = tmp_path / "stub.md"
    stub.write_text("# Pipes\n\n## Reading\n\n## Writing\n")
    run("outline", "import", str(stub), "--from", "plan", "--lines", "500", workspace=workspace)
    assert [section.lines for section in workspace.outline("06").sections] == [250, 250]
    stub.write_text("# Signals\n\n## Reading\n\n## Writing\n")
    code, _, err = run("outline", "import", str(stub), workspace=workspace)
    assert code == 0
    assert "stub.md is read as the chapter itself, by its headings; if it is a plan, take --from plan" in err


def test_a_plan_that_names_itself_as_the_document_is_refused(workspace: Workspace) -> None:
    plan = workspace.root / "chapters" / "07_pipes.md"
    plan.write_text("# Chapter 7: `07_pipes.md`\n\n- Reading (90 lines)\n")
    with pytest.raises(InputError, match="chapter 07 has the plan itself as its document; give the plan another name"):
        import_document(workspace, plan)
    assert workspace.chapter_ids() == ()


def test_a_total_is_shared_to_the_line() -> None:
    sections = tuple(ProposedSection(title=title) for title in "abcdefg")
    whole = Proposal(id="1", title="T", sections=sections, target=Length(1000, "words"))
    shares = [section.length for section in settled(whole, lines=600).sections if section.length]
    assert sum(share.amount for share in shares) == 1000
    assert {share.unit for share in shares} == {"words"}
    began = time.process_time()
    large = replace(whole, sections=sections * 40, target=Length(100_000, "words"))
    assert sum(section.length.amount for section in settled(large, lines=600).sections if section.length) == 100_000
    assert time.process_time() - began < 5
    some = replace(whole, target=None, sections=(replace(sections[0], length=Length(400, "words")), sections[1]))
    assert [str(section.length) for section in settled(some, lines=600).sections] == ["400 words", "400 words"]


def test_a_total_is_shared_less_what_is_stated_in_another_unit() -> None:
    stated = (Length(100, "lines"), Length(2000, "words"), Length(1600, "characters"), None)
    sections = tuple(ProposedSection(title=title, length=length) for title, length in zip("abcd", stated, strict=True))
    whole = Proposal(id="1", title="T", sections=sections, target=Length(500, "lines"))
    assert settled(whole, lines=600).sections[-1].length == Length(100, "lines")
    in_words = replace(whole, target=Length(5000, "words"))
    assert settled(in_words, lines=600).sections[-1].length == Length(1000, "words")


@pytest.mark.parametrize(
    "line", ["# a" + " " * 9_000 + "b", "# " + "-" * 9_000, "- " + "`" * 9_000, "- " + "**a " * 3_000]
)
def test_a_line_without_end_takes_no_time(line: str) -> None:
    began = time.process_time()
    read_plan(f"{line}\n\n- Reading (90 lines)\n")
    assert time.process_time() - began < 5


def test_the_command_names_what_it_drops_and_adds(workspace: Workspace, tmp_path: Path) -> None:
    copy_shipped(workspace, "03")
    plan = tmp_path / "plan.md"
    plan.write_text("### 第3篇：性能\n\n1. 热点分析 (90行)\n\n### 第9篇：管道\n\n1. 读 (90行)\n")
    code, out, err = run("outline", "import", str(plan), "--force", workspace=workspace)
    assert code == 0
    assert "outlines/03.yaml: changed, 1 section, 90 lines (1,000 lines stated)\n" in out
    assert "added to outlines/book.yaml: 09\n" in out
    assert "outlines/03.yaml: section '零拷贝技术' is not in the plan and was removed" in err


def test_the_command_refuses(workspace: Workspace) -> None:
    code, out, err = run("outline", "import", "x.md", "--from", "plans", workspace=workspace)
    assert (code, out, err) == (2, "", "--from is 'plans'; did you mean \"plan\"?")


PIECES = st.sampled_from(
    ["# ", "## ", "### ", "第3篇：", "Chapter 4: ", "3. ", "03_a.md", "- ", "  - ", "1. ", "（1）",
     "**目标**: ", "(250行)", " 90 lines", "\n", "\n\n", "管道", "Pipes", "|", "|---|", "`",
     "```\n", "yes", "[a](b.md)", "\t", "\u2028", "0行", "99999999 lines", ":", "：", "*", "_",
     "\x07", "{", "#"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join))
def test_any_text_gives_outlines_that_can_be_read_or_a_reason(text: str) -> None:
    planned = [replace(one, id=one.id or "x", title=one.title or "x") for one in read_plan(text).chapters]
    for proposal in (*planned, read_headings(text, file="a.md")):
        whole = settled(proposal, lines=600)
        written = outline_yaml.new_outline(whole, source="a.md", language=ZH)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{proposal.id}.yaml"
            path.write_text(written, encoding="utf-8")
            if max(section.length.amount for section in whole.sections if section.length) > 20_000:
                with pytest.raises(InputErrors, match="give a whole number"):
                    read_outline(path, root=Path(folder), chapter_id=proposal.id)
                continue
            outline = read_outline(path, root=Path(folder), chapter_id=proposal.id)
        again = updated_outline(written, proposal, language=ZH, lines=600)
        assert again == (written, ())
        assert len(outline.sections) == len(proposal.sections)


def test_the_language_that_is_named_counts(workspace: Workspace, tmp_path: Path) -> None:
    document = tmp_path / "8_pipes.md"
    document.write_text("# Pipes\n\n## CPU\n")
    import_document(workspace, document, ImportRequest(language="zh"))
    assert workspace.outline("8").title.by_language == {"zh": "Pipes"}


def test_a_document_that_an_outline_knows_keeps_its_id(workspace: Workspace) -> None:
    document = workspace.root / "notes.md"
    document.write_text("# Notes\n\n## A\n")
    workspace.book_path.write_text("title: Mine\n")
    workspace.outline_path("x").write_text(
        "id: x\ntitle: Notes\nsource: notes.md\nsections:\n\n- title: A\n\n  lines: 50\n\n"
    )
    (one,) = import_document(workspace, document).outlines
    assert (one.id, one.state) == ("x", "same")
    other = workspace.root / "other.md"
    other.write_text("# Other\n")
    assert import_document(workspace, other).added_to_book == ("other",)
    assert [chapter.id for chapter in workspace.book().chapters] == ["x", "other"]
    workspace.book_path.unlink()
    assert [one.id for one in import_document(workspace, document).outlines] == ["x"]
    assert [one.id for one in import_document(workspace, other).outlines] == ["other"]


def test_the_source_of_a_planned_chapter(workspace: Workspace, tmp_path: Path) -> None:
    (workspace.root / "docs").mkdir()
    for name in ("docs/20_a.md", "chapters/21.md"):
        (workspace.root / name).write_text("# X\n")
    plan = tmp_path / "plan.md"
    plan.write_text(
        "".join(
            f"### Chapter {name}\n\n1. A (50 lines)\n\n"
            for name in ("20: 20_a.md", "21: B", "二十二", "23: X `sub/23_c.md`")
        ).replace("Chapter 二十二", "第三篇：D")
    )
    sources = {one.id: one.source for one in import_document(workspace, plan).outlines}
    assert sources == {
        "20": "docs/20_a.md",
        "21": "chapters/21.md",
        "03": "chapters/03_performance_engineering.md",
        "23": "chapters/23_c.md",
    }


def test_brackets_stay_where_nothing_is_moved() -> None:
    text = 'id: "1"\ntitle: T\nsource: a.md\nsections: [{title: A, lines: 30}]\npriority:   low\n'
    proposal = Proposal(id="1", title="T", sections=(ProposedSection(title="A", length=Length(40, "lines")),))
    changed = updated_outline(text, proposal, language=PLAIN, lines=99)[0]
    assert "sections: [{title: A, lines: 40}]\n" in changed
    same = replace(proposal, sections=(ProposedSection(title="A"),))
    assert updated_outline(text, same, language=PLAIN, lines=99)[0] == text


def lengths_of(text: str) -> list[tuple[str, str, list[tuple[str, str]]]]:
    return [
        (one.title, str(one.target), [(section.title, str(section.length)) for section in one.sections])
        for one in read_plan(text).chapters
    ]


def test_titles_and_totals_that_nobody_marked_up() -> None:
    labelled = "Chapter: Monitoring\nTarget: 8 pages\n\n- [ ] Metrics (2 pages)\n- [ ] Traces\n"
    assert lengths_of(labelled) == [("Monitoring", "8 pages", [("Metrics", "2 pages"), ("Traces", "None")])]
    bare = "第十章 消息队列\n总计约 5000 字\n\n一、概念（800 字）\n二、语义（1500 字）\n  1. 至多一次\n三、顺序性\n"
    sections = [("概念", "800 characters"), ("语义", "1,500 characters"), ("顺序性", "None")]
    assert lengths_of(bare) == [("消息队列", "5,000 characters", sections)]
    assert read_plan(bare).chapters[0].sections[1].topics == ("至多一次",)
    last = "# Caching guide\n\n* What — 300 words\n    * why\n* How — 900 words\n    * back\n\nTotal ≈ 1,350 words.\n"
    assert lengths_of(last) == [("Caching guide", "1,350 words", [("What", "300 words"), ("How", "900 words")])]


@pytest.mark.parametrize(("lines", "chapters"), [(399, 1), (400, 2)])
def test_long_parts_are_chapters_short_ones_sections(lines: int, chapters: int) -> None:
    plan = f"# Pipes\n\n## Reading ({lines} lines)\n\n- a\n- b\n\n## Writing ({lines} lines)\n\n- c\n- d\n"
    assert len(read_plan(plan).chapters) == chapters


@pytest.mark.parametrize(
    ("plan", "titles"),
    [
        ("# This winter\n\n## A\n- a (90 lines)\n- b (50 lines)\n\n## B\n- c (60 lines)\n", ["A", "B"]),
        ("# Pipes\n\n## A (140 lines)\n- a (90 lines)\n- b (50 lines)\n\n## B\n- c (60 lines)\n", ["Pipes"]),
        ("# Pipes: 200 lines\n\n## A\n- a (90 lines)\n- b (50 lines)\n\n## B\n- c (60 lines)\n", ["Pipes"]),
        ("# Pipes\n\n- A\n  - a (90 lines)\n  - b (50 lines)\n- B\n  - c (60 lines)\n", ["Pipes"]),
        ("# Pipes\n\n## A\n- a (90 lines)\n- b (50 lines)\n\n## B\n\n## C\n", ["Pipes"]),
        ("## Chapter 1: A\n- a (90 lines)\n\n## B\n- b (50 lines)\n- c (60 lines)\n", ["A", "B"]),
        ("## Chapter 1: A\n- a (90 lines)\n\n## B\n- b (50 lines)\n", ["A"]),
        ("## Chapter 1: A\n- a (90 lines)\n\n## Notes\n- b (50 lines)\n- c (60 lines)\n", ["A"]),
    ],
)
def test_headings_below_which_the_lengths_stand_are_chapters(plan: str, titles: list[str]) -> None:
    assert [one.title for one in read_plan(plan).chapters] == titles


@pytest.mark.parametrize(
    ("beside", "left"),
    [
        ("## B\n- b\n", [(4, "## B")]),
        ("## B\n50 lines in all.\n- b\n- c\n", []),
        ("## Notes\n- b\n", []),
        ("## B\nWe meet on Monday.\n", []),
        ("## Chapter 2: B\n- b\n", []),
        ("## B\nAudience: you\n- At least 9 examples\n- b\n",
         [(4, "## B"), (5, "Audience: you"), (6, "- At least 9 examples")]),
    ],
)  # fmt: skip
def test_what_stands_beside_chapters_is_one_or_named(beside: str, left: list[tuple[int, str]]) -> None:
    plan = read_plan(f"## Chapter 1: A\n- a (90 lines)\n\n{beside}")
    assert [(one.line, one.text) for one in plan.left] == left


@pytest.mark.parametrize(
    ("sections", "titles"),
    [
        ("- A (60)\n- B\n- C [40 lines]\n", ["A", "B", "C"]),
        ("- A [60]\n- B (40)\n", ["A", "B"]),
        ("- A (60)\n- B\n- C\n", ["A (60)", "B", "C"]),
        ("- A (1998)\n- B\n- C [40 lines]\n", ["A (1998)", "B", "C"]),
    ],
)
def test_figures_in_brackets_are_lengths_where_the_chapter_has_room(sections: str, titles: list[str]) -> None:
    (proposal,) = read_plan(f"# Gates\n\nTotal: 120-140 lines\n\n{sections}").chapters
    assert [section.title for section in proposal.sections] == titles


def test_examples_and_readers_of_a_plan_get_into_its_outline(workspace: Workspace, tmp_path: Path) -> None:
    plan = tmp_path / "plan.md"
    plan.write_text(
        "# Plan\n\n## Chapter 7: Pipes\n\nAudience: beginners\n\n- At least 9 code examples\n\n"
        "1. Reading (80 lines, 2 examples)\n2. Closing (90 lines)\n"
    )
    import_document(workspace, plan)
    outline = workspace.outline("07")
    assert (outline.audience and outline.audience.say("en"), outline.quality.code_examples) == ("beginners", 9)
    assert [section.code_examples for section in outline.sections] == [2, None]
    written = workspace.outline_path("07").read_text()
    workspace.outline_path("07").write_text(
        written.replace("code_examples: 9", "code_language: rust").replace("en: beginners", "zh: 初学者")
    )
    import_document(workspace, plan, ImportRequest(force=True))
    outline = workspace.outline("07")
    assert (outline.quality.code_language, outline.quality.code_examples) == ("rust", 9)
    assert outline.audience
    assert outline.audience.by_language == {"zh": "初学者", "en": "beginners"}


@pytest.mark.parametrize(
    ("sentence", "chapter"),
    [("在“大纲”之后改写《Signals》：", "signals"), ('what I want the "FIFO" page to grow into:', "grow")],
)
def test_a_letter_quotes_the_title_of_its_chapter(tmp_path: Path, sentence: str, chapter: str) -> None:
    workspace = a_book(tmp_path)
    (tmp_path / "grow.md").write_text(f"Hi,\n\n{sentence}\n\n1. Reading, 45 lines\n2. Closing, 80 lines\n")
    request = ImportRequest(force=True, dry_run=True)
    assert [one.id for one in import_document(workspace, tmp_path / "grow.md", request).outlines] == [chapter]


def test_an_unnumbered_chapter_takes_the_next_free_number(tmp_path: Path) -> None:
    chapters = ("Chapter 7: A", "B", "Chapter 8: C", "D")
    (tmp_path / "plan.md").write_text("".join(f"# {one}\n- a (90 lines)\n- b (50 lines)\n" for one in chapters))
    workspace = create_workspace(tmp_path / "w").workspace
    result = import_document(workspace, tmp_path / "plan.md")
    assert [one.id for one in result.outlines] == ["07", "09", "08", "10"]


def test_the_first_plan_in_an_empty_folder_is_chapter_01(tmp_path: Path) -> None:
    (tmp_path / "plan.md").write_text("# Pipes\n\n- a (90 lines)\n- b (50 lines)\n")
    workspace = create_workspace(tmp_path / "w").workspace
    code, out, _ = run("outline", "import", str(tmp_path / "plan.md"), workspace=workspace)
    assert (code, "added to outlines/book.yaml: 01" in out) == (0, True)
    assert [(one.id, one.title.say("en"), one.source) for one in workspace.book().chapters] == [
        ("01", "Pipes", "chapters/01.md")
    ]
    assert (workspace.chapter_ids(), workspace.outline("01").source) == (("01",), "chapters/01.md")


@pytest.mark.parametrize(
    ("text", "is_plan"),
    [
        ("# Tea\n\nSo.\n\n- Boil (5 min)\n- Warm the pot\n- Steep\n", True),
        ("# Tea\n\nSo.\n\n- Boil (5 min)\n- Warm the pot\n- Steep\n- Pour\n", False),
        ("# Tea\n\n- Boil (5 min)\n- Warm the pot\n- Steep\n- Pour\n", True),
        ("# Tea\n\nAudience: guests\n\n- 2 examples\n\n## Boil\n\n## Steep\n", False),
        ("Here is the plan.\nTake your time.\nAsk Sam.\n\n- Boil (5 lines)\n- Steep (9 lines)\n", True),
    ],
)
def test_a_document_of_which_little_states_lengths_is_no_plan(
    workspace: Workspace, tmp_path: Path, text: str, is_plan: bool
) -> None:
    (tmp_path / "tea.md").write_text(text)
    assert read_as(workspace, tmp_path / "tea.md") == ("plan" if is_plan else "headings")


def test_bullets_before_the_numbered_sections_are_none_of_them() -> None:
    (proposal,) = read_plan("### Chapter 1: A\n\n- By the way.\n\n1. B (50 lines)\n").chapters
    assert [section.title for section in proposal.sections] == ["B"]


def test_blank_lines_between_sections_stay_with_the_one_above() -> None:
    text = (
        "id: 1\ntitle: T\nsource: a.md\nsections:\n  - title: A\n    lines: 30\n\n"
        "  - title: B\n    lines: 30\n\n# the priority\npriority: low\n"
    )
    proposal = Proposal(
        id="1",
        title="T",
        sections=(
            ProposedSection(title="B", length=Length(30, "lines")),
            ProposedSection(title="A", length=Length(30, "lines")),
        ),
    )
    assert updated_outline(text, proposal, language=PLAIN, lines=99)[0] == (
        "id: 1\ntitle: T\nsource: a.md\nsections:\n  - title: B\n    lines: 30\n"
        "  - title: A\n    lines: 30\n\n\n# the priority\npriority: low\n"
    )


PLAN_OF_A_BOOK = """\
# What is next

| Chapter | Target lines | Time |
|---|---|---|
| Pipes | 300 | 2 h |
| Signals | 250 | 1 h |
| Total | 550 | 3 h |

### Chapter 4: All about pipes (`pipes.md`)

1. **Reading** (100 lines) - blocking; polling
2. **Writing** (200 lines) - buffers

### Chapter 5: FIFOs

1. **Making one** (80 lines) - mkfifo
"""


def a_book(folder: Path) -> Workspace:
    """An mdBook that ``init`` has been to."""
    for name, text in (
        ("book.toml", '[book]\ntitle = "Pipes"\n'),
        ("src/SUMMARY.md", "- [Pipes](pipes.md)\n- [FIFOs](more/fifos.md)\n- [Signals]()\n"),
        ("src/pipes.md", "# Pipes\n\n## Reading\n\n## Closing\n"),
        ("src/more/fifos.md", "# FIFOs\n"),
        ("plan.md", PLAN_OF_A_BOOK),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return create_workspace(folder).workspace


TABLES_BY_CHAPTER = """# What I want to write this month

## {}

| Part | Topics | Length |
|---|---|---|
| Reading | blocking; polling | ~20 lines |
| Writing | buffers | 35 lines |

## {}

| Part | Length |
|---|---|
| Making one | 30 lines |
"""


@pytest.mark.parametrize(
    ("titles", "chapters"),
    [(("Pipes", "FIFOs"), ["pipes", "fifos"]), (("Pipes", "Else"), ["pipes", "else"])],
)
def test_headings_with_the_titles_of_the_book_are_chapters(
    tmp_path: Path, titles: tuple[str, str], chapters: list[str]
) -> None:
    workspace = a_book(tmp_path)
    plan = tmp_path / "month.md"
    plan.write_text(TABLES_BY_CHAPTER.format(*titles))
    result = import_document(workspace, plan, ImportRequest(force=True))
    assert [one.id for one in result.outlines] == chapters
    topics = [topic.say("en") for topic in workspace.outline(chapters[0]).sections[0].topics]
    assert topics == ["blocking", "polling"]


def test_a_chapter_of_the_book_whose_sections_have_titles_of_others_stays_one(tmp_path: Path) -> None:
    workspace = a_book(tmp_path)
    plan = tmp_path / "one.md"
    plan.write_text(TABLES_BY_CHAPTER.replace("What I want to write this month", "Signals").format("Pipes", "FIFOs"))
    result = import_document(workspace, plan, ImportRequest(force=True))
    assert [(one.id, one.sections) for one in result.outlines] == [("signals", 2)]


def test_a_file_id_is_cut() -> None:
    assert file_id("a" * 60) == "a" * 48


def test_a_plan_updates_the_chapters_that_a_book_has(tmp_path: Path) -> None:
    workspace = a_book(tmp_path)
    before = workspace.book_path.read_bytes()
    result = import_document(workspace, tmp_path / "plan.md", ImportRequest(force=True))
    assert [(one.id, one.source, one.state) for one in result.outlines] == [
        ("pipes", "src/pipes.md", "changed"),
        ("fifos", "src/more/fifos.md", "new"),
    ]
    assert (result.added_to_book, result.reopened) == ((), ("pipes", "fifos"))
    assert workspace.book_path.read_bytes() == before.replace(b"    target_lines: 600\n", b"", 2)
    assert workspace.chapter_ids() == ("fifos", "pipes")
    before = workspace.book_path.read_bytes()
    again = import_document(workspace, tmp_path / "src" / "SUMMARY.md", ImportRequest(force=True))
    assert {one.id for one in again.outlines} == {"pipes", "fifos", "signals"}
    assert workspace.book_path.read_bytes() == before


def test_rows_that_are_not_taken_are_named_by_line(tmp_path: Path) -> None:
    workspace = a_book(tmp_path)
    ran = CliRunner().invoke(
        app,
        ["--workspace", str(workspace.root), "outline", "import", str(tmp_path / "plan.md"),
         "--force"],
    )  # fmt: skip
    assert ran.exit_code == 0
    told = [line for line in ran.stderr.splitlines() if "not understood" in line]
    assert told == [
        "expand: line 5: not understood as part of a chapter: | Pipes | 300 | 2 h |",
        "expand: line 6: not understood as part of a chapter: | Signals | 250 | 1 h |",
    ]


@pytest.mark.parametrize(("rows", "named", "rest"), [(12, 12, []), (13, 12, ["17"])])
def test_twelve_rows_are_named_and_the_others_only_counted(
    tmp_path: Path, rows: int, named: int, rest: list[str]
) -> None:
    workspace = a_book(tmp_path)
    table = "".join(f"| Topic {chr(65 + row)} | 100 |\n" for row in range(rows))
    plan = tmp_path / "rows.md"
    plan.write_text(f"# Plan\n\n| Title | Target |\n| --- | --- |\n{table}\n### Chapter 9: Tea\n\n1. Cups (90 lines)\n")
    arguments = ["--workspace", str(workspace.root), "outline", "import", str(plan), "--dry-run"]
    lines = CliRunner().invoke(app, arguments).stderr.splitlines()
    assert sum("not understood as" in line for line in lines) == named
    assert [line.split("lines ")[1] for line in lines if "nor were lines" in line] == rest


FINISHED = """\
title: Nomicon
language: en
layout: keep
chapters:
  - id: poisoning # kept
    title: Poisoning
    source: src/poisoning.md
    target_lines: 35
    finished: true
  - {id: races, title: Races, source: src/races.md, target_lines: 76, finished: true}
"""


@pytest.fixture
def finished(tmp_path: Path) -> Workspace:
    """A book whose chapters are finished, and a plan for one of them under another title."""
    for name, text in (
        ("expand.toml", ""),
        ("outlines/book.yaml", FINISHED),
        ("src/poisoning.md", "# Poisoning\n\nText.\n\n## What a lock protects\n\nMore.\n"),
        ("plan.md", "# Poisoning, reworked: 100 lines\n\n- What a poisoned lock protects (40 lines)\n- Advice: 60\n"),
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return Workspace(root=tmp_path)


def test_lengths_of_the_book_that_a_plan_contradicts_go(finished: Workspace) -> None:
    finished.book_path.write_text("title: B\nchapters:\n- {id: chapter15, title: Locks, target_lines: 600}\n")
    plan = finished.root / "plan.md"
    plan.write_text("# 第15章 Locks, reworked\n\n- A (40 lines)\n- B (60 lines)\n")
    code, out, _ = run("outline", "import", str(plan), "--id", "chapter15", workspace=finished)
    assert (code, finished.outline("chapter15").title.say("en")) == (0, "Locks")
    assert "outlines/book.yaml: removed what differs from the outlines (finished, target_lines): chapter15\n" in out
    assert finished.book().chapters[0].target_lines is None
    finished.book_path.write_text("title: B\nchapters:\n- {id: chapter15, title: A, target_lines: 90}\n")
    plan.write_text("# 第15章 Locks\n\n## A\n\n## B\n")
    headings = ImportRequest(id="chapter15", kind="headings", force=True)
    assert import_document(finished, plan, headings).reopened == (), "no length is stated"
    assert finished.book().chapters[0].target_lines == 90


def test_an_id_says_which_chapter_a_plan_is_for(finished: Workspace) -> None:
    code, out, _ = run("outline", "import", str(finished.root / "plan.md"), "--id", "poisoning", workspace=finished)
    assert (code, finished.chapter_ids()) == (0, ("poisoning",))
    outline = finished.outline("poisoning")
    assert (outline.source, outline.title.say("en")) == ("src/poisoning.md", "Poisoning")
    assert "outlines/book.yaml: removed what differs from the outlines (finished, target_lines): poisoning\n" in out
    entries = {one.id: (one.finished, one.target_lines) for one in finished.book().chapters}
    assert entries == {"poisoning": (False, None), "races": (True, 76)}
    assert "# kept" in finished.book_path.read_text()
    again = import_document(finished, finished.root / "plan.md", ImportRequest(id="poisoning"))
    assert again.reopened == (), "the outline is the same, and the person may have finished it since"


@pytest.mark.parametrize(
    ("document", "chapter", "message"),
    [
        ("plan.md", "book", "--id 'book' is taken by book.yaml"),
        ("plan.md", "a b", "--id 'a b' holds a space"),
        ("src/poisoning.md", "races", "poisoning.md is chapter poisoning already; leave --id races out"),
        ("two.md", "races", "chapter 'races' is not planned here; planned are: one, two"),
    ],
)
def test_an_id_that_cannot_be_meant(finished: Workspace, document: str, chapter: str, message: str) -> None:
    (finished.root / "two.md").write_text("# One\n\n- A (40 lines)\n\n# Two\n\n- B (40 lines)\n")
    code, _, err = run("outline", "import", str(finished.root / document), "--id", chapter, workspace=finished)
    assert (code, finished.chapter_ids()) == (2, ())
    assert message in err
    assert finished.book_path.read_text() == FINISHED


def test_a_check_names_sections_that_nearly_have_a_heading(finished: Workspace) -> None:
    import_document(finished, finished.root / "plan.md", ImportRequest(id="poisoning"))
    warned = [str(one) for one in check_outlines(finished, ["poisoning"]).findings]
    assert warned == [], "of one section and one heading, that one is meant"
    (finished.root / "src/poisoning.md").write_text("# Poisoning\n\n## The guard of a lock\n\nX.\n\n## Rest\n\nY.\n")
    warned = [str(one) for one in check_outlines(finished, ["poisoning"]).findings]
    assert warned == [
        'outlines/poisoning.yaml:6:12: warning: section 1, "What a poisoned lock protects", gets a heading of its own '
        'in src/poisoning.md; line 3 there has "The guard of a lock": to fill that one, take its title'
    ]
    finished.book_path.write_text(FINISHED.replace("keep", "numbered"))
    assert check_outlines(finished, ["poisoning"]).findings == ()


@pytest.mark.parametrize(
    ("title", "heading", "is_like"),
    [
        ("Naming", "The crate is named appropriately", False),
        ("Naming crates", "How a crate is built and shipped", True),
        ("锁的名字", "死锁的检测", True),
        ("锁的名字", "检测死锁", False),
    ],
)
def test_a_check_compares_words_not_stems(finished: Workspace, title: str, heading: str, is_like: bool) -> None:
    (finished.root / "src/poisoning.md").write_text(f"# Poisoning\n\n## {heading}\n\nX.\n\n## Rest\n\nY.\n")
    (finished.root / "plan.md").write_text(f"# Poisoning\n\n- {title} (40 lines)\n- Rest (60 lines)\n")
    import_document(finished, finished.root / "plan.md")
    warned = [str(one) for one in check_outlines(finished, ["poisoning"]).findings]
    assert [heading in one for one in warned] == [True] * is_like


@pytest.mark.parametrize(
    ("heading", "title"),
    [
        ("Plan for src/speed.md", "Speed, once measured"),
        ("Outline: src/speed.md", "Speed, once measured"),
        ("src/speed.md 写作计划", "Speed, once measured"),
        ("Plan for Haste (src/speed.md)", "Haste"),
        ("Plan\n\nFile: src/speed.md", "Speed, once measured"),
    ],
)
def test_a_plan_that_names_a_file_alone_keeps_the_title_of_the_book(tmp_path: Path, heading: str, title: str) -> None:
    place = Workspace(root=tmp_path)
    (tmp_path / "expand.toml").write_text("", encoding="utf-8")
    (tmp_path / "outlines").mkdir()
    chapters = "chapters: [{id: speed, title: 'Speed, once measured', source: src/speed.md}]"
    place.book_path.write_text(f"title: B\nallowance: {{tokens: 9000}}\n{chapters}\n", encoding="utf-8")
    plan = tmp_path / "plan.md"
    plan.write_text(f"# {heading}\n\n- Measuring (80 lines)\n- Inlining (90 lines)\n", encoding="utf-8")
    result = import_document(place, plan, ImportRequest())
    assert [(one.id, one.title) for one in result.outlines] == [("speed", title)]


@pytest.mark.parametrize(
    ("heading", "chapter", "title"),
    [
        ("Chapter 5: The plan", "05", "The plan"),
        ("《第15章 管道》扩写计划", "15", "管道"),
        ("《管道》编写提纲", "", "管道"),
        ("管道的写作规划", "", "管道"),
        ("第5章 动态规划", "05", "动态规划"),
        ("Pipes: outline", "", "Pipes"),
        ("Outline for the chapter on pipes", "", "pipes"),
        ('Plan for the page "A queue of pipes"', "", "A queue of pipes"),
        ("Outline of “Pipes”", "", "Pipes"),
        ('The "pipe" problem', "", 'The "pipe" problem'),
        ("《管道》页面的写作计划", "", "管道"),
        ("Plan your pipes", "", "Plan your pipes"),
        ("计划：管道", "", "管道"),
        ("计划经济", "", "计划经济"),
        ("Chapter 9: The migration plan", "09", "The migration plan"),
    ],
)
def test_what_calls_it_a_plan_is_no_title(heading: str, chapter: str, title: str) -> None:
    (read,) = read_plan(f"# {heading}\n\n- Aims (80 lines)\n- Means (90 lines)\n").chapters
    assert (read.id, read.title) == (chapter, title)


@pytest.mark.parametrize(
    ("column", "topics", "left"),
    [
        ("What has to be in it", ("a clock", "a load"), []),
        ("要写什么", ("a clock", "a load"), []),
        ("Owner", (), [(1, "the column Owner")]),
        ("Lines now", (), []),
    ],
)
def test_a_column_is_read_or_named(column: str, topics: tuple[str, ...], left: list[tuple[int, str]]) -> None:
    plan = read_plan(f"| # | Section | Lines | {column} |\n|-|-|-|-|\n| 1 | Measuring | 80 | a clock, a load |\n")
    assert plan.chapters[0].sections[0].topics == topics
    assert [(one.line, one.text) for one in plan.left] == left


def test_a_length_in_another_unit_takes_the_place_of_the_old_one() -> None:
    text = "title: Pipes\nsections:\n  - title: Ends\n    lines: 200 # a guess\n    # why\n    note: Short.\n"
    proposal = Proposal(id="01", title="Pipes", sections=(ProposedSection(title="Ends", length=Length(300, "words")),))
    changed = updated_outline(text, proposal, language=PLAIN, lines=99)[0]
    assert changed == text.replace("lines: 200", "words: 300")
    same = replace(proposal, sections=(ProposedSection(title="Ends", length=Length(300, "lines")),))
    assert updated_outline(changed, same, language=PLAIN, lines=99)[0] == text.replace("200", "300")
    both = text.replace("200 # a guess", "200\n    words: 250")
    assert updated_outline(both, proposal, language=PLAIN, lines=99)[0] == both.replace("250", "300"), (
        "both were stated"
    )


def test_a_plan_names_a_document_from_a_folder_above_the_workspace(tmp_path: Path) -> None:
    inside = tmp_path / "repo" / "guide"
    (inside / "src").mkdir(parents=True)
    (inside / "src" / "maths.md").write_text("# Maths\n\nSee below.\n")
    workspace = create_workspace(inside).workspace
    plan = tmp_path / "plan.md"
    for named, source in (("guide/src/maths.md", "src/maths.md"), ("guide/pages/maths.md", "src/maths.md")):
        plan.write_text(f"# 扩写计划：数学\n\nFile: {named}\n\n- Inline (60 lines)\n- Blocks (70 lines)\n")
        (one,) = import_document(workspace, plan, ImportRequest(dry_run=True)).outlines
        assert one.title == "数学"
        assert f"source: {source}\n" in one.text
