"""Records of chapters in one file that only grows: to add to a file costs a tenth of making one.

Each line is a chapter's id, a tab and a JSON object; a chapter's last line counts. The records are
derived, so a line that was cut off is none, and a file that cannot be written is left as it is.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from expand.errors import InputError
from expand.workspace import write_bytes_atomically

MOST_STALE = 100
"""So many lines that count no more are left in the file, beside as many as there are that count."""


class Records:
    """The records in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._surplus = 0

    def read(self, chapters: Collection[str]) -> dict[str, Any]:
        """What is kept of these chapters, as far as it can be read."""
        wanted = frozenset(chapters)
        found: dict[str, Any] = {}
        for chapter, line in self._last_lines().items():
            if chapter in wanted:
                with suppress(ValueError):
                    found[chapter] = json.loads(line)
        return found

    def add(self, chapter: str, record: Mapping[str, Any]) -> None:
        """Keeps a record, in the place of the chapter's last one."""
        line = f"\n{chapter}\t{json.dumps(record)}"  # in front, to end a line that was cut off
        if self._surplus > MOST_STALE:
            with suppress(InputError):
                self._write_anew()
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line)

    def _last_lines(self) -> dict[str, str]:
        try:
            lines = self._path.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return {}
        found = {
            chapter: line for chapter, tab, line in (one.partition("\t") for one in lines) if tab
        }
        self._surplus = len(lines) - 2 * len(found)
        return found

    def _write_anew(self) -> None:
        last = "".join(f"\n{chapter}\t{line}" for chapter, line in self._last_lines().items())
        write_bytes_atomically(self._path, last.encode(), durable=False)
        self._surplus = 0
