"""``expand budget``, ``plan``, ``status`` and ``report``: the reports, and where they are written."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from expand.cli import options
from expand.cli.options import require_choice
from expand.cli.output import print_json, print_text, warn
from expand.drafting.run_options import settings_of
from expand.errors import InputError
from expand.ledger import pauses_in
from expand.redaction import printable
from expand.reports.budget_report import LATEST, budget_report
from expand.reports.data import BookData, figures
from expand.reports.formats import FORMATS, Format, as_json, render, renew
from expand.reports.plan_report import plan_report
from expand.reports.report_model import Report, report_language
from expand.reports.status_report import reviews, status_report, status_tables
from expand.workspace import Workspace, meant, write_atomically

Form = Annotated[str, typer.Option("--format", metavar="FORMAT", help="table, json, markdown, csv or html.")]
ReportLanguage = Annotated[str | None, typer.Option("--language", help="The report's language: en or zh.")]
MOST_NAMED = 12
"""Chapters that the message about an unknown one names."""
REPORT_FILES: dict[str, Format] = {
    "README.md": "markdown",
    "status.html": "html",
    "status.json": "json",
    "status.csv": "csv",
}


class Shown(NamedTuple):
    """The options that say how a report is shown."""

    form: Form = "table"
    json: options.FormatJson = False
    language: ReportLanguage = None
    output: options.Output = None

    def spoken(self, data: BookData) -> str:
        """The report's language."""
        return report_language(data.book.language, self.language)

    def print(self, report: Report) -> None:
        """Prints a report on stdout or into a file; on a terminal the tables keep to the terminal's width."""
        form = require_choice("--format", "json" if self.json else self.form, FORMATS)
        if form == "json":
            print_json(as_json(report), self.output)
            return
        on_terminal = self.output is None and sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if on_terminal else None
        print_text(render(report, form, width=width), self.output)


def budget(opened: Workspace, shown: Shown) -> None:
    """Show tokens used, reserved, remaining and estimated for the rest."""
    data = figures(opened, priced=False, latest=LATEST)
    shown.print(budget_report(data, shown.spoken(data)))
    for pause in pauses_in(opened.ledger_place):
        warn(f"{pause}; lift it with `expand ledger resume {shlex.quote(pause.model)}`")


def plan(place: Workspace, shown: Shown, author: options.Author, chapters: options.SomeChapters = None) -> None:
    """Compare the plans: lines, tokens, cost, hours and completion."""
    data = figures(place, **author._asdict())
    known = [chapter.id for chapter in data.chapters]
    for chapter in chapters or []:
        if chapter not in known:
            near, more = meant(chapter, known), len(known) - MOST_NAMED
            listed = ", ".join(known[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
            hint = f"did you mean {near}? it has" if near else "it has"
            raise InputError(f"the book has no chapter {chapter!r}", remedy=f"{hint} {listed}")
    shown.print(plan_report(data, shown.spoken(data), frozenset(chapters) if chapters else None))


def status(
    opened: Workspace,
    update: Annotated[
        Path | None,
        typer.Option("--update", metavar="FILE", help="Renew the table between the markers in FILE."),
    ] = None,
    *,
    shown: Shown,
    author: options.Author,
) -> None:
    """Show lines against targets, the forecast and the to-do list."""
    data = figures(opened, **author._asdict())
    if update is not None:
        renew(update, status_tables(data, shown.spoken(data)))
    else:
        shown.print(_status_report(opened, data, shown.spoken(data), "title.status"))


def report(
    opened: Workspace,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The folder to write to.")] = Path(
        "reports"
    ),
    language: ReportLanguage = None,
) -> None:
    """Write the book's completion report: Markdown, HTML, JSON, CSV."""
    data = figures(opened)
    completion = _status_report(opened, data, report_language(data.book.language, language), "title.completion")
    for name, form in REPORT_FILES.items():
        write_atomically(output / name, printable(render(completion, form)))
        typer.echo(output / name)


def _status_report(workspace: Workspace, data: BookData, language: str, title: str) -> Report:
    return status_report(data, reviews(workspace, settings_of(workspace), data), language, title=title)
