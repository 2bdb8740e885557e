"""The budgeted client: every failure, waiting, sharing, stopping, streaming; the ledger is asserted each time."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from buying import (
    RESERVED,
    Clock,
    ScriptedAuthor,
    Step,
    answer,
    begin,
    failed,
    order,
    place,
)
from ledgers import FileSite

from expand.client.client import PAUSE_SECONDS, PILOT_SECONDS, BudgetedClient, StoppedError
from expand.client.limiter import LEAST_PROBES, MOST_LOST
from expand.client.retry_policy import REPLACEABLE_TRIES, RULES, RetryPolicy
from expand.errors import AuthorError, BudgetExceededError, LedgerError
from expand.ledger import (
    AttemptEvent,
    Ledger,
    LedgerBusyError,
    ModelLimits,
    Reservation,
    Run,
    State,
    StoredAnswer,
    export,
    import_,
    verify,
)
from expand.ledger.database import SqliteDatabase
from expand.llm.types import Author, Failure, Finish, Usage


class World:
    """A ledger, a run in it, and a clock that sleeping moves."""

    def __init__(self, folder: Path) -> None:
        self.path = place(folder)
        self.clock = Clock()
        self.ledger = Ledger.open(self.path, clock=self.clock)
        self.run: Run = begin(self.ledger)
        self.events: list[AttemptEvent] = []

    def purchase(self, author: Author, **options: Any) -> BudgetedClient:
        policy = {name: options.pop(name) for name in ("max_attempts", "replaceable") if name in options}
        return BudgetedClient(
            sleep=options.pop("sleep", self.clock.sleep),
            retry=RetryPolicy(jitter=lambda: 0.0, **policy),
            ledger=self.ledger,
            author=author,
            on_event=self.events.append,
            **options,
        )

    def states(self) -> list[str]:
        return [row.state for row in self.ledger.attempts()]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.ledger.close()
    assert verify(made.path).findings == ()


async def test_an_answer_is_bought_once_and_then_reused(world: World) -> None:
    author = ScriptedAuthor()
    purchase = world.purchase(author)
    first = await purchase.buy(order(world.run))
    again = await purchase.buy(order(world.run))
    assert (first.reused, first.attempts) == (False, 1)
    assert (again.reused, again.attempts) == (True, 0)
    assert first.answer == again.answer
    assert again.usage.total == 45
    assert author.headers == [f"03/1/draft/{first.attempt_id}"]
    assert world.kinds() == ["sent", "settled"]


async def test_the_attempt_is_durably_sent_before_it_goes_out(world: World) -> None:
    seen: list[str] = []

    class Watching(ScriptedAuthor):
        async def complete(self, *args: Any, **options: Any) -> Any:
            connection = sqlite3.connect(world.path)
            seen.append(connection.execute("SELECT state FROM attempt").fetchone()[0])
            connection.close()
            return await super().complete(*args, **options)

    await world.purchase(Watching()).buy(order(world.run))
    assert seen == ["sent"]


async def test_two_tasks_with_one_request_buy_it_once(world: World) -> None:
    author = ScriptedAuthor(delay=0.01)
    purchase = world.purchase(author)
    both = await asyncio.gather(*(purchase.buy(order(world.run)) for _ in range(5)))
    assert len(author.asked) == 1
    assert sorted(bought.reused for bought in both) == [False, True, True, True, True]


@pytest.mark.parametrize("finish", [Finish.CONTENT_FILTER, Finish.REFUSAL])
async def test_an_answer_that_no_draft_can_use_is_kept_all_the_same(world: World, finish: Finish) -> None:
    author = ScriptedAuthor([answer("", finish=finish)])
    purchase = world.purchase(author)
    bought = await purchase.buy(order(world.run))
    assert not bought.answer.usable
    assert (await purchase.buy(order(world.run))).reused
    assert world.states() == ["settled"]


@pytest.mark.parametrize("failure", list(Failure))
async def test_every_failure_is_booked_as_its_rule_says(world: World, failure: Failure) -> None:
    rule = RULES[failure]
    script: list[Step] = [failed(failure)] * 40
    author = ScriptedAuthor(script)
    purchase = world.purchase(author, max_attempts=100)
    with pytest.raises(AuthorError) as caught:
        await purchase.buy(order(world.run))
    assert str(caught.value).endswith(rule.remedy)
    assert len(author.asked) == rule.tries
    assert set(world.states()) == {"released" if rule.billed == "no" else "unknown"}
    charged = 0 if rule.billed == "no" else rule.tries * RESERVED
    assert world.ledger.balance("book").used_tokens == charged
    lost = rule.billed == "unknown" and failure is not Failure.FILTERED  # and nothing was ever answered
    assert (purchase._model("m").given_up is not None) == (rule.stops_run or lost)
    if rule.stops_run:
        with pytest.raises(AuthorError, match="it was"):
            await purchase.buy(order(world.run, "another"))
        assert len(author.asked) == rule.tries


@pytest.mark.parametrize("failure", [failure for failure, rule in RULES.items() if rule.retried], ids=str)
async def test_what_may_be_retried_is(world: World, failure: Failure) -> None:
    author = ScriptedAuthor([failed(failure)])
    bought = await world.purchase(author).buy(order(world.run))
    assert bought.attempts == 2
    first, second = world.ledger.attempts()
    assert (first.failure, second.state) == (failure, State.SETTLED)
    assert (second.reserved_at - first.reserved_at).total_seconds() >= 0.5


async def test_max_attempts_bounds_what_may_have_been_billed(world: World) -> None:
    author = ScriptedAuthor([failed(Failure.SERVER_ERROR)] * 9)
    with pytest.raises(AuthorError, match=r"\(2 attempts\)"):
        await world.purchase(author, max_attempts=2).buy(order(world.run))


async def test_a_wrong_key_costs_one_attempt_whatever_the_concurrency(world: World) -> None:
    author = ScriptedAuthor([failed(Failure.UNAUTHORIZED)] * 9, delay=0.01)
    purchase = world.purchase(author)
    outcomes = await asyncio.gather(*(purchase.buy(order(world.run, str(n))) for n in range(8)), return_exceptions=True)
    assert len(author.asked) == 1
    assert {str(outcome) for outcome in outcomes} == {"it was unauthorized; check OPENAI_API_KEY"}
    assert world.ledger.balance("book").used_tokens == 0


async def test_nobody_else_knocks_while_the_server_cannot_be_reached(world: World) -> None:
    author = ScriptedAuthor([failed(Failure.UNREACHABLE)] * 9)
    purchase = world.purchase(author)
    outcomes = await asyncio.gather(*(purchase.buy(order(world.run, str(n))) for n in range(5)), return_exceptions=True)
    assert len(author.asked) == RULES[Failure.UNREACHABLE].tries
    assert all(isinstance(outcome, AuthorError) for outcome in outcomes)


async def test_after_the_first_answer_the_rest_go_out_together(world: World) -> None:
    author = ScriptedAuthor(delay=PILOT_SECONDS / 4)
    purchase = world.purchase(author)
    await asyncio.gather(*(purchase.buy(order(world.run, str(n))) for n in range(6)))
    assert author.most_at_once == 5


async def test_a_slow_first_answer_holds_nobody_up(world: World) -> None:
    author = ScriptedAuthor(delay=PILOT_SECONDS * 3)
    purchase = world.purchase(author)
    await asyncio.gather(*(purchase.buy(order(world.run, str(n))) for n in range(6)))
    assert author.most_at_once == 6


async def test_a_wrong_key_costs_one_attempt_after_a_pause_too(world: World) -> None:
    """The pilot's time begins when it is sent, however long it had to wait before."""
    world.ledger.pause("m", 3 * PILOT_SECONDS)
    author = ScriptedAuthor([failed(Failure.UNAUTHORIZED)] * 8)

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds)
        world.clock.forward(seconds)

    purchase = world.purchase(author, sleep=sleep)
    results = await asyncio.gather(*(purchase.buy(order(world.run, f"q{n}")) for n in range(8)), return_exceptions=True)
    assert all(isinstance(result, AuthorError) for result in results)
    assert len(author.asked) == 1


async def test_nobody_waits_behind_a_pilot_whose_answer_another_run_is_buying(
    world: World,
) -> None:
    with closing(Ledger.open(world.path, clock=world.clock)) as other:
        run = begin(other)
        theirs = other.reserve(order(run, "shared"))
        assert isinstance(theirs, Reservation)
        author = ScriptedAuthor()
        purchase = world.purchase(author, sleep=_short)
        led = asyncio.create_task(purchase.buy(order(world.run, "shared")))
        await asyncio.wait_for(purchase.buy(order(world.run, "another")), 10)
        assert (author.asked, led.done()) == (["another"], False)
        other.settle(theirs.attempt_id, answer(), cost_pico_usd=None)
        assert (await asyncio.wait_for(led, 10)).reused
        assert author.asked == ["another"]


async def test_what_had_arrived_at_the_second_ctrl_c_is_stored_however_much_it_is(
    tmp_path: Path,
) -> None:
    ledger = Ledger.open(place(tmp_path))
    run, author = begin(ledger, 100_000), ScriptedAuthor(hold=asyncio.Event())
    purchase = BudgetedClient(ledger=ledger, author=author, pilot_seconds=0)
    tasks = [asyncio.create_task(purchase.buy(order(run, str(n)))) for n in range(60)]
    while len(author.asked) < len(tasks):
        await asyncio.sleep(0)
    assert author.hold
    author.hold.set()
    while author.at_once:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    purchase.stop()
    purchase.stop()
    await purchase.drain()
    ledger.close()
    await asyncio.gather(*tasks, return_exceptions=True)
    with closing(Ledger.open(place(tmp_path))) as ledger:
        assert [row.state for row in ledger.attempts()] == ["settled"] * len(tasks)


async def test_the_first_reason_to_stop_is_the_one_that_is_told(world: World) -> None:
    author = ScriptedAuthor([failed(Failure.UNAUTHORIZED), failed(Failure.QUOTA)])
    purchase = world.purchase(author, pilot_seconds=0.0)
    both = (purchase.buy(order(world.run, str(n))) for n in range(2))
    await asyncio.gather(*both, return_exceptions=True)
    assert len(author.asked) == 2
    assert str(purchase._model("m").given_up).startswith("it was unauthorized")


async def test_without_a_pilot_all_go_out_together(world: World) -> None:
    author = ScriptedAuthor(delay=0.5)
    purchase = world.purchase(author, pilot_seconds=0.0)
    await asyncio.gather(*(purchase.buy(order(world.run, str(n))) for n in range(6)))
    assert author.most_at_once == 6


async def test_a_rate_limit_pauses_the_model_for_as_long_as_was_asked(world: World) -> None:
    author = ScriptedAuthor([answer(), failed(Failure.RATE_LIMITED, 7.0)])
    purchase = world.purchase(author)
    await purchase.buy(order(world.run, "first"))
    start = world.clock.now
    await asyncio.gather(purchase.buy(order(world.run, "a")), purchase.buy(order(world.run, "b")))
    *_, last = world.ledger.attempts()
    assert last.sent_at is not None
    assert (last.sent_at - start).total_seconds() >= 7.0
    assert sum(world.clock.slept) == 7.0


async def test_a_pause_by_another_process_is_waited_out(world: World) -> None:
    other = Ledger.open(world.path, clock=world.clock)
    other.pause("m", 20)
    other.close()
    start = world.clock.now
    await world.purchase(ScriptedAuthor()).buy(order(world.run))
    (row,) = world.ledger.attempts()
    assert (row.reserved_at - start).total_seconds() >= 20
    assert world.events[0].message == "m: the provider asked for a pause"


async def test_a_pause_that_is_lifted_is_not_waited_out(world: World) -> None:
    world.ledger.pause("m", 3600)

    async def sleep(seconds: float) -> None:
        await world.clock.sleep(seconds)
        if sum(world.clock.slept) >= 12:
            world.ledger.resume("m")

    await world.purchase(ScriptedAuthor(), sleep=sleep).buy(order(world.run))
    assert world.clock.slept == [PAUSE_SECONDS] * 3
    assert [event.message for event in world.events if event.kind == "waiting"] == ["m: the provider asked for a pause"]
    assert world.events[0].seconds == 3600


@pytest.mark.parametrize(("seconds", "goes"), [(3600.0, True), (3601.0, False), (99_999_999_999.0, False)])
async def test_a_pause_of_the_ledger_that_is_too_long_ends_the_run(world: World, seconds: float, goes: bool) -> None:
    world.ledger.pause("m", seconds)
    author = ScriptedAuthor()
    purchase = world.purchase(author)
    if goes:
        await purchase.buy(order(world.run))
        assert len(author.asked) == 1
    else:
        with pytest.raises(AuthorError, match=r"m: the provider asked for a pause .*`expand ledger resume m`"):
            await purchase.buy(order(world.run))
        assert author.asked == []
        assert purchase._model("m").given_up is not None
        world.ledger.resume("m")
        assert not (await world.purchase(author).buy(order(world.run))).reused


@pytest.mark.parametrize(("asked", "goes"), [(3600.0, True), (3600.5, False), (1e300, False)])
async def test_a_provider_that_asks_for_too_long_a_wait_ends_the_run(world: World, asked: float, goes: bool) -> None:
    author = ScriptedAuthor([failed(Failure.RATE_LIMITED, asked)])
    purchase = world.purchase(author)
    if goes:
        assert (await purchase.buy(order(world.run))).attempts == 2
    else:
        with pytest.raises(AuthorError, match="it was rate_limited; the provider asks to wait"):
            await purchase.buy(order(world.run))
        assert purchase._model("m").given_up is not None
        assert world.ledger.pauses() == ()
        assert world.ledger.balance("book").used_tokens == 0


async def test_what_the_author_mends_is_asked_again_at_once_and_said(world: World) -> None:
    refusal = failed(Failure.BAD_REQUEST)
    refusal.mended = "leaving out temperature"
    author = ScriptedAuthor([refusal])
    purchase = world.purchase(author, max_attempts=1)
    assert (await purchase.buy(order(world.run))).attempts == 2
    assert world.states() == ["released", "settled"]
    assert [event.message for event in world.events if event.kind == "failed"] == [
        "it was bad_request; leaving out temperature"
    ]
    assert not any(event.final for event in world.events)
    assert len(set(author.headers)) == 2
    assert world.clock.slept == []


async def test_a_request_that_is_too_long_ends_nothing_but_itself(world: World) -> None:
    purchase = world.purchase(ScriptedAuthor([failed(Failure.TOO_LONG)]))
    with pytest.raises(AuthorError, match="context_window"):
        await purchase.buy(order(world.run))
    assert purchase._model("m").given_up is None
    assert (await purchase.buy(order(world.run, "another"))).attempts == 1


async def test_a_server_that_has_never_answered_is_not_tried_by_every_order(world: World) -> None:
    author = ScriptedAuthor([failed(Failure.SERVER_ERROR)] * 99, delay=0.001)
    purchase = world.purchase(author)
    outcomes = await asyncio.gather(*(purchase.buy(order(world.run, str(n))) for n in range(8)), return_exceptions=True)
    assert len(author.asked) == RULES[Failure.SERVER_ERROR].tries
    assert all(isinstance(outcome, AuthorError) for outcome in outcomes)


@pytest.fixture
def wide(tmp_path: Path) -> Iterator[tuple[Ledger, Run, Clock]]:
    """A ledger with room for many losses, and a clock that sleeping moves."""
    clock = Clock()
    with closing(Ledger.open(place(tmp_path), clock=clock)) as ledger:
        yield ledger, begin(ledger, 100_000), clock


async def test_one_orders_losses_end_only_itself(wide: tuple[Ledger, Run, Clock]) -> None:
    """What it asks may be at fault. A loss of the next order as well is the server's."""
    ledger, run, clock = wide
    gone: list[Step] = [failed(Failure.SERVER_ERROR)] * RULES[Failure.SERVER_ERROR].tries
    author = ScriptedAuthor([answer(), *gone, answer(), *gone, *gone])
    purchase = BudgetedClient(ledger=ledger, author=author, sleep=clock.sleep)
    await purchase.buy(order(run, "first"))
    for text, over in (("lost", False), ("then lost", False), ("lost too", True)):
        with pytest.raises(AuthorError):
            await purchase.buy(order(run, text))
        assert (purchase._model("m").given_up is not None) is over
        if text == "lost":
            await purchase.buy(order(run, "second"))
    assert len(author.asked) == 1 + len(gone) + 1 + len(gone) + 1


@pytest.mark.parametrize("at_once", [2, 8])
async def test_a_server_that_has_gone_is_probed_by_one_order_and_then_no_more(
    wide: tuple[Ledger, Run, Clock], at_once: int
) -> None:
    ledger, run, clock = wide
    author = ScriptedAuthor([answer(), *[failed(Failure.DISCONNECTED)] * 99], delay=0.001)
    purchase = BudgetedClient(ledger=ledger, author=author, sleep=clock.sleep)
    await purchase.buy(order(run, "first"))
    orders = (purchase.buy(order(run, str(number))) for number in range(at_once))
    outcomes = await asyncio.gather(*orders, return_exceptions=True)
    assert all(isinstance(outcome, AuthorError) for outcome in outcomes)
    assert len(author.asked) == 1 + at_once + LEAST_PROBES
    assert 1 + at_once + LEAST_PROBES > MOST_LOST


async def test_an_answer_to_a_probe_lets_the_others_go(wide: tuple[Ledger, Run, Clock]) -> None:
    ledger, run, clock = wide
    author = ScriptedAuthor([answer(), *[failed(Failure.DISCONNECTED)] * 6], delay=0.001)
    purchase = BudgetedClient(ledger=ledger, author=author, sleep=clock.sleep)
    await purchase.buy(order(run, "first"))
    bought = await asyncio.gather(*(purchase.buy(order(run, str(number))) for number in range(6)))
    assert [one.attempts for one in bought] == [2] * 6
    assert len(author.asked) == 1 + 6 + 6
    assert max(clock.slept) > 10  # the more were lost, the longer the wait


async def test_calls_a_minute_are_waited_for(world: World) -> None:
    purchase = world.purchase(ScriptedAuthor())
    rates = ModelLimits(rpm=1)
    for text in ("1", "2", "3"):
        await purchase.buy(order(world.run, text, rates=rates))
    times = [row.reserved_at for row in world.ledger.attempts()]
    assert [(b - a).total_seconds() >= 60 for a, b in pairwise(times)] == [
        True,
        True,
    ]


async def test_calls_in_flight_are_waited_for_before_saying_exhausted(tmp_path: Path) -> None:
    world = World(tmp_path)
    begin(world.ledger, 150)
    author = ScriptedAuthor(delay=0.01)
    purchase = world.purchase(author, pilot_seconds=0.0, sleep=asyncio.sleep)
    bought = await asyncio.gather(*(purchase.buy(order(world.run, str(n))) for n in range(2)))
    assert [b.usage.total for b in bought] == [45, 45]
    assert author.most_at_once == 1
    with pytest.raises(BudgetExceededError) as caught:
        await purchase.buy(order(world.run, "3"))
    assert str(caught.value) == ("the book: 100 tokens needed, 60 of 150 remain; raise the limit, or ask for less")
    assert "waiting for calls in flight" in " ".join(event.message for event in world.events)
    world.ledger.close()


async def test_an_overrun_ends_the_run(world: World) -> None:
    author = ScriptedAuthor([answer(completion=5000)])
    purchase = world.purchase(author)
    await purchase.buy(order(world.run))
    with pytest.raises(BudgetExceededError, match=r"-4,015 of 1,000 remain"):
        await purchase.buy(order(world.run, "more"))


async def test_a_model_without_a_price_is_refused_with_its_own_words(world: World) -> None:
    from expand.budget import Limit

    world.ledger.begin_run(limits={"book": Limit(pico_usd=1)})
    with pytest.raises(BudgetExceededError, match=r"pass --unpriced to let it through$"):
        await world.purchase(ScriptedAuthor()).buy(order(world.run))


async def test_finishing_goes_before_starting_and_else_first_come_first_served(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    begin(world.ledger, 1000)
    author = ScriptedAuthor(hold=asyncio.Event())
    assert author.hold is not None
    purchase = world.purchase(author, pilot_seconds=0.0, sleep=_forever)
    one = ModelLimits(concurrency=1)
    wanted = [
        order(world.run, "first", rates=one),
        order(world.run, "second", rates=one),
        order(world.run, "third", rates=one),
        order(world.run, "rest", rates=one, rank=0),
    ]
    buying = [asyncio.create_task(purchase.buy(each)) for each in wanted]
    await until(lambda: sorted(world.kinds()) == ["sent", "waiting", "waiting"])
    author.hold.set()
    await asyncio.gather(*buying)
    assert author.asked == ["first", "rest", "second", "third"]
    world.ledger.close()


async def test_another_process_buying_the_same_is_waited_for(world: World) -> None:
    other = Ledger.open(world.path, clock=world.clock)
    other_run = other.begin_run(limits={})
    theirs = other.reserve(order(other_run))
    attempt: str = theirs.attempt_id  # type: ignore[union-attr]

    async def arrive(seconds: float) -> None:
        await world.clock.sleep(seconds)
        if len(world.clock.slept) == 3:
            other.settle(attempt, answer("theirs"), cost_pico_usd=None)

    author = ScriptedAuthor()
    bought = await world.purchase(author, sleep=arrive).buy(order(world.run))
    assert (bought.answer.text, bought.reused, author.asked) == ("theirs", True, [])
    other.close()


async def test_another_process_that_dies_is_inherited_from(world: World) -> None:
    other = Ledger.open(world.path, clock=world.clock)
    other.reserve(order(other.begin_run(limits={})))
    FileSite(world.path.parent).die(other)
    author = ScriptedAuthor()
    bought = await world.purchase(author).buy(order(world.run))
    assert (bought.reused, len(author.asked)) == (False, 1)
    assert world.states() == ["unknown", "settled"]


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came true")


async def test_a_stop_lets_what_is_in_flight_arrive(world: World) -> None:
    author = ScriptedAuthor(hold=asyncio.Event())
    assert author.hold is not None
    purchase = world.purchase(author)
    flying = asyncio.create_task(purchase.buy(order(world.run, "flying")))
    waiting = asyncio.create_task(purchase.buy(order(world.run, "waiting")))
    await until(lambda: author.at_once == 1)
    purchase.stop()
    author.hold.set()
    assert isinstance(await flying, StoredAnswer)
    with pytest.raises(StoppedError) as caught:
        await waiting
    assert caught.value.exit_code == 130
    assert world.states() == ["settled"]


async def test_a_stop_ends_the_wait_for_a_retry_and_for_a_pause(world: World) -> None:
    author = ScriptedAuthor([failed(Failure.SERVER_ERROR)])
    purchase = world.purchase(author, sleep=_forever)
    retrying = asyncio.create_task(purchase.buy(order(world.run)))
    await until(lambda: len(author.asked) == 1 and "failed" in world.kinds())
    purchase.stop()
    with pytest.raises(StoppedError):
        await retrying
    world.ledger.pause("m", 1000)
    second = world.purchase(author, sleep=_forever)
    pausing = asyncio.create_task(second.buy(order(world.run)))
    await until(lambda: world.kinds()[-1] == "waiting")
    second.stop()
    with pytest.raises(StoppedError):
        await pausing
    assert len(author.asked) == 1


async def _forever(seconds: float) -> None:
    await asyncio.Event().wait()


async def test_a_failure_after_a_stop_is_not_retried(world: World) -> None:
    author = ScriptedAuthor([failed(Failure.TIMEOUT)], hold=asyncio.Event())
    assert author.hold is not None
    purchase = world.purchase(author)
    flying = asyncio.create_task(purchase.buy(order(world.run)))
    await until(lambda: author.at_once == 1)
    purchase.stop()
    author.hold.set()
    with pytest.raises(StoppedError, match="stopped after: it was timeout"):
        await flying
    assert world.states() == ["unknown"]


async def test_a_second_stop_leaves_what_is_in_flight_unknown(world: World) -> None:
    author = ScriptedAuthor(hold=asyncio.Event())
    purchase = world.purchase(author)
    flying = asyncio.create_task(purchase.buy(order(world.run)))
    await until(lambda: author.at_once == 1)
    purchase.stop()
    purchase.stop()
    with pytest.raises(StoppedError, match=r"the outcome of attempt .* is unknown"):
        await flying
    await purchase.drain()
    (row,) = world.ledger.attempts()
    assert (row.state, row.failure) == (State.UNKNOWN, Failure.CANCELLED)


async def test_an_answer_is_settled_even_if_nobody_waits_any_more(world: World) -> None:
    author = ScriptedAuthor(hold=asyncio.Event())
    assert author.hold is not None
    purchase = world.purchase(author)
    flying = asyncio.create_task(purchase.buy(order(world.run)))
    await until(lambda: author.at_once == 1)
    flying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flying
    author.hold.set()
    await purchase.drain()
    assert world.states() == ["settled"]
    assert (await purchase.buy(order(world.run))).reused


async def test_a_defect_in_the_author_leaves_the_outcome_unknown(world: World) -> None:
    purchase = world.purchase(ScriptedAuthor([RuntimeError("a defect")]))
    with pytest.raises(RuntimeError, match="a defect"):
        await purchase.buy(order(world.run))
    (row,) = world.ledger.attempts()
    assert (row.state, row.failure) == (State.UNKNOWN, Failure.CRASHED)
    assert row.message == "RuntimeError while it was in flight"


def _full(ledger: Ledger, full: bool) -> None:
    assert isinstance(ledger.database, SqliteDatabase)
    pages = ledger.database.connection.execute("PRAGMA page_count").fetchone()[0]
    most = pages if full else pages + 10_000
    ledger.database.connection.execute(f"PRAGMA max_page_count = {most}")


LONG = "".join(chr(0x4E00 + n * 7 % 20000) for n in range(30000))


async def test_an_answer_waits_in_memory_while_the_disk_is_full(world: World) -> None:
    class Filling(ScriptedAuthor):
        async def complete(self, *args: Any, **options: Any) -> Any:
            _full(world.ledger, full=True)
            return answer(LONG)

    async def make_room(seconds: float) -> None:
        await world.clock.sleep(seconds)
        if len(world.clock.slept) == 3:
            _full(world.ledger, full=False)

    bought = await world.purchase(Filling(), sleep=make_room).buy(order(world.run))
    assert bought.answer.text == LONG
    told = [event.message for event in world.events if event.kind == "waiting"]
    assert len(told) == 1
    assert "an answer waits to be stored" in told[0]
    assert "the disk is full" in told[0]


async def test_a_disk_that_stays_full_is_said_and_the_charge_stays(world: World) -> None:
    class Filling(ScriptedAuthor):
        async def complete(self, *args: Any, **options: Any) -> Any:
            _full(world.ledger, full=True)
            return answer(LONG)

    with pytest.raises(LedgerError, match="the disk is full"):
        await world.purchase(Filling()).buy(order(world.run))
    assert world.states() == ["sent"]
    _full(world.ledger, full=False)


async def test_two_ledgers_share_one_budget(tmp_path: Path) -> None:
    """Two runs at once over the same orders: every request is asked for once, by one of them."""
    first, second = World(tmp_path), World(tmp_path)
    author = ScriptedAuthor(delay=0.002)
    begin(first.ledger, 100_000)

    def buying(world: World) -> list[Awaitable[StoredAnswer]]:
        purchase = world.purchase(author, pilot_seconds=0.0, sleep=_short)
        return [purchase.buy(order(world.run, str(n))) for n in range(30)]

    bought = await asyncio.gather(*buying(first), *buying(second))
    assert sorted(author.asked) == sorted(str(n) for n in range(30))
    assert sum(not each.reused for each in bought) == 30
    assert first.ledger.balance("book").used_tokens == 30 * 45
    first.ledger.close()
    second.ledger.close()
    assert verify(first.path).ok


async def _short(seconds: float) -> None:
    await asyncio.sleep(min(seconds, 0.005))


# --- text that arrives before an attempt breaks off -----------------------------------------------

PIECES = ("First ", "half", "\n")


@pytest.mark.parametrize(
    ("reported", "charged", "source"),
    [(None, RESERVED, "reservation"), (Usage(prompt=15, completion=3), 18, "provider")],
)
@pytest.mark.parametrize("failure", [Failure.DISCONNECTED, Failure.TIMEOUT, Failure.SERVER_ERROR, Failure.GARBLED])
async def test_what_arrived_before_a_connection_broke_is_an_answer_that_was_cut(
    world: World, failure: Failure, reported: Usage | None, charged: int, source: str
) -> None:
    author = ScriptedAuthor([failed(failure, usage=reported)], pieces=PIECES)
    client = world.purchase(author)
    bought = await client.buy(order(world.run))
    assert (bought.answer.text, bought.answer.finish) == ("First half\n", Finish.CUT)
    assert (bought.answer.usage, bought.usage.total) == (reported, charged)
    assert (bought.answer.model, bought.answer.provider_request_id) == ("m-2026", "req_1")
    assert bought.answer.usable
    assert (bought.reused, bought.attempts) == (False, 1)
    assert world.kinds() == ["sent", "text", "settled"]  # a few times a second, the first piece at once
    again = await client.buy(order(world.run))
    assert (again.reused, again.answer) == (True, bought.answer)
    assert len(author.asked) == 1
    (row,) = world.ledger.attempts()
    assert (row.state, row.finish, row.usage.total, row.usage_source) == (State.SETTLED, Finish.CUT, charged, source)


async def test_text_is_shown_as_far_as_it_has_come(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("expand.client.client.TEXT_SECONDS", 0.0)
    await world.purchase(ScriptedAuthor(pieces=PIECES)).buy(order(world.run))
    assert [event.text for event in world.events if event.kind == "text"] == ["First ", "First half", "First half\n"]


async def test_blank_pieces_are_no_answer(world: World) -> None:
    author = ScriptedAuthor([failed(Failure.DISCONNECTED)], pieces=(" ", "\n"))
    bought = await world.purchase(author).buy(order(world.run))
    assert (bought.attempts, bought.answer.finish) == (2, Finish.STOP)
    assert world.states() == ["unknown", "settled"]
    assert [row.provider_request_id for row in world.ledger.attempts()] == ["req_1", "req_1"]


async def test_a_rate_limit_in_the_middle_keeps_what_arrived_and_pauses_the_model(world: World) -> None:
    author = ScriptedAuthor([failed(Failure.RATE_LIMITED, 7.0)], pieces=PIECES)
    client = world.purchase(author)
    assert (await client.buy(order(world.run))).answer.finish is Finish.CUT
    start = world.clock.now
    await client.buy(order(world.run, "the rest"))
    assert (world.clock.now - start).total_seconds() >= 7.0


async def test_a_text_that_arrives_lets_the_others_go(world: World) -> None:
    author = ScriptedAuthor(hold=asyncio.Event(), pieces=PIECES)
    client = world.purchase(author, pilot_seconds=60.0)
    buying = [asyncio.create_task(client.buy(order(world.run, str(n)))) for n in range(5)]
    await until(lambda: author.at_once == 5)
    assert author.hold
    author.hold.set()
    await asyncio.gather(*buying)


async def test_a_second_stop_keeps_what_had_arrived(world: World) -> None:
    author = ScriptedAuthor([failed(Failure.CANCELLED)], hold=asyncio.Event(), pieces=PIECES)
    client = world.purchase(author)
    flying = asyncio.create_task(client.buy(order(world.run)))
    await until(lambda: author.at_once == 1)
    client.stop()
    client.stop()
    with pytest.raises(StoppedError, match=r"stopped; what had arrived of attempt \w+ is stored") as caught:
        await flying
    assert caught.value.exit_code == 130
    await client.drain()
    assert world.states() == ["settled"]
    assert world.ledger.balance("book").used_tokens == RESERVED
    later = await world.purchase(ScriptedAuthor()).buy(order(world.run))
    assert (later.reused, later.answer.text, later.answer.finish) == (True, "First half\n", Finish.CUT)
    assert (later.answer.model, later.answer.provider_request_id) == ("m-2026", "req_1")


async def test_what_had_arrived_is_kept_when_the_event_loop_ends(world: World) -> None:
    """As Ctrl-C does where nobody has set a handler for it: every task is cancelled."""
    author = ScriptedAuthor(hold=asyncio.Event(), pieces=PIECES)
    client = world.purchase(author)
    flying = asyncio.create_task(client.buy(order(world.run)))
    await until(lambda: author.at_once == 1)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    with pytest.raises((asyncio.CancelledError, StoppedError)):
        await flying
    await client.drain()
    assert world.states() == ["settled"]


async def test_a_defect_of_the_author_keeps_what_had_arrived(world: World) -> None:
    client = world.purchase(ScriptedAuthor([RuntimeError("a defect")], pieces=PIECES))
    with pytest.raises(RuntimeError, match="a defect"):
        await client.buy(order(world.run))
    assert world.states() == ["settled"]
    assert (await client.buy(order(world.run))).answer.finish is Finish.CUT


async def test_cut_answers_are_exported_imported_and_verified(world: World, tmp_path: Path) -> None:
    author = ScriptedAuthor([failed(Failure.DISCONNECTED)], pieces=PIECES)
    bought = await world.purchase(author).buy(order(world.run))
    copy = place(tmp_path / "copy")
    import_(copy, export(world.path, texts=True))
    assert verify(copy).ok
    with closing(Ledger.open(copy, clock=world.clock)) as ledger:
        client = BudgetedClient(ledger=ledger, author=author)
        again = await client.buy(order(begin(ledger)))
        assert (again.reused, again.answer) == (True, bought.answer)


DYING = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from buying import begin, order
from expand.ledger import Ledger
from expand.client.client import BudgetedClient

class Author:
    async def complete(self, request, *, client_request_id, on_text):
        on_text("First half")
        os._exit(9)

async def main():
    ledger = Ledger.open(Path(sys.argv[1]))
    await BudgetedClient(ledger=ledger, author=Author()).buy(order(begin(ledger)))

asyncio.run(main())
"""


async def test_what_had_arrived_in_a_process_that_is_killed_is_lost_and_charged(tmp_path: Path) -> None:
    path = place(tmp_path)
    command = (sys.executable, "-c", DYING, str(path), str(Path(__file__).parent))
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 9
    with closing(Ledger.open(path)) as ledger:
        run = begin(ledger)
        assert [row.state for row in ledger.attempts()] == [State.UNKNOWN]
        assert ledger.balance("book").unknown_tokens == RESERVED
        assert ledger.known(order(run)) is None
    assert verify(path).ok


# --- cancelled callers, full disks, power cuts ----------------------------------------------------


async def test_a_purchase_cancelled_before_it_sends_is_charged_nothing(world: World) -> None:
    author = ScriptedAuthor()
    client = world.purchase(author, pilot_seconds=0)
    for turns in (0, 1, 2, 3, 4, 5, 10, 30):  # wherever it is by then: at last, behind its answer
        task = asyncio.create_task(client.buy(order(world.run, str(turns))))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.drain()
        balance = world.ledger.balance("book")
        assert (balance.reserved_tokens, balance.unknown_tokens) == (0, 0), turns
    assert author.asked


@pytest.mark.parametrize("freed", [True, False])
async def test_an_answer_that_waits_for_a_full_disk_is_tried_once_more_at_a_second_stop(
    world: World, monkeypatch: pytest.MonkeyPatch, freed: bool
) -> None:
    def full(*_: object, **__: object) -> None:
        raise LedgerBusyError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(world.ledger, "settle", full)
        client = world.purchase(ScriptedAuthor(), sleep=_forever)
        buying = asyncio.create_task(client.buy(order(world.run)))
        await until(lambda: "waiting" in world.kinds())
        if freed:
            patch.undo()
        client.stop()
        client.stop()
        if freed:
            assert (await buying).answer.text
        else:
            with pytest.raises(StoppedError, match="cannot be stored: the disk is full"):
                await buying
    assert (world.ledger.known(order(world.run)) is not None) is freed


def test_a_commit_waits_for_the_disk(world: World) -> None:
    """So a power cut takes nothing that was sent or handed out."""
    assert world.ledger.database.query("PRAGMA journal_mode")[0][0] == "wal"
    assert world.ledger.database.query("PRAGMA synchronous")[0][0] == 2  # FULL


BUYING = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from buying import ScriptedAuthor, order
from expand.ledger import Ledger
from expand.client.client import BudgetedClient

async def main():
    ledger = Ledger.open(Path(sys.argv[1]))
    run = ledger.begin_run(limits={})
    author = ScriptedAuthor(delay=0.05)
    purchase = BudgetedClient(ledger=ledger, author=author)
    bought = await asyncio.gather(*(purchase.buy(order(run, str(n))) for n in range(12)))
    await purchase.drain()
    ledger.close()
    print(len(author.asked), *sorted({each.answer.text for each in bought}), sep="|")

asyncio.run(main())
"""


async def test_two_processes_share_what_they_buy(tmp_path: Path) -> None:
    path = place(tmp_path)
    command = (sys.executable, "-c", BUYING, str(path), str(Path(__file__).parent))
    pipe = asyncio.subprocess.PIPE
    processes = [await asyncio.create_subprocess_exec(*command, stdout=pipe) for _ in range(2)]
    told = [(await process.communicate())[0].decode().strip().split("|") for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum(int(asked) for asked, *_ in told) == 12
    assert told[0][1:] == told[1][1:] == sorted(f"to {n}" for n in range(12))
    assert verify(path).ok


async def test_a_pause_that_is_in_the_ledger_holds_back_whatever_is_not_sent(world: World) -> None:
    author = ScriptedAuthor()
    world.ledger.pause("m", 7.0)
    start = world.clock.now
    bought = await world.purchase(author).buy(order(world.run))
    assert (bought.attempts, len(author.asked)) == (1, 1)
    assert (world.clock.now - start).total_seconds() >= 7.0
    assert world.states() == ["settled"]


async def test_the_author_is_made_ready_before_anything_is_reserved(world: World) -> None:
    seen: list[int] = []

    async def prepare(model: str) -> None:
        assert model == "m"
        seen.append(world.ledger.balance("book").reserved_tokens)

    purchase = world.purchase(ScriptedAuthor(), prepare=prepare)
    await purchase.buy(order(world.run))
    assert seen
    assert set(seen) == {0}
    seen.clear()
    assert (await purchase.buy(order(world.run))).reused
    assert seen == []


# --- models that another one stands in for -----------------------------------------------------


@pytest.mark.parametrize("failure", sorted(set(Failure) - {Failure.CANCELLED, Failure.CRASHED, Failure.RATE_LIMITED}))
async def test_a_model_that_another_stands_in_for_is_given_up_after_any_trouble_of_its_server(
    world: World, failure: Failure
) -> None:
    tries = REPLACEABLE_TRIES if failure is Failure.OVERLOADED else RULES[failure].tries
    author = ScriptedAuthor([failed(failure)] * tries)
    purchase = world.purchase(author, replaceable=frozenset({"m"}))
    with pytest.raises(AuthorError):
        await purchase.buy(order(world.run))
    # What a filter says is about the request alone.
    assert (purchase._model("m").given_up is None) == (failure in (Failure.FILTERED, Failure.TOO_LONG))
    assert purchase._model("another").given_up is None
    assert len(author.asked) == tries


async def test_a_model_that_cannot_be_made_ready_is_not_tried_again(world: World) -> None:
    tries: list[str] = []

    async def prepare(model: str) -> None:
        tries.append(model)
        raise AuthorError("it does not start")

    purchase = world.purchase(ScriptedAuthor(), prepare=prepare)
    for text in ("one", "two"):
        with pytest.raises(AuthorError, match="it does not start"):
            await purchase.buy(order(world.run, text))
    assert tries == ["m"]
    assert world.states() == []
