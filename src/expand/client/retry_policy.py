"""Which failures of an attempt are retried: when, how often, and why. Pure; the client acts on it.

* **Whether**: ``RULES`` says of each failure what it means for the ledger and for what to do next. A failure is
  unbilled for certain only where the provider refused before working (or was never reached). Everything else after
  sending is unknown: the provider may have done the work and may bill it, so the attempt stays charged at its
  reservation until it is reconciled.
* **How often**: each kind of failure has its own number of tries, and all of them together are bounded by
  ``RetryPolicy.max_attempts``. Calls that were refused for their rate do not count there: nobody worked, and waiting
  is all that it takes.
* **When**: what the provider asks for is waited out in full, up to ``RetryPolicy.longest_wait_seconds``; where it asks
  for more, the run stops and says until when. Else the wait doubles from half a second to half a minute.
* **Who waits**: a rate limit pauses the model for every process, through the ledger; any other wait is the order's own.
* **At once** goes what the author has mended: a refusal of the request's form, after which it is put another way.

An attempt that failed after text had arrived is not a failure here: what arrived is an answer that was cut.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from expand.llm.failures import LONGEST_ASKED_SECONDS, until
from expand.llm.types import AttemptFailedError, Failure

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
"""The longest wait that nobody asked for."""
MOST_MENDS = 12
"""How often one request may be put another way: an author that mends without end is stopped."""
JITTER_SECONDS = 0.5
REPLACEABLE_TRIES = 4
"""How often an overloaded server is asked where another model stands in: waiting for minutes would be for nothing."""


@dataclass(frozen=True, slots=True)
class FailureRule:
    """What one kind of failure means.

    ``remedy`` ends the message. ``tries``: how many attempts one request may lose to it, 1 meaning that it is not
    retried. ``billed``: "no" releases the reservation, "unknown" keeps it charged. ``stops_run``: at its last try,
    nothing else has a chance either, so the whole run stops. ``pauses_model``: nobody may call the model until the wait
    is over, in any process."""

    remedy: str
    tries: int = 1
    billed: Literal["no", "unknown"] = "unknown"
    stops_run: bool = False
    pauses_model: bool = False

    @property
    def retried(self) -> bool:
        """Whether another attempt may follow."""
        return self.tries > 1


_refusal = partial(FailureRule, billed="no", stops_run=True)

# `billed` is "no" only where it is certain. A 500 or a timeout may come after the work is done; releasing it would let
# the next attempt spend the same tokens again, and the bill pass the limit. The numbers of tries differ, because what
# each try may cost does: nothing after a refusal, a whole reservation after a timeout.
RULES: Mapping[Failure, FailureRule] = {
    # Nothing went out, so tries are free; four of them bridge a server that restarts. After that nothing else has a
    # chance either.
    Failure.UNREACHABLE: _refusal("check the base URL and that the server is running", tries=4),
    Failure.BAD_REQUEST: _refusal("check the model's name and its parameters"),
    # Only this request is too long: the next section's may fit. Waiting, or asking again, changes nothing.
    Failure.TOO_LONG: _refusal(
        "set the model's context_window in expand.toml, or ask for fewer lines a request", stops_run=False
    ),
    Failure.UNAUTHORIZED: _refusal("check OPENAI_API_KEY"),
    Failure.FORBIDDEN: _refusal("check what the key may do with this model"),
    Failure.NOT_FOUND: _refusal("check the model's name and the base URL"),
    Failure.QUOTA: _refusal("check the plan and billing of the provider's account"),
    # Thirty, since a refusal costs nothing and a limit by the minute may take several to pass. It pauses the model for
    # every process: if each waited on its own, they would keep one another over the limit.
    Failure.RATE_LIMITED: _refusal(
        "lower the concurrency, or set rpm and tpm for the model in expand.toml", tries=30, pauses_model=True
    ),
    # As a rate limit: nobody worked. A model that is being loaded takes minutes, so twenty tries, which with doubling
    # waits are seven of them.
    Failure.OVERLOADED: _refusal("try again later, or take another model", tries=20, pauses_model=True),
    # Charged each time, so three at most: a section that never answers in time costs three reservations, not the
    # budget.
    Failure.TIMEOUT: FailureRule("raise the timeout, or ask for fewer lines a request", tries=3),
    Failure.DISCONNECTED: FailureRule("check the network between here and the server", tries=3),
    Failure.SERVER_ERROR: FailureRule("try again later; the server has a problem of its own", tries=4),
    # The same words get the same verdict. Another try would only be charged.
    Failure.FILTERED: FailureRule("reword the topic, or change the filter of the account"),
    # Once more, since a proxy may have answered in the provider's place. Twice the same means a wrong address.
    Failure.GARBLED: FailureRule("check that the base URL is an OpenAI-compatible API", tries=2),
    Failure.CRASHED: FailureRule("run again"),
    Failure.CANCELLED: FailureRule("run again"),
}


def is_lost(failed: AttemptFailedError) -> bool:
    """Whether the attempt may be billed and brought nothing. A filter's verdict is an answer of a kind: the server has
    worked, and will work for other requests."""
    return RULES[failed.failure].billed == "unknown" and failed.failure is not Failure.FILTERED


def wait_seconds(failed: AttemptFailedError, number: int, jitter: float) -> float:
    """How long to wait after the ``number``-th failure in a row (from 1), in seconds.

    What the provider asks for is waited out in full; else the wait doubles from half a second to half a
    minute. ``jitter`` in [0, 1) spreads the callers, always upwards: nobody comes back before they were told to."""
    if failed.retry_after_seconds is not None:
        # Not bounded by LONGEST_WAIT_SECONDS: a provider that is asked sooner than it said refuses again, and some
        # extend the wait for it.
        return max(0.0, failed.retry_after_seconds) + jitter * JITTER_SECONDS
    # The exponent is bounded, or a float overflows after a thousand refusals.
    doubled: float = FIRST_WAIT_SECONDS * 2.0 ** min(number - 1, 10)
    return min(LONGEST_WAIT_SECONDS, doubled) * (1.0 + jitter / 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How persistent a run is. ``max_attempts`` bounds the attempts at one request, calls refused for their rate aside.
    ``longest_wait_seconds``: the longest wait that a provider may ask for. ``jitter`` gives numbers in [0, 1).
    ``replaceable`` are the models that another one stands in for; they are
    given up sooner: after trouble of their server too, which is charged at the reservation each time."""

    max_attempts: int = 6
    longest_wait_seconds: float = LONGEST_ASKED_SECONDS
    jitter: Callable[[], float] = random.random
    replaceable: frozenset[str] = frozenset()


DEFAULT_POLICY = RetryPolicy()


class RetryState:
    """The attempts at one request in this run, and how they failed."""

    def __init__(self, policy: RetryPolicy, model: str = "") -> None:
        self.sent = 0
        self._policy = policy
        self._replaceable = model in policy.replaceable
        self._failures: list[Failure] = []
        self._mends = 0
        self.lost = False
        """Whether an attempt was lost, so that the next one is a probe."""
        self.probing = False

    def pause_seconds(self, failed: AttemptFailedError) -> float:
        """Note a failure. Returns how long nobody may call the model after it, in seconds; 0 for not at all.

        A server that names a time is believed whatever the failure was, as long as it is retried."""
        if failed.mended is not None:
            self._mends += 1
            return 0.0
        self.lost = self.lost or is_lost(failed)
        self._failures.append(failed.failure)
        rule = RULES[failed.failure]
        # A failure that is not retried pauses nobody: its header speaks of a request that will not come again. Neither
        # does a wait that is too long: the run stops, and whoever runs again may ask, since a refusal costs nothing.
        pauses = rule.retried and (rule.pauses_model or failed.retry_after_seconds) and not self.waits_too_long(failed)
        number = self._failures.count(failed.failure)
        return min(wait_seconds(failed, number, 0.0), self._policy.longest_wait_seconds) if pauses else 0.0

    def waits_too_long(self, failed: AttemptFailedError) -> bool:
        """Whether the provider asks for a longer wait than it may."""
        asked = failed.retry_after_seconds
        return asked is not None and asked > self._policy.longest_wait_seconds and RULES[failed.failure].retried

    def ends_run(self, failed: AttemptFailedError) -> bool:
        """Whether nothing else of the run has a chance after this failure either."""
        stops = RULES[failed.failure].stops_run or self.waits_too_long(failed)
        return stops and not self.goes_on(failed)

    def goes_on(self, failed: AttemptFailedError) -> bool:
        """Whether another attempt may follow this failure."""
        rule = RULES[failed.failure]
        if failed.mended is not None:
            return self._mends <= MOST_MENDS
        if self.waits_too_long(failed):
            return False
        soon = self._replaceable and failed.failure is Failure.OVERLOADED
        tries = min(rule.tries, REPLACEABLE_TRIES) if soon else rule.tries
        if self._failures.count(failed.failure) >= tries:
            return False
        # Refusals for the rate do not count against `max_attempts`. They would use it up in a busy hour, and end
        # sections that only had to wait.
        counted = sum(not RULES[failure].pauses_model for failure in self._failures)
        return rule.pauses_model or counted < self._policy.max_attempts

    def wait_seconds(self, failed: AttemptFailedError, *, lost: int = 0) -> float:
        """How long this order waits; 0 where the pause is in the ledger, for every process. ``lost`` attempts in a row,
        of this order and of others, count as failures of this kind."""
        if RULES[failed.failure].pauses_model or failed.mended is not None:
            return 0.0
        number = max(self._failures.count(failed.failure), lost if is_lost(failed) else 0)
        return wait_seconds(failed, number, self._policy.jitter())

    def verdict(self, failed: AttemptFailedError) -> str:
        """The message when it is over: what happened, how often, what to do."""
        often = f" ({self.sent} attempts)" if self.sent > 1 else ""
        if self.waits_too_long(failed) and failed.retry_after_seconds is not None:
            return (
                f"{failed.message}{often}; the provider asks to wait {until(failed.retry_after_seconds)}, which is "
                f"longer than {self._policy.longest_wait_seconds:,.0f} s: run again then, take another model, or raise "
                "longest_wait_seconds in expand.toml"
            )
        return f"{failed.message}{often}; {failed.remedy or RULES[failed.failure].remedy}"
