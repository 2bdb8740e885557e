"""What people read in reports: one catalogue for each language, ``catalogues/<language>.toml``."""

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from expand.errors import InputError

LANGUAGES = ("en", "zh")


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


def report_language(book_language: str, given: str | None) -> str:
    """A report's language: as given, else the book's if there is a catalogue for it, else English.

    Raises ``InputError``."""
    if given is None:
        return book_language if book_language in LANGUAGES else "en"
    if given not in LANGUAGES:
        raise InputError(f"reports have no language {given!r}", remedy=f"give one of: {', '.join(LANGUAGES)}")
    return given
