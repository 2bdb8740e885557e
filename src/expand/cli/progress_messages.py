"""The events of a run as lines of text: the same words on a terminal, in a pipe and in the log."""

import re
import time
from collections.abc import Callable, Iterator

from expand.cli.run_stats import RunStats
from expand.cli.verbosity import Verbosity, counted
from expand.drafting.events import AttemptChanged, Event, Notice, RunPlanned, SectionDone
from expand.redaction import printable

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
