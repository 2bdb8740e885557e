"""Outlines, books and settings that somebody broke on purpose: a message with exit code 2, within seconds, or a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_texts import HOSTILE, NUMBERS, book_files, ids, outline_files, settings_files
from hypothesis import example, given
from workspaces import BOOK, OUTLINE, expand, small

from expand.doctor.outline_check import check_outlines
from expand.errors import InputError
from expand.outline.reading import MAX_ID_BYTES, id_mistake
from expand.schema.input_file import MAX_BYTES, MAX_DEPTH, MAX_DIGITS, parse_toml
from expand.settings import read_settings, require_author
from expand.workspace import MAX_DOCUMENT_BYTES, Workspace

SECONDS = 20.0
"""For one command, on a machine that does other things too; most take a few milliseconds."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small(tmp_path_factory.mktemp("hostile") / "book")


def refused_or_read(read: Callable[[], object]) -> None:
    """Nothing but an input error, with a place, that can be printed."""
    begun = time.monotonic()
    try:
        read()
    except InputError as refused:
        said = str(refused).encode(errors="backslashreplace")
    else:
        said = b""
    assert len(said) < 200_000
    assert time.monotonic() - begun < SECONDS


@HOSTILE
@given(raw=outline_files)
@example(raw=("[" * 990 + "]" * 990).encode())
@example(raw=OUTLINE.replace("lines: 20", "lines: " + "1" * 5000).encode())
@example(raw=OUTLINE.replace("id: 07", "id: " + "7" * 300).encode())
@example(raw=OUTLINE.replace("chapters/07_signals.md", "chapters/" + "x" * 300 + ".md").encode())
@example(raw=OUTLINE.replace("chapters/07_signals.md", '"chapters/\\u0000.md"').encode())
def test_an_outline_is_read_or_refused(place: Path, raw: bytes) -> None:
    path = place / "outlines" / "07.yaml"
    path.write_bytes(raw)
    workspace = Workspace(root=place)
    check = check_outlines(workspace, ["07"])
    refused_or_read(lambda: workspace.source_bytes(workspace.outline("07")))
    if not check.errors:
        ran = expand(place, "chapter", "07", "--dry-run")
        assert ran.code in (0, 2), ran.err
    path.write_text(OUTLINE, encoding="utf-8")


@HOSTILE
@given(raw=book_files)
def test_a_book_is_read_or_refused(place: Path, raw: bytes) -> None:
    path = place / "outlines" / "book.yaml"
    path.write_bytes(raw)
    workspace = Workspace(root=place)
    check = check_outlines(workspace, ["07"])
    refused_or_read(workspace.book)
    if not check.errors:
        ran = expand(place, "status")
        assert ran.code in (0, 2), ran.err
    path.write_text(BOOK, encoding="utf-8")


@HOSTILE
@given(raw=settings_files)
@example(raw=b"[author]\nbase_url = 'http://[::1'\n")
@example(raw=b"[author]\nconcurrency = 1e99999999999999999999\n")
@example(raw=b"ledger = '" + b"x" * 5000 + b"'\n")
def test_settings_are_read_or_refused(place: Path, raw: bytes) -> None:
    path = place / "expand.toml"
    path.write_bytes(raw)
    workspace = Workspace(root=place)

    def read() -> None:
        settings = read_settings(path, environment={})
        require_author(settings, path=path)
        _ = workspace.ledger_place

    refused_or_read(read)
    check_outlines(workspace, ["07"])
    path.write_text('[author]\nmodel = "scripted"\n', encoding="utf-8")


@HOSTILE
@given(chapter=ids)
@example(chapter="x" * 300)
@example(chapter="\0")
@example(chapter="\ud800")
@example(chapter="../07")
def test_a_chapter_is_known_or_not(place: Path, chapter: str) -> None:
    workspace = Workspace(root=place)
    for read in (workspace.outline, workspace.draft, workspace.outline_path, workspace.draft_path):
        refused_or_read(lambda read=read: read(chapter))  # type: ignore[misc]


def test_a_chapter_of_300_characters_on_the_command_line(place: Path) -> None:
    for command in (("chapter",), ("review",), ("accept",), ("accept", "--undo"), ("prompt", "show", "--section", "1")):
        ran = expand(place, command[0], *command[1:], "x" * 300)
        assert ran.code == 2, ran.err
        assert ran.err.count("\n") < 5


@pytest.mark.parametrize(("chapter", "fits"), [("性" * 33 + "x", True), ("性" * 33 + "xx", False)])
def test_how_long_an_id_may_be_as_a_file_s_name(place: Path, chapter: str, fits: bool) -> None:
    assert (len(chapter.encode()) <= MAX_ID_BYTES) is fits
    assert (id_mistake(chapter) is None) is fits
    path = place / "outlines" / f"{chapter}.yaml"
    path.write_text(OUTLINE.replace("id: 07", f"id: {chapter}"), encoding="utf-8")
    ran = expand(place, "outline", "check", chapter)
    path.unlink()
    assert ran.code == (0 if fits else 2)
    assert ("has 101 bytes as a file's name; give at most 100" in ran.out + ran.err) is not fits


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_in_the_settings_is_read_or_refused_with_its_line(place: Path, number: str) -> None:
    file = parse_toml(f"\n[author]\nconcurrency = {number}\n", "expand.toml")
    if file.problems:
        with pytest.raises(InputError, match=r"^expand\.toml:3:\d+: "):
            file.raise_if_any()


@pytest.mark.parametrize(("digits", "fits"), [(MAX_DIGITS, True), (MAX_DIGITS + 1, False)])
def test_how_many_digits_a_number_of_the_settings_may_have(digits: int, fits: bool) -> None:
    for number in ("9" * digits, "9" * (digits - 1) + ".", "9" * (digits - 4) + "e-10"):
        file = parse_toml(f"a = {number}{'0' if number.endswith('.') and fits else ''}".replace(".0", ""), "f")
        assert bool(file.problems) is not fits or "." in number


@pytest.mark.parametrize(("depth", "fits"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False)])
def test_how_deep_values_of_the_settings_may_be_nested(depth: int, fits: bool) -> None:
    for text in (
        f"a = {'[' * (depth - 1)}{']' * (depth - 1)}",
        f"{'.'.join('a' * depth)} = 1",
        f"[{'.'.join('a' * (depth - 1))}]",
    ):
        assert bool(parse_toml(text, "f").problems) is not fits, text


@pytest.mark.parametrize(
    "text",
    [
        "bogus = [\n" + "1,\n" * 100_000 + "]\n",
        "[author]\n" + "".join(f"a{n} = 1\n" for n in range(20_000)),
        "bogus = '''\n" + "x\n" * 100_000 + "'''\n",
        "".join(f"[models.m{n}]\nfoo=1\n" for n in range(20_000)),
        "a." * 100_000 + "a = 1",
        "x = " + "{a=" * 300 + "1" + "}" * 300,
    ],
    ids=["list", "keys", "text", "tables", "dots", "inline"],
)
def test_a_mistake_in_large_settings_is_found_within_seconds(place: Path, text: str) -> None:
    (place / "expand.toml").write_text(text, encoding="utf-8")
    begun = time.monotonic()
    ran = expand(place, "outline", "check")
    assert ran.code == 2
    assert time.monotonic() - begun < SECONDS
    (place / "expand.toml").write_text('[author]\nmodel = "scripted"\n', encoding="utf-8")


@pytest.mark.parametrize("name", ["outlines/07.yaml", "outlines/book.yaml", "expand.toml"])
@pytest.mark.parametrize("content", [b"", b"\0" * 1000, b"\x7fELF\xff\xfe", b"#" * (MAX_BYTES + 1), b"\xff\xfea\0"])
def test_an_empty_a_binary_and_a_large_file(tmp_path: Path, name: str, content: bytes) -> None:
    place = small(tmp_path / "book")
    (place / name).write_bytes(content)
    for command in (("outline", "check"), ("chapter", "07", "--dry-run"), ("status",), ("doctor",)):
        ran = expand(place, *command)
        assert ran.code == 2 or (name == "expand.toml" and not content and ran.code == 0), (command, ran.err)


def test_a_document_may_be_large_but_not_without_end(tmp_path: Path) -> None:
    place = small(tmp_path / "book")
    source = place / "chapters" / "07_signals.md"
    with source.open("wb") as file:
        file.truncate(MAX_DOCUMENT_BYTES + 1)
    ran = expand(place, "chapter", "07", "--dry-run")
    assert ran.code == 2
    assert "it is larger than 20,000,000 bytes; split it" in ran.err
    with source.open("wb") as file:
        file.truncate(MAX_DOCUMENT_BYTES)
    assert len(Workspace(root=place).source_bytes(Workspace(root=place).outline("07"))) == MAX_DOCUMENT_BYTES


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mkdocs.yml", "nav: " + "[" * 990 + "]" * 990),
        ("mkdocs.yml", "nav: " + "1" * 5000),
        ("mkdocs.yml", "a: 2001-99-99\nnav: &a [*a]\n"),
        ("mkdocs.yml", "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [{'*b' + str(n - 1) if n else '*a'}" + f", {'*b' + str(n - 1) if n else '*a'}]\n" for n in range(60)) + "nav: *b59\n"),  # noqa: E501
        ("mkdocs.yml", "a: &a {x: 1}\n" + "".join(f"b{n}: &b{n} {{<<: [{', '.join(['*b' + str(n - 1) if n else '*a'] * 9)}]}}\n" for n in range(9)) + "nav: *b8\n"),  # noqa: E501
        ("mkdocs.yml", "docs_dir: /\n"),
        ("mkdocs.yml", 'docs_dir: "\\0"\n'),
        ("mkdocs.yml", "? [a]\n: b\n"),
        ("book.toml", "x = " + "[" * 990 + "]" * 990),
        ("book.toml", "x = " + "1" * 5000),
        ("book.toml", "[book]\nsrc = '/etc'\n"),
    ],
)  # fmt: skip
def test_init_reads_the_settings_of_other_tools_or_refuses_them(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    begun = time.monotonic()
    assert expand(tmp_path, "init", str(tmp_path)).code in (0, 2)
    assert time.monotonic() - begun < SECONDS


@pytest.mark.parametrize(
    "text",
    [
        "# Chapter {n}: Pipes\n\n## Tools ({n} lines)\n",
        "## 第{n}章\n\n1. **A** ({n}行)\n",
        "| Document | Lines | Hours |\n|---|---|---|\n| {n}. A | {n} | {n} min |\n",
    ],
)
def test_a_document_with_numbers_of_5000_digits_is_imported_or_refused(tmp_path: Path, text: str) -> None:
    place = small(tmp_path / "book")
    document = tmp_path / "plan.md"
    document.write_text(text.replace("{n}", "8" * 5000), encoding="utf-8")
    for kind in ("auto", "headings", "plan"):
        assert expand(place, "outline", "import", str(document), "--from", kind, "--dry-run").code in (0, 2)


def test_a_draft_with_numbers_of_5000_digits_is_read(tmp_path: Path) -> None:
    place = small(tmp_path / "book")
    (place / "drafts").mkdir()
    number = "8" * 5000
    text = f"# T\n\n## {number}. One\n\nText.\n\n<!-- expand language=en plan=full {number}=a:b:c -->\n"
    (place / "drafts" / "07.md").write_text(text, encoding="utf-8")
    assert expand(place, "review", "07").code in (0, 5)
    assert expand(place, "status").code == 0


# --- names that some file systems take for one ----------------------------------------------------


@pytest.mark.parametrize(("other", "alike"), [("3a", True), ("3b", False)])
def test_ids_that_differ_in_letter_case_only_are_a_warning(tmp_path: Path, other: str, alike: bool) -> None:
    place = small(tmp_path / "book")
    for chapter in ("3A", other):
        (place / "outlines" / f"{chapter}.yaml").write_text(
            OUTLINE.replace("id: 07", f"id: {chapter}").replace("07_signals", chapter), encoding="utf-8"
        )
    ran = expand(place, "outline", "check")
    assert ran.code == 0
    said = 'outlines/3A.yaml:1:5: warning: chapter "3a" differs in letter case only; where file names ignore it, both '
    assert (said in ran.out + ran.err) is alike


@pytest.mark.parametrize(("source", "same"), [("./chapters/07_signals.md", True), ("chapters/08.md", False)])
def test_two_chapters_with_one_source_are_a_warning_and_are_not_accepted_together(
    tmp_path: Path, source: str, same: bool
) -> None:
    place = small(tmp_path / "book")
    text = OUTLINE.replace("id: 07", "id: 08").replace("chapters/07_signals.md", source)
    (place / "outlines" / "08.yaml").write_text(text, encoding="utf-8")
    checked = expand(place, "outline", "check")
    assert checked.code == 0
    said = 'outlines/08.yaml:3:9: warning: chapter "07" has the same source; accepting one undoes the other'
    assert (said in checked.out + checked.err) is same
    (place / "drafts").mkdir()
    for chapter in ("07", "08"):
        (place / "drafts" / f"{chapter}.md").write_text("# T\n\n## 1. One\n\nText.\n", encoding="utf-8")
    ran = expand(place, "accept", "07", "08", "--force")
    assert ran.code == (2 if same else 0)
    assert ("two of the chapters have the same source; give each a document of its own" in ran.err) is same
