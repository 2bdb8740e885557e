"""Progress on a terminal, and plain lines everywhere else. Always on stderr."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from expand.drafting.events import (
    Event,
    Notice,
    RunPlanned,
    SectionDone,
    SectionGrew,
    SectionStarted,
)


@contextmanager
def progress(stream: TextIO) -> Iterator[Callable[[Event], None]]:
    """Shows events on ``stream`` while the block runs: bars on a terminal, else lines."""
    console = Console(file=stream)
    dumb = os.environ.get("TERM") == "dumb"
    if not console.is_terminal or dumb:
        yield PlainProgress(stream)
        return
    bars = BarProgress(console)
    with bars.live:
        yield bars


class Figures:
    """What both kinds show: lines and tokens so far, and the time that is left.

    The time left goes by lines: those still to come at the rate of those that came.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self.targets: dict[tuple[str, int], int] = {}
        self.titles: dict[tuple[str, int], str] = {}
        self.lines: dict[tuple[str, int], int] = {}
        self.finished: set[tuple[str, int]] = set()
        self._tokens: dict[tuple[str, int], int] = {}
        self.remaining: int | None = None

    def take(self, event: Event) -> None:
        """Notes an event."""
        if isinstance(event, RunPlanned):
            for planned in event.sections:
                self.targets[planned.chapter, planned.section] = planned.lines
                self.titles[planned.chapter, planned.section] = planned.title
        elif isinstance(event, SectionGrew):
            self.lines[event.chapter, event.section] = event.lines
            self._tokens[event.chapter, event.section] = event.tokens
            self.remaining = event.remaining_tokens
        elif isinstance(event, SectionDone):
            self.lines[event.chapter, event.section] = event.lines
            self.finished.add((event.chapter, event.section))

    @property
    def tokens(self) -> int:
        """Tokens that the run took so far."""
        return sum(self._tokens.values())

    @property
    def total_lines(self) -> int:
        """Lines that the run is to bring."""
        return sum(self.targets.values())

    @property
    def done_lines(self) -> int:
        """Lines that are there, each section counted up to its target; a finished one in full."""
        return sum(
            target if key in self.finished else min(target, self.lines.get(key, 0))
            for key, target in self.targets.items()
        )

    @property
    def left(self) -> str:
        """The time left as ``m:ss``, or ``-:--`` while unknown."""
        done = self.done_lines
        if not done:
            return "-:--"
        seconds = (self._clock() - self._began) * (self.total_lines - done) / done
        return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"

    @property
    def summary(self) -> str:
        """Tokens, what is left of the book's allowance if it has one, and the time left."""
        parts = [f"{self.tokens:,} tokens"]
        if self.remaining is not None:
            parts.append(f"{self.remaining:,} left of the allowance")
        return ", ".join([*parts, f"{self.left} to go"])


def plan_lines(event: RunPlanned) -> list[str]:
    """What a run is about to do and why: one line, and one for each section that changed."""
    drafted = [planned for planned in event.sections if planned.reason not in ("", "edited")]
    edited = sum(planned.reason == "edited" for planned in event.sections)
    current = len(event.sections) - len(drafted) - edited
    parts = [f"{len(drafted)} to draft ({sum(p.lines for p in drafted):,} lines)"]
    parts += [f"{current} current"] if current else []
    parts += [f"{edited} edited by hand, left alone"] if edited else []
    return [
        f"{len(event.sections)} sections: {', '.join(parts)}",
        *(
            f"{planned.chapter}/{planned.section}: {planned.reason}"
            for planned in drafted
            if planned.reason != "new"
        ),
    ]


class PlainProgress:
    """One line for each section that begins, grows and ends."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._figures = Figures()

    def __call__(self, event: Event) -> None:
        """Prints an event."""
        figures = self._figures
        figures.take(event)
        if isinstance(event, RunPlanned):
            for line in plan_lines(event):
                self._say(line)
        elif isinstance(event, SectionGrew):
            key = (event.chapter, event.section)
            self._say(
                f"{event.chapter}/{event.section}: {event.lines:,} of {figures.targets[key]:,} "
                f"lines, {figures.summary}"
            )
        elif isinstance(event, SectionDone):
            self._say(f"{event.chapter}/{event.section}: {event.status}, {event.lines:,} lines")
        elif isinstance(event, Notice):
            self._say(event.message)

    def _say(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class BarProgress:
    """A bar for the run and one for each section that is being worked on."""

    def __init__(self, console: Console) -> None:
        self._figures = Figures()
        self._tasks: dict[tuple[str, int], TaskID] = {}
        self.live = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} lines"),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            expand=True,
        )
        self._all = self.live.add_task("all", total=1, note="")

    def __call__(self, event: Event) -> None:
        """Shows an event."""
        figures = self._figures
        figures.take(event)
        if isinstance(event, RunPlanned):
            self.live.update(self._all, total=max(1, figures.total_lines))
            for line in plan_lines(event):
                self.live.console.print(line, highlight=False, markup=False)
        elif isinstance(event, SectionStarted):
            key = (event.chapter, event.section)
            self._tasks[key] = self.live.add_task(
                f"{event.chapter}/{event.section} {figures.titles[key]}",
                total=figures.targets[key],
                note="",
            )
        elif isinstance(event, SectionGrew):
            self.live.update(self._tasks[event.chapter, event.section], completed=event.lines)
        elif isinstance(event, SectionDone):
            task = self._tasks.pop((event.chapter, event.section))
            self.live.update(task, completed=event.lines, note=event.status)
            self.live.remove_task(task)
            self.live.console.print(
                f"{event.chapter}/{event.section} {figures.titles[event.chapter, event.section]}: "
                f"{event.status}, {event.lines:,} of "
                f"{figures.targets[event.chapter, event.section]:,} lines",
                highlight=False,
                markup=False,
            )
        elif isinstance(event, Notice):
            self.live.console.print(event.message, style="yellow", highlight=False, markup=False)
        self.live.update(
            self._all,
            completed=figures.done_lines,
            note=figures.summary,
        )
