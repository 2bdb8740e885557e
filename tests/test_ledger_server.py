"""The ledger on a server: lost connections, other machines, one clock, one budget for all."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from buying import RESERVED, ScriptedAuthor, answer, begin, failed, order, recovered, reserve_unsent
from ledgers import ServerSite
from scripted_server import ScriptedServer
from workspaces import draft_of, expand, finished, small, start

from expand.budget import Limit
from expand.client.client import BudgetedClient
from expand.errors import LedgerError
from expand.ledger import InFlight, Ledger, LedgerBusyError, ModelLimits, Refused, Reservation, database, verify
from expand.ledger.postgres import PostgresDatabase, Session, _lost, definition, translated
from expand.ledger_location import Server
from expand.llm.types import Failure


@pytest.fixture
def ledger(postgres: ServerSite) -> Iterator[Ledger]:
    opened = Ledger.open(postgres.place)
    yield opened
    opened.close()
    assert verify(postgres.place).findings == ()


def sent(ledger: Ledger, text: str) -> str:
    run = ledger.begin_run(limits={})
    verdict = ledger.reserve(order(run, text))
    assert isinstance(verdict, Reservation)
    return verdict.attempt_id


def test_a_connection_lost_while_idle_is_made_anew(ledger: Ledger, postgres: ServerSite) -> None:
    run = begin(ledger)
    attempt = sent(ledger, "one")
    postgres.hang_up()
    assert ledger.balance("book").reserved_tokens == RESERVED
    postgres.hang_up()
    assert ledger.settle(attempt, answer("kept"), cost_pico_usd=None).answer.text == "kept"
    postgres.hang_up()
    assert isinstance(ledger.reserve(order(run, "two")), Reservation)
    assert recovered(ledger) == (0, 0)


def test_who_was_taken_for_dead_lives_on_and_keeps_its_answer(ledger: Ledger, postgres: ServerSite) -> None:
    run = begin(ledger)
    attempt = sent(ledger, "one")
    reserve_unsent(ledger, order(run, "two"))
    heir = Ledger.open(postgres.place)
    assert recovered(heir) == (0, 0)
    assert isinstance(ledger.database, PostgresDatabase)
    ledger.database._session.raw.close()  # the line is cut, and the process does not know
    deadline = time.monotonic() + 10
    while (found := recovered(heir)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert found == (1, 1)
    assert heir.balance("book").unknown_tokens == RESERVED
    assert ledger.settle(attempt, answer("kept"), cost_pico_usd=None).answer.text == "kept"
    assert isinstance(ledger.reserve(order(run, "two")), Reservation)
    assert recovered(heir) == (0, 0), "it is alive again"
    heir.close()
    assert ledger.balance("book").used_tokens == 45


async def test_an_answer_waits_until_the_ledger_is_back(postgres: ServerSite, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger.open(postgres.place, patience_seconds=0.1)
    run = begin(ledger)
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            monkeypatch.undo()
        await asyncio.sleep(0)

    class Author(ScriptedAuthor):
        async def complete(self, request, *, client_request_id, on_text=lambda _: None):  # type: ignore[no-untyped-def]
            found = await super().complete(request, client_request_id=client_request_id)
            postgres.hang_up()

            def away(*args: object, **options: object) -> None:
                raise psycopg.OperationalError("connection failed: Connection refused")

            monkeypatch.setattr("expand.ledger.postgres.psycopg.connect", away)
            return found

    purchase = BudgetedClient(ledger=ledger, author=Author(), sleep=nap, pilot_seconds=0)
    bought = await purchase.buy(order(run, "one"))
    assert (bought.attempts, bought.answer.text) == (1, "to one")
    assert naps == [1.0, 1.0]
    assert ledger.balance("book").used_tokens == 45
    ledger.close()
    assert verify(postgres.place).ok


def test_a_server_that_starts_again_is_waited_for(
    ledger: Ledger, postgres: ServerSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(ledger)
    attempt = sent(ledger, "one")
    connect, refused = psycopg.connect, [2]

    def starting(*args: Any, **options: Any) -> Any:
        if refused[0]:
            refused[0] -= 1
            raise psycopg.OperationalError("connection failed: Connection refused")
        return connect(*args, **options)

    postgres.hang_up()
    monkeypatch.setattr("expand.ledger.postgres.psycopg.connect", starting)
    assert ledger.settle(attempt, answer("kept"), cost_pico_usd=None).answer.text == "kept"
    assert refused == [0]


def test_a_transaction_whose_connection_breaks_is_undone(ledger: Ledger, postgres: ServerSite) -> None:
    begin(ledger)

    def broken() -> None:
        with ledger.writing() as connection:
            connection.execute("UPDATE budget SET opening_tokens = 5")
            connection.execute("SELECT 1").fetchone()
            postgres.hang_up()

    with pytest.raises(LedgerBusyError, match="the connection was lost"):
        broken()
    assert ledger.balance("book").opening_tokens == 0


def test_a_lock_that_is_held_too_long_is_named(ledger: Ledger, postgres: ServerSite) -> None:
    hasty = Ledger.open(postgres.place, patience_seconds=0.05)
    with ledger.writing() as connection:
        connection.execute("SELECT 1").fetchone()
        with pytest.raises(LedgerBusyError, match="locked by another program"):
            hasty.pause("m", 1)
    hasty.pause("m", 1)
    hasty.close()


def test_reservations_of_many_at_once_stay_within_the_limit(postgres: ServerSite) -> None:
    Ledger.open(postgres.place).close()
    places: list[str] = []

    def worker(number: int) -> None:
        mine = Ledger.open(postgres.place)
        run = mine.begin_run(limits={"book": Limit(tokens=12 * RESERVED)})
        for text in range(6):
            verdict = mine.reserve(order(run, f"{number}/{text}", chapter=f"{text}"))
            places.append("yes" if isinstance(verdict, Reservation) else "no")
            assert isinstance(verdict, Reservation | Refused)
            if isinstance(verdict, Reservation):
                mine.settle(verdict.attempt_id, answer(prompt=20, completion=80), cost_pico_usd=None)
        mine.close()

    workers = [threading.Thread(target=worker, args=(number,)) for number in range(4)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    assert (places.count("yes"), len(places)) == (12, 24)
    after = Ledger.read(postgres.place)
    assert after is not None
    assert after.balance("book").remaining_tokens == 0
    after.close()
    assert verify(postgres.place).ok


def test_the_server_keeps_the_time(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Stopped:
            return cls(1999, 1, 1, tzinfo=tz)

    now = ledger.database.now()
    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)
    monkeypatch.setattr("expand.ledger.postgres.datetime", Stopped)
    assert ledger.database.now() >= now
    with ledger.writing() as connection:
        assert connection.now() >= now


def test_what_a_purchase_writes_does_not_ask_for_the_time_apart(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    execute = Session.execute

    def spying(self: Session, statement: str, values: Sequence[Any] = (), /) -> Any:
        asked.append(statement)
        return execute(self, statement, values)

    run = begin(ledger)
    before = ledger.database.now()
    monkeypatch.setattr(Session, "execute", spying)
    monkeypatch.setattr(Session, "query", lambda *given: spying(*given).fetchall())
    bought = ledger.reserve(order(run, rates=ModelLimits(rpm=9)))
    assert isinstance(bought, Reservation)
    ledger.settle(bought.attempt_id, answer(), cost_pico_usd=None)
    assert [each for each in asked if "clock" in each] == [asked[0]] * 2
    (row,) = ledger.attempts()
    assert row.ended_at is not None
    assert before <= row.reserved_at < row.ended_at <= ledger.database.now()


def test_a_ledger_that_was_closed_says_so(postgres: ServerSite) -> None:
    closed = Ledger.open(postgres.place)
    closed.close()
    with pytest.raises(LedgerError, match="the ledger was closed"):
        closed.balance("book")


def test_a_line_that_breaks_ends_what_was_on_it(ledger: Ledger) -> None:
    database = ledger.database
    assert isinstance(database, PostgresDatabase)
    with database.snapshot() as session:
        session.raw.close()
    assert ledger.balance("book").reserved_tokens == 0, "a new session"

    def broken() -> None:
        with database.writing() as session:
            session.raw.close()

    with pytest.raises(LedgerBusyError):
        broken()
    assert ledger.balance("book").reserved_tokens == 0


def test_a_transaction_that_failed_inside_is_not_taken_for_written(ledger: Ledger) -> None:
    begin(ledger)
    database = ledger.database
    assert isinstance(database, PostgresDatabase)

    def swallowing() -> None:
        with database.writing() as session:
            session.execute("UPDATE budget SET opening_tokens = 5")
            with suppress(psycopg.Error):
                session.execute("SELECT 1 / 0").fetchone()
            assert database._pipeline is not None
            database._pipeline.sync()

    with pytest.raises(LedgerBusyError, match="the transaction was undone; run again"):
        swallowing()
    assert ledger.balance("book").opening_tokens == 0


def test_a_schema_that_is_there_already_is_used(postgres: ServerSite) -> None:
    postgres._execute(f'CREATE SCHEMA "{postgres.place.schema}"')
    Ledger.open(postgres.place).close()
    assert verify(postgres.place).ok


def test_a_server_that_cannot_be_looked_at_is_let_go(postgres: ServerSite, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[PostgresDatabase] = []

    def lost(database: PostgresDatabase) -> int:
        seen.append(database)
        raise LedgerBusyError("the connection was lost")

    monkeypatch.setattr(PostgresDatabase, "version", lost)
    with pytest.raises(LedgerBusyError, match="the connection was lost"):
        Ledger.read(postgres.place)
    assert seen[0]._session.raw.closed


@pytest.mark.parametrize(
    ("address", "said", "message"),
    [
        ("postgresql://[", "", "write it as postgresql://USER@HOST"),
        (
            "postgresql://me:secret@h/db",
            'connection failed: FATAL:  password authentication failed for user "me"',
            "which PGPASSWORD or ~/.pgpass may hold",
        ),
    ],
)
def test_what_keeps_a_session_from_beginning_is_said_without_the_password(
    monkeypatch: pytest.MonkeyPatch, address: str, said: str, message: str
) -> None:
    def refuse(*given: object, **more: object) -> None:
        raise psycopg.OperationalError(said)

    monkeypatch.setattr(psycopg, "connect", refuse)
    with pytest.raises(LedgerError, match=message) as caught:
        Ledger.open(Server(address=address, schema="book"))
    assert "secret" not in str(caught.value)


def test_a_session_that_cannot_be_looked_at_is_lost() -> None:
    def gone() -> None:
        raise psycopg.OperationalError("the server closed the connection")

    one, other = socket.socketpair()
    with one, other:
        other.send(b"x")
        wire = SimpleNamespace(socket=one.fileno(), consume_input=gone)
        assert _lost(SimpleNamespace(closed=False, pgconn=wire))  # type: ignore[arg-type]


def test_two_books_in_one_database_do_not_mix(postgres: ServerSite) -> None:
    one, two = Ledger.open(postgres.place), Ledger.open(postgres.another())
    begin(one, 1000)
    begin(two, 500)
    attempt = sent(one, "the same")
    assert not isinstance(two.reserve(order(begin(two, 500), "the same")), InFlight)
    assert one.balance("book").remaining_tokens == 900
    assert two.balance("book").remaining_tokens == 400
    one.fail(attempt, failed(Failure.RATE_LIMITED), unbilled=True)
    one.close()
    two.close()


def test_commits_are_durable_and_nothing_waits_for_ever(ledger: Ledger) -> None:
    for name, wanted in (
        ("synchronous_commit", "on"),
        ("default_transaction_isolation", "read committed"),
        ("lock_timeout", "30s"),
        ("idle_in_transaction_session_timeout", "2min"),
        ("tcp_keepalives_idle", "15"),
    ):
        assert ledger.database.query("SELECT current_setting(?)", (name,))[0][0] == wanted


def test_every_column_of_one_database_is_in_the_other(ledger: Ledger, tmp_path: Path) -> None:
    local = Ledger.open(tmp_path / "ledger.db")
    tables = local.database.query(
        'SELECT t.name AS t, c.name AS c, c."notnull" AS n FROM sqlite_master t,'
        " pragma_table_info(t.name) c WHERE t.type = 'table'"
    )
    here = {(row["t"], row["c"]) for row in tables}
    local.close()
    found = ledger.database.query(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
    )
    there = {(row["table_name"], row["column_name"]) for row in found}
    assert there - {("ledger_version", "version")} == here


def test_words_of_postgresql() -> None:
    assert translated("SELECT a FROM t NOT INDEXED WHERE b = ?") == "SELECT a FROM t WHERE b = %s"
    assert translated("SELECT 5 % ?") == "SELECT 5 %% %s"
    made = definition("CREATE TABLE t (seq INTEGER PRIMARY KEY, text TEXT, a TEXT) WITHOUT ROWID")
    assert made == (
        'CREATE TABLE t (seq BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, text BYTEA, a TEXT COLLATE "C")',
    )
    assert len([words for step in database.MIGRATIONS for words in step]) > 20


def test_two_machines_share_a_budget_and_buy_nothing_twice(tmp_path: Path, postgres: ServerSite) -> None:
    address = f"{postgres.place.address}?schema={postgres.place.schema}"
    checkouts = [small(tmp_path / name) for name in ("alpha", "beta")]
    with pytest.MonkeyPatch.context() as patch, ScriptedServer() as server:
        patch.setenv("EXPAND_LEDGER", address)
        patch.setenv("OPENAI_BASE_URL", server.base_url)
        ran = [finished(each, 60) for each in [start(place, "chapter", "07", "--json") for place in checkouts]]
        assert [one.code for one in ran] == [0, 0], [one.err for one in ran]
        asked = len(server.requests)
        assert sum(one.json["attempts"] for one in ran) == asked
        assert draft_of(checkouts[0]) == draft_of(checkouts[1])
        # Whoever wants all drafts in one place sends nothing for what another machine bought.
        rest = expand(checkouts[1], "chapter", "--all", "--json")
        assert (rest.code, rest.json["attempts"], len(server.requests)) == (0, 0, asked), rest.err
    opened = Ledger.read(postgres.place)
    assert opened is not None
    settled = [row.request_key for row in opened.attempts()]
    opened.close()
    assert len(settled) == len(set(settled)) == asked
