"""Writes of one moment are one transaction; each succeeds or fails by itself."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from buying import ScriptedAuthor, begin, order, place

from expand.ledger import Ledger, LedgerBusyError, Reservation
from expand.purchase.clerk import Clerk
from expand.purchase.escrow import Purchase


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(place(tmp_path))
    yield opened
    opened.close()


class Counted:
    """Counts the transactions of a ledger, and fails them on demand."""

    def __init__(self, ledger: Ledger) -> None:
        self.number = 0
        self.busy = False
        self._together = ledger.together
        ledger.together = self.together  # type: ignore[method-assign]

    @contextmanager
    def together(self) -> Iterator[None]:
        self.number += 1
        with self._together():
            yield
            if self.busy:
                raise LedgerBusyError("the disk is full")


@pytest.mark.parametrize(("writes", "transactions"), [(1, 1), (8, 1), (9, 2), (17, 3)])
async def test_what_is_written_at_one_moment_shares_transactions(
    ledger: Ledger, writes: int, transactions: int
) -> None:
    run, counted, clerk = begin(ledger, 10_000), Counted(ledger), Clerk(ledger)
    orders = [order(run, str(n)) for n in range(writes)]
    done = await asyncio.gather(*(clerk.write(partial(ledger.reserve, o)) for o in orders))
    assert all(isinstance(verdict, Reservation) for verdict in done)
    assert counted.number == transactions
    assert ledger.balance("book").reserved_tokens == 100 * writes


async def test_a_part_that_fails_takes_no_other_with_it(ledger: Ledger) -> None:
    run, clerk = begin(ledger), Clerk(ledger)

    def half() -> None:
        ledger.reserve(order(run, "half"))
        with ledger.writing() as connection:
            connection.execute("UPDATE budget SET limit_tokens = 1")
            raise ValueError("a defect")

    first, failed, last = await asyncio.gather(
        clerk.write(lambda: ledger.reserve(order(run, "first"))),
        clerk.write(half),
        clerk.write(lambda: ledger.reserve(order(run, "last"))),
        return_exceptions=True,
    )
    assert isinstance(failed, ValueError)
    assert isinstance(first, Reservation)
    assert isinstance(last, Reservation)
    assert ledger.balance("book").limit.tokens == 1000


async def test_when_the_disk_is_full_nothing_is_written_and_everybody_is_told(
    ledger: Ledger,
) -> None:
    run, counted, clerk = begin(ledger), Counted(ledger), Clerk(ledger)
    counted.busy = True
    orders = [order(run, str(n)) for n in range(3)]
    done = await asyncio.gather(
        *(clerk.write(partial(ledger.reserve, o)) for o in orders), return_exceptions=True
    )
    assert [type(each) for each in done] == [LedgerBusyError] * 3
    assert ledger.balance("book").reserved_tokens == 0


async def test_a_cancelled_caller_writes_only_what_must_be_written(ledger: Ledger) -> None:
    run, clerk = begin(ledger), Clerk(ledger)

    async def wish(text: str, *, must: bool) -> None:
        await clerk.write(lambda: ledger.reserve(order(run, text)), must=must)

    tasks = [
        asyncio.create_task(wish("may", must=False)),
        asyncio.create_task(wish("must", must=True)),
    ]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)
    assert ledger.balance("book").reserved_tokens == 100


async def test_what_was_written_for_a_caller_who_is_gone_is_given_back(ledger: Ledger) -> None:
    run, clerk = begin(ledger), Clerk(ledger)
    given_back: list[object] = []

    async def wish() -> object:
        return await clerk.write(lambda: ledger.reserve(order(run)), undo=given_back.append)

    task = asyncio.create_task(wish())
    await asyncio.sleep(0)
    clerk.write_all()
    assert ledger.balance("book").reserved_tokens == 100
    task.cancel()  # written, and not handed out yet
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [type(verdict) for verdict in given_back] == [Reservation]


async def test_a_purchase_cancelled_before_it_sends_is_charged_nothing(ledger: Ledger) -> None:
    author = ScriptedAuthor()
    run = begin(ledger)
    purchase = Purchase(ledger=ledger, author=author, run=run, pilot_seconds=0)
    for turns in range(1, 8):  # wherever it is by then
        task = asyncio.create_task(purchase.buy(order(run, str(turns))))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await purchase.drain()
        balance = ledger.balance("book")
        assert (balance.reserved_tokens, balance.unknown_tokens) == (0, 0), turns
    assert author.asked


async def test_an_answer_is_written_after_a_ctrl_c_in_the_middle_of_writing(
    ledger: Ledger,
) -> None:
    run, clerk = begin(ledger), Clerk(ledger)
    together, interrupted = ledger.together, False

    @contextmanager
    def once() -> Iterator[None]:
        nonlocal interrupted
        with together():
            yield
            if not interrupted:
                interrupted = True
                raise KeyboardInterrupt

    ledger.together = once  # type: ignore[method-assign]
    answer = asyncio.create_task(clerk.write(lambda: ledger.reserve(order(run)), must=True))
    await asyncio.sleep(0)
    with pytest.raises(KeyboardInterrupt):
        clerk.write_all()
    assert ledger.balance("book").reserved_tokens == 0
    clerk.write_all()
    assert isinstance(await answer, Reservation)
    assert ledger.balance("book").reserved_tokens == 100


async def test_a_disk_that_fails_in_one_part_undoes_them_all(ledger: Ledger) -> None:
    run, clerk = begin(ledger), Clerk(ledger)

    def fail() -> None:
        with ledger.writing() as connection:
            connection.execute("ROLLBACK")  # as SQLite does by itself then
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error

    done = await asyncio.gather(
        clerk.write(lambda: ledger.reserve(order(run, "before"))),
        clerk.write(fail),
        clerk.write(lambda: ledger.reserve(order(run, "after"))),
        return_exceptions=True,
    )
    assert [type(each) for each in done] == [LedgerBusyError] * 3
    assert ledger.balance("book").reserved_tokens == 0
