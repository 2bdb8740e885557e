"""``expand budget``, ``plan``, ``status`` and ``report``: the reports, and where they are written."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from expand.cli import options
from expand.cli.common import print_json, print_text, require_choice, workspace_of
from expand.cli.verbosity import warn
from expand.drafting.run_options import settings_of
from expand.errors import InputError
from expand.ledger import pauses_in
from expand.reports.budget_report import LATEST, budget_report
from expand.reports.data import BookData, figures
from expand.reports.formats import FORMATS, Format, as_json, render, renew
from expand.reports.messages import report_language
from expand.reports.plan_report import plan_report
from expand.reports.report_model import Report
from expand.reports.status_report import Reviews, status_report, status_tables
from expand.workspace import Workspace, meant

FormatOption = Annotated[str, typer.Option("--format", metavar="FORMAT", help="table, json, markdown, csv or html.")]
ReportLanguageOption = Annotated[str | None, typer.Option("--language", help="The report's language: en or zh.")]
REPORT_FILES: dict[str, Format] = {
    "README.md": "markdown",
    "status.html": "html",
    "status.json": "json",
    "status.csv": "csv",
}


def _print(report: Report, form: Format, output: Path | None) -> None:
    """On stdout or into a file; on a terminal the tables keep to the terminal's width."""
    if form == "json":
        print_json(as_json(report), output)
        return
    on_terminal = output is None and sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if on_terminal else None
    print_text(render(report, form, width=width), output)


def budget(
    context: typer.Context,
    form: FormatOption = "table",
    json: options.FormatJson = False,
    language: ReportLanguageOption = None,
    output: options.Output = None,
) -> None:
    """Show tokens used, reserved, remaining and estimated for the rest."""
    wanted = require_choice("--format", "json" if json else form, FORMATS)
    opened = workspace_of(context)
    data = figures(opened, priced=False, latest=LATEST)
    _print(budget_report(data, report_language(data.book.language, language)), wanted, output)
    for pause in pauses_in(opened.ledger_place):
        warn(f"{pause}; lift it with `expand ledger resume {shlex.quote(pause.model)}`")


def plan(
    context: typer.Context,
    author: options.Author,
    chapters: options.SomeChapters = None,
    form: FormatOption = "table",
    json: options.FormatJson = False,
    language: ReportLanguageOption = None,
    output: options.Output = None,
) -> None:
    """Compare the plans: lines, tokens, cost, hours and completion."""
    wanted = require_choice("--format", "json" if json else form, FORMATS)
    data = figures(workspace_of(context), **author._asdict())
    known = [chapter.id for chapter in data.chapters]
    for chapter in chapters or []:
        if chapter not in known:
            near = meant(chapter, known)
            hint = f"did you mean {near}? it has" if near else "it has"
            raise InputError(f"the book has no chapter {chapter!r}", remedy=f"{hint} {', '.join(known)}")
    chosen = frozenset(chapters) if chapters else None
    _print(plan_report(data, report_language(data.book.language, language), chosen), wanted, output)


def status(
    context: typer.Context,
    author: options.Author,
    form: FormatOption = "table",
    json: options.FormatJson = False,
    language: ReportLanguageOption = None,
    output: options.Output = None,
    update: Annotated[
        Path | None,
        typer.Option("--update", metavar="FILE", help="Renew the table between the markers in FILE."),
    ] = None,
) -> None:
    """Show lines against targets, the forecast and the to-do list."""
    wanted = require_choice("--format", "json" if json else form, FORMATS)
    opened = workspace_of(context)
    data = figures(opened, **author._asdict())
    if update is not None:
        renew(update, status_tables(data, report_language(data.book.language, language)))
        return
    _print(_status_report(opened, data, language, "title.status"), wanted, output)


def report(
    context: typer.Context,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The folder to write to.")] = Path(
        "reports"
    ),
    language: ReportLanguageOption = None,
) -> None:
    """Write the book's completion report: Markdown, HTML, JSON, CSV."""
    opened = workspace_of(context)
    completion = _status_report(opened, figures(opened), language, "title.completion")
    for name, form in REPORT_FILES.items():
        print_text(render(completion, form), output / name)
        typer.echo(output / name)


def _status_report(workspace: Workspace, data: BookData, language: str | None, title: str) -> Report:
    found: Reviews = {}
    if any(chapter.draft for chapter in data.chapters):
        from expand.reports.draft_reviews import reviews  # loads the checks and their parsers: 0.3 s

        found = reviews(workspace, settings_of(workspace), data)
    return status_report(data, found, report_language(data.book.language, language), title=title)
