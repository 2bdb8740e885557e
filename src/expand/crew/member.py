"""A member of the crew: an ordinary expansion of its part, in a process of its own."""

from __future__ import annotations

import asyncio
import signal
import socket
import traceback
from dataclasses import dataclass

from expand.crew.part import Part
from expand.crew.pile import Pile
from expand.crew.wire import Wire, wire
from expand.crew.words import Begin, Ended, Failed, Happened, Stop, Word
from expand.drafting.events import Event
from expand.drafting.expansion import Expansion
from expand.drafting.result import RunResult
from expand.drafting.session import Reading, carry_out
from expand.errors import ExpandError, InputError, InputErrors
from expand.ledger import Ledger

BATCH_SECONDS = 0.05
"""How long an event may wait for others, so that many are told at once."""
ASK_SECONDS = 0.5
"""A SIGTERM to a member is passed to the captain that much later: where all processes got one, the
captain's own comes first, and it counts once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Duty:
    """What a member is to do: ``number`` from 0 of ``members``, ``width`` sections side by side."""

    number: int
    members: int
    width: int
    unpriced: bool


def serve(duty: Duty, reading: Reading, pile: Pile, end: socket.socket) -> None:
    """Serve until the part is over or the captain is gone. Called in the member's process, with
    SIGINT and SIGTERM blocked.

    Ctrl-C reaches all processes of a terminal at once: only the captain minds it, and says so.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    asyncio.run(_Member(duty, reading, pile).serve(end))


class _Member:
    def __init__(self, duty: Duty, reading: Reading, pile: Pile) -> None:
        self._duty = duty
        self._reading = reading
        self._part = Part(
            number=duty.number, members=duty.members, width=duty.width, pile=pile, say=self._say
        )
        self._wire: Wire | None = None
        self._begun = asyncio.Event()
        self._run_id = ""
        self._expansion: Expansion | None = None
        self._stops = 0
        self._events: list[Event] = []

    async def serve(self, end: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._wire = await wire(end, self._hear, self._lost)
        loop.add_signal_handler(signal.SIGTERM, loop.call_later, ASK_SECONDS, self._say, Stop())
        await self._begun.wait()
        try:
            result = await self._carry_out()
            self._say(Ended(stopped_by=result.stopped_by, refused=result.refused))
        except ExpandError as error:
            kind = InputError if isinstance(error, InputErrors) else type(error)
            self._say(Failed(kind=kind, message=str(error), at=self._part.at))
        except Exception as error:
            trace = "".join(traceback.format_exception(error))
            self._say(Failed(kind=ExpandError, message=str(error), at=self._part.at, trace=trace))
        await self._wire.close()

    async def _carry_out(self) -> RunResult:
        ledger = Ledger.open(self._reading.workspace.ledger_place)
        try:
            return await carry_out(
                self._reading,
                ledger=ledger,
                run=ledger.join_run(self._run_id),
                workers=self._duty.width,
                unpriced=self._duty.unpriced,
                sharing=self._part,
                on_event=self._on_event,
                on_ready=self._on_ready,
            )
        finally:
            ledger.close()

    def _on_ready(self, expansion: Expansion) -> None:
        self._expansion = expansion
        for _ in range(self._stops):
            expansion.stop()

    def _on_event(self, event: Event) -> None:
        if not self._events:
            asyncio.get_running_loop().call_later(BATCH_SECONDS, self._tell)
        self._events.append(event)

    def _tell(self) -> None:
        if self._events and self._wire is not None:
            events, self._events = tuple(self._events), []
            self._wire.say(Happened(events=events))

    def _say(self, word: Word) -> None:
        """Says something, after what happened before it."""
        self._tell()
        if self._wire is not None:
            self._wire.say(word)

    def _hear(self, word: Word) -> None:
        match word:
            case Begin(run_id=run_id):
                self._run_id = run_id
                self._begun.set()
            case Stop():
                self._stop()
            case _:
                self._part.hear(word)

    def _stop(self) -> None:
        self._stops += 1
        self._part.stop()
        if self._expansion is not None:
            self._expansion.stop()

    def _lost(self) -> None:
        """The captain is gone: what is in flight arrives, and is kept."""
        self._part.disband()
        self._begun.set()
        if not self._stops:
            self._stop()
