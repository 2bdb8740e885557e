"""What goes into the ledger and what comes out of it, as frozen values; last, what reports read of it."""

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from expand.budget import Amount, Balance, Shortfall
from expand.llm.failures import until
from expand.llm.types import Address, Answer, Failure, Finish, Purpose, Request, Usage

UsageSource = Literal["provider", "reservation", "reconciled"]


class State(enum.StrEnum):
    """Where an attempt stands: reserved → sent → settled | released | unknown → reconciled.

    ``RESERVED`` may also be released without being sent, and what was unknown or reconciled be settled by an answer
    that comes late. ``UNKNOWN`` is charged at its reservation. Each change is one row of the ``event`` table, which
    only grows."""

    RESERVED = "reserved"
    SENT = "sent"
    SETTLED = "settled"
    RELEASED = "released"
    UNKNOWN = "unknown"
    RECONCILED = "reconciled"


class ModelLimits(NamedTuple):
    """What a model's provider allows: requests and tokens a minute, calls at a time.

    None is unlimited. They hold over all processes that share the ledger."""

    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A request, whom it is for, and the most that it can cost.

    ``amount`` is what is reserved: the prompt's bound plus the output cap that is sent, and its price in pico-dollars
    (None where unknown). ``prompt_tokens`` is the prompt's bound with its margin, ``prompt_estimate`` what was counted
    before the margin. ``cost`` prices an answer's usage, None where no price is known. ``unpriced`` lets an amount
    without a price pass under a limit in money. ``question`` names what is asked whatever the exact words: an answer to
    the same question serves, even where the request would by now read differently. Orders of a smaller ``rank`` go
    first where they wait for the budget: 0 finishes what was begun, 1 begins something."""

    request: Request
    address: Address
    run_id: str
    language: str
    plan: str
    prompt_tokens: int
    amount: Amount
    prompt_estimate: int | None = None
    rates: ModelLimits = field(default_factory=ModelLimits)
    cost: Callable[[Usage], int | None] | None = None
    unpriced: bool = False
    question: str | None = None
    rank: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError when the reservation is smaller than what is sent can cost."""
        if self.amount.tokens < self.prompt_tokens + self.request.max_output_tokens:
            raise ValueError(
                f"{self.amount.tokens} tokens reserved for {self.prompt_tokens} of prompt and "
                f"{self.request.max_output_tokens} of output"
            )

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes that keep account of the order."""
        return ("book", f"chapter:{self.address.chapter}", f"run:{self.run_id}")


class Run(NamedTuple):
    """One run of the tool, and the owner of its attempts."""

    id: str
    owner: str


class Reservation(NamedTuple):
    """A place in the budget. The ledger has the attempt marked as sent, so send it now (in a batch: once the whole
    batch is marked as sent)."""

    attempt_id: str


class StoredAnswer(NamedTuple):
    """An answer in the ledger, as its author gave it. ``usage`` is what was charged for it, now or when it was bought.
    ``reused`` says that it was there already, ``attempts`` counts those that whoever wanted it has made just now."""

    request_key: str
    attempt_id: str
    answer: Answer
    usage: Usage
    reused: bool = True
    attempts: int = 0


class AttemptEvent(NamedTuple):
    """What becomes of an attempt while its order is bought: it was sent, text arrives of it, what became of it is
    booked. ``seconds``: how long a wait will be. ``text``: what has arrived so far, a few times a second. ``final``:
    the failure ends the run, and is said once when the run ends. ``usage``: what a settlement charged."""

    kind: Literal["waiting", "sent", "text", "settled", "failed"]
    order: Order
    attempt_id: str = ""
    message: str = ""
    seconds: float = 0.0
    text: str = ""
    final: bool = False
    usage: Usage | None = None


class InFlight(NamedTuple):
    """The same request is being bought already, by ``owner``: wait for its answer. ``in_batch``: the owner is a batch,
    which takes hours."""

    attempt_id: str
    owner: str
    in_batch: bool = False


class Paused(NamedTuple):
    """The model may not be called for another ``seconds``; ``reason`` says why. ``by_provider``: somebody may lift it.
    A rate limit of the profile's own ends by itself within a minute."""

    seconds: float
    reason: str
    by_provider: bool = False


class Pause(NamedTuple):
    """A pause that a provider asked for: nobody calls ``model`` for another ``seconds``."""

    model: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.model} is paused {until(self.seconds)}, as its provider asked"


class Refused(NamedTuple):
    """A limit stands in the way. ``shortfall`` is None for a model without a price under a limit in money.
    ``waitable``: calls in flight may yet make room."""

    message: str
    shortfall: Shortfall | None = None

    @property
    def waitable(self) -> bool:
        """Whether only calls in flight stand between the order and the limit."""
        return self.shortfall is not None and self.shortfall.waitable


Verdict = Reservation | StoredAnswer | InFlight | Paused | Refused


class AttemptRow(NamedTuple):
    """One attempt as the ledger records it.

    ``usage`` is what is charged (zero while nothing is); ``cost_pico_usd`` is None without a price. Times are UTC."""

    id: str
    request_key: str
    run: str
    chapter: str
    section: int
    purpose: Purpose
    model: str
    scopes: tuple[str, ...]
    state: State
    prompt_estimate: int
    output_cap: int
    reserved: Amount
    usage: Usage
    usage_source: UsageSource | None
    cost_pico_usd: int | None
    failure: Failure | None
    status: int | None
    message: str
    finish: Finish | None
    provider_request_id: str
    reserved_at: datetime
    sent_at: datetime | None
    ended_at: datetime | None

    @property
    def charged(self) -> Amount:
        """What is charged for the attempt."""
        return Amount(self.usage.total, self.cost_pico_usd)


class OutputHistory(NamedTuple):
    """What a model's latest answers took: ``cut`` counts those that did not end by themselves, ``tokens_a_line`` is the
    most that a line of one took, ``reasoning`` the most tokens of thinking that were reported; 0 without history."""

    answers: int
    cut: int
    tokens_a_line: float
    reasoning: int


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


class Open(NamedTuple):
    """Attempts that hold tokens without an answer: in flight, or of unknown outcome."""

    chapter: str
    section: int
    model: str
    state: State
    attempts: int
    tokens: int


class Aggregates(NamedTuple):
    """What reports read. ``seconds`` is the time that finished runs took, from beginning to end."""

    balance: Balance
    slices: tuple[Slice, ...] = ()
    days: tuple[Day, ...] = ()
    open: tuple[Open, ...] = ()
    seconds: float = 0.0
