"""``expand prompt list`` and ``eject``, and the page about templates."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import jinja2
import jinja2.nodes
import pytest
from typer.testing import CliRunner, Result
from workspaces import small

from expand.cli import app
from expand.errors import InputError, InputErrors
from expand.prompts.context import (
    BriefContext,
    ChangeContext,
    ChapterContext,
    RequestContext,
    ReviewContext,
    SectionContext,
    SuggestionContext,
    TranslationContext,
    context_of,
)
from expand.prompts.rendering import blocks_of, eject_templates, packaged_folder, template_files
from expand.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "expand.toml").write_text("")
    return Workspace(root=tmp_path)


def run(workspace: Workspace, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["--workspace", str(workspace.root), "prompt", *arguments])


def test_every_template_is_listed_with_its_file(workspace: Workspace) -> None:
    shipped = {p.relative_to(packaged_folder()).as_posix() for p in packaged_folder().rglob("*.j2")}
    listed = dict(line.split() for line in run(workspace, "list").stdout.splitlines())
    assert listed == {name: f"shipped/{name}" for name in shipped}
    assert run(workspace, "eject", "section", "length.j2").stdout == (
        "written  prompts/section.j2\nwritten  prompts/length.j2\n"
    )
    (workspace.prompts_folder / "mine.j2").write_text("mine")
    listed = dict(line.split() for line in run(workspace, "list").stdout.splitlines())
    assert (listed["section.j2"], listed["length.j2"]) == ("prompts/section.j2", "prompts/length.j2")
    assert (listed["mine.j2"], listed["system.j2"]) == ("prompts/mine.j2", "shipped/system.j2")


def test_what_was_changed_is_not_replaced(workspace: Workspace) -> None:
    run(workspace, "eject")
    section = workspace.prompts_folder / "section.j2"
    original = section.read_text()
    section.write_text("mine")
    (workspace.prompts_folder / "system.j2").unlink()
    result = run(workspace, "eject")
    assert isinstance(result.exception, InputErrors)
    assert str(result.exception).startswith("prompts/section.j2: it is there and differs")
    assert not (workspace.prompts_folder / "system.j2").exists(), "nothing was written"
    assert section.read_text() == "mine"
    section.unlink()
    assert "written  prompts/section.j2\n" in run(workspace, "eject").stdout
    assert section.read_text() == original
    assert "kept     prompts/section.j2\n" in run(workspace, "eject").stdout


def written_in(workspace: Workspace) -> set[str]:
    return {p.relative_to(workspace.root).as_posix() for p in workspace.root.rglob("*.j2")}


def test_a_folder_of_templates_is_copied_as_a_whole(workspace: Workspace) -> None:
    run(workspace, "eject", "styles/reference/")
    names = {"system.j2", "section.j2", "continue.j2", "brief/system.j2"}
    assert written_in(workspace) == {f"prompts/styles/reference/{name}" for name in names}
    run(workspace, "eject", "brief/section")
    text = (workspace.prompts_folder / "brief/section.j2").read_text()
    assert text == (packaged_folder() / "brief/section.j2").read_text()


def with_chapter(workspace: Workspace) -> Workspace:
    small(workspace.root)
    return workspace


def test_one_block_for_one_chapter(workspace: Workspace) -> None:
    with_chapter(workspace)
    run(workspace, "eject", "section", "--block", "code", "--chapter", "07")
    path = workspace.prompts_folder / "chapters/07/section.j2"
    text = path.read_text()
    assert text.startswith('{% extends "section.j2" %}\n{% block code %}\n{% if code_examples %}\n')


def test_which_files_count_for_a_chapter(workspace: Workspace) -> None:
    with_chapter(workspace)
    run(workspace, "eject", "section", "--block", "code", "--chapter", "07")
    run(workspace, "eject", "section", "--block", "note")
    outline = workspace.outline_path("07")
    outline.write_text(outline.read_text(encoding="utf-8") + "style: tutorial\n", encoding="utf-8")
    lines = run(workspace, "list", "--chapter", "07").stdout.splitlines()
    assert lines[0] == "chapter 07, style tutorial, model scripted"
    assert lines[1:] == [
        "system.j2    shipped/styles/tutorial/system.j2, takes shipped/system.j2",
        "section.j2   prompts/chapters/07/section.j2, takes shipped/styles/tutorial/section.j2, prompts/section.j2, "
        "shipped/section.j2, shipped/length.j2",
        "continue.j2  shipped/styles/tutorial/continue.j2, takes shipped/continue.j2, shipped/length.j2",
        "repair.j2    shipped/repair.j2, takes shipped/length.j2",
        "length.j2    shipped/length.j2",
    ]
    small_model = run(workspace, "list", "--chapter", "07", "--model", "embedded").stdout
    assert "section.j2   shipped/brief/section.j2\n" in small_model


def test_templates_of_a_chapter_that_there_is_not(workspace: Workspace) -> None:
    with_chapter(workspace)
    failed = run(workspace, "eject", "section", "--chapter", "70")
    assert "chapter '70' has no outline; known are: 07" in str(failed.exception)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--block", "code"), "--block and --chapter need a template"),
        (("--chapter", "07"), "--block and --chapter need a template"),
        (("section", "--block", "cod"), "section.j2 has no block 'cod'; did you mean \"code\"?"),
    ],
)
def test_what_cannot_be_ejected(workspace: Workspace, arguments: tuple[str, ...], message: str) -> None:
    with_chapter(workspace)
    failed = run(workspace, "eject", *arguments)
    assert isinstance(failed.exception, InputError)
    assert message in str(failed.exception)


def test_the_blocks_are_those_of_the_packaged_templates() -> None:
    found = {}
    for path in packaged_folder().rglob("*.j2"):
        name = path.relative_to(packaged_folder()).as_posix()
        text = path.read_text(encoding="utf-8")
        blocks = jinja2.Environment().parse(text).find_all(jinja2.nodes.Block)
        named = [block.name for block in blocks]
        assert list(blocks_of(text)) == named, "no block is inside another"
        if named and not name.startswith("styles/"):
            found[name] = named
    notes = tomllib.loads((Path(__file__).parents[1] / "docs/templates.toml").read_text(encoding="utf-8"))
    assert found == {name: list(blocks) for name, blocks in notes["blocks"].items()}


def test_one_s_own_template_cannot_be_ejected(workspace: Workspace) -> None:
    workspace.prompts_folder.mkdir()
    (workspace.prompts_folder / "mine.j2").write_text("mine")
    assert "prompts/mine.j2" not in eject_templates(workspace, [*template_files(workspace)])
    assert (workspace.prompts_folder / "mine.j2").read_text() == "mine"


def test_an_unknown_template(workspace: Workspace) -> None:
    result = run(workspace, "eject", "sektion")
    assert "there is no template sektion.j2; did you mean" in str(result.exception)


def test_every_template_and_every_variable_is_documented() -> None:
    page = (Path(__file__).parents[1] / "docs/reference/templates.md").read_text(encoding="utf-8")
    kinds = (ChapterContext, RequestContext, SectionContext, SuggestionContext)
    for kind in (*kinds, BriefContext, ChangeContext, ReviewContext, TranslationContext):
        hints = get_type_hints(kind, include_extras=True)
        abouts = {field.name: get_args(hints[field.name])[1:] for field in fields(kind)}
        assert kind(**{name: example for name, (_, example) in abouts.items()})
        assert all(f"| `{name}` | " in page and f" | {meaning}" in page for name, (meaning, _) in abouts.items())
    assert '| `before` | text | The end of what the section says so far. Default: `""`. |' in page
    assert "| `code_examples` | whole number | How many code examples this request is to bring. Default: `0`. |" in page
    assert "| `problems` | list of texts | What a repair is to mend. Default: `[]`. |" in page


def test_the_context_of_a_template() -> None:
    assert context_of("brief/system.j2") is ChapterContext
    assert context_of("length.j2") is RequestContext
