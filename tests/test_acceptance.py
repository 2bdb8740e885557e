"""From a draft to the document and back: review, revise, accept, undo."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from scripted_server import ScriptedServer
from workspaces import draft_of, expand, small

from expand.document.draft import document_text, read
from expand.drafting.acceptance_record import Acceptances
from expand.workspace import Workspace


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return small(tmp_path / "book")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


def drafted(place: Path, server: ScriptedServer) -> None:
    assert expand(place, "chapter", "07", "--base-url", server.base_url).code in (0, 5)


def source_of(place: Path) -> Path:
    (found,) = [p for p in (place / "chapters").iterdir() if p.name.startswith("07")]
    return found


def files(place: Path) -> set[str]:
    return {p.relative_to(place).as_posix() for p in (place / "chapters").rglob("*")}


def test_accept_replaces_one_file_and_undo_brings_every_byte_back(place: Path, server: ScriptedServer) -> None:
    drafted(place, server)
    source = source_of(place)
    former, there = source.read_bytes(), files(place)

    ran = expand(place, "accept", "07")
    assert ran.code == 0
    assert source.read_text(encoding="utf-8") == document_text(draft_of(place))
    assert "<!-- expand" not in source.read_text(encoding="utf-8")
    assert files(place) == there

    assert expand(place, "accept", "07").code == 0
    asked = len(server.requests)
    again = expand(place, "chapter", "07", "--base-url", server.base_url, "--json")
    assert {s["status"] for s in again.json["chapters"][0]["sections"]} == {"reused"}
    assert len(server.requests) == asked

    assert expand(place, "accept", "--undo", "07").code == 0
    assert source.read_bytes() == former
    nothing_left = expand(place, "accept", "--undo", "07")
    assert nothing_left.code == 2
    assert "nothing was accepted for chapter 07" in nothing_left.err


def test_a_source_that_changed_is_refused(place: Path, server: ScriptedServer) -> None:
    drafted(place, server)
    source = source_of(place)
    changed = source.read_text(encoding="utf-8") + "\nA line of mine.\n"
    source.write_text(changed, encoding="utf-8")

    ran = expand(place, "accept", "07")
    assert (ran.code, ran.out) == (2, "")
    assert "the source changed since the draft was made" in ran.err
    assert source.read_text(encoding="utf-8") == changed

    assert expand(place, "accept", "--force", "07").code == 0
    assert expand(place, "accept", "--undo", "07").code == 0
    assert source.read_text(encoding="utf-8") == changed


def test_a_draft_that_lost_its_last_line_says_so(place: Path, server: ScriptedServer) -> None:
    drafted(place, server)
    draft = place / "drafts" / "07.md"
    draft.write_text(document_text(draft_of(place)), encoding="utf-8")
    (place / ".expand" / "lines" / "07").unlink()
    ran = expand(place, "accept", "07")
    assert ran.code == 2
    assert "hidden line of drafts/07.md is missing" in ran.err


def test_an_edit_after_accepting_stops_undo(place: Path, server: ScriptedServer) -> None:
    drafted(place, server)
    expand(place, "accept", "07")
    source = source_of(place)
    source.write_text("mine", encoding="utf-8")
    ran = expand(place, "accept", "--undo", "07")
    assert ran.code == 2
    assert "was changed since it was accepted" in ran.err
    assert source.read_text(encoding="utf-8") == "mine"


def test_blocking_findings_stop_accept(place: Path) -> None:
    with ScriptedServer(behaviour="refusal") as refusing:
        drafted(place, refusing)
    source = source_of(place)
    former = source.read_bytes()
    ran = expand(place, "accept", "07")
    assert ran.code == 5
    assert "blocking findings" in ran.err
    assert source.read_bytes() == former
    assert expand(place, "accept", "--force", "07").code == 0
    assert source.read_bytes() != former


def test_a_copy_that_a_power_cut_emptied_is_written_again_before_the_source_gives_way(
    place: Path, server: ScriptedServer
) -> None:
    drafted(place, server)
    source = source_of(place)
    former = source.read_bytes()
    (copy,) = (place / ".expand" / "sources").iterdir()
    assert copy.read_bytes() == former
    copy.write_bytes(b"")
    assert expand(place, "accept", "07").code == 0
    assert copy.read_bytes() == former
    assert expand(place, "accept", "07", "--undo").code == 0
    assert source.read_bytes() == former


def test_a_lost_copy_and_a_damaged_record_are_named(place: Path, server: ScriptedServer) -> None:
    drafted(place, server)
    expand(place, "accept", "07")
    shutil.rmtree(place / ".expand" / "sources")
    lost = expand(place, "accept", "--undo", "07")
    assert lost.code == 2
    assert "the copy of the former text is gone" in lost.err

    record = place / ".expand" / "accepted.jsonl"
    record.write_text(record.read_text(encoding="utf-8") + "garbage\n", encoding="utf-8")
    damaged = expand(place, "accept", "--undo", "07")
    assert damaged.code == 2
    assert "accepted.jsonl:2: " in damaged.err


def test_a_chapter_whose_former_text_is_lost_is_drafted_from_what_is_there(place: Path, server: ScriptedServer) -> None:
    drafted(place, server)
    former = source_of(place).read_bytes()
    expand(place, "accept", "07")
    present, acceptances = source_of(place).read_bytes(), Acceptances(Workspace(root=place))
    assert acceptances.origin("07", present) == former
    shutil.rmtree(place / ".expand" / "sources")
    assert acceptances.origin("07", present) == present


def test_a_record_that_cannot_be_locked_leaves_the_source_alone(place: Path, server: ScriptedServer) -> None:
    drafted(place, server)
    before = source_of(place).read_bytes()
    (place / ".expand" / "accepted.lock").mkdir()
    ran = expand(place, "accept", "07")
    assert ran.code == 2
    assert ".expand/accepted.lock: it cannot be written: " in ran.err
    assert source_of(place).read_bytes() == before


def test_undo_never_leaves_the_workspace(place: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim.md"
    victim.write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    entry = {"chapter": "07", "source": "../victim.md", "former": "", "accepted": empty}
    (place / ".expand").mkdir(exist_ok=True)
    (place / ".expand" / "accepted.jsonl").write_text(json.dumps(entry) + "\n", encoding="utf-8")
    ran = expand(place, "accept", "--undo", "07")
    assert ran.code == 2
    assert "leaves the workspace" in ran.err
    assert victim.exists()


def test_review_shows_what_the_run_showed_and_sends_nothing(place: Path, server: ScriptedServer) -> None:
    nothing = expand(place, "review", "07")
    assert nothing.code == 2
    assert "there is no draft" in nothing.err
    ran = expand(place, "chapter", "07", "--base-url", server.base_url, "--json")
    asked = len(server.requests)
    reviewed = expand(place, "review", "07", "--json")
    assert reviewed.code == ran.code
    assert len(server.requests) == asked
    (then,), (now,) = ran.json["chapters"], reviewed.json["chapters"]
    assert now["length_score"] == then["length_score"]
    for before, after in zip(then["sections"], now["sections"], strict=True):
        assert (before["lines"], before["findings"]) == (after["lines"], after["findings"])
    markdown = expand(place, "review", "07", "--format", "markdown").out
    assert markdown.startswith("## Chapter 07 (en, plan full)")
    assert expand(place, "review", "07", "--format", "odd").code == 2


def test_review_compares_with_the_other_chapters(place: Path, server: ScriptedServer) -> None:
    drafted(place, server)
    said = "A signal that arrives while its handler runs stays pending, and of several that come then the kernel keeps"
    said += " only one of them."
    draft = place / "drafts" / "07.md"
    text = draft.read_text(encoding="utf-8")
    draft.write_text(text.replace("\n### 1.2", f"\n{said}\n\n### 1.2", 1), encoding="utf-8")
    outline = (place / "outlines" / "07.yaml").read_text(encoding="utf-8")
    (place / "outlines" / "08.yaml").write_text(outline.replace("07", "08"), encoding="utf-8")
    other = place / "chapters" / "08_signals.md"
    other.write_text(f"# Other\n\nText.\n\n{said.replace('only one', 'the first')}\n", encoding="utf-8")

    (chapter,) = expand(place, "review", "07", "--json").json["chapters"]
    messages = [one["message"] for one in chapter["sections"][0]["findings"] if one["kind"] == "repeats"]
    assert any("the first in chapters/08_signals.md, line 5: A signal that" in message for message in messages)
    (place / "outlines" / "08.yaml").write_text("id: [", encoding="utf-8")
    other.unlink()
    assert expand(place, "review", "07").code == 0, "an outline that cannot be read is another command's matter"


def test_revise_redraws_one_section_with_the_note_and_stays(place: Path, server: ScriptedServer) -> None:
    drafted(place, server)
    before = read(draft_of(place))
    asked = len(server.requests)
    note = "more on sigaction"
    args = ("revise", "07", "--section", "2", "--note", note, "--base-url", server.base_url)
    assert expand(place, *args).code in (0, 5)

    new = server.requests[asked:]
    assert new
    assert {r.headers["X-Client-Request-Id"].split("/")[1] for r in new} == {"2"}
    assert new[0].headers["X-Client-Request-Id"].split("/")[2] == "revise"
    assert note in new[0].last_user_message
    after = read(draft_of(place))
    assert [text == after.sections[number] for number, text in before.sections.items()] == [
        True,
        False,
        True,
    ]
    asked = len(server.requests)
    drafted(place, server)
    assert len(server.requests) == asked


def test_revise_leaves_a_persons_section_alone(place: Path, server: ScriptedServer) -> None:
    drafted(place, server)
    draft = place / "drafts" / "07.md"
    mine = draft_of(place).replace("## 2. ", "## 2. My ")
    draft.write_text(mine, encoding="utf-8")
    args = ("revise", "07", "--section", "2", "--note", "x", "--base-url", server.base_url)
    ran = expand(place, *args)
    assert ran.code == 2
    assert "was edited by hand" in ran.err
    assert draft_of(place) == mine
    assert expand(place, *args, "--fresh").code in (0, 5)
    assert "## 2. My " not in draft_of(place)


def two_chapters(place: Path) -> None:
    """Chapter 08 beside 07, both drafted by hand from their outlines, without a document of 08."""
    outline = (place / "outlines" / "07.yaml").read_text(encoding="utf-8")
    other = outline.replace("id: 07", "id: 08").replace("07_signals", "08_pipes")
    (place / "outlines" / "08.yaml").write_text(other, encoding="utf-8")
    with ScriptedServer() as server:
        arguments = ("chapter", "07", "08", "--base-url", server.base_url)
        assert expand(place, *arguments).code in (0, 5)


def documents(place: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (place / "chapters").iterdir()}


def test_chapters_are_accepted_together_or_not_at_all(place: Path) -> None:
    two_chapters(place)
    before = documents(place)
    draft = place / "drafts" / "08.md"
    whole = draft.read_text(encoding="utf-8")
    draft.write_text(whole.replace("\n## 2. ", "\n```rust\n\n## 2. ", 1), encoding="utf-8")

    ran = expand(place, "accept", "07", "08")
    assert ran.code == 5
    assert ran.out == ""
    assert "chapter 08 has" in ran.err
    assert "none of the chapters was accepted" in ran.err
    assert documents(place) == before
    assert not (place / ".expand" / "accepted.jsonl").exists()

    draft.write_text(whole, encoding="utf-8")
    ran = expand(place, "accept", "07", "08", "07")
    assert ran.code == 0
    assert ran.out == (
        "chapters/07_signals.md: replaced by drafts/07.md\nchapters/08_pipes.md: replaced by drafts/08.md\n"
    )
    assert set(documents(place)) == {*before, "08_pipes.md"}
    assert "accepted before" in expand(place, "accept", "08").out


def test_taking_back_a_document_that_was_not_there_removes_it(place: Path) -> None:
    two_chapters(place)
    assert expand(place, "accept", "07", "08").code == 0
    ran = expand(place, "accept", "--undo", "07", "08")
    assert ran.out == (
        "chapters/07_signals.md: the former text is back\nchapters/08_pipes.md: taken away: there was none\n"
    )
    assert set(documents(place)) == {"07_signals.md"}


def test_acceptances_of_several_threads_are_all_recorded(place: Path) -> None:
    kept = Acceptances(Workspace(root=place))
    names = [f"{number:02}" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda n: kept.accept(n, f"chapters/{n}.md", f"Text {n}\n"), names))
    assert all(done)
    assert all(kept.last(name) is not None for name in names)


@pytest.mark.parametrize("layout", ["keep", "numbered"])
def test_status_knows_the_lines_before_an_acceptance_and_those_added(
    place: Path, server: ScriptedServer, layout: str
) -> None:
    book = place / "outlines" / "book.yaml"
    book.write_text(f"{book.read_text(encoding='utf-8')}layout: {layout}\n", encoding="utf-8")
    drafted(place, server)
    before = source_of(place).read_bytes().count(b"\n")
    for part in (("--section", "2"), ()):
        assert expand(place, "accept", "07", *part, "--force").code == 0
    rows = expand(place, "status", "--json").json
    (row,) = [
        row for rows in (rows["finished_chapters"], rows["pending_chapters"]) for row in rows if row["id"] == "07"
    ]
    now = source_of(place).read_bytes().count(b"\n")
    assert (row["before"], row["lines"]) == (before, now)
    assert row.get("added", now - before) == now - before > 50
    for _ in range(2):
        assert expand(place, "accept", "07", "--undo").code == 0
    assert source_of(place).read_bytes().count(b"\n") == before


def chapter_row(place: Path) -> dict[str, Any]:
    rows = expand(place, "status", "--json").json
    (row,) = [
        row for rows in (rows["finished_chapters"], rows["pending_chapters"]) for row in rows if row["id"] == "07"
    ]
    return {**row}


def page_with(place: Path, said: str) -> None:
    """The document keeps its form, and has "Named pipes" with this text."""
    book = place / "outlines" / "book.yaml"
    book.write_text(f"{book.read_text(encoding='utf-8')}layout: keep\n", encoding="utf-8")
    source_of(place).write_text(f"# Pipes\n\n## Named pipes\n\n{said}\n", encoding="utf-8")


def rows_of(count: int) -> str:
    return "\n".join(f"Row {number} says something of its own about it." for number in range(count))


def test_an_outline_of_a_part_of_a_page_is_counted_by_its_sections_everywhere(
    place: Path, server: ScriptedServer
) -> None:
    page_with(place, f"They last.\n\n## Something else\n\n{rows_of(300)}")

    row = chapter_row(place)
    has = 4  # of "Named pipes", as a run counts it
    assert (row["before"], row["lines"], row["target"], row["to_add"]) == (has, has, 100, 100 - has)
    assert row["source"] == "outline"
    planned = expand(place, "plan", "07", "--json").json["plan_chapters"][0]
    assert (planned["lines"], planned["lines_after"], planned["added"]) == (has, 100, 100 - has)
    ran = expand(place, "chapter", "07", "--base-url", server.base_url, "--json").json["chapters"][0]
    assert expand(place, "accept", "07", "--force").code == 0
    now = chapter_row(place)
    assert (now["lines"], now["target"], now["source"]) == (ran["lines"], ran["target_lines"], "outline")
    assert now["added"] == ran["lines"] - has
    assert "its sections alone are counted" in expand(place, "status").out


def test_a_page_whose_headings_are_all_in_the_outline_is_counted_whole(place: Path) -> None:
    page_with(place, rows_of(91))

    row = chapter_row(place)

    assert (row["lines"], row["rate"], row["source"]) == (95, 95.0, "document")


def test_one_long_section_does_not_stand_for_another(place: Path) -> None:
    page_with(place, f"{rows_of(97)}\n\n## Something else")

    row = chapter_row(place)

    assert (row["lines"], row["rate"], row["to_add"]) == (100, 100.0, 60)


def test_a_document_of_the_same_name_in_another_folder_is_another_chapter(place: Path, server: ScriptedServer) -> None:
    texts = {name: f"# Overview\n\n## Start\n\nOf the {name}.\n" for name in ("server", "client", "proxy")}
    for name, text in texts.items():
        path = place / "docs" / name / "overview.md"
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
        assert expand(place, "outline", "import", str(path), "--lines", "25").code == 0
        assert expand(place, "outline", "import", str(path), "--lines", "25").code == 0
    sources = {
        chapter: Workspace(root=place).outline(chapter).source for chapter in Workspace(root=place).chapter_ids()
    }
    del sources["07"]
    assert sources == {
        "overview": "docs/server/overview.md",
        "client-overview": "docs/client/overview.md",
        "proxy-overview": "docs/proxy/overview.md",
    }
    assert expand(place, "chapter", "client-overview", "--base-url", server.base_url).code in (0, 5)
    assert expand(place, "accept", "client-overview", "--force").code == 0
    now = {name: (place / "docs" / name / "overview.md").read_text(encoding="utf-8") for name in texts}
    assert [name for name in texts if now[name] != texts[name]] == ["client"]


@pytest.mark.parametrize("layout", ["keep", "numbered"])
def test_an_edit_that_was_replaced_comes_back(place: Path, server: ScriptedServer, layout: str) -> None:
    book, draft = place / "outlines" / "book.yaml", place / "drafts" / "07.md"
    book.write_text(f"{book.read_text(encoding='utf-8')}layout: {layout}\n", encoding="utf-8")
    drafted(place, server)
    none = expand(place, "revise", "07", "--section", "2", "--restore")
    assert (none.code, none.out) == (2, "")
    assert "no edit of section 2 of chapter 07 was replaced" in none.err
    mine = draft_of(place).replace("About Opening a pipe.", "Mine.")
    assert mine != draft_of(place)
    draft.write_text(mine, encoding="utf-8")
    for again in (("chapter", "07"), ("revise", "07", "--note", "shorter")):
        assert expand(place, *again, "--section", "2", "--fresh", "--base-url", server.base_url).code in (0, 5)
        replaced = draft_of(place)
        assert "Mine." not in replaced
        assert expand(place, "revise", "07", "--section", "2", "--restore").code == 0
        assert document_text(draft_of(place)) == document_text(mine)
        states = [s["status"] for s in expand(place, "review", "07", "--json").json["chapters"][0]["sections"]]
        assert states == ["reused", "edited", "reused"]
    for _ in range(2):
        assert expand(place, "revise", "07", "--section", "2", "--restore", "--json").json["restored"] is True
    assert document_text(draft_of(place)) == document_text(mine)
    asked = len(server.requests)
    assert expand(place, "chapter", "07", "--base-url", server.base_url).code in (0, 5)
    assert len(server.requests) == asked
    assert expand(place, "revise", "07", "--section", "9", "--restore").code == 2
    assert expand(place, "revise", "07", "--section", "2").code == 2


def test_a_section_is_not_accepted_where_the_source_has_one_that_the_outline_lacks(
    place: Path, server: ScriptedServer
) -> None:
    drafted(place, server)
    assert expand(place, "accept", "07").code == 0
    mine = source_of(place).read_bytes() + b"\n## 4. Mine\n\nMy own text.\n"
    source_of(place).write_bytes(mine)
    ran = expand(place, "accept", "07", "--section", "2", "--force")
    assert ran.code == 2
    assert "add its section 4 to the outline, or accept the whole chapter" in ran.err
    assert source_of(place).read_bytes() == mine


@pytest.mark.parametrize("layout", ["keep", "numbered"])
def test_a_section_is_accepted_into_a_document_whose_outline_was_rearranged(
    place: Path, server: ScriptedServer, layout: str
) -> None:
    book, outline = place / "outlines" / "book.yaml", place / "outlines" / "07.yaml"
    book.write_text(f"{book.read_text(encoding='utf-8')}layout: {layout}\n", encoding="utf-8")
    drafted(place, server)
    assert expand(place, "accept", "07").code == 0
    accepted = source_of(place).read_text(encoding="utf-8")
    head, signals, pipes, checklist = outline.read_text(encoding="utf-8").split("  - title:")
    outline.write_text("  - title:".join([head, checklist, signals, pipes]), encoding="utf-8")
    drafted(place, server)
    mine = draft_of(place).replace("About Opening a pipe.", "Mine.")
    (place / "drafts" / "07.md").write_text(mine, encoding="utf-8")
    assert expand(place, "accept", "07", "--section", "3", "--force").code == 0
    text = source_of(place).read_text(encoding="utf-8")
    assert "Mine." in text
    said = [line for line in accepted.splitlines() if line.endswith(".") and "About Opening a pipe" not in line]
    assert all(text.count(line) == accepted.count(line) for line in said)
