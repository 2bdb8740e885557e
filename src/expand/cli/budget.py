"""``expand budget``: the budget report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from expand.cli.common import WorkspaceOption, print_json, workspace_of


def budget(
    context: typer.Context,
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="table or json.")
    ] = "table",
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to a file.")
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Show what is used, reserved and remaining, and what the rest is estimated to take."""
    from expand.errors import InputError  # start-up time
    from expand.report.budget import as_json as report_json
    from expand.report.budget import budget_report, show_table

    form = "json" if as_json else form
    if form not in ("table", "json"):
        raise InputError(f"--format is {form!r}", remedy="give table or json")
    report = budget_report(workspace_of(context, workspace))
    if form == "json":
        print_json(report_json(report), output)
    else:
        show_table(report, output)
