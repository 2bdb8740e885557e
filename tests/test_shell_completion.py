"""What a shell completes, what help shows, and what is meant by a mistyped command."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from expand.cli import app
from expand.cli.lazy_commands import COMMANDS, TASKS
from expand.scaffold import create_workspace


@pytest.fixture
def root(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in ("01_pipes", "02_signals", "12_files"):
        (docs / f"{name}.md").write_text("# T\n\n## A\n\n## B\n")
    create_workspace(tmp_path, every=True)
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


@pytest.mark.parametrize("command", ["chapter", "review", "accept", "plan", "outline check", "prompt show", "revise"])
def test_chapter_ids_are_completed(root: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.chdir(root / "docs")
    assert completed(f"expand {command} 0") == ["01", "02"]


def test_the_workspace_that_is_named_counts(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root.parent)
    assert completed(f"expand --workspace {root} chapter 1") == ["12"]
    assert completed(f"expand chapter --workspace {root} 1") == ["12"]


def test_outside_of_a_workspace_nothing_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


# --- help ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_example_is_in_the_help_and_can_be_typed(command: str) -> None:
    helped = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "80"}).stdout
    for line, _, about in (row.partition("  ") for row in COMMANDS[command].examples.splitlines()):
        assert line in helped, "not rewrapped"
        assert about.strip() in helped
        words = shlex.split(line)
        assert words[: 1 + len(command.split())] == ["expand", *command.split()]
        found: Any = get_command(app)
        for name in command.split():
            found = found.commands[name]
        arguments = words[1 + len(command.split()) :]
        context = found.make_context(command, arguments)
        assert context.params, line


def test_every_command_is_in_the_table_and_has_examples() -> None:
    found: Any = get_command(app)
    names = set()
    for name, command in found.commands.items():
        below = getattr(command, "commands", None)
        names |= {name} if below is None else {f"{name} {other}" for other in below}

    assert names == set(COMMANDS)
    assert all(entry.examples for entry in COMMANDS.values())


def test_the_commands_of_the_task_list_exist() -> None:
    commands = re.findall(r"expand ([a-z]+)", TASKS)
    assert {"init", "chapter", "accept", "ledger"} <= set(commands)
    known: Any = get_command(app)
    assert set(commands) <= set(known.commands)
