"""Records of chapters in a file that only grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from expand.drafting.result_cache import MOST_STALE, AppendOnlyStore
from expand.errors import InputError


def test_a_chapters_last_record_counts(tmp_path: Path) -> None:
    path = tmp_path / "finished" / "en.records"
    assert AppendOnlyStore(path).read(["1"]) == {}
    for chapter, lines in (("1", 10), ("2", 20), ("1", 11)):
        AppendOnlyStore(path).add(chapter, {"lines": lines})
    assert AppendOnlyStore(path).read(["1", "3"]) == {"1": {"lines": 11}}
    assert AppendOnlyStore(path).read(["1", "2"]) == {"1": {"lines": 11}, "2": {"lines": 20}}


def test_a_line_that_was_cut_off_takes_no_other_with_it(tmp_path: Path) -> None:
    path = tmp_path / "en.records"
    records = AppendOnlyStore(path)
    records.add("1", {"lines": 10})
    records.add("2", {"title": "Größe"})
    path.write_bytes(path.read_bytes()[:-4])
    records.add("3", {"lines": 30})
    assert records.read(["1", "2", "3"]) == {"1": {"lines": 10}, "3": {"lines": 30}}
    path.write_bytes(path.read_bytes() + b"\n4\t\xff\n[1, 2]\n\n")
    assert records.read(["1", "4"]) == {"1": {"lines": 10}}


def test_the_file_does_not_grow_without_end(tmp_path: Path) -> None:
    path = tmp_path / "en.records"
    for number in range(MOST_STALE + 1):
        AppendOnlyStore(path).add("1", {"lines": number})
    grown = AppendOnlyStore(path)
    grown.read(["1"])
    grown.add("2", {"lines": 20})
    assert path.read_text(encoding="utf-8").count("\n") == MOST_STALE + 2
    grown.add("1", {"lines": 10})
    grown.add("1", {"lines": 11})
    grown.read(["1"])
    grown.add("3", {"lines": 30})
    assert path.read_text(encoding="utf-8").count("\n") == 3
    assert [AppendOnlyStore(path).read([c])[c]["lines"] for c in "123"] == [11, 20, 30]


def test_what_cannot_be_written_anew_still_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "en.records"
    for number in range(MOST_STALE + 4):
        AppendOnlyStore(path).add("1", {"lines": number})

    def refuse(*given: object, **more: object) -> None:
        raise InputError("it cannot be written", remedy="make room")

    monkeypatch.setattr("expand.drafting.result_cache.write_bytes_atomically", refuse)
    records = AppendOnlyStore(path)
    records.read(["1"])
    records.add("2", {"lines": 20})
    assert records.read(["2"]) == {"2": {"lines": 20}}
    assert path.read_text(encoding="utf-8").count("\n") == MOST_STALE + 5


def test_a_file_that_cannot_be_written_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    AppendOnlyStore(tmp_path / "file" / "en.records").add("1", {"lines": 10})
    (tmp_path / "folder.records").mkdir()
    AppendOnlyStore(tmp_path / "folder.records").add("1", {"lines": 10})
    assert AppendOnlyStore(tmp_path / "folder.records").read(["1"]) == {}
