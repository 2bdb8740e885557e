"""The gate: so many requests on their way at once, and a free place is taken at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from buying import ScriptedAuthor, answer, begin, failed, order, place

from expand.client.client import BudgetedClient
from expand.client.in_flight import StoppedError
from expand.client.limiter import ConcurrencyLimiter
from expand.ledger import Ledger, Run
from expand.llm.types import Failure


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(place(tmp_path))
    yield opened
    opened.close()


def purchase(ledger: Ledger, run: Run, author: ScriptedAuthor, at_once: int) -> BudgetedClient:
    return BudgetedClient(ledger=ledger, author=author, pilot_seconds=0, at_once=at_once)


async def settled() -> None:
    """All tasks have gone as far as they can, and the disk has answered."""
    for _ in range(20):
        await asyncio.sleep(0.005)


async def test_no_more_requests_are_on_their_way_than_it_has_places(ledger: Ledger) -> None:
    run, author = begin(ledger, 100_000), ScriptedAuthor(delay=0.005)
    buying = purchase(ledger, run, author, 3)
    await asyncio.gather(*(buying.buy(order(run, str(n))) for n in range(12)))
    assert (len(author.asked), author.most_at_once) == (12, 3)


async def test_the_next_request_goes_with_the_answer_before_it(ledger: Ledger) -> None:
    """An answer is stored and the next request reserved in one wait for the disk."""
    run, author = begin(ledger), ScriptedAuthor(hold=asyncio.Event())
    buying = purchase(ledger, run, author, 1)
    tasks = [asyncio.create_task(buying.buy(order(run, str(n)))) for n in range(2)]
    await settled()
    assert author.asked == ["0"]
    groups, together = 0, ledger.together

    def counted() -> object:
        nonlocal groups
        groups += 1
        return together()

    ledger.together = counted  # type: ignore[assignment,method-assign]
    assert author.hold
    author.hold.set()
    await asyncio.gather(*tasks)
    assert groups == 2
    assert [row.state for row in ledger.attempts()] == ["settled", "settled"]


async def test_a_failed_request_frees_its_place(ledger: Ledger) -> None:
    run = begin(ledger)
    author = ScriptedAuthor([failed(Failure.FILTERED), answer()])
    buying = purchase(ledger, run, author, 1)
    first, second = await asyncio.gather(*(buying.buy(order(run, str(n))) for n in range(2)), return_exceptions=True)
    assert isinstance(first, Exception)
    assert not isinstance(second, BaseException)


async def test_a_stop_wakes_whoever_waits_for_a_place(ledger: Ledger) -> None:
    run, author = begin(ledger), ScriptedAuthor(hold=asyncio.Event())
    buying = purchase(ledger, run, author, 1)
    tasks = [asyncio.create_task(buying.buy(order(run, str(n)))) for n in range(3)]
    await settled()
    buying.stop()
    await settled()
    assert [task.done() for task in tasks] == [False, True, True]
    for task in tasks[1:]:
        with pytest.raises(StoppedError):
            task.result()
    assert author.hold
    author.hold.set()
    await tasks[0]
    assert author.asked == ["0"]


async def test_what_was_begun_goes_before_what_was_not() -> None:
    gate, went = ConcurrencyLimiter(1), list[str]()

    async def go(name: str, rank: int) -> None:
        ticket = await gate.enter(rank)
        went.append(name)
        await asyncio.sleep(0)
        ticket.give_up()
        ticket.give_up()  # harmless

    await asyncio.gather(go("a", 1), go("b", 1), go("c", 1), go("begun", 0))
    assert went == ["a", "begun", "b", "c"]


async def test_who_goes_away_while_waiting_takes_no_place() -> None:
    gate = ConcurrencyLimiter(1)
    first = await gate.enter(0)
    waiting = [asyncio.create_task(gate.enter(0)) for _ in range(3)]
    await settled()
    waiting[0].cancel()  # it never gets a place
    await settled()
    first.give_up()
    waiting[1].cancel()  # it has been given one, and goes away in the same moment
    await settled()
    assert [task.done() for task in waiting] == [True, True, True]
    last = waiting[2].result()
    last.give_up()
    assert await asyncio.wait_for(gate.enter(0), 1)


async def test_without_a_bound_everybody_goes_in(ledger: Ledger) -> None:
    run, author = begin(ledger, 100_000), ScriptedAuthor(delay=0.005)
    buying = BudgetedClient(ledger=ledger, author=author, pilot_seconds=0)
    await asyncio.gather(*(buying.buy(order(run, str(n))) for n in range(12)))
    assert author.most_at_once == 12


async def test_a_request_keeps_its_place_when_nobody_waits_for_it_any_more(
    ledger: Ledger,
) -> None:
    run, author = begin(ledger), ScriptedAuthor(hold=asyncio.Event())
    buying = purchase(ledger, run, author, 1)
    gone, waiting = (asyncio.create_task(buying.buy(order(run, str(n)))) for n in range(2))
    await settled()
    gone.cancel()
    await settled()
    assert (gone.cancelled(), author.asked) == (True, ["0"])
    assert author.hold
    author.hold.set()
    await waiting
    assert (author.asked, author.most_at_once) == (["0", "1"], 1)
    await buying.drain()
    assert [row.state for row in ledger.attempts()] == ["settled", "settled"]
