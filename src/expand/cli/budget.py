"""``expand budget``: the budget report."""

from __future__ import annotations

import typer

from expand.cli.common import OutputOption, WorkspaceOption, workspace_of
from expand.cli.reporting import (
    FormatJsonOption,
    FormatOption,
    ReportLanguageOption,
    facts_of,
    format_of,
    print_sheet,
    spoken,
)


def budget(
    context: typer.Context,
    form: FormatOption = "table",
    as_json: FormatJsonOption = False,
    language: ReportLanguageOption = None,
    output: OutputOption = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Show what is used, reserved and remaining, and what the rest is estimated to take."""
    from expand.report.budget import LATEST, budget_sheet  # start-up time

    wanted = format_of("json" if as_json else form)
    place = workspace_of(context, workspace)
    facts = facts_of(place, priced=False, latest=LATEST)
    print_sheet(budget_sheet(facts, spoken(facts.book, language)), wanted, output)
