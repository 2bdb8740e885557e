"""``expand init``: a new workspace, in an empty folder or in a docs tree."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from expand.cli import options
from expand.cli.common import print_json
from expand.cli.verbosity import counted, warn
from expand.doctor.environment import shell_command
from expand.errors import InputError
from expand.outline.schema import is_language
from expand.scaffold.new_workspace import NewWorkspace, create_workspace


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="The folder; the current one by default.")] = Path(),
    title: Annotated[str | None, typer.Option("--title", help="The book's title, if not the one found.")] = None,
    language: Annotated[str | None, typer.Option("--language", help="The book's language, such as en or zh.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Write an outline for every chapter, not just one.")] = False,
    prompts: Annotated[bool, typer.Option("--eject-prompts", help="Copy the templates too, to change them.")] = False,
    as_json: options.Json = False,
) -> None:
    """Make a workspace in an empty folder or around a docs tree.

    The docs tree may be one of mdBook, MkDocs, VitePress, Docusaurus, docsify or Sphinx with MyST, or plain Markdown
    files. No file that exists is changed, except the generated
    schemas, which are renewed.
    """
    if language is not None and not is_language(language):
        raise InputError(f"--language is {language!r}", remedy="give a code such as en or zh")
    made = create_workspace(folder, title=title, language=language, every=every, prompts=prompts)
    if as_json:
        print_json(
            {
                "workspace": str(made.workspace.root),
                "tree": made.tree.kind,
                "chapters": [{"id": c.id, "title": c.title, "source": c.source} for c in made.tree.chapters],
                "written": list(made.written),
                "renewed": list(made.renewed),
                "kept": list(made.kept),
                "first": made.first,
            }
        )
    else:
        _show(made, folder)


def _show(made: NewWorkspace, folder: Path) -> None:
    tree = made.tree
    if tree.kind == "empty":
        typer.echo("No documents found: a first chapter was made to start with.")
    else:
        typer.echo(f"{tree.kind}: {tree.title}, {counted(len(tree.chapters), 'chapter')}")
    for state, names in (("written", made.written), ("renewed", made.renewed), ("kept", made.kept)):
        for name in names:
            typer.echo(f"  {state:<7}  {name}")
    if made.above is not None:
        warn(f"{made.above} is a workspace too; commands in this folder use the new one")
    command = shell_command()
    if not command.ours and command.found is not None:
        warn(f"`expand` in this shell is {command.found}, another program; type {command.name}")
    steps = [
        f"look at outlines/{made.first}.yaml: its sections, lines and topics",
        f"{command.name} outline check",
        f"{command.name} chapter {made.first} --dry-run   (shows what it would take; sends nothing)",
        f"{command.name} chapter {made.first}",
    ]
    if str(folder) != ".":
        steps.insert(0, f"cd {shlex.quote(str(folder))}")
    typer.echo("next:")
    for number, step in enumerate(steps, 1):
        typer.echo(f"  {number}. {step}")
    if made.further is not None:
        typer.echo(f"further outlines: {command.name} outline import {shlex.quote(made.further)}")
