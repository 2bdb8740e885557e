"""How the chapters of a run come to the process that drafts them: all of them, or a share.

A run of one process has them all to itself. Where several processes are one run, each looks at its
own part before anything is spent, all agree, and then each takes what comes next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from expand.drafting.commission import Job
from expand.drafting.events import Event, RunPlanned, SectionPlanned
from expand.drafting.result import ChapterResult
from expand.purchase.proof import Proof

Jobs = Sequence[Sequence[Job]]
"""What is to be done, chapter by chapter."""


class Sharing(Protocol):
    """A process's part in a run."""

    @property
    def proof(self) -> Proof:
        """What is known of the author."""

    def mine(self, chapters: Sequence[str]) -> Iterable[str]:
        """The chapters that this process looks at before anything is spent."""

    async def looked(self) -> None:
        """Wait until every chapter was looked at and nothing is wrong with any."""

    async def begin(self, planned: Sequence[SectionPlanned], jobs: Jobs) -> Iterable[Jobs]:
        """Say what was found; returns what is to be done, block by block, once all agree."""

    async def leave(self) -> bool:
        """Wait until this process may send its first request; returns whether the author is known
        to answer. Raises ``AuthorError`` when it is known that it does not.
        """

    def done(self, result: ChapterResult) -> None:
        """A chapter is finished, for better or worse."""


class Alone:
    """A run of one process."""

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self.proof = Proof()
        self._on_event = on_event

    def mine(self, chapters: Sequence[str]) -> Iterable[str]:
        """All of them."""
        return chapters

    async def looked(self) -> None:
        """Nobody else has to."""

    async def begin(self, planned: Sequence[SectionPlanned], jobs: Jobs) -> Iterable[Jobs]:
        """Everything is one block."""
        self._on_event(RunPlanned(sections=tuple(planned)))
        return (jobs,)

    async def leave(self) -> bool:
        """At once."""
        return False

    def done(self, result: ChapterResult) -> None:
        """Nobody else has to know."""
