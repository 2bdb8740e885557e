"""The clerk: writes of many tasks at the same moment become one transaction of the ledger.

A transaction that is durable costs a wait for the disk, whatever is in it. So what the tasks of one
turn of the event loop want written is written together, each as a part that succeeds or fails by
itself, and nobody goes on before all of it is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from expand.ledger import Ledger, LedgerBusyError

T = TypeVar("T")

MOST_AT_ONCE = 8
"""So many writes share a transaction. With no bound, all tasks would wait for each other's writes,
go on at the same moment, and so meet again at the next one.
"""


@dataclass(frozen=True, slots=True)
class _Entry:
    work: Callable[[], Any]
    done: asyncio.Future[Any]
    must: bool


class Clerk:
    """Writes into one ledger, for the tasks of one event loop."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._entries: list[_Entry] = []

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
        when it is written already but not handed out yet, ``undo`` gets what nobody will.
        """
        loop = asyncio.get_running_loop()
        entry = _Entry(work, loop.create_future(), must)
        if not self._entries:
            loop.call_soon(self.write_all)
        self._entries.append(entry)
        try:
            done: T = await entry.done
        except asyncio.CancelledError:
            if not entry.done.cancelled() and entry.done.exception() is None:
                undo(entry.done.result())
            raise
        return done

    def write_all(self) -> None:
        """Write what waits, now, as far as one transaction takes it."""
        waiting = [e for e in self._entries if e.must or not e.done.cancelled()]
        entries, self._entries = waiting[:MOST_AT_ONCE], waiting[MOST_AT_ONCE:]
        if self._entries:
            asyncio.get_running_loop().call_soon(self.write_all)
        outcomes: list[tuple[Any, Exception | None]] = []
        try:
            if entries:
                with self._ledger.together():
                    outcomes = [_outcome(entry) for entry in entries]
        except Exception as error:  # nothing of it was written
            outcomes = [(None, error)] * len(entries)
        except BaseException:  # a Ctrl-C in the middle of it: what must be written still is, later
            self._entries = [*(entry for entry in entries if entry.must), *self._entries]
            raise
        for entry, (result, failure) in zip(entries, outcomes, strict=True):
            if entry.done.done():
                continue
            if failure is None:
                entry.done.set_result(result)
            else:
                entry.done.set_exception(failure)

    def finish(self) -> None:
        """Write everything that waits, now, in as many transactions as that takes."""
        while self._entries:
            self.write_all()


def _outcome(entry: _Entry) -> tuple[Any, Exception | None]:
    try:
        return entry.work(), None
    except LedgerBusyError:
        raise  # the whole transaction is lost, and may be tried again
    except Exception as error:  # whoever wanted it written gets it
        return None, error
