"""A report as HTML or Markdown, by the Jinja templates beside this module."""

import re
from functools import cache, partial

import jinja2

from expand.markdown.escape import escaped
from expand.reports import messages
from expand.reports.charts import draw
from expand.reports.messages import show_fact, show_heads, show_row
from expand.reports.report_model import Chart, Facts, Report, Table, has_content

_CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")


def as_html(report: Report) -> str:
    """The whole page, ending in one newline."""
    return _rendered(report, "report.html.j2", drawn=draw)


def as_markdown(report: Report) -> str:
    """The report as Markdown, ending in one newline; without a title only its tables and notes."""
    return _rendered(report, "report.md.j2")


def _rendered(report: Report, template: str, **values: object) -> str:
    language = report.language
    return (
        _environment()
        .get_template(template)
        .render(
            report=report,
            blocks=[block for block in report.blocks if has_content(block)],
            made=f"{report.made:%Y-%m-%d %H:%M}",
            say=partial(messages.say, language),
            facts=lambda block: [show_fact(block, fact, language) for fact in block.facts],
            heads=lambda table: show_heads(table, language),
            rows=lambda table: [show_row(table.columns, row, language) for row in table.rows],
            total=lambda table: table.total and show_row(table.columns, table.total, language, total=True),
            **values,
        )
    )


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("expand.reports"),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests |= {
        "facts": lambda block: isinstance(block, Facts),
        "table": lambda block: isinstance(block, Table),
        "chart": lambda block: isinstance(block, Chart),
    }
    environment.filters |= {
        "anchor": lambda name: re.sub(r"[._]", "-", name),
        # A sentence in parts, each with whether it stood between two backticks. More of them in a row stay text:
        # Markdown would read a title's own backticks as the beginning of other code, and what follows as HTML.
        "code_parts": lambda line: [(part, number % 2 == 1) for number, part in enumerate(_CODE.split(line))],
        "escaped": escaped,
    }
    return environment
