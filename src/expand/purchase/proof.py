"""What a run knows of its author: nothing yet, that it answers, or that it sells nothing.

The processes of one run tell each other through it, so that a wrong key costs one attempt in all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from expand.errors import AuthorError


class Proof:
    """Whether the author of a run is one that answers. ``proven`` stays set once it is."""

    def __init__(self, on_change: Callable[[Proof], None] | None = None) -> None:
        """``on_change`` hears of each change, once."""
        self.proven = asyncio.Event()
        self.fatal: AuthorError | None = None
        """Why the whole run cannot go on; every further order is refused with the same words."""
        self._on_change = on_change

    def give(self) -> None:
        """The author answers, or has not refused in time."""
        if not self.proven.is_set():
            self.proven.set()
            self._tell()

    def refuse(self, error: AuthorError) -> None:
        """Nothing more can be bought; the first reason stays."""
        if self.fatal is None:
            self.fatal = error
            self._tell()

    def _tell(self) -> None:
        if self._on_change is not None:
            self._on_change(self)
