"""Turns: work that takes its time, once in each turn of the event loop.

When many answers arrive at one moment, to work one of them into its text is quick, and all of them
together are what the requests that could go out meanwhile would wait for.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """Turns for the tasks of one event loop, in the order in which they ask."""

    def __init__(self) -> None:
        self._taken = False
        self._line: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Until nobody else has had this turn of the event loop: mostly not at all."""
        loop = asyncio.get_running_loop()
        if not self._taken:
            self._taken = True
            loop.call_soon(self._next)
            return
        mine = loop.create_future()
        self._line.append(mine)
        await mine

    def _next(self) -> None:
        while self._line:
            first = self._line.popleft()
            if not first.done():  # else it was cancelled
                first.set_result(None)
                asyncio.get_running_loop().call_soon(self._next)
                return
        self._taken = False
