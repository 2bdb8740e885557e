"""Finished chapters are passed over, and anything that may have changed has them looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_server import ScriptedServer
from workspaces import draft_of, expand, small

from expand.drafting.chapter import Chapter
from expand.drafting.draft_file import DraftStore


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, server: ScriptedServer) -> Path:
    folder = small(tmp_path)
    assert run(folder, server)["attempts"] > 0
    return folder


def run(place: Path, server: ScriptedServer, *more: str) -> Any:
    return expand(place, "chapter", "07", "--base-url", server.base_url, "--json", *more).json


def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The chapters that are opened from now on."""
    seen: list[str] = []
    original = Chapter.__init__

    def noted(self: Chapter, **given: Any) -> None:
        seen.append(given["outline"].id)
        original(self, **given)

    monkeypatch.setattr(Chapter, "__init__", noted)
    return seen


def test_a_finished_chapter_is_told_as_before_without_being_opened(
    place: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / ".expand/finished/en.full.json").rename(place / "kept.json")
    looked_at = run(place, server)
    seen = opened(monkeypatch)
    passed_over = run(place, server)
    assert seen == []
    assert passed_over["chapters"] == looked_at["chapters"]
    assert passed_over["attempts"] == 0
    assert {s["status"] for s in passed_over["chapters"][0]["sections"]} == {"reused"}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("outlines/07.yaml", "Opening a pipe", "Opening pipes"),
        ("outlines/book.yaml", "Name every version", "Name no version"),
        ("chapters/07_signals.md", "outlives", "survives"),
        ("drafts/07.md", "## 1. Signal handling", "## 1. Signals"),
    ],
)
def test_whatever_differs_has_it_looked_at(
    place: Path,
    server: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    old: str,
    new: str,
) -> None:
    text = (place / file).read_text(encoding="utf-8")
    assert old in text
    (place / file).write_text(text.replace(old, new), encoding="utf-8")
    seen = opened(monkeypatch)
    run(place, server)
    assert "07" in seen


def test_a_template_a_raised_edition_and_a_lost_draft_have_it_looked_at(
    place: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = draft_of(place)
    (place / "drafts/07.md").unlink()
    assert run(place, server)["attempts"] == 0
    assert draft_of(place) == before
    assert run(place, server, "--fresh", "--section", "3")["attempts"] > 0
    assert run(place, server)["attempts"] == 0
    (place / "prompts").mkdir(exist_ok=True)
    (place / "prompts/length.j2").write_text("Write {{ lines }} lines.\n", encoding="utf-8")
    seen = opened(monkeypatch)
    run(place, server)
    assert "07" in seen


def test_any_file_that_a_template_takes_text_from_has_it_looked_at(place: Path, server: ScriptedServer) -> None:
    folder = place / "prompts/chapters/07"
    folder.mkdir(parents=True)
    (folder / "length.j2").write_text('{% include "rules.md" %}\nWrite {{ lines }} lines.\n', encoding="utf-8")
    (folder / "rules.md").write_text("Be terse.\n", encoding="utf-8")
    assert run(place, server)["attempts"] > 0
    assert run(place, server)["attempts"] == 0
    (folder / "rules.md").write_text("Be thorough.\n", encoding="utf-8")
    assert run(place, server)["attempts"] > 0


def test_an_edit_that_comes_while_the_chapter_is_finished_leaves_no_record(
    place: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, original = place / ".expand/finished/en.full.json", DraftStore.close
    record.unlink()

    def edited(self: DraftStore, chapter: str) -> None:
        text = draft_of(place).replace("## 1. Signal handling", "## 1. Signals")
        (place / "drafts/07.md").write_text(text, encoding="utf-8")
        original(self, chapter)

    monkeypatch.setattr(DraftStore, "close", edited)
    run(place, server)
    assert not record.exists()
    monkeypatch.setattr(DraftStore, "close", original)
    told = run(place, server)["chapters"][0]["sections"]
    assert [section["status"] for section in told] == ["edited", "reused", "reused"]
    assert record.is_file()


def test_a_link_that_leads_nowhere_is_looked_at_each_time(place: Path, server: ScriptedServer) -> None:
    draft = place / "drafts/07.md"
    text = draft_of(place)
    end = text.index("## 2. Named pipes")
    draft.write_text(f"{text[:end]}See [this](gone.md).\n\n{text[end:]}", encoding="utf-8")
    for there in (False, True):
        (section, *_) = run(place, server)["chapters"][0]["sections"]
        assert ("broken-link" in {one["kind"] for one in section["findings"]}) is not there
        (place / "chapters/gone.md").write_text("# Gone\n", encoding="utf-8")


def test_a_record_of_another_form_is_no_record(place: Path, server: ScriptedServer) -> None:
    (place / ".expand/finished/en.full.json").write_text('{"07": [1, 2]}', encoding="utf-8")
    assert run(place, server)["attempts"] == 0


def test_a_damaged_record_is_no_record(place: Path, server: ScriptedServer) -> None:
    (place / ".expand/finished/en.full.json").write_text("[1, 2]", encoding="utf-8")
    assert run(place, server)["attempts"] == 0


def test_a_dry_run_tells_an_edited_section_from_a_current_one(place: Path, server: ScriptedServer) -> None:
    text = draft_of(place).replace("## 1. Signal handling", "## 1. Signals")
    (place / "drafts/07.md").write_text(text, encoding="utf-8")
    told = expand(place, "chapter", "07", "--base-url", server.base_url, "--dry-run").out
    assert "(edited)" in told
    assert "(current)" in told
