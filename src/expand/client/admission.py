"""The booking: a place in the budget for every order, reserved and marked as sent at once.

* An order that only calls in flight keep from the budget waits for them to settle.
* A pause that a provider asks for holds in every process, through the ledger.
* A request that somebody else is buying is waited for.

Who waits stands in line for its model, so that small orders do not overtake big ones for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from expand.client.clerk import Clerk
from expand.client.in_flight import Event
from expand.client.limiter import InterruptibleSleep, Turnstile
from expand.client.outcome import HeldError, RefusedError, held, in_batch
from expand.ledger import Held, InFlight, Ledger, Order, Paused, Refused, Reservation, StoredAnswer
from expand.ledger.values import Verdict
from expand.llm.types import AttemptFailedError, Failure

POLL_SECONDS = 0.5
"""How often to look for what another process may have changed."""


class Admission:
    """Places in the budget for the orders of one run."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        clerk: Clerk,
        rest: InterruptibleSleep,
        hold_unknown: bool,
        jitter: Callable[[], float],
        on_event: Callable[[Event], None],
        check: Callable[[], None],
    ) -> None:
        """``check`` raises what keeps anything more from being bought; ``jitter`` gives numbers in
        [0, 1).
        """
        self._ledger = ledger
        self._clerk = clerk
        self._rest = rest
        self._hold_unknown = hold_unknown
        self._jitter = jitter
        self._on_event = on_event
        self._check = check
        self._lines: dict[str, Turnstile] = {}

    def knock(self) -> None:
        """Something has changed: whoever heads a line may look again."""
        for line in self._lines.values():
            line.knock()

    async def place(self, order: Order, *, rank: int, on_waiting: Callable[[], None]) -> Reservation | StoredAnswer:
        """A reservation, marked as sent, or an answer. Who is not served at once waits in line; a
        smaller ``rank`` goes before a greater one. ``on_waiting`` is called while somebody else
        buys the same.
        """
        line = self._lines.setdefault(order.request.model, Turnstile())
        if line.empty:
            verdict = await self._reserve(order)
            if isinstance(verdict, Reservation | StoredAnswer):
                return verdict
        while True:
            place = line.enter(rank)
            try:
                while True:
                    await line.turn(place)
                    place.woken.clear()  # whatever changes from here on is looked at again
                    verdict = await self._reserve(order)
                    match verdict:
                        case Reservation() | StoredAnswer():
                            return verdict
                        case InFlight(in_batch=True):
                            raise HeldError(in_batch(order, verdict.owner))
                        case InFlight():
                            break
                        case Held():
                            raise HeldError(held(order, verdict.attempt_id))
                        case _:
                            await self._linger(order, verdict, place.woken)
            finally:
                line.leave(place)
            on_waiting()
            await self._wait(order, POLL_SECONDS, "another run is buying the same request")

    async def _reserve(self, order: Order) -> Verdict:
        """The ledger's verdict; a reservation is marked as sent in the same transaction."""

        def reserve() -> Verdict:
            self._check()
            return self._ledger.reserve(order, hold_unknown=self._hold_unknown, send=True)

        return await self._clerk.write(reserve, undo=self._give_back)

    def _give_back(self, verdict: Verdict) -> None:
        """Nobody is there any more to send what was reserved, so it costs nothing."""
        if isinstance(verdict, Reservation):
            gone = AttemptFailedError(Failure.CANCELLED, "cancelled before it was sent")
            self._ledger.release(verdict.attempt_id, gone)

    async def _linger(self, order: Order, why: Paused | Refused, woken: asyncio.Event) -> None:
        """Stay at the head of the line until something may have changed."""
        if isinstance(why, Paused):
            await self._wait(order, why.seconds + self._jitter() * 0.25, why.reason, woken)
        elif why.waitable:
            message = f"{why.message}; waiting for calls in flight"
            await self._wait(order, POLL_SECONDS, message, woken)
        else:
            raise RefusedError(why)

    async def _wait(self, order: Order, seconds: float, message: str, woken: asyncio.Event | None = None) -> None:
        """Say why, rest, and look for what dead processes have left."""
        self._on_event(Event(kind="waiting", order=order, seconds=seconds, message=message))
        await self._rest.take(seconds, or_until=woken)
        self._ledger.recover()
