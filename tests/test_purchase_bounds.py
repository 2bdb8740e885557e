"""What a section may be charged, and models that spend their output on thinking."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from buying import begin, order
from buying import place as a_ledger
from workspaces import draft_of, rows, small

from expand.drafting.budget_plan import ChapterBound
from expand.drafting.events import Event, Notice
from expand.drafting.model_setup import IN_VAIN_SECTIONS, MOSTLY_THINKING, ThinkingRoom, spent_on_thinking
from expand.drafting.results import RunResult
from expand.drafting.run import Run
from expand.drafting.run_options import RunOptions
from expand.ledger import Ledger
from expand.llm.profile import profile_for
from expand.llm.types import Answer, Finish, OnText, Request, Usage, ignore_text
from expand.outline import Plan
from expand.settings import Settings
from expand.workspace import Workspace

SETTINGS = Settings(model="scripted", base_url="http://127.0.0.1:9/v1")
OPTIONS = RunOptions(chapters=("07",), plan=Plan.FULL, language="en")


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace(root=small(tmp_path))


class Author:
    """Answers as a function of the request; keeps the output caps that were asked for."""

    def __init__(self, reply: Callable[[Request], Answer]) -> None:
        self.caps: list[int] = []
        self._reply = reply

    async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
        self.caps.append(request.max_output_tokens)
        return self._reply(request)


def thinking(request: Request, *, finish: Finish = Finish.LENGTH) -> Answer:
    cap = request.max_output_tokens
    return Answer(text="", finish=finish, usage=Usage(prompt=100, completion=cap, reasoning=cap), model="scripted")


NUMBERS = iter(range(10**9))


def writing(request: Request) -> Answer:
    text = "".join(f"Sentence {next(NUMBERS)} says one thing that is new.\n" for _ in range(12))
    return Answer(text=text, finish=Finish.STOP, usage=Usage(prompt=100, completion=150), model="scripted")


def run(
    place: Workspace, author: Author, *, workers: int = 1, events: list[Event] | None = None, **settings: object
) -> RunResult:
    chosen = replace(SETTINGS, concurrency=workers, **settings)  # type: ignore[arg-type]

    async def expanded() -> RunResult:
        on_event = None if events is None else events.append
        return await Run(place, OPTIONS, settings=chosen, author=author, on_event=on_event).complete()

    return asyncio.run(expanded())


def test_a_cap_that_was_spent_on_thinking_is_raised_once_for_the_run(place: Workspace) -> None:
    events: list[Event] = []
    author = Author(lambda request: thinking(request) if request.max_output_tokens < 1_500 else writing(request))
    result = run(place, author, events=events)

    assert [section.status for section in result.chapters[0].sections] == ["drafted"] * 3
    assert sum(cap < 1_500 for cap in author.caps) == 1, "the second section begins with the raised cap"
    assert author.caps[1] == 2 * author.caps[0]
    said = [event.message for event in events if isinstance(event, Notice) and "on thinking" in event.message]
    assert said == [
        f"07/1: scripted spent its {author.caps[0]:,} output tokens on thinking; "
        f"asking once more with {author.caps[1]:,}"
    ]


def test_a_model_that_only_thinks_is_not_asked_for_further_sections(place: Workspace) -> None:
    author = Author(thinking)
    result = run(place, author)

    assert result.exit_code == 4
    assert [section.status for section in result.chapters[0].sections] == ["failed"] * 3
    assert len(author.caps) == 1 + IN_VAIN_SECTIONS, "twice in the first section, once in the second, then no more"
    assert 'set reasoning_tokens and max_output_tokens under [models."scripted"] in expand.toml' in result.stopped_by

    again = Author(thinking)
    assert run(place, again).exit_code == 4
    assert again.caps == [], "what is known to be in vain is not bought again"

    place.settings_path.write_text("[models.scripted]\nreasoning_tokens = 4000\n")
    models = {"scripted": {"reasoning_tokens": 4000}}
    better = Author(lambda request: thinking(request) if request.max_output_tokens < 4_000 else writing(request))
    result = run(place, better, models=models)
    assert [section.status for section in result.chapters[0].sections] == ["drafted"] * 3
    assert min(better.caps) >= 4_000


def test_thinking_in_the_text_without_an_end_is_as_good_as_none(place: Workspace) -> None:
    author = Author(
        lambda request: replace(thinking(request, finish=Finish.STOP), text="<think>What do they want?", usage=None)
    )
    result = run(place, author)
    assert result.exit_code == 4
    assert "What do they want" not in draft_of(place.root)
    assert len(author.caps) == 1 + IN_VAIN_SECTIONS


def test_a_section_in_between_that_is_written_begins_the_count_anew() -> None:
    room = ThinkingRoom()
    room.in_vain["m"] += IN_VAIN_SECTIONS - 1
    assert not room.gave_up("m")
    room.in_vain["m"] += 1
    assert room.gave_up("m")
    assert not room.gave_up("other")


def test_caps_are_raised_within_the_profile_and_the_window() -> None:
    profile = replace(profile_for("some-model"), max_output_tokens=3_000, reasoning_tokens=0)
    room = ThinkingRoom()
    assert room.cap(profile, 1_000, 10_000) == 1_000
    assert not room.give(profile, 3_000), "no more is to be had"
    assert room.give(profile, 1_000)
    assert not room.give(profile, 1_000), "once"
    assert room.cap(profile, 1_000, 10_000) == 2_000
    assert room.cap(profile, 2_500, 10_000) == 3_000
    assert room.cap(profile, 300, 10_000) == 2_000, "thinking takes as long for a few lines"
    assert room.cap(profile, 1_000, 1_500) == 1_500
    assert room.cap(profile, 1_000, 500) == 1_000, "what does not fit at all is told elsewhere"
    other = ThinkingRoom()
    assert other.give(replace(profile, reasoning_tokens=1_800), 1_000)
    assert other.cap(profile, 1_000, 10_000) == 2_800


@pytest.mark.parametrize(
    ("finish", "usage", "thought", "spent"),
    [
        (Finish.STOP, None, False, False),
        (Finish.STOP, None, True, True),
        (Finish.CUT, None, True, False),
        (Finish.LENGTH, None, False, True),
        (Finish.STOP, Usage(prompt=1, completion=100, reasoning=int(100 * MOSTLY_THINKING)), False, True),
        (Finish.STOP, Usage(prompt=1, completion=100, reasoning=int(100 * MOSTLY_THINKING) - 1), False, False),
        (Finish.STOP, Usage(prompt=1, completion=0), False, False),
    ],
)
def test_what_counts_as_thinking(finish: Finish, usage: Usage | None, thought: bool, spent: bool) -> None:
    assert spent_on_thinking(Answer(text="", finish=finish, usage=usage), thought) == spent


# --- bounds -------------------------------------------------------------------------------------


class Bound(ChapterBound):
    """The bound of a chapter whose sections' requests reserve so many tokens, by number."""

    def __init__(self, **requests: list[int]) -> None:
        super().__init__()
        self.worked_out: list[int] = []
        self._given = {int(number[1:]): tokens for number, tokens in requests.items()}
        for number in self._given:
            self.begin_one(number)

    def begin_one(self, number: int) -> None:
        self.begin(cast("Any", None), cast("Any", SimpleNamespace(section=SimpleNamespace(number=number))))

    def _reserved(self, section: int) -> int:
        self.worked_out.append(section)
        return sum(self._given[section])


def test_what_a_section_reserves_is_worked_out_only_if_need_be(tmp_path: Path) -> None:
    with closing(Ledger.open(a_ledger(tmp_path))) as ledger:
        asked = order(begin(ledger, 1000))
    bound = Bound(_1=[asked.amount.tokens])
    assert bound.allows(1, asked), "a first order always may be placed"
    bound.add(1, asked.amount.tokens // 2)
    assert bound.worked_out == []
    assert bound.allows(1, asked)
    assert bound.worked_out


def test_a_chapter_may_be_charged_half_as_much_again_as_is_reserved() -> None:
    bound = Bound(_1=[500, 500])
    bound.add(1, 500)
    assert bound.room(1) == 1_000


def test_a_section_alone_may_have_half_a_request_more() -> None:
    bound = Bound(_1=[1_000])
    bound.add(1, 499)
    assert bound.room(1) == 1_001
    bound.add(1, 2)
    assert bound.room(1) == 999


def test_a_small_section_may_have_what_the_chapter_does_not_need() -> None:
    bound = Bound(_1=[400], _2=[3_000, 3_000])
    bound.add(1, 350)
    assert bound.room(1) == 850, "three times its own"
    assert bound.room(2) == 9_600 - 400, "what the first one reserves is kept for it"
    bound.add(1, 100)
    assert bound.room(2) == 9_600 - 450


def test_a_section_may_have_what_others_leave_up_to_twice_its_own() -> None:
    bound = Bound(_1=[500, 500], _2=[500, 500])
    bound.add(1, 1_400)
    assert bound.room(1) == 600, "the sum, less what the other one reserves"
    bound.add(1, 500)
    assert bound.room(2) == 1_100, "what one has taken, another has not"

    wide = Bound(_1=[500, 500], _2=[4_500, 4_500])
    wide.add(1, 2_000)
    assert wide.room(1) == 1_000, "twice its own"


def test_a_section_that_a_person_sends_back_begins_anew(tmp_path: Path) -> None:
    with closing(Ledger.open(a_ledger(tmp_path))) as ledger:
        asked = order(begin(ledger, 1000))
    bound = Bound(_1=[asked.amount.tokens])
    bound.add(1, 2 * asked.amount.tokens)
    assert not bound.allows(1, asked)
    bound.begin_one(1)
    assert bound.allows(1, asked)
    assert bound.room(1) == int(1.5 * asked.amount.tokens)


def test_an_order_that_is_on_its_way_counts_in_full_for_the_others() -> None:
    bound = Bound(_1=[500, 500], _2=[500, 500])
    bound.add(1, 1_000)
    bound.pending[2] = 1_001
    assert bound.room(1) == 999
    assert bound.room(2) == 2_000, "its own is replaced"


@pytest.mark.parametrize(("more", "allowed"), [(0, True), (1, False)])
def test_a_further_order_has_to_fit_the_bound(tmp_path: Path, more: int, allowed: bool) -> None:
    with closing(Ledger.open(a_ledger(tmp_path))) as ledger:
        asked = order(begin(ledger, 1000))
    tokens = asked.amount.tokens
    bound = Bound(_1=[tokens])
    bound.add(1, tokens // 2 + more)
    assert bound.allows(1, asked) == allowed


def test_refusals_and_answers_that_bring_little_stay_within_the_bound(place: Workspace) -> None:
    def little(request: Request) -> Answer:
        return replace(
            writing(request), text=f"Sentence {next(NUMBERS)} is all.\n\nAnd {next(NUMBERS)} more is none.\n"
        )

    run(place, Author(little))
    ((charged, reserved),) = rows(place.root, "SELECT count(*), 1 FROM attempt")
    assert 0 < charged <= 30 * reserved


def test_a_small_section_is_asked_for_again(place: Workspace) -> None:
    path = place.outline_path("07")
    path.write_text(path.read_text(encoding="utf-8").replace("lines: 20", "lines: 10"), encoding="utf-8")

    def half(request: Request) -> Answer:
        text = "".join(f"Sentence {next(NUMBERS) ** 2} says one thing.\n" for _ in range(3))
        usage = Usage(prompt=sum(len(m.content) for m in request.messages) // 4, completion=150)
        return Answer(text=text, finish=Finish.STOP, usage=usage, model="scripted")

    options = replace(OPTIONS, sections=frozenset({3}))
    result = asyncio.run(Run(place, options, settings=SETTINGS, author=Author(half)).complete())
    (section,) = result.chapters[0].sections
    assert section.target_lines == 10
    assert section.answers == 2
    assert "over-plan" not in {one.kind for one in section.findings}


def test_a_last_request_with_a_lower_cap_that_is_spent_on_thinking_is_told_with_that_cap(place: Workspace) -> None:
    author = Author(thinking)
    options = replace(OPTIONS, sections=frozenset({3}), budget=2_800)
    settings = replace(SETTINGS, models={"scripted": {"max_output_tokens": 4_000, "reasoning_tokens": 2_000}})
    result = asyncio.run(Run(place, options, settings=settings, author=author).complete())
    (cap,) = author.caps
    assert cap < 2_000
    assert f"spent its output of {cap:,} tokens on thinking" in result.stopped_by
