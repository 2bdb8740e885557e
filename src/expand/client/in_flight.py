"""The dispatch: attempts on their way. Sends each once, and books whatever becomes of it.

Every attempt is a task of its own, so that an answer is settled even if whoever asked for it has
been cancelled meanwhile. ``drain`` waits for the last of them; call it before the ledger is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from expand.client.clerk import Clerk
from expand.client.limiter import first
from expand.client.retry_policy import RULES, RetryState, pause_seconds
from expand.errors import ExpandError
from expand.ledger import Ledger, LedgerBusyError, Order, Reservation, StoredAnswer
from expand.llm.types import Answer, AttemptFailedError, Author, Failure, Usage

SETTLE_TRIES = 60
"""How often, a second apart, to try to store an answer while the disk is full or locked."""

Outcome = StoredAnswer | AttemptFailedError
"""What became of an attempt."""


class StoppedError(ExpandError):
    """The run was stopped before this order was bought."""

    exit_code = 130


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something to show the user while a purchase goes on. ``seconds``: how long it will wait."""

    kind: Literal["waiting", "sent", "text", "settled", "failed"]
    order: Order
    attempt_id: str = ""
    seconds: float = 0.0
    message: str = ""
    final: bool = False
    """Of a failure: it ends the run, and is said once when the run ends."""
    usage: Usage | None = None
    """Of a settlement: what was charged."""
    text: str = ""
    """A piece of the answer that has just arrived."""


class Sender:
    """The attempts of one run that are in flight."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        clerk: Clerk,
        author: Author,
        sleep: Callable[[float], Awaitable[None]],
        on_event: Callable[[Event], None],
        on_landing: Callable[[], None],
    ) -> None:
        """``on_landing`` is called after each attempt is booked."""
        self._ledger = ledger
        self._clerk = clerk
        self._author = author
        self._sleep = sleep
        self._on_event = on_event
        self._on_landing = on_landing
        self._in_flight: set[asyncio.Task[Outcome]] = set()
        self._arrived: set[asyncio.Task[Outcome] | None] = set()
        """Those of them whose answer is there and is being stored."""
        self._abandoned = asyncio.Event()

    def abandon(self) -> None:
        """Give up what is in flight: its outcome stays unknown. What has arrived is still stored,
        at once or not at all.
        """
        self._abandoned.set()
        for task in self._in_flight - self._arrived:
            task.cancel()

    async def drain(self) -> None:
        """Wait until nothing is in flight."""
        while self._in_flight:
            await asyncio.wait(self._in_flight)

    async def carry(
        self, order: Order, place: Reservation, made: RetryState, *, on_return: Callable[[], None]
    ) -> Outcome:
        """Send the attempt, which is marked as sent; what came of it, booked. Raises
        ``StoppedError`` when it was given up. A cancelled caller leaves the attempt to arrive. A
        failure is noted in ``made``. ``on_return`` is called when the request is no longer on its
        way, whatever became of it and more than once perhaps; of an answer, before it is booked.
        """
        task = asyncio.create_task(self._send(order, place, made, on_return))
        task.add_done_callback(lambda _: on_return())
        self._in_flight.add(task)
        task.add_done_callback(self._landed)
        try:
            outcome: Outcome = await asyncio.shield(task)
            return outcome
        except asyncio.CancelledError:
            if self._abandoned.is_set() and task.done():
                raise StoppedError(f"stopped; the outcome of attempt {place.attempt_id} is unknown") from None
            raise

    def _landed(self, task: asyncio.Task[Outcome]) -> None:
        self._in_flight.discard(task)
        self._arrived.discard(task)
        if not task.cancelled():
            task.exception()  # who waits for it gets it; if nobody does, the ledger has it
        self._on_landing()

    async def _send(self, order: Order, place: Reservation, made: RetryState, on_return: Callable[[], None]) -> Outcome:
        """Send and settle; the books are in order whatever becomes of it, cancellation too."""
        made.sent += 1
        self._on_event(Event(kind="sent", order=order, attempt_id=place.attempt_id))
        try:
            answer = await self._author.complete(
                order.request, client_request_id=order.address.header(place.attempt_id)
            )
        except AttemptFailedError as failed:
            self._book_failure(order, place, failed, made)
            return failed
        except BaseException as error:
            cancelled = isinstance(error, asyncio.CancelledError)
            lost = AttemptFailedError(
                Failure.CANCELLED if cancelled else Failure.CRASHED,
                f"{type(error).__name__} while it was in flight",
            )
            self._ledger.unknown(place.attempt_id, lost)
            raise
        self._arrived.add(asyncio.current_task())
        on_return()
        stored = await self._settle(order, place, answer)
        self._on_event(Event(kind="settled", order=order, attempt_id=place.attempt_id, usage=stored.usage))
        return stored

    def _book_failure(self, order: Order, place: Reservation, failed: AttemptFailedError, made: RetryState) -> None:
        """The pause comes first: from now on nobody may call the model, in any process."""
        seconds = pause_seconds(failed, made.add(failed))
        if seconds:
            self._ledger.pause(order.request.model, seconds)
        if RULES[failed.failure].billed == "no":
            self._ledger.release(place.attempt_id, failed)
        else:
            self._ledger.unknown(place.attempt_id, failed)
        self._on_event(
            Event(
                kind="failed",
                order=order,
                attempt_id=place.attempt_id,
                seconds=seconds,
                message=failed.message,
                final=RULES[failed.failure].stops_run and not made.go_on(failed),
            )
        )

    async def _settle(self, order: Order, place: Reservation, answer: Answer) -> StoredAnswer:
        cost = None if answer.usage is None else order.cost(answer.usage)

        def settle() -> StoredAnswer:
            return self._ledger.settle(place.attempt_id, answer, cost_pico_usd=cost)

        left = SETTLE_TRIES
        while True:
            try:
                return await self._clerk.write(settle, must=True)
            except LedgerBusyError as error:
                left -= 1
                if not left:
                    raise
                if self._abandoned.is_set():
                    what = f"stopped; the answer of attempt {place.attempt_id} cannot be stored"
                    raise StoppedError(f"{what}: {error}") from error
                message = f"an answer waits to be stored: {error}"
                self._on_event(Event(kind="waiting", order=order, seconds=1.0, message=message))
                await first(self._sleep(1.0), self._abandoned.wait())
