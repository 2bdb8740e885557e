"""A run as it goes on, in figures and in lines of text: the same on a terminal, in a pipe and in the log."""

import re
import time
from collections.abc import Callable, Iterator

from expand.cli.verbosity import Verbosity, counted
from expand.drafting.events import AttemptChanged, Event, Notice, RunPlanned, SectionDone, SectionGrew, SectionPlanned
from expand.redaction import printable

Key = tuple[str, int]
"""A chapter's id and a section's number."""


class RunStats:
    """What every kind of progress shows. Each event is taken in the same time, however long the run: the sums are kept,
    not made anew.

    The time left goes by lines: those still to come at the rate of those that came."""

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

        What matters least is left out first. ``counts``: with those of lines and sections."""
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


MOST_REASONS = 12
"""Sections whose reason for being drafted is told; of the others the number."""
REPEAT_SECONDS = 15.0
"""How long a notice that says the same is not said again, whichever section it is about."""
_WAITING = re.compile(r" \(waiting [\d,.]+ s\)$")


class ProgressMessages:
    """Makes lines of events. Told every attempt, it says more; else it does not repeat itself."""

    def __init__(self, stats: RunStats, verbosity: Verbosity, *, clock: Callable[[], float] = time.monotonic) -> None:
        """``stats`` has to have taken an event before it is told. ``clock`` gives seconds."""
        self._stats = stats
        self._all = verbosity is Verbosity.VERBOSE
        self._clock = clock
        self._sent: dict[str, float] = {}
        self._noticed: dict[str, float] = {}
        self._failed = ""

    def lines(self, event: Event) -> Iterator[str]:
        """What is said of an event, if anything; printable."""
        yield from map(printable, self._lines(event))

    def _lines(self, event: Event) -> Iterator[str]:
        if isinstance(event, RunPlanned):
            yield from plan_lines(event)
        elif isinstance(event, SectionDone):
            if self._all or event.status == "drafted":
                yield self._done(event)
        elif isinstance(event, AttemptChanged):
            if self._all:
                yield self._attempt(event)
        elif isinstance(event, Notice) and self._is_news(event.message):
            yield event.message

    def _done(self, event: SectionDone) -> str:
        planned = self._stats.sections[event.chapter, event.section]
        return (
            f"{event.chapter}/{event.section}: {event.status}, {event.lines:,} of "
            f"{counted(planned.lines, 'line')}: {planned.title}"
        )

    def _attempt(self, event: AttemptChanged) -> str:
        """One attempt as it is sent, and again when it is known what became of it."""
        head = f"{event.chapter}/{event.section}: {event.purpose} {event.attempt_id} {event.state}"
        if event.state == "sent":
            self._sent[event.attempt_id] = self._clock()
            return f"{head} to {event.model}, {counted(event.reserved_tokens, 'token')} reserved"
        seconds = self._clock() - self._sent.pop(event.attempt_id, self._clock())
        if event.usage is None:
            self._failed = f"{event.chapter}/{event.section}: {event.message}"
            return f"{head} after {seconds:.2f} s: {event.message}"
        usage = event.usage
        return (
            f"{head} after {seconds:.2f} s: {usage.total:,} of {event.reserved_tokens:,} tokens, "
            f"{usage.prompt:,} prompt ({usage.cached:,} cached) and {usage.completion:,} completion"
        )

    def _is_news(self, message: str) -> bool:
        if self._all:
            return message != self._failed
        about = _WAITING.sub("", message.partition(": ")[2] or message)
        now = self._clock()
        last = self._noticed.get(about)
        if last is not None and now - last < REPEAT_SECONDS:
            return False
        self._noticed[about] = now
        return True


def plan_lines(event: RunPlanned) -> list[str]:
    """What a run is about to do and why: one line, and one for each section that changed."""
    drafted = [planned for planned in event.sections if planned.reason not in ("", "edited")]
    edited = sum(planned.reason == "edited" for planned in event.sections)
    current = len(event.sections) - len(drafted) - edited
    parts = []
    if drafted:
        lines = counted(sum(planned.lines for planned in drafted), "line")
        parts.append(f"{len(drafted):,} to draft ({lines})")
    parts += [f"{current:,} current"] if current else []
    parts += [f"{edited:,} edited by hand, left alone"] if edited else []
    reasons = [
        f"{planned.chapter}/{planned.section}: {planned.reason}" for planned in drafted if planned.reason != "new"
    ]
    more = len(reasons) - MOST_REASONS
    return [
        f"{counted(len(event.sections), 'section')}: {', '.join(parts) or 'nothing to do'}",
        *reasons[:MOST_REASONS],
        *([f"and {more:,} more that changed"] if more > 0 else []),
    ]
