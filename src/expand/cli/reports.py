"""``expand budget``, ``plan`` and ``status``: the reports, and where they are written."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from expand.cli import options
from expand.cli.options import require_choice
from expand.cli.output import print_json, print_text, warn
from expand.ledger import pauses_in
from expand.reports.data import figures
from expand.reports.formats import FORMATS, as_json, render, renew
from expand.reports.report_model import report_language
from expand.reports.status_report import make_report, status_tables
from expand.workspace import Workspace

Form = Annotated[str, typer.Option("--format", metavar="FORMAT", help="table, json, markdown, csv or html.")]
ReportLanguage = Annotated[str | None, typer.Option("--language", help="The report's language: en or zh.")]


class Shown(NamedTuple):
    """The options that say how a report is shown."""

    form: Form = "table"
    json: options.FormatJson = False
    language: ReportLanguage = None
    output: options.Output = None

    def print(self, place: Workspace, name: str, **more: Any) -> None:
        """Prints a report on stdout or into a file; on a terminal the tables keep to the terminal's width."""
        form = require_choice("--format", "json" if self.json else self.form, FORMATS)
        report = make_report(place, name, language=self.language, **more)
        if form == "json":
            print_json(as_json(report), self.output)
            return
        on_terminal = self.output is None and sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if on_terminal else None
        print_text(render(report, form, width=width), self.output)


def budget(opened: Workspace, shown: Shown) -> None:
    """Show tokens used, reserved, remaining and estimated for the rest."""
    shown.print(opened, "budget")
    for pause in pauses_in(opened.ledger_place):
        warn(f"{pause}; lift it with `expand ledger resume {shlex.quote(pause.model)}`")


def plan(place: Workspace, shown: Shown, author: options.Author, chapters: options.SomeChapters = None) -> None:
    """Compare the plans: lines, tokens, cost, hours and completion."""
    shown.print(place, "plan", chapters=chapters or (), **author._asdict())


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
    if update is None:
        shown.print(opened, "status", **author._asdict())
    else:
        data = figures(opened, **author._asdict())
        renew(update, status_tables(data, report_language(data.book.language, shown.language)))
