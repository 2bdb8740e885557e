"""The validators of outlines, briefs, the memory and the book, and the rules of texts that no pattern can state.

The schemas are ``outline.json``, ``brief.json``, ``memory.json`` and ``book.json`` in ``data/schemas``; editors get
them too, so that both give the same verdict. What a schema cannot say (an id against its file's name, a source that
leaves the workspace through a link, a chapter that the book does not have) is in ``reading.py``.
"""

import re
import unicodedata

from expand.paths import RESERVED, reserved_part
from expand.schema.source_text import quoted
from expand.schema.validators import Validator

_INSIDE = "give a path inside it, such as chapters/03_name.md"
MAX_ID_BYTES = 100
"""Of a chapter's id in UTF-8. With a language, an ending and the mark of an unfinished file, file systems take 255."""


def id_mistake(chapter: str) -> tuple[str, str] | None:
    """Why the text is no chapter's id, and the remedy; None if it is one.

    The schema's pattern says the same but for letters that are not ASCII: patterns that all editors read have no
    classes of characters."""
    remedy = "give letters and digits, and . _ - between them, such as 03"
    for character in chapter:
        if character not in "._-" and unicodedata.category(character)[0] not in "LMN":
            return f"holds {quoted(character) if character.strip() else 'a space'}", remedy
    if chapter[0] in ".-":
        return f"begins with {quoted(chapter[0])}", remedy
    if (size := len(chapter.encode(errors="replace"))) > MAX_ID_BYTES:
        return f"has {size} bytes as a file's name", f"give at most {MAX_ID_BYTES}; a Chinese character has 3"
    return ("is taken by book.yaml", "choose another") if chapter.casefold() == "book" else None


def source_mistake(source: str) -> tuple[str, str] | None:
    """Why the text is no path inside a workspace, and the remedy; None if it is one."""
    if re.match(r"[/\\~]|[A-Za-z]:", source) or ".." in re.split(r"[/\\]", source):
        return f"{quoted(source)} leaves the workspace", _INSIDE
    if "\\" in source:
        return f"{quoted(source)} has backslashes", "write / between folders, on every system"
    if reserved_part(source.split("/")):
        return f"{quoted(source)} is {RESERVED}", "name the chapter's document, such as chapters/03_name.md"
    fits = re.search(OUTLINE.schema["properties"]["source"]["pattern"], source)
    return None if fits else (f"{quoted(source)} is no path", _INSIDE)


def is_language(code: str) -> bool:
    """Whether this is a language code."""
    return re.fullmatch(BOOK.schema["properties"]["language"]["pattern"], code) is not None


_FORMATS = {"id": id_mistake, "source": source_mistake}
OUTLINE = Validator("outline", _FORMATS)
BOOK = Validator("book", _FORMATS)
BRIEF = Validator("brief", _FORMATS)
MEMORY = Validator("memory", _FORMATS)
