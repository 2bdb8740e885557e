"""``expand status`` and ``expand report``: the status report, and where it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from expand.cli.common import (
    BaseUrlOption,
    ModelOption,
    OutputOption,
    WorkspaceOption,
    print_text,
    settings_of,
    workspace_of,
)
from expand.cli.reporting import (
    FormatJsonOption,
    FormatOption,
    ReportLanguageOption,
    format_of,
    print_sheet,
)

REPORT_FILES = {
    "README.md": "markdown",
    "status.html": "html",
    "status.json": "json",
    "status.csv": "csv",
}


def status(
    context: typer.Context,
    form: FormatOption = "table",
    as_json: FormatJsonOption = False,
    language: ReportLanguageOption = None,
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    output: OutputOption = None,
    update: Annotated[
        Path | None,
        typer.Option(
            "--update", metavar="FILE", help="Renew the table between the markers in FILE."
        ),
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Show lines against targets, resources, plans, the forecast by tier and what is to be done."""
    from expand.library import figures  # start-up time
    from expand.report.drafts import reviews
    from expand.report.status import status_sheet, table_sheet
    from expand.report.wording import spoken_for

    wanted = format_of("json" if as_json else form)
    place = workspace_of(context, workspace)
    facts = figures(place, model=model, base_url=base_url)
    words = spoken_for(facts.book.language, language)
    if update is not None:
        from expand.report.marked import renew  # start-up time

        renew(update, table_sheet(facts, words))
        return
    print_sheet(
        status_sheet(facts, reviews(place, settings_of(place), facts), words), wanted, output
    )


def report(
    context: typer.Context,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The folder to write to.")
    ] = Path("reports"),
    language: ReportLanguageOption = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Write the completion report of the whole book: Markdown, HTML, JSON and CSV."""
    from expand.library import figures  # start-up time
    from expand.report.drafts import reviews
    from expand.report.rendering import render
    from expand.report.status import status_sheet
    from expand.report.wording import spoken_for

    place = workspace_of(context, workspace)
    facts = figures(place)
    words = spoken_for(facts.book.language, language)
    sheet = status_sheet(
        facts, reviews(place, settings_of(place), facts), words, title="title.completion"
    )
    for name, form in REPORT_FILES.items():
        print_text(render(sheet, format_of(form)), output / name)
        typer.echo(output / name)
