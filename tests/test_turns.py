"""Work that takes its time is done once in each turn of the event loop."""

from __future__ import annotations

import asyncio

from expand.drafting.turns import Turns


class Worked:
    """What was done, and in which turn of the event loop."""

    def __init__(self, turns: Turns) -> None:
        self.done: list[tuple[int, str]] = []
        self._turns = turns
        self._turn = 0

    async def work(self, name: str) -> None:
        await self._turns.wait()
        self.done.append((self._turn, name))

    async def count(self, most: int) -> None:
        for self._turn in range(most):  # read by the others
            await asyncio.sleep(0)


async def test_one_works_in_each_turn_in_the_order_they_came() -> None:
    worked = Worked(Turns())
    await asyncio.gather(worked.count(20), *(worked.work(name) for name in "abcd"))
    assert "".join(name for _, name in worked.done) == "abcd"
    assert len({turn for turn, _ in worked.done}) == 4


async def test_who_is_alone_does_not_wait() -> None:
    turns = Turns()
    for _ in range(3):
        waited = asyncio.create_task(turns.wait())
        await asyncio.sleep(0)
        assert waited.done()
        await asyncio.sleep(0)


async def test_who_has_gone_away_takes_no_turn() -> None:
    worked = Worked(Turns())
    tasks = [asyncio.create_task(worked.work(name)) for name in "abc"]
    await asyncio.sleep(0)
    tasks[1].cancel()
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks, return_exceptions=True)
    assert [name for _, name in worked.done] == ["a", "c"]
