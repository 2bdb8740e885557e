"""A line of waiting tasks: one at a time is let through, those that finish something first.

Within a rank it is first come, first served, so that a big order is not overtaken for ever by
small ones. Only the head of the line is woken, so that ten thousand may stand in it.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass, field


@dataclass(order=True, slots=True)
class Place:
    """A place in the line; the smaller, the nearer to its head."""

    rank: int
    number: int
    woken: asyncio.Event = field(compare=False, default_factory=asyncio.Event)
    gone: bool = field(compare=False, default=False)


class Turnstile:
    """The line. A task enters, waits for its turn, may rest at the head, and leaves."""

    def __init__(self) -> None:
        self._line: list[Place] = []
        self._entered = 0

    def enter(self, rank: int) -> Place:
        """Join the line; a smaller ``rank`` goes before a greater one."""
        self._entered += 1
        place = Place(rank, self._entered)
        heapq.heappush(self._line, place)
        return place

    def leave(self, place: Place) -> None:
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

    def heads(self, place: Place) -> bool:
        """Whether it is this place's turn."""
        return bool(self._line) and self._line[0] is place

    async def turn(self, place: Place) -> None:
        """Wait until ``place`` is the head of the line."""
        while not self.heads(place):
            place.woken.clear()
            await place.woken.wait()
