"""A status table kept up to date inside a document of the user's own.

Only what stands between the two markers is replaced; every other byte stays as it was, line ends
and a missing last line feed included.
"""

from __future__ import annotations

from pathlib import Path

from expand.errors import InputError, Place
from expand.reports.formats import render
from expand.reports.report_model import Report
from expand.workspace import decoded, write_bytes_atomically

BEGIN = "<!-- expand status begin -->"
END = "<!-- expand status end -->"


def renew(path: Path, report: Report) -> None:
    """Replaces what stands between the markers in ``path`` by the report's tables.

    Nothing is written when nothing changed. Raises ``InputError`` when the file or a marker is
    missing, or one stands there twice.
    """
    if not path.is_file():
        raise InputError("there is no such file", remedy="name one", place=Place(path=path))
    data = path.read_bytes()
    decoded(data, path)
    start, end = _between(data, path)
    newline = "\r\n" if b"\r\n" in data else "\n"
    tables = render(report, "markdown").replace("\n", newline)
    new = data[:start] + f"{newline * 2}{tables}{newline}".encode() + data[end:]
    if new != data:
        write_bytes_atomically(path, new)


def _between(data: bytes, path: Path) -> tuple[int, int]:
    """Where the text between the markers begins and ends, in bytes."""
    begin, end = BEGIN.encode(), END.encode()
    for marker in (begin, end):
        count = data.count(marker)
        if count != 1:
            raise InputError(
                f"the marker {marker.decode()} stands there {count} times",
                remedy=f"put {BEGIN} and {END} once each, on lines of their own, around the place for the table",
                place=Place(path=path),
            )
    start, stop = data.index(begin) + len(begin), data.index(end)
    if stop < start:
        raise InputError(f"{END} stands before {BEGIN}", remedy="swap them", place=Place(path=path))
    return start, stop
