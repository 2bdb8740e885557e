"""Waiting that a stop cuts short."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def first(*waits: Awaitable[object]) -> None:
    """Until the first of them is over; the others are not waited for any more."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


class Rest:
    """Rest for the tasks of one run, until it is stopped. ``sleep`` takes seconds."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._sleep = sleep
        self._ended = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether there is none any more."""
        return self._ended.is_set()

    def end(self) -> None:
        """Wake all who rest; nobody rests from now on."""
        self._ended.set()

    async def take(self, seconds: float, *, or_until: asyncio.Event | None = None) -> None:
        """Sleep, but not beyond the end, nor beyond ``or_until``."""
        if seconds > 0 and not self.ended:
            others = [or_until.wait()] if or_until is not None else []
            await first(self._sleep(seconds), self._ended.wait(), *others)
