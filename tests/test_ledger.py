"""The ledger: reservations, states, balances, owners, and what it says when it cannot be used."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from buying import CAP, PROMPT, RESERVED, Clock, answer, begin, failed, order, place, recovered, reserve_unsent
from ledgers import Site

from expand.budget import Amount, Limit
from expand.errors import LedgerError
from expand.ledger import (
    InFlight,
    Ledger,
    ModelLimits,
    Order,
    OutputHistory,
    Pause,
    Paused,
    Refused,
    Reservation,
    Run,
    State,
    StoredAnswer,
    attempts,
    verify,
)
from expand.ledger.database import ConstraintError, SqliteConnection, SqliteDatabase
from expand.ledger.store import SEVERAL_LINES
from expand.llm.types import Failure, Finish, Usage


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(site: Site, clock: Clock) -> Iterator[Ledger]:
    opened = Ledger.open(site.place, clock=clock)
    yield opened
    opened.close()
    assert verify(site.place).findings == ()


def sent(ledger: Ledger, wanted: Order) -> str:
    verdict = ledger.reserve(wanted)
    assert isinstance(verdict, Reservation)
    return verdict.attempt_id


def states(site: Site, attempt_id: str) -> list[str]:
    rows = site.query(f"SELECT state FROM event WHERE attempt = '{attempt_id}' ORDER BY seq")
    return [row[0] for row in rows]


def test_a_reservation_is_taken_from_book_chapter_and_run(ledger: Ledger) -> None:
    run = begin(ledger, opening=100, run_limit=500)
    sent(ledger, order(run))
    for scope in ("book", "chapter:03", f"run:{run.id}"):
        assert ledger.balance(scope).reserved_tokens == RESERVED
    book = ledger.balance("book")
    assert (book.used_tokens, book.opening_tokens, book.remaining_tokens) == (100, 100, 800)
    assert ledger.balance("chapter:03").remaining_tokens is None
    assert ledger.balance(f"run:{run.id}").remaining_tokens == 400


def test_settling_stores_the_answer_and_charges_what_was_reported(site: Site, ledger: Ledger) -> None:
    run = begin(ledger)
    attempt = sent(ledger, order(run, pico=10_000_000))
    ledger.settle(attempt, answer("Text\x00 with a NUL\n"), cost_pico_usd=45_000)
    balance = ledger.balance("book")
    assert (balance.used_tokens, balance.reserved_tokens) == (45, 0)
    assert (balance.used_pico_usd, balance.reserved_pico_usd) == (45_000, 0)
    stored = ledger.known(order(run))
    assert stored is not None
    assert stored.answer.text == "Text\x00 with a NUL\n"
    assert stored.answer.usage == Usage(prompt=15, completion=30)
    assert (stored.answer.model, stored.answer.provider_request_id) == ("m-2026", "req_1")
    assert states(site, attempt) == ["reserved", "sent", "settled"]
    (row,) = ledger.attempts(State.SETTLED)
    assert (row.chapter, row.section, row.run, row.model) == ("03", 1, run.id, "m")
    assert (row.usage.total, row.cost_pico_usd, row.usage_source) == (45, 45_000, "provider")
    assert row.finish is Finish.STOP
    assert row.ended_at is not None


def test_what_is_reserved_is_marked_as_sent_at_once(site: Site, ledger: Ledger, clock: Clock) -> None:
    run = begin(ledger)
    attempt = sent(ledger, order(run))
    assert states(site, attempt) == ["reserved", "sent"]
    (row,) = ledger.attempts()
    assert (row.state, row.reserved_at, row.sent_at) == (State.SENT, clock.now, clock.now)
    ledger.pause("m", 5)
    assert isinstance(ledger.reserve(order(run, "held back")), Paused)
    assert len(list(ledger.attempts())) == 1


def test_nothing_is_bought_where_an_answer_has_lost_its_attempt(site: Site) -> None:
    ledger = Ledger.open(site.place)
    run = begin(ledger)
    ledger.settle(sent(ledger, order(run)), answer(), cost_pico_usd=None)
    site.alter("DELETE FROM attempt")
    with pytest.raises(LedgerError, match="says how far it is damaged"):
        ledger.reserve(order(run, question="q"))
    assert site.query("SELECT count(*) FROM attempt")[0][0] == 0
    ledger.close()


def test_an_answer_without_a_price_is_charged_at_the_price_reserved(ledger: Ledger) -> None:
    run = begin(ledger)
    ledger.settle(sent(ledger, order(run, pico=7)), answer(), cost_pico_usd=None)
    balance = ledger.balance("book")
    assert (balance.used_tokens, balance.used_pico_usd, balance.reserved_pico_usd) == (45, 7, 0)


def test_what_breaks_a_constraint_is_undone_whole(ledger: Ledger) -> None:
    begin(ledger)

    def write() -> None:
        with ledger.writing() as connection:
            connection.execute("UPDATE budget SET reserved_tokens = reserved_tokens + 5")
            connection.execute("UPDATE budget SET reserved_tokens = -1")

    with pytest.raises(ConstraintError):
        write()
    assert ledger.balance("book").reserved_tokens == 0


def test_an_answer_is_never_reserved_again(ledger: Ledger) -> None:
    run = begin(ledger)
    ledger.settle(sent(ledger, order(run)), answer(), cost_pico_usd=None)
    found = ledger.reserve(order(run))
    assert isinstance(found, StoredAnswer)
    assert found.answer.text == "A line.\n"
    assert len(list(ledger.attempts())) == 1


def test_a_usage_that_no_row_could_hold_the_price_of_is_charged_at_the_reservation(
    ledger: Ledger,
) -> None:
    """The answer was paid for, so it is stored whatever its provider makes of the bill."""
    run = begin(ledger)
    attempt = sent(ledger, order(run, pico=1000))
    stored = ledger.settle(attempt, answer(completion=10**12), cost_pico_usd=10**19)
    assert (stored.usage.total, stored.answer.usage) == (RESERVED, None)
    balance = ledger.balance("book")
    assert (balance.used_tokens, balance.used_pico_usd) == (RESERVED, 1000)
    assert ledger.known(order(run)) == stored


@pytest.mark.parametrize(("prompt", "completion"), [(-1, 5), (0, 0), (10**13, 1), (5, 10**30)], ids=str)
def test_an_incredible_usage_is_charged_at_the_reservation(ledger: Ledger, prompt: int, completion: int) -> None:
    run = begin(ledger)
    attempt = sent(ledger, order(run, pico=7))
    ledger.settle(attempt, answer(prompt=prompt, completion=completion), cost_pico_usd=3)
    assert ledger.balance("book").used_tokens == RESERVED
    assert ledger.balance("book").used_pico_usd == 7


def test_a_missing_usage_is_charged_at_the_reservation(ledger: Ledger) -> None:
    run = begin(ledger)
    attempt = sent(ledger, order(run))
    ledger.settle(attempt, answer(usage=False), cost_pico_usd=None)
    (row,) = ledger.attempts()
    assert row.usage == Usage(prompt=PROMPT, completion=CAP)
    assert row.usage_source == "reservation"
    stored = ledger.known(order(run))
    assert stored is not None
    assert stored.answer.usage is None


def test_a_reported_usage_without_a_price_keeps_the_money_of_its_reservation(
    ledger: Ledger,
) -> None:
    run = begin(ledger)
    ledger.settle(sent(ledger, order(run, pico=900)), answer(), cost_pico_usd=None)
    assert ledger.balance("book").used_pico_usd == 900


def test_lone_surrogates_of_a_provider_do_not_lose_the_answer(ledger: Ledger) -> None:
    run = begin(ledger)
    ledger.settle(sent(ledger, order(run)), answer("a\ud800b"), cost_pico_usd=None)
    stored = ledger.known(order(run))
    assert stored is not None
    assert stored.answer.text == "a\ufffdb"


def test_a_bill_above_the_reservation_shows_as_negative_and_stops_the_rest(
    ledger: Ledger,
) -> None:
    run = begin(ledger, 150)
    ledger.settle(sent(ledger, order(run)), answer(completion=200), cost_pico_usd=None)
    assert ledger.balance("book").remaining_tokens == -65
    verdict = ledger.reserve(order(run, "more"))
    assert isinstance(verdict, Refused)
    assert not verdict.waitable
    assert verdict.message == "the book: 100 tokens needed, -65 of 150 remain"


def test_a_release_gives_everything_back(ledger: Ledger) -> None:
    run = begin(ledger)
    attempt = sent(ledger, order(run, pico=50))
    ledger.fail(attempt, failed(Failure.RATE_LIMITED), unbilled=True)
    balance = ledger.balance("book")
    assert (balance.used_tokens, balance.reserved_tokens) == (0, 0)
    assert (balance.used_pico_usd, balance.reserved_pico_usd) == (0, 0)
    (row,) = ledger.attempts(state=State.RELEASED)
    assert (row.failure, row.status) == (Failure.RATE_LIMITED, 500)
    assert row.message == "it was rate_limited"
    assert isinstance(ledger.reserve(order(run)), Reservation)


def test_an_unknown_outcome_stays_charged_at_its_reservation(ledger: Ledger) -> None:
    run = begin(ledger)
    attempt = sent(ledger, order(run, pico=50))
    ledger.fail(attempt, failed(Failure.TIMEOUT), unbilled=False)
    balance = ledger.balance("book")
    assert (balance.used_tokens, balance.unknown_tokens, balance.reserved_tokens) == (100, 100, 0)
    assert balance.used_pico_usd == 50
    assert isinstance(ledger.reserve(order(run)), Reservation)


def test_what_calls_in_flight_hold_is_waitable_and_what_was_spent_is_not(ledger: Ledger) -> None:
    run = begin(ledger, 150)
    attempt = sent(ledger, order(run))
    first = ledger.reserve(order(run, "more"))
    assert isinstance(first, Refused)
    assert first.waitable
    ledger.fail(attempt, failed(Failure.TIMEOUT), unbilled=False)
    second = ledger.reserve(order(run, "more"))
    assert isinstance(second, Refused)
    assert not second.waitable


def test_the_same_request_is_in_flight_only_once(ledger: Ledger, site: Site) -> None:
    run = begin(ledger)
    attempt = sent(ledger, order(run))
    other = Ledger.open(site.place)
    found_verdict = other.reserve(order(other.begin_run(limits={})))
    assert isinstance(found_verdict, InFlight)
    assert (found_verdict.attempt_id, found_verdict.owner) == (attempt, run.owner)
    other.close()


def test_a_limit_in_money_refuses_and_wants_a_price(ledger: Ledger) -> None:
    run = ledger.begin_run(
        limits={"book": Limit(pico_usd=1000)},
        opening=Amount(0, 100),
    )
    assert ledger.balance("book").remaining_pico_usd == 900
    dear = ledger.reserve(order(run, pico=901))
    assert isinstance(dear, Refused)
    assert dear.message == ("the book: 0.000000000901 USD needed, 0.0000000009 of 0.000000001 remain")
    unpriced = ledger.reserve(order(run))
    assert isinstance(unpriced, Refused)
    assert "m has no known price" in unpriced.message
    assert not unpriced.waitable
    assert isinstance(ledger.reserve(order(run, unpriced=True)), Reservation)


def test_limits_change_between_runs_and_others_stay(ledger: Ledger) -> None:
    begin(ledger, 1000, opening=10)
    ledger.begin_run(limits={"chapter:04": Limit(tokens=5)})
    assert ledger.balance("book").limit == Limit(tokens=1000)
    assert ledger.balance("book").opening_tokens == 10
    assert ledger.balance("chapter:04").limit == Limit(tokens=5)
    begin(ledger, 50)
    assert ledger.balance("book").remaining_tokens == 50
    assert [row[0] for row in ledger.database.query("SELECT scope FROM budget ORDER BY scope")][:2] == [
        "book",
        "chapter:04",
    ]


@pytest.mark.parametrize("huge", [2**62 + 1, -(2**62) - 1])
def test_a_limit_that_no_row_can_hold_is_refused(ledger: Ledger, huge: int) -> None:
    with pytest.raises(LedgerError, match="more than a ledger can hold"):
        ledger.begin_run(limits={"book": Limit(pico_usd=huge)})


def test_a_pause_holds_in_every_process_and_only_grows(ledger: Ledger, site: Site, clock: Clock) -> None:
    ledger.pause("m", 7)
    ledger.pause("m", 3)
    other = Ledger.open(site.place, clock=clock)
    run = begin(other)
    paused = other.reserve(order(run))
    assert paused == Paused(seconds=7.0, reason="m: the provider asked for a pause", by_provider=True)
    assert isinstance(other.reserve(order(run, model="another")), Reservation)
    clock.forward(7)
    assert isinstance(other.reserve(order(run)), Reservation)
    other.close()


def test_calls_per_minute(ledger: Ledger, clock: Clock) -> None:
    run = begin(ledger)
    rates = ModelLimits(rpm=2)
    unsent = reserve_unsent(ledger, order(run, "0", rates=rates))
    with ledger.writing() as connection:
        attempts.fail(connection, attempts.fetch(connection, unsent, (State.RESERVED,)), failed(Failure.CANCELLED))
    ledger.fail(sent(ledger, order(run, "1", rates=rates)), failed(Failure.RATE_LIMITED), unbilled=True)
    clock.forward(10)
    sent(ledger, order(run, "2", rates=rates))
    paused = ledger.reserve(order(run, "3", rates=rates))
    assert paused == Paused(seconds=50.0, reason="m: 2 calls in the last minute")
    clock.forward(50)
    assert isinstance(ledger.reserve(order(run, "3", rates=rates)), Reservation)


def test_tokens_per_minute_count_reservations_until_they_settle(ledger: Ledger, clock: Clock) -> None:
    run = begin(ledger)
    rates = ModelLimits(tpm=150)
    attempt = sent(ledger, order(run, "1", rates=rates))
    assert isinstance(ledger.reserve(order(run, "2", rates=rates)), Paused)
    ledger.settle(attempt, answer(), cost_pico_usd=None)
    assert isinstance(ledger.reserve(order(run, "2", rates=rates)), Reservation)
    clock.forward(61)
    alone = order(run, "3", rates=ModelLimits(tpm=50))
    assert isinstance(ledger.reserve(alone), Reservation)


@pytest.mark.parametrize(("spare", "goes"), [(0, True), (-1, False)])
def test_an_order_that_just_fits_the_tokens_of_a_minute_goes(ledger: Ledger, spare: int, goes: bool) -> None:
    run = begin(ledger)
    tokens = order(run, "1").amount.tokens
    rates = ModelLimits(tpm=2 * tokens + spare)
    sent(ledger, order(run, "1", rates=rates))
    assert isinstance(ledger.reserve(order(run, "2", rates=rates)), Reservation if goes else Paused)


def test_calls_at_a_time(ledger: Ledger) -> None:
    run = begin(ledger)
    rates = ModelLimits(concurrency=1)
    attempt = sent(ledger, order(run, "1", rates=rates))
    paused = ledger.reserve(order(run, "2", rates=rates))
    assert isinstance(paused, Paused)
    assert paused.seconds < 1
    ledger.settle(attempt, answer(), cost_pico_usd=None)
    assert isinstance(ledger.reserve(order(run, "2", rates=rates)), Reservation)


def test_an_answer_to_the_same_question_serves_whatever_the_words(ledger: Ledger) -> None:
    run = begin(ledger)
    first = order(run, "as it was", question="q")
    ledger.settle(sent(ledger, first), answer("bought"), cost_pico_usd=None)
    later = order(run, "as it is now", question="q")
    found = ledger.reserve(later)
    assert isinstance(found, StoredAnswer)
    assert found.answer.text == "bought"
    assert ledger.known(later) == found
    assert ledger.known(order(run, "as it is now")) is None
    assert ledger.known(order(run, "as it was")) == found


def test_a_state_cannot_be_skipped_or_left_twice(ledger: Ledger) -> None:
    run = begin(ledger)
    unsent = reserve_unsent(ledger, order(run, "unsent"))
    for change in (
        lambda: ledger.settle(unsent, answer(), cost_pico_usd=None),
        lambda: ledger.fail(unsent, failed(Failure.TIMEOUT), unbilled=False),
    ):
        with pytest.raises(LedgerError, match=f"attempt {unsent}: is reserved, not sent"):
            change()
    attempt = sent(ledger, order(run))
    ledger.settle(attempt, answer(), cost_pico_usd=None)
    with pytest.raises(LedgerError, match="is settled, not sent or unknown"):
        ledger.fail(attempt, failed(Failure.RATE_LIMITED), unbilled=True)
    with pytest.raises(LedgerError, match="attempt nobody: not in this ledger"):
        ledger.fail("nobody", failed(Failure.RATE_LIMITED), unbilled=True)


def test_history_cannot_be_changed(ledger: Ledger) -> None:
    run = begin(ledger)
    sent(ledger, order(run))
    for statement in ("UPDATE event SET state = 'settled'", "DELETE FROM event"):
        with (
            pytest.raises(ConstraintError, match="history of an attempt is never"),
            ledger.writing() as connection,
        ):
            connection.execute(statement)
    assert [row.state for row in ledger.attempts()] == [State.SENT]


def test_sums_add_up_and_what_has_no_price_is_counted_apart(ledger: Ledger) -> None:
    run = begin(ledger)
    ledger.settle(sent(ledger, order(run, "1", pico=500)), answer(), cost_pico_usd=45)
    ledger.fail(sent(ledger, order(run, "2", chapter="04")), failed(Failure.TIMEOUT), unbilled=False)
    sent(ledger, order(run, "3", chapter="04"))
    overview = ledger.overview()
    three, four = overview.slices
    assert (three.chapter, three.attempts, three.tokens) == ("03", 1, 45)
    assert (three.cost_pico_usd, three.unpriced) == (45, 0)
    assert (four.chapter, four.attempts, four.tokens) == ("04", 2, RESERVED)
    assert (four.cost_pico_usd, four.unpriced) == (0, 1)
    assert [(each.state, each.tokens) for each in overview.open] == [
        (State.SENT, RESERVED),
        (State.UNKNOWN, RESERVED),
    ]
    (day,) = overview.days
    assert (day.attempts, day.tokens, day.unpriced) == (3, 145, 1)


def test_prompt_history_is_the_worst_of_what_was_reported_lately(ledger: Ledger, clock: Clock) -> None:
    run = begin(ledger)
    assert ledger.prompt_history("m") == 0.0
    for text, prompt in (("1", 19), ("2", 12), ("3", 15)):
        done = answer(prompt=prompt)
        ledger.settle(sent(ledger, order(run, text)), done, cost_pico_usd=None)
        clock.forward(1)
    assert ledger.prompt_history("m") == 1.9
    assert ledger.prompt_history("m", latest=1) == 1.5
    assert ledger.prompt_history("m", latest=2) == 1.5


def test_output_history_is_of_texts_of_several_lines(ledger: Ledger, clock: Clock) -> None:
    run = begin(ledger, limit=None)
    assert ledger.output_history("m") == OutputHistory(answers=0, cut=0, tokens_a_line=0.0, reasoning=0)
    for text, tokens, thought, breaks in (("a", 900, 0, SEVERAL_LINES - 2), ("b", 180, 0, 7), ("c", 290, 20, 8)):
        done = answer("\n".join([text] * (breaks + 1)), completion=tokens)
        assert done.usage is not None
        done = replace(done, usage=replace(done.usage, reasoning=thought))
        ledger.settle(sent(ledger, order(run, text, prompt=2000)), done, cost_pico_usd=None)
        clock.forward(1)
    assert ledger.output_history("m") == OutputHistory(answers=2, cut=0, tokens_a_line=30.0, reasoning=20)
    assert ledger.output_history("m", latest=1).answers == 1
    cut = replace(answer("d\n" * 9, completion=50), finish=Finish.LENGTH)
    ledger.settle(sent(ledger, order(run, "d", prompt=2000)), cut, cost_pico_usd=None)
    assert ledger.output_history("m").cut == 1
    assert ledger.output_history("other").answers == 0


def test_editions(ledger: Ledger) -> None:
    assert ledger.edition("03", 1) == 0
    assert ledger.raise_edition("03", 1) == 1
    assert ledger.raise_edition("03", 1) == 2
    ledger.raise_edition("04", 1, instruction="caf\udce9\0")
    assert ledger.editions()["04", 1] == (1, "caf\ufffd\ufffd")
    assert ledger.edition("03", 2) == 0


def test_attempts_are_listed_in_the_order_in_which_they_were_reserved(ledger: Ledger) -> None:
    run = begin(ledger, None)
    orders = [order(run, str(number)) for number in range(5)]
    for each in orders:
        sent(ledger, each)
    assert [row.request_key for row in ledger.attempts()] == [each.request.key for each in orders]
    assert [row.reserved for row in ledger.attempts()] == [Amount(tokens=RESERVED)] * 5
    assert ledger.attempts(State.SETTLED) == []


def test_no_reservation_without_a_run(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="no run was begun"):
        ledger.reserve(order(Run(id="r", owner="o")))


def test_too_small_a_reservation_is_a_defect(ledger: Ledger) -> None:
    run = begin(ledger)
    good = order(run)
    with pytest.raises(ValueError, match="99 tokens reserved for 20 of prompt and 80 of output"):
        Order(
            request=good.request,
            address=good.address,
            run_id=run.id,
            language="en",
            plan="full",
            prompt_tokens=PROMPT,
            amount=Amount(tokens=99),
        )


def test_an_answer_that_comes_late_is_kept_and_charged(ledger: Ledger, site: Site) -> None:
    run = begin(ledger)
    attempt = sent(ledger, order(run, pico=900))
    ledger.fail(attempt, failed(Failure.CRASHED), unbilled=False)
    ledger.fail(attempt, failed(Failure.TIMEOUT), unbilled=False)
    assert [row.failure for row in ledger.attempts()] == [Failure.CRASHED]
    stored = ledger.settle(attempt, answer("late"), cost_pico_usd=45)
    assert stored == ledger.known(order(run))
    balance = ledger.balance("book")
    assert (balance.used_tokens, balance.unknown_tokens, balance.reserved_tokens) == (45, 0, 0)
    assert balance.used_pico_usd == 45
    assert states(site, attempt) == ["reserved", "sent", "unknown", "settled"]


def test_settling_again_what_was_settled_changes_nothing(ledger: Ledger, site: Site) -> None:
    run = begin(ledger)
    attempt = sent(ledger, order(run))
    first = ledger.settle(attempt, answer("once"), cost_pico_usd=None)
    assert ledger.settle(attempt, answer("twice"), cost_pico_usd=None) == first
    assert (first.answer.text, ledger.balance("book").used_tokens) == ("once", 45)
    assert states(site, attempt) == ["reserved", "sent", "settled"]


def test_a_late_answer_to_what_was_bought_again_is_charged_and_the_earlier_one_stays(
    ledger: Ledger,
) -> None:
    run = begin(ledger)
    late = sent(ledger, order(run))
    ledger.fail(late, failed(Failure.CRASHED), unbilled=False)
    ledger.settle(sent(ledger, order(run)), answer("bought again"), cost_pico_usd=None)
    stored = ledger.settle(late, answer("late", completion=1), cost_pico_usd=None)
    assert stored.answer.text == "bought again"
    assert ledger.balance("book").used_tokens == 45 + 16


def test_a_late_refusal_gives_an_unknown_outcome_back(ledger: Ledger, site: Site) -> None:
    run = begin(ledger)
    attempt = sent(ledger, order(run))
    ledger.fail(attempt, failed(Failure.CRASHED), unbilled=False)
    ledger.fail(attempt, failed(Failure.RATE_LIMITED), unbilled=True)
    assert ledger.balance("book").used_tokens == 0
    assert states(site, attempt) == ["reserved", "sent", "unknown", "released"]


# --- owners ---------------------------------------------------------------------------------


def test_closing_leaves_nothing_reserved(site: Site) -> None:
    ledger = Ledger.open(site.place)
    run = begin(ledger)
    reserve_unsent(ledger, order(run, "1"))
    sent(ledger, order(run, "2"))
    ledger.close()
    ledger.close()
    after = Ledger.read(site.place)
    assert after is not None
    assert sorted(row.state for row in after.attempts()) == ["released", "unknown"]
    assert after.balance("book").reserved_tokens == 0
    assert {row.failure for row in after.attempts()} == {Failure.CANCELLED}
    after.close()
    if isinstance(site.place, Path):
        assert list((site.place.parent / "owners").iterdir()) == []


DYING = """
import os, sys
sys.path.insert(0, sys.argv[2])
from buying import begin, order, reserve_unsent
from ledgers import place_of
from expand.ledger import Ledger
ledger = Ledger.open(place_of(sys.argv[1]))
run = begin(ledger)
reserve_unsent(ledger, order(run, "reserved"))
ledger.reserve(order(run, "sent"))
print("ready", flush=True)
sys.stdin.readline()
os._exit(9)
"""


def test_the_dead_are_inherited_from_and_the_living_left_alone(site: Site) -> None:
    command = [sys.executable, "-c", DYING, str(site.place), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as dying:
        assert dying.stdout is not None
        assert dying.stdout.readline() == "ready\n"
        ledger = Ledger.open(site.place)
        run = begin(ledger)
        assert isinstance(ledger.reserve(order(run, "sent")), InFlight)
        dying.communicate("die\n")
    deadline = time.monotonic() + 10
    while (found := recovered(ledger)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.05)  # a server takes a moment to notice that the connection has ended
    assert found == (1, 1)
    assert recovered(ledger) == (0, 0)
    balance = ledger.balance("book")
    assert (balance.reserved_tokens, balance.unknown_tokens) == (0, RESERVED)
    assert {row.failure for row in ledger.attempts()} == {Failure.CRASHED}
    assert isinstance(ledger.reserve(order(run, "sent")), Reservation)
    ledger.close()
    assert verify(site.place).ok


def test_a_failed_inheritance_is_left_for_the_next_heir(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = Ledger.open(site.place)
    sent(dead, order(begin(dead)))
    site.die(dead)
    heir = Ledger.open(site.place)
    with monkeypatch.context() as patch:
        patch.setattr("expand.ledger.attempts._change", None)
        with pytest.raises(TypeError):
            heir.recover()
    assert heir.balance("book").reserved_tokens == RESERVED
    assert recovered(heir) == (1, 0)
    heir.close()


# --- the file -------------------------------------------------------------------------------


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    path = place(tmp_path)
    ledger = Ledger.open(path)
    begin(ledger)
    files = [file for file in path.parent.rglob("*") if file.is_file()]
    assert {file.suffix for file in files} >= {".db", ".db-wal", ".lock"}
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    ledger.close()


def test_reading_where_there_is_none_and_what_is_there(site: Site) -> None:
    assert Ledger.read(site.place) is None
    if isinstance(site.place, Path):
        assert not site.place.parent.exists()
    Ledger.open(site.place).close()
    ledger = Ledger.read(site.place)
    assert ledger is not None
    with pytest.raises(LedgerError, match="cannot be written"):
        ledger.pause("m", 1)
    ledger.close()


def test_a_foreign_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    for use in (Ledger.open, Ledger.read):
        with pytest.raises(LedgerError, match="a database, but not a ledger"):
            use(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"chapter: 03\n" * 200, b"\x00" * 5000, b"SQLite format 3\x00"])
def test_what_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    for use in (Ledger.open, Ledger.read):
        with pytest.raises(LedgerError, match=r"not a ledger|damaged"):
            use(path)
    assert path.read_bytes() == content


def test_a_newer_ledger_is_refused_politely(site: Site) -> None:
    Ledger.open(site.place).close()
    site.state_version(99)
    for use in (Ledger.open, Ledger.read):
        with pytest.raises(LedgerError, match=r"version 99 was written by a newer expand.*upgrade"):
            use(site.place)


def test_two_versions_at_once_buy_no_more_and_lose_nothing(site: Site) -> None:
    ledger = Ledger.open(site.place)
    run = begin(ledger)
    attempt = sent(ledger, order(run))
    site.state_version(99)
    with pytest.raises(LedgerError, match="newer expand"):
        ledger.reserve(order(run, "more"))
    ledger.settle(attempt, answer(), cost_pico_usd=None)
    assert ledger.known(order(run)) is not None
    ledger.close()


OPENING = """
import sys
sys.path.insert(0, sys.argv[1])
from buying import begin
from ledgers import place_of
from expand.ledger import Ledger
print("ready", flush=True)
sys.stdin.readline()
for place in sys.argv[2:]:
    ledger = Ledger.open(place_of(place))
    begin(ledger)
    ledger.close()
"""


def test_processes_that_make_a_new_ledger_at_once(site: Site) -> None:
    places = [str(site.another()) for _ in range(20 if site.name == "sqlite" else 5)]
    command = [sys.executable, "-c", OPENING, str(Path(__file__).parent), *places]
    openers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for opener in openers:
        assert opener.stdout is not None
        assert opener.stdout.readline() == "ready\n"
    for opener in openers:
        assert opener.stdin is not None
        opener.stdin.write("go\n")
        opener.stdin.flush()
    for opener in openers:
        opener.communicate()
        assert opener.returncode == 0


def test_a_locked_ledger(tmp_path: Path) -> None:
    Ledger.open(place(tmp_path)).close()
    ledger = Ledger.open(place(tmp_path), patience_seconds=0.05)
    connection = sqlite3.connect(place(tmp_path), isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerError, match="locked by another program"):
        begin(ledger)
    connection.execute("ROLLBACK")
    connection.close()
    begin(ledger)
    ledger.close()


def test_a_full_disk_refuses_before_anything_is_sent(tmp_path: Path) -> None:
    ledger = Ledger.open(place(tmp_path))
    run = begin(ledger)
    assert isinstance(ledger.database, SqliteDatabase)
    pages = ledger.database.connection.execute("PRAGMA page_count").fetchone()[0]
    ledger.database.connection.execute(f"PRAGMA max_page_count = {pages}")
    big = order(run, "".join(chr(0x4E00 + i * 7 % 20000) for i in range(20000)))
    with pytest.raises(LedgerError, match="the disk is full; free some space"):
        ledger.reserve(big)
    assert ledger.balance("book").reserved_tokens == 0
    ledger.database.connection.execute("PRAGMA max_page_count = 100000")
    assert isinstance(ledger.reserve(big), Reservation)
    ledger.close()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / ".expand").write_text("a file, where the folder should be")
    with pytest.raises(LedgerError, match="make its folder exist and be writable"):
        Ledger.open(place(tmp_path))


def test_a_disk_without_write_ahead_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Networked(SqliteConnection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            return super().execute(sql.replace("journal_mode = WAL", "journal_mode"), *values)

    monkeypatch.setattr(
        "expand.ledger.database.sqlite3.connect",
        lambda *args, **options: sqlite3.dbapi2.connect(*args, **{**options, "factory": Networked}),
    )
    with pytest.raises(LedgerError, match=r"cannot hold a write-ahead log.*local disk"):
        Ledger.open(place(tmp_path))


def test_a_ledger_without_its_tables_is_damaged(site: Site) -> None:
    Ledger.open(site.place).close()
    site.alter("DROP TABLE answer")
    ledger = Ledger.read(site.place)
    assert ledger is not None
    with pytest.raises(LedgerError, match=r"(no such table: answer|\"answer\" does not).*damaged"):
        ledger.known(order(Run(id="r", owner="o")))
    ledger.close()


class Failing(SqliteConnection):
    """A connection whose first statement that contains ``trigger`` fails with ``code``."""

    trigger = ""
    code = 0
    left = 0

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if Failing.left and Failing.trigger in sql:
            Failing.left -= 1
            error = sqlite3.OperationalError("it failed")
            error.sqlite_errorcode = Failing.code
            raise error
        return super().execute(sql, *values)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> type[Failing]:
    monkeypatch.setattr(
        "expand.ledger.database.sqlite3.connect",
        lambda *args, **options: sqlite3.dbapi2.connect(*args, **{**options, "factory": Failing}),
    )
    return Failing


def test_a_new_ledger_that_another_process_is_turning_is_waited_for(tmp_path: Path, failing: type[Failing]) -> None:
    failing.trigger, failing.code, failing.left = "journal_mode", sqlite3.SQLITE_BUSY, 2
    Ledger.open(place(tmp_path)).close()
    assert failing.left == 0
    failing.left = 1
    with pytest.raises(LedgerError, match="locked"):
        Ledger.open(place(tmp_path), patience_seconds=-1.0)
    failing.code, failing.left = sqlite3.SQLITE_PROTOCOL, 1
    with pytest.raises(LedgerError, match=r"cannot lock files.*local disk"):
        Ledger.open(place(tmp_path))


def test_text_that_is_none_is_damage(tmp_path: Path) -> None:
    ledger = Ledger.open(place(tmp_path))
    with pytest.raises(LedgerError, match="damaged"), ledger.writing():
        b"\xff".decode()
    ledger.close()


def test_a_transaction_that_the_disk_ended_is_ended_once(tmp_path: Path) -> None:
    """SQLite undoes some failed transactions by itself."""
    ledger = Ledger.open(place(tmp_path))

    def undone() -> None:
        with ledger.writing() as connection:
            connection.execute("ROLLBACK")
            raise ValueError("a defect after it")

    with pytest.raises(ValueError, match="a defect after it"):
        undone()
    with ledger.database.snapshot() as connection:
        connection.execute("ROLLBACK")
    assert ledger.balance("book").reserved_tokens == 0
    ledger.close()


def test_a_defect_in_a_statement_is_no_ledger_error(ledger: Ledger) -> None:
    with pytest.raises((sqlite3.Error, psycopg.Error)):
        ledger.database.query("SELECT ?", (1, 2))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EROFS, "Read-only file system; make its folder exist and be writable"),
    ],
)
def test_what_the_file_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str) -> None:
    def refuse(*args: object, **options: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("expand.ledger.database.os.open", refuse)
    with pytest.raises(LedgerError, match=message):
        Ledger.open(place(tmp_path))


def test_a_new_ledger_that_is_locked_is_made_the_next_time(tmp_path: Path, failing: type[Failing]) -> None:
    failing.trigger, failing.code, failing.left = "BEGIN IMMEDIATE", sqlite3.SQLITE_BUSY, 1
    with pytest.raises(LedgerError, match="locked"):
        Ledger.open(place(tmp_path))
    Ledger.open(place(tmp_path)).close()
    assert verify(place(tmp_path)).ok


# Pauses ----------------------------------------------------------------------------------------


def test_pauses_are_listed_until_they_are_over(ledger: Ledger, clock: Clock) -> None:
    ledger.pause("slow", 60)
    ledger.pause("a", 10)
    assert ledger.pauses() == (Pause("a", 10.0), Pause("slow", 60.0))
    clock.forward(10)
    assert ledger.pauses() == (Pause("slow", 50.0),)
    ledger.resume("slow")
    ledger.resume("never paused")
    assert ledger.pauses() == ()
