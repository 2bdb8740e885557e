"""``expand init``: a new workspace, in an empty folder or in a docs tree."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from expand.cli.output import counted, warn
from expand.doctor import shell_command
from expand.errors import InputError
from expand.outline.reading import is_language
from expand.reports.estimates import DEFAULT_TOKENS_PER_LINE
from expand.scaffold import FIRST_ALLOWANCE, MOST_DOCUMENTS, NewWorkspace, create_workspace


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="The folder; the current one by default.")] = Path(),
    language: Annotated[str | None, typer.Option("--language", help="The book's language, such as en or zh.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Write an outline for every chapter, not just one.")] = False,
) -> None:
    """Make a workspace in an empty folder or around a docs tree.

    The docs tree may be one of mdBook, MkDocs, VitePress, Docusaurus, docsify or Sphinx with MyST, or plain Markdown
    files. No file that exists is changed, except the generated schemas, which are renewed."""
    if language is not None and not is_language(language):
        raise InputError(f"--language is {language!r}", remedy="give a code such as en or zh")
    made = create_workspace(folder, language=language, every=every)
    _show(made, folder)


def _show(made: NewWorkspace, folder: Path) -> None:
    tree, root = made.tree, made.workspace.root
    if root != folder.resolve():
        typer.echo(f"workspace: {root}, next to what {tree.kind} builds")
        folder = root
    if tree.chapters:
        finished = sum(one.state.finished for one in tree.chapters)
        typer.echo(f"{tree.kind}: {tree.title}, {counted(len(tree.chapters), 'chapter')}, {finished} finished")
    elif not tree.unsupported:
        typer.echo("No documents found.")
    for said in _left_out(made):
        warn(said)
    for state, files in (("written", made.written), ("renewed", made.renewed), ("kept", made.kept)):
        for file in files:
            typer.echo(f"  {state:<7}  {file}")
    name = shell_command().name
    steps = [
        f"look at outlines/{made.first}.yaml: its sections, lines and topics",
        f"{name} outline check",
        f"{name} chapter {made.first} --dry-run   (shows what it would take; sends nothing)",
        f"{name} chapter {made.first}",
    ]
    if not made.first:
        steps = [
            "write what a chapter is to have into plan.md: a title, and its sections with their lines",
            f"{name} outline import plan.md   (or --suggest TITLE: the model proposes the sections)",
        ]
    if str(folder) != ".":
        steps.insert(0, f"cd {shlex.quote(str(folder))}")
    typer.echo("next:")
    for number, step in enumerate(steps, 1):
        typer.echo(f"  {number}. {step}")
    if made.further is not None:
        typer.echo(f"further outlines: {name} outline import {shlex.quote(made.further)}")


def _left_out(made: NewWorkspace) -> Iterator[str]:
    """What a user has to know of a tree: what is no chapter, where drafts would be built, what the allowance lacks."""
    tree = made.tree
    if tree.unsupported:
        yield (
            f"{counted(tree.unsupported, 'document')} in reStructuredText, which is not supported; "
            "convert to Markdown what is to be expanded, for instance with pandoc"
        )
    if tree.translations:
        listed = ", ".join(f"{code} ({count})" for code, count in sorted(tree.translations.items()))
        yield f"translations are left out: {listed}; `expand init --language CODE` takes one of them instead"
    if tree.left_out:
        yield f"{tree.left_out:,} of {tree.left_out + MOST_DOCUMENTS:,} documents are left out; name a smaller folder"
    if tree.others:
        yield f"there are further sites: {', '.join(tree.others)}; name one of these folders to take it"
    if tree.documents == "." and tree.site.generator.exclude:
        yield (
            f"{tree.kind} builds this folder, with the drafts in it; "
            f"add drafts/** to {tree.site.generator.exclude} in its configuration"
        )
    missing = sum(max(0, one.state.target - one.state.lines) for one in tree.chapters)
    needed = round(missing * DEFAULT_TOKENS_PER_LINE)
    if needed > FIRST_ALLOWANCE and "outlines/book.yaml" in made.written:
        yield (
            f"the chapters lack {missing:,} lines, which take about {needed:,} tokens; the allowance of "
            f"{FIRST_ALLOWANCE:,} does not reach for all: raise it in outlines/book.yaml, or expand some of them"
        )
