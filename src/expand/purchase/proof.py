"""What a run knows of its author: nothing yet, that it answers, or that it sells nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from expand.errors import AuthorError


class Proof:
    """Whether the author of a run is one that answers. ``proven`` stays set once it is."""

    def __init__(self) -> None:
        self.proven = asyncio.Event()
        self.fatal: AuthorError | None = None
        """Why the whole run cannot go on; every further order is refused with the same words."""

    def give(self) -> None:
        """The author answers, or has not refused in time."""
        self.proven.set()

    @contextmanager
    def given_after(self, seconds: float) -> Iterator[None]:
        """An author that has not refused an attempt within so many seconds is taken to be one that
        answers.
        """
        if self.proven.is_set():
            yield
            return
        timer = asyncio.get_running_loop().call_later(seconds, self.give)
        try:
            yield
        finally:
            timer.cancel()

    def refuse(self, error: AuthorError) -> None:
        """Nothing more can be bought; the first reason stays."""
        if self.fatal is None:
            self.fatal = error
