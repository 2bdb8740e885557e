"""When a request may go out: so many at once, in order, and behind the first one of a run.

More sections than that may be at work: while some wait for their answers, others make their next request ready, so that
a place that becomes free is taken at once. What the provider and the budget allow is the ledger's to say, since it
holds for all processes; whoever is first in the queue asks it, and waits there for the answer to change.
"""

import asyncio
import heapq
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(order=True, slots=True)
class QueuePlace:
    """A place in a model's queue; the smaller, the nearer to its head."""

    rank: int
    number: int
    changed: asyncio.Event = field(compare=False, default_factory=asyncio.Event)
    """Set when the head of the queue had better look again."""
    gone: bool = field(compare=False, default=False)


class Limiter:
    """The requests of one event loop: ``width`` at once (None is no bound), queueing per model.

    Within a rank it is first come, first served, so that a big order is not overtaken for ever by small ones. Only the
    heads of the queues are woken, so that ten thousand may wait.
    """

    def __init__(self, width: int | None) -> None:
        # A count and queues rather than `asyncio.Semaphore`: its waiters have one line, first come, first served, and
        # here a rank and a model decide. It cannot be opened either, as a stop does.
        self._free = width
        self._queues: dict[str, list[QueuePlace]] = {}
        self._numbers = itertools.count()

    @contextmanager
    def queue(self, model: str, rank: int) -> Iterator[QueuePlace]:
        """Queue for a model; a smaller ``rank`` goes before a greater one."""
        place = QueuePlace(rank, next(self._numbers))
        queue = self._queues.setdefault(model, [])
        # The number breaks ties, so equal ranks keep their order; a heap alone is not stable.
        heapq.heappush(queue, place)
        try:
            yield place
        finally:
            place.gone = True
            # Removing from the middle of a heap is expensive, so whoever leaves is marked, and dropped when it comes to
            # the head. Ten thousand orders may be cancelled at once.
            while queue and queue[0].gone:
                heapq.heappop(queue)
            self.wake()

    async def turn(self, model: str, place: QueuePlace) -> None:
        """Wait until ``place`` is the head of its queue and one more request may go out."""
        # A loop: several changes may come before this task runs, and a newcomer of smaller rank may have passed it.
        while self._queues[model][0] is not place or self._free == 0:
            place.changed.clear()
            await place.changed.wait()
        place.changed.clear()  # whatever changes from here on is looked at again

    def begin(self) -> None:
        """One more request is out."""
        if self._free is not None:
            self._free -= 1

    def end(self) -> None:
        """One request less is out."""
        if self._free is not None:
            self._free += 1
        self.wake()

    def wake(self) -> None:
        """Something has changed: the heads of the queues may look again."""
        # All heads, since a place is free for any model. Only the heads: whoever stands behind one could not go anyway.
        for queue in self._queues.values():
            if queue:
                queue[0].changed.set()

    def open(self) -> None:
        """No bound from now on: all who wait get their turn."""
        self._free = None
        self.wake()


class Canary:
    """The first order of a run goes ahead alone, until the author is known to answer.

    So a wrong key or a wrong address is found out by one order, whatever the concurrency. Everybody else waits for a
    lock, which whoever leads gives up when the author has passed, or when the order has ended without that.
    """

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
