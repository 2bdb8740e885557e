"""Pictures as SVG, drawn by pygal: no script, no font from elsewhere, colours from the page's CSS.

pygal writes a script for tooltips and a comment with the date into every picture; both are taken
out, so that the page needs no script and the same figures give the same bytes.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pygal
from pygal.style import Style

from expand.report.sheet import Picture

SVG = "http://www.w3.org/2000/svg"
WIDTH = 640
"""In the units of the picture; the page scales it to its width."""
ROW = 16
"""Height of one bar with its gap."""
LONGEST_LABEL = 26
COLOURS = ("var(--one)", "var(--two)", "var(--three)")

_STYLE = Style(
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
    colors=COLOURS,
    font_family="inherit",
    label_font_size=12,
    major_label_font_size=12,
    legend_font_size=13,
    no_data_font_size=16,
)


def draw(picture: Picture) -> str:
    """One picture as an ``svg`` element, to stand in a page."""
    chart = _line(picture) if picture.shape == "line" else _bars(picture)
    for series in picture.series:
        chart.add(series.name, [None if v is None else v for v in series.values])
    root = ET.fromstring(chart.render())
    _strip(root)
    root.set("role", "img")
    root.set("aria-label", picture.said)
    root.set("class", "picture")
    ET.register_namespace("", SVG)
    text = ET.tostring(root, encoding="unicode")
    return re.sub(r"chart-[0-9a-f-]{36}", picture.id.replace(".", "-"), text)


def _settings(picture: Picture, height: int) -> dict[str, object]:
    return {
        "style": _STYLE,
        "width": WIDTH,
        "height": height,
        "js": [],
        "disable_xml_declaration": True,
        "explicit_size": False,
        "show_legend": len(picture.series) > 1,
        "legend_at_bottom": True,
        "legend_at_bottom_columns": len(picture.series),
        "legend_box_size": 12,
        "value_formatter": lambda value: f"{value:,.0f}",
        "truncate_label": LONGEST_LABEL,
        "truncate_legend": -1,
        "print_values": False,
        "margin": 8,
        "no_data_text": "",
    }


def _bars(picture: Picture) -> pygal.graph.graph.Graph:
    rows = len(picture.labels)
    height = 70 + rows * (ROW * len(picture.series) + 12)
    chart = pygal.HorizontalBar(**_settings(picture, height), zero=0)
    chart.x_labels = [_short(label) for label in picture.labels]
    chart.y_labels_major_count = 4
    chart.x_labels_major_count = 5
    return chart


def _line(picture: Picture) -> pygal.graph.graph.Graph:
    chart = pygal.Line(
        **_settings(picture, 320),
        fill=False,
        dots_size=3,
        include_x_axis=True,
        x_label_rotation=40,
        show_minor_x_labels=False,
    )
    chart.x_labels = list(picture.labels)
    every = max(1, -(-len(picture.labels) // 8))
    chart.x_labels_major = list(picture.labels[::every])
    return chart


def _short(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"


def _strip(root: ET.Element) -> None:
    """Takes out scripts and what only they need."""
    for parent in list(root.iter()):
        for child in list(parent):
            if (
                child.tag == f"{{{SVG}}}script"
                or (child.tag == f"{{{SVG}}}g" and child.get("class", "").startswith("tooltip"))
                or child.tag == f"{{{SVG}}}desc"
            ):
                parent.remove(child)
