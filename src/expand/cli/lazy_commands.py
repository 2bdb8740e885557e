"""Commands whose options are read only when the command is the one that was typed.

To read the options of a function takes milliseconds, and there are two dozen commands: all of them
together would be a third of the time that ``expand --help`` takes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand
from typer.main import get_command_from_info
from typer.models import CommandInfo

from expand.cli.examples import below

Function = TypeVar("Function", bound=Callable[..., None])


def command(app: typer.Typer, name: str, *, path: str = "") -> Callable[[Function], Function]:
    """Makes a function the command ``name`` of ``app``, with the examples of ``path`` (the name
    itself, where there is no other) below its help.
    """

    def take(function: Function) -> Function:
        class Late(_Late):
            real = CommandInfo(name=name, callback=function)

        app.command(name, cls=Late, help=inspect.getdoc(function), epilog=below(path or name))(_nothing)
        return function

    return take


class _Late(TyperCommand):
    """A command of which name and help are known; the rest is found out when it is asked for."""

    real: CommandInfo

    def __init__(self, name: str | None, **given: Any) -> None:
        super().__init__(name, **given)
        del self.params, self.callback

    def __getattr__(self, name: str) -> Any:
        if name not in ("params", "callback"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        made = get_command_from_info(self.real, pretty_exceptions_short=True, rich_markup_mode=self.rich_markup_mode)
        self.params, self.callback = made.params, made.callback
        return getattr(self, name)


def _nothing() -> None:
    """Stands for the function of a command, so that its options are not read yet."""
