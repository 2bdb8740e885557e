"""``expand outline check`` in each format, and ``expand outline schema``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner, Result

from expand.cli import app
from expand.doctor.outline_check import OutlineFinding, as_github
from expand.errors import InputErrors
from expand.workspace import Workspace

REPOSITORY = Path(__file__).parents[1]

WRONG = """\
id: 04
title: {zh: 测试, en: Tests}
source: chapters/04.md
sections:
  - title: Basics
    lines: -150
  - title: 结束
    line: 20
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace below the current folder, as docs often are in a repository."""
    root = tmp_path / "docs, here"
    (root / "outlines").mkdir(parents=True)
    (root / "expand.toml").write_text("")
    for name in ("book.yaml", "03.yaml"):
        shutil.copy(REPOSITORY / "outlines" / name, root / "outlines")
    monkeypatch.chdir(tmp_path)
    return Workspace(root=root)


def check(workspace: Workspace, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["--workspace", str(workspace.root), "outline", "check", *arguments])


def test_text_names_warnings_and_counts_them(workspace: Workspace) -> None:
    result = check(workspace)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("outlines/03.yaml:3:9: warning: there is no file")
    assert "outlines/03.yaml:4:15: warning: the sections add up to 1,025 lines" in lines[1]
    assert "outlines/03.yaml:11:18: warning: 30 code examples" in lines[2]
    assert lines[-1] == "1 outline read, 3 warnings"


def test_text_leaves_the_errors_to_stderr(workspace: Workspace) -> None:
    (workspace.root / "outlines" / "04.yaml").write_text(WRONG)
    result = check(workspace)
    assert isinstance(result.exception, InputErrors)
    assert result.exception.exit_code == 2
    assert "outlines/04.yaml:6:12: section 1: lines is -150; give a whole" in str(result.exception)
    assert result.stdout.endswith("1 of 2 outlines read, 3 warnings\n")
    assert "outlines/03.yaml:4:15: warning" in result.stdout


def test_json_has_every_finding_with_its_place(workspace: Workspace) -> None:
    (workspace.root / "outlines" / "04.yaml").write_text(WRONG)
    result = check(workspace, "--format", "json")
    assert isinstance(result.exception, InputErrors)
    report = json.loads(result.stdout)
    assert (report["outlines"], report["errors"], report["warnings"]) == (1, 3, 3)
    assert report["findings"][3] == {
        "level": "error",
        "file": "outlines/04.yaml",
        "line": 6,
        "column": 12,
        "message": "section 1: lines is -150",
        "remedy": "give a whole number from 1 to 20,000",
    }
    assert {f["file"] for f in report["findings"] if f["level"] == "warning"} == {"outlines/03.yaml"}


def test_json_without_errors_exits_0(workspace: Workspace) -> None:
    result = check(workspace, "03", "--format", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["errors"] == 0


def test_github_names_files_from_the_current_folder(workspace: Workspace) -> None:
    (workspace.root / "outlines" / "04.yaml").write_text(WRONG)
    result = check(workspace, "04", "--format", "github")
    assert isinstance(result.exception, InputErrors)
    assert result.stdout.splitlines()[0] == (
        "::error file=docs%2C here/outlines/04.yaml,line=6,col=12,title=outline::"
        "section 1: lines is -150; give a whole number from 1 to 20,000"
    )


def test_github_escapes(workspace: Workspace) -> None:
    finding = OutlineFinding(level="warning", file="a:b.yaml", line=1, column=2, message="100 %\nof it")
    assert as_github([finding], workspace, workspace.root) == (
        "::warning file=a%3Ab.yaml,line=1,col=2,title=outline::100 %25%0Aof it\n"
    )


def test_files_elsewhere_are_named_from_the_workspace(
    workspace: Workspace, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    result = check(workspace, "--format", "github")
    assert result.stdout.startswith("::warning file=outlines/03.yaml,line=3,")


def test_a_broken_book_and_a_missing_chapter_are_findings(workspace: Workspace) -> None:
    workspace.book_path.write_text("title: X\nlanguage: 3\n")
    result = check(workspace, "03", "30", "--format", "json")
    assert isinstance(result.exception, InputErrors)
    found = json.loads(result.stdout)["findings"]
    assert [(f["file"], f["line"]) for f in found] == [
        ("outlines/book.yaml", 2), ("outlines/30.yaml", 1),
    ]  # fmt: skip
    assert found[1]["remedy"] == "did you mean 03?"


def test_the_settings_are_checked_too(workspace: Workspace) -> None:
    text = "[author]\nmodle = 'x'\nconcurrency = 0\n"
    workspace.settings_path.write_text(text)
    result = check(workspace, "03", "--format", "json")
    assert isinstance(result.exception, InputErrors)
    assert result.exception.exit_code == 2
    report = json.loads(result.stdout)
    assert (report["outlines"], report["errors"], report["warnings"]) == (1, 2, 3)
    assert report["findings"][:2] == [
        {
            "level": "error",
            "file": "expand.toml",
            "line": 2,
            "column": 1,
            "message": 'author: unknown key "modle"',
            "remedy": 'did you mean "model"?',
        },
        {
            "level": "error",
            "file": "expand.toml",
            "line": 3,
            "column": 1,
            "message": "author: concurrency is 0",
            "remedy": "give a whole number from 1 to 10,000",
        },
    ]


def test_settings_in_the_other_formats(workspace: Workspace) -> None:
    workspace.settings_path.write_text("\n[author]\nprovider = 'olama'\n")
    result = check(workspace, "--format", "github")
    assert isinstance(result.exception, InputErrors)
    assert result.stdout.splitlines()[0] == (
        "::error file=docs%2C here/expand.toml,line=3,col=1,title=outline::"
        "there is no provider 'olama'; did you mean \"ollama\"?"
    )
    result = check(workspace)
    assert isinstance(result.exception, InputErrors)
    assert str(result.exception).startswith(f"{workspace.settings_path}:3:1: there is no provider 'olama'")
    assert " read, " not in result.stdout


def test_settings_that_another_machine_completes_are_fine(workspace: Workspace) -> None:
    """Azure's base URL may come from the environment, and so may a key."""
    workspace.settings_path.write_text("[author]\nprovider = 'azure'\nmodel = 'gpt-4.1'\n")
    assert check(workspace, "03").exit_code == 0
    workspace.settings_path.write_text("[author]\nprovider = 'embedded'\n")
    assert check(workspace, "03").exit_code == 0


def test_settings_that_are_no_toml(workspace: Workspace) -> None:
    workspace.settings_path.write_text("[author\n")
    result = check(workspace, "03", "--format", "json")
    assert isinstance(result.exception, InputErrors)
    (found,) = (f for f in json.loads(result.stdout)["findings"] if f["level"] == "error")
    assert (found["file"], found["line"], found["column"]) == ("expand.toml", 1, 8)


def test_an_unknown_format(workspace: Workspace) -> None:
    result = check(workspace, "--format", "jsn")
    assert str(result.exception) == "--format is 'jsn'; did you mean \"json\"?"


def test_the_schemas_are_schemas() -> None:
    for arguments in (["outline", "schema"], ["outline", "schema", "--book"]):
        result = CliRunner().invoke(app, arguments)
        jsonschema.Draft202012Validator.check_schema(json.loads(result.stdout))
