"""What the commands that report share: their options, and what they mean."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from expand.outline import Book
    from expand.report.rendering import Format

FormatOption = Annotated[
    str, typer.Option("--format", metavar="FORMAT", help="table, json, markdown, csv or html.")
]
OutputOption = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to a file.")
]
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


def now() -> datetime:
    """The wall clock, in UTC."""
    from datetime import UTC  # start-up time

    return datetime.now(UTC)
