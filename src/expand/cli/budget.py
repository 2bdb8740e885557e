"""``expand budget``: the budget report."""

from __future__ import annotations

from typing import Annotated

import typer

from expand.cli.common import WorkspaceOption, print_text, settings_of, workspace_of
from expand.cli.reporting import (
    FormatOption,
    OutputOption,
    ReportLanguageOption,
    format_of,
    now,
    spoken,
)


def budget(
    context: typer.Context,
    form: FormatOption = "table",
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    language: ReportLanguageOption = None,
    output: OutputOption = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Show what is used, reserved and remaining, and what the rest is estimated to take."""
    from expand.report.budget import LATEST, budget_sheet  # start-up time
    from expand.report.facts import read_facts
    from expand.report.rendering import render

    wanted = format_of("json" if as_json else form)
    place = workspace_of(context, workspace)
    facts = read_facts(place, now=now(), model=settings_of(place).model, latest=LATEST)
    print_text(render(budget_sheet(facts, spoken(facts.book, language)), wanted), output)
