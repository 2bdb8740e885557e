"""The words of outlines: ids, languages, paths, texts by language, and when two are the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from expand.outline import Text
from expand.schema.source_text import Problems, quoted
from expand.schema.validators import (
    ONE_LINE,
    SOME_TEXT,
    Identity,
    MappingOf,
    Schema,
    Shape,
    Trail,
    Words,
)
from expand.schema.yaml_positions import Node, Pairs

# Letters, digits, "_", then also "." and "-"; of what is not ASCII the reader takes letters only.
_ID = r"^[^\u0000-/:-@\[-^`{-\u00a0][^\u0000-,/:-@\[-^`{-\u00a0]*$"
_LANGUAGE = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
_INSIDE = "a path inside it, such as chapters/03_name.md"
# Relative, with forward slashes, without "..", no drive letter.
_SOURCE = r"^(?![/~])(?!.*(^|/)\.\.(/|$))[^\\:\n\r]*[^\\:\n\r/\s]$"


def _id_wrong(text: str) -> tuple[str, str] | None:
    remedy = "give letters and digits, and . _ - between them, such as 03"
    for character in text:
        if character not in "._-" and unicodedata.category(character)[0] not in "LMN":
            return f"holds {quoted(character) if character.strip() else 'a space'}", remedy
    if text[0] in ".-":
        return f"begins with {quoted(text[0])}", remedy
    return ("is taken by book.yaml", "choose another") if text.casefold() == "book" else None


ID = Words(
    pattern=_ID,
    wanted="letters and digits, such as 03",
    longest=80,
    raw=True,
    check=_id_wrong,
)
STYLE = Words(
    pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
    wanted="a style's name, such as tutorial or reference",
    longest=80,
)
LANGUAGE = Words(pattern=_LANGUAGE, wanted="a language code such as en or zh", longest=35)


def is_language(text: str) -> bool:
    """Whether the text is a language code."""
    return re.search(_LANGUAGE, text) is not None


def _source_wrong(text: str) -> tuple[str, str] | None:
    if re.match(r"[/\\~]|[A-Za-z]:", text) or ".." in re.split(r"[/\\]", text):
        return f"{quoted(text)} leaves the workspace", f"give {_INSIDE}"
    if "\\" in text:
        return f"{quoted(text)} has backslashes", "write / between folders, on every system"
    return None


SOURCE = Words(pattern=_SOURCE, wanted=_INSIDE, longest=500, check=_source_wrong)
_LINE = Words(pattern=ONE_LINE, wanted="a text on one line", longest=500, trim=True)
_PROSE = Words(pattern=SOME_TEXT, wanted="a text", longest=20_000, trim=True)
TERM = Words(pattern=ONE_LINE, wanted="a term on one line", longest=200, trim=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class PhraseText(Shape[Text]):
    """A text, or a mapping from language to text."""

    words: Words

    def read(self, node: Node, trail: Trail, problems: Problems) -> Text | None:
        """The text in the languages that are right."""
        if not isinstance(node, Pairs):
            plain = self.words.read(node, trail, problems)
            return None if plain is None else Text(plain=plain)
        table = MappingOf(key=LANGUAGE, value=self.words, noun="language").read(node, trail, problems)
        return Text(by_language=table) if table else None

    def schema(self) -> Schema:
        """A string, or an object of strings by language."""
        table = MappingOf(key=LANGUAGE, value=self.words, noun="language")
        return {"anyOf": [self.words.schema(), table.schema()]}


LINE = PhraseText(words=_LINE)
PROSE = PhraseText(words=_PROSE)


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
