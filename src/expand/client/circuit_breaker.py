"""The circuit breaker: a server that loses attempt after attempt is tried by one order at a time, and then no more.

An attempt is lost when nobody can say whether it was billed: a timeout, a connection that broke, a 5xx. Each costs its
whole reservation. Without the breaker, every order of a run would lose all of its tries to a server that has gone.

* **Closed**: no attempt was lost since the last answer. Orders do not hinder each other.
* **Half open**: attempts were lost. Those that were on their way at the same time share one cause, so they count for
  nothing by themselves; but only one order at a time tries again, a probe, and the more were lost, the longer it waits.
  An answer closes the breaker.
* **Open**: ``MOST_LOST`` attempts of more than one order were lost in a row, ``LEAST_PROBES`` of them probes. The run
  ends. Losses of a single order may be the fault of what it asks, and end only its section.
"""

import asyncio

MOST_LOST = 4
LEAST_PROBES = 2


class CircuitBreaker:
    """What was lost since the last answer."""

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
        whether this is a probe now; then call ``leave`` once the order is done.
        """
        await self._probing.acquire()
        if self.lost:
            return True
        self._probing.release()  # somebody's probe was answered meanwhile
        return False

    def leave(self) -> None:
        """Let the next order try."""
        self._probing.release()
