"""``expand budget``: the budget report."""

from __future__ import annotations

import typer

from expand.cli.common import OutputOption, WorkspaceOption, workspace_of
from expand.cli.reporting import (
    FormatJsonOption,
    FormatOption,
    ReportLanguageOption,
    format_of,
    print_sheet,
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
    from expand.library import figures  # start-up time
    from expand.report.budget import LATEST, budget_sheet
    from expand.report.wording import spoken_for

    wanted = format_of("json" if as_json else form)
    place = workspace_of(context, workspace)
    facts = figures(place, priced=False, latest=LATEST)
    print_sheet(budget_sheet(facts, spoken_for(facts.book.language, language)), wanted, output)
