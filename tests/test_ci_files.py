"""The pre-commit hook and the example workflow run commands that exist, on files that matter."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from expand.cli import app
from expand.scaffold.new_workspace import create_workspace

ROOT = Path(__file__).parents[1]


def scripts() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return set(project["scripts"])


def runs(command: str) -> None:
    name, *arguments = shlex.split(command)
    assert name in scripts()
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_workspace(tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_here")
def test_the_hook_runs_and_looks_at_outlines() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    runs(hook["entry"])
    assert hook["pass_filenames"] is False
    watched = re.compile(hook["files"])
    for path in (
        "outlines/03.yaml",
        "docs/outlines/book.yaml",
        "expand.toml",
        "docs/expand.toml",
    ):
        assert watched.search(path), path
    for path in ("outlines/.schema/outline.json", "chapters/03.md", "myoutlines/3.yaml"):
        assert not watched.search(path), path


@pytest.mark.usefixtures("_here")
def test_the_example_workflow_runs() -> None:
    workflow: dict[Any, Any] = yaml.safe_load((ROOT / "docs" / "examples" / "outlines.yml").read_text())
    steps = workflow["jobs"]["check"]["steps"]
    commands = [step["run"].removesuffix(" || true") for step in steps if "run" in step]
    assert commands.pop(0) == "pip install chapter-expand"
    for command in commands:
        runs(command)
    (upload,) = [step for step in steps if "upload-sarif" in step.get("uses", "")]
    assert Path(upload["with"]["sarif_file"]).is_file(), "what is uploaded was written"


@pytest.mark.usefixtures("_here")
def test_the_schemas_that_init_writes_are_those_of_the_command() -> None:
    for arguments, name in (([], "outline"), (["--book"], "book")):
        result = CliRunner().invoke(app, ["outline", "schema", *arguments])
        assert result.stdout == Path(f"outlines/.schema/{name}.json").read_text()
