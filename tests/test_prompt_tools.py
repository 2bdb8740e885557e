"""``expand prompt list``, ``diff``, ``eject`` and ``context``."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from expand.cli import app
from expand.errors import InputError, InputErrors
from expand.model.prompt import (
    TEMPLATES,
    ChapterContext,
    RequestContext,
    SectionContext,
    SuggestionContext,
    packaged_folder,
)
from expand.model.prompt_context import _MEANINGS, PURPOSES, context_of, reference, variables_of
from expand.starting.prompt_files import difference, eject, template_files
from expand.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "expand.toml").write_text("")
    return Workspace(root=tmp_path)


def run(workspace: Workspace, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["--workspace", str(workspace.root), "prompt", *arguments])


def states(workspace: Workspace) -> dict[str, str]:
    return {file.name: file.state for file in template_files(workspace)}


def test_every_packaged_template_is_listed(workspace: Workspace) -> None:
    shipped = {p.relative_to(packaged_folder()).as_posix() for p in packaged_folder().rglob("*.j2")}
    assert states(workspace) == dict.fromkeys(shipped, "packaged")
    result = run(workspace, "list")
    lines = result.stdout.splitlines()
    assert len(lines) == len(shipped)
    assert "section.j2         packaged  Asks for topics of a section, or for a whole one." in lines
    assert any(line.startswith("brief/section.j2   packaged  Style brief: Asks") for line in lines)


def test_the_repository_s_own_templates_are_the_packaged_ones() -> None:
    repository = Workspace(root=packaged_folder().parent)
    assert set(states(repository).values()) == {"packaged"}


def test_states_and_differences(workspace: Workspace) -> None:
    assert run(workspace, "eject", "section", "length.j2").stdout == (
        "written  prompts/section.j2\nwritten  prompts/length.j2\n"
    )
    section = workspace.prompts_folder / "section.j2"
    section.write_text(section.read_text().replace("Now section", "Section"))
    (workspace.prompts_folder / "mine.j2").write_text("mine")
    found = states(workspace)
    assert (found["section.j2"], found["length.j2"]) == ("changed", "same")
    assert (found["mine.j2"], found["system.j2"]) == ("own", "packaged")
    shown = run(workspace, "diff").stdout
    assert shown.startswith("--- packaged/section.j2\n+++ prompts/section.j2\n@@ -1,")
    assert "\n-Now section {{ section_number }}" in shown
    assert "\n+Section {{ section_number }}" in shown
    assert run(workspace, "diff", "length", "mine").stdout == ""
    listed = json.loads(run(workspace, "list", "--json").stdout)["templates"]
    mine = next(entry for entry in listed if entry["name"] == "mine.j2")
    assert mine["purpose"] == "Included by others, if at all."
    assert mine["path"] == str(workspace.prompts_folder / "mine.j2")


def test_a_difference_in_the_last_line_end_is_shown(workspace: Workspace) -> None:
    run(workspace, "eject", "length")
    own = workspace.prompts_folder / "length.j2"
    own.write_text(own.read_text().removesuffix("\n"))
    (file,) = [f for f in template_files(workspace) if f.name == "length.j2"]
    assert difference(file).endswith("\n\\ No newline at end of file\n")


def test_what_was_changed_is_only_replaced_by_force(workspace: Workspace) -> None:
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
    assert "written  prompts/section.j2\n" in run(workspace, "eject", "--force").stdout
    assert section.read_text() == original
    assert "kept     prompts/section.j2\n" in run(workspace, "eject").stdout


def test_a_style_of_one_s_own(workspace: Workspace) -> None:
    result = run(workspace, "eject", "--style", "short")
    written = {p.relative_to(workspace.root).as_posix() for p in workspace.root.rglob("*.j2")}
    assert written == {f"prompts/short/{name}" for name in TEMPLATES}
    assert result.stdout.endswith('profile says style = "short", in expand.toml\n')
    run(workspace, "eject", "brief/section", "--style", "terse")
    text = (workspace.prompts_folder / "terse" / "section.j2").read_text()
    assert text == (packaged_folder() / "brief" / "section.j2").read_text()
    assert states(workspace)["terse/section.j2"] == "own"


@pytest.mark.parametrize("style", ["a/b", "..", ".hidden", ""])
def test_what_is_no_style(workspace: Workspace, style: str) -> None:
    with pytest.raises(InputError, match="is no name of a style"):
        eject(workspace, template_files(workspace), style=style, force=False)


def test_one_s_own_template_cannot_be_ejected(workspace: Workspace) -> None:
    workspace.prompts_folder.mkdir()
    (workspace.prompts_folder / "mine.j2").write_text("mine")
    ejected = eject(workspace, template_files(workspace), force=True)
    assert "prompts/mine.j2" not in ejected.written
    assert (workspace.prompts_folder / "mine.j2").read_text() == "mine"


def test_an_unknown_template(workspace: Workspace) -> None:
    for command in ("diff", "eject", "context"):
        result = run(workspace, command, "sektion")
        assert "there is no template sektion.j2; did you mean" in str(result.exception)


def test_every_template_and_every_variable_is_documented() -> None:
    assert set(PURPOSES) == set(TEMPLATES)
    for kind in (ChapterContext, RequestContext, SectionContext, SuggestionContext):
        declared = [field.name for field in fields(kind)]
        assert [variable.name for variable in variables_of(kind)] == declared
        assert set(_MEANINGS[kind]) == set(declared), "no meaning of a name that is gone"
    page = reference()
    for kind in (ChapterContext, RequestContext, SectionContext, SuggestionContext):
        for variable in variables_of(kind):
            assert f"| `{variable.name}` | {variable.kind} | {variable.meaning}" in page


def test_the_context_of_a_template() -> None:
    assert context_of("brief/system.j2") is ChapterContext
    assert context_of("length") is RequestContext
    by_name = {variable.name: variable for variable in variables_of(RequestContext)}
    assert by_name["lines"].default is None
    assert by_name["before"].default == '""'
    assert by_name["problems"].kind == "list of texts"
    assert by_name["code_examples"].default == "0"


def test_the_context_command(workspace: Workspace) -> None:
    assert run(workspace, "context").stdout == reference()
    lines = run(workspace, "context", "section").stdout.splitlines()
    assert lines[0].startswith("language          text              The language of the draft")
    assert len(lines) == len(fields(RequestContext))
