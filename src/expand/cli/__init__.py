"""The command line: each command parses its options, calls one function and prints the result.

Commands are imported when they are used (``lazy_commands``), so that ``expand --help`` is quick.
"""

import sys
from collections.abc import Sequence
from contextvars import Context
from typing import NoReturn

import typer

from expand.cli.lazy_commands import TASKS, add_commands, root
from expand.cli.output import guard
from expand.errors import ExpandError, UntrustedError

app = typer.Typer(
    name="expand",
    help="Turns a chapter outline into a finished chapter draft with a language model, and never loses, overspends or "
    "hides a token on the way.",
    epilog=TASKS,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(root)
add_commands(app)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command line and exits with its exit code."""
    guard()
    try:
        _run(list(sys.argv[1:] if arguments is None else arguments))
    except ExpandError as error:
        typer.echo(f"expand: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("expand: interrupted", err=True)
        sys.exit(130)
    sys.exit(0)


def _run(arguments: Sequence[str]) -> None:
    """Runs a command line. If it stops at an untrusted workspace, which is before it sends anything, and the user then
    trusts it, runs it again."""
    try:
        Context().run(app, args=list(arguments), prog_name="expand")  # of each command line its own verbosity
    except UntrustedError as error:
        from expand.cli.trust import agreed  # start-up time of every other command

        if not agreed(error.root):
            raise
        Context().run(app, args=list(arguments), prog_name="expand")
