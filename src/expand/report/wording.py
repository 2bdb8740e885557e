"""What people read in reports, in English and Chinese."""

from __future__ import annotations

from expand.errors import InputError
from expand.report.labels import LABELS
from expand.report.sentences import SENTENCES

LANGUAGES = ("en", "zh")

_WORDS = LABELS | SENTENCES  # no key is in both


def say(language: str, key: str, *, otherwise: str = "", **values: object) -> str:
    """The wording of ``key``; ``otherwise``, or the word itself, where there is none."""
    found = _WORDS.get(key)
    if found is None:
        return otherwise or key
    text = found[LANGUAGES.index(language)]
    return text.format(**values) if values else text


def spoken_for(book_language: str, given: str | None) -> str:
    """A report's language: as given, else the book's if there are words in it, else English.

    Raises ``InputError``.
    """
    if given is None:
        return book_language if book_language in LANGUAGES else "en"
    if given not in LANGUAGES:
        raise InputError(
            f"reports have no language {given!r}", remedy=f"give one of: {', '.join(LANGUAGES)}"
        )
    return given


def label(language: str, block: str, name: str) -> str:
    """What a column or fact of a block is called."""
    for key in (f"{block}.{name}", f"label.{name}"):
        if key in _WORDS:
            return say(language, key)
    return say(language, name)


def joined(language: str, words: list[str]) -> str:
    """A list of words."""
    return ("、" if language == "zh" else ", ").join(words)
