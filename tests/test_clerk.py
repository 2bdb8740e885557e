"""Writes of one moment are one transaction; each succeeds or fails by itself."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
from buying import ScriptedAuthor, begin, order, place

from expand.client.clerk import Clerk
from expand.client.client import BudgetedClient, StoppedError
from expand.errors import LedgerError
from expand.ledger import Ledger, LedgerBusyError, Reservation, sqlite
from expand.llm.types import Answer, AttemptFailedError, Failure, OnText, Request, ignore_text


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


@pytest.mark.parametrize(("writes", "transactions"), [(1, 1), (4, 1), (5, 2), (12, 2), (13, 3)])
async def test_what_is_written_at_one_moment_shares_transactions(
    ledger: Ledger, writes: int, transactions: int
) -> None:
    run, counted, clerk = begin(ledger, 10_000), Counted(ledger), Clerk(ledger)
    orders = [order(run, str(n)) for n in range(writes)]
    done = await asyncio.gather(*(clerk.write(partial(ledger.reserve, o)) for o in orders))
    assert all(isinstance(verdict, Reservation) for verdict in done)
    assert counted.number == transactions
    assert ledger.balance("book").reserved_tokens == 100 * writes


async def test_after_a_rest_few_go_ahead_of_the_others(ledger: Ledger) -> None:
    run, counted, clerk = begin(ledger, 10_000), Counted(ledger), Clerk(ledger)
    for burst in (1, 2):
        orders = [order(run, f"{burst} {n}") for n in range(5)]
        await asyncio.gather(*(clerk.write(partial(ledger.reserve, o)) for o in orders))
        assert counted.number == 2 * burst


async def test_what_failed_or_was_given_up_is_followed_by_a_rest_too(ledger: Ledger) -> None:
    run, counted, clerk = begin(ledger, 10_000), Counted(ledger), Clerk(ledger)

    async def burst(name: str) -> int:
        before, orders = counted.number, [order(run, f"{name} {n}") for n in range(5)]
        await asyncio.gather(*(clerk.write(partial(ledger.reserve, o)) for o in orders))
        return counted.number - before

    counted.busy = True
    with pytest.raises(LedgerBusyError):
        await clerk.write(partial(ledger.reserve, order(run, "failed")))
    counted.busy = False
    assert await burst("after a failure") == 2
    written = asyncio.create_task(clerk.write(partial(ledger.reserve, order(run, "written"))))
    while not clerk._waiting:
        await asyncio.sleep(0)
    given_up = asyncio.create_task(clerk.write(partial(ledger.reserve, order(run, "given up"))))
    await asyncio.sleep(0)
    given_up.cancel()
    await written
    await asyncio.sleep(0.01)
    assert await burst("after a cancelled question") == 2


async def test_answers_share_their_transaction_with_what_takes_their_places(
    ledger: Ledger,
) -> None:
    """None of eight questions waits until all of sixteen answers are written, and the first four
    for no more than four.
    """
    run, counted, clerk = begin(ledger, 10_000), Counted(ledger), Clerk(ledger)
    written: list[str] = []

    def put_down(text: str) -> None:
        written.append(f"{counted.number} {text}")
        ledger.reserve(order(run, text))

    answers = [clerk.write(partial(put_down, f"answer {n}"), must=True) for n in range(16)]
    questions = [clerk.write(partial(put_down, f"question {n}")) for n in range(8)]
    await asyncio.gather(*answers, *questions)
    assert written == [
        *(f"1 answer {n}" for n in range(4)),
        *(f"1 question {n}" for n in range(4)),
        *(f"2 answer {n}" for n in range(4, 12)),
        *(f"2 question {n}" for n in range(4, 8)),
        *(f"3 answer {n}" for n in range(12, 16)),
    ]


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
    done = await asyncio.gather(*(clerk.write(partial(ledger.reserve, o)) for o in orders), return_exceptions=True)
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
    purchase = BudgetedClient(ledger=ledger, author=author, pilot_seconds=0)
    for turns in (1, 2, 3, 4, 5, 10, 30, 100, 0):  # wherever it is by then; at last, behind it
        task = asyncio.create_task(purchase.buy(order(run, str(turns))))
        for _ in range(turns):
            await asyncio.sleep(0)
        while not (turns or author.asked):
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


class Disk:
    """A disk that answers when it is told to; counts how often it was asked."""

    def __init__(self, ledger: Ledger) -> None:
        self.asked = 0
        self.answers = threading.Event()
        self.error: Exception | None = None
        self._make_durable = ledger.make_durable
        ledger.make_durable = self.make_durable  # type: ignore[method-assign]

    def make_durable(self) -> None:
        self.asked += 1
        assert self.answers.wait(10)
        self._make_durable()
        if self.error:
            raise self.error


async def test_nobody_goes_on_before_the_disk_has_answered(ledger: Ledger) -> None:
    run, clerk, disk = begin(ledger), Clerk(ledger), Disk(ledger)
    first = asyncio.create_task(clerk.write(lambda: ledger.reserve(order(run, "first"))))
    await asyncio.sleep(0.02)
    others = [asyncio.create_task(clerk.write(partial(ledger.reserve, order(run, str(n))))) for n in range(3)]
    await asyncio.sleep(0.02)  # the disk is busy with the first, so the others wait for each other
    assert ledger.balance("book").reserved_tokens == 100
    assert not any(task.done() for task in (first, *others))
    assert disk.asked == 1
    disk.answers.set()
    await asyncio.gather(first, *others)
    assert ledger.balance("book").reserved_tokens == 400
    assert disk.asked == 2


async def test_an_answer_is_in_the_log_however_long_the_disk_takes(ledger: Ledger) -> None:
    """What is in the log survives a kill; but nobody gets it before the disk has answered."""
    run, clerk, disk = begin(ledger), Clerk(ledger), Disk(ledger)
    first = asyncio.create_task(clerk.write(lambda: ledger.reserve(order(run, "first"))))
    await asyncio.sleep(0.02)
    question = asyncio.create_task(clerk.write(lambda: ledger.reserve(order(run, "question"))))
    answers = [
        asyncio.create_task(clerk.write(partial(ledger.reserve, order(run, str(n))), must=True)) for n in range(2)
    ]
    await asyncio.sleep(0.05)
    assert ledger.balance("book").reserved_tokens == 400
    assert disk.asked == 1
    assert not any(task.done() for task in (first, question, *answers))
    disk.answers.set()
    await asyncio.gather(first, question, *answers)
    assert disk.asked == 2


async def test_a_disk_that_fails_is_told_to_all_who_wait_for_it(ledger: Ledger) -> None:
    run, clerk, disk = begin(ledger), Clerk(ledger), Disk(ledger)
    disk.error = LedgerError("the disk cannot be written")
    disk.answers.set()
    with pytest.raises(LedgerError, match="the disk cannot be written"):
        await clerk.write(lambda: ledger.reserve(order(run)))
    disk.error = None
    assert isinstance(await clerk.write(lambda: ledger.reserve(order(run, "2"))), Reservation)


async def test_what_could_not_be_made_durable_is_given_back(ledger: Ledger) -> None:
    run, clerk, disk = begin(ledger), Clerk(ledger), Disk(ledger)
    disk.answers.set()
    disk.error = LedgerError("the disk cannot be written")

    def give_back(verdict: object) -> None:
        assert isinstance(verdict, Reservation)
        ledger.release(verdict.attempt_id, AttemptFailedError(Failure.CANCELLED, "gone"))
        raise LedgerError("nor can this be written")

    with pytest.raises(LedgerError, match="the disk cannot be written"):
        await clerk.write(lambda: ledger.reserve(order(run)), undo=give_back)
    assert ledger.balance("book").reserved_tokens == 0


async def test_without_a_thread_to_wait_for_the_disk_all_wait(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    run, clerk, disk = begin(ledger), Clerk(ledger), Disk(ledger)
    disk.answers.set()
    monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", none_left)
    assert isinstance(await clerk.write(lambda: ledger.reserve(order(run))), Reservation)
    disk.error = LedgerError("the disk cannot be written")
    with pytest.raises(LedgerError, match="the disk cannot be written"):
        await clerk.write(lambda: ledger.reserve(order(run, "second")))


async def test_another_buyer_of_the_same_gets_the_answer_when_it_is_durable(
    ledger: Ledger,
) -> None:
    run, disk = begin(ledger), Disk(ledger)
    disk.answers.set()
    purchase = BudgetedClient(ledger=ledger, author=ScriptedAuthor(), pilot_seconds=0)
    await purchase.buy(order(run, "before"))
    reserved = asyncio.Event()

    class Slow(ScriptedAuthor):
        async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
            disk.answers.clear()
            reserved.set()
            return await super().complete(request, client_request_id=client_request_id, on_text=on_text)

    purchase = BudgetedClient(ledger=ledger, author=Slow(), pilot_seconds=0)
    first = asyncio.create_task(purchase.buy(order(run)))
    await reserved.wait()
    await asyncio.sleep(0.05)  # its answer is in the log, and the disk has not answered yet
    assert ledger.known(order(run)) is not None
    second = asyncio.create_task(purchase.buy(order(run)))
    await asyncio.sleep(0.05)
    assert not first.done()
    assert not second.done()
    disk.answers.set()
    assert (await second).answer == (await first).answer


async def test_an_answer_is_stored_though_the_wait_for_it_is_cancelled(ledger: Ledger) -> None:
    """As a second Ctrl-C does where nobody has set a handler for it: the ledger is closed then."""
    run, disk, arrived = begin(ledger), Disk(ledger), asyncio.Event()
    disk.answers.set()

    class Busy(ScriptedAuthor):
        async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
            disk.answers.clear()
            others.append(asyncio.create_task(purchase._clerk.write(lambda: None)))
            while not purchase._clerk._waiting:
                await asyncio.sleep(0)
            arrived.set()
            return await super().complete(request, client_request_id=client_request_id, on_text=on_text)

    others: list[asyncio.Task[None]] = []
    purchase = BudgetedClient(ledger=ledger, author=Busy(), pilot_seconds=0)
    others.append(buying := asyncio.create_task(purchase.buy(order(run))))  # type: ignore[arg-type]
    await arrived.wait()
    await asyncio.sleep(0)  # the answer is with the clerk, who waits for the disk
    buying.cancel()
    draining = asyncio.create_task(purchase.drain())
    await asyncio.sleep(0)
    assert ledger.known(order(run)) is None
    draining.cancel()
    disk.answers.set()
    with pytest.raises(asyncio.CancelledError):
        await draining
    assert ledger.known(order(run)) is not None
    await asyncio.gather(*others, return_exceptions=True)


@pytest.mark.parametrize("freed", [True, False])
async def test_an_answer_that_waits_for_a_full_disk_is_tried_once_more_at_a_second_stop(
    ledger: Ledger, freed: bool
) -> None:
    run, counted, waiting = begin(ledger), Counted(ledger), asyncio.Event()

    class Filling(ScriptedAuthor):
        async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
            counted.busy = True
            return await super().complete(request, client_request_id=client_request_id, on_text=on_text)

    purchase = BudgetedClient(
        ledger=ledger,
        author=Filling(),
        pilot_seconds=0,
        sleep=lambda _: asyncio.sleep(60),
        on_event=lambda event: waiting.set() if event.kind == "waiting" else None,
    )
    buying = asyncio.create_task(purchase.buy(order(run)))
    async with asyncio.timeout(10):
        await waiting.wait()
        await asyncio.sleep(0.01)
        counted.busy = not freed
        purchase.stop()
        purchase.stop()
        if freed:
            assert (await buying).answer.text
        else:
            with pytest.raises(StoppedError, match="cannot be stored: the disk is full"):
                await buying
    assert (ledger.known(order(run)) is not None) is freed


async def test_at_the_end_a_disk_that_fails_is_told_to_all_who_wait_for_it(ledger: Ledger) -> None:
    run, clerk, disk = begin(ledger), Clerk(ledger), Disk(ledger)
    writing = asyncio.create_task(clerk.write(lambda: ledger.reserve(order(run)), must=True))
    await asyncio.sleep(0)
    disk.answers.set()
    disk.error = LedgerError("the disk cannot be written")
    clerk.finish()
    with pytest.raises(LedgerError, match="the disk cannot be written"):
        await writing


async def test_who_goes_away_when_the_answer_was_there_already_gives_nothing_back(
    ledger: Ledger,
) -> None:
    run, disk = begin(ledger), Disk(ledger)
    disk.answers.set()
    author = ScriptedAuthor()
    await BudgetedClient(ledger=ledger, author=author, pilot_seconds=0).buy(order(run))
    purchase = BudgetedClient(ledger=ledger, author=author, pilot_seconds=0, answered=())
    disk.answers.clear()
    buying = asyncio.create_task(purchase.buy(order(run)))
    await asyncio.sleep(0.02)  # found while reserving, and not handed out yet
    used = ledger.balance("book").used_tokens
    buying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await buying
    disk.answers.set()
    await purchase.drain()
    assert (ledger.balance("book").used_tokens, len(author.asked)) == (used, 1)
    assert ledger.balance("book").reserved_tokens == 0


async def test_who_goes_away_while_the_disk_is_busy_gives_back_what_was_written(
    ledger: Ledger,
) -> None:
    run, clerk, disk = begin(ledger), Clerk(ledger), Disk(ledger)
    given_back: list[object] = []
    task = asyncio.create_task(clerk.write(lambda: ledger.reserve(order(run)), undo=given_back.append))
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [type(verdict) for verdict in given_back] == [Reservation]
    disk.answers.set()
    await asyncio.sleep(0.02)
    assert len(given_back) == 1


async def test_at_the_end_what_is_written_but_not_durable_becomes_so(ledger: Ledger) -> None:
    run, clerk, disk = begin(ledger), Clerk(ledger), Disk(ledger)
    first = asyncio.create_task(clerk.write(lambda: ledger.reserve(order(run, "first"))))
    await asyncio.sleep(0.02)
    second = asyncio.create_task(clerk.write(lambda: ledger.reserve(order(run, "second"))))
    await asyncio.sleep(0)
    disk.answers.set()
    clerk.finish()
    assert disk.asked == 2
    assert isinstance(await second, Reservation)
    assert isinstance(await first, Reservation)
    clerk.finish()  # nothing to wait for


def test_what_did_not_wait_is_in_the_log_and_synchronised_on_demand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synchronised: list[int] = []

    def noted(handle: int) -> None:
        synchronised.append(os.fstat(handle).st_ino)

    monkeypatch.setattr(sqlite, "_synchronise", noted)
    with closing(Ledger.open(place(tmp_path))) as opened:
        run = begin(opened)
        levels = []
        with opened.together():
            opened.reserve(order(run))
            with opened.reading() as connection:
                levels += connection.execute("PRAGMA synchronous").fetchone()
        with opened.reading() as connection:
            levels += connection.execute("PRAGMA synchronous").fetchone()
        assert levels == [1, 2]  # NORMAL, FULL
        assert synchronised == []
        opened.make_durable()
        log = place(tmp_path).with_name("ledger.db-wal")
        assert synchronised == [log.stat().st_ino]


class Cut:
    """What a power cut would leave of a ledger: the log as far as it was synchronised."""

    def __init__(self, path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._path, self._folder = path, folder
        self._safe = 0
        monkeypatch.setattr(sqlite, "_synchronise", self._synchronise)

    def _synchronise(self, handle: int) -> None:
        self._safe = os.fstat(handle).st_size
        os.fsync(handle)

    def states(self) -> dict[str, str]:
        """The states of the attempts by their request's words, with what they were answered."""
        left = self._folder / "left.db"
        shutil.copy(self._path, left)
        log = self._path.with_name(f"{self._path.name}-wal").read_bytes()
        left.with_name("left.db-wal").write_bytes(log[: self._safe])
        with closing(sqlite3.connect(left)) as connection:
            found = connection.execute(
                "SELECT attempt.id, state || ':' || coalesce(text, '') FROM attempt"
                " LEFT JOIN answer ON answer.attempt = attempt.id"
            ).fetchall()
        left.with_name("left.db-shm").unlink(missing_ok=True)
        return dict(found)


async def test_a_power_cut_takes_nothing_that_was_sent_or_handed_out(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = Cut(place(tmp_path), tmp_path, monkeypatch)
    run = begin(ledger, 100_000)

    class Watching(ScriptedAuthor):
        async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
            assert cut.states()[client_request_id.rpartition("/")[2]] == "sent:"
            return await super().complete(request, client_request_id=client_request_id, on_text=on_text)

    author = Watching(delay=0.002)
    purchase = BudgetedClient(ledger=ledger, author=author, pilot_seconds=0, at_once=4)

    async def buy(text: str) -> None:
        done = await purchase.buy(order(run, text))
        assert cut.states()[done.attempt_id] == f"settled:{done.answer.text}"

    await asyncio.gather(*(buy(str(number)) for number in range(30)))
    assert len(author.asked) == 30
