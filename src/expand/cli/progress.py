"""Progress on a terminal: a bar for the run and one for each section that is being worked on.

Figures are shown whole at any width; titles give way first, then the bars. Every row is one line, so that nothing is
drawn over what stands above.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, ConsoleOptions, OverflowMethod, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from expand.cli.output import unguarded
from expand.cli.progress_messages import Key, ProgressMessages, RunStats
from expand.cli.verbosity import Verbosity
from expand.drafting.events import Event, Notice, SectionDone, SectionGrew, SectionStarted
from expand.redaction import printable

# The figures of a run as it goes on: lines, sections and tokens so far, and the time left.


MOST_ROWS = 12
"""Sections that are shown at a time; of the others the number."""
WITHOUT_BARS = 40
"""Columns below which there is no room for bars."""
WIDEST_BAR = 40


def console_for(stream: TextIO) -> Console:
    """A console on a stream that takes its encoding's word for what can be drawn."""
    return Console(file=unguarded(stream), highlight=False, markup=False, emoji=False)


class BarProgress:
    """Bars below, what happens above them. Call it from one thread; it draws in another."""

    def __init__(
        self, console: Console, verbosity: Verbosity = Verbosity.NORMAL, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``clock`` gives seconds."""
        self._stats = RunStats(clock)
        self._messages = ProgressMessages(self._stats, verbosity, clock=clock)
        self._working: dict[Key, str] = {}
        self._lock = threading.Lock()
        self.live = Live(self, console=console, refresh_per_second=4, transient=True, redirect_stdout=False)

    def __call__(self, event: Event) -> None:
        """Shows an event."""
        with self._lock:
            self._stats.take(event)
            lines = list(self._messages.lines(event))
            if isinstance(event, SectionStarted):
                key = (event.chapter, event.section)
                self._working[key] = printable(self._stats.sections[key].title)
            elif isinstance(event, SectionDone):
                self._working.pop((event.chapter, event.section), None)
        style = "yellow" if isinstance(event, Notice) else ""
        for line in lines:
            self._say(line, style)

    def _say(self, line: str, style: str) -> None:
        """Prints a line above the bars, its end cut off rather than folded; notices fold."""
        console = self.live.console
        if style:
            console.print(Text(line, style=style))
        else:
            console.print(Text(line), no_wrap=True, overflow=_cut(console.options))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The bars at this moment."""
        with self._lock:
            stats = self._stats
            if not stats.sections:
                return
            width = options.max_width
            room = max(1, min(MOST_ROWS, options.size.height - 5))
            shown = list(self._working.items())[:room]
            grid = _grid(width, options)
            done = f"{len(stats.finished):,} of {len(stats.sections):,} sections"
            _add(grid, done, stats.done_lines, stats.total_lines, width)
            for key, title in shown:
                name = f"{key[0]}/{key[1]} {title}"
                _add(grid, name, stats.lines.get(key, 0), stats.target(key), width)
            more = len(self._working) - len(shown)
            summary = stats.summary(width - 1, counts=False)
        yield grid
        if more:
            yield Text(f"and {more:,} more at work", no_wrap=True, overflow="crop")
        yield Text(summary, no_wrap=True, overflow="crop")


def _cut(options: ConsoleOptions) -> OverflowMethod:
    """How a text is cut short: with an ellipsis if the terminal can show it."""
    return "crop" if options.ascii_only else "ellipsis"


def _grid(width: int, options: ConsoleOptions) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(no_wrap=True, overflow=_cut(options), ratio=1)
    if width >= WITHOUT_BARS:
        grid.add_column(width=min(WIDEST_BAR, width // 4))
    grid.add_column(no_wrap=True, justify="right")
    return grid


def _add(grid: Table, name: str, done: int, target: int, width: int) -> None:
    count = Text(f"{done:,}/{target:,}")
    if width >= WITHOUT_BARS:
        bar = ProgressBar(total=max(1, target), completed=min(done, target))
        grid.add_row(Text(name), bar, count)
    else:
        grid.add_row(Text(name), count)


# Progress on a terminal, and plain lines everywhere else. Always on stderr.

HEARTBEAT_SECONDS = 20.0
"""How long plain lines are silent while sections grow: a log of a long run stays short, and nobody takes it for
dead."""


@contextmanager
def progress(
    stream: TextIO, verbosity: Verbosity = Verbosity.NORMAL, *, bars: bool = True
) -> Iterator[Callable[[Event], None]]:
    """Shows events on ``stream`` while the block runs: ``bars`` on a terminal, else lines."""
    if verbosity is Verbosity.QUIET:
        yield _nothing
    elif not bars or not stream.isatty() or os.environ.get("TERM") == "dumb":
        yield PlainProgress(stream, verbosity)
    else:
        # start-up time

        console = console_for(stream)
        if not console.is_interactive:
            yield PlainProgress(stream, verbosity)
            return
        drawn = BarProgress(console, verbosity)
        with drawn.live:
            yield drawn


def _nothing(_: Event) -> None:
    """What is shown when nothing is to be shown."""


class PlainProgress:
    """A line for what happens, and now and then one for where the run stands."""

    def __init__(
        self, stream: TextIO, verbosity: Verbosity = Verbosity.NORMAL, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``clock`` gives seconds."""
        self._stream = stream
        self._stats = RunStats(clock)
        self._messages = ProgressMessages(self._stats, verbosity, clock=clock)
        self._clock = clock
        self._written_at = clock()

    def __call__(self, event: Event) -> None:
        """Prints an event."""
        self._stats.take(event)
        for line in self._messages.lines(event):
            self._say(line)
        if isinstance(event, SectionGrew) and self._clock() - self._written_at >= HEARTBEAT_SECONDS:
            self._say(self._stats.summary())

    def _say(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()
        self._written_at = self._clock()
