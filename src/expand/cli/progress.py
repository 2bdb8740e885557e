"""Progress on stderr: on a terminal a bar for the run and one for each section that is being worked on, plain lines
everywhere else.

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

from expand.cli.progress_messages import Key, RunProgress
from expand.cli.tables import console
from expand.cli.verbosity import Verbosity
from expand.drafting.events import Event, Notice, SectionDone, SectionGrew, SectionStarted
from expand.redaction import printable

MOST_ROWS = 12
"""Sections that are shown at a time; of the others the number."""
WITHOUT_BARS = 40
"""Columns below which there is no room for bars."""
WIDEST_BAR = 40
HEARTBEAT_SECONDS = 20.0
"""How long plain lines are silent while sections grow: a log of a long run stays short, and nobody takes it for
dead."""


@contextmanager
def progress(
    stream: TextIO, verbosity: Verbosity = Verbosity.NORMAL, *, bars: bool = True
) -> Iterator[Callable[[Event], None]]:
    """Shows events on ``stream`` while the block runs: ``bars`` on a terminal, else lines."""
    if verbosity is Verbosity.QUIET:
        yield lambda _: None
        return
    terminal = console(stream)
    if bars and stream.isatty() and os.environ.get("TERM") != "dumb" and terminal.is_interactive:
        drawn = BarProgress(terminal, verbosity)
        with drawn.live:
            yield drawn
    else:
        yield PlainProgress(lambda line: print(line, file=stream, flush=True), verbosity)


class PlainProgress:
    """A line for what happens, and now and then one for where the run stands; ``say`` writes it."""

    def __init__(
        self,
        say: Callable[[str], object],
        verbosity: Verbosity = Verbosity.NORMAL,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock`` gives seconds."""
        self._say = say
        self._run = RunProgress(verbosity, clock=clock)
        self._clock = clock
        self._said_at = clock()

    def __call__(self, event: Event) -> None:
        """Says what there is to say of an event."""
        lines = self._run.take(event)
        if not lines and isinstance(event, SectionGrew) and self._clock() - self._said_at >= HEARTBEAT_SECONDS:
            lines = [self._run.summary()]
        for line in lines:
            self._say(line)
            self._said_at = self._clock()


class BarProgress:
    """Bars below, what happens above them. Call it from one thread; it draws in another."""

    def __init__(
        self, console: Console, verbosity: Verbosity = Verbosity.NORMAL, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``clock`` gives seconds."""
        self._run = RunProgress(verbosity, clock=clock)
        self._working: dict[Key, str] = {}
        self._lock = threading.Lock()
        self.live = Live(self, console=console, refresh_per_second=4, transient=True, redirect_stdout=False)

    def __call__(self, event: Event) -> None:
        """Shows an event: a line above the bars, its end cut off rather than folded; notices fold."""
        with self._lock:
            lines = self._run.take(event)
            if isinstance(event, SectionStarted):
                key = (event.chapter, event.section)
                self._working[key] = printable(self._run.sections[key].title)
            elif isinstance(event, SectionDone):
                self._working.pop((event.chapter, event.section), None)
        above = self.live.console
        for line in lines:
            if isinstance(event, Notice):
                above.print(Text(line, style="yellow"))
            else:
                above.print(Text(line), no_wrap=True, overflow=_cut(above.options))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The bars at this moment."""
        with self._lock:
            run = self._run
            if not run.sections:
                return
            width = options.max_width
            room = max(1, min(MOST_ROWS, options.size.height - 5))
            rows = [(f"{len(run.finished):,} of {len(run.sections):,} sections", run.done, run.total)]
            for key, title in list(self._working.items())[:room]:
                rows.append((f"{key[0]}/{key[1]} {title}", run.grown_to(key), run.lengths[key]))
            more = len(self._working) - room
            summary = run.summary(width - 1, counts=False)
        yield _grid(rows, width, options)
        if more > 0:
            yield Text(f"and {more:,} more at work", no_wrap=True, overflow="crop")
        yield Text(summary, no_wrap=True, overflow="crop")


def _cut(options: ConsoleOptions) -> OverflowMethod:
    """How a text is cut short: with an ellipsis if the terminal can show it."""
    return "crop" if options.ascii_only else "ellipsis"


def _grid(rows: list[tuple[str, int, int]], width: int, options: ConsoleOptions) -> Table:
    """Each row's name, its bar where there is room for one, and its length of that which it is to have."""
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(no_wrap=True, overflow=_cut(options), ratio=1)
    if width >= WITHOUT_BARS:
        grid.add_column(width=min(WIDEST_BAR, width // 4))
    grid.add_column(no_wrap=True, justify="right")
    for name, done, target in rows:
        bar = [ProgressBar(total=max(1, target), completed=min(done, target))] if width >= WITHOUT_BARS else []
        grid.add_row(Text(name), *bar, Text(f"{done:,}/{target:,}"))
    return grid
