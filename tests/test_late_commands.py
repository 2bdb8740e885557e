"""A command's options are read when they are asked for, and are then those of its function."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from expand.cli.lazy_commands import command

app = typer.Typer(rich_markup_mode=None)


@command(app, "budget")
def budget(size: int = typer.Option(1, help="How many."), name: str = "x") -> None:
    """Says how many.

    And more.
    """
    typer.echo(f"{size} of {name}")


@command(app, "check", path="outline check")
def check() -> None:
    """Checks."""


def test_the_list_of_commands_reads_no_options() -> None:
    shown = CliRunner().invoke(app, ["--help"])
    assert "budget  Says how many." in shown.stdout
    made: Any = get_command(app)
    assert all("params" not in vars(one) for one in made.commands.values())


def test_a_command_takes_its_options_and_shows_them_with_its_examples() -> None:
    assert CliRunner().invoke(app, ["budget", "--size", "3"]).stdout == "3 of x\n"
    shown = CliRunner().invoke(app, ["budget", "--help"]).stdout
    assert "--size <int>  How many.  [default: 1]" in shown
    assert "And more." in shown
    assert "expand budget" in shown  # an example
    assert "expand outline check" in CliRunner().invoke(app, ["check", "--help"]).stdout


def test_a_function_that_became_a_command_is_still_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    budget(2, "y")
    assert capsys.readouterr().out == "2 of y\n"


def test_nothing_else_is_found_late() -> None:
    made: Any = get_command(app)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = made.commands["budget"].nothing
