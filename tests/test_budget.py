"""The rules of the budget: exact sums, and what stands in the way of an amount."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expand.budget import Amount, Balance, Limit, pico_from_usd, shortfall, usd_from_pico

TOKENS = st.integers(min_value=0, max_value=10**9)


@given(limit=TOKENS, used=TOKENS, reserved=TOKENS, pico=TOKENS)
def test_used_reserved_and_remaining_are_the_limit(limit: int, used: int, reserved: int, pico: int) -> None:
    balance = Balance(
        scope="book",
        limit=Limit(tokens=limit, pico_usd=pico),
        used_tokens=used,
        reserved_tokens=reserved,
        used_pico_usd=used,
        reserved_pico_usd=reserved,
    )
    assert balance.remaining_tokens is not None
    assert balance.remaining_pico_usd is not None
    assert balance.used_tokens + balance.reserved_tokens + balance.remaining_tokens == limit
    assert used + reserved + balance.remaining_pico_usd == pico


@given(limit=TOKENS, used=TOKENS, reserved=TOKENS, needed=TOKENS)
def test_an_amount_fits_exactly_when_enough_remains(limit: int, used: int, reserved: int, needed: int) -> None:
    balance = Balance(scope="book", limit=Limit(tokens=limit), used_tokens=used, reserved_tokens=reserved)
    missing = shortfall([balance], Amount(tokens=needed))
    assert (missing is None) == (needed <= limit - used - reserved)
    if missing is not None:
        assert missing.waitable == (needed <= limit - used)


def test_a_limit_that_is_not_set_refuses_nothing() -> None:
    assert shortfall([Balance(scope="book", limit=Limit())], Amount(tokens=10**15)) is None
    priced = Balance(scope="book", limit=Limit(pico_usd=1))
    assert shortfall([priced], Amount(tokens=10**15)) is None
    assert Balance(scope="book", limit=Limit()).remaining_pico_usd is None


def test_what_waiting_cannot_mend_is_named_first() -> None:
    waitable = Balance(scope="book", limit=Limit(tokens=100), reserved_tokens=100)
    final = Balance(scope="chapter:03", limit=Limit(tokens=10))
    missing = shortfall([waitable, final], Amount(tokens=50))
    assert missing is not None
    assert str(missing) == "chapter 03: 50 tokens needed, 10 of 10 remain"
    assert not missing.waitable


def test_dollars_are_exact_and_rounded_up() -> None:
    assert pico_from_usd(Decimal("0.000000075")) == 75_000
    assert pico_from_usd(Decimal("0.0000000000001")) == 1
    assert usd_from_pico(75_000) == Decimal("0.000000075")


@pytest.mark.parametrize(("needed", "waitable"), [(100, True), (101, False)])
def test_what_calls_in_flight_would_just_give_back_is_worth_waiting_for(needed: int, waitable: bool) -> None:
    full = Balance(scope="book", limit=Limit(tokens=100), reserved_tokens=100)
    missing = shortfall([full], Amount(tokens=needed))
    assert missing is not None
    assert missing.waitable is waitable
