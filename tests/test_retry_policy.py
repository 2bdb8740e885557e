"""The retry policy: the table of failures, and when a request is tried again."""

from __future__ import annotations

import pytest

from expand.client.retry_policy import (
    LONGEST_WAIT_SECONDS,
    RULES,
    RetryPolicy,
    RetryState,
    pause_seconds,
    wait_seconds,
)
from expand.llm.types import AttemptFailedError, Failure

UNBILLED = {
    Failure.UNREACHABLE,
    Failure.BAD_REQUEST,
    Failure.UNAUTHORIZED,
    Failure.FORBIDDEN,
    Failure.NOT_FOUND,
    Failure.QUOTA,
    Failure.RATE_LIMITED,
}


def failed(failure: Failure, retry_after: float | None = None) -> AttemptFailedError:
    return AttemptFailedError(failure, "it failed", retry_after_seconds=retry_after)


def test_every_failure_has_a_rule_and_a_remedy() -> None:
    assert set(RULES) == set(Failure)
    assert all(rule.remedy for rule in RULES.values())


def test_only_what_was_refused_or_never_sent_is_unbilled() -> None:
    assert {failure for failure, rule in RULES.items() if rule.billed == "no"} == UNBILLED


@pytest.mark.parametrize(
    "failure",
    [
        Failure.BAD_REQUEST,
        Failure.UNAUTHORIZED,
        Failure.FORBIDDEN,
        Failure.NOT_FOUND,
        Failure.QUOTA,
    ],
)
def test_what_no_retry_can_mend_stops_the_run_at_once(failure: Failure) -> None:
    assert not RULES[failure].retried
    assert RULES[failure].stops_run


def test_a_wait_doubles_up_to_a_bound_and_jitter_only_adds() -> None:
    waits = [wait_seconds(failed(Failure.TIMEOUT), number, 0.0) for number in range(1, 9)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert waits[-1] == LONGEST_WAIT_SECONDS
    assert wait_seconds(failed(Failure.TIMEOUT), 2, 0.5) == 1.25
    assert wait_seconds(failed(Failure.TIMEOUT), 5000, 0.0) == LONGEST_WAIT_SECONDS


@pytest.mark.parametrize("asked", [0.0, 7.0, 3600.0])
def test_what_the_provider_asks_for_is_waited_out_in_full(asked: float) -> None:
    assert wait_seconds(failed(Failure.RATE_LIMITED, asked), 1, 0.0) == asked
    assert wait_seconds(failed(Failure.RATE_LIMITED, asked), 9, 0.9) > asked


def test_a_negative_wait_is_none() -> None:
    assert wait_seconds(failed(Failure.RATE_LIMITED, -5.0), 1, 0.0) == 0.0


def test_who_pauses_the_model() -> None:
    assert pause_seconds(failed(Failure.RATE_LIMITED), 1) == 0.5
    assert pause_seconds(failed(Failure.RATE_LIMITED, 7.0), 1) == 7.0
    assert pause_seconds(failed(Failure.SERVER_ERROR, 7.0), 1) == 7.0
    assert pause_seconds(failed(Failure.SERVER_ERROR), 1) == 0.0
    assert pause_seconds(failed(Failure.QUOTA, 7.0), 1) == 0.0


def test_tries_are_bounded_by_kind_and_over_all() -> None:
    tries = RetryState(RetryPolicy(max_attempts=3, jitter=lambda: 0.0))
    tries.add(failed(Failure.GARBLED))
    assert tries.goes_on(failed(Failure.GARBLED))
    tries.add(failed(Failure.GARBLED))
    assert not tries.goes_on(failed(Failure.GARBLED))
    tries.add(failed(Failure.TIMEOUT))
    assert not tries.goes_on(failed(Failure.TIMEOUT))
    tries.add(failed(Failure.RATE_LIMITED))
    assert tries.goes_on(failed(Failure.RATE_LIMITED))
    assert tries.wait_seconds(failed(Failure.RATE_LIMITED, 7.0)) == 0.0


def test_held_outcomes_are_not_tried_again() -> None:
    tries = RetryState(RetryPolicy(max_attempts=9, on_unknown="hold"))
    tries.add(failed(Failure.TIMEOUT))
    assert not tries.goes_on(failed(Failure.TIMEOUT))
    assert "expand ledger reconcile" in tries.verdict(failed(Failure.TIMEOUT))
    tries.add(failed(Failure.UNREACHABLE))
    assert tries.goes_on(failed(Failure.UNREACHABLE))


def test_a_verdict_says_what_how_often_and_what_to_do() -> None:
    tries = RetryState(RetryPolicy(max_attempts=9))
    tries.sent = 1
    assert tries.verdict(failed(Failure.UNAUTHORIZED)) == "it failed; check OPENAI_API_KEY"
    tries.sent = 3
    assert tries.verdict(failed(Failure.UNAUTHORIZED)).startswith("it failed (3 attempts); ")
