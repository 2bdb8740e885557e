"""What drafts hold is counted once, and again whenever anything of it changed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from report_books import data_of, filled

from expand.drafting import draft_counts
from expand.errors import InputErrors
from expand.reports.data import BookData


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return filled(tmp_path / "book")


def kept(place: Path) -> Path:
    return place / ".expand" / "measured.json"


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that are counted from now on."""
    seen: list[str] = []
    original = draft_counts._count

    def noted(text: str) -> draft_counts.DraftSummary:
        seen.append(text)
        return original(text)

    monkeypatch.setattr("expand.drafting.draft_counts._count", noted)
    return seen


def delivered(data: BookData) -> list[int]:
    return [s.delivered for chapter in data.chapters for s in chapter.sections]


def test_a_draft_is_counted_once_and_told_the_same_from_then_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = counted(monkeypatch)
    first = data_of(place)
    assert sum(delivered(first)) > 0
    assert len(seen) > 0
    seen.clear()

    assert data_of(place) == first
    assert seen == []


def test_a_draft_changed_within_the_same_size_and_moment_is_seen(place: Path) -> None:
    before = delivered(data_of(place))
    path = place / "drafts/07.md"
    state, text = path.stat(), path.read_text(encoding="utf-8")
    first = text.index("\n", text.index("## 1. ")) + 2
    end = text.index("\n", first)
    path.write_text(text[:first] + "\n" * (end - first) + text[end:], encoding="utf-8")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert path.stat().st_size == state.st_size

    after = delivered(data_of(place))
    assert after != before
    kept(place).unlink()
    assert delivered(data_of(place)) == after


def test_another_state_of_the_code_counts_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = data_of(place)
    seen = counted(monkeypatch)
    monkeypatch.setattr("expand.drafting.draft_counts._code_state", lambda: "another")

    assert data_of(place) == first
    assert len(seen) > 0


def test_what_is_not_drafted_any_more_is_forgotten(place: Path) -> None:
    data_of(place)
    former = set(json.loads(kept(place).read_bytes())["drafts"])
    path = place / "drafts/07.md"
    path.write_text(path.read_text(encoding="utf-8") + "\nMore.\n", encoding="utf-8")
    data_of(place)

    assert not former & set(json.loads(kept(place).read_bytes())["drafts"])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda form: [],
        lambda form: {},
        lambda form: {**form, "drafts": []},
        lambda form: {**form, "drafts": dict.fromkeys(form["drafts"])},
        lambda form: {**form, "drafts": {name: ["en", "full"] for name in form["drafts"]}},
        lambda form: {**form, "drafts": {name: ["en", "full", ["a"]] for name in form["drafts"]}},
    ],
)
def test_a_record_that_is_none_changes_nothing(place: Path, spoil: Any) -> None:
    first = data_of(place)
    form = json.loads(kept(place).read_bytes())
    kept(place).write_text(json.dumps(spoil(form)), encoding="utf-8")

    assert data_of(place) == first
    assert json.loads(kept(place).read_bytes()) == form


def test_where_it_cannot_be_written_the_figures_are_the_same(place: Path) -> None:
    first = data_of(place)
    kept(place).unlink()
    kept(place).mkdir()

    assert data_of(place) == first


def test_a_report_makes_no_folder_of_the_tools_own(place: Path) -> None:
    (place / ".expand").rename(place / "away")
    data_of(place)

    assert not (place / ".expand").exists()


def test_a_draft_without_sections_is_none(place: Path) -> None:
    (place / "drafts/07.md").write_text("# Only a title\n", encoding="utf-8")

    for _ in range(2):
        (chapter,) = [c for c in data_of(place).chapters if c.id == "07"]
        assert chapter.draft is None


def test_an_outline_changed_within_the_same_size_and_moment_is_seen(place: Path) -> None:
    first = data_of(place)
    path = place / "outlines/07.yaml"
    state, text = path.stat(), path.read_text(encoding="utf-8")
    path.write_text(text.replace("lines: 20", "lines: 30"), encoding="utf-8")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert path.stat().st_size == state.st_size

    (before, after) = (next(c.outlined for c in data.chapters if c.id == "07") for data in (first, data_of(place)))
    assert before is not None
    assert after == before + 10


def test_an_outline_under_another_name_is_not_the_one_that_was_read(place: Path) -> None:
    data_of(place)
    (place / "outlines/07.yaml").rename(place / "outlines/09.yaml")

    with pytest.raises(InputErrors, match='id is "07", but the file is called'):
        data_of(place)


def test_a_source_that_becomes_wrong_is_refused_though_the_outline_is_the_same(place: Path, tmp_path: Path) -> None:
    source = place / "chapters/07_signals.md"
    assert f"source: chapters/{source.name}" in (place / "outlines/07.yaml").read_text("utf-8")
    data_of(place)
    source.unlink(missing_ok=True)
    data_of(place)

    source.mkdir()
    with pytest.raises(InputErrors, match="is a folder"):
        data_of(place)
    source.rmdir()
    source.symlink_to(tmp_path / "elsewhere.md")
    with pytest.raises(InputErrors, match="outside of the workspace"):
        data_of(place)
    source.unlink()
    source.parent.rename(tmp_path / "moved")
    source.parent.symlink_to(tmp_path / "moved")
    with pytest.raises(InputErrors, match="outside of the workspace"):
        data_of(place)
    source.parent.unlink()
    source.parent.write_text("", encoding="utf-8")
    data_of(place)
