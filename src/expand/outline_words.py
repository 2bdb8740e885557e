"""The words of outlines: ids, languages, paths, texts by language, and when two are the same."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from expand.document import Node, Pairs
from expand.input_text import Problems
from expand.outline import Text
from expand.record import Identity, Table
from expand.shape import ONE_LINE, SOME_TEXT, Schema, Shape, Trail, Words

# Letters, digits, "_", then also "." and "-"; of what is not ASCII the reader takes letters only.
_ID = r"^[^\u0000-/:-@\[-^`{-\u00a0][^\u0000-,/:-@\[-^`{-\u00a0]*$"
_LANGUAGE = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
# Relative, with forward slashes, without "..", no drive letter.
_SOURCE = r"^(?!/)(?!.*(^|/)\.\.(/|$))[^\\:\n\r]*[^\\:\n\r/\s]$"


def _id_wrong(text: str) -> tuple[str, str] | None:
    for character in text:
        if not character.isascii() and unicodedata.category(character)[0] not in "LMN":
            return f'holds "{character}"', "give letters, digits, and . _ - within"
    return None


ID = Words(
    pattern=_ID,
    wanted="letters, digits, and . _ - within, such as 03",
    longest=80,
    raw=True,
    check=_id_wrong,
)
LANGUAGE = Words(pattern=_LANGUAGE, wanted="a language code such as en or zh", longest=35)
SOURCE = Words(
    pattern=_SOURCE,
    wanted="a path inside the workspace, with / and without .., such as chapters/03_name.md",
    longest=500,
)
_LINE = Words(pattern=ONE_LINE, wanted="a text on one line", longest=500)
_PROSE = Words(pattern=SOME_TEXT, wanted="a text", longest=20_000)
TERM = Words(pattern=ONE_LINE, wanted="a term on one line", longest=200)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wording(Shape[Text]):
    """A text, or a mapping from language to text."""

    words: Words

    def read(self, node: Node, trail: Trail, problems: Problems) -> Text | None:
        """The text in the languages that are right."""
        if not isinstance(node, Pairs):
            plain = self.words.read(node, trail, problems)
            return None if plain is None else Text(plain=plain)
        table = Table(key=LANGUAGE, value=self.words, noun="language").read(node, trail, problems)
        return Text(by_language=table) if table else None

    def schema(self) -> Schema:
        """A string, or an object of strings by language."""
        table = Table(key=LANGUAGE, value=self.words, noun="language")
        return {"anyOf": [self.words.schema(), table.schema()]}


LINE = Wording(words=_LINE)
PROSE = Wording(words=_PROSE)


def text_identity(called: str) -> Callable[[Text], Identity]:
    """Two texts are the same if they are worded the same in a language; case does not count."""

    def identity(text: Text) -> Identity:
        marks = {"any " + _folded(wording) for wording in text.every()}
        if text.plain is not None:
            own = frozenset({"plain " + _folded(text.plain)})
            return Identity(called=called, marks=own | marks, clashes=frozenset(marks))
        spoken = {f"{code} {_folded(wording)}" for code, wording in text.by_language.items()}
        plain = {"plain " + _folded(wording) for wording in text.by_language.values()}
        return Identity(
            called=called,
            marks=frozenset(spoken | marks),
            clashes=frozenset(spoken | plain),
        )

    return identity


def _folded(wording: str) -> str:
    return " ".join(unicodedata.normalize("NFC", wording).split()).casefold()


def id_identity(text: str) -> Identity:
    """Two ids are the same if a file system may take them for the same."""
    mark = frozenset({_folded(text)})
    return Identity(called="the id", marks=mark, clashes=mark)
