"""A report in the format that was asked for."""

from __future__ import annotations

import json
from typing import Literal, get_args

from expand.report.csv import as_csv
from expand.report.json import as_json
from expand.report.sheet import Sheet

Format = Literal["table", "json", "markdown", "csv", "html"]
FORMATS: tuple[Format, ...] = get_args(Format)


def render(sheet: Sheet, form: Format, *, width: int | None = None) -> str:
    """The report as text, ending in one newline; ``width`` is the terminal's, if there is one."""
    match form:
        case "json":
            return json.dumps(as_json(sheet), ensure_ascii=False, indent=2) + "\n"
        case "csv":
            return as_csv(sheet)
        case "markdown":
            from expand.report.markdown import as_markdown  # start-up time

            return as_markdown(sheet)
        case "html":
            from expand.report.html import as_html  # start-up time

            return as_html(sheet)
        case "table":
            from expand.report.table import WIDE, as_table  # start-up time

            return as_table(sheet, width or WIDE)
