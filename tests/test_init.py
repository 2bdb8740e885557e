"""A new workspace: what is found in a docs tree, what is written, and that nothing is changed."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

import expand.doctor as shell_command_module
from expand.cli import app
from expand.doctor import shell_command
from expand.doctor.outline_check import check_outlines
from expand.errors import InputError
from expand.scaffold import MOST_DOCUMENTS, DocsTree, create_workspace, find_tree
from expand.workspace import Workspace


def plant(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def chapters(tree: DocsTree) -> list[tuple[str, str, str]]:
    return [(c.id, c.title, c.source) for c in tree.chapters]


MDBOOK = {
    "book.toml": '[book]\ntitle = "Pipes and Signals"\nlanguage = "de"\nsrc = "text"\n',
    "text/SUMMARY.md": "# Summary\n\n- [Preface](README.md)\n- [Pipes](pipes.md)\n"
    "  - [FIFOs](more/fifos.md)\n- [Signals]()\n- [Away](../../away.md)\n",
    "text/README.md": "# Preface\n",
    "text/pipes.md": "# All about pipes\n\n## Reading\n\n### Blocking\n\n## Writing\n",
    "text/more/fifos.md": "# FIFOs\n",
}
MKDOCS = {
    "mkdocs.yml": """\
site_name: Pipes
theme:
  name: material
  language: zh
nav:
  - index.md
  - Guide:
      - Pipes: guide/pipes.md#top
      - ./guide/signals.md
  - Elsewhere: https://example.org/x.md
  - Picture: x.png
  - 3
markdown_extensions:
  - emoji:
      generator: !!python/name:material.extensions.emoji.to_svg
      key: !ENV [KEY, 1]
""",
    "docs/index.md": "# 首页\n",
    "docs/guide/pipes.md": "# 管道\n\n## 读\n\n## 写\n",
    "docs/guide/signals.md": "# 信号\n",
}


def test_an_mdbook(tmp_path: Path) -> None:
    tree = find_tree(plant(tmp_path, MDBOOK))
    assert (tree.kind, tree.title, tree.language) == ("mdBook", "Pipes and Signals", "de")
    assert tree.listing == "text/SUMMARY.md"
    assert chapters(tree) == [
        ("README", "Preface", "text/README.md"),
        ("pipes", "Pipes", "text/pipes.md"),
        ("fifos", "FIFOs", "text/more/fifos.md"),
        ("signals", "Signals", "text/signals.md"),
    ]
    assert [c.exists for c in tree.chapters] == [True, True, True, False]


def test_an_mdbook_by_its_summary_alone(tmp_path: Path) -> None:
    root = plant(tmp_path / "my_book", {"SUMMARY.md": "- [A](a.md)\n", "a.md": "# A\n"})
    tree = find_tree(root)
    assert (tree.kind, tree.title, tree.listing) == ("mdBook", "My book", "SUMMARY.md")
    empty = find_tree(plant(tmp_path / "other", {"book.toml": "book = 3\n"}))
    assert (empty.kind, empty.chapters, empty.listing) == ("mdBook", (), None)


def test_a_mkdocs_tree(tmp_path: Path) -> None:
    tree = find_tree(plant(tmp_path, MKDOCS))
    assert (tree.kind, tree.title, tree.language) == ("MkDocs", "Pipes", "zh")
    assert chapters(tree) == [
        ("index", "首页", "docs/index.md"),
        ("pipes", "Pipes", "docs/guide/pipes.md"),
        ("signals", "信号", "docs/guide/signals.md"),
    ]


def test_a_mkdocs_tree_without_nav(tmp_path: Path) -> None:
    files = {
        "mkdocs.yaml": "docs_dir: pages\ntheme: readthedocs\n",
        "pages/b.md": "",
        "pages/a.md": "",
    }
    tree = find_tree(plant(tmp_path, files))
    assert [c.source for c in tree.chapters] == ["pages/a.md", "pages/b.md"]
    assert tree.listing is None
    assert find_tree(plant(tmp_path / "x", {"mkdocs.yml": "- 1\n"})).chapters == ()


def test_plain_markdown_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    files = {
        "docs/10_ten.md": "# Ten\n\n## A\n\n## B\n",
        "docs/9_nine.md": "# 九\n" + "中文" * 40,
        "docs/guide/index.md": "# Guide\n",
        "docs/guide/a.md": "no heading",
        "docs/CHANGELOG.md": "# Changes\n",
        "docs/.hidden.md": "",
        "docs/node_modules/x.md": "",
        "docs/_private/x.md": "",
        "docs/broken.md": "",
        "notes.md": "not below docs",
    }
    root = plant(tmp_path, files)
    (root / "docs" / "broken.md").write_bytes(b"# \xff\n")
    tree = find_tree(root)
    assert chapters(tree) == [
        ("9_nine", "九", "docs/9_nine.md"),
        ("10_ten", "Ten", "docs/10_ten.md"),
        ("broken", "Broken", "docs/broken.md"),
        ("CHANGELOG", "Changes", "docs/CHANGELOG.md"),
        ("guide", "Guide", "docs/guide/index.md"),
        ("a", "A", "docs/guide/a.md"),
    ]
    assert tree.language == "zh"


def test_plain_markdown_beside_the_settings(tmp_path: Path) -> None:
    files = {"01_a.md": "# A\n", "02_b.md": "# B\n", "README.md": "", "deep/er/03_c.mdx": "", "LICENSE.md": ""}
    tree = find_tree(plant(tmp_path, files))
    assert chapters(tree) == [
        ("README", "README", "README.md"),
        ("01", "A", "01_a.md"),
        ("02", "B", "02_b.md"),
        ("03", "C", "deep/er/03_c.mdx"),
    ]


def test_a_folder_of_very_many_documents_is_cut_short(tmp_path: Path) -> None:
    files = {f"docs/{n // 400}/{n}.md": "" for n in range(MOST_DOCUMENTS + 20)}
    assert len(find_tree(plant(tmp_path, files)).chapters) == MOST_DOCUMENTS


def test_a_document_outside_through_a_link_is_no_chapter(tmp_path: Path) -> None:
    outside = plant(tmp_path / "out", {"x.md": "# X\n"})
    root = plant(tmp_path / "in", {"docs/a.md": "# A\n"})
    (root / "docs" / "x.md").symlink_to(outside / "x.md")
    assert [c.id for c in find_tree(root).chapters] == ["a"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("mkdocs.yml", "a: [\n", r"mkdocs.yml:2:1: this is no YAML: .*; fix it"),
        ("book.toml", "a = \n", r"book.toml: this is no TOML: .*line 1.*; fix it"),
    ],
)
def test_a_listing_that_cannot_be_read(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_tree(plant(tmp_path, {name: text}))


def verdict(workspace: Workspace) -> tuple[int, list[str]]:
    check = check_outlines(workspace, workspace.chapter_ids())
    return check.read, [str(finding) for finding in check.findings]


@pytest.mark.parametrize("files", [{}, MDBOOK, MKDOCS], ids=["empty", "mdBook", "MkDocs"])
def test_what_is_written_is_right_and_fits_its_own_schema(tmp_path: Path, files: dict[str, str]) -> None:
    founded = create_workspace(plant(tmp_path, files), every=True)
    read, findings = verdict(founded.workspace)
    assert read == len(founded.tree.chapters)
    assert [f for f in findings if "there is no file" not in f] == []
    assert founded.kept == ()
    for path in (tmp_path / "outlines").glob("*.yaml"):
        first, _, rest = path.read_text(encoding="utf-8").partition("\n")
        schema = (path.parent / first.removeprefix("# yaml-language-server: $schema=")).read_text()
        jsonschema.Draft202012Validator(json.loads(schema)).validate(yaml.safe_load(rest))


def test_the_first_outline_is_of_a_real_chapter(tmp_path: Path) -> None:
    founded = create_workspace(plant(tmp_path, MDBOOK))
    assert founded.first == "pipes"
    assert founded.workspace.chapter_ids() == ("pipes",)
    outline = founded.workspace.outline("pipes")
    assert [(s.title.plain, s.lines, len(s.topics)) for s in outline.sections] == [
        ("Reading", 400, 1), ("Writing", 200, 0),
    ]  # fmt: skip
    book = founded.workspace.book()
    assert (book.title.plain, book.language, book.languages) == (
        "Pipes and Signals", "de", ("de",),
    )  # fmt: skip
    assert [chapter.id for chapter in book.chapters] == ["README", "pipes", "fifos", "signals"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    plant(tmp_path, MDBOOK)
    mine = {
        "expand.toml": "# mine\n",
        "outlines/book.yaml": "title: Mine\n",
        "outlines/pipes.yaml": "# half done\n",
    }
    before = {path: path.read_bytes() for path in plant(tmp_path, mine).rglob("*") if path.is_file()}
    founded = create_workspace(tmp_path)
    assert set(founded.kept) == set(mine)
    assert {path: path.read_bytes() for path in before} == before
    assert create_workspace(tmp_path).written == ()


def test_schemas_are_renewed_and_nothing_else(tmp_path: Path) -> None:
    plant(tmp_path, MDBOOK)
    create_workspace(tmp_path)
    schema = tmp_path / "outlines" / ".schema" / "outline.json"
    fresh = schema.read_text()
    schema.write_text("{}")
    (tmp_path / "outlines" / "pipes.yaml").rename(tmp_path / "outlines" / "fifos.yaml")
    text = (tmp_path / "outlines" / "fifos.yaml").read_text().replace("id: pipes", "id: fifos")
    (tmp_path / "outlines" / "fifos.yaml").write_text(text)
    again = create_workspace(tmp_path)
    assert (again.written, again.renewed) == ((), ("outlines/.schema/outline.json",))
    assert schema.read_text() == fresh
    assert again.first == "fifos", "a workspace that has an outline needs no other to begin with"
    assert (tmp_path / "outlines" / "fifos.yaml").read_text() == text
    assert "  renewed  outlines" not in init(str(tmp_path)).stdout


def test_chapters_keep_the_ids_that_the_book_has_for_their_documents(tmp_path: Path) -> None:
    create_workspace(plant(tmp_path, MDBOOK))
    book = tmp_path / "outlines" / "book.yaml"
    book.write_text(book.read_text().replace("id: signals", "id: ch9"))
    again = create_workspace(tmp_path, every=True)
    assert "outlines/ch9.yaml" in again.written
    assert "outlines/signals.yaml" not in again.written
    assert again.further is None


def test_what_the_tool_keeps_for_itself_stays_out_of_version_control(tmp_path: Path) -> None:
    create_workspace(tmp_path)
    assert (tmp_path / ".expand" / ".gitignore").read_text() == "*\n"


def init(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["init", *arguments])


def test_the_command_says_what_to_do_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(plant(tmp_path, MDBOOK))
    result = init("--language", "en")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "mdBook: Pipes and Signals, 4 chapters, 0 finished"
    assert "  written  outlines/pipes.yaml\n" in result.stdout
    name = shell_command().name
    assert "  1. look at outlines/pipes.yaml: its sections, lines and topics\n" in result.stdout
    assert f"  2. {name} outline check\n" in result.stdout
    assert result.stdout.endswith(f"further outlines: {name} outline import text/SUMMARY.md\n")
    book = Workspace(root=tmp_path).book()
    assert (book.title.plain, book.language) == ("Pipes and Signals", "en")
    assert "  kept     expand.toml\n" in init().stdout


def test_the_command_in_a_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(plant(tmp_path, {"expand.toml": ""}))
    result = init("new book")
    assert "No documents found.\n" in result.stdout
    assert "outline import plan.md" in result.stdout
    assert "  1. cd 'new book'\n" in result.stdout
    assert verdict(Workspace(root=tmp_path / "new book")) == (0, [])


def test_the_command_refuses(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "this is a file; name a folder" in str(init(str(tmp_path / "file")).exception)
    wrong = init(str(tmp_path), "--language", "English")
    assert str(wrong.exception) == "--language is 'English'; give a code such as en or zh"
    assert not (tmp_path / "expand.toml").exists()


def launcher(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_which_command_the_shell_runs(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    launcher(ours, "expand", "#!/usr/bin/python\nfrom expand.__main__ import main\n")
    other = launcher(theirs, "expand", "#!/bin/sh\n")
    found = shell_command({"PATH": f"{ours}:{theirs}"})
    assert (found.name, found.found, found.ours) == ("expand", ours / "expand", True)
    found = shell_command({"PATH": f"{theirs}:{ours}"})
    assert (found.name, found.found, found.ours) == (f"{Path(sys.executable).parent}/chapter-expand", other, False)
    launcher(ours, "chapter-expand", "from expand.__main__ import main")
    assert shell_command({"PATH": f"{theirs}:{ours}"}).name == "chapter-expand"
    nothing = shell_command({"PATH": str(tmp_path)})
    assert nothing.found is None
    assert nothing.name == f"{Path(sys.executable).parent}/chapter-expand"
    other.unlink()
    other.mkdir()
    other.chmod(0o755)
    assert shell_command({"PATH": str(theirs)}).found is None


def test_a_launcher_that_cannot_be_read_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = launcher(tmp_path, "expand", "from expand.__main__ import main")

    def refuse(self: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(self)

    monkeypatch.setattr(Path, "open", refuse)
    found = shell_command({"PATH": str(tmp_path)})
    assert (found.found, found.ours) == (path, False)


def test_the_launchers_that_are_installed_are_recognised() -> None:
    scripts = importlib.metadata.distribution("chapter-expand").entry_points
    ours = [script for script in scripts if script.group == "console_scripts"]
    assert {script.name for script in ours} == {"expand", "chapter-expand"}
    assert {script.module.encode() for script in ours} == {shell_command_module._MARK}


PROSE = "A pipe is a buffer in the kernel that one process writes and another one reads. " * 8


def test_finished_pages_stubs_and_what_fits_their_kind(tmp_path: Path) -> None:
    files = {
        "docs/index.md": "# Home\n\nTODO\n",
        "docs/stub.md": "# Pipes\n\n## Reading\n\n**Code**:\n\n```rust\nfn f() {}\n```\n\n## Writing\n\nComing soon.\n",
        "docs/done.md": f"# Signals\n\n## Sending\n\n{PROSE}\n\n## Handling\n\n{PROSE}\n",
        "docs/nearly.md": f"# Signals\n\n## Sending\n\n{PROSE}\n\n## Handling\n\nTODO\n",
        "docs/api/read.md": "# read\n",
        "docs/CHANGELOG.md": "# 1.0\n",
        "docs/about.md": '--8<-- "CONTRIBUTING.md"\n',
        "docs/cli.md": "# Command line\n\n::: mkdocs-click\n    :module: pipes.cli\n",
        "docs/ref/half.md": "# Half\n\n## One\n\n{{#include one.md}}\n\n## Two\n",
        "docs/links.md": "# Links\n\n## Pipes\n\n- [Read](api/read.md)\n- Writing\n",
        "docs/2.0-announcement.md": "# 2.0\n\n## New\n",
        "docs/note.md": "!!! note\n\n    Not yet.\n",
        "docs/vue.md": "::: tip\nNot yet.\n:::\n",
        "docs/team.md": "---\nlayout: page\n---\n\n<script setup>\nimport x from 'x'\n</script>\n\n<Team />\n",
    }
    made = create_workspace(plant(tmp_path, files), every=True)
    states = {
        c.source.removeprefix("docs/"): (c.state.kind, c.state.finished, c.state.target) for c in made.tree.chapters
    }
    assert states == {
        "index.md": ("index", False, 60),
        "stub.md": ("chapter", False, 600),
        "done.md": ("chapter", True, 9),
        "nearly.md": ("chapter", False, 600),
        "api/read.md": ("reference", False, 200),
        "CHANGELOG.md": ("changelog", True, 1),
        "about.md": ("chapter", True, 1),
        "cli.md": ("chapter", True, 4),
        "ref/half.md": ("reference", False, 200),
        "links.md": ("chapter", False, 600),
        "2.0-announcement.md": ("changelog", True, 3),
        "note.md": ("chapter", False, 600),
        "vue.md": ("chapter", False, 600),
        "team.md": ("chapter", True, 9),
    }
    assert made.first == "nearly"
    assert [s.lines for s in made.workspace.outline("done").sections] == [4, 4]
    assert [c.id for c in made.workspace.book().chapters if c.finished] == [
        "2.0-announcement", "about", "CHANGELOG", "cli", "done", "team",
    ]  # fmt: skip


@pytest.mark.parametrize("words", [49, 50])
def test_from_how_many_words_a_page_is_finished(tmp_path: Path, words: int) -> None:
    tree = find_tree(plant(tmp_path, {"docs/a.md": "# A\n\n" + "word " * words + "\n"}))
    assert tree.chapters[0].state.finished is (words == 50)
    more = find_tree(plant(tmp_path, {"docs/a.md": "# A\n\n## B\n\n## C\n\n" + "word " * (words + 25) + "\n"}))
    assert more.chapters[0].state.finished is (words == 50)


def test_the_workspace_lies_next_to_what_a_generator_builds(tmp_path: Path) -> None:
    root = plant(tmp_path, {"mkdocs.yml": "site_name: Pipes\n", "docs/guide/a.md": "# A\n"})
    made = create_workspace(root / "docs" / "guide")
    assert made.workspace.root == root
    assert [c.source for c in made.tree.chapters] == ["docs/guide/a.md"]
    assert sorted(p.name for p in (root / "docs").rglob("*")) == ["a.md", "guide"]
    shown = init(str(root / "docs"))
    assert shown.stdout.startswith(f"workspace: {root}, next to what MkDocs builds\n")
    other = plant(
        tmp_path / "other", {"website/docusaurus.config.js": "docs: { path: '../docs' }", "docs/a.md": "# A\n"}
    )
    assert create_workspace(other / "docs").workspace.root == other


@pytest.mark.parametrize("repository", [True, False])
def test_a_site_that_builds_its_whole_folder(tmp_path: Path, repository: bool) -> None:
    site = plant(tmp_path / "site", {".vitepress/config.js": "export default {}", "a.md": "# A\n"})
    if repository:
        (tmp_path / ".git").mkdir()
    shown = init(str(site))
    assert (tmp_path / "expand.toml").exists() is repository
    assert (site / "expand.toml").exists() is not repository
    assert ("add drafts/** to srcExclude" in shown.stderr) is not repository


def test_what_is_left_out_and_what_the_allowance_lacks_is_said(tmp_path: Path) -> None:
    pages = {f"docs/{n}.md": "# A\n" for n in range(8)} | {"docs/zh/1.md": "", "docs/zh/2.md": "", "docs/x.rst": ""}
    shown = init(str(plant(tmp_path, pages)))
    assert "1 document in reStructuredText, which is not supported; convert" in shown.stderr
    assert "translations are left out: zh (2); `expand init --language CODE` takes one" in shown.stderr
    assert "the chapters lack 4,792 lines, which take about 215,640 tokens; the allowance of 200,000" in shown.stderr
    assert "the allowance" not in init(str(plant(tmp_path / "few", {"docs/1.md": "# A\n"}))).stderr
    rest = init(str(plant(tmp_path / "rest", {"conf.py": "extensions = []", "index.rst": "A\n=\n"})))
    assert "No documents found" not in rest.stdout
    assert not (tmp_path / "rest" / "chapters").exists()


def test_ids_of_new_documents_are_none_that_the_book_has(tmp_path: Path) -> None:
    create_workspace(plant(tmp_path, {"docs/a/pipes.md": "# P\n", "docs/aux.md": "", "docs/book.md": ""}))
    assert [c.id for c in Workspace(root=tmp_path).book().chapters] == ["pipes", "aux-chapter", "book-chapter"]
    plant(tmp_path, {"docs/pipes.md": "# Q\n"})
    again = create_workspace(tmp_path)
    assert {c.source: c.id for c in again.tree.chapters}["docs/a/pipes.md"] == "pipes"
    assert len({c.id for c in again.tree.chapters}) == 4
