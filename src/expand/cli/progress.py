"""Progress on a terminal, and plain lines everywhere else. Always on stderr."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from expand.cli.figures import Figures
from expand.cli.telling import Telling
from expand.cli.voice import Voice
from expand.drafting.events import Event, SectionGrew

HEARTBEAT_SECONDS = 20.0
"""How long plain lines are silent while sections grow: a log of a long run stays short, and nobody
takes it for dead."""


@contextmanager
def progress(stream: TextIO, voice: Voice = Voice.NORMAL) -> Iterator[Callable[[Event], None]]:
    """Shows events on ``stream`` while the block runs: bars on a terminal, else lines."""
    if voice is Voice.QUIET:
        yield _nothing
    elif not stream.isatty() or os.environ.get("TERM") == "dumb":
        yield PlainProgress(stream, voice)
    else:
        from expand.cli.bars import BarProgress, console_for  # start-up time

        console = console_for(stream)
        if not console.is_interactive:
            yield PlainProgress(stream, voice)
            return
        bars = BarProgress(console, voice)
        with bars.live:
            yield bars


def _nothing(_: Event) -> None:
    """What is shown when nothing is to be shown."""


class PlainProgress:
    """A line for what happens, and now and then one for where the run stands."""

    def __init__(
        self,
        stream: TextIO,
        voice: Voice = Voice.NORMAL,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock`` gives seconds."""
        self._stream = stream
        self._figures = Figures(clock)
        self._telling = Telling(self._figures, voice, clock=clock)
        self._clock = clock
        self._spoke = clock()

    def __call__(self, event: Event) -> None:
        """Prints an event."""
        self._figures.take(event)
        for line in self._telling.lines(event):
            self._say(line)
        if isinstance(event, SectionGrew) and self._clock() - self._spoke >= HEARTBEAT_SECONDS:
            self._say(self._figures.summary())

    def _say(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()
        self._spoke = self._clock()
