"""Makes typer commands from ``data/commands.toml`` that import their modules only when they are used.

A cli module may therefore import all it needs at its top: nothing of it is loaded for another command.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from importlib import import_module
from inspect import Parameter, Signature, signature
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand
from typer.main import get_command_from_info
from typer.models import CommandInfo

from expand.cli.verbosity import root
from expand.paths import packaged_table


class Command(NamedTuple):
    """A command, before its module is imported. ``function`` is ``module:function``, the module one of ``expand.cli``;
    ``summary`` is the first paragraph of its docstring; ``examples`` are command lines, each with what it does after
    two blanks or more."""

    function: str
    summary: str
    examples: str


_TABLE = packaged_table("commands")
# typer does not rewrap what follows the backspace.
TASKS: str = f"\b\n{_TABLE['tasks']}"
GROUPS: Mapping[str, str] = _TABLE["groups"]
COMMANDS: Mapping[str, Command] = {name: Command(**entry) for name, entry in _TABLE["commands"].items()}


def add_commands(app: typer.Typer) -> None:
    """Adds every group and command of the table to the application."""
    groups = {
        name: typer.Typer(help=summary, no_args_is_help=True, rich_markup_mode=None) for name, summary in GROUPS.items()
    }
    for full_name, entry in COMMANDS.items():
        group, _, name = full_name.rpartition(" ")
        owner = groups[group] if group else app
        lazy = type("Lazy", (LazyCommand,), {"function": entry.function})
        epilog = "\n  ".join(["\b\nExamples:", *entry.examples.splitlines()])
        owner.command(name, cls=lazy, help=entry.summary, epilog=epilog)(_not_imported)
    for name, owner in groups.items():
        app.add_typer(owner, name=name)


class LazyCommand(TyperCommand):
    """A command whose name and summary are known; its options and full help are read from its function when needed."""

    function: str

    def __init__(self, name: str | None, **given: Any) -> None:
        super().__init__(name, **given)
        del self.params, self.callback  # reading either calls __getattr__, which imports the module

    def __getattr__(self, name: str) -> Any:
        if name not in ("params", "callback"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        module, _, function = self.function.partition(":")
        imported = getattr(import_module(f"expand.cli.{module}"), function)
        plain: Any = {"pretty_exceptions_short": True, "rich_markup_mode": self.rich_markup_mode}
        made = get_command_from_info(CommandInfo(name=self.name, callback=_ungrouped(imported)), **plain)
        other = {"version"} if "context" in signature(imported).parameters else {"version", "workspace"}
        shared = get_command_from_info(CommandInfo(callback=root), **plain).params
        self.params = [*made.params, *(option for option in shared if option.name not in other)]
        self.callback, self.help = made.callback, made.help
        return getattr(self, name)


def _ungrouped(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as typer reads it: each parameter that is a group of options, a ``NamedTuple``, stands for these."""
    parameters: list[Parameter] = []
    groups: dict[str, Any] = {}
    for name, parameter in signature(function).parameters.items():
        if hasattr(parameter.annotation, "_fields"):
            groups[name] = parameter.annotation
            parameters += signature(parameter.annotation).parameters.values()
        else:
            parameters.append(parameter)

    @wraps(function)
    def command(**given: Any) -> Any:
        for name, kind in groups.items():
            given[name] = kind(**{option: given.pop(option) for option in kind._fields})
        return function(**given)

    own = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in parameters]
    command.__signature__ = Signature(own)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in own}
    return command


def _not_imported() -> None:
    """Stands for the function of a command until its module is imported."""
