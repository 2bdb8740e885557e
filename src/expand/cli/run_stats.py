"""The statistics of a run as it goes on: lines, sections and tokens so far, and the time left."""

import time
from collections.abc import Callable

from expand.drafting.events import Event, RunPlanned, SectionDone, SectionGrew, SectionPlanned

Key = tuple[str, int]
"""A chapter's id and a section's number."""


class RunStats:
    """What every kind of progress shows. Each event is taken in the same time, however long the run: the sums are kept,
    not made anew.

    The time left goes by lines: those still to come at the rate of those that came.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` gives seconds."""
        self._clock = clock
        self._began = clock()
        self.sections: dict[Key, SectionPlanned] = {}
        self.lines: dict[Key, int] = {}
        self.finished: set[Key] = set()
        self.total_lines = 0
        """Lines that the run is to bring."""
        self.done_lines = 0
        """Lines that are there, each section counted up to its target; a finished one in full."""
        self.tokens = 0
        """Tokens that the run took so far."""
        self.remaining: int | None = None
        """Tokens left of the book's allowance, None where it has none or none were bought yet."""
        self._counted: dict[Key, int] = {}
        self._tokens: dict[Key, int] = {}
        self._current_lines = 0

    def take(self, event: Event) -> None:
        """Notes an event."""
        if isinstance(event, RunPlanned):
            for planned in event.sections:
                self.sections[planned.chapter, planned.section] = planned
            self.total_lines = sum(planned.lines for planned in event.sections)
        elif isinstance(event, SectionGrew):
            key = (event.chapter, event.section)
            self.lines[key] = event.lines
            self._count(key, min(self.target(key), event.lines))
            self.tokens += event.tokens - self._tokens.get(key, 0)
            self._tokens[key] = event.tokens
            self.remaining = event.remaining_tokens
        elif isinstance(event, SectionDone):
            key = (event.chapter, event.section)
            self.lines[key] = event.lines
            self.finished.add(key)
            self._count(key, self.target(key))
            if event.status in ("reused", "edited"):
                self._current_lines += self.target(key)

    def _count(self, key: Key, lines: int) -> None:
        self.done_lines += lines - self._counted.get(key, 0)
        self._counted[key] = lines

    def target(self, key: Key) -> int:
        """The lines that a section is to have."""
        return self.sections[key].lines

    @property
    def elapsed(self) -> str:
        """The time since the run began, as ``m:ss`` or ``h:mm:ss``."""
        return duration(self._clock() - self._began)

    @property
    def left(self) -> str:
        """The time left, ``-:--`` while unknown. What was there before the run took no time."""
        done = self.done_lines - self._current_lines
        if self.done_lines >= self.total_lines:
            return duration(0)
        if done <= 0:
            return "-:--"
        return duration((self._clock() - self._began) * (self.total_lines - self.done_lines) / done)

    def summary(self, width: int | None = None, *, counts: bool = True) -> str:
        """Where the run stands, on one line of at most ``width`` cells, as long as any part fits.

        What matters least is left out first. ``counts``: with those of lines and sections.
        """
        allowance = "" if self.remaining is None else f"{self.remaining:,} left of the allowance"
        lines = f"{self.done_lines:,} of {self.total_lines:,} lines" if counts else ""
        sections = f"{len(self.finished):,} of {len(self.sections):,} sections" if counts else ""
        parts = [
            (4, lines),
            (3, sections),
            (2, f"{self.tokens:,} tokens"),
            (0, allowance),
            (1, f"{self.elapsed} gone"),
            (5, f"{self.left} to go"),
        ]
        parts = [part for part in parts if part[1]]
        while True:
            line = ", ".join(text for _, text in parts)
            if width is None or len(line) <= width or len(parts) == 1:
                return line
            parts.remove(min(parts))


def duration(seconds: float) -> str:
    """Seconds as ``m:ss``, from an hour on as ``h:mm:ss``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
