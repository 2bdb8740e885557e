"""The gate: so many requests are on their way at once, and whoever is ready goes next.

More sections than that may be at work: while some wait for their answers, others make their next
request ready, so that a place that becomes free is taken at once.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from expand.errors import AuthorError


class ConcurrencyLimiter:
    """``width`` places, for the tasks of one event loop; None is no bound."""

    def __init__(self, width: int | None) -> None:
        self._free = width
        self._line: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    async def enter(self, rank: int) -> Slot:
        """Take a place as soon as there is one; a smaller ``rank`` goes before a greater one."""
        if self._free is None:
            return Slot(self)
        if self._free:
            self._free -= 1
            return Slot(self)
        place = asyncio.get_running_loop().create_future()
        heapq.heappush(self._line, (rank, next(self._numbers), place))
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave()
            raise
        return Slot(self)

    def leave(self) -> None:
        """A place is free."""
        while self._line:
            *_, place = heapq.heappop(self._line)
            if not place.done():
                place.set_result(None)
                return
        if self._free is not None:
            self._free += 1

    def open(self) -> None:
        """No bound from now on: all who wait go in."""
        self._free = None
        while self._line:
            self.leave()


class Slot:
    """A place behind the gate, until it is given up."""

    __slots__ = ("_gate",)

    def __init__(self, gate: ConcurrencyLimiter) -> None:
        self._gate: ConcurrencyLimiter | None = gate

    def give_up(self) -> None:
        """Let the next one in; harmless when repeated."""
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.leave()


# A line of waiting tasks: one at a time is let through, those that finish something first.
#
# Within a rank it is first come, first served, so that a big order is not overtaken for ever by
# small ones. Only the head of the line is woken, so that ten thousand may stand in it.


@dataclass(order=True, slots=True)
class QueuePlace:
    """A place in the line; the smaller, the nearer to its head."""

    rank: int
    number: int
    woken: asyncio.Event = field(compare=False, default_factory=asyncio.Event)
    gone: bool = field(compare=False, default=False)


class Turnstile:
    """The line. A task enters, waits for its turn, may rest at the head, and leaves."""

    def __init__(self) -> None:
        self._line: list[QueuePlace] = []
        self._entered = 0

    def enter(self, rank: int) -> QueuePlace:
        """Join the line; a smaller ``rank`` goes before a greater one."""
        self._entered += 1
        place = QueuePlace(rank, self._entered)
        heapq.heappush(self._line, place)
        return place

    def leave(self, place: QueuePlace) -> None:
        """Leave the line, from wherever, and let the next one through."""
        place.gone = True
        while self._line and self._line[0].gone:
            heapq.heappop(self._line)
        self.knock()

    def knock(self) -> None:
        """Something has changed: the head of the line may look again."""
        if self._line:
            self._line[0].woken.set()

    @property
    def empty(self) -> bool:
        """Whether nobody stands in it."""
        return not self._line

    def heads(self, place: QueuePlace) -> bool:
        """Whether it is this place's turn."""
        return bool(self._line) and self._line[0] is place

    async def turn(self, place: QueuePlace) -> None:
        """Wait until ``place`` is the head of the line."""
        while not self.heads(place):
            place.woken.clear()
            await place.woken.wait()


# Waiting that a stop cuts short.


async def first(*waits: Awaitable[object]) -> None:
    """Until the first of them is over; the others are not waited for any more."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


class InterruptibleSleep:
    """Rest for the tasks of one run, until it is stopped. ``sleep`` takes seconds."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._sleep = sleep
        self._ended = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether there is none any more."""
        return self._ended.is_set()

    def end(self) -> None:
        """Wake all who rest; nobody rests from now on."""
        self._ended.set()

    async def take(self, seconds: float, *, or_until: asyncio.Event | None = None) -> None:
        """Sleep, but not beyond the end, nor beyond ``or_until``."""
        if seconds > 0 and not self.ended:
            others = [or_until.wait()] if or_until is not None else []
            await first(self._sleep(seconds), self._ended.wait(), *others)


# What a run knows of its author: nothing yet, that it answers, or that it sells nothing.


class Canary:
    """Whether the author of a run is one that answers. ``proven`` stays set once it is."""

    def __init__(self) -> None:
        self.proven = asyncio.Event()
        self.fatal: AuthorError | None = None
        """Why the whole run cannot go on; every further order is refused with the same words."""

    def give(self) -> None:
        """The author answers, or has not refused in time."""
        self.proven.set()

    @contextmanager
    def given_after(self, seconds: float) -> Iterator[None]:
        """An author that has not refused an attempt within so many seconds is taken to be one that
        answers.
        """
        if self.proven.is_set():
            yield
            return
        timer = asyncio.get_running_loop().call_later(seconds, self.give)
        try:
            yield
        finally:
            timer.cancel()

    def refuse(self, error: AuthorError) -> None:
        """Nothing more can be bought; the first reason stays."""
        if self.fatal is None:
            self.fatal = error
