"""What a refusal means, by the words of the providers that were seen, what it says, and how long it asks to wait."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from expand.llm.failures import (
    MESSAGE_LIMIT,
    YEAR_SECONDS,
    asked_wait,
    habits,
    refused,
    refused_within,
    said_in,
    until,
)
from expand.llm.failures import fits as matches
from expand.llm.types import AttemptFailedError, Failure

NOW = 1_795_000_000.0
"""18 November 2026."""


def error(message: str = "", **fields: object) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


def read(status: int, body: object, headers: dict[str, str] | None = None) -> AttemptFailedError:
    raw = body if isinstance(body, bytes) else (body.encode() if isinstance(body, str) else json.dumps(body).encode())
    return refused(status, headers or {}, raw, now=NOW)


GEMINI_RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "38s"}
CLOUDFLARE = "<!DOCTYPE html><html><head><title>{}</title></head><body><div>Ray ID: 8f</div></body></html>"

REFUSALS = Path(__file__).with_name("provider_refusals.jsonl").read_text("utf-8")
SEEN = [json.loads(line) for line in REFUSALS.splitlines()]
"""Refusals as providers word them, and the failure that each means."""


@pytest.mark.parametrize("seen", SEEN, ids=lambda seen: f"{seen['provider']} {seen['means']}")
def test_what_a_refusal_means(seen: dict[str, Any]) -> None:
    found = read(seen["status"], seen["body"])
    assert (found.failure, found.status) == (seen["means"], seen["status"]), found.message
    assert "\n" not in found.message
    assert len(found.message) <= MESSAGE_LIMIT + 20


def test_every_habit_states_something() -> None:
    assert len(habits()) > 100
    for habit in habits():
        assert set(habit) <= {"provider", "means", "status", "codes", "words", "remedy"}, habit
        assert habit["means"] in set(Failure), habit
        assert habit.get("status") or habit.get("codes") or habit.get("words"), habit
        assert all(code == code.lower() for code in habit.get("codes", ())), habit
        re.compile(habit.get("words", ""))


@pytest.mark.parametrize(
    ("status", "codes", "text", "fits"),
    [(429, {"a"}, "out of money", True), (400, {"a"}, "out of money", False), (429, {"c"}, "out of money", False),
     (429, {"a"}, "slow down", False), (429, {"a", "c"}, "OUT OF MONEY", True)],
)  # fmt: skip
def test_a_habit_fits_where_all_that_it_states_does(status: int, codes: set[str], text: str, fits: bool) -> None:
    habit = {"provider": "x", "means": "quota", "status": [429], "codes": ["a", "b"], "words": "out of money"}
    assert matches(habit, status, frozenset(codes), text) is fits


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"error": {"message": "deep"}}}, "deep"),
        ([{"error": {"message": "in a list"}}], "in a list"),
        ({"errors": [{"message": "first"}, {"message": "second"}]}, "first"),
        ({"errors": ["just words"]}, "just words"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"detail": [{"loc": ["body", "top_p"], "msg": "Extra inputs are not permitted"}]}, "body.top_p: Extra inputs"),
        ({"message": "plain"}, "plain"),
        ({"msg": "short"}, "short"),
        ({"error_msg": "Baidu"}, "Baidu"),
        ({"error": "Unauthorized", "message": "Token expired"}, "Token expired"),
        ({"error": "only a word"}, "only a word"),
        ({"error": {"message": "bad value", "param": "top_p"}}, "top_p: bad value"),
        ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, "insufficient balance"),
        (error("Provider returned error", metadata={"raw": '{"error": {"message": "upstream"}}'}), "error: upstream"),
        ({"title": "Bad", "detail": "The whole story"}, "The whole story"),
        ("a string", "a string"),
        (CLOUDFLARE.format("502\n Bad Gateway"), "502 Bad Gateway"),
        ("<html><body><script>x()</script><h1>Sign in</h1></body></html>", "Sign in"),
        ({"error": {"code": 7}}, '{"code": 7}'),
        ({}, "Too Many Requests"),
        ([], "Too Many Requests"),
        (b"", "Too Many Requests"),
        (b"null", "Too Many Requests"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"[" * 100_000, "[[["),
        (b'{"code": ' + b"9" * 5000 + b"}", '{"code": 999'),
        ({"message": "a\r\n\x1b[31mb\u202e"}, "a [31mb"),
    ],
)
def test_an_error_of_any_shape_is_one_line(body: object, said: str) -> None:
    found = read(429, body)
    assert said in found.message
    assert found.message.startswith("HTTP 429: ")
    assert found.message.isprintable()
    assert len(found.message) <= MESSAGE_LIMIT + 20


def test_an_error_nested_without_end_says_nothing() -> None:
    data: Any = "deep"
    for _ in range(50):
        data = {"error": data}
    assert said_in(data) == said_in({"error": {}})[:0] or said_in(data).startswith("{")


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (error("Insufficient credits", code=402), Failure.QUOTA),
        (error("Rate limit exceeded: free-models-per-min", code=429), Failure.RATE_LIMITED),
        (error("x", code="content_filter"), Failure.FILTERED),
        ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}, "code": 1008}, Failure.QUOTA),
        (error("upstream failed", code=502), None),
        (error("something"), None),
        ({}, None),
    ],
)
def test_an_error_within_a_success_is_read_under_its_own_code(body: object, failure: Failure | None) -> None:
    found = refused_within(body)
    assert (found and found.failure) == failure
    assert found is None or found.message.startswith("an error instead of an answer: ")


def test_the_type_in_a_header_counts() -> None:
    found = read(400, {"message": "slow"}, {"x-amzn-errortype": "ThrottlingException:http://internal/"})
    assert found.failure is Failure.RATE_LIMITED


def test_a_model_that_is_not_pulled_has_its_own_remedy() -> None:
    assert "ollama pull" in read(404, error('model "x" not found, try pulling it first')).remedy


# Waits -----------------------------------------------------------------------------------------

SOON = "Wed, 18 Nov 2026 12:00:00 GMT"


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "100000"}, 100000.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "30s"}, 30.0),
        ({"x-retry-after": "12"}, 12.0),
        # dates, against the server's own clock, which is two hours ahead of ours
        ({"date": SOON, "retry-after": "Wed, 18 Nov 2026 12:00:20 GMT"}, 20.0),
        ({"date": SOON, "retry-after": "Wed, 18 Nov 2026 11:59:00 GMT"}, 0.0),
        ({"date": "no date", "retry-after": "5"}, 5.0),
        ({"date": SOON, "retry-after": "2026-11-18T12:01:00Z"}, 60.0),
        # absurd: finite, and bounded by whoever waits
        ({"retry-after": "1e300"}, 1e300),
        ({"retry-after": "99999999999"}, 99999999999.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "Fri, 31 Dec 99999 23:59:59 GMT"}, None),
        # resets count where nothing remains
        ({"x-ratelimit-reset-requests": "9s"}, None),
        ({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "9s"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9"}, 9.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360.0),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "1m30.5s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "20ms",
            },
            90.5,
        ),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "later"}, None),
        ({"x-ratelimit-remaining-tokens": "0"}, None),
        (
            {"date": SOON, "x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{moment('2026-11-18T12:00:40'):.0f}"},
            40.0,
        ),
        ({"date": SOON, "x-ratelimit-reset": "1795003240000"}, 40.0),
        ({"x-ratelimit-reset": "17"}, 17.0),
        ({"x-ratelimit-remaining": "4", "x-ratelimit-reset": "17"}, None),
        ({"x-ratelimit-reset-after": "2.5"}, 2.5),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "33"}, 33.0),
        (
            {
                "date": SOON,
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2026-11-18T12:00:21Z",
            },
            21.0,
        ),
        (
            {"date": SOON, "anthropic-ratelimit-requests-remaining": "9", "anthropic-ratelimit-requests-reset": SOON},
            None,
        ),
    ],
)
def test_waits_in_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert asked_wait(headers, now=moment("2026-11-18T10:00:00")) == seconds


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (error("Please try again in 2.4s. Visit …"), 2.4),
        (error("Please try again in 28m48s."), 1728.0),
        (error("Please try again in 1m26.5s."), 86.5),
        (error("Please try again in 340ms."), 0.34),
        (error("Please retry after 20 seconds."), 20.0),
        (error("Please retry in 38.27s."), 38.27),
        (error("please try again after 1 seconds"), 1.0),
        (error("Please wait 46000 seconds before retrying."), 46000.0),
        (error("Try again in 5 minutes and 10 seconds"), 310.0),
        (error("Try again in 2 hours"), 7200.0),
        (error("Please wait a moment. Limit 30000 tokens, used 20s"), None),
        (error("Rate limit of 50 per 86400s exceeded"), None),
        (error("busy", details=[GEMINI_RETRY]), 38.0),
        ({"retry_after": 3.5}, 3.5),
        ({"error": {"retry_after_ms": 1500}}, 1.5),
        ({"estimated_time": 20.5}, 20.5),
        (error("x", metadata={"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1795000060000"}}), 60.0),
        (error("x", metadata={"headers": {"Retry-After": 9}}), 9.0),
        ({"retry_after": True}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": 10**4000}, None),
        ({"retry_after": -1}, None),
        ({"retry_after": 1e300}, 1e300),
        ("error code: 1015. Please retry after 30 seconds", 30.0),
        (error("try again in " + "9" * 400 + "s"), None),
    ],
)
def test_waits_in_bodies(body: object, seconds: float | None) -> None:
    found = asked_wait({}, body, now=NOW)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_a_header_comes_before_the_body_unless_it_says_nothing() -> None:
    body = error("try again in 20s")
    assert asked_wait({"retry-after": "7"}, body, now=NOW) == 7.0
    assert asked_wait({"retry-after": "0"}, body, now=NOW) == 20.0
    assert asked_wait({"retry-after": "soon"}, body, now=NOW) == 20.0


@pytest.mark.parametrize(
    ("status", "body", "waits"),
    [
        (429, {}, True),
        (503, {}, True),
        (529, {}, True),
        (400, {}, False),
        (429, error(code="insufficient_quota"), False),
    ],
)
def test_only_what_may_be_tried_again_asks_to_wait(status: int, body: object, waits: bool) -> None:
    assert (read(status, body, {"retry-after": "9"}).retry_after_seconds == 9.0) is waits


def test_when_a_wait_ends_is_told_by_the_local_clock() -> None:
    noon = datetime(2026, 11, 18, 12, tzinfo=UTC)
    local = noon.astimezone()
    assert until(90, now=noon) == f"until 2026-11-18 {local:%H}:01 {local.tzname()}"
    assert until(10 * YEAR_SECONDS, now=noon).startswith("until 2036")
    assert until(10 * YEAR_SECONDS + 1) == until(1e300) == "for more than ten years"


@pytest.mark.parametrize(
    ("message", "limit"),
    [
        ("This model's maximum context length is 8192 tokens. However, you requested 9000", "8192"),
        ("prompt is too long: 210000 tokens > 200000 maximum", "200000"),
        ("input length and `max_tokens` exceed context limit: 188000 + 21000 > 200000", "200000"),
        ("the request exceeds the available context size (4096 tokens)", "4096"),
        ("exceeds the maximum number of tokens allowed (1,048,576)", "1048576"),
    ],
)
def test_the_limit_of_a_prompt_that_is_too_long_is_the_remedy(message: str, limit: str) -> None:
    code = "context_length_exceeded"
    assert f"context_window = {limit} " in read(400, error(message, code=code)).remedy
    assert read(400, error("too much", code=code)).remedy == ""
