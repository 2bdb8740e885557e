"""The clerk: writes of many tasks at the same moment become one transaction of the ledger.

A transaction that is durable costs a wait for the disk, whatever is in it. So what the tasks of one
turn of the event loop want written is written together, each as a part that succeeds or fails by
itself; a thread waits for the disk, once for all that was written meanwhile; and nobody goes on
before what they wrote is durable.

When many answers arrive at once, as many questions are ready to take their places on the wire: both
go into the same transactions, so that no question waits until all answers are stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from expand.errors import LedgerError
from expand.ledger import Ledger, LedgerBusyError

T = TypeVar("T")

MOST_AT_ONCE = 8
"""So many writes that must be, and as many others, share a transaction. With no bound, all tasks
would wait for each other's writes, go on at the same moment, and so meet again at the next one.
"""

FIRST_AT_ONCE = 4
"""The same for the first one after a rest: what is in it goes out while the others are written."""

HELD_SECONDS = 0.005
"""While the disk is busy, what is to be written next is gathered, so that few transactions do. An
answer is held for so long at most, however slow the disk is: what is in the log survives a kill.
"""

Outcome = tuple[Any, Exception | None]
"""What a write returned, or what it raised."""


@dataclass(slots=True, eq=False)
class _Entry:
    work: Callable[[], Any]
    done: asyncio.Future[Any]
    must: bool
    outcome: Outcome | None = None
    """Set when it is committed, which is before it is durable."""

    def tell(self, failure: Exception | None = None) -> None:
        """Hands out the outcome, or what has kept it from being durable."""
        result, raised = self.outcome or (None, None)
        error = failure or raised
        if self.done.done():
            return
        if error is not None:
            self.done.set_exception(error)
        else:
            self.done.set_result(result)


class Clerk:
    """Writes into one ledger, for the tasks of one event loop."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._entries: list[_Entry] = []
        self._committed: list[_Entry] = []
        self._waiting = False
        """Whether the thread waits for the disk."""
        self._rolling = False
        """Whether transactions have followed one another since the last rest."""
        self._soon = False
        """Whether the next transaction is due in one of the next turns of the event loop."""
        self._deadline: asyncio.TimerHandle | None = None
        """When it is due although the disk is busy."""

    async def write(
        self,
        work: Callable[[], T],
        *,
        must: bool = False,
        undo: Callable[[T], None] = lambda _: None,
    ) -> T:
        """What ``work`` returns or raises, once it is durable. It calls methods of the ledger, and
        does not wait for anything else.

        If the caller is cancelled meanwhile, ``must`` has it written all the same. If that happens
        when it is written already but not handed out yet, or if it cannot be made durable, ``undo``
        gets what nobody will.
        """
        loop = asyncio.get_running_loop()
        entry = _Entry(work, loop.create_future(), must)
        self._entries.append(entry)
        if not self._waiting:
            self._rolling = self._soon and self._rolling
            self._write_soon()
        elif must and self._deadline is None:
            self._deadline = loop.call_later(HELD_SECONDS, self.write_all)
        try:
            done: T = await entry.done
        except (asyncio.CancelledError, Exception):
            if entry.outcome is not None and entry.outcome[1] is None:
                with suppress(LedgerError):  # else it stays as a crash would leave it
                    undo(entry.outcome[0])
            raise
        return done

    async def durable(self) -> None:
        """Until what is written by now is durable. Raises what kept it from being so."""
        if self._waiting:
            await self.write(lambda: None)

    def _write_soon(self) -> None:
        """One turn later than at once: who gets the place of an answer only wakes in the next."""
        if not self._soon:
            self._soon = True
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self.write_all)

    def write_all(self) -> None:
        """Write what waits, now, as far as one transaction takes it."""
        self._soon = False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        most = MOST_AT_ONCE if self._rolling else FIRST_AT_ONCE
        entries, self._entries = _shared_out(self._entries, most)
        if self._entries:
            self._soon = True
            asyncio.get_running_loop().call_soon(self.write_all)
        if not entries:
            return
        self._rolling = True
        try:
            with self._ledger.together():
                outcomes = [_outcome(entry) for entry in entries]
        except Exception as error:  # nothing of it was written
            for entry in entries:
                entry.tell(error)
            return
        except BaseException:  # a Ctrl-C in the middle of it: what must be written still is, later
            self._entries = [*(entry for entry in entries if entry.must), *self._entries]
            raise
        for entry, outcome in zip(entries, outcomes, strict=True):
            entry.outcome = outcome
        self._committed += entries
        if not self._waiting:
            self._wait_for_disk()

    def _wait_for_disk(self) -> None:
        """Has a thread wait until what is committed by now is durable, and then says so."""
        entries, self._committed = self._committed, []
        self._waiting = True

        def told(durable: asyncio.Future[None]) -> None:
            self._waiting = False
            failure = durable.exception()
            assert failure is None or isinstance(failure, Exception)
            for entry in entries:
                entry.tell(failure)
            if self._committed:
                self._wait_for_disk()
            elif self._entries:
                self._write_soon()

        loop = asyncio.get_running_loop()
        try:
            durable = loop.run_in_executor(None, self._ledger.make_durable)
        except RuntimeError:  # no more threads: then all wait
            durable = loop.create_future()
            try:
                self._ledger.make_durable()
                durable.set_result(None)
            except Exception as error:
                durable.set_exception(error)
        durable.add_done_callback(told)

    def finish(self) -> None:
        """Write everything that waits, now, in as many transactions as that takes, and wait for
        the disk.
        """
        while self._entries:
            self.write_all()
        if self._committed or self._waiting:
            entries, self._committed = self._committed, []
            failure = None
            try:
                self._ledger.make_durable()
            except Exception as error:
                failure = error
            for entry in entries:
                entry.tell(failure)


def _shared_out(waiting: list[_Entry], most: int) -> tuple[list[_Entry], list[_Entry]]:
    """What the next transaction takes, at ``most`` so many answers and as many others, answers
    before what wants their places; and what is left.
    """
    must = [entry for entry in waiting if entry.must]
    may = [entry for entry in waiting if not (entry.must or entry.done.cancelled())]
    return [*must[:most], *may[:most]], [*must[most:], *may[most:]]


def _outcome(entry: _Entry) -> Outcome:
    try:
        return entry.work(), None
    except LedgerBusyError:
        raise  # the whole transaction is lost, and may be tried again
    except Exception as error:  # whoever wanted it written gets it
        return None, error
