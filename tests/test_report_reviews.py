"""The status report takes what a run kept of a finished chapter, and holds every other draft
against its outline anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_server import ScriptedServer
from workspaces import expand, small

from expand.drafting.accept import review
from expand.drafting.draft_file import DraftFile
from expand.drafting.results import ChapterResult
from expand.drafting.run_options import settings_of
from expand.reports.data import figures
from expand.reports.status_report import Reviews, reviews
from expand.settings import Settings
from expand.workspace import Workspace


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, server: ScriptedServer) -> Path:
    folder = small(tmp_path)
    with (folder / "outlines/07.yaml").open("a", encoding="utf-8") as outline:
        outline.write("quality: {code_examples: 9}\n")  # more than come: something to tell
    expand(folder, "chapter", "07", "--base-url", server.base_url, "--json")
    return folder


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The chapters that are held against their outlines from now on."""
    seen: list[str] = []
    original = review

    def noted(draft_file: DraftFile, workspace: Workspace, settings: Settings, *, known_code: bool) -> ChapterResult:
        seen.append(draft_file.chapter.id)
        return original(draft_file, workspace, settings, known_code=known_code)

    monkeypatch.setattr("expand.drafting.accept.review", noted)
    return seen


def found(place: Path, server: ScriptedServer, model: str | None = None) -> Reviews:
    workspace = Workspace.open(place)
    settings = settings_of(workspace, base_url=server.base_url, model=model)
    return reviews(workspace, settings, figures(workspace, priced=False))


def test_a_finished_chapter_is_told_as_a_review_would(place: Path, server: ScriptedServer, held: list[str]) -> None:
    kept = found(place, server)
    assert held == []

    (place / ".expand/finished/en.full.json").unlink()
    assert found(place, server) == kept
    assert held == ["07"]
    assert kept["07"].every_finding


def test_what_a_person_wrote_is_told_as_theirs(place: Path, server: ScriptedServer, held: list[str]) -> None:
    path = place / "drafts/07.md"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("\n## 2.", "\nMine.\n\n## 2.", 1), encoding="utf-8")
    first = found(place, server)
    expand(place, "chapter", "07", "--base-url", server.base_url, "--json")

    assert found(place, server) == first
    assert held == ["07"]
    assert [section.status for section in first["07"].sections] == ["edited", "reused", "reused"]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("outlines/07.yaml", "lines: 20", "lines: 30"),
        ("outlines/book.yaml", "Name every version", "Name no version"),
        ("chapters/07_signals.md", "outlives", "survives"),
        ("drafts/07.md", "## 1. Signal handling", "## 1. Signals"),
        ("drafts/07.md", "plan=full", "plan=lean"),
        ("drafts/07.md", "plan=full", "plan=fuller"),
        ("drafts/07.md", "language=en", "language=la"),
    ],
)
def test_whatever_differs_has_it_held_against_its_outline(
    place: Path, server: ScriptedServer, held: list[str], file: str, old: str, new: str
) -> None:
    text = (place / file).read_text(encoding="utf-8")
    assert old in text
    (place / file).write_text(text.replace(old, new), encoding="utf-8")

    assert "07" in found(place, server)
    assert held == ["07"]


def test_another_model_and_a_lost_ledger_have_it_held_too(place: Path, server: ScriptedServer, held: list[str]) -> None:
    found(place, server, model="gpt-5")
    for path in (place / ".expand").glob("ledger.db*"):
        path.unlink()
    found(place, server)

    assert held == ["07", "07"]


def test_a_draft_that_is_missing_is_not_told_of(place: Path, server: ScriptedServer, held: list[str]) -> None:
    (place / "drafts/07.md").unlink()

    assert found(place, server) == {}
    assert held == []


def test_what_a_finished_line_takes_adds_up(place: Path) -> None:
    status = expand(place, "status", "--format", "json").json
    budget = expand(place, "budget", "--format", "json").json
    lines = {row["measure"]: row for row in status["per_line"]}
    assert lines["line.bought"]["tokens"] == lines["line.kept"]["tokens"] == budget["used"] - budget["opening"]
    assert lines["line.kept"]["counted"] == status["drafts"][0]["draft_lines"]
    assert lines["line.reserved"]["tokens"] > lines["line.bought"]["tokens"]
    assert 0 < lines["line.verified"]["counted"] <= lines["line.kept"]["counted"]
    each = lines["line.bought"]
    assert each["tokens_per_line"] == pytest.approx(each["tokens"] / each["counted"], abs=0.05)


def test_findings_are_counted_by_kind_and_code_as_far_as_it_was_judged(place: Path, server: ScriptedServer) -> None:
    before = expand(place, "status", "--format", "json").json
    every = [finding for result in found(place, server).values() for finding in result.every_finding]
    counts = {row["kind"]: row["blocking"] + row["warnings"] + row["notes_count"] for row in before["findings"]}
    assert counts == Counter(finding.kind for finding in every)
    assert before["drafts"][0]["code_blocks"] is None, "nothing was judged"

    path = place / "drafts/07.md"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("\n## 2.", "\n```json\n{}\n```\n\n```json\n{\n```\n\n## 2.", 1), encoding="utf-8")
    code = expand(place, "review", "07", "--code", "--json").json["chapters"][0]["sections"][0]["code"]
    assert code["failed"] == 1
    after = expand(place, "status", "--format", "json").json["drafts"][0]
    assert after["code_blocks"] - after["verified_blocks"] == 1 + code["unchecked"]
    after = expand(place, "status", "--format", "json").json
    assert "failed-code" in {row["kind"] for row in after["findings"]}
