"""Replaces characters that a terminal or a pipe cannot show.

A stream whose encoding is a Windows code page or ASCII gets plain dashes, bars and quotes instead of drawn ones, and
``?`` for each cell of anything else: the tool neither fails over them nor prints mojibake. UTF-8 streams show all.
"""

import codecs
import io
import json
import sys
import unicodedata
from typing import TextIO

PLAIN = {
    "…": "...", "–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "→": "->", "←": "<-", "≤": "<=", "≥": ">=",
    "×": "x", "·": "-", "•": "*", "✓": "ok", "✔": "ok", "✗": "x", "\N{IDEOGRAPHIC COMMA}": ", ",
    "\N{IDEOGRAPHIC FULL STOP}": ". ", "\N{NO-BREAK SPACE}": " ",
}  # fmt: skip


class Losses:
    """Counts the characters of one stream that were shown as ``?``."""

    def __init__(self) -> None:
        self.count = 0

    def replace(self, error: UnicodeError) -> tuple[str, int]:
        """The error handler: replaces characters that the encoding lacks."""
        if not isinstance(error, UnicodeEncodeError):
            raise error
        replacements = [plain(character) for character in error.object[error.start : error.end]]
        self.count += sum(text.startswith("?") for text in replacements)
        return "".join(replacements), error.end


def plain(character: str) -> str:
    """The replacement of a character in ASCII; ``?`` for each of its cells if there is none."""
    if character in PLAIN:
        return PLAIN[character]
    if "\u2500" <= character <= "\u259f":
        return _plain_drawing(character)
    bare = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    if bare and bare.isprintable():
        return bare
    if unicodedata.combining(character):
        return ""
    return "?" * (2 if unicodedata.east_asian_width(character) in "WF" else 1)


def _plain_drawing(character: str) -> str:
    name = unicodedata.name(character)
    if "HORIZONTAL" in name and "VERTICAL" not in name:
        return "-"
    if "VERTICAL" in name and "HORIZONTAL" not in name and "AND" not in name:
        return "|"
    return "+" if name.startswith("BOX") else "#"


def prepare(stream: TextIO) -> Losses:
    """Makes a stream replace what its encoding lacks. Returns the count of what it could not show."""
    losses = Losses()
    if isinstance(stream, io.TextIOWrapper) and not is_unicode(stream):
        name = f"expand-plain-{id(losses)}"
        codecs.register_error(name, losses.replace)
        stream.reconfigure(errors=name)
    return losses


def is_unicode(stream: TextIO | None = None) -> bool:
    """Whether a stream, or else stdout, can show every character."""
    encoding = (sys.stdout if stream is None else stream).encoding
    return not encoding or encoding.lower().replace("_", "-").startswith("utf")


def escaped(line: str) -> str:
    """A line of JSON that says the same in ASCII, so that no encoding loses any of it."""
    return json.dumps(json.loads(line))
