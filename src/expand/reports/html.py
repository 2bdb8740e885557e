"""A report as one HTML file: no script, nothing from elsewhere, in light and dark, on a phone, on
paper and read aloud. Under every picture stand its figures as a table.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files

from expand.reports import messages
from expand.reports.report_model import LEFT, Column, Facts, Notes, Picture, Report, Table, Value
from expand.reports.rounding import show, show_row

_SPOKEN = {"en": "en", "zh": "zh-Hans"}


def as_html(sheet: Report) -> str:
    """The whole page, ending in one newline."""
    style = files("expand.data").joinpath("report.css").read_text(encoding="utf-8")
    language = _SPOKEN[sheet.language]
    made = messages.say(sheet.language, "made", made=f"{sheet.made:%Y-%m-%d %H:%M}")
    shown = [(block, _body(block, sheet.language)) for block in sheet.blocks]
    parts = [
        f'<section aria-labelledby="{_anchor(block.id)}">'
        f'<h2 id="{_anchor(block.id)}">{_say(sheet, block.id)}</h2>\n{body}</section>'
        for block, body in shown
        if body
    ]
    links = "".join(
        f'<li><a href="#{_anchor(block.id)}">{_say(sheet, block.id)}</a></li>' for block, body in shown if body
    )
    return f"""<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(sheet.title)}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<header>
<h1>{escape(sheet.title)}</h1>
<p class="made">{escape(made)}</p>
<nav aria-label="{_say(sheet, "contents")}"><ul>{links}</ul></nav>
</header>
<main>
{chr(10).join(parts)}
</main>
</body>
</html>
"""


def _say(sheet: Report, key: str) -> str:
    return escape(messages.say(sheet.language, key))


def _anchor(id_: str) -> str:
    return id_.replace(".", "-").replace("_", "-")


def _body(block: Facts | Table | Notes | Picture, language: str) -> str:
    """One block; "" where there is nothing to show."""
    match block:
        case Facts():
            return _facts(block, language)
        case Table():
            return _table(block, language) if block.rows else ""
        case Notes():
            mark = '<span class="box" aria-hidden="true"></span>' if block.todo else ""
            items = "".join(f"<li>{mark}{_sentence(line)}</li>" for line in block.lines)
            kind = "todo" if block.todo else "notes"
            return f'<ul class="{kind}">{items}</ul>' if items else ""
        case Picture():
            from expand.reports.svg import draw  # start-up time

            return f"<figure>{draw(block)}</figure>\n{_table(_figures(block), language)}"


def _sentence(line: str) -> str:
    """What stands in backticks is code."""
    parts = escape(line).split("`")
    return "".join(
        f"<code>{part}</code>" if number % 2 and number < len(parts) - 1 else part for number, part in enumerate(parts)
    )


def _facts(block: Facts, language: str) -> str:
    items = "".join(
        f"<div><dt>{escape(messages.label(language, block.id, fact.id))}</dt>"
        f"<dd>{escape(show(fact.value, fact.kind, language, none=fact.none, both=True))}</dd></div>"
        for fact in block.facts
    )
    return f'<dl class="facts">{items}</dl>'


def _figures(picture: Picture) -> Table:
    """A picture's figures as a table; its series are named by themselves."""
    return Table(
        id=picture.id,
        columns=(
            Column(id=picture.axis, kind="text"),
            *(Column(id=series.name) for series in picture.series),
        ),
        rows=tuple(
            (
                label,
                *(None if series.values[at] is None else int(series.values[at] or 0) for series in picture.series),
            )
            for at, label in enumerate(picture.labels)
        ),
    )


def _table(table: Table, language: str) -> str:
    title = escape(messages.say(language, table.id))
    heads = "".join(
        f'<th scope="col"{_side(column)}>{escape(messages.label(language, table.id, column.id))}</th>'
        for column in table.columns
    )
    rows = "".join(f"<tr>{_cells(table.columns, row, language)}</tr>\n" for row in table.rows)
    foot = ""
    if table.total is not None:
        cells = _cells(table.columns, table.total, language, total=True)
        foot = f"<tfoot><tr>{cells}</tr></tfoot>"
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{title}"><table>'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>{rows}</tbody>{foot}</table></div>"
    )


def _side(column: Column) -> str:
    return "" if column.kind in LEFT else ' class="number"'


def _cells(columns: tuple[Column, ...], row: tuple[Value, ...], language: str, *, total: bool = False) -> str:
    return "".join(
        f"<td{_side(column)}>{escape(text)}</td>" if number else f'<th scope="row">{escape(text)}</th>'
        for number, (column, text) in enumerate(
            zip(columns, show_row(columns, row, language, total=total), strict=True)
        )
    )
