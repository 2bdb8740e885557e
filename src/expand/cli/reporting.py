"""What the commands that report share: their options, and what they mean."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from expand.cli.common import print_json, print_text, settings_of

if TYPE_CHECKING:
    from expand.outline import Book
    from expand.report.facts import BookFacts
    from expand.report.rendering import Format
    from expand.report.sheet import Sheet
    from expand.settings import Settings
    from expand.workspace import Workspace

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


def spoken(book: Book, given: str | None) -> str:
    """The report's language: as given, else the book's if there are words in it, else English.

    Raises ``InputError``.
    """
    from expand.errors import InputError  # start-up time
    from expand.report.wording import LANGUAGES

    if given is None:
        return book.language if book.language in LANGUAGES else "en"
    if given not in LANGUAGES:
        raise InputError(
            f"reports have no language {given!r}", remedy=f"give one of: {', '.join(LANGUAGES)}"
        )
    return given


def facts_of(
    workspace: Workspace,
    *,
    model: str | None = None,
    base_url: str | None = None,
    priced: bool = True,
    latest: int = 0,
) -> BookFacts:
    """What the reports are made from, as of now, for the model that the settings mean.

    ``priced`` looks its price up, to estimate costs with. Raises ``InputError``, ``LedgerError``.
    """
    from datetime import UTC, datetime  # start-up time

    from expand.report.facts import read_facts

    settings = settings_of(workspace, model=model, base_url=base_url)
    return read_facts(
        workspace,
        now=datetime.now(UTC),
        model=settings.model,
        pico_usd_per_token=_price(workspace, settings) if priced else None,
        latest=latest,
    )


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


def _price(workspace: Workspace, settings: Settings) -> Fraction | None:
    """What a token of the model costs at its list price, None where that is not known."""
    from expand.drafting.authorship import profile_of  # start-up time
    from expand.model.pricing import price_for
    from expand.report.estimate import list_price

    profile = profile_of(workspace, settings)
    price = price_for(settings.model, profile, settings.base_url)
    return None if price is None else list_price(price)
