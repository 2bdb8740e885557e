"""Standard output and standard error as this tool writes them: nothing reaches a terminal or a pipe with a key or a
control character in it.

``guard`` puts a ``SafeStream`` in the place of both, so that every ``print``, ``echo`` and traceback passes through.
What draws (progress bars, tables) needs control characters of its own: it takes the stream behind with ``unguarded``,
and makes its texts ``printable``. Data for another program (a diff, an exported ledger) goes to a pipe or a file byte
for byte with ``write_data``.
"""

import sys
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
    sys.stdout, sys.stderr = _safe(sys.stdout), _safe(sys.stderr)


def _safe(stream: TextIO) -> TextIO:
    return stream if isinstance(stream, SafeStream) else cast(TextIO, SafeStream(stream))


def unguarded(stream: TextIO) -> TextIO:
    """The stream behind a safe one, for what draws."""
    return stream.stream if isinstance(stream, SafeStream) else stream


def write_data(text: str) -> None:
    """Write data on stdout: as it is for a file or a program, and printable on a terminal."""
    stream = sys.stdout if sys.stdout.isatty() else unguarded(sys.stdout)
    stream.write(text)
