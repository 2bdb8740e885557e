"""Bodies, exports and texts at the edge of what is read."""

from __future__ import annotations

import json

import pytest

from expand.llm.failures import refused
from expand.llm.types import Failure
from expand.markdown.repetition import WINDOW, loops


def nested(value: object, depth: int) -> object:
    for _ in range(depth):
        value = {"details": value}
    return value


@pytest.mark.parametrize(("depth", "known"), [(3, True), (30, False)])
def test_codes_and_waits_are_read_as_deep_as_providers_nest_them(depth: int, known: bool) -> None:
    quota = refused(429, {}, json.dumps(nested({"code": 1113, "message": "no"}, depth)).encode(), now=0.0)
    assert (quota.failure is Failure.QUOTA) is known
    busy = refused(429, {}, json.dumps(nested({"retry_after": 7}, depth)).encode(), now=0.0)
    assert (busy.retry_after_seconds == 7.0) is known


@pytest.mark.parametrize(("code", "known"), [(1113, True), (10**9, False)])
def test_a_code_is_a_number_that_somebody_could_list(code: int, known: bool) -> None:
    body = json.dumps({"error": {"code": code, "message": "arrears"}}).encode()
    assert (refused(429, {}, body, now=0.0).failure is Failure.QUOTA) is known


def test_numbers_of_more_shapes_than_are_remembered_are_still_counted() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    odd = " ".join(
        f"{letters[n % 26]}{letters[n // 26 % 26]}{letters[n // 676]}q {n * n}" for n in range(WINDOW + 2000)
    )
    assert loops(odd) == ()
    assert loops(odd + "\n" + "\n".join(f"{n}. The same again." for n in range(400)))
