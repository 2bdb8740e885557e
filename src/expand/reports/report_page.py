"""A report as HTML or Markdown, by the Jinja templates beside this module; tables drawn as SVG by pygal.

pygal writes a script for tooltips and a comment with the date into every chart; both are taken out, so that the page
needs no script and the same figures give the same bytes. Colours come from the page's style sheet.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any
from unicodedata import east_asian_width
from xml.etree import ElementTree as ET

import jinja2

from expand.redaction import escaped
from expand.reports import messages
from expand.reports.messages import show_row, texts
from expand.reports.report_model import Facts, Report, Table, has_content

_CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
DRAWN: Mapping[str, tuple[str, str]] = {
    "finished_chapters": ("id", "lines target"),
    "pending_chapters": ("id", "lines draft_lines target"),
    "forecast": ("title", "lines after target"),
    "sections": ("chapter section", "draft_lines asked_lines"),
    "by_purpose": ("purpose", "tokens"),
    "by_day": ("day", "remaining"),
}
"""The tables that are drawn: the columns that name a row, and those of the figures. Days make a line, the rest bars."""
COLOURS = {"draft_lines": "var(--two)", "after": "var(--two)", "target": "var(--three)", "asked_lines": "var(--three)"}
"""What a figure is drawn in, the same in every chart; any other is ``--one``."""
_STYLE: Mapping[str, object] = {
    **dict.fromkeys(("background", "plot_background"), "transparent"),
    **dict.fromkeys(("foreground", "foreground_strong"), "var(--ink)"),
    **dict.fromkeys(("foreground_subtle", "guide_stroke_color", "major_guide_stroke_color"), "var(--rule)"),
    **dict.fromkeys(("opacity", "opacity_hover"), "1"),
    **dict.fromkeys(("label_font_size", "major_label_font_size", "legend_font_size"), 11),
    "transition": "none",
    "font_family": "inherit",
}
MOST_ROWS = 100
"""A longer table is not drawn: nobody could read the chart."""
SVG = "http://www.w3.org/2000/svg"
WIDTH = 460
"""In the units of the chart; the page scales it to its width."""
ROW = 11
"""Height of one bar with its gap."""
LONGEST_LABEL = 20


def rendered(report: Report, template: str) -> str:
    """The report by ``report.html.j2`` or ``report.md.j2``, ending in one newline; without a title, Markdown has only
    its tables and notes."""
    language = report.language
    return (
        _environment()
        .get_template(template)
        .render(
            report=report,
            blocks=[block for block in report.blocks if has_content(block)],
            made=f"{report.made:%Y-%m-%d %H:%M}",
            say=partial(messages.say, language),
            texts=partial(texts, language=language),
            drawn=lambda table: draw(table, language),
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
    }
    environment.filters |= {
        "anchor": lambda name: re.sub(r"[._]", "-", name),
        # A sentence in parts, each with whether it stood between two backticks. More of them in a row stay text:
        # Markdown would read a title's own backticks as the beginning of other code, and what follows as HTML.
        "code_parts": lambda line: [(part, number % 2 == 1) for number, part in enumerate(_CODE.split(line))],
        "escaped": escaped,
    }
    return environment


def draw(table: Table, language: str) -> str:
    """The table as an ``svg`` element, to stand in a page; "" where it is not drawn."""
    if table.id not in DRAWN or not 0 < len(table.rows) <= MOST_ROWS:
        return ""
    names, figures = (key.split() for key in DRAWN[table.id])
    places = {column.id: at for at, column in enumerate(table.columns)}
    shown = [show_row(table.columns, row, language) for row in table.rows]
    labels = ["/".join(row[places[name]] for name in names) for row in shown]
    heads = [messages.label(language, table.id, name) for name in figures]
    series: list[list[Any]] = [[row[places[name]] for row in table.rows] for name in figures]
    if all(value is None for values in series for value in values):
        return ""
    told = "; ".join(
        f"{label} " + ", ".join(f"{head} {row[places[name]]}" for head, name in zip(heads, figures, strict=True))
        for label, row in zip(labels, shown, strict=True)
    )
    as_line = names == ["day"]
    order = 1 if as_line else -1  # bars are drawn from the bottom up, and read from the top down
    graph = _graph(labels[::order], figures, as_line=as_line)
    for head, values in zip(heads, series, strict=True):
        graph.add(head, values[::order])
    root = ET.fromstring(graph.render())
    for parent in list(root.iter()):
        for child in list(parent):  # scripts, and what only they need
            tooltip = child.tag == f"{{{SVG}}}g" and child.get("class", "").startswith("tooltip")
            if tooltip or child.tag in (f"{{{SVG}}}script", f"{{{SVG}}}desc"):
                parent.remove(child)
    title = messages.say(language, table.id)
    root.set("role", "img")
    root.set("aria-label", messages.say(language, "say.picture", title=title, figures=told))
    root.set("class", "picture")
    ET.register_namespace("", SVG)
    return re.sub(r"chart-[0-9a-f-]{36}", f"chart-{table.id}", ET.tostring(root, encoding="unicode"))


def _graph(labels: Sequence[str], figures: Sequence[str], *, as_line: bool) -> Any:
    import pygal  # 0.1 s, for HTML only

    # pygal leaves an import hook of the old kind behind, which Python 3.11 warns of; only its own plugins need it.
    sys.meta_path[:] = [hook for hook in sys.meta_path if type(hook).__module__ != "pygal"]
    settings = {
        "style": pygal.style.Style(colors=[COLOURS.get(name, "var(--one)") for name in figures], **_STYLE),
        "width": WIDTH,
        "js": [],
        "disable_xml_declaration": True,
        "show_legend": len(figures) > 1,
        "legend_at_bottom": True,
        "legend_at_bottom_columns": len(figures),
        "legend_box_size": 10,
        "value_formatter": lambda value: f"{value:,.0f}",
        "truncate_label": LONGEST_LABEL,
        "truncate_legend": -1,
        "margin": 8,
        "max_scale": 5,
        "include_x_axis": True,
    }
    if as_line:
        every = max(1, -(-len(labels) // 5))
        return pygal.Line(
            **settings,
            height=260,
            dots_size=3,
            x_label_rotation=40,
            show_minor_x_labels=False,
            x_labels=list(labels),
            x_labels_major=list(labels[::every]),
        )
    short = [name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 1]}…" for name in labels]
    return pygal.HorizontalBar(
        **settings,
        height=70 + len(short) * (ROW * len(figures) + 12),
        # What labels in wide characters need beyond the room that pygal gives to Latin ones.
        margin_left=8 + 5 * max(sum(east_asian_width(c) in "WF" for c in label) for label in short),
        margin_right=24,
        x_labels=short,
    )
