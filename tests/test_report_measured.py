"""What drafts and outlines hold is told as it is now."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from buying import begin, failed, order
from report_books import MODEL, data_of, filled

from expand.errors import InputErrors
from expand.ledger import Ledger, Reservation
from expand.llm.types import Failure
from expand.reports.data import BookData


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return filled(tmp_path / "book")


def delivered(data: BookData) -> list[int]:
    return [s.delivered for chapter in data.chapters for s in chapter.sections]


def test_a_draft_changed_within_the_same_size_and_moment_is_seen(place: Path) -> None:
    before = delivered(data_of(place))
    path = place / "drafts/07.md"
    state, text = path.stat(), path.read_text(encoding="utf-8")
    first = text.index("\n", text.index("## 1. ")) + 2
    end = text.index("\n", first)
    path.write_text(text[:first] + "\n" * (end - first) + text[end:], encoding="utf-8")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert path.stat().st_size == state.st_size

    assert delivered(data_of(place)) != before


def test_a_report_makes_no_folder_of_the_tools_own(place: Path) -> None:
    (place / ".expand").rename(place / "away")
    data_of(place)

    assert not (place / ".expand").exists()


def test_a_draft_without_sections_is_none(place: Path) -> None:
    (place / "drafts/07.md").write_text("# Only a title\n", encoding="utf-8")

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


def test_what_an_unknown_outcome_was_charged_is_no_measure_of_a_line(place: Path) -> None:
    before = data_of(place)
    ledger = Ledger.open(place / ".expand" / "ledger.db")
    asked = order(begin(ledger, 200_000), "killed", chapter="07", section=1, prompt=9000, model=MODEL)
    found = ledger.reserve(asked)
    assert isinstance(found, Reservation)
    ledger.fail(found.attempt_id, failed(Failure.CRASHED), unbilled=False)
    ledger.close()
    after = data_of(place)
    assert after.balance.used_tokens >= before.balance.used_tokens + 9000
    first, then = ([(one.section, one.lines, one.tokens) for one in data.samples] for data in (before, after))
    assert first == then != []
