"""The charts of the status report: the same figures as its tables, and their drawing as SVG by pygal.

pygal writes a script for tooltips and a comment with the date into every chart; both are taken out, so that the page
needs no script and the same figures give the same bytes. Colours come from the page's style sheet.
"""

import math
import re
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal
from unicodedata import east_asian_width
from xml.etree import ElementTree as ET

from expand.reports import messages
from expand.reports.budget_report import remaining_by_day
from expand.reports.data import BookData, SectionData
from expand.reports.plan_report import Plans
from expand.reports.report_model import Chart, Column, Table, has_content

MOST_SECTIONS = 60
"""With more sections than these, a chart shows chapters."""


def charts(data: BookData, plans: Plans, language: str) -> dict[str, Chart]:
    """Burn-down, tiers, chapters, sections and purposes by their ids; those that have something to show."""
    chapters, tiers = data.chapters, plans.every[-1].tiers
    purposes = Counter[str]()
    for part in data.aggregates.slices:
        purposes[part.purpose] += part.tokens
    found = (
        _burn_down(data, language),
        _chart(
            language,
            "picture.tiers",
            "tier",
            [tier.title.say(language) for tier in data.book.tiers],
            lines=[tier.lines for tier in tiers],
            after=[tier.lines for tier in plans.best.tiers],
            target=[tier.target for tier in tiers],
        ),
        _chart(
            language,
            "picture.chapters",
            "chapter",
            [chapter.id for chapter in chapters],
            lines=[chapter.lines for chapter in chapters],
            draft_lines=[chapter.draft_lines or 0 for chapter in chapters],
            target=[chapter.target for chapter in chapters],
        ),
        _sections(data, language),
        _chart(
            language,
            "picture.purposes",
            "purpose",
            [messages.say(language, purpose) for purpose in purposes],
            tokens=list(purposes.values()),
        ),
    )
    return {chart.id: chart for chart in found if has_content(chart.table)}


def _chart(
    language: str,
    id_: str,
    axis: str,
    labels: Sequence[str],
    shape: Literal["bars", "line"] = "bars",
    **series: Sequence[int],
) -> Chart:
    """A chart with a figure for each keyword, which is the message that names it."""
    names = [messages.say(language, key) for key in series]
    rows = tuple(zip(labels, *series.values(), strict=True))
    figures = "; ".join(
        f"{label} " + ", ".join(f"{name} {value:,}" for name, value in zip(names, values, strict=True))
        for label, *values in rows
    )
    title = messages.say(language, id_)
    alternative = messages.say(language, "say.picture", title=title, figures=figures)
    return Chart(Table(id_, (Column(axis, "text"), *map(Column, names)), rows), shape, alternative)


def _burn_down(data: BookData, language: str) -> Chart:
    """What was left of the allowance at the end of each day, and at first."""
    limit, days = data.balance.limit.tokens, data.aggregates.days
    if limit is None or not days:
        return _chart(language, "picture.burn", "day", ())
    labels = [messages.say(language, "start"), messages.say(language, "opening_short"), *(day.day for day in days)]
    left = [limit, limit - data.balance.opening_tokens, *(tokens or 0 for tokens in remaining_by_day(data))]
    return _chart(language, "picture.burn", "day", labels, "line", remaining=left)


def _sections(data: BookData, language: str) -> Chart:
    """Lines delivered and requested, by section; by chapter where the sections are too many for one chart."""
    chapters = [chapter for chapter in data.chapters if chapter.sections and (not chapter.finished or chapter.draft)]
    groups: list[tuple[str, Sequence[SectionData]]] = [
        (f"{chapter.id}/{section.number}", [section]) for chapter in chapters for section in chapter.sections
    ]
    axis = "section"
    if len(groups) > MOST_SECTIONS:
        axis, groups = "chapter", [(chapter.id, chapter.sections) for chapter in chapters]
    return _chart(
        language,
        "picture.sections",
        axis,
        [label for label, _ in groups],
        delivered=[sum(section.delivered for section in sections) for _, sections in groups],
        asked=[sum(section.lines for section in sections) for _, sections in groups],
    )


# Drawing.

SVG = "http://www.w3.org/2000/svg"
WIDTH = 460
"""In the units of the chart; the page scales it to its width."""
ROW = 11
"""Height of one bar with its gap."""
LONGEST_LABEL = 20


def draw(chart: Chart) -> str:
    """One chart as an ``svg`` element, to stand in a page."""
    columns: list[Any] = list(zip(*chart.table.rows, strict=True))
    labels, series = columns[0], columns[1:]
    order = 1 if chart.shape == "line" else -1  # bars are drawn from the bottom up, and read from the top down
    graph = _graph(chart.shape, labels[::order], series)
    for column, values in zip(chart.table.columns[1:], series, strict=True):
        graph.add(column.id, values[::order])
    root = ET.fromstring(graph.render())
    for parent in list(root.iter()):
        for child in list(parent):  # scripts, and what only they need
            tooltip = child.tag == f"{{{SVG}}}g" and child.get("class", "").startswith("tooltip")
            if tooltip or child.tag in (f"{{{SVG}}}script", f"{{{SVG}}}desc"):
                parent.remove(child)
    root.set("role", "img")
    root.set("aria-label", chart.alternative)
    root.set("class", "picture")
    ET.register_namespace("", SVG)
    text = ET.tostring(root, encoding="unicode")
    return re.sub(r"chart-[0-9a-f-]{36}", chart.id.replace(".", "-"), text)


def _graph(shape: str, labels: Sequence[str], series: Sequence[Sequence[int]]) -> Any:
    import pygal  # 0.1 s, for HTML only

    # pygal leaves an import hook of the old kind behind, which Python 3.11 warns of; only its own plugins need it.
    sys.meta_path[:] = [hook for hook in sys.meta_path if type(hook).__module__ != "pygal"]
    settings = {
        "style": pygal.style.Style(
            background="transparent",
            plot_background="transparent",
            foreground="var(--ink)",
            foreground_strong="var(--ink)",
            foreground_subtle="var(--rule)",
            guide_stroke_color="var(--rule)",
            major_guide_stroke_color="var(--rule)",
            opacity="1",
            opacity_hover="1",
            transition="none",
            colors=("var(--one)", "var(--two)", "var(--three)"),
            font_family="inherit",
            label_font_size=11,
            major_label_font_size=11,
            legend_font_size=11,
            no_data_font_size=16,
        ),
        "width": WIDTH,
        "js": [],
        "disable_xml_declaration": True,
        "explicit_size": False,
        "show_legend": len(series) > 1,
        "legend_at_bottom": True,
        "legend_at_bottom_columns": len(series),
        "legend_box_size": 10,
        "value_formatter": lambda value: f"{value:,.0f}",
        "truncate_label": LONGEST_LABEL,
        "truncate_legend": -1,
        "print_values": False,
        "margin": 8,
        "no_data_text": "",
        "y_labels": _scale([value for values in series for value in values]),
    }
    if shape == "line":
        every = max(1, -(-len(labels) // 5))
        return pygal.Line(
            **settings,
            height=260,
            fill=False,
            dots_size=3,
            include_x_axis=True,
            x_label_rotation=40,
            show_minor_x_labels=False,
            x_labels=list(labels),
            x_labels_major=list(labels[::every]),
        )
    labels = [name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 1]}…" for name in labels]
    return pygal.HorizontalBar(
        **settings,
        height=70 + len(labels) * (ROW * len(series) + 12),
        # What labels in wide characters need beyond the room that pygal gives to Latin ones.
        margin_left=8 + 5 * max(sum(east_asian_width(c) in "WF" for c in label) for label in labels),
        margin_right=24,
        zero=0,
        x_labels=labels,
    )


def _scale(values: Sequence[int]) -> list[int]:
    """The marks of the scale: at most six round ones, from 0 to above the greatest value."""
    greatest, least = max([*values, 1]), min([*values, 0])
    sizes = (size * 10**power for power in range(30) for size in (1, 2, 5))
    step = next(size for size in sizes if (greatest - least) / size <= 5)
    return [step * number for number in range(math.floor(least / step), math.ceil(greatest / step) + 1)]
