"""Parts add up to wholes, in every format, for any ledger; and any ledger's reports agree with
what an independent few lines make of its export.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_books import NOW
from scripted_server import ScriptedServer
from workspaces import expand, finished, shipped, small, start

from expand.budget import Balance, Limit
from expand.ledger.values import Aggregates, Day, Open, Slice, State
from expand.llm.local_model import is_installed
from expand.llm.types import Purpose
from expand.outline import Allowance, Book, Text, Tier
from expand.reports.budget_report import budget_report
from expand.reports.data import BookData, ChapterData
from expand.reports.estimates import Basis, Rate
from expand.reports.formats import render
from expand.reports.plan_report import plan_report
from expand.reports.report_model import LANGUAGES, Report, percent, say
from expand.reports.status_report import status_report

PURPOSES: tuple[Purpose, ...] = ("draft", "continue", "repair", "revise")


@dataclass(frozen=True)
class Bought:
    """One attempt of an invented ledger."""

    chapter: str
    section: int
    model: str
    purpose: Purpose
    day: int
    prompt: int
    cached: int
    completion: int
    cost: int | None
    state: State

    @property
    def tokens(self) -> int:
        return 0 if self.state is State.SENT else self.prompt + self.completion


bought = st.builds(
    Bought,
    chapter=st.sampled_from(["03", "04", "| <x>", "é"]),
    section=st.integers(1, 3),
    model=st.sampled_from(["m", "n|o"]),
    purpose=st.sampled_from(PURPOSES),
    day=st.integers(1, 24),
    prompt=st.integers(0, 10**7),
    cached=st.integers(0, 1000),
    completion=st.integers(0, 10**7),
    cost=st.none() | st.integers(0, 10**14),
    state=st.sampled_from([State.SETTLED, State.UNKNOWN, State.SENT]),
)


def data_from(attempts: list[Bought], limit: int | None, opening: int, lines: list[tuple[int, int]]) -> BookData:
    """The data that a ledger of these attempts would give."""
    slices: dict[tuple[Any, ...], list[Bought]] = defaultdict(list)
    days: dict[int, list[Bought]] = defaultdict(list)
    held: dict[tuple[Any, ...], list[Bought]] = defaultdict(list)
    for b in attempts:
        slices[(b.chapter, b.section, b.model, b.purpose)].append(b)
        days[b.day].append(b)
        if b.state is not State.SETTLED:
            held[(b.chapter, b.section, b.model, b.state)].append(b)
    live = sum(b.prompt + b.completion for b in attempts if b.state is State.SENT)
    balance = Balance(
        scope="book",
        limit=Limit(tokens=limit),
        used_tokens=opening + sum(b.tokens for b in attempts),
        reserved_tokens=live,
        unknown_tokens=sum(b.tokens for b in attempts if b.state is State.UNKNOWN),
        opening_tokens=opening,
    )

    def sums(parts: list[Bought]) -> dict[str, int]:
        charged = [b for b in parts if b.tokens]
        return {
            "attempts": len(parts),
            "prompt": sum(b.prompt for b in charged),
            "completion": sum(b.completion for b in charged),
            "cost_pico_usd": sum(b.cost or 0 for b in charged),
            "unpriced": sum(b.cost is None for b in charged),
        }

    parts = tuple(
        Slice(
            chapter=key[0],
            section=key[1],
            model=key[2],
            purpose=key[3],
            language="en",
            cached=0,
            reasoning=0,
            **sums(found),
        )
        for key, found in sorted(slices.items())
    )
    chapters = tuple(
        ChapterData(
            id=f"{number:02}",
            title=Text(plain=f"Chapter {number}"),
            tier=str(number % 2),
            before=now // 2,
            recorded=now,
            target=target,
            outlined=target,
        )
        for number, (now, target) in enumerate(lines, 1)
    )
    return BookData(
        book=Book(
            title=Text(plain="A book"),
            language="en",
            languages=("en", "zh"),
            allowance=Allowance(tokens=limit),
            tiers=tuple(Tier(id=str(n), title=Text(plain=f"Tier {n}"), target_lines=500) for n in range(2)),
        ),
        chapters=chapters,
        aggregates=Aggregates(
            balance=balance,
            slices=parts,
            days=tuple(Day(day=f"2026-11-{day:02}", **sums(found)) for day, found in sorted(days.items())),
            open=tuple(
                Open(
                    chapter=key[0],
                    section=key[1],
                    model=key[2],
                    state=key[3],
                    attempts=len(found),
                    tokens=sum(b.prompt + b.completion for b in found),
                )
                for key, found in sorted(held.items())
            ),
        ),
        now=NOW,
        model="m",
        rate=Rate(low=Fraction(20), middle=Fraction(131, 3), high=Fraction(90), basis=Basis.DEFAULT),
        balance=balance,
    )


any_data = st.builds(
    data_from,
    attempts=st.lists(bought, max_size=12),
    limit=st.none() | st.integers(0, 10**9),
    opening=st.integers(0, 10**6),
    lines=st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 2000)), max_size=5),
)
BUDGET = ("limit", "used", "reserved", "remaining")


def number(text: str) -> int | None:
    """A figure as people read it; None for one that is no figure."""
    found = re.match(r"-?[\d,]+", text)
    return int(found[0].replace(",", "")) if found else None


def shown(report: Report, block: str) -> dict[str, dict[str, int | None]]:
    """The four figures of the budget, as each format shows them."""
    labels = {name: say(report.language, name) for name in BUDGET}
    as_json = json.loads(render(report, "json"))
    values = as_json if block == "budget" else as_json[block]
    lines = list(csv.DictReader(io.StringIO(render(report, "csv"))))
    markdown, page = render(report, "markdown"), render(report, "html")
    table = render(report, "table")
    return {
        "json": {name: values[name] for name in BUDGET},
        "csv": {
            line["figure"]: int(line["value"]) if line["value"] else None
            for line in lines
            if line["table"] == block and line["figure"] in BUDGET
        },
        "markdown": {
            name: number(re.findall(rf"(?m)^\| {re.escape(label)} \| (.*) \|$", markdown)[0])
            for name, label in labels.items()
        },
        "html": {
            name: number(re.findall(rf"<dt>{re.escape(label)}</dt><dd>(.*?)</dd>", page)[0])
            for name, label in labels.items()
        },
        "table": {
            name: number(re.findall(rf"(?m)^{re.escape(label)} {{3,}}(\S.*)$", table)[0])
            for name, label in labels.items()
        },
    }


@given(data=any_data, language=st.sampled_from(LANGUAGES))
@settings(max_examples=25, deadline=None)
def test_used_reserved_and_remaining_make_the_limit_in_every_format(data: BookData, language: str) -> None:
    for report, block in (
        (budget_report(data, language), "budget"),
        (status_report(data, {}, language), "resources"),
    ):
        every = shown(report, block)
        assert all(figures == every["json"] for figures in every.values())
        figures = every["json"]
        used, reserved = figures["used"], figures["reserved"]
        assert used is not None
        assert reserved is not None
        if figures["limit"] is None:
            assert figures["remaining"] is None
        else:
            assert figures["remaining"] is not None
            assert used + reserved + figures["remaining"] == figures["limit"]


def tables_of(page: str) -> dict[str, list[list[str]]]:
    """The tables of a page by their names: rows of cells, as a reader of the page sees them."""
    found: dict[str, list[list[str]]] = {}
    for name, body in re.findall(r'aria-label="([^"]*)"><table>(.*?)</table>', page, re.S):
        found[unescape(name)] = [
            [unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
            for row in re.findall(r"<tr>(.*?)</tr>", body, re.S)
        ]
    return found


@given(data=any_data)
@settings(max_examples=25, deadline=None)
def test_the_parts_add_up_to_the_wholes(data: BookData) -> None:
    report = budget_report(data, "en")
    shown = json.loads(render(report, "json"))
    bought_tokens = shown["used"] - shown["opening"]

    assert sum(row["used"] for row in shown["by_chapter"]) == bought_tokens
    for name in ("by_model", "by_purpose", "by_day"):
        assert sum(row["tokens"] for row in shown[name]) == bought_tokens
    estimated = sum(row["estimated_remaining"] for row in shown["by_chapter"])
    assert estimated == shown["estimated_remaining"]
    assert shown["projected_total"] == shown["used"] + shown["reserved"] + estimated
    costs = [row["cost"] for row in shown["by_model"]]
    if shown["cost"] is None:
        assert None in costs
    else:
        assert sum(map(Decimal, costs)) == Decimal(shown["cost"])
    tables = tables_of(render(report, "html"))
    lines = list(csv.DictReader(io.StringIO(render(report, "csv"))))
    for name, column in (("by_chapter", 1), ("by_model", 6), ("by_day", 2)):
        rows = tables.get(say("en", name), [[]])[1:]
        parts = [number(row[column]) for row in rows if row[0] != "Total"]
        assert sum(part or 0 for part in parts) == bought_tokens
        figure = "used" if name == "by_chapter" else "tokens"
        values = [
            int(line["value"])
            for line in lines
            if (line["table"], line["figure"]) == (name, figure) and line["row"] != "total"
        ]
        assert sum(values) == bought_tokens


@given(data=any_data)
@settings(max_examples=25, deadline=None)
def test_plans_add_up_and_what_fits_does(data: BookData) -> None:
    shown = json.loads(render(plan_report(data, "zh"), "json"))
    now = sum(chapter.lines for chapter in data.chapters)

    for plan in shown["plans"]:
        chapters = [row for row in shown["plan_chapters"] if row["plan"] == plan["plan"]]
        assert sum(row["added"] for row in chapters) == plan["added"]
        assert sum(row["tokens"] for row in chapters) == plan["tokens"]
        assert plan["lines_after"] == now + plan["added"]
        assert plan["tokens_low"] <= plan["tokens"] <= plan["tokens_high"]
        remaining = data.balance.remaining_tokens
        assert plan["left"] == (None if remaining is None else remaining - plan["tokens"])
    high = sum(row["tokens_high"] for row in shown["what_fits"])
    assert data.balance.remaining_tokens is None or high <= max(0, data.balance.remaining_tokens)


def test_percentages_are_rounded_half_up() -> None:
    assert percent(1, 2000) == Decimal("0.1")
    assert percent(5048, 6233) == Decimal("81.0")
    assert percent(0, 0) is None


def added_up(place: Path) -> dict[str, Any]:
    """The ledger's export, added up without any of the tool's own code."""
    ran = expand(place, "ledger", "export", "--no-texts")
    lines = [json.loads(line) for line in ran.out.splitlines()]
    attempts = [
        line for line in lines if line["kind"] == "attempt" and (line["sent_at"] or line["state"] != "released")
    ]
    found: dict[str, Any] = {"attempts": len(attempts), "used": 0, "reserved": 0, "unknown": 0}
    for group in ("chapter", "model", "purpose", "day"):
        found[group] = defaultdict(int)
    for a in attempts:
        tokens = a["prompt"] + a["completion"]
        found["used"] += tokens
        found["unknown"] += tokens if a["state"] == "unknown" else 0
        found["reserved"] += a["reserved_tokens"] if a["state"] in ("reserved", "sent") else 0
        for group in ("chapter", "model", "purpose"):
            found[group][a[group]] += tokens
        found["day"][a["reserved_at"][:10]] += tokens
    found["opening"] = next(
        line["opening_tokens"] for line in lines if line["kind"] == "scope" and line["scope"] == "book"
    )
    return found


def agree(place: Path) -> None:
    """Budget, plan and status show what the export adds up to."""
    sums = added_up(place)
    budget = expand(place, "budget", "--json").json
    used = sums["used"] + sums["opening"]
    assert (budget["used"], budget["opening"]) == (used, sums["opening"])
    assert (budget["reserved"], budget["unknown"]) == (sums["reserved"], sums["unknown"])
    assert budget["remaining"] == budget["limit"] - used - sums["reserved"]
    chapters = {row["id"]: row["used"] for row in budget["by_chapter"] if row["used"]}
    assert chapters == sums["chapter"]
    assert sum(row["attempts"] for row in budget["by_chapter"]) == sums["attempts"]
    assert {row["model"]: row["tokens"] for row in budget["by_model"]} == sums["model"]
    assert {row["purpose"]: row["tokens"] for row in budget["by_purpose"]} == sums["purpose"]
    assert {row["day"]: row["tokens"] for row in budget["by_day"]} == sums["day"]
    status = expand(place, "status", "--json").json
    assert status["resources"]["used"] == used
    assert status["resources"]["remaining"] == budget["remaining"]
    assert {row["purpose"]: row["tokens"] for row in status["by_purpose"]} == sums["purpose"]
    plans = expand(place, "plan", "--json").json["plans"]
    assert {plan["left"] + plan["tokens"] for plan in plans} == {budget["remaining"]}
    assert plans[0]["tokens"] == budget["estimated_remaining"]


def test_reports_agree_with_the_export_after_a_run(tmp_path: Path) -> None:
    place = small(tmp_path / "book")
    with ScriptedServer(script=("normal", "drop", "normal", "rate_limited"), ratio=0.5) as server:
        ran = expand(place, "chapter", "07", "--base-url", server.base_url, "--json")

    assert ran.json["attempts"] > 5
    agree(place)
    budget = expand(place, "budget", "--json").json
    assert budget["unknown"] > 0
    assert any("based on 3 sections by scripted" in note for note in budget["notes"])


@pytest.mark.embedded
@pytest.mark.slow
@pytest.mark.skipif(not is_installed(), reason="the embedded model is not installed")
def test_reports_agree_with_the_export_after_an_embedded_run(tmp_path: Path) -> None:
    place = shipped(tmp_path / "book")

    ran = finished(start(place, "chapter", "03", "--section", "8", "--json"), seconds=300)

    assert ran.json["answers"] > 0
    agree(place)


def test_what_is_in_flight_is_shown_as_reserved(tmp_path: Path) -> None:
    from buying import answer, begin, order

    from expand.ledger import Ledger, Reservation

    place = small(tmp_path / "book")
    ledger = Ledger.open(place / ".expand" / "ledger.db")
    run = begin(ledger, 200_000, opening=1000)
    done = ledger.reserve(order(run, "one", chapter="07"))
    assert isinstance(done, Reservation)
    ledger.settle(done.attempt_id, answer(), cost_pico_usd=None)
    ledger.reserve(order(run, "two", chapter="07"))

    shown = expand(place, "budget", "--json").json

    assert (shown["used"], shown["reserved"]) == (1045, 100)
    assert shown["remaining"] == 200_000 - 1145
    agree(place)
    ledger.close()
