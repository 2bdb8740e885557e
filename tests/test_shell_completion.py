"""What a shell completes, and what is meant by a mistyped command."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from expand.cli import app
from expand.starting.foundation import found_workspace


@pytest.fixture
def root(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in ("01_pipes", "02_signals", "12_files"):
        (docs / f"{name}.md").write_text("# T\n\n## A\n\n## B\n")
    found_workspace(tmp_path, every=True)
    return tmp_path


def completed(line: str) -> list[str]:
    """What bash is given for the last word of the line."""
    words = line.split(" ")
    environment = {
        "_EXPAND_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    return CliRunner().invoke(app, [], prog_name="expand", env=environment).stdout.split()


@pytest.mark.parametrize(
    "command", ["chapter", "review", "accept", "plan", "outline check", "prompt show", "revise"]
)
def test_chapter_ids_are_completed(
    root: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(root / "docs")
    assert completed(f"expand {command} 0") == ["01", "02"]


def test_the_workspace_that_is_named_counts(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root.parent)
    assert completed(f"expand --workspace {root} chapter 1") == ["12"]
    assert completed(f"expand chapter --workspace {root} 1") == ["12"]


def test_outside_of_a_workspace_nothing_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert completed("expand chapter 0") == []


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [(["chaptr"], "chapter"), (["outline", "chek"], "check"), (["prompt", "ejct"], "eject")],
)
def test_a_mistyped_command_names_the_one_that_is_meant(arguments: list[str], meant: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert f"Did you mean '{meant}'" in result.stderr


def test_a_mistyped_option_names_the_one_that_is_meant() -> None:
    result = CliRunner().invoke(app, ["chapter", "03", "--langage", "zh"])
    assert result.exit_code == 2
    assert "--language" in result.stderr
