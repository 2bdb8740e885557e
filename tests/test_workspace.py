"""Workspaces: found, and written to so that nobody ever sees half a file."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from workspaces import small

from expand.errors import InputError
from expand.workspace import Workspace, find_workspace, read_text, write_atomically


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace(root=small(tmp_path / "book"))


def test_it_is_found_from_itself_and_from_below(place: Workspace) -> None:
    assert find_workspace(place.root) == place
    assert find_workspace(place.root / "outlines") == place
    assert find_workspace(Path("/"), given=place.root) == place


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no expand\.toml in .* or above it; run `expand init`"):
        find_workspace(tmp_path)
    with pytest.raises(InputError, match=r"is no workspace: it has no expand\.toml"):
        find_workspace(tmp_path, given=tmp_path)


def test_paths(place: Workspace) -> None:
    assert place.settings_path == place.root / "expand.toml"
    assert place.ledger_path == place.root / ".expand" / "ledger.db"
    assert place.relative(place.draft_path("07")) == "drafts/07.md"
    assert place.prompts_folder == place.root / "prompts"
    assert place.chapter_ids() == ("07",)


def test_book_outline_and_source_are_read(place: Workspace) -> None:
    assert place.book().languages == ("en", "zh")
    outline = place.outline("07")
    assert outline.target_lines == 100
    assert place.source_bytes(outline).startswith(b"# Signals and pipes\n")
    (place.root / outline.source).unlink()
    assert place.source_bytes(outline) == b""


def test_a_draft_is_read_where_there_is_one(place: Workspace) -> None:
    assert place.draft("07") is None
    write_atomically(place.draft_path("07"), "# T\n\n## 1. One\n\nText.\n")
    draft = place.draft("07")
    assert draft is not None
    assert draft.sections == {1: "## 1. One\n\nText."}


def test_what_is_missing_is_named_with_what_would_help(place: Workspace) -> None:
    with pytest.raises(InputError, match=r"outlines/8\.yaml: chapter '8' has no outline; chapters"):
        place.outline("8")
    with pytest.raises(InputError, match="did you mean 07"):
        place.outline("7")
    place.outline_path("07").unlink()
    with pytest.raises(InputError, match="chapters with an outline: none"):
        place.outline("08")
    with pytest.raises(InputError, match="write it, or have it made with `expand outline import --suggest 07`"):
        place.outline("07")
    book = place.book_path.read_text(encoding="utf-8")
    place.book_path.write_text(book.replace("{id: 07,", "{id: 07, source: a.md,"), encoding="utf-8")
    (place.root / "a.md").write_text("# P\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"write it, or have it made with `expand outline import a\.md`"):
        place.outline("07")
    place.book_path.unlink()
    with pytest.raises(InputError, match=r"outlines/book\.yaml: there is no book file; create it"):
        place.book()


def test_a_chapter_id_is_never_a_path(place: Workspace) -> None:
    (place.root / "secret.yaml").write_text("id: x")
    with pytest.raises(InputError, match="has no outline"):
        place.outline("../secret")


def test_text_is_read_with_its_line_ends_and_without_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\n")
    assert read_text(path) == "one\r\ntwo\n"
    path.write_bytes(b"one\ntwo\n\xff\n")
    with pytest.raises(InputError, match=r"a\.md:3: byte 8 is not UTF-8; save the file as UTF-8"):
        read_text(path)


@pytest.mark.parametrize("text", ["", "one\ntwo", "a\r\nb\r\n", "文字\n", "\u2028\x0c\n"])
def test_what_is_written_is_what_is_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "new" / "folder" / "a.md"
    write_atomically(path, text)
    assert path.read_bytes() == text.encode()
    assert [file.name for file in path.parent.iterdir()] == ["a.md"]


def test_the_mode_is_kept_and_a_new_file_gets_the_usual_one(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    former = os.umask(0o027)
    try:
        write_atomically(path, "one")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        write_atomically(path, "two")
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
        assert os.umask(0o027) == 0o027, "the umask is left as it was"
    finally:
        os.umask(former)


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_former_text_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "a.md"
    write_atomically(path, "former")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"{'os' if broken == 'fsync' else 'pathlib.Path'}.{broken}", full)
    with pytest.raises(InputError, match="No space left"):
        write_atomically(path, "new and longer")
    monkeypatch.undo()
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="no folder can be opened there")
@pytest.mark.parametrize("durable", [True, False])
def test_a_durable_write_is_on_disk_with_the_name_that_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    path, synced, fsync = tmp_path / "a.md", list[tuple[str, bool]](), os.fsync

    def noted(handle: int) -> None:
        synced.append(("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file", path.exists()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    write_atomically(path, "text", durable=durable)
    assert synced == ([("file", False), ("folder", True)] if durable else [])


def test_a_reader_sees_the_former_or_the_new_text_and_no_half(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    texts = {letter * 200_000 for letter in "ab"}
    write_atomically(path, min(texts))
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(10):
        for text in sorted(texts):
            write_atomically(path, text)
    done.set()
    reader.join()
    assert seen <= texts
