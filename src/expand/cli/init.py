"""``expand init``: a new workspace, in an empty folder or in a docs tree."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from expand.cli.common import print_json, warn
from expand.doctor.environment import shell_command
from expand.errors import InputError
from expand.outline.text_rules import is_language
from expand.scaffold.new_workspace import NewWorkspace, create_workspace


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="The folder; this one if none is named.")] = Path(),
    title: Annotated[str | None, typer.Option("--title", help="The book's title, if not the one found.")] = None,
    language: Annotated[str | None, typer.Option("--language", help="The book's language, such as en or zh.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="An outline for every chapter, not for the first alone.")
    ] = False,
    prompts: Annotated[bool, typer.Option("--eject-prompts", help="Copy the templates too, to change them.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make a workspace: in an empty folder, or around an mdBook, MkDocs or Markdown tree.

    Nothing that is there is changed, but the schemas, which are generated, are renewed.
    """
    if language is not None and not is_language(language):
        raise InputError(f"--language is {language!r}", remedy="give a code such as en or zh")
    founded = create_workspace(folder, title=title, language=language, every=every, prompts=prompts)
    if as_json:
        print_json(
            {
                "workspace": str(founded.workspace.root),
                "tree": founded.tree.kind,
                "chapters": [{"id": c.id, "title": c.title, "source": c.source} for c in founded.tree.chapters],
                "written": list(founded.written),
                "renewed": list(founded.renewed),
                "kept": list(founded.kept),
                "first": founded.first,
            }
        )
        return
    _show(founded, folder)


def _show(founded: NewWorkspace, folder: Path) -> None:
    tree = founded.tree
    if tree.kind == "empty":
        typer.echo("No documents found: a first chapter is there to begin with.")
    else:
        count = len(tree.chapters)
        typer.echo(f"{tree.kind}: {tree.title}, {count} {'chapter' if count == 1 else 'chapters'}")
    for name in founded.written:
        typer.echo(f"  written  {name}")
    for name in founded.renewed:
        typer.echo(f"  renewed  {name}")
    for name in founded.kept:
        typer.echo(f"  kept     {name}")
    if founded.above is not None:
        warn(f"{founded.above} is a workspace too; commands in here use this one")
    command = shell_command()
    if not command.ours and command.found is not None:
        warn(f"`expand` in this shell is {command.found}, another program; type {command.name}")
    steps = [
        f"look at outlines/{founded.first}.yaml: its sections, lines and topics",
        f"{command.name} outline check",
        f"{command.name} chapter {founded.first} --dry-run   (what it would take; sends nothing)",
        f"{command.name} chapter {founded.first}",
    ]
    if str(folder) != ".":
        steps.insert(0, f"cd {shlex.quote(str(folder))}")
    typer.echo("next:")
    for number, step in enumerate(steps, 1):
        typer.echo(f"  {number}. {step}")
    if founded.further is not None:
        typer.echo(f"further outlines: {command.name} outline import {shlex.quote(founded.further)}")
