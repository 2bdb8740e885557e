"""What happens during a run, for whoever shows progress. Values only."""

from dataclasses import dataclass
from typing import Literal

from expand.ledger import AttemptEvent
from expand.outline import Unit

SectionStatus = Literal["drafted", "reused", "edited", "refused", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionPlanned:
    """One section that a run is about: ``lines`` is its target, ``reason`` why it is drafted, "" when it is current and
    "edited" when it is left to the person who edited it. ``target`` is its target in the ``unit`` that its outline
    counts, 0 for lines."""

    chapter: str
    section: int
    title: str
    lines: int
    reason: str
    unit: Unit = "lines"
    target: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPlanned:
    """What a run is about to do, said before anything is spent."""

    sections: tuple[SectionPlanned, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionStarted:
    """A worker took a section."""

    chapter: str
    section: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionGrew:
    """A section has more lines: an answer was added, or is arriving (``streaming``: its ``text`` so far, and its lines,
    are as they come, before they are cleaned). ``tokens`` are those that the section took in this run so far."""

    chapter: str
    section: int
    lines: int
    tokens: int
    remaining_tokens: int | None
    streaming: bool = False
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionDone:
    """A section is finished, for better or worse; ``counted`` is its length as its outline counts it, 0 for lines."""

    chapter: str
    section: int
    lines: int
    status: SectionStatus
    counted: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """Something a person should know: a wait, a retry, a refusal. One line."""

    message: str


Event = RunPlanned | SectionStarted | SectionGrew | SectionDone | AttemptEvent | Notice
