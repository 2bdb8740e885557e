"""What help shows, and what is meant by a mistyped command."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from expand.cli import app
from expand.cli.lazy_commands import COMMANDS, TASKS


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
