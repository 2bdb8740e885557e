"""The ledger added up for reports: one consistent state, in as few passes as there can be.

Sums are made by the database, since a ledger may hold hundreds of thousands of attempts.
"""

import math
from typing import NamedTuple

from expand.budget import Balance
from expand.ledger import attempts
from expand.ledger.database import Connection
from expand.ledger.values import AttemptRow, State
from expand.llm.types import Purpose
from expand.paths import DATA

_SLICES, _DAYS, _ERRORS, _OPEN = (DATA / "aggregates.sql").read_text(encoding="utf-8").split(";\n\n")


class Slice(NamedTuple):
    """The attempts of one section by one model, in one language and for one purpose.

    ``prompt`` includes ``cached``, ``completion`` includes ``reasoning``; unknown outcomes are in them at their
    reservation. ``cost_pico_usd`` adds up what has a price, ``unpriced`` counts the charged attempts without.
    ``reserved`` is what was taken from the budget before the charged ones were sent."""

    chapter: str
    section: int
    model: str
    language: str
    purpose: Purpose
    attempts: int
    prompt: int
    cached: int
    completion: int
    reasoning: int
    cost_pico_usd: int
    unpriced: int
    reserved: int = 0

    @property
    def tokens(self) -> int:
        """Prompt and completion."""
        return self.prompt + self.completion


class Day(NamedTuple):
    """The attempts that were reserved on one day (UTC, ``2026-11-23``)."""

    day: str
    attempts: int
    prompt: int
    completion: int
    cost_pico_usd: int
    unpriced: int

    @property
    def tokens(self) -> int:
        """Prompt and completion."""
        return self.prompt + self.completion


class Errors(NamedTuple):
    """How far a model's prompts, as its provider reported them, were from their estimates.

    An error is the reported prompt over its estimate, less 1: 0.02 is 2 % more than counted. ``error`` and ``squares``
    are the sums of the errors and of their squares."""

    model: str
    attempts: int
    estimated: int
    prompt: int
    error: float
    squares: float
    least: float
    greatest: float

    @property
    def mean(self) -> float:
        """The mean error."""
        return self.error / self.attempts

    @property
    def deviation(self) -> float:
        """The standard deviation of the errors."""
        return math.sqrt(max(0.0, self.squares / self.attempts - self.mean**2))


class Open(NamedTuple):
    """Attempts that hold tokens without an answer: in flight, or of unknown outcome."""

    chapter: str
    section: int
    model: str
    state: State
    attempts: int
    tokens: int


class Aggregates(NamedTuple):
    """What reports read. ``latest`` are the last attempts, the newest first; ``seconds`` is the time that finished runs
    took, from beginning to end."""

    balance: Balance
    slices: tuple[Slice, ...] = ()
    days: tuple[Day, ...] = ()
    errors: tuple[Errors, ...] = ()
    open: tuple[Open, ...] = ()
    latest: tuple[AttemptRow, ...] = ()
    seconds: float = 0.0


def aggregates(connection: Connection, latest: int) -> Aggregates:
    """The ledger added up; ``connection`` sees one consistent state of it."""
    # A run that a crash ended has no end, and does not count.
    spans = connection.query("SELECT began_at, ended_at FROM run WHERE ended_at IS NOT NULL ORDER BY id")
    return Aggregates(
        balance=attempts.balance(connection, "book"),
        # The columns of each statement are the fields of what is made of its rows, in order.
        slices=tuple(map(Slice._make, connection.execute(_SLICES))),
        days=tuple(map(Day._make, connection.execute(_DAYS))),
        errors=tuple(map(Errors._make, connection.execute(_ERRORS))),
        open=tuple(
            Open(chapter, section, model, State(state), count, tokens)
            for chapter, section, model, state, count, tokens in connection.execute(_OPEN)
        ),
        latest=tuple(
            map(attempts.read, connection.query("SELECT * FROM attempt ORDER BY seq DESC LIMIT ?", (latest,)))
        ),
        seconds=sum((attempts.parse(ended) - attempts.parse(began)).total_seconds() for began, ended in spans),
    )
