"""Standard output and standard error as this tool writes them: nothing reaches a terminal or a pipe with a key or a
control character in it.

``guard`` puts a ``SafeStream`` in the place of both, so that every ``print``, ``echo`` and traceback passes through.
What draws (progress bars, tables) needs control characters of its own: it takes the stream behind with ``unguarded``,
and makes its texts ``printable``. Data for another program (a diff, an exported ledger) goes to a pipe or a file byte
for byte with ``write_data``.

A stream whose encoding is a Windows code page or ASCII gets plain dashes and quotes, and ``?`` for each cell of what
else there is: the tool neither fails over them nor prints mojibake. UTF-8 streams show all.
"""

import codecs
import io
import sys
import unicodedata
from collections.abc import Iterable
from typing import Any, TextIO, cast

from expand.redaction import printable


class SafeStream:
    """A text stream that writes what is ``printable``. It is the stream behind it in every other way."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write a text; returns how many of its characters were taken: all."""
        self.stream.write(printable(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts, one after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def guard() -> None:
    """Put safe streams in the place of stdout and stderr; they stay when a command ends, for a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not is_unicode(stream):
            stream.reconfigure(errors="expand-plain")
    sys.stdout, sys.stderr = (cast(TextIO, SafeStream(unguarded(stream))) for stream in (sys.stdout, sys.stderr))


def unguarded(stream: TextIO) -> TextIO:
    """The stream behind a safe one, for what draws."""
    return stream.stream if isinstance(stream, SafeStream) else stream


def write_data(text: str) -> None:
    """Write data on stdout: as it is for a file or a program, and printable on a terminal."""
    stream = sys.stdout if sys.stdout.isatty() else unguarded(sys.stdout)
    stream.write(text)


PLAIN = {
    "…": "...", "–": "-", "—": "-", "─": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "→": "->", "≤": "<=", "≥": ">=",
    "×": "x", "·": "-", "\N{IDEOGRAPHIC COMMA}": ", ", "\N{IDEOGRAPHIC FULL STOP}": ". ", "\N{NO-BREAK SPACE}": " ",
}  # fmt: skip


def plain(character: str) -> str:
    """The replacement of a character in ASCII; ``?`` for each of its cells if there is none."""
    if character in PLAIN:
        return PLAIN[character]
    bare = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    if (bare and bare.isprintable()) or unicodedata.combining(character):
        return bare
    return "?" * (2 if unicodedata.east_asian_width(character) in "WF" else 1)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """The error handler ``expand-plain`` for what an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(plain, error.object[error.start : error.end])), error.end


codecs.register_error("expand-plain", _replaced)


def is_unicode(stream: TextIO) -> bool:
    """Whether a stream can show every character."""
    return not stream.encoding or stream.encoding.lower().replace("_", "-").startswith("utf")
