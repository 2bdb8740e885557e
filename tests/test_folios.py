"""Which drafts of a run stay open between the look at them and the work on them, and when they are written."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from buying import begin, order
from buying import place as a_ledger
from scripted_server import ScriptedServer
from workspaces import draft_of, expand, small

from expand import expand_chapter
from expand.document.draft import read
from expand.drafting import draft_file as module
from expand.drafting.chapter import Chapter
from expand.drafting.events import Event, SectionDone, SectionGrew
from expand.drafting.model_setup import model_setup_for
from expand.drafting.run_context import UsageCounters
from expand.drafting.run_options import RunOptions
from expand.ledger import Ledger
from expand.markdown.lines import of_section
from expand.outline import Plan
from expand.settings import Settings
from expand.testing import ScriptedAuthor
from expand.workspace import Workspace


def draft_store_of(place: Path) -> module.DraftStore:
    workspace = Workspace.open(place)
    return module.DraftStore(
        workspace,
        workspace.book(),
        outlines={},
        options=RunOptions(plan=Plan.FULL, language="en"),
        setup=model_setup_for(workspace, Settings(model="gpt-4.1"), ledger=None),
    )


def test_a_draft_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, seen = small(tmp_path), Counter[str]()
    original = Chapter.__init__

    def noted(self: Chapter, **given: Any) -> None:
        seen[given["outline"].id] += 1
        original(self, **given)

    monkeypatch.setattr(Chapter, "__init__", noted)
    with ScriptedServer() as server:
        expand(place, "chapter", "07", "--base-url", server.base_url)
    assert seen == {"07": 1}


def test_a_section_that_gives_way_does_so_when_its_draft_is_read_again_too(tmp_path: Path) -> None:
    place = small(tmp_path)
    with ScriptedServer() as server:
        expand(place, "chapter", "07", "--base-url", server.base_url)
    edited = draft_of(place).replace("## 1. Signal handling", "## 1. Signals")
    (place / "drafts/07.md").write_text(edited, encoding="utf-8")
    some = draft_store_of(place)
    assert some.look("07").edited(1)
    some.look("07").overwrite(1)
    some.forget("07")
    assert not some.look("07").edited(1)


def test_a_person_who_edits_what_was_written_in_the_place_of_an_edit_keeps_it(tmp_path: Path) -> None:
    place = small(tmp_path)
    with ScriptedServer() as server:
        expand(place, "chapter", "07", "--base-url", server.base_url)
    (place / "drafts/07.md").write_text(draft_of(place).replace("## 1. Signal handling", "## 1. Signals"), "utf-8")
    some = draft_store_of(place)
    some.look("07").overwrite(1)
    some.forget("07")
    taken = some.take("07")
    assert not taken.edited(1)
    taken.put(1, "## 1. Signal handling\n\nBlocked.", "key")
    taken.write()
    (place / "drafts/07.md").write_text(draft_of(place).replace("Blocked.", "Held back."), "utf-8")
    some.forget("07")
    assert some.look("07").edited(1)


def test_a_chapter_that_is_finished_is_let_go_of(tmp_path: Path) -> None:
    some = draft_store_of(small(tmp_path))
    taken = some.take("07")
    assert some.look("07") is taken
    some.close("07")
    assert some.look("07") is not taken


async def test_a_section_is_in_its_draft_when_it_is_told_to_be_done(tmp_path: Path) -> None:
    place, seen = small(tmp_path), list[bool]()

    def on_event(event: Event) -> None:
        if isinstance(event, SectionDone):
            section = read(draft_of(place)).sections.get(event.section, "")
            seen.append(of_section(section) == event.lines)

    await expand_chapter(Workspace.open(place), "07", author=ScriptedAuthor(), on_event=on_event)
    assert seen == [True] * 3


def test_a_draft_that_was_only_touched_is_not_written_again(tmp_path: Path) -> None:
    place = small(tmp_path)
    taken, path = draft_store_of(place).take("07"), place / "drafts/07.md"
    os.utime(path, ns=(1, 1))
    taken.write()
    assert path.stat().st_mtime_ns == 1


def test_a_draft_is_written_when_it_is_taken_and_again_when_it_holds_more(tmp_path: Path) -> None:
    path = small(tmp_path) / "drafts/07.md"
    some = draft_store_of(tmp_path)
    some.look("07")
    assert not path.exists()
    taken = some.take("07")
    assert "## 1. Signal handling" in path.read_text(encoding="utf-8")
    taken.put(1, "## 1. Signal handling\n\nBlocked.", "")
    assert taken.unwritten
    some.write()
    assert not taken.unwritten
    assert "Blocked." in draft_of(tmp_path)


def test_what_remains_is_asked_for_as_answers_are_added(tmp_path: Path) -> None:
    shown: list[Event] = []
    with closing(Ledger.open(a_ledger(tmp_path))) as ledger:
        run = begin(ledger, 1000)
        usage = UsageCounters(ledger, shown.append)
        ledger.reserve(order(run))
        usage.show("03", 1, streaming=True, text="One.")
        usage.show("03", 1)
    assert [event.remaining_tokens for event in shown if isinstance(event, SectionGrew)] == [1000, 900]
