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
    complete_chapter,
    print_json,
    print_text,
    settings_of,
    workspace_of,
)

# What the commands that report share: their options, and what they mean.

if TYPE_CHECKING:
    from expand.reports.formats import Format
    from expand.reports.report_model import Report

FormatOption = Annotated[str, typer.Option("--format", metavar="FORMAT", help="table, json, markdown, csv or html.")]
FormatJsonOption = Annotated[bool, typer.Option("--json", help="The same as --format json.")]
ReportLanguageOption = Annotated[str | None, typer.Option("--language", help="The report's language: en or zh.")]


def format_of(text: str) -> Format:
    """The format that ``--format`` names. Raises ``InputError``."""
    from expand.errors import InputError  # start-up time
    from expand.reports.formats import FORMATS

    for form in FORMATS:
        if form == text:
            return form
    raise InputError(f"--format is {text!r}", remedy=f"give one of: {', '.join(FORMATS)}")


def print_sheet(sheet: Report, form: Format, output: Path | None) -> None:
    """The report on stdout, or into a file; on a terminal tables keep to its width."""
    import shutil  # start-up time
    import sys

    from expand.reports.formats import as_json, render

    if form == "json":
        print_json(as_json(sheet), output)
        return
    narrow = output is None and sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if narrow else None
    print_text(render(sheet, form, width=width), output)


# ``expand budget``: the budget report.


def budget(
    context: typer.Context,
    form: FormatOption = "table",
    as_json: FormatJsonOption = False,
    language: ReportLanguageOption = None,
    output: OutputOption = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Show what is used, reserved and remaining, and what the rest is estimated to take."""
    from expand.api import figures  # start-up time
    from expand.reports.budget_report import LATEST, budget_sheet
    from expand.reports.messages import spoken_for

    wanted = format_of("json" if as_json else form)
    place = workspace_of(context, workspace)
    facts = figures(place, priced=False, latest=LATEST)
    print_sheet(budget_sheet(facts, spoken_for(facts.book.language, language)), wanted, output)


# ``expand plan``: the scenarios side by side.


def plan(
    context: typer.Context,
    chapters: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID...]", help="Only these chapters.", autocompletion=complete_chapter),
    ] = None,
    form: FormatOption = "table",
    as_json: FormatJsonOption = False,
    language: ReportLanguageOption = None,
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    output: OutputOption = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Show the plans side by side: lines, tokens, cost, hours, completion, and what fits."""
    from expand.api import figures
    from expand.errors import InputError  # start-up time
    from expand.reports.messages import spoken_for
    from expand.reports.plan_report import plan_sheet
    from expand.workspace import meant

    wanted = format_of("json" if as_json else form)
    place = workspace_of(context, workspace)
    facts = figures(place, model=model, base_url=base_url)
    known = [chapter.id for chapter in facts.chapters]
    for chapter in chapters or []:
        if chapter not in known:
            near = meant(chapter, known)
            hint = f"did you mean {near}? it has" if near else "it has"
            raise InputError(f"the book has no chapter {chapter!r}", remedy=f"{hint} {', '.join(known)}")
    chosen = frozenset(chapters) if chapters else None
    words = spoken_for(facts.book.language, language)
    print_sheet(plan_sheet(facts, words, chosen), wanted, output)


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
        typer.Option("--update", metavar="FILE", help="Renew the table between the markers in FILE."),
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Show lines against targets, resources, plans, the forecast by tier and what is to be done."""
    from expand.api import figures  # start-up time
    from expand.reports.draft_states import reviews
    from expand.reports.messages import spoken_for
    from expand.reports.status_report import status_sheet, table_sheet

    wanted = format_of("json" if as_json else form)
    place = workspace_of(context, workspace)
    facts = figures(place, model=model, base_url=base_url)
    words = spoken_for(facts.book.language, language)
    if update is not None:
        from expand.reports.embed import renew  # start-up time

        renew(update, table_sheet(facts, words))
        return
    print_sheet(status_sheet(facts, reviews(place, settings_of(place), facts), words), wanted, output)


def report(
    context: typer.Context,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The folder to write to.")] = Path(
        "reports"
    ),
    language: ReportLanguageOption = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Write the completion report of the whole book: Markdown, HTML, JSON and CSV."""
    from expand.api import figures  # start-up time
    from expand.reports.draft_states import reviews
    from expand.reports.formats import render
    from expand.reports.messages import spoken_for
    from expand.reports.status_report import status_sheet

    place = workspace_of(context, workspace)
    facts = figures(place)
    words = spoken_for(facts.book.language, language)
    sheet = status_sheet(facts, reviews(place, settings_of(place), facts), words, title="title.completion")
    for name, form in REPORT_FILES.items():
        print_text(render(sheet, format_of(form)), output / name)
        typer.echo(output / name)
