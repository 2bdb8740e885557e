"""The retry policy: the table of failures, and when a request is tried again."""

from __future__ import annotations

import re

import pytest

from expand.client.retry_policy import (
    LONGEST_WAIT_SECONDS,
    MOST_MENDS,
    RULES,
    RetryPolicy,
    RetryState,
    wait_seconds,
)
from expand.llm.failures import LONGEST_ASKED_SECONDS
from expand.llm.types import AttemptFailedError, Failure

UNBILLED = {
    Failure.UNREACHABLE,
    Failure.BAD_REQUEST,
    Failure.UNAUTHORIZED,
    Failure.FORBIDDEN,
    Failure.NOT_FOUND,
    Failure.QUOTA,
    Failure.RATE_LIMITED,
    Failure.OVERLOADED,
    Failure.TOO_LONG,
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


def pause_seconds(failure: AttemptFailedError, *, longest_wait_seconds: float = LONGEST_ASKED_SECONDS) -> float:
    """How long the first failure of a request pauses its model."""
    return RetryState(RetryPolicy(longest_wait_seconds=longest_wait_seconds)).pause_seconds(failure)


def test_who_pauses_the_model() -> None:
    assert pause_seconds(failed(Failure.RATE_LIMITED)) == 0.5
    assert pause_seconds(failed(Failure.OVERLOADED)) == 0.5
    assert pause_seconds(failed(Failure.RATE_LIMITED, 7.0)) == 7.0
    assert pause_seconds(failed(Failure.SERVER_ERROR, 7.0)) == 7.0
    assert pause_seconds(failed(Failure.SERVER_ERROR)) == 0.0
    assert pause_seconds(failed(Failure.QUOTA, 7.0)) == 0.0


@pytest.mark.parametrize("failure", [Failure.RATE_LIMITED, Failure.SERVER_ERROR, Failure.OVERLOADED])
def test_a_wait_is_bounded(failure: Failure) -> None:
    """An hour is waited for; a second more ends the run, without a pause that would outlive it."""
    for asked, bounded in ((3600.0, True), (3601.0, False), (99_999_999_999.0, False), (1e300, False)):
        tries, one = RetryState(RetryPolicy()), failed(failure, asked)
        assert tries.pause_seconds(one) == (asked if bounded else 0.0)
        assert tries.waits_too_long(one) is not bounded
        assert tries.goes_on(one) is bounded
        assert tries.ends_run(one) is not bounded


def test_the_bound_of_a_wait_is_a_setting() -> None:
    assert pause_seconds(failed(Failure.RATE_LIMITED, 7.0), longest_wait_seconds=7.0) == 7.0
    assert pause_seconds(failed(Failure.RATE_LIMITED, 7.1), longest_wait_seconds=7.0) == 0.0
    assert pause_seconds(failed(Failure.RATE_LIMITED), longest_wait_seconds=0.25) == 0.25


def test_a_wait_that_is_too_long_is_told_with_its_end() -> None:
    tries = RetryState(RetryPolicy())
    said = tries.verdict(failed(Failure.RATE_LIMITED, 7200.0))
    assert re.match(r"it failed; the provider asks to wait until \d{4}-\d\d-\d\d \d\d:\d\d \w+", said)
    assert "longer than 3,600 s" in said
    assert "longest_wait_seconds" in said
    assert "for more than ten years" in tries.verdict(failed(Failure.RATE_LIMITED, 1e300))


def test_what_was_mended_goes_out_again_at_once_and_not_without_end() -> None:
    tries = RetryState(RetryPolicy(max_attempts=1))
    for number in range(1, MOST_MENDS + 2):
        one = failed(Failure.BAD_REQUEST, 7.0)
        one.mended = "asking otherwise"
        assert tries.pause_seconds(one) == 0.0
        assert tries.wait_seconds(one) == 0.0
        assert tries.goes_on(one) is (number <= MOST_MENDS)


def test_tries_are_bounded_by_kind_and_over_all() -> None:
    tries = RetryState(RetryPolicy(max_attempts=3, jitter=lambda: 0.0))
    tries.pause_seconds(failed(Failure.GARBLED))
    assert tries.goes_on(failed(Failure.GARBLED))
    tries.pause_seconds(failed(Failure.GARBLED))
    assert not tries.goes_on(failed(Failure.GARBLED))
    tries.pause_seconds(failed(Failure.TIMEOUT))
    assert not tries.goes_on(failed(Failure.TIMEOUT))
    tries.pause_seconds(failed(Failure.RATE_LIMITED))
    assert tries.goes_on(failed(Failure.RATE_LIMITED))
    assert tries.wait_seconds(failed(Failure.RATE_LIMITED, 7.0)) == 0.0


def test_a_verdict_says_what_how_often_and_what_to_do() -> None:
    tries = RetryState(RetryPolicy(max_attempts=9))
    tries.sent = 1
    assert tries.verdict(failed(Failure.UNAUTHORIZED)) == "it failed; check OPENAI_API_KEY"
    tries.sent = 3
    assert tries.verdict(failed(Failure.UNAUTHORIZED)).startswith("it failed (3 attempts); ")
    own = AttemptFailedError(Failure.NOT_FOUND, "it failed", remedy="pull it")
    assert tries.verdict(own) == "it failed (3 attempts); pull it"
