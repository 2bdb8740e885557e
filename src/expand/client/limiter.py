"""When a request may go out: in order, behind the first one of a run, and to no server that is gone.

How many go out at once is not decided here: a run has so many workers, and what the provider and the budget allow is
the ledger's to say, since it holds for all processes. Whoever is first in a model's queue asks the ledger, and waits
there for its answer to change.
"""

import asyncio
import bisect
import itertools
from collections.abc import Iterator
from contextlib import contextmanager

MOST_LOST = 4
LEAST_PROBES = 2


class CircuitBreaker:
    """A server that loses attempt after attempt is tried by one order at a time, and then no more.

    An attempt is lost when nobody can say whether it was billed: a timeout, a connection that broke, a 5xx. Each costs
    its whole reservation. Without the breaker, every order of a run would lose all of its tries to a server that has
    gone.

    * **Closed**: no attempt was lost since the last answer. Orders do not hinder each other.
    * **Half open**: attempts were lost. Those that were on their way at the same time share one cause, so they count
      for nothing by themselves; but only one order at a time tries again, a probe, and the more were lost, the longer
      it waits. An answer closes the breaker.
    * **Open**: ``MOST_LOST`` attempts of more than one order were lost in a row, ``LEAST_PROBES`` of them probes. The
      run ends. Losses of a single order may be the fault of what it asks, and end only its section."""

    def __init__(self) -> None:
        self.lost = 0
        """Attempts that were lost in a row."""
        self._orders: set[str] = set()
        self._probes = 0
        self._answered = False
        self._probing = asyncio.Lock()

    @property
    def open(self) -> bool:
        """Whether nothing more is to be sent."""
        return self.lost >= MOST_LOST and self._probes >= LEAST_PROBES and len(self._orders) > 1

    @property
    def unproven(self) -> bool:
        """Whether nothing was ever answered: whoever loses all of its tries then speaks for all."""
        return not self._answered

    def answer(self) -> None:
        """Note an answer."""
        self.lost, self._probes, self._answered = 0, 0, True
        self._orders.clear()

    def loss(self, order: str, *, probe: bool) -> None:
        """Note an attempt that was lost, by the key of its request."""
        self.lost += 1
        self._probes += probe
        self._orders.add(order)

    async def enter(self) -> bool:
        """Before an order that has lost an attempt sends the next one: wait until no other such order is at it. Returns
        whether this is a probe now; then call ``leave`` once the order is done."""
        await self._probing.acquire()
        if self.lost:
            return True
        self._probing.release()  # somebody's probe was answered meanwhile
        return False

    def leave(self) -> None:
        """Let the next order try."""
        self._probing.release()


class Limiter:
    """The orders of one event loop that may not go out yet, queueing per model.

    Within a rank it is first come, first served, so that a big order is not overtaken for ever by small ones."""

    def __init__(self) -> None:
        self._queues: dict[str, list[tuple[int, int]]] = {}
        self._numbers = itertools.count()
        self._changed = asyncio.Event()

    @contextmanager
    def queue(self, model: str, rank: int) -> Iterator[tuple[int, int]]:
        """Queue for a model; a smaller ``rank`` goes before a greater one. Gives the place."""
        place = (rank, next(self._numbers))
        queue = self._queues.setdefault(model, [])
        bisect.insort(queue, place)
        try:
            yield place
        finally:
            queue.remove(place)
            self.wake()

    async def turn(self, model: str, place: tuple[int, int]) -> asyncio.Event:
        """Wait until ``place`` is the head of its queue. Returns what is set when something has changed since."""
        # A loop: several changes may come before this task runs, and a newcomer of smaller rank may have passed it.
        while self._queues[model][0] != place:
            await self._changed.wait()
        return self._changed

    def wake(self) -> None:
        """Something has changed, for whatever model, since all share the budget: look again."""
        self._changed.set()
        self._changed = asyncio.Event()


class Canary:
    """The first order of a run goes ahead alone, until the author is known to answer.

    So a wrong key or a wrong address is found out by one order, whatever the concurrency. Everybody else waits for a
    lock, which whoever leads gives up when the author has passed, or when the order has ended without that."""

    def __init__(self, *, passed: bool) -> None:
        self.passed = passed
        self._lock = asyncio.Lock()

    async def enter(self) -> bool:
        """Wait for the author to pass, or for the lead; whether this order leads, and so has to ``leave``."""
        if self.passed:
            return False
        # Looked at again: while it waited for the lock, the leader may have passed, and then there is nothing to lead.
        await self._lock.acquire()
        if self.passed:
            self._lock.release()
        return not self.passed

    def leave(self) -> None:
        """The leading order has ended. The next one leads, unless the author has passed."""
        if not self.passed:
            self._lock.release()

    def passes(self) -> None:
        """The author answers, or has not refused in time: nobody waits from now on."""
        if not self.passed:
            self.passed = True
            if self._lock.locked():
                self._lock.release()
