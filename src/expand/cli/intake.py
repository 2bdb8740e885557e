"""Outlines that were taken in, as people and as scripts read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from expand.cli.common import warn

if TYPE_CHECKING:
    from expand.completion import Json
    from expand.importing import Intake, Taken
    from expand.workspace import Workspace

MOST_ROWS = 12


def taken_as_json(workspace: Workspace, one: Taken) -> dict[str, Json]:
    """An outline that was taken in, as scripts read it."""
    return {
        "id": one.id,
        "title": one.title,
        "path": workspace.relative(one.path),
        "source": one.source,
        "state": one.state,
        "sections": one.sections,
        "lines": one.lines,
        "stated_lines": one.stated_lines,
        "dropped_sections": list(one.dropped),
    }


def show_taken(workspace: Workspace, taken: Sequence[Taken], *, dry_run: bool) -> None:
    """A line for each outline on stdout, what it loses on stderr; in a dry run its text."""
    words = {"new": "written", "changed": "changed", "same": "says this already"}
    for one in taken:
        stated = one.stated_lines
        gap = f" ({stated:,} stated)" if stated not in (None, one.lines) else ""
        said = "would be " if dry_run and one.state != "same" else ""
        summary = (
            f"{workspace.relative(one.path)}: {said}{words[one.state]}, {one.sections} "
            f"section{'s' if one.sections != 1 else ''}, {one.lines:,} lines{gap}"
        )
        if dry_run:
            warn(summary)
            typer.echo(one.text, nl=False)
        else:
            typer.echo(summary)
        for title in one.dropped:
            warn(f"{workspace.relative(one.path)}: section {title!r} is not in the document: out")


def show_intake(workspace: Workspace, intake: Intake, *, dry_run: bool) -> None:
    """The outlines, what was left out of them, and what to do next."""
    show_taken(workspace, intake.outlines, dry_run=dry_run)
    if intake.left:
        named = ", ".join(f"{chapter} {title}" for chapter, title in intake.left.items())
        warn(f"no lines are planned for {named}: left alone")
    for row in intake.rows[:MOST_ROWS]:
        warn(f"line {row.line}: not taken, as no sections are planned for it: {row.text}")
    if len(intake.rows) > MOST_ROWS:
        more = ", ".join(str(row.line) for row in intake.rows[MOST_ROWS:])
        warn(f"nor were the rows in lines {more}")
    if intake.booked and not dry_run:
        typer.echo(f"added to outlines/book.yaml: {', '.join(intake.booked)}")
    if not dry_run:
        from expand.diagnosis.shell_command import shell_command  # start-up time

        name, first = shell_command().name, intake.outlines[0].id
        typer.echo(f"next: {name} outline check, then {name} chapter {first} --dry-run")
