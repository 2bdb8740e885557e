from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from genai_prices.types import ModelPrice, Tier, TieredPrices

from expand.llm.profile import EMBEDDED_MODEL, Price, profile_for
from expand.llm.tokens import _price, batch_price_for, price_for
from expand.llm.types import Usage

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def price(model: str, url: str | None = None, **table: Any) -> Price | None:
    return price_for(model, profile_for(model, {model: table} if table else {}), url, now=NOW)


def test_published_prices_are_whole_pico_dollars() -> None:
    found = price("gpt-4o-mini")
    assert found == Price(prompt=150_000, cached=75_000, completion=600_000)
    assert found.cost(Usage(prompt=1000, completion=100, cached=400)) == (600 * 150_000 + 400 * 75_000 + 100 * 600_000)
    assert found.bound(1000, 100) == 1000 * 150_000 + 100 * 600_000


def test_a_price_that_changed_is_the_one_of_the_day() -> None:
    profile = profile_for("o3")
    before = price_for("o3", profile, None, now=datetime(2025, 5, 1, tzinfo=UTC))
    after = price_for("o3", profile, None)
    assert before is not None
    assert after is not None
    assert before.prompt == 10_000_000 > after.prompt


def test_prices_that_step_up_with_the_prompt() -> None:
    found = price("claude-sonnet-4-5", "https://api.anthropic.com/v1")
    assert found == Price(
        prompt=3_000_000,
        cached=300_000,
        completion=15_000_000,
        steps=(Price(above=200_000, prompt=6_000_000, cached=600_000, completion=22_500_000),),
    )
    assert found.cost(Usage(prompt=200_000, completion=1)) == 200_000 * 3_000_000 + 15_000_000
    assert found.cost(Usage(prompt=200_001, completion=1)) == 200_001 * 6_000_000 + 22_500_000
    assert found.bound(200_000, 1) == 200_000 * 3_000_000 + 15_000_000
    assert found.bound(200_001, 1) == 200_001 * 6_000_000 + 22_500_000


def test_a_cache_that_is_billed_when_written_makes_fresh_prompts_dearer() -> None:
    found = price("gpt-6-sol")
    assert found is not None
    assert (found.prompt, found.cached) == (2_500_000, 200_000)


def test_an_unknown_model_or_endpoint_has_no_price() -> None:
    assert price("nobody-knows-me") is None
    assert price("gpt-4o", "https://gateway.example.com/v1") is None


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/v1",
        "http://localhost:11434/v1",
        "http://[::1]:80/v1",
        "http://192.168.1.5/v1",
        "http://box.local/v1",
    ],
)
def test_a_server_of_ones_own_has_no_price_unless_stated(url: str) -> None:
    assert price("gpt-4o", url) is None
    assert price(EMBEDDED_MODEL, url) is None
    stated = price("gpt-4o", url, prices={"prompt": 0, "completion": Decimal("0.0000001")})
    assert stated == Price(prompt=0, cached=0, completion=1)


def test_the_embedded_model_costs_exactly_nothing() -> None:
    found = price(EMBEDDED_MODEL)
    assert found is not None
    assert found.cost(Usage(prompt=10**6, completion=10**6)) == 0
    assert found.bound(10**6, 10**6) == 0


def test_a_stated_price_comes_first() -> None:
    found = price("gpt-4o", prices={"prompt": 1, "cached": 0.1, "completion": 2})
    assert found == Price(prompt=10**6, cached=10**5, completion=2 * 10**6)


def test_the_bound_covers_a_cached_price_above_the_fresh_one() -> None:
    assert Price(prompt=1, cached=3, completion=2).bound(10, 10) == 50


def _calculated(**prices: Any) -> Any:
    return SimpleNamespace(model_price=ModelPrice(**prices), provider=SimpleNamespace(id="elsewhere"))


def test_a_batch_costs_what_is_stated_else_what_is_published_else_half() -> None:
    live = price("gpt-4.1")
    published = batch_price_for("gpt-4.1", profile_for("gpt-4.1"), None, now=NOW)
    assert live is not None
    assert published is not None
    assert 2 * published.bound(1000, 100) == live.bound(1000, 100)
    tenth = profile_for("gpt-4.1", {"gpt-4.1": {"batch_discount": 0.1}})
    stated = batch_price_for("gpt-4.1", tenth, None, now=NOW)
    assert stated is not None
    assert 10 * stated.bound(1000, 100) == 9 * live.bound(1000, 100)
    assert batch_price_for("nobodys", profile_for("nobodys"), None, now=NOW) is None


def test_a_batch_of_a_model_without_a_published_one_costs_half(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live = price("gpt-4.1")
    monkeypatch.setattr("expand.llm.tokens._published", lambda *given: live)
    half = batch_price_for("gpt-4.1", profile_for("gpt-4.1"), None, now=NOW)
    assert live is not None
    assert half is not None
    assert 2 * half.bound(1000, 100) == live.bound(1000, 100)


def test_half_a_price_is_none() -> None:
    assert _price(_calculated(input_mtok=Decimal(1))) is None
    assert _price(_calculated(output_mtok=Decimal(1))) is None


def test_steps_of_one_kind_only_leave_the_other_as_it_is() -> None:
    tiers = [Tier(start=100, price=Decimal(2)), Tier(start=300, price=Decimal(4))]
    found = _price(
        _calculated(
            input_mtok=TieredPrices(base=Decimal(1), tiers=tiers),
            output_mtok=Decimal(5),
            cache_write_mtok=Decimal(9),
        )
    )
    assert found is not None
    assert [r.prompt for r in (found, *found.steps)] == [10**6, 2 * 10**6, 4 * 10**6]
    assert {r.completion for r in (found, *found.steps)} == {5 * 10**6}
    assert found.cost(Usage(prompt=301, completion=0)) == 301 * 4 * 10**6
    assert found.cost(Usage(prompt=0, completion=2)) == 10**7
