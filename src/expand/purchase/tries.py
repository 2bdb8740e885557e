"""What was tried for one order, and whether and when to try again. Pure."""

from __future__ import annotations

from expand.completion import AttemptFailedError, Failure
from expand.purchase.failure import RULES, wait_seconds


class Tries:
    """The attempts at one request in this run and how they failed.

    ``most`` bounds them, calls refused for their rate aside. ``hold``: an unknown outcome is not
    tried again.
    """

    def __init__(self, *, most: int, hold: bool) -> None:
        self.sent = 0
        self._most = most
        self._hold = hold
        self._failures: list[Failure] = []

    def add(self, failed: AttemptFailedError) -> int:
        """Note a failure. Returns how many of its kind there were."""
        self._failures.append(failed.failure)
        return self._failures.count(failed.failure)

    def held(self, failed: AttemptFailedError) -> bool:
        """Whether the failure leaves an outcome that is to be held."""
        return self._hold and RULES[failed.failure].billed == "unknown"

    def go_on(self, failed: AttemptFailedError) -> bool:
        """Whether another attempt may follow this failure."""
        rule = RULES[failed.failure]
        if self.held(failed) or self._failures.count(failed.failure) >= rule.tries:
            return False
        counted = sum(not RULES[failure].pauses_model for failure in self._failures)
        return rule.pauses_model or counted < self._most

    def wait_seconds(self, failed: AttemptFailedError, jitter: float) -> float:
        """How long this order waits; 0 where the pause is in the ledger, for every process."""
        if RULES[failed.failure].pauses_model:
            return 0.0
        return wait_seconds(failed, self._failures.count(failed.failure), jitter)

    def verdict(self, failed: AttemptFailedError) -> str:
        """What to tell the user when it is over: what happened, how often, what to do."""
        if self.held(failed):
            return (
                f"{failed.message}; whether it was billed is unknown: settle it with "
                "`expand ledger reconcile`, or run with --on-unknown retry"
            )
        often = f" ({self.sent} attempts)" if self.sent > 1 else ""
        return f"{failed.message}{often}; {RULES[failed.failure].remedy}"
