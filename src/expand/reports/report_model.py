"""A report as values: what every format shows; and as people read it, by the texts of ``catalogues/<language>.toml``
and with figures in the way of the language. No format computes a figure of its own.

A value is kept exact, with its kind. Ids name tables, columns and facts in JSON and CSV whatever the language.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import cache
from itertools import compress
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from expand.budget import usd_from_pico
from expand.errors import InputError

Kind = Literal[
    "text", "word", "plan", "count", "tokens", "estimate", "change", "percent", "money", "hours", "factor"
]  # fmt: skip
"""``word`` is a key of the messages, ``plan`` a plan's name; ``count`` counts lines, attempts or tokens, ``change`` is
a count with its sign; ``tokens`` and ``estimate`` (tokens that are only expected) have their 万 in Chinese; ``money``
is exact US dollars."""
LEFT: tuple[Kind, ...] = ("text", "word", "plan")
"""Kinds that stand at the left of their columns; figures stand at the right."""
Value = int | Decimal | str | None
Row = tuple[Value, ...]

_KINDS: dict[Kind, str] = {
    "text": "id chapter title model day tier language kind",
    "word": "source priority purpose contract fits measure",
    "plan": "plan",
    "change": "added to_add",
    "percent": "rate rate_now rate_after tier_rate book_rate",
    "money": "cost cost_per_line",
    "hours": "hours",
    "factor": "length_score tokens_per_line",
}
_KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names.split()}
_MISSING_OF = {"cost": "unpriced", "cost_per_line": "unpriced", "remaining": "unlimited", "left": "unlimited"}

LANGUAGES = ("en", "zh")
_MYRIAD = 10_000
_FORMS: Mapping[Kind, str] = {
    "change": "{:+,}",
    "percent": "{:,.1f}%",
    "money": "{:,f}",
    "factor": "{:,.1f}",
}
_TENTH = Decimal("0.1")
_HUNDREDTH = Decimal("0.01")


# Rounding.


def dollars(exact: Decimal) -> Decimal:
    """Dollars with two places at least: 0.00, 1.25, 0.0004375."""
    whole = exact.quantize(_HUNDREDTH)
    return whole if whole == exact else exact.normalize()


def money(pico: int) -> Decimal:
    """Pico-dollars as exact dollars with two places at least."""
    return dollars(usd_from_pico(pico))


def hours(value: Fraction | None) -> Decimal | None:
    """Hours to one decimal; below a tenth to two, so that what takes some minutes is not nothing."""
    if value is None:
        return None
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    return exact.quantize(_TENTH if exact >= _TENTH or not exact else _HUNDREDTH, rounding=ROUND_HALF_UP)


def estimated_cost(pico: int | None) -> Decimal | None:
    """An estimate in US dollars, rounded up to a hundredth of a cent."""
    return None if pico is None else money(-(-pico // 10**8) * 10**8)


def percent(part: int, whole: int) -> Decimal | None:
    """``part`` of ``whole`` in percent, to one decimal, halves up; None of nothing."""
    return (Decimal(part * 100) / whole).quantize(_TENTH, rounding=ROUND_HALF_UP) if whole else None


# What reports are made of.


class Column(NamedTuple):
    """A column of a table, or a fact; ``missing`` is the key of the message for None."""

    id: str
    kind: Kind = "count"
    missing: str = "dash"


def columns(*names: str) -> tuple[Column, ...]:
    """Columns by their ids: what kind of value a column holds follows from its name, in every table."""
    return tuple(Column(name, _KIND_OF.get(name, "count"), _MISSING_OF.get(name, "dash")) for name in names)


class Table(NamedTuple):
    """Rows of values; the first column names the row. ``total`` has None where nothing adds up. With ``facts`` there is
    one row, which is shown as a list of names and values."""

    id: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    total: Row | None = None
    facts: bool = False


def facts(id_: str, *stated: tuple[Column, Value]) -> Table:
    """Figures by name."""
    heads, values = zip(*stated, strict=True)
    return Table(id_, heads, (values,), facts=True)


def table(
    id_: str,
    names: str,
    rows: Iterable[Row],
    *,
    sums: str = "",
    rate: tuple[str, str] | None = None,
    totals: Mapping[str, Value] = MappingProxyType({}),
    least_rows: int = 2,
) -> Table:
    """A table with the columns ``names``. From ``least_rows`` rows on it has a total, if one is stated: the ``sums`` of
    columns, where None counts nothing, except that of a cost, which is not known then; the ``rate`` of two of these
    sums in percent; and ``totals`` that are something else."""
    heads, found = columns(*names.split()), tuple(rows)
    if len(found) < least_rows or not (sums or totals):
        return Table(id_, heads, found)
    total = dict(totals)
    for at, head in enumerate(heads):
        if head.id in sums.split():
            values = [row[at] for row in found]
            whole = sum(Decimal(value or 0) for value in values)
            total[head.id] = int(whole) if head.kind != "money" else None if None in values else dollars(Decimal(whole))
    if rate:
        total["rate"] = percent(*(int(total[name] or 0) for name in rate))
    return Table(id_, heads, found, tuple(total.get(head.id) for head in heads))


class Notes(NamedTuple):
    """Sentences in the report's language; ``todo`` makes them a list to tick off."""

    id: str
    lines: tuple[str, ...]
    todo: bool = False


Block = Table | Notes


def has_content(block: Block) -> bool:
    """Whether there is anything to show for people."""
    return bool(block.rows if isinstance(block, Table) else block.lines)


class Report(NamedTuple):
    """A whole report in one language, as of ``made``. Without a title its blocks are meant to stand in a document."""

    id: str
    title: str
    language: str
    made: datetime
    blocks: tuple[Block, ...]


# What people read.


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """The messages of a language by their keys."""
    path = Path(__file__).parent / "catalogues" / f"{language}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def say(language: str, key: str, **values: object) -> str:
    """The message of ``key``; the key itself where there is none."""
    text = catalogue(language).get(key, key)
    return text.format(**values) if values else text


def counted(language: str, noun: str, count: int, *, signed: bool = False) -> str:
    """A number of things: ``1 section``, ``+1,200 lines``."""
    number = "one" if abs(count) == 1 else "other"
    return say(language, f"count.{noun}.{number}", count=f"{count:+,}" if signed else f"{count:,}")


def plain(value: Value) -> str:
    """A value without separators or words, for scripts; "" for None."""
    if value is None:
        return ""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def show(value: Value, column: Column, language: str) -> str:
    """A value for people. Chinese tokens come with their 万: exact, or rounded where they are an estimate."""
    kind = column.kind
    if value is None:
        return say(language, column.missing)
    if isinstance(value, str):
        key = f"plan.{value}" if kind == "plan" else value
        return say(language, key) if kind in ("plan", "word") and key in catalogue(language) else value
    shown = _FORMS.get(kind, "{:,}").format(value)
    if kind == "hours":
        return shown + say(language, "hours.unit")
    if kind not in ("tokens", "estimate") or language != "zh" or -_MYRIAD < value < _MYRIAD:
        return shown
    myriads = Decimal(value) / _MYRIAD
    text = f"{myriads:,.4f}".rstrip("0").rstrip(".") if kind == "tokens" else f"约 {myriads:,.1f}"
    return f"{shown}（{text} 万）"


class Texts(NamedTuple):
    """A table as people read it; ``figures`` says which of its columns hold figures, which stand at the right and are
    never broken over lines."""

    heads: Sequence[str]
    figures: Sequence[bool]
    rows: Sequence[Sequence[str]]
    total: Sequence[str] | None = None


def texts(block: Table, language: str) -> Texts:
    """A table for people, without columns of nothing but dashes. Facts are a row each; what does not add up stays empty
    in a total."""
    said = [
        column.missing != "dash" or any(row[at] is not None for row in block.rows) or block.facts
        for at, column in enumerate(block.columns)
    ]
    columns = list(compress(block.columns, said))
    heads = [say(language, column.id) for column in columns]
    rows = [[show(one, c, language) for one, c in zip(compress(row, said), columns, strict=True)] for row in block.rows]
    if block.facts:
        return Texts(
            [say(language, "measure"), say(language, "value")], [False, True], [*zip(heads, *rows, strict=True)]
        )
    total = [
        "" if one is None and c.kind != "money" else show(one, c, language)
        for one, c in zip(compress(block.total or (), said), columns, strict=False)
    ]
    figures = [column.kind not in LEFT for column in columns]
    return Texts(heads, figures, rows, [say(language, "total"), *total[1:]] if total else None)


def report_language(book_language: str, given: str | None) -> str:
    """A report's language: as given, else the book's if there is a catalogue for it, else English.

    Raises ``InputError``."""
    if given is None:
        return book_language if book_language in LANGUAGES else "en"
    if given not in LANGUAGES:
        raise InputError(f"reports have no language {given!r}", remedy=f"give one of: {', '.join(LANGUAGES)}")
    return given
