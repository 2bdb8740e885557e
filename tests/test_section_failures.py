"""A section that cannot go on, or that loops: the others do, and what was bought is drafted."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from behaviours import BehaviourServer, loops
from workspaces import draft_of, expand, rows, small

from expand import Workspace
from expand.drafting import length_loop, request_builder
from expand.drafting.length_loop import gives_up
from expand.drafting.results import RunResult
from expand.drafting.run import Run
from expand.drafting.run_options import RunOptions
from expand.drafting.section_run import SectionRun
from expand.drafting.section_text import SectionText, Skeleton
from expand.errors import InputError
from expand.llm.tokens import TokenCounter
from expand.llm.types import Finish
from expand.outline import Plan
from expand.settings import Settings
from expand.testing import ScriptedAuthor
from expand.testing.scripted_author import SentRequest

LOOP = "What stands first.\n\n" + "The scheduler decides what to do next.\n" * 60
OPTIONS = RunOptions(chapters=("07",), plan=Plan.FULL, language="en")


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace(root=small(tmp_path))


def run(place: Workspace, author: ScriptedAuthor, *, workers: int = 1, options: RunOptions = OPTIONS) -> RunResult:
    settings = Settings(model="scripted", base_url="http://127.0.0.1:9/v1", concurrency=workers)
    return asyncio.run(Run(place, options, settings=settings, author=author).complete())


def looping_in(*sections: int, times: int = 99) -> ScriptedAuthor:
    """An author that loops in these sections, at first or always."""
    author = ScriptedAuthor()
    seen: list[int] = []

    def write(sent: SentRequest) -> str:
        if sent.section in sections and seen.count(sent.section) < times:
            seen.append(sent.section)
            return LOOP
        count, language = sent.asked_lines, sent.language
        return "\n".join(author.lines(sent, count, language)) + "\n"

    author.write = write
    return author


def test_a_section_that_loops_twice_is_not_asked_for_again(place: Workspace) -> None:
    author = looping_in(2)
    result = run(place, author)
    assert result.exit_code == 5
    asked = [sent.section for sent in author.requests]
    assert asked.count(2) == length_loop.MOST_LOOPS
    looped = [finding for finding in result.chapter.sections[1].findings if finding.kind == "repeats"]
    assert "2 answers of the model repeated the same without end" in looped[0].message
    assert "nothing more was asked for" in looped[0].message
    assert all(section.kept for section in result.chapter.sections if section.number != 2)
    draft = draft_of(place.root)
    assert draft.count("The scheduler decides what to do next.") <= length_loop.MOST_LOOPS
    # Stored is what was paid for, letter for letter.
    assert [text for (text,) in rows(place.root, "SELECT text FROM answer") if text == LOOP]


def test_a_section_that_loops_once_is_asked_for_the_rest(place: Workspace) -> None:
    author = looping_in(2, times=1)
    result = run(place, author)
    section = result.chapter.sections[1]
    assert section.lines > 0.9 * section.target_lines
    assert [finding.kind for finding in section.findings] == ["repeats"]
    assert "an answer of the model repeated the same" in section.findings[0].message
    for sent in author.requests:
        assert sent.prompt_text.count("The scheduler decides what to do next.") <= 1


def test_reading_stops_in_a_loop_and_the_reservation_is_charged(tmp_path: Path) -> None:
    place = small(tmp_path)
    with BehaviourServer(loops.BEHAVIOURS) as server:
        options = ("--base-url", server.base_url, "--model", "loop-lines")
        ran = expand(place, "chapter", "07", "--section", "3", *options)
    assert ran.code == 5
    finishes = rows(place, "SELECT finish, usage_source FROM attempt")
    assert finishes == [("repetition", "reservation")] * length_loop.MOST_LOOPS
    for (text,) in rows(place, "SELECT text FROM answer"):
        assert 1000 < len(text) < 20_000
    assert expand(place, "ledger", "verify").code == 0


@pytest.mark.parametrize(("characters", "over"), [(40_000, False), (40_001, True)])
def test_a_text_is_long_enough_on_however_few_lines(characters: int, over: bool) -> None:
    text = SectionText(Skeleton(number=1, title="One", topics=(), target=40))
    text.bodies[0] = "x" * characters
    assert gives_up(text) is over


def test_two_loops_are_too_many() -> None:
    text = SectionText(Skeleton(number=1, title="One", topics=(), target=40))
    text.add(LOOP, Finish.STOP, (0,))
    assert not gives_up(text)
    text.add(LOOP.replace("decides", "finds"), Finish.REPETITION, (0,))
    assert gives_up(text)


def test_a_quoted_tail_is_bounded_in_tokens(place: Workspace) -> None:
    counter = TokenCounter("gpt-4o")
    words = " ".join(f"w{number * number % 9973}" for number in range(20_000))
    assert counter.count(counter.last(words, 100)) <= 101
    assert words.endswith(counter.last(words, 100))
    assert counter.last("one two three", 3) == "one two three"
    assert counter.count(counter.last("one two three four", 3)) == 3
    assert counter.last("\U0001f600" * 50, 3)

    author = ScriptedAuthor(answers=["What stands first.\n\n" + words[:30_000]])
    run(place, author)
    assert all(counter.count(sent.last_user_message) < 2 * request_builder.TAIL_TOKENS for sent in author.requests)


def test_a_request_that_cannot_be_made_ends_its_section_alone(place: Workspace) -> None:
    place.prompts_folder.mkdir()
    template = '{% if section_title == "Named pipes" %}{{ 1 // (lines - lines) }}{% endif %}{% include "length.j2" %}'
    (place.prompts_folder / "continue.j2").write_text(template)
    author = ScriptedAuthor(ratio=0.5)
    result = run(place, author, workers=3)
    assert result.exit_code == 5
    statuses = {section.number: section.status for section in result.chapter.sections}
    assert statuses == {1: "drafted", 2: "failed", 3: "drafted"}
    section = result.chapter.sections[1]
    (finding,) = (finding for finding in section.findings if finding.kind == "not-asked")
    assert finding.severity == "blocking"
    assert "prompts/continue.j2:1: template: " in finding.message
    assert "About Opening a pipe" in draft_of(place.root)
    assert result.answers == len(author.requests)

    (place.prompts_folder / "continue.j2").unlink()
    again = run(place, author, workers=3)
    assert {section.status for section in again.chapter.sections} == {"drafted"}


def test_a_repair_that_cannot_be_made_leaves_the_section_drafted(place: Workspace) -> None:
    place.prompts_folder.mkdir()
    template = '{% if section_title == "Checklist" %}{{ 1 // (lines - lines) }}{% endif %}{% include "length.j2" %}'
    (place.prompts_folder / "repair.j2").write_text(template)
    result = run(place, ScriptedAuthor(by_section={3: "placeholder"}))
    section = result.chapter.sections[2]
    assert section.status == "drafted"
    (finding,) = (finding for finding in section.findings if finding.kind == "not-asked")
    assert finding.severity == "warning"


def test_a_defect_is_raised_once_the_other_sections_are_drafted(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafted = SectionRun.draft

    async def draft(self: SectionRun) -> object:
        if self._section.number == 1:
            raise KeyError("a defect")
        return await drafted(self)

    monkeypatch.setattr(SectionRun, "draft", draft)
    author = ScriptedAuthor()
    with pytest.raises(KeyError, match="a defect"):
        run(place, author)
    assert {sent.section for sent in author.requests} == {2, 3}
    assert "About Opening a pipe" in draft_of(place.root)
    assert "### 2.1" in draft_of(place.root)


def test_a_draft_that_cannot_be_written_is_tried_again_and_told_at_the_end(place: Workspace) -> None:
    author = ScriptedAuthor()

    def write(sent: SentRequest) -> str:
        draft = place.root / "drafts" / "07.md"
        if draft.is_file():
            draft.unlink()
            draft.mkdir()
        count, language = sent.asked_lines, sent.language
        return "\n".join(author.lines(sent, count, language)) + "\n"

    author.write = write
    result = run(place, author)
    assert result.exit_code == 5
    assert "drafts/07.md" in result.problems[0]
    assert result.answers == len(author.requests)


def test_what_does_not_fit_is_told_before_anything_is_bought(place: Workspace) -> None:
    author = ScriptedAuthor()
    run(place, author)
    before = len(author.requests)
    options = replace(OPTIONS, sections=frozenset({3}), fresh=True, instruction="Say it in other words. " * 8000)
    with pytest.raises(InputError, match="do not fit scripted's context window"):
        run(place, author, options=options)
    assert len(author.requests) == before
