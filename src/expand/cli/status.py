"""``expand status`` and ``expand report``: the status report, and where it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    facts_of,
    format_of,
    print_sheet,
    spoken,
)

if TYPE_CHECKING:
    from expand.report.drafts import Reviews
    from expand.report.facts import BookFacts
    from expand.workspace import Workspace

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
    from expand.report.status import status_sheet, table_sheet  # start-up time

    wanted = format_of("json" if as_json else form)
    place = workspace_of(context, workspace)
    facts = facts_of(place, model=model, base_url=base_url)
    words = spoken(facts.book, language)
    if update is not None:
        from expand.report.marked import renew  # start-up time

        renew(update, table_sheet(facts, words))
        return
    print_sheet(status_sheet(facts, _reviews(place, facts), words), wanted, output)


def report(
    context: typer.Context,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The folder to write to.")
    ] = Path("reports"),
    language: ReportLanguageOption = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Write the completion report of the whole book: Markdown, HTML, JSON and CSV."""
    from expand.report.rendering import render  # start-up time
    from expand.report.status import status_sheet

    place = workspace_of(context, workspace)
    facts = facts_of(place)
    words = spoken(facts.book, language)
    sheet = status_sheet(facts, _reviews(place, facts), words, title="title.completion")
    for name, form in REPORT_FILES.items():
        print_text(render(sheet, format_of(form)), output / name)
        typer.echo(output / name)


def _reviews(workspace: Workspace, facts: BookFacts) -> Reviews:
    """The drafts held against their outlines."""
    drafted = [
        chapter.id
        for chapter in facts.chapters
        if chapter.outlined is not None and workspace.draft_path(chapter.id).is_file()
    ]
    if not drafted:
        return {}
    from expand.drafting.review import review  # start-up time: it parses code

    settings = settings_of(workspace)
    return {chapter: review(workspace, settings, facts.book, chapter) for chapter in drafted}
