"""Progress on stderr: on a terminal a bar for the run and one for each section that is being worked on, plain lines
everywhere else.

Titles give way first on a narrow terminal, then the bars. Every row is one line, so that nothing is drawn over what
stands above.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, ConsoleOptions, OverflowMethod, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from expand.cli.output import Verbosity, counted, unguarded
from expand.drafting.events import (
    Event,
    Notice,
    RunPlanned,
    SectionDone,
    SectionGrew,
    SectionPlanned,
    SectionStarted,
)
from expand.ledger import AttemptEvent
from expand.outline import Unit
from expand.redaction import printable

MOST_ROWS = 12
"""Sections that are shown at a time; of the others the number."""
WITHOUT_BARS = 40
"""Columns below which there is no room for bars."""
WIDEST_BAR = 40
HEARTBEAT_SECONDS = 20.0
"""How long plain lines are silent while sections grow: a log of a long run stays short, and nobody takes it for
dead."""
Key = tuple[str, int]
"""A chapter's id and a section's number."""
MOST_REASONS = 12
"""Sections whose reason for being drafted is told; of the others the number."""
REPEAT_SECONDS = 15.0
"""How long a notice that says the same is not said again, whichever section it is about."""
_WAITING = re.compile(r" \(waiting [\d,.]+ s\)$")


class RunProgress:
    """What every kind of progress shows: where the run stands, and a line for what happens. It does not repeat itself;
    told every attempt, it says more."""

    def __init__(self, verbosity: Verbosity = Verbosity.NORMAL, *, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` gives seconds."""
        self._all = verbosity is Verbosity.VERBOSE
        self._clock = clock
        self._began = clock()
        self._sent: dict[str, float] = {}
        self._noticed: dict[str, float] = {}
        self.sections: dict[Key, SectionPlanned] = {}
        self.unit, self.lengths = lengths_of(())
        self.grown: dict[Key, SectionGrew] = {}
        self.finished: dict[Key, SectionDone] = {}
        self.whole_chapters = 0
        """Tokens of what is about a whole chapter: briefs, and the reading of drafts."""
        self.remaining: int | None = None
        """Tokens left of the book's allowance, None where it has none or none were bought yet."""

    def take(self, event: Event) -> list[str]:
        """Notes an event. Returns what is said of it, if anything; printable."""
        said: list[str] = []
        match event:
            case RunPlanned():
                self.sections = {(planned.chapter, planned.section): planned for planned in event.sections}
                self.unit, self.lengths = lengths_of(event.sections)
                said = plan_lines(event)
            case SectionGrew():
                self.grown[event.chapter, event.section] = event
                self.remaining = event.remaining_tokens
            case SectionDone():
                self.finished[event.chapter, event.section] = event
                if self._all or event.status == "drafted":
                    planned = self.sections[event.chapter, event.section]
                    in_lines = planned.unit == "lines"
                    has, target = (event.lines, planned.lines) if in_lines else (event.counted, planned.target)
                    extent = f"{has:,} of {counted(target, planned.unit[:-1])}"
                    said = [f"{event.chapter}/{event.section}: {event.status}, {extent}: {planned.title}"]
            case AttemptEvent():
                if event.order.address.section == 0 and event.usage:
                    self.whole_chapters += event.usage.total
                said = [self._attempt(event)] if self._all else []
            case Notice() if self._is_news(event.message):
                said = [event.message]
        return [printable(line) for line in said]

    @property
    def total(self) -> int:
        """What the run is to bring."""
        return sum(self.lengths.values())

    @property
    def done(self) -> int:
        """What is there of it, each section counted up to its target; a finished one in full."""
        growing = (min(self.lengths[key], self.grown_to(key)) for key in self.grown if key not in self.finished)
        return sum(growing) + sum(self.lengths[key] for key in self.finished)

    @property
    def extent(self) -> str:
        """Both in words: ``70 of 200 lines``."""
        return f"{self.done:,} of {self.total:,} {self.unit}"

    def grown_to(self, key: Key) -> int:
        """The length of a section so far."""
        lines = self.grown[key].lines if key in self.grown else 0
        return lines * self.lengths[key] // max(1, self.sections[key].lines)

    @property
    def tokens(self) -> int:
        """Tokens that the run took so far."""
        return self.whole_chapters + sum(grown.tokens for grown in self.grown.values())

    @property
    def left(self) -> str:
        """The time left, ``-:--`` while unknown: what is still to come at the rate of what came. What was there before
        the run took no time."""
        done, total = self.done, self.total
        if done >= total:
            return duration(0)
        before = (key for key, section in self.finished.items() if section.status in ("reused", "edited"))
        drafted = done - sum(self.lengths[key] for key in before)
        return duration((self._clock() - self._began) * (total - done) / drafted) if drafted > 0 else "-:--"

    @property
    def summary(self) -> str:
        """Time, tokens and what is left of the allowance, on one line; what matters least stands last."""
        gone = duration(self._clock() - self._began)
        left = f", {self.remaining:,} left of the allowance" if self.remaining is not None else ""
        return f"{self.left} to go, {gone} gone, {self.tokens:,} tokens{left}"

    def _attempt(self, event: AttemptEvent) -> str:
        """One attempt as it is sent, and again when it is known what became of it."""
        address, reserved = event.order.address, event.order.amount.tokens
        head = f"{address.chapter}/{address.section}: {address.purpose} {event.attempt_id} {event.kind}"
        if event.kind == "sent":
            self._sent[event.attempt_id] = self._clock()
            return f"{head} to {event.order.request.model}, {counted(reserved, 'token')} reserved"
        seconds = self._clock() - self._sent.pop(event.attempt_id, self._clock())
        if event.usage is None:
            return f"{head} after {seconds:.2f} s: {event.message}"
        usage = event.usage
        return (
            f"{head} after {seconds:.2f} s: {usage.total:,} of {reserved:,} tokens, "
            f"{usage.prompt:,} prompt ({usage.cached:,} cached) and {usage.completion:,} completion"
        )

    def _is_news(self, message: str) -> bool:
        about = _WAITING.sub("", message.partition(": ")[2] or message)
        now = self._clock()
        if now - self._noticed.get(about, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return False
        self._noticed[about] = now
        return True


def duration(seconds: float) -> str:
    """Seconds as ``m:ss``, from an hour on as ``h:mm:ss``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def lengths_of(sections: Sequence[SectionPlanned]) -> tuple[Unit, dict[Key, int]]:
    """The unit in which sections are counted together, that of all of them or else lines, and what each is to have."""
    units = {one.unit for one in sections}
    unit = units.pop() if len(units) == 1 else "lines"
    return unit, {(one.chapter, one.section): one.lines if unit == "lines" else one.target for one in sections}


def plan_lines(event: RunPlanned) -> list[str]:
    """What a run is about to do and why: one line, and one for each section that changed."""
    drafted = [planned for planned in event.sections if planned.reason not in ("", "edited")]
    edited = sum(planned.reason == "edited" for planned in event.sections)
    current = len(event.sections) - len(drafted) - edited
    unit, lengths = lengths_of(drafted)
    extent = counted(sum(lengths.values()), unit[:-1])
    parts = [f"{len(drafted):,} to draft ({extent})"] if drafted else []
    parts += [f"{current:,} current"] if current else []
    parts += [f"{edited:,} edited by hand, left alone"] if edited else []
    reasons = [f"{one.chapter}/{one.section}: {one.reason}" for one in drafted if one.reason != "new"]
    more = len(reasons) - MOST_REASONS
    return [
        f"{counted(len(event.sections), 'section')}: {', '.join(parts) or 'nothing to do'}",
        *reasons[:MOST_REASONS],
        *([f"and {more:,} more that changed"] if more > 0 else []),
    ]


@contextmanager
def progress(
    stream: TextIO, verbosity: Verbosity = Verbosity.NORMAL, *, bars: bool = True
) -> Iterator[Callable[[Event], None]]:
    """Shows events on ``stream`` while the block runs: ``bars`` on a terminal, else lines."""
    if verbosity is Verbosity.QUIET:
        yield lambda _: None
        return
    terminal = Console(file=unguarded(stream), highlight=False, markup=False, emoji=False)
    if bars and stream.isatty() and os.environ.get("TERM") != "dumb" and terminal.is_interactive:
        drawn = BarProgress(terminal, verbosity)
        with drawn.live:
            yield drawn
    else:
        yield PlainProgress(lambda line: print(line, file=stream, flush=True), verbosity)


class PlainProgress(RunProgress):
    """A line for what happens, and now and then one for where the run stands; ``say`` writes it."""

    def __init__(
        self,
        say: Callable[[str], object],
        verbosity: Verbosity = Verbosity.NORMAL,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(verbosity, clock=clock)
        self._say = say
        self._said_at = clock()

    def __call__(self, event: Event) -> None:
        """Says what there is to say of an event."""
        lines = self.take(event)
        if not lines and isinstance(event, SectionGrew) and self._clock() - self._said_at >= HEARTBEAT_SECONDS:
            finished = f"{len(self.finished):,} of {len(self.sections):,} sections"
            lines = [f"{self.extent}, {finished}, {self.summary}"]
        for line in lines:
            self._say(line)
            self._said_at = self._clock()


class BarProgress(RunProgress):
    """Bars below, what happens above them. Call it from one thread; it draws in another."""

    def __init__(
        self, console: Console, verbosity: Verbosity = Verbosity.NORMAL, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(verbosity, clock=clock)
        self._working: dict[Key, str] = {}
        self._lock = threading.Lock()
        self.live = Live(self, console=console, refresh_per_second=4, transient=True, redirect_stdout=False)

    def __call__(self, event: Event) -> None:
        """Shows an event: a line above the bars, its end cut off rather than folded; notices fold."""
        with self._lock:
            lines = self.take(event)
            if isinstance(event, SectionStarted):
                key = (event.chapter, event.section)
                self._working[key] = printable(self.sections[key].title)
            elif isinstance(event, SectionDone):
                self._working.pop((event.chapter, event.section), None)
        above = self.live.console
        for line in lines:
            if isinstance(event, Notice):
                above.print(Text(line, style="yellow"))
            else:
                above.print(Text(line), no_wrap=True, overflow=_cut(above.options))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The bars at this moment: each row's name, its bar where there is room for one, and how much it has."""
        width = options.max_width
        grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
        grid.add_column(no_wrap=True, overflow=_cut(options), ratio=1)
        if width >= WITHOUT_BARS:
            grid.add_column(width=min(WIDEST_BAR, width // 4))
        grid.add_column(no_wrap=True, justify="right")
        with self._lock:
            if not self.sections:
                return
            room = max(1, min(MOST_ROWS, options.size.height - 5))
            rows = [(f"{len(self.finished):,} of {len(self.sections):,} sections", self.done, self.total)]
            for key, title in list(self._working.items())[:room]:
                rows.append((f"{key[0]}/{key[1]} {title}", self.grown_to(key), self.lengths[key]))
            below = [f"and {more:,} more at work"] if (more := len(self._working) - room) > 0 else []
            below.append(self.summary)
        for name, done, target in rows:
            bar = [ProgressBar(total=max(1, target), completed=min(done, target))] if width >= WITHOUT_BARS else []
            grid.add_row(Text(name), *bar, Text(f"{done:,}/{target:,}"))
        yield grid
        for line in below:
            yield Text(line, no_wrap=True, overflow=_cut(options))


def _cut(options: ConsoleOptions) -> OverflowMethod:
    """How a text is cut short: with an ellipsis if the terminal can show it."""
    return "crop" if options.ascii_only else "ellipsis"
