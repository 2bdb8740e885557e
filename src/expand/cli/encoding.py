"""Characters that a terminal or a pipe cannot show, and what stands for them there.

A stream whose encoding is a Windows code page or ASCII gets plain dashes, bars and quotes in the
place of drawn ones, and ``?`` for each cell of anything else: the tool neither fails over them nor
prints what another encoding would make of them. Streams in UTF-8 are left as they are.
"""

from __future__ import annotations

import codecs
import io
import json
import sys
import unicodedata
from typing import TextIO

PLAIN = {
    "…": "...",
    "–": "-",
    "—": "-",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "→": "->",
    "←": "<-",
    "≤": "<=",
    "≥": ">=",
    "×": "x",
    "·": "-",
    "•": "*",
    "✓": "ok",
    "✔": "ok",
    "✗": "x",
    "\N{IDEOGRAPHIC COMMA}": ", ",
    "\N{IDEOGRAPHIC FULL STOP}": ". ",
    "\N{NO-BREAK SPACE}": " ",
}
HANDLER = "expand-plain"


class Losses:
    """How many characters of one stream were lost: shown as ``?``."""

    def __init__(self) -> None:
        self.count = 0

    def plain(self, error: UnicodeError) -> tuple[str, int]:
        """The error handler: what stands for characters that the encoding lacks."""
        if not isinstance(error, UnicodeEncodeError):
            raise error
        lacking = error.object[error.start : error.end]
        shown = [plain(character) for character in lacking]
        self.count += sum(text.startswith("?") for text in shown)
        return "".join(shown), error.end


def plain(character: str) -> str:
    """What stands for a character in ASCII; ``?`` for each of its cells if nothing does."""
    if character in PLAIN:
        return PLAIN[character]
    if "\u2500" <= character <= "\u259f":
        return _drawn(character)
    bare = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    if bare and bare.isprintable():
        return bare
    if unicodedata.combining(character):
        return ""
    return "?" * (2 if unicodedata.east_asian_width(character) in "WF" else 1)


def _drawn(character: str) -> str:
    name = unicodedata.name(character)
    if "HORIZONTAL" in name and "VERTICAL" not in name:
        return "-"
    if "VERTICAL" in name and "HORIZONTAL" not in name and "AND" not in name:
        return "|"
    return "+" if name.startswith("BOX") else "#"


def prepare(stream: TextIO) -> Losses:
    """Has a stream show what it can. Returns the count of what it could not."""
    losses = Losses()
    if isinstance(stream, io.TextIOWrapper) and not is_unicode(stream):
        name = f"{HANDLER}-{id(losses)}"
        codecs.register_error(name, losses.plain)
        stream.reconfigure(errors=name)
    return losses


def is_unicode(stream: TextIO | None = None) -> bool:
    """Whether a stream, or else stdout, can show every character."""
    encoding = (sys.stdout if stream is None else stream).encoding
    return not encoding or encoding.lower().replace("_", "-").startswith("utf")


def escaped(line: str) -> str:
    """A line of JSON that says the same in ASCII, so that no encoding loses any of it."""
    return json.dumps(json.loads(line))
