"""Answers that the ledger cannot take: kept elsewhere, taken in later; and ledgers that go away under a run."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from buying import Clock, ScriptedAuthor, answer, begin, order, place, recovered
from ledgers import Site
from workspaces import expand, rows, small

from expand.client.client import SETTLE_TRIES, BudgetedClient
from expand.client.retry_policy import RetryPolicy
from expand.drafting.run import Run
from expand.drafting.run_options import RunOptions
from expand.errors import LedgerError
from expand.ledger import AttemptEvent, Ledger, LedgerBusyError, Reservation, spill, verify
from expand.ledger.database import SqliteDatabase
from expand.testing import ScriptedAuthor as WorkspaceAuthor
from expand.workspace import Workspace


def file_of(ledger: Ledger) -> SqliteDatabase:
    """The database of a ledger in a file."""
    assert isinstance(ledger.database, SqliteDatabase)
    return ledger.database


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for answers that are kept elsewhere."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "expand" / "answers"


def client_of(
    ledger: Ledger, clock: Clock, author: Any = None, events: list[AttemptEvent] | None = None
) -> BudgetedClient:
    return BudgetedClient(
        ledger=ledger,
        author=author or ScriptedAuthor(),
        retry=RetryPolicy(jitter=lambda: 0.0),
        on_event=(events if events is not None else []).append,
        sleep=clock.sleep,
    )


def full(*_: object, **__: object) -> None:
    raise LedgerBusyError("the disk is full; free some space and run again")


async def spilled(ledger: Ledger, run: Any, text: str = "1") -> str:
    """Buy an answer that the ledger does not take; the message of its end."""
    clock = Clock()
    client = client_of(ledger, clock)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "settle", full)
        with pytest.raises(LedgerError):
            await client.buy(order(run, text))
        with pytest.raises(LedgerError) as raised:
            await client.drain()
    assert clock.slept.count(1.0) == SETTLE_TRIES - 1
    return str(raised.value)


async def test_an_answer_that_cannot_be_stored_is_taken_in_at_the_next_start(site: Site, state: Path) -> None:
    ledger = Ledger.open(site.place)
    run = begin(ledger)
    message = await spilled(ledger, run)
    assert f"answers that are paid for and kept in {state}: 1; the next run takes them in" in message
    assert message.startswith("the disk is full; free some space and run again")
    (kept,) = state.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert state.stat().st_mode & 0o777 == 0o700
    site.die(ledger)
    with closing(Ledger.open(site.place)) as again:
        begun = begin(again)
        assert (again.taken_in, [row.state for row in again.attempts()]) == (1, ["settled"])
        stored = again.known(order(run, "1"))
        assert stored is not None
        assert stored.answer.text == "to 1"
        author = ScriptedAuthor()
        assert (await client_of(again, Clock(), author).buy(order(begun, "1"))).reused
        assert author.asked == []
    assert not list(state.iterdir())
    assert verify(site.place).ok


async def test_it_is_kept_from_the_first_try_on_and_let_go_of_once_it_is_stored(tmp_path: Path, state: Path) -> None:
    with closing(Ledger.open(place(tmp_path))) as ledger:
        run, clock, events = begin(ledger), Clock(), list[AttemptEvent]()
        settle, kept = ledger.settle, list[int]()

        def twice_full(*values: Any, **named: Any) -> Any:
            kept.append(len(list(state.glob("*"))))
            return settle(*values, **named) if len(kept) == 3 else full()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ledger, "settle", twice_full)
            client = client_of(ledger, clock, events=events)
            await client.buy(order(run))
            await client.drain()
        assert kept == [0, 1, 1]
        assert list(state.iterdir()) == []
        told = [event.message for event in events if event.kind == "waiting"]
        assert len(told) == 1, "said once, not with every try"
        assert str(state) in told[0]


@pytest.mark.parametrize("at", ["settle", "unlink"])
async def test_a_kill_while_answers_are_taken_in_does_no_harm(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """Whether it comes before the commit or between the commit and the removal of the file."""
    ledger = Ledger.open(place(tmp_path))
    run = begin(ledger)
    await spilled(ledger, run)
    ledger.close()

    class KilledError(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    heir = Ledger.open(place(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(spill, "_settle", killed) if at == "settle" else patch.setattr(Path, "unlink", killed)
        with pytest.raises(KilledError):
            heir.recover()
    heir.database.close()
    assert len(list(state.iterdir())) == 1
    for _ in range(2):
        with closing(Ledger.open(place(tmp_path))) as again:
            begin(again)
            assert again.balance("book").used_tokens == 45
    assert not list(state.iterdir())
    assert verify(place(tmp_path)).ok


async def test_what_can_be_kept_nowhere_is_called_lost(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Ledger.open(place(tmp_path))) as ledger:
        run = begin(ledger)

        def no_space(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", no_space)
        message = await spilled(ledger, run)
        (row,) = ledger.attempts()
        assert "answers that are LOST" in message
        assert f": 1; they stay charged: attempt {row.id} (4 characters)" in message
        assert "kept in" not in message


async def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    with closing(Ledger.open(place(tmp_path))) as ledger:
        run = begin(ledger)
        reserved = ledger.reserve(order(run))
        assert isinstance(reserved, Reservation)
        monkeypatch.setattr(os, "fsync", no_space)
        with pytest.raises(LedgerError, match=r"cannot be kept elsewhere: .*No space left on device"):
            ledger.keep_elsewhere(order(run), reserved.attempt_id, answer("Two\n"), cost_pico_usd=None)
        assert list(state.iterdir()) == []


def test_a_file_that_another_process_has_just_taken_in_is_passed_over(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: Path) -> bytes:
        raise FileNotFoundError

    state.mkdir(parents=True)
    (state / "gone.json").write_text("")
    monkeypatch.setattr(Path, "read_bytes", gone)
    with closing(Ledger.open(place(tmp_path))) as ledger:
        assert recovered(ledger) == (0, 0)
        assert ledger.taken_in == 0


async def test_a_ledger_that_never_heard_of_the_attempt_gets_both(tmp_path: Path, state: Path) -> None:
    """A backup, or a new ledger where the old one was deleted: what was sent is billed all the same."""
    path = place(tmp_path)
    ledger = Ledger.open(path)
    run = begin(ledger)
    await spilled(ledger, run)
    ledger.close()
    shutil.rmtree(path.parent)
    with closing(Ledger.open(path)) as made:
        begin(made)
        assert made.taken_in == 1
        assert made.known(order(run, "1")) is not None
        assert (made.balance("book").used_tokens, made.balance(f"run:{run.id}").used_tokens) == (45, 45)
    assert verify(path).ok


async def test_an_answer_is_for_its_own_ledger(tmp_path: Path, state: Path) -> None:
    path, other, moved = place(tmp_path), tmp_path / "copy" / "ledger.db", tmp_path / "moved" / "ledger.db"
    ledger = Ledger.open(path)
    run = begin(ledger)
    await spilled(ledger, run)
    ledger.close()
    shutil.copytree(path.parent, other.parent)
    for stranger in (other, tmp_path / "stranger" / "ledger.db"):
        with closing(Ledger.open(stranger)) as opened:
            opened.recover()
            assert opened.taken_in == 0, stranger
    path.parent.rename(moved.parent)
    with closing(Ledger.open(moved)) as opened:
        opened.recover()
        assert opened.taken_in == 1


@pytest.mark.parametrize(
    "text", ["", "{", '{"format": 2}', '{"format": 1}', "[" * 100_000, '{"format": 1, "ledger": 5}']
)
async def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, state: Path, text: str) -> None:
    state.mkdir(parents=True, mode=0o700)
    (state / "0123.json").write_text(text)
    with (
        closing(Ledger.open(place(tmp_path))) as ledger,
        pytest.raises(LedgerError, match=r"0123.json: .*move it away"),
    ):
        ledger.recover()


async def test_a_request_that_is_being_bought_again_keeps_its_file(tmp_path: Path, state: Path) -> None:
    path = place(tmp_path)
    ledger = Ledger.open(path)
    run = begin(ledger)
    await spilled(ledger, run)
    ledger.close()
    shutil.rmtree(path.parent)
    with closing(Ledger.open(path)) as made:
        record = json.loads(next(state.iterdir()).read_text())
        state.rename(tmp_path / "aside")
        begun = begin(made)
        made.reserve(order(begun, "1"))
        (tmp_path / "aside").rename(state)
        made.recover()
        assert (made.taken_in, len(list(state.iterdir()))) == (0, 1)
        assert record["request"]


async def test_lone_surrogates_are_kept(tmp_path: Path, state: Path) -> None:
    class Surrogates(ScriptedAuthor):
        async def complete(self, *values: Any, **named: Any) -> Any:
            answer = await super().complete(*values, **named)
            return type(answer)(text="a\ud800b", finish=answer.finish, usage=answer.usage)

    ledger = Ledger.open(place(tmp_path))
    run = begin(ledger)
    client = client_of(ledger, Clock(), Surrogates())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "settle", full)
        with pytest.raises(LedgerError):
            await client.buy(order(run))
    ledger.recover()
    await client.drain()  # it is in the ledger, so nothing is missing any more
    stored = ledger.known(order(run))
    assert stored is not None
    assert stored.answer.text == "a\ufffdb"
    ledger.close()


async def test_a_client_whose_ledger_does_not_take_an_answer_buys_nothing_more(tmp_path: Path, state: Path) -> None:
    with closing(Ledger.open(place(tmp_path))) as ledger:
        run = begin(ledger)
        client = client_of(ledger, Clock())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ledger, "settle", full)
            for text in ("1", "2"):
                with pytest.raises(LedgerError, match="kept in"):
                    await client.buy(order(run, text))
        assert len(list(ledger.attempts())) == 1, "the second is not sent while the first waits"


async def test_a_cancelled_wait_keeps_the_answer(tmp_path: Path, state: Path) -> None:
    async def forever(_: float) -> None:
        await asyncio.Event().wait()

    ledger = Ledger.open(place(tmp_path))
    run = begin(ledger)
    client = BudgetedClient(ledger=ledger, author=ScriptedAuthor(), sleep=forever)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "settle", full)
        buying = asyncio.create_task(client.buy(order(run)))
        while not list(state.glob("*.json")):
            await asyncio.sleep(0.01)
        for task in list(client._in_flight):
            task.cancel()
        with pytest.raises(LedgerError, match="kept in"):
            await buying
    ledger.close()


# --- ledgers that go away --------------------------------------------------------------------------


def delete(path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink()


def replace(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


def delete_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


def cut_off(path: Path) -> None:
    os.truncate(path, 0)


def new_one(path: Path) -> None:
    delete(path)
    Ledger.open(path).close()


GONE = (delete, replace, delete_log, cut_off, new_one)
MESSAGE = "it or its log was deleted, replaced or cut off while this process used it; .*run again"


@pytest.mark.parametrize("change", GONE)
def test_a_ledger_that_goes_away_is_noticed_at_the_next_transaction(tmp_path: Path, change: Any) -> None:
    ledger = Ledger.open(place(tmp_path))
    run = begin(ledger)
    ledger.reserve(order(run, "1"))
    change(file_of(ledger).path)
    with pytest.raises(LedgerError, match=MESSAGE):
        ledger.reserve(order(run, "2"))
    with pytest.raises(LedgerError):
        ledger.close()


def test_a_ledger_that_goes_away_within_a_transaction_is_noticed(tmp_path: Path) -> None:
    ledger = Ledger.open(place(tmp_path))
    run = begin(ledger)
    with pytest.raises(LedgerError, match=MESSAGE), ledger.writing():
        delete(place(tmp_path))
    with pytest.raises(LedgerError):
        ledger.reserve(order(run, "1"))
    ledger.database.close()


def test_closing_leaves_the_log_of_a_new_ledger_alone(tmp_path: Path) -> None:
    path = place(tmp_path)
    old = Ledger.open(path)
    begin(old)
    delete(path)
    new = Ledger.open(path)
    run = begin(new)
    with pytest.raises(LedgerError):
        old.close()
    new.reserve(order(run, "1"))
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM attempt").fetchone() == (1,)
    new.close()
    assert verify(path).ok


@pytest.fixture
def at(tmp_path: Path) -> Path:
    """A small workspace."""
    return small(tmp_path / "book")


@pytest.mark.parametrize("change", GONE)
async def test_a_run_whose_ledger_goes_away_stops_and_buys_nothing_again(at: Path, state: Path, change: Any) -> None:
    class Changing(WorkspaceAuthor):
        async def complete(self, *values: Any, **named: Any) -> Any:
            answer = await super().complete(*values, **named)
            if len(self.requests) == 3 and not state.exists():
                change(at / ".expand" / "ledger.db")
                state.mkdir(parents=True, mode=0o700)  # only once
            return answer

    author = Changing()
    run = Run(Workspace.open(at), RunOptions(chapters=("07",), concurrency=3), author=author)
    with pytest.raises(LedgerError, match=MESSAGE) as raised:
        await run.complete()
    kept = len(list(state.glob("*.json")))
    assert kept >= 1
    assert f"kept in {state}: {kept}" in str(raised.value)
    if change is cut_off:  # as its owner does who has read the message
        delete(at / ".expand" / "ledger.db") if (at / ".expand" / "ledger.db-wal").exists() else (
            at / ".expand" / "ledger.db"
        ).unlink()
    asked = [sent.last_user_message for sent in author.requests]
    later = WorkspaceAuthor()
    notices: list[str] = []
    run = Run(
        Workspace.open(at), RunOptions(chapters=("07",)), author=later,
        on_event=lambda event: notices.append(getattr(event, "message", "")),
    )  # fmt: skip
    result = await run.complete()
    assert all(section.status in ("drafted", "reused") for section in result.chapters[0].sections)
    assert not list(state.glob("*.json"))
    assert f"answers that an earlier run had to keep elsewhere, now taken in: {kept}" in notices
    if change is not cut_off and change is not delete and change is not new_one:
        assert not {sent.last_user_message for sent in later.requests} & set(asked)
    assert expand(at, "ledger", "verify").code == 0


def test_a_ledger_on_a_disk_that_turned_read_only_keeps_the_answer(at: Path, state: Path) -> None:
    ledger = Ledger.open(at / ".expand" / "ledger.db")
    run = begin(ledger)
    file_of(ledger).connection.execute("PRAGMA query_only = ON")

    async def buy() -> None:
        client = client_of(ledger, Clock())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ledger, "reserve", reserve)
            with pytest.raises(LedgerError, match="cannot be written"):
                await client.buy(order(run))

    plain = ledger.reserve

    def reserve(*values: Any, **named: Any) -> Any:
        file_of(ledger).connection.execute("PRAGMA query_only = OFF")
        try:
            return plain(*values, **named)
        finally:
            file_of(ledger).connection.execute("PRAGMA query_only = ON")

    asyncio.run(buy())
    assert len(list(state.glob("*.json"))) == 1
    ledger.database.close()
    assert rows(at, "SELECT count(*) FROM answer") == [(0,)]


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """SQLite says so itself, by its own limit on a file's pages: the answer does not fit, and is kept."""
    path = place(tmp_path)
    ledger = Ledger.open(path)
    run = begin(ledger)
    connection = file_of(ledger).connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()

    class Long(ScriptedAuthor):
        async def complete(self, *values: Any, **named: Any) -> Any:
            answer = await super().complete(*values, **named)
            connection.execute(f"PRAGMA max_page_count = {pages + 2}")
            return type(answer)(text="word " * 100_000, finish=answer.finish, usage=answer.usage)

    with pytest.raises(LedgerError, match="the disk is full; free some space and run again"):
        asyncio.run(client_of(ledger, Clock(), Long()).buy(order(run)))
    connection.execute("PRAGMA max_page_count = 1000000")
    ledger.recover()
    stored = ledger.known(order(run))
    assert stored is not None
    assert stored.answer.text == "word " * 100_000
    ledger.close()
    assert verify(path).ok
