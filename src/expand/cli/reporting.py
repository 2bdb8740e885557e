"""What the commands that report share: their options, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from expand.cli.common import print_json, print_text

if TYPE_CHECKING:
    from expand.report.rendering import Format
    from expand.report.sheet import Sheet

FormatOption = Annotated[
    str, typer.Option("--format", metavar="FORMAT", help="table, json, markdown, csv or html.")
]
FormatJsonOption = Annotated[bool, typer.Option("--json", help="The same as --format json.")]
ReportLanguageOption = Annotated[
    str | None, typer.Option("--language", help="The report's language: en or zh.")
]


def format_of(text: str) -> Format:
    """The format that ``--format`` names. Raises ``InputError``."""
    from expand.errors import InputError  # start-up time
    from expand.report.rendering import FORMATS

    for form in FORMATS:
        if form == text:
            return form
    raise InputError(f"--format is {text!r}", remedy=f"give one of: {', '.join(FORMATS)}")


def print_sheet(sheet: Sheet, form: Format, output: Path | None) -> None:
    """The report on stdout, or into a file; on a terminal tables keep to its width."""
    import shutil  # start-up time
    import sys

    from expand.report.json import as_json
    from expand.report.rendering import render

    if form == "json":
        print_json(as_json(sheet), output)
        return
    narrow = output is None and sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if narrow else None
    print_text(render(sheet, form, width=width), output)
