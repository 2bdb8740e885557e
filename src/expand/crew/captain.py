"""The captain: begins the run, has its members agree, hears what they do, and adds it all up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from expand.crew.muster import Crew, Hand
from expand.crew.wire import Wire, wire
from expand.crew.words import (
    Asking,
    Begin,
    Condemned,
    Done,
    Ended,
    Failed,
    Go,
    Happened,
    Leave,
    Looked,
    Proven,
    Stop,
    Surveyed,
    Word,
)
from expand.drafting.events import Event, Notice, RunPlanned, SectionPlanned
from expand.drafting.expansion import Expansion
from expand.drafting.result import ChapterResult, Refusal, RunResult
from expand.drafting.session import Reading, begin, carry_out
from expand.drafting.sharing import Alone, Jobs
from expand.errors import AuthorError, ExpandError
from expand.ledger import Ledger


class MemberLostError(ExpandError):
    """A process of the run was killed before all had agreed on what is to be done."""


class _Member:
    """A member as the captain knows it."""

    def __init__(self, hand: Hand) -> None:
        self.hand = hand
        self.looked = False
        self.survey: Surveyed | None = None
        self.asking = False
        self.ended: Ended | Failed | None = None
        self.wire: Wire | None = None

    @property
    def gone(self) -> bool:
        """Whether nothing more will be heard of it."""
        return self.wire is not None and self.wire.lost.is_set()

    def say(self, word: Word) -> None:
        """Say something to it."""
        if self.wire is not None:
            self.wire.say(word)

    def fate(self) -> str:
        """How its process ended."""
        self.hand.process.join()
        code = self.hand.process.exitcode or 0
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"process {self.hand.process.pid} of this run {how}"


class Captain:
    """One run of several processes."""

    def __init__(
        self,
        reading: Reading,
        crew: Crew,
        *,
        budget_tokens: int | None,
        unpriced: bool,
        on_event: Callable[[Event], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reading = reading
        self._crew = crew
        self._budget_tokens = budget_tokens
        self._unpriced = unpriced
        self._on_event = on_event
        self._clock = clock
        self._members = [_Member(hand) for hand in crew.hands]
        self._news = asyncio.Event()
        self._results: dict[str, ChapterResult] = {}
        self._proven = False
        self._condemned = ""
        self._pilot: _Member | None = None
        self._stops = 0
        self._remnant: Expansion | None = None

    def stop(self) -> None:
        """Begin nothing new; what is in flight arrives. Called again, that is left unknown."""
        self._stops += 1
        self._say(Stop())
        if self._remnant is not None:
            self._remnant.stop()

    async def expand(self) -> RunResult:
        """Drafts the chapters; everything bought is in the drafts when it returns.

        Raises ``InputError`` before anything is sent when the input is wrong.
        """
        began = self._clock()
        for member in self._members:
            member.wire = await wire(member.hand.end, self._hearing(member), self._news.set)
        ledger = Ledger.open(self._reading.workspace.ledger_place)
        try:
            run = begin(ledger, self._reading, budget_tokens=self._budget_tokens)
            self._say(Begin(run_id=run.id))
            await self._agree()
            await self._until(lambda member: member.gone)
            parts = [m.ended for m in self._members if isinstance(m.ended, Ended)]
            for member in self._members:
                if isinstance(member.ended, Failed):
                    raise member.ended.error()
            if rest := self._rest():
                ledger.recover()
                parts.append(await self._finish(rest, ledger, run.id))
            return self._added_up(parts, ledger, self._clock() - began)
        finally:
            ledger.close()

    async def _agree(self) -> None:
        """Have the members look at everything, and go only if nothing is wrong."""
        if self._reading.commission.fresh:
            await self._until(lambda member: member.looked or member.gone)
            self._require_all()
            self._say(Looked())
        await self._until(lambda member: member.survey is not None or member.gone)
        self._require_all()
        order = {c: at for at, c in enumerate(self._reading.commission.chapters)}
        surveys = [member.survey for member in self._members if member.survey is not None]
        planned: list[SectionPlanned] = [each for s in surveys for each in s.planned]
        planned.sort(key=lambda each: (order[each.chapter], each.section))
        jobs = sorted((j for s in surveys for j in s.jobs), key=lambda j: order[j[0].chapter])
        for member in self._members:
            member.survey = None
        self._on_event(RunPlanned(sections=tuple(planned)))
        self._crew.pile.lay(len(jobs))
        self._say(Go(jobs=tuple(jobs)))

    def _require_all(self) -> None:
        """Raises what is wrong, by the first chapter that it is wrong with."""
        failed = [m.ended for m in self._members if isinstance(m.ended, Failed)]
        if failed:
            raise min(failed, key=lambda failure: failure.at).error()
        for member in self._members:
            if member.gone:
                raise MemberLostError(
                    f"{member.fate()} before anything was sent; run the command again"
                )

    async def _until(self, holds: Callable[[_Member], bool]) -> None:
        """Wait until something holds of every member."""
        while not all(holds(member) for member in self._members):
            self._news.clear()
            await self._news.wait()
            self._appoint()

    def _hearing(self, member: _Member) -> Callable[[Word], None]:
        return lambda word: self._hear(member, word)

    def _hear(self, member: _Member, word: Word) -> None:
        match word:
            case Happened(events=events):
                for event in events:
                    self._on_event(event)
                return
            case Done(result=result):
                self._results[result.id] = result
                return
            case Looked():
                member.looked = True
            case Surveyed():
                member.survey = word
            case Asking():
                member.asking = True
            case Proven():
                self._proven = True
            case Condemned(message=message):
                self._condemn(member, message)
            case Stop():
                self._asked_to_stop(member)
            case Ended() | Failed():
                member.ended = word
                if isinstance(word, Failed) and not self._stops:
                    self.stop()
        self._news.set()

    def _appoint(self) -> None:
        """Let one member send ahead of the others until the author is known to answer."""
        if self._pilot is not None and self._pilot.gone:
            self._pilot = None
        for member in self._members:
            if member.asking and not member.gone and (self._proven or self._pilot is None):
                member.asking = False
                self._pilot = member
                member.say(Leave(proven=self._proven))

    def _condemn(self, member: _Member, message: str) -> None:
        if not self._condemned:
            self._condemned = message
            for other in self._members:
                if other is not member:
                    other.say(Condemned(message=message))

    def _asked_to_stop(self, member: _Member) -> None:
        if not self._stops:
            pid = member.hand.process.pid
            self._on_event(Notice(message=f"process {pid} of this run was asked to stop: all do"))
            self.stop()

    def _say(self, word: Word) -> None:
        for member in self._members:
            member.say(word)

    def _rest(self) -> tuple[str, ...]:
        """The chapters that killed members left, and a word about each of those."""
        for member in self._members:
            if member.ended is None:
                self._on_event(
                    Notice(message=f"{member.fate()}; what it bought is kept, the rest goes on")
                )
        chapters = self._reading.commission.chapters
        return tuple(chapter for chapter in chapters if chapter not in self._results)

    async def _finish(self, chapters: tuple[str, ...], ledger: Ledger, run_id: str) -> Ended:
        """Do what is left in this process."""
        sharing = _Remnant(self._on_event, self._results)
        if self._condemned:
            sharing.proof.refuse(AuthorError(self._condemned))
        commission = replace(self._reading.commission, chapters=chapters, fresh=False)
        result = await carry_out(
            replace(self._reading, commission=commission),
            ledger=ledger,
            run=ledger.join_run(run_id),
            workers=self._reading.workers,
            unpriced=self._unpriced,
            sharing=sharing,
            on_event=self._on_event,
            on_ready=self._on_remnant,
        )
        return Ended(stopped_by=result.stopped_by, refused=result.refused)

    def _on_remnant(self, expansion: Expansion) -> None:
        self._remnant = expansion
        for _ in range(self._stops):
            expansion.stop()

    def _added_up(self, parts: Iterable[Ended], ledger: Ledger, seconds: float) -> RunResult:
        asked = self._reading.commission.chapters
        order = {chapter: at for at, chapter in enumerate(asked)}
        refused: list[Refusal] = [each for part in parts for each in part.refused]
        refused.sort(key=lambda each: (order[each.chapter], each.section))
        stops = [part.stopped_by for part in parts if part.stopped_by]
        chapters = tuple(self._results[chapter] for chapter in asked)
        return RunResult(
            chapters=chapters,
            balance=ledger.balance("book"),
            attempts=sum(s.attempts for c in chapters for s in c.sections),
            answers=sum(s.answers for c in chapters for s in c.sections),
            seconds=seconds,
            stopped_by=self._condemned or next(iter(stops), ""),
            refused=tuple(refused),
            interrupted=self._stops > 0,
        )


class _Remnant(Alone):
    """What is left of a run whose plan was told already."""

    def __init__(
        self, on_event: Callable[[Event], None], results: dict[str, ChapterResult]
    ) -> None:
        super().__init__(on_event)
        self._results = results

    async def begin(self, planned: object, jobs: Jobs) -> Iterable[Jobs]:
        """Everything is one block."""
        return (jobs,)

    def done(self, result: ChapterResult) -> None:
        """The captain has it."""
        self._results[result.id] = result
