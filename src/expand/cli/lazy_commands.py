"""Makes typer commands from ``data/commands.toml`` that import their modules only when they are used, and gives each of
them the options that all commands take.

A cli module may therefore import all it needs at its top: nothing of it is loaded for another command. A parameter of
its function may be a ``Workspace``, the one that the command line means, or a ``NamedTuple`` of options that come
together.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from importlib import import_module
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand
from typer.main import get_command_from_info
from typer.models import CommandInfo

from expand import __version__
from expand.cli.output import VERBOSITY, Verbosity
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


def _set_verbosity(verbose: bool | None) -> None:
    """Of ``--quiet`` and ``--verbose``, the last one counts, wherever they stand in the command line."""
    if verbose is not None:
        VERBOSITY.set(Verbosity.VERBOSE if verbose else Verbosity.QUIET)


def _set_workspace(context: typer.Context, given: Path | None) -> None:
    if given is not None:
        context.obj = given


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"expand {__version__}")
        raise typer.Exit


def root(
    workspace: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            callback=_set_workspace,
            expose_value=False,
            help="The folder with expand.toml; by default this one or one above.",
        ),
    ] = None,
    verbose: Annotated[
        bool | None,
        typer.Option(
            "--verbose/--quiet",
            "-v/-q",
            callback=_set_verbosity,
            expose_value=False,
            show_default=False,
            help="Show every attempt of a run; or show results and errors only.",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options that every command takes, before it or behind it; their callbacks do what they ask for."""


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
        read = _as_typer_reads(imported)
        made = get_command_from_info(CommandInfo(name=self.name, callback=read), **plain)
        other = {"version"} if "context" in signature(read).parameters else {"version", "workspace"}
        shared = get_command_from_info(CommandInfo(callback=root), **plain).params
        self.params = [*made.params, *(option for option in shared if option.name not in other)]
        self.callback, self.help = made.callback, made.help
        return getattr(self, name)


def _as_typer_reads(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with the options of a group in the place of the parameter for the group, and with a context in the
    place of one for the workspace."""
    from expand.cli.options import workspace_of  # start-up time of `expand --help`
    from expand.workspace import Workspace

    own = signature(function).parameters
    parameters: dict[str, Parameter] = {}
    for name, parameter in own.items():
        if hasattr(parameter.annotation, "_fields"):
            parameters |= signature(parameter.annotation).parameters
        elif parameter.annotation is Workspace:
            parameters["context"] = Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context)
        else:
            parameters[name] = parameter

    @wraps(function)
    def command(**given: Any) -> Any:
        for name, parameter in own.items():
            if hasattr(parameter.annotation, "_fields"):
                given[name] = parameter.annotation(**{one: given.pop(one) for one in parameter.annotation._fields})
            elif parameter.annotation is Workspace:
                given[name] = workspace_of(given.pop("context"))
        return function(**given)

    read = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in parameters.values()]
    command.__signature__ = Signature(read)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in read}
    return command


def _not_imported() -> None:
    """Stands for the function of a command until its module is imported."""
