"""Results on stdout, messages on stderr: nothing reaches a terminal or a pipe with a key or a control character in it.

``guard`` puts a ``SafeStream`` in the place of both, so that every ``print``, ``echo`` and traceback passes through.
What draws (progress bars) needs control characters of its own: it takes the stream behind with ``unguarded``, and makes
its texts ``printable``. Data for another program (a diff, an exported ledger) goes to a pipe or a file byte for byte
with ``write_data``.

A stream whose encoding is a Windows code page or ASCII gets plain dashes and quotes, and ``?`` for what else there is:
the tool neither fails over them nor prints mojibake. UTF-8 streams show all.

``expand --help`` loads this module, so it imports nothing that reads a workspace.
"""

import codecs
import enum
import io
import json
import sys
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TextIO, cast

from expand.redaction import printable


class Verbosity(enum.Enum):
    """QUIET shows results and errors only, NORMAL progress too, VERBOSE every attempt as well."""

    QUIET = "--quiet"
    NORMAL = ""
    VERBOSE = "--verbose"


VERBOSITY: ContextVar[Verbosity] = ContextVar("verbosity", default=Verbosity.NORMAL)
"""The verbosity that the command line asks for."""


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


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """The error handler ``expand-plain`` for what an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(one, "?") for one in error.object[error.start : error.end]), error.end


codecs.register_error("expand-plain", _replaced)


def is_unicode(stream: TextIO) -> bool:
    """Whether a stream can show every character."""
    return not stream.encoding or stream.encoding.lower().replace("_", "-").startswith("utf")


def warn(message: str) -> None:
    """Writes a line on stderr in any case."""
    # The bars of a run put a stream of their own before stderr.
    sys.stderr.write(f"expand: {printable(message)}\n")


def note(message: str) -> None:
    """Writes a line on stderr, except with ``--quiet``."""
    if VERBOSITY.get() is not Verbosity.QUIET:
        warn(message)


def counted(count: int, one: str) -> str:
    """``1 section``, ``1,200 sections``."""
    return f"{count:,} {one if count == 1 else one + 's'}"


def print_json(value: Mapping[str, Any], output: Path | None = None) -> None:
    """Prints one JSON object on stdout, or writes it to a file.

    A stdout that cannot show every character gets them escaped, so that a script loses none."""
    escaped = output is None and not is_unicode(sys.stdout)
    print_text(json.dumps(value, ensure_ascii=escaped, indent=2) + "\n", output)


def print_text(text: str, output: Path | None = None) -> None:
    """Prints a text on stdout, or writes it to a file and names the file on stderr."""
    if output is None:
        sys.stdout.write(text)
        return
    from expand.workspace import write_atomically  # start-up time of `expand --help`

    write_atomically(output, printable(text))
    note(f"{output} written")
