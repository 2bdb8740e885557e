"""The purchase: from an order to an answer that is paid for, stored and never bought twice.

The order of things for every attempt: look for the answer → reserve and mark sent → send → settle →
hand out. Each step is durable before the next one begins, so a kill between any two leaves either
nothing spent, or a reservation that the next start finds and keeps charged. What many tasks have
to write at one moment is one transaction.

* An answer that arrives is settled even if whoever asked for it has been cancelled (``dispatch``).
* An order for which there is no place in the budget yet waits in line (``booking``).
* The first attempt goes out ahead of the others, so that a wrong key is found out by one attempt.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Container
from typing import Literal

import tenacity

from expand.client.admission import Admission
from expand.client.clerk import Clerk
from expand.client.in_flight import Event, Sender, StoppedError
from expand.client.limiter import Canary, ConcurrencyLimiter, InterruptibleSleep, first
from expand.client.outcome import Bought, HeldError, RefusedError, bought
from expand.client.retry_policy import RULES, RetryState
from expand.errors import AuthorError, ExpandError
from expand.ledger import Ledger, Order, Reservation, StoredAnswer
from expand.llm.types import AttemptFailedError, Author, Failure

__all__ = ["Bought", "BudgetedClient", "Event", "HeldError", "RefusedError", "StoppedError"]

PILOT_SECONDS = 0.2
"""How long the first attempt is ahead of the others: a wrong key is refused sooner than that."""

LOCAL_PILOT_SECONDS = 0.03
"""The same where the author is on this machine. Of 60 refusals most took 2 ms, and the slowest one
16 ms, with four busy processes for each processor.
"""


def ignore(event: Event) -> None:
    """Show nothing."""


async def always_ready() -> None:
    """An author that is always ready."""


class BudgetedClient:
    """Buys answers for one run. All orders of a run go through one purchase."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        author: Author,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_event: Callable[[Event], None] = ignore,
        on_unknown: Literal["retry", "hold"] = "retry",
        max_attempts: int = 6,
        pilot_seconds: float = PILOT_SECONDS,
        prepare: Callable[[], Awaitable[None]] = always_ready,
        jitter: Callable[[], float] = random.random,
        at_once: int | None = None,
        answered: Container[tuple[str, int]] | None = None,
    ) -> None:
        """``max_attempts`` bounds the attempts at one request within this run, calls that were
        refused for their rate aside. The first attempt is ``pilot_seconds`` ahead of the others.
        ``prepare`` makes the author ready, before anything is reserved. ``jitter`` gives numbers
        in [0, 1). ``at_once`` is the most requests that are on their way at one time.
        ``answered`` are the sections, by chapter and number, that have answers in the ledger: for
        any other it is not looked for one before there is a place for its request. None: unknown.
        """
        self._ledger = ledger
        self._clerk = Clerk(ledger)
        self._rest = InterruptibleSleep(sleep)
        self._hold = on_unknown == "hold"
        self._booking = Admission(
            ledger=ledger,
            clerk=self._clerk,
            rest=self._rest,
            hold_unknown=self._hold,
            jitter=jitter,
            on_event=on_event,
            check=self._check,
        )
        self._dispatch = Sender(
            ledger=ledger,
            clerk=self._clerk,
            author=author,
            sleep=sleep,
            on_event=on_event,
            on_landing=self._booking.knock,
        )
        self._max_attempts = max_attempts
        self._prepare = prepare
        self._prepared = False
        self._jitter = jitter
        self._answered = answered
        self._pilot_seconds = pilot_seconds
        self._proof = Canary()
        self._proven = self._proof.proven
        if not pilot_seconds:
            self._proof.give()
        self._pilot: asyncio.Event | None = None
        self._gate = ConcurrencyLimiter(at_once)
        self._buying: dict[str, asyncio.Event] = {}

    @property
    def fatal(self) -> AuthorError | None:
        """Why the whole run cannot go on; every further order is refused with the same words."""
        return self._proof.fatal

    async def buy(self, order: Order) -> Bought:
        """The answer to the order's request, from the ledger or else from the author.

        Raises ``BudgetExceededError`` when a limit refuses it for good, ``AuthorError`` when the
        author does or the tries are spent, ``StoppedError`` after ``stop``, ``LedgerError``.
        """
        key = order.question or order.request.key
        stored = await self._known(order) if self._may_be_known(order) else None
        while stored is None and (other := self._buying.get(key)) is not None:
            await other.wait()
            stored = await self._known(order)
        if stored is not None:
            return bought(stored, reused=True, attempts=0)
        self._buying[key] = asyncio.Event()
        try:
            return await self._obtain(order)
        finally:
            self._buying.pop(key).set()

    def stop(self) -> None:
        """Begin no further attempt; what is in flight arrives and is settled. Called again, what
        is in flight is abandoned and left unknown.
        """
        if self._rest.ended:
            self._dispatch.abandon()
        self._rest.end()
        self._gate.open()
        self._booking.knock()

    async def drain(self) -> None:
        """Wait until nothing is in flight, even after whoever ordered it has gone away."""
        try:
            await self._dispatch.drain()
        finally:
            self._clerk.finish()

    async def _known(self, order: Order) -> StoredAnswer | None:
        """The answer that the ledger has. Another task may have written it just now: then it is
        handed out when it is durable, as that task gets it.
        """
        stored = self._ledger.known(order)
        if stored is not None:
            await self._clerk.durable()
        return stored

    def _may_be_known(self, order: Order) -> bool:
        """Whether an answer is worth looking for: to reserve looks again, in its transaction."""
        place = order.address.chapter, order.address.section
        return self._answered is None or place in self._answered

    async def _obtain(self, order: Order) -> Bought:
        made = RetryState(most=self._max_attempts, hold=self._hold)
        try:
            stored, reused = await self._piloted(order, made)
        except AttemptFailedError as failed:
            if not self._goes_on(failed, made):
                raise self._given_up(failed, made) from failed
            await self._rest.take(self._wait(failed, made))
            stored, reused = await self._again(order, made)
        return bought(stored, reused=reused, attempts=made.sent)

    async def _again(self, order: Order, made: RetryState) -> tuple[StoredAnswer, bool]:
        """Further attempts after a first one that failed, as long as its kind allows."""
        retrying = tenacity.AsyncRetrying(
            sleep=self._rest.take,
            wait=tenacity.wait_exception(lambda error: self._wait(error, made)),
            retry=tenacity.retry_if_exception(lambda error: self._goes_on(error, made)),
            reraise=True,
        )
        try:
            return await retrying(self._piloted, order, made)
        except AttemptFailedError as failed:
            raise self._given_up(failed, made) from failed

    async def _piloted(self, order: Order, made: RetryState) -> tuple[StoredAnswer, bool]:
        """One attempt; behind the pilot as long as no attempt has reached the author."""
        while not self._proven.is_set():
            if self._pilot is None:
                return await self._lead(order, made)
            await first(self._pilot.wait(), self._proven.wait())
        return await self._once(order, made)

    async def _lead(self, order: Order, made: RetryState) -> tuple[StoredAnswer, bool]:
        """The pilot's attempt, over again where that may help."""
        mine = self._pilot = asyncio.Event()
        try:
            while True:
                try:
                    return await self._once(order, made)
                except AttemptFailedError as failed:
                    if self._proven.is_set() or not self._goes_on(failed, made):
                        raise
                    await self._rest.take(self._wait(failed, made))
        finally:
            self._pilot = None
            mine.set()

    async def _once(self, order: Order, made: RetryState) -> tuple[StoredAnswer, bool]:
        """One attempt, or the answer that somebody else has bought. Raises what became of it."""
        await self._get_ready(order)
        rank = _rank(order, made)
        ticket = await self._gate.enter(rank)
        place = None
        try:
            place = await self._booking.place(
                order,
                rank=rank,
                on_waiting=self._proof.give,  # so that nobody waits behind it
            )
        finally:
            if not isinstance(place, Reservation):
                ticket.give_up()
        if isinstance(place, StoredAnswer):
            return place, True
        with self._proof.given_after(self._pilot_seconds):
            outcome = await self._dispatch.carry(order, place, made, on_return=ticket.give_up)
        if isinstance(outcome, StoredAnswer):
            self._proof.give()
            return outcome, False
        self._take_in(outcome, made)
        raise outcome

    async def _get_ready(self, order: Order) -> None:
        """Opens the author before anything is reserved, unless the answer is there already."""
        if not self._prepared and self._ledger.known(order) is None:
            await self._prepare()
            self._prepared = True

    def _take_in(self, failed: AttemptFailedError, made: RetryState) -> None:
        """What a failure means for the other orders of this run."""
        if RULES[failed.failure].stops_run and not made.go_on(failed):
            self._proof.refuse(AuthorError(made.verdict(failed)))
        elif failed.failure is Failure.GARBLED and not self._proven.is_set():
            if not made.go_on(failed):
                self._proof.refuse(AuthorError(made.verdict(failed)))
        elif failed.failure is not Failure.UNREACHABLE:
            self._proof.give()

    def _goes_on(self, error: BaseException, made: RetryState) -> bool:
        return isinstance(error, AttemptFailedError) and not self._rest.ended and made.go_on(error)

    def _wait(self, error: BaseException, made: RetryState) -> float:
        assert isinstance(error, AttemptFailedError)  # nothing else is tried again
        return made.wait_seconds(error, self._jitter())

    def _given_up(self, failed: AttemptFailedError, made: RetryState) -> ExpandError:
        if self._rest.ended:
            return StoppedError(f"stopped after: {failed.message}")
        if made.held(failed):
            return HeldError(made.verdict(failed))
        return AuthorError(str(self.fatal) if self.fatal else made.verdict(failed))

    def _check(self) -> None:
        if self.fatal is not None:
            raise AuthorError(str(self.fatal))
        if self._rest.ended:
            raise StoppedError("stopped before it was sent")


def _rank(order: Order, made: RetryState) -> int:
    """What was begun goes on before anything else is."""
    return 0 if made.sent else order.rank
