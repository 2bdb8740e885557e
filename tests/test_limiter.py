"""The limiter: the order in which waiting requests go, and that all go behind the first one of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from buying import ScriptedAuthor, begin, order, place

from expand.client.client import BudgetedClient, StoppedError
from expand.client.limiter import Canary, Limiter
from expand.ledger import Ledger, ModelLimits


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(place(tmp_path))
    yield opened
    opened.close()


async def settled() -> None:
    """All tasks have gone as far as they can."""
    for _ in range(20):
        await asyncio.sleep(0.001)


async def test_a_stop_wakes_whoever_waits_for_the_model(ledger: Ledger) -> None:
    run, author = begin(ledger), ScriptedAuthor(hold=asyncio.Event())
    buying = BudgetedClient(ledger=ledger, author=author, pilot_seconds=0)
    one = ModelLimits(concurrency=1)
    tasks = [asyncio.create_task(buying.buy(order(run, str(n), rates=one))) for n in range(3)]
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


async def test_a_request_keeps_its_place_when_nobody_waits_for_it_any_more(ledger: Ledger) -> None:
    run, author = begin(ledger), ScriptedAuthor(hold=asyncio.Event())
    buying = BudgetedClient(ledger=ledger, author=author, pilot_seconds=0)
    one = ModelLimits(concurrency=1)
    gone, waiting = (asyncio.create_task(buying.buy(order(run, str(n), rates=one))) for n in range(2))
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


class Queue:
    """Tasks that go through a limiter, and the order in which they went."""

    def __init__(self) -> None:
        self.limiter = Limiter()
        self.went: list[str] = []

    def go(self, name: str, rank: int = 1, *, model: str = "m") -> asyncio.Task[None]:
        return asyncio.create_task(self._go(name, rank, model))

    async def _go(self, name: str, rank: int, model: str) -> None:
        with self.limiter.queue(model, rank) as place:
            await self.limiter.turn(model, place)
            self.went.append(name)


async def test_what_was_begun_goes_before_what_was_not_and_else_first_come_first_served() -> None:
    queue = Queue()
    with queue.limiter.queue("m", 0):  # it stays at the head, as it does while the model is paused
        tasks = [queue.go("a"), queue.go("b"), queue.go("c"), queue.go("begun", 0)]
        await settled()
        assert queue.went == []
    await asyncio.gather(*tasks)
    assert queue.went == ["begun", "a", "b", "c"]


async def test_who_goes_away_while_waiting_takes_no_place() -> None:
    queue = Queue()
    with queue.limiter.queue("m", 0):
        tasks = [queue.go(name) for name in "abcd"]
        await settled()
        tasks[2].cancel()  # from the middle of the queue
        await settled()
    tasks[0].cancel()  # it is its turn, and it goes away in the same moment
    await settled()
    assert queue.went == ["b", "d"]
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_model_does_not_wait_for_another() -> None:
    queue = Queue()
    with queue.limiter.queue("m", 0):
        waiting = queue.go("m")
        await queue.go("another", model="another")
        await settled()
        assert queue.went == ["another"]
    await waiting
    assert queue.went == ["another", "m"]


async def test_a_newcomer_of_a_smaller_rank_passes_the_head_of_the_queue() -> None:
    queue = Queue()
    with queue.limiter.queue("m", 1):
        waiting = queue.go("waiting")
        await settled()
        urgent = queue.go("urgent", 0)
        await urgent
        assert queue.went == ["urgent"]
    await waiting
    assert queue.went == ["urgent", "waiting"]


async def test_behind_a_canary_one_leads_after_the_other_until_it_passes() -> None:
    canary = Canary(passed=False)
    assert await canary.enter()
    others = [asyncio.create_task(canary.enter()) for _ in range(3)]
    await settled()
    assert not any(other.done() for other in others)
    canary.leave()  # its order has ended, and nobody knows whether the author answers
    await settled()
    assert [other.done() for other in others] == [True, False, False]
    assert others[0].result()
    canary.passes()
    canary.passes()  # harmless
    assert [await other for other in others[1:]] == [False, False]
    canary.leave()
    assert not await canary.enter()
