"""The gate: so many requests are on their way at once, and whoever is ready goes next.

More sections than that may be at work: while some wait for their answers, others make their next
request ready, so that a place that becomes free is taken at once.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools


class Gate:
    """``width`` places, for the tasks of one event loop; None is no bound."""

    def __init__(self, width: int | None) -> None:
        self._free = width
        self._line: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    async def enter(self, rank: int) -> Ticket:
        """Take a place as soon as there is one; a smaller ``rank`` goes before a greater one."""
        if self._free is None:
            return Ticket(self)
        if self._free:
            self._free -= 1
            return Ticket(self)
        place = asyncio.get_running_loop().create_future()
        heapq.heappush(self._line, (rank, next(self._numbers), place))
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave()
            raise
        return Ticket(self)

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


class Ticket:
    """A place behind the gate, until it is given up."""

    __slots__ = ("_gate",)

    def __init__(self, gate: Gate) -> None:
        self._gate: Gate | None = gate

    def give_up(self) -> None:
        """Let the next one in; harmless when repeated."""
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.leave()
