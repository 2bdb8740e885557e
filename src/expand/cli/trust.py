"""``expand trust``: which destinations a workspace names, and the question whether the user agrees."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from expand.cli import options
from expand.cli.options import workspace_of
from expand.cli.output import counted, note, print_json, warn
from expand.errors import InputError
from expand.redaction import visible
from expand.schema import Json
from expand.settings import read_destinations, read_settings
from expand.trust import Destinations, forget, remember


def trust(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="The workspace; by default the current one.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Trust it without a question.")] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take back what you said about this folder.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show which hosts, keys and ledger a workspace names; trust it.

    Until you trust a workspace, nothing is sent to what its expand.toml names, and no key is read for it. Your consent
    holds for this folder and for what the file says now; it is kept in your own configuration directory."""
    path = workspace_of(context, folder).settings_path
    named = read_destinations(path)
    if revoke:
        count = forget(path.parent)
        note(f"{counted(count, 'consent')} taken back for {path.parent}")
    if yes and not revoke and not named.trusted:
        remember(named)
    if as_json:
        keys: list[Json] = [{"key": one.key, "value": one.shown, "line": one.place.line} for one in named.statements]
        print_json({"workspace": str(path.parent), "trusted": named.trusted, "names": keys})
        return
    if not named.statements:
        typer.echo(f"{path} names no host, key or ledger of its own: there is nothing to trust")
        return
    settled = named.trusted or revoke
    if settled or not can_ask():
        typer.echo("\n".join(_description(path, named)))
    if settled:
        typer.echo("you trust it" if named.trusted else "you do not trust it")
    elif not can_ask():
        raise InputError(
            "nobody can be asked whether you trust this workspace", remedy="give --yes, or set EXPAND_TRUST=1 (CI)"
        )
    elif not _asked(path, named):
        raise InputError("this workspace stays untrusted", remedy="change what its expand.toml names, or say y")


def can_ask() -> bool:
    """Whether a person is at the terminal, to read a question and to answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def agreed(root: Path) -> bool:
    """Asks on a terminal whether the user trusts the workspace in ``root``, and keeps a yes. False where nobody can be
    asked."""
    path = root / "expand.toml"
    return can_ask() and _asked(path, read_destinations(path))


def _asked(path: Path, named: Destinations) -> bool:
    for line in _description(path, named):
        sys.stderr.write(f"{line}\n")
    sys.stderr.write("Do you trust this workspace? [y/N] ")
    sys.stderr.flush()
    yes = sys.stdin.readline().strip().lower() in ("y", "yes")
    if yes:
        warn(f"kept in {remember(named)}")
    return yes


def _description(path: Path, named: Destinations) -> Iterator[str]:
    """What the file names, and what would happen with it."""
    yield f"{visible(str(path))} names:"
    width = max(len(statement.key) for statement in named.statements)
    for statement in sorted(named.statements, key=lambda statement: statement.place.line or 0):
        yield f"  line {statement.place.line:<4} {visible(statement.key):<{width}}  {statement.shown}"
    settings = read_settings(path, environment=os.environ, trusted=True)
    if not settings.embedded:
        yield f"With it, a run sends prompts (outlines, sources, drafts) to {settings.recipient}."
    ledger = named.statement("ledger")
    if ledger is not None and "://" in ledger.shown:
        yield f"The ledger goes to {ledger.shown}, with the password from PGPASSWORD or ~/.pgpass if it asks for one."
    elif ledger is not None:
        yield f"The ledger is written to {ledger.shown}, outside of the workspace."
