"""A budget that does not reach for all finishes some sections instead of beginning all of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from workspaces import shipped, small

from expand import Event, RunResult, Workspace, expand_chapter, expand_chapters
from expand.api import dry_run
from expand.drafting.budget_plan import TOKENS_PER_LINE, Amounts, DueSection, Key, budget_plan
from expand.drafting.events import Notice
from expand.drafting.run_options import RunOptions
from expand.ledger import verify
from expand.outline import Priority
from expand.testing import ScriptedAuthor

LINES: dict[Key, int] = {}


def due(chapter: str, section: int, lines: int = 100, priority: Priority = "medium") -> DueSection:
    LINES[chapter, section] = lines
    return DueSection((chapter, section), lines, lines // 2, priority)


def expected(key: Key) -> Amounts:
    return {"tokens": 30 * LINES[key], "pico_usd": 60 * LINES[key]}


def tokens(left: int | None) -> Callable[[str], Amounts]:
    """So many for all chapters together."""
    return lambda chapter: {} if left is None else {"tokens": left}


def run(
    place: Path, author: ScriptedAuthor, budget: int, concurrency: int, model: str | None = None
) -> tuple[RunResult, list[str]]:
    notices: list[str] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Notice):
            notices.append(event.message)

    options = RunOptions(budget=budget, concurrency=concurrency, language="en", model=model)
    running = expand_chapter(Workspace.open(place), "03", options, author=author, on_event=on_event)
    return asyncio.run(running), notices


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize(("budget", "whole"), [(12_000, 1), (25_000, 3)])
def test_what_the_budget_reaches_for_is_finished(tmp_path: Path, budget: int, whole: int, concurrency: int) -> None:
    place, author = shipped(tmp_path), ScriptedAuthor()
    result, notices = run(place, author, budget, concurrency)
    sections = result.chapter.sections
    finished = [section for section in sections if section.status == "drafted"]
    assert len(finished) >= whole
    assert sections[0].status == "drafted"  # the outline's order is the order of a chapter's sections
    assert all(abs(section.lines - section.target_lines) <= 0.05 * section.target_lines for section in finished)
    assert {section.status for section in sections} == {"drafted", "refused"}
    begun = {sent.section for sent in author.requests}
    assert begun == {section.number for section in finished}
    said = notices[0]
    assert all(f"03/{section.number}" in said.partition("will be finished")[0] for section in finished)
    assert result.exit_code == 3
    balance = result.balance
    assert balance.limit.tokens is not None
    assert balance.remaining_tokens is not None
    assert balance.used_tokens + balance.reserved_tokens + balance.remaining_tokens == balance.limit.tokens
    assert verify(Workspace.open(place).ledger_path).findings == ()


def test_the_highest_priority_comes_first(tmp_path: Path) -> None:
    place = shipped(tmp_path)
    for chapter, priority in (("04", "low"), ("05", "high")):
        path = place / f"outlines/{chapter}.yaml"
        text = re.sub(r"(?m)^priority: .*$", f"priority: {priority}", path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8")
    author = ScriptedAuthor()
    asyncio.run(expand_chapters(Workspace.open(place), ["04", "05"], author=author, budget=12_000, language="en"))
    chapters = [sent.chapter for sent in author.requests]
    assert chapters[0] == "05"
    assert chapters == sorted(chapters, reverse=True)  # 04 gets what 05 leaves


def test_what_fits_is_taken_in_order_and_the_rest_left_out() -> None:
    sections = [due("03", 1), due("03", 2, 300), due("03", 3), due("04", 1, priority="high")]
    plan = budget_plan(sections, tokens(9_000), expected)
    assert plan is not None
    assert [*plan.finished] == [("04", 1), ("03", 1)]
    assert plan.begins(("03", 1), {"tokens": 3_000})
    assert plan.begins(("03", 1), {})
    assert not plan.begins(("03", 1), {"tokens": 2_999})  # what came before it took more than it was expected to
    assert not plan.begins(("03", 3), {"tokens": 9_000})
    assert plan.left_out == (("03", 2), ("03", 3))
    assert plan.tokens == 6_000
    assert "--plan lean would take about 9,000" not in str(plan)
    assert "04/1, 03/1 will be finished" in str(plan)


@pytest.mark.parametrize(("allowance", "finished"), [("tokens: 12000", True), ("usd: 0.06", True), ("usd: 0.6", False)])
def test_what_a_chapters_own_allowance_reaches_for_is_finished(tmp_path: Path, allowance: str, finished: bool) -> None:
    place, author = shipped(tmp_path), ScriptedAuthor()
    with (place / "outlines/03.yaml").open("a", encoding="utf-8") as outline:
        outline.write(f"allowance: {{{allowance}}}\n")
    with (place / "expand.toml").open("a", encoding="utf-8") as settings:
        settings.write("[models.scripted]\nprices = {prompt = 2.0, completion = 8.0}\n")
    result, notices = run(place, author, 200_000, 8, "scripted")
    statuses = [section.status for section in result.chapter.sections]
    assert ("do not cover the 8 sections" in notices[0] if notices else False) == finished
    assert set(statuses) == ({"drafted", "refused"} if finished else {"drafted"})
    drafted = {section.number for section in result.chapter.sections if section.status == "drafted"}
    assert {sent.section for sent in author.requests} == drafted


@pytest.mark.parametrize(
    ("left", "planned"),
    [
        ({"": {"pico_usd": 14_999}}, [("03", 1)]),  # 6,000 and 12,000 pico-dollars, and a quarter more
        ({"": {"pico_usd": 22_500}}, None),
        ({"04": {"tokens": 7_499}}, [("03", 1)]),
        ({"04": {"tokens": 7_500}}, None),
        ({"": {"tokens": 11_250}, "03": {"tokens": 3_749}}, [("04", 1)]),
        ({"": {"tokens": 11_250}, "03": {"tokens": 3_750}}, None),
    ],
)
def test_every_budget_and_both_its_measures_count(
    left: dict[str, dict[str, int]], planned: list[tuple[str, int]] | None
) -> None:
    sections = [due("03", 1), due("04", 1, 200)]
    plan = budget_plan(sections, lambda scope: left.get(scope, {}), expected)
    assert (plan and [*plan.finished]) == planned


def test_the_lean_plan_is_offered_where_it_fits() -> None:
    plan = budget_plan([due("03", 1), due("03", 2)], tokens(3_750), expected)
    assert plan is not None
    assert "--plan lean would take about 3,000" in str(plan)
    less = budget_plan([due("03", 1), due("03", 2, 101)], tokens(3_750), expected)
    assert less is not None
    assert less.lean_tokens == 3_000
    tight = budget_plan([due("03", 1), due("03", 2, 103)], tokens(3_750), expected)
    assert tight is not None
    assert "--plan lean" not in str(tight)


@pytest.mark.parametrize(
    ("remaining", "planned"),
    [(None, False), (TOKENS_PER_LINE * 200, False), (TOKENS_PER_LINE * 200 - 1, False), (7_500, False), (7_499, True),
     (3_750, True), (3_749, False), (0, False)],
)  # fmt: skip
def test_a_plan_is_made_only_where_some_fit_and_some_do_not(remaining: int | None, planned: bool) -> None:
    asked: list[Key] = []

    def noted(key: Key) -> Amounts:
        asked.append(key)
        return expected(key)

    plan = budget_plan([due("03", 1), due("03", 2)], tokens(remaining), noted)
    assert (plan is not None) == planned
    assert bool(asked) == (remaining is not None and remaining < TOKENS_PER_LINE * 200)


def test_a_request_shrinks_to_what_is_left(tmp_path: Path) -> None:
    place = small(tmp_path)
    whole = ScriptedAuthor()
    asyncio.run(expand_chapter(Workspace.open(small(tmp_path / "whole")), "07", author=whole, sections=[3]))
    caps = [sent.request.max_output_tokens for sent in whole.requests]
    tight = ScriptedAuthor()
    largest = dry_run(Workspace.open(place), "07", author=tight, sections=[3])[0].largest
    budget = largest - caps[0] // 2  # room for the prompt and for half of the output cap
    asyncio.run(expand_chapter(Workspace.open(place), "07", author=tight, sections=[3], budget=budget))
    assert tight.requests
    assert tight.requests[0].request.max_output_tokens < caps[0]
