"""What a captain and the members of its crew say to each other. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from expand.drafting.commission import Job
from expand.drafting.events import Event, SectionPlanned
from expand.drafting.result import ChapterResult, Refusal
from expand.errors import ExpandError


@dataclass(frozen=True, kw_only=True, slots=True)
class Begin:
    """To a member: the run has begun under this id. It may look at its part."""

    run_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """From a member: nothing is wrong with its part. To a member: nor with any other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Surveyed:
    """From a member: what it found in its part, and what is to be done there."""

    planned: tuple[SectionPlanned, ...]
    jobs: tuple[tuple[Job, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Go:
    """To a member: all agree; take chapters from the pile."""

    jobs: tuple[tuple[Job, ...], ...]
    """Of the whole run, as the pile counts them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """From a member: it would like to send its first request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Leave:
    """To a member: it may. Where the author is not ``proven`` it is the only one that may."""

    proven: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Proven:
    """From a member: the author answers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Condemned:
    """From a member, and to all others: why nothing more can be bought."""

    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Happened:
    """From a member: events, in their order."""

    events: tuple[Event, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """From a member: a chapter is finished, for better or worse."""

    result: ChapterResult


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """To a member: begin nothing new; the second time, abandon what is in flight. From a member:
    somebody wants it to stop.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """From a member: its part is over."""

    stopped_by: str
    refused: tuple[Refusal, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """From a member: an error ended it. ``at`` is the chapter's place in the commission that it
    looked at; ``trace`` is the traceback of a defect, "" for an error that a user can mend.
    """

    kind: type[ExpandError]
    message: str
    at: int
    trace: str = ""

    def error(self) -> Exception:
        """The error, to be raised again."""
        if self.trace:
            return RuntimeError(f"a process of this run failed:\n{self.trace}")
        return self.kind(self.message)


Word = (
    Begin
    | Looked
    | Surveyed
    | Go
    | Asking
    | Leave
    | Proven
    | Condemned
    | Happened
    | Done
    | Stop
    | Ended
    | Failed
)
