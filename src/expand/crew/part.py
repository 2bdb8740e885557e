"""A member's part in the run: what it looks at, what it takes from the pile, when it may send."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence

from expand.crew.pile import Pile
from expand.crew.words import (
    Asking,
    Condemned,
    Done,
    Go,
    Leave,
    Looked,
    Proven,
    Surveyed,
    Word,
)
from expand.drafting.events import SectionPlanned
from expand.drafting.result import ChapterResult
from expand.drafting.sharing import Jobs
from expand.errors import AuthorError
from expand.purchase.dispatch import StoppedError
from expand.purchase.proof import Proof


class Part:
    """The ``Sharing`` of member ``number`` (from 0) of so many; ``width`` is how many sections it
    works on side by side.
    """

    def __init__(
        self, *, number: int, members: int, width: int, pile: Pile, say: Callable[[Word], None]
    ) -> None:
        self.proof = Proof(self._on_proof)
        self.at = 0
        """The place in the commission of the chapter that is being looked at."""
        self._number = number
        self._members = members
        self._width = width
        self._pile = pile
        self._say = say
        self._looked = asyncio.Event()
        self._going = asyncio.Event()
        self._jobs: Jobs = ()
        self._asked = False
        self._may = asyncio.Event()
        self._answers = False
        self._stopping = False
        self._disbanded = False

    @property
    def going(self) -> bool:
        """Whether all agreed on what is to be done."""
        return self._going.is_set() and not self._disbanded

    def mine(self, chapters: Sequence[str]) -> Iterator[str]:
        """One chapter of every so many: each member's part is from all over the book."""
        for at in range(self._number, len(chapters), self._members):
            self.at = at
            yield chapters[at]

    async def looked(self) -> None:
        """Wait until all have looked. Raises ``StoppedError`` when something is wrong."""
        self._say(Looked())
        await self._looked.wait()
        self._check()

    async def begin(self, planned: Sequence[SectionPlanned], jobs: Jobs) -> Iterable[Jobs]:
        """Blocks from the pile, once all agree. Raises ``StoppedError`` when they do not."""
        self._say(Surveyed(planned=tuple(planned), jobs=tuple(tuple(each) for each in jobs)))
        await self._going.wait()
        self._check()
        return self._blocks()

    async def leave(self) -> bool:
        """Wait until this member is the one that may send, or the author is known to answer."""
        if not self._asked:
            self._asked = True
            self._say(Asking())
        await self._may.wait()
        if self.proof.fatal is not None:
            raise AuthorError(str(self.proof.fatal))
        if self._stopping:
            raise StoppedError("stopped before it was sent")
        return self._answers

    def done(self, result: ChapterResult) -> None:
        """The captain has the result from here on."""
        self._say(Done(result=result))

    def hear(self, word: Word) -> None:
        """Take in what the captain says."""
        match word:
            case Looked():
                self._looked.set()
            case Go(jobs=jobs):
                self._jobs = jobs
                self._going.set()
            case Leave(proven=proven):
                self._answers = proven
                self._may.set()
            case Condemned(message=message):
                self.proof.refuse(AuthorError(message))
                self._may.set()

    def stop(self) -> None:
        """Nothing new is to be sent; who waits to send does not."""
        self._stopping = True
        self._may.set()

    def disband(self) -> None:
        """The captain is gone, or wants nobody any more."""
        self._disbanded = not self._going.is_set()
        self._looked.set()
        self._going.set()
        self.stop()

    def _blocks(self) -> Iterator[Jobs]:
        while taken := self._pile.take(self._width):
            yield [self._jobs[number] for number in taken]

    def _check(self) -> None:
        if self._disbanded:
            raise StoppedError("the run ended before anything was sent")

    def _on_proof(self, proof: Proof) -> None:
        if proof.fatal is not None:
            self._say(Condemned(message=str(proof.fatal)))
        else:
            self._say(Proven())
