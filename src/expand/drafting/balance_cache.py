"""What is left of the book's budget, for those who watch."""

from __future__ import annotations

import time
from collections.abc import Callable

from expand.ledger import Ledger

SECONDS = 0.1
"""How old the figure may be: sections that grow hundreds of times a second need not ask each."""


class BalanceCache:
    """The book's remaining tokens, asked for only so often; None without a limit."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._clock = clock
        self._tokens: int | None = None
        self._until = clock()

    def tokens(self) -> int | None:
        """What is left, at most ``SECONDS`` ago."""
        now = self._clock()
        if now >= self._until:
            self._tokens = self._ledger.balance("book").remaining_tokens
            self._until = now + SECONDS
        return self._tokens
