"""A report as values: what every format shows. No format computes a figure of its own.

A value is kept exact, with its kind; only showing it makes text of it. Ids name tables, columns
and facts in JSON and CSV whatever the language; ``wording`` says what people read.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

Kind = Literal[
    "text",
    "word",
    "plan",
    "ordinal",
    "count",
    "tokens",
    "estimate",
    "change",
    "percent",
    "money",
    "hours",
    "factor",
    "error",
]
"""``word`` is a key of the wording, ``plan`` a plan's name, ``ordinal`` the number
of a section; ``count`` counts lines or attempts,
``change`` is a count with its sign, ``estimate`` tokens that are only expected, ``money`` exact US
dollars, ``error`` a signed percentage.
"""
LEFT: tuple[Kind, ...] = ("text", "word", "plan", "ordinal")
"""Kinds that stand at the left of their columns; figures stand at the right."""
Value = int | Decimal | str | None


class Fact(NamedTuple):
    """A named figure; ``none`` is the wording's key for what None means here."""

    id: str
    value: Value
    kind: Kind = "tokens"
    none: str = "unknown"


class Facts(NamedTuple):
    """Figures by name. ``flat`` ones stand at the top level of the JSON object."""

    id: str
    facts: tuple[Fact, ...]
    flat: bool = False


class Column(NamedTuple):
    """A column of a table."""

    id: str
    kind: Kind = "count"
    none: str = "dash"


class Table(NamedTuple):
    """Rows of values; the first column names the row. ``total`` has None where nothing adds up."""

    id: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    total: tuple[Value, ...] | None = None


def column_sum(rows: Iterable[tuple[Value, ...]], column: int) -> int:
    """The sum of a column of whole numbers; None counts nothing."""
    return sum(int(row[column] or 0) for row in rows)


class Notes(NamedTuple):
    """Sentences in the report's language; ``todo`` makes them a list to tick off."""

    id: str
    lines: tuple[str, ...]
    todo: bool = False


class Series(NamedTuple):
    """One line or one colour of a picture; None is a gap."""

    name: str
    values: tuple[float | None, ...]


class Picture(NamedTuple):
    """A picture, only where a format can show one; the table of the same figures comes with it.

    ``said`` is the text alternative, ``axis`` what the labels are.
    """

    id: str
    axis: str
    shape: Literal["bars", "line"]
    labels: tuple[str, ...]
    series: tuple[Series, ...]
    said: str


Block = Facts | Table | Notes | Picture


class Report(NamedTuple):
    """A whole report in one language, as of ``made``."""

    id: str
    title: str
    language: str
    made: datetime
    blocks: tuple[Block, ...]
