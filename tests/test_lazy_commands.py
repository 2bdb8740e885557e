"""The command table: it says what the modules say, and a module is imported only for its own command."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from expand.cli import app
from expand.cli.lazy_commands import COMMANDS, GROUPS


def imported(*arguments: str) -> set[str]:
    """The modules of ``expand`` that a command line imports."""
    code = (
        "import sys\nfrom expand.cli import main\n"
        "try:\n    main(sys.argv[1:])\nfinally:\n"
        "    sys.stderr.write('\\n'.join(['', '--', *(name for name in sys.modules if name.startswith('expand'))]))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, encoding="utf-8", check=True
    )
    return set(ran.stderr.partition("\n--\n")[2].split())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_the_function_says(name: str) -> None:
    module, _, function = COMMANDS[name].function.partition(":")
    told = inspect.getdoc(getattr(import_module(f"expand.cli.{module}"), function))
    assert told is not None
    assert COMMANDS[name].summary == " ".join(told.split("\n\n")[0].split("\n"))


@pytest.mark.parametrize("group", ["", *GROUPS])
def test_no_summary_is_cut_in_a_list_of_commands(group: str) -> None:
    shown = CliRunner().invoke(app, [*([group] if group else []), "--help"], env={"COLUMNS": "80"}).stdout
    summaries = [entry.summary for name, entry in COMMANDS.items() if name.rpartition(" ")[0] == group]
    assert [summary for summary in [*summaries, *([] if group else GROUPS.values())] if summary not in shown] == []


@pytest.mark.parametrize("arguments", [["--help"], ["outline", "--help"], ["--version"]])
def test_a_list_of_commands_imports_none_of_their_modules(arguments: list[str]) -> None:
    found = imported(*arguments)
    modules = {f"expand.cli.{entry.function.partition(':')[0]}" for entry in COMMANDS.values()}
    assert "expand.cli.lazy_commands" in found
    assert found & (modules | {"expand.workspace", "expand.settings"}) == set()


def test_help_for_a_command_imports_its_module_alone() -> None:
    found = imported("ledger", "verify", "--help")
    assert "expand.cli.ledger" in found
    assert found & {"expand.cli.chapter", "expand.cli.outline_import", "expand.cli.doctor"} == set()


def test_a_command_takes_its_options_and_shows_its_whole_help_with_examples() -> None:
    shown = CliRunner().invoke(app, ["outline", "check", "--help"]).stdout
    assert "--format FORMAT" in shown
    assert "With a mistake in any file the exit code is 2" in " ".join(shown.split())
    assert "expand outline check 03 --format github" in shown


def test_nothing_else_is_found_late() -> None:
    made: Any = get_command(app)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = made.commands["budget"].nothing
