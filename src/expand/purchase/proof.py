"""What a run knows of its author: nothing yet, that it answers, or that it sells nothing."""

from __future__ import annotations

import asyncio

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

    def refuse(self, error: AuthorError) -> None:
        """Nothing more can be bought; the first reason stays."""
        if self.fatal is None:
            self.fatal = error
