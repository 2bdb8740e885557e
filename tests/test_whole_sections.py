"""A strong model is asked for a section at once, and what its first one delivers corrects the others."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from workspaces import profile, shipped

from expand import RunResult, Workspace, expand_chapter
from expand.drafting.length_loop import FOOTNOTE_LINES, Ask, LengthLoop, Outcome, expected_ratio
from expand.drafting.section_text import SectionText, Skeleton, imagined_line
from expand.llm.types import Finish
from expand.markdown.lines import effective
from expand.references.passages import Passage
from expand.testing import ScriptedAuthor, SentRequest
from expand.testing.scripted_author import Script


def run(place: Path, author: ScriptedAuthor, **options: Any) -> RunResult:
    given = {"model": "gpt-4.1", "language": "en", "read": False, **options}
    return asyncio.run(expand_chapter(Workspace.open(place), "03", author=author, **given))


def drafting(author: ScriptedAuthor) -> list[SentRequest]:
    return [sent for sent in author.requests if sent.purpose != "brief"]


@pytest.mark.parametrize(("ratio", "most", "score"), [(1.0, 11, 97), (0.45, 20, 95), (1.5, 14, 95)])
def test_a_chapter_in_few_requests(tmp_path: Path, ratio: float, most: int, score: float) -> None:
    author = ScriptedAuthor(ratio=ratio)
    result = run(shipped(tmp_path), author)
    assert len(author.requests) <= most
    assert result.chapter.length_score >= score
    assert all(sent.asked_lines >= 8 for sent in drafting(author))
    for section in result.chapter.sections:
        bodies = [text for _, text in topics_of(Workspace.open(tmp_path), section.number)]
        even = section.target_lines / max(1, len(bodies))
        assert all(text.count("\n") >= 0.5 * even - 4 for text in bodies), section


def topics_of(workspace: Workspace, number: int) -> list[tuple[str, str]]:
    draft = workspace.draft("03")
    assert draft is not None
    parts = draft.sections[number].split("\n### ")[1:]
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


@pytest.mark.parametrize(("over", "condensed"), [(1.15, False), (1.25, True)])
def test_a_section_that_runs_far_over_is_sent_back_once(tmp_path: Path, over: float, condensed: bool) -> None:
    script, first = Script(ratio=over), [""]

    def write(sent: SentRequest) -> str:
        if sent.purpose == "repair":
            return _shortened(first[0], most=150)
        first[0] = script.written(sent)[0]
        return first[0]

    author = ScriptedAuthor(write=write)
    result = run(shipped(tmp_path), author, sections=[1])
    assert ["repair" in sent.purpose for sent in drafting(author)] == ([False, True] if condensed else [False])
    (section,) = result.chapter.sections
    assert section.lines <= (1.05 if condensed else 1.15) * section.target_lines
    if condensed:
        asked = drafting(author)[1]
        said = re.search(r"it has (\d+) lines where (\d+) are wanted", asked.last_user_message)
        assert said is not None
        now, then = map(int, said.groups())
        shown = asked.last_user_message.partition("<<<\n")[2].partition("\n>>>")[0]
        assert now == pytest.approx(effective(shown), abs=2)  # what the model sees, its topics' headings included
        assert then == pytest.approx(drafting(author)[0].asked_lines, abs=4)  # as many as it was asked for at first
        assert asked.asked_lines < then  # less, since it writes a quarter more than it is asked for


@pytest.mark.parametrize(("rows", "condensed"), [(112, True), (120, False)])
def test_a_section_that_its_code_makes_long_is_not_sent_back(tmp_path: Path, rows: int, condensed: bool) -> None:
    code = "\n".join(f"let call_{n}_{n * n} = read({n});" for n in range(rows))
    prose = [f"Reader number {n * n} waits for {n}.\n" for n in range(40)]

    def write(sent: SentRequest) -> str:
        return "\n".join(["### A\n", *prose, "```rust", code, "```\n"])

    (tmp_path / "outlines").mkdir()
    outline = "id: 1\ntitle: A\nsource: a.md\nsections: [{title: S, lines: 160, topics: [A]}]\n"
    for name, text in (("expand.toml", ""), ("outlines/book.yaml", "title: B\n"), ("outlines/1.yaml", outline)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    author = ScriptedAuthor(write=write)
    options: dict[str, Any] = {"model": "gpt-4.1", "read": False, "brief": False}
    asyncio.run(expand_chapter(Workspace.open(tmp_path), "1", author=author, **options))
    assert [sent.purpose for sent in author.requests] == ["draft", "repair"][: 1 + condensed]


def _shortened(text: str, *, most: int) -> str:
    """The text without its last sentences, headings and code aside."""
    lines = text.splitlines()
    inside = False
    plain = []
    for number, line in enumerate(lines):
        inside ^= line.startswith("```")
        if not inside and line.strip() and not line.startswith(("#", "```", "About")):
            plain.append(number)
    gone = set(plain[-max(0, len(lines) - most + 8) :])
    return "\n".join(line for number, line in enumerate(lines) if number not in gone) + "\n"


def test_a_shorter_text_that_lost_an_example_is_not_taken(tmp_path: Path) -> None:
    script = Script()

    def write(sent: SentRequest) -> str:
        if sent.purpose != "repair":
            return replace(script, ratio=1.5).written(sent)[0]
        lines = script.written(sent)[0]
        return re.sub(r"(?s)```.*?```", "No code.", lines, count=1)

    author = ScriptedAuthor(write=write)
    result = run(shipped(tmp_path), author, sections=[1])
    assert sum(sent.purpose == "repair" for sent in author.requests) >= 1
    assert result.chapter.sections[0].lines > 1.15 * result.chapter.sections[0].target_lines


def following(target: int, lines: int, *, strong: bool = True) -> tuple[SectionText, Ask | None]:
    """A section that has so many lines after one answer, and what is asked for next."""
    section = SectionText(Skeleton(number=1, title="One", topics=("A",), target=target))
    loop = LengthLoop(section, profile(500, brief=strong))
    text = "\n".join(imagined_line(number) for number in range(lines - section.lines - 1))
    section.add(text, Finish.STOP, (0,))
    assert section.lines == lines
    loop.record(Ask(purpose="draft", slots=(0,), lines=50, ordinal=0), 50)
    return section, loop.next()


@pytest.mark.parametrize(
    ("target", "least"), [(200, 190), (300, 285), (100, 95), (92, 88), (70, 67), (50, 47), (40, 37), (10, 7)]
)
def test_a_strong_model_is_asked_for_no_few_lines(target: int, least: int) -> None:
    assert following(target, least)[1] is None
    _, asked = following(target, least - 1)
    assert asked is not None
    assert asked.lines == max(8, target - least + 1)


def test_the_footnotes_of_a_section_that_may_cite_are_not_asked_for() -> None:
    passage = Passage(path="a.md", unit="lines", first=1, last=2, text="Said.")
    for topics in (("A",), ("A", "B", "C")):
        skeleton = Skeleton(number=1, title="One", topics=topics, target=100)
        plain, citing = (
            LengthLoop(SectionText(one), profile(500, brief=True)).next()
            for one in (skeleton, replace(skeleton, passages={"R1": passage}))
        )
        assert plain is not None
        assert citing is not None
        assert plain.lines - citing.lines == FOOTNOTE_LINES * len(topics)


def test_the_first_section_corrects_what_is_asked_for_the_others(tmp_path: Path) -> None:
    author = ScriptedAuthor(ratio=1.5)
    run(shipped(tmp_path), author, concurrency=8)
    drafts = [sent for sent in drafting(author) if sent.purpose == "draft"]
    assert drafts[0].section == 1
    assert all(sent.section == 1 for sent in drafting(author)[:2])  # the others wait for it
    wanted = {2: 250, 3: 150, 4: 200}
    for sent in drafts:
        if sent.section in wanted:
            assert sent.asked_lines == pytest.approx(wanted[sent.section] / 1.5, rel=0.1)


@pytest.mark.parametrize(
    ("samples", "least", "most"),
    [
        ([], 1.0, 1.0),
        ([(50, 48)], 1.0, 1.0),
        ([(100, 109)], 1.0, 1.0),  # nearly a tenth too much may be chance
        ([(100, 91)], 1.0, 1.0),
        ([(100, 111)], 1.11, 1.11),
        ([(100, 89)], 0.89, 0.89),
        ([(50, 48), (100, 108)], 1.0, 1.0),
        ([(50, 48), (100, 116)], 1.09, 1.1),
        ([(100, 104)] * 4, 1.0, 1.0),
        ([(100, 106)] * 4, 1.06, 1.06),  # what every section has is none
        ([(150, 225)], 1.5, 1.5),
        ([(100, 45)], 0.45, 0.45),
    ],
)
def test_what_may_be_chance_corrects_nothing(samples: list[tuple[int, int]], least: float, most: float) -> None:
    outcomes = [
        Outcome(ask=Ask(purpose="draft", slots=(0,), lines=asked, ordinal=0), grown=grown) for asked, grown in samples
    ]
    assert least <= expected_ratio(outcomes) <= most


def test_an_author_who_varies_by_chance_is_asked_for_what_is_wanted(tmp_path: Path) -> None:
    script = Script()
    ratios = {1: 0.95, 2: 1.08, 3: 0.95, 4: 1.08}

    def write(sent: SentRequest) -> str:
        return replace(script, ratio=ratios[sent.section]).written(sent)[0]

    author = ScriptedAuthor(write=write)
    run(shipped(tmp_path), author, sections=[*ratios], concurrency=1, brief=False)
    asked = {sent.section: sent.asked_lines for sent in drafting(author) if sent.purpose == "draft"}
    # The lines of a section, less its blank line after the heading and those between its topics.
    assert asked == {1: 150 - 5, 2: 250 - 7, 3: 150 - 5, 4: 200 - 5}
