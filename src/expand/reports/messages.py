"""What people read in reports: the texts of ``catalogues/<language>.toml``, and figures in the way of the language."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from itertools import compress
from pathlib import Path
from typing import NamedTuple

from expand.errors import InputError
from expand.reports.report_model import LEFT, Column, Kind, Table, Value

LANGUAGES = ("en", "zh")
_MYRIAD = 10_000
_FORMS: Mapping[Kind, str] = {
    "ordinal": "{}",
    "change": "{:+,}",
    "percent": "{:,.1f}%",
    "error": "{:+,.1f}%",
    "money": "{:,f}",
    "factor": "{:,.1f}",
}


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """The messages of a language by their keys."""
    path = Path(__file__).parent / "catalogues" / f"{language}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def say(language: str, key: str, **values: object) -> str:
    """The message of ``key``; the key itself where there is none, as for the names of a user's own plans."""
    text = catalogue(language).get(key)
    if text is None:
        return key
    return text.format(**values) if values else text


def counted(language: str, noun: str, count: int, *, signed: bool = False) -> str:
    """A number of things: ``1 section``, ``+1,200 lines``."""
    number = "one" if abs(count) == 1 else "other"
    return say(language, f"count.{noun}.{number}", count=f"{count:+,}" if signed else f"{count:,}")


def label(language: str, block: str, name: str) -> str:
    """The label of a column or fact: that of the block, if it has one of its own, else that of the name."""
    for key in (f"{block}.{name}", f"label.{name}"):
        if key in catalogue(language):
            return say(language, key)
    return say(language, name)


def joined(language: str, words: Iterable[str]) -> str:
    """A list of words."""
    return say(language, "listed").join(words)


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
    heads = [label(language, block.id, column.id) for column in columns]
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
