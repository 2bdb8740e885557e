"""Pictures as SVG, drawn by pygal: no script, no font from elsewhere, colours from the page's CSS.

pygal writes a script for tooltips and a comment with the date into every picture; both are taken
out, so that the page needs no script and the same figures give the same bytes.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from typing import TypeVar
from unicodedata import east_asian_width
from xml.etree import ElementTree as ET

import pygal
from pygal.style import Style

from expand.reports.report_model import Picture

# pygal leaves an import hook of the old kind behind, which Python 3.11 warns of; only its own
# plugins need it.
sys.meta_path[:] = [hook for hook in sys.meta_path if type(hook).__module__ != "pygal"]

T = TypeVar("T")
SVG = "http://www.w3.org/2000/svg"
WIDTH = 460
"""In the units of the picture; the page scales it to its width."""
ROW = 11
"""Height of one bar with its gap."""
LONGEST_LABEL = 20
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
    label_font_size=11,
    major_label_font_size=11,
    legend_font_size=11,
    no_data_font_size=16,
)


def draw(picture: Picture) -> str:
    """One picture as an ``svg`` element, to stand in a page."""
    chart = _line(picture) if picture.shape == "line" else _bars(picture)
    for series in picture.series:
        chart.add(series.name, _in_order(picture, series.values))
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
        "legend_box_size": 10,
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
    settings = _settings(picture, height) | {"margin_left": 8 + _extra(picture), "margin_right": 24}
    chart = pygal.HorizontalBar(**settings, zero=0)
    chart.x_labels = _in_order(picture, [_short(label) for label in picture.labels])
    chart.y_labels = _steps(picture)
    return chart


def _line(picture: Picture) -> pygal.graph.graph.Graph:
    chart = pygal.Line(
        **_settings(picture, 260),
        fill=False,
        dots_size=3,
        include_x_axis=True,
        x_label_rotation=40,
        show_minor_x_labels=False,
    )
    chart.x_labels = list(picture.labels)
    chart.y_labels = _steps(picture)
    every = max(1, -(-len(picture.labels) // 5))
    chart.x_labels_major = list(picture.labels[::every])
    return chart


def _extra(picture: Picture) -> int:
    """What labels in wide characters need beyond the room that pygal gives to Latin ones."""
    wide = [sum(east_asian_width(c) in "WF" for c in _short(label)) for label in picture.labels]
    return 5 * max(wide)


def _steps(picture: Picture) -> list[int]:
    """The marks of the scale: at most six round ones, from 0 to above the greatest value."""
    values = [value for series in picture.series for value in series.values if value is not None]
    greatest = max([*values, 1])
    least = min([*values, 0])
    step = next(
        size * 10**power for power in range(30) for size in (1, 2, 5) if (greatest - least) / (size * 10**power) <= 5
    )
    first, last = math.floor(least / step), math.ceil(greatest / step)
    return [step * number for number in range(first, last + 1)]


def _in_order(picture: Picture, items: Sequence[T]) -> list[T]:
    """Bars are drawn from the bottom up, and read from the top down."""
    return list(items) if picture.shape == "line" else list(reversed(items))


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
