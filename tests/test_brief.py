"""The brief: what a chapter's sections share, made once, edited by hand, and told to every section."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from workspaces import expand, profile, small

from expand import RunResult, Workspace, accept, expand_chapter
from expand.drafting.brief import brief_warnings, parse_brief, read_brief
from expand.drafting.events import Event, Notice
from expand.drafting.length_loop import LengthLoop
from expand.drafting.section_text import SectionText, Skeleton
from expand.errors import InputErrors
from expand.ledger import verify
from expand.llm.types import Answer, Finish, Usage
from expand.outline import Outline, Quality, Section, Text, too_many_examples
from expand.testing import ScriptedAuthor, SentRequest
from expand.testing.scripted_author import Script

BRIEF = """\
Here is the plan:

```yaml
edition: 2024
packages:
  signal-hook: {version: 0.3.18, features: [iterator]}
running_example:
  name: prockit
  interface: ["pub fn stop(self) -> io::Result<()>"]
formats:
  PROCKIT_FAULT: set by section 1, read by section 2
sections:
- title: Signal handling
  opening: Signals come first, because everything else waits for them.
  introduces: [Worker]
  topics:
  - {title: Blocking signals, lines: 8, examples: 1, shows: [a mask]}
  - {title: Handler safety, lines: 24, examples: 0}
- title: Named pipes
  opening: Pipes carry what signals cannot.
  relies_on: [Worker from section 1]
  must_not_repeat: [how a handler is set]
- title: Checklist
  opening: The rules in short.
```
"""


def author(brief: str | Callable[[int], str | Answer] = BRIEF) -> ScriptedAuthor:
    """Answers the request for a brief with ``brief``, by its number from 0, and writes sections to order."""

    script = Script()

    def write(sent: SentRequest) -> str | Answer:
        if sent.purpose == "brief":
            return brief if isinstance(brief, str) else brief(sum(s.purpose == "brief" for s in made.requests) - 1)
        return script.written(sent)[0]

    made = ScriptedAuthor(write=write)
    return made


def run(place: Path, writer: ScriptedAuthor, **options: Any) -> RunResult:
    opened = Workspace.open(place)
    return asyncio.run(expand_chapter(opened, "07", author=writer, model="gpt-4.1", read=False, **options))


def requests(writer: ScriptedAuthor, section: int) -> list[str]:
    return [sent.prompt_text for sent in writer.requests if sent.section == section]


def test_a_brief_is_made_first_and_told_to_every_section(tmp_path: Path) -> None:
    place, writer = small(tmp_path), author()
    result = run(place, writer)
    assert [sent.purpose for sent in writer.requests].count("brief") == 1
    assert writer.requests[0].purpose == "brief"
    assert writer.requests[0].section == 0
    assert "A named pipe outlives" in writer.requests[0].last_user_message  # the author's own text
    assert not any("beside these sections" in sent.prompt_text for sent in writer.requests)  # it has a header alone
    for section in (1, 2, 3):
        assert all("signal-hook" in text and "PROCKIT_FAULT" in text for text in requests(writer, section))
    assert any("Worker from section 1" in text for text in requests(writer, 2))
    assert not any("Worker from section 1" in text for text in requests(writer, 1))
    draft = (place / "drafts/07.md").read_text(encoding="utf-8")
    for opening in ("Signals come first, because everything else waits for them.", "The rules in short."):
        assert draft.count(opening) == 1
    assert "## 1. Signal handling\n\nSignals come first" in draft
    assert result.attempts == len(writer.requests)
    assert result.balance.opening_tokens + result.tokens == result.balance.used_tokens
    of_sections = sum(section.usage.total for section in result.chapter.sections)
    assert result.tokens > of_sections, "the brief's belong to no section"
    assert verify(Workspace.open(place).ledger_path).findings == ()
    again = author()
    assert run(place, again).attempts == 0
    assert again.requests == []


def test_a_brief_is_asked_for_in_what_the_outline_counts(tmp_path: Path) -> None:
    place, writer, mixed = small(tmp_path), author(), author()
    outline = place / "outlines/07.yaml"
    in_lines = outline.read_text(encoding="utf-8")
    in_words = in_lines.replace("lines: 40", "words: 300").replace("lines: 20", "words: 150")
    outline.write_text(in_words.replace("target_lines: 100\n", ""), encoding="utf-8")
    run(place, writer)
    asked = writer.requests[0].last_user_message
    assert "The chapter has 750 words" in asked
    assert "Signal handling: 300 words. Topics" in asked
    assert "lines: its share of the section's words" in asked
    other = small(tmp_path / "other")
    (other / "outlines/07.yaml").write_text(in_lines.replace("lines: 20", "words: 150"), encoding="utf-8")
    run(other, mixed)
    asked = mixed.requests[0].last_user_message
    assert "The chapter has 95 lines" in asked
    assert "Signal handling: 40 lines. Topics" in asked
    assert "Checklist: 150 words" in asked


PAGE = """\
---
title: Signals
---

# Signals and pipes

Read this page first.

## Signal handling

Signals interrupt whatever runs.

## Named pipes

### Opening a pipe

Opening blocks until both ends are open.

## Checklist

Three rules follow.

## See also

- [Processes](processes.md)
"""


def test_requests_show_the_authors_text_that_opens_a_section_and_no_other_opening(tmp_path: Path) -> None:
    place, writer = small(tmp_path), author()
    outline = place / "outlines/07.yaml"
    outline.write_text(outline.read_text(encoding="utf-8") + "layout: keep\n", encoding="utf-8")
    (place / "chapters/07_signals.md").write_text(PAGE, encoding="utf-8")
    run(place, writer)
    brief = writer.requests[0].last_user_message
    assert all(said in brief for said in ("Signals interrupt whatever", "Opening blocks until", "Three rules follow."))
    asked = {sent.section: sent.last_user_message for sent in reversed(writer.requests) if sent.purpose == "draft"}
    opens = "which is printed already; write what comes after it:\n<<<\n{}\n>>>\n".format
    draft = (place / "drafts/07.md").read_text(encoding="utf-8")
    assert opens("Signals interrupt whatever runs.") in asked[1]
    assert opens("Pipes carry what signals cannot.") in asked[2]  # its author's text is a topic's
    assert "text in this place:\n<<<\nOpening blocks until both ends are open.\n>>>" in asked[2]
    assert "is printed already" not in asked[3]  # it has no topics: the author's text is all of its own
    assert "text in this place:\n<<<\nThree rules follow.\n>>>" in asked[3]
    system = {sent.request.messages[0].content for sent in writer.requests if sent.section}
    beside = "# Signals and pipes\n\nRead this page first.\n\n## See also\n\n- [Processes](processes.md)"
    assert all(f"beside these sections; it stays as it is:\n<<<\n{beside}\n>>>" in one for one in system)
    for never in ("Signals come first, because everything else waits for them.", "The rules in short."):
        assert never not in draft
        assert all(never not in text for text in asked.values())
    accept(Workspace.open(place), "07", force=True)
    again = author()
    assert run(place, again).attempts == 0  # an opening that was accepted is not taken for the author's own text
    run(place, again, fresh=True, sections=[2])
    assert opens("Pipes carry what signals cannot.") in again.requests[0].last_user_message


def test_of_a_long_text_that_opens_a_section_requests_show_the_end(tmp_path: Path) -> None:
    place, writer = small(tmp_path), author()
    outline = place / "outlines/07.yaml"
    outline.write_text(outline.read_text(encoding="utf-8") + "layout: keep\n", encoding="utf-8")
    long = "\n\n".join(f"Signal number {n * n} interrupts what runs in place {n}." for n in range(1000))
    page = PAGE.replace("Signals interrupt whatever runs.", long)
    (place / "chapters/07_signals.md").write_text(page, encoding="utf-8")
    with (place / "expand.toml").open("a", encoding="utf-8") as settings:
        settings.write('[models."gpt-4.1"]\ncontext_window = 4000\nlines_per_request = 20\n')
    outline.write_text(outline.read_text(encoding="utf-8").replace("lines: 40", "lines: 1200", 1), encoding="utf-8")
    run(place, writer, brief=False, sections=[1], budget=20_000)
    asked = writer.requests[0].last_user_message
    assert "in place 999.\n>>>" in asked
    assert "in place 900." not in asked


def test_a_brief_sees_the_passages_that_sections_rely_on(tmp_path: Path) -> None:
    place, writer = small(tmp_path), author()
    outline = place / "outlines/07.yaml"
    said = outline.read_text(encoding="utf-8").replace("    lines: 20\n", "    lines: 20\n    references: [rules.md]\n")
    outline.write_text(said, encoding="utf-8")
    (place / "rules.md").write_text("# Rules\n\nA worker is called a hand.\n", encoding="utf-8")
    run(place, writer)
    assert "A worker is called a hand." in writer.requests[0].last_user_message
    assert ["called a hand" in sent.prompt_text for sent in writer.requests[1:]] == [
        sent.section == 3 for sent in writer.requests[1:]
    ]


def test_topics_share_their_section_by_the_brief(tmp_path: Path) -> None:
    writer = author()
    run(small(tmp_path), writer)
    asked = next(sent.last_user_message for sent in writer.requests if sent.section == 1)
    assert "### Blocking signals" in asked
    assert "### Handler safety" in asked
    assert "lines:" not in asked  # the request has one target; the brief's lines are shares of it
    shares = re.search(r"In this order they get about (\d+), (\d+) lines\.\n.*Write (\d+) lines\.", asked, re.DOTALL)
    assert shares is not None
    first, second, whole = map(int, shares.groups())
    assert first + second == whole
    assert second == pytest.approx(3 * first, abs=2)
    assert all("code examples in all" not in text for text in requests(writer, 1))
    assert "Include 1 complete code example" in asked
    loop = LengthLoop(
        SectionText(Skeleton(number=1, title="One", topics=("A", "B"), target=60, weights=(1, 3))),
        profile(20),
    )
    ask = loop.next()
    assert ask is not None
    assert ask.slots == (0,)
    assert ask.lines == 12  # a quarter of what headings and blanks leave, less the blank below


@pytest.mark.parametrize(
    ("stated", "wanted"),
    [
        ((None, None), [4, 4, 2]),  # the chapter's ten, by lines
        ((3, None), [3, 4, 2]),  # a topic of which the brief says nothing gets none where it gives others some
        ((2, 1), [3, 4, 2]),
        ((0, 0), [0, 4, 2]),
    ],
)
def test_prompts_ask_for_the_very_examples_that_the_check_wants(
    tmp_path: Path, stated: tuple[int | None, int | None], wanted: list[int]
) -> None:
    data = yaml.safe_load(BRIEF.partition("```yaml\n")[2].partition("```")[0])
    for topic, examples in zip(data["sections"][0]["topics"], stated, strict=True):
        topic.pop("examples")
        topic.update({} if examples is None else {"examples": examples})
    place = small(tmp_path)
    with (place / "outlines/07.yaml").open("a") as file:
        file.write("quality: {code_examples: 10, code_language: go}\n")  # the author writes Rust
    (place / "briefs").mkdir()
    (place / "briefs/07.yaml").write_text(yaml.safe_dump(data))
    writer = author()
    result = run(place, writer)
    first = [sent for sent in writer.requests if sent.purpose == "draft"]
    for section, number in zip(result.chapter.sections, wanted, strict=True):
        asked = [sent.last_user_message for sent in first if sent.section == section.number]
        assert sum(int(n) for text in asked for n in re.findall(r"Include (\d+) complete code", text)) == number
        said = [one.message for one in section.findings if one.kind == "few-examples"]
        assert said == ([f"0 of {number} go code examples that the outline demands"] if number else [])


def test_one_changed_entry_redraws_one_section(tmp_path: Path) -> None:
    place = small(tmp_path)
    run(place, author())
    path = place / "briefs/07.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("Pipes carry what signals cannot", "Pipes carry bytes"),
        encoding="utf-8",
    )
    writer = author()
    result = run(place, writer)
    assert {sent.section for sent in writer.requests} == {2}
    assert [section.status for section in result.chapter.sections] == ["reused", "drafted", "reused"]
    path.write_text(path.read_text(encoding="utf-8").replace("0.3.18", "0.3.19"), encoding="utf-8")
    writer = author()
    run(place, writer)
    assert {sent.section for sent in writer.requests} == {1, 2, 3}  # what all share has changed


def test_without_a_brief_nothing_is_asked_and_nothing_is_told(tmp_path: Path) -> None:
    plain, same = author(), author()
    run(small(tmp_path / "a"), plain, brief=False, concurrency=1)
    place = small(tmp_path / "b")
    (place / "briefs").mkdir()
    (place / "briefs/07.yaml").write_text("sections:\n- {title: Checklist, opening: Secret}\n", encoding="utf-8")
    run(place, same, brief=False, concurrency=1)
    assert sorted(s.prompt_text for s in plain.requests) == sorted(s.prompt_text for s in same.requests)
    assert not any("Secret" in s.prompt_text or s.purpose == "brief" for s in same.requests)


def test_a_chapter_that_is_begun_gets_no_brief_by_itself(tmp_path: Path) -> None:
    place = small(tmp_path)
    run(place, author(), brief=False, sections=[1])
    writer = author()
    result = run(place, writer)
    assert {sent.purpose for sent in writer.requests} & {"brief"} == set()
    assert result.chapter.sections[0].status == "reused"


@pytest.mark.parametrize("budget", [12_000, 200_000])
def test_a_brief_is_made_only_where_it_costs_a_small_part_of_what_is_left(tmp_path: Path, budget: int) -> None:
    writer = author()
    run(small(tmp_path), writer, budget=budget)
    assert (writer.requests[0].purpose == "brief") == (budget == 200_000)


def test_an_answer_that_is_no_brief_goes_back_once(tmp_path: Path) -> None:
    place, writer = small(tmp_path), author(lambda number: "I would rather talk about pipes." if number == 0 else BRIEF)
    run(place, writer)
    asked = [sent.last_user_message for sent in writer.requests if sent.purpose == "brief"]
    assert len(asked) == 2
    assert "I would rather talk about pipes." in asked[1]
    assert "sections" in asked[1].rpartition("It cannot be used like that:")[2]
    assert read_brief(place / "briefs/07.yaml", root=place).sections[1].opening == "Pipes carry what signals cannot."


def test_a_model_that_makes_none_drafts_without(tmp_path: Path) -> None:
    place, writer = small(tmp_path), author("No.")
    result = run(place, writer)
    assert sum(sent.purpose == "brief" for sent in writer.requests) == 2
    assert all(section.status == "drafted" for section in result.chapter.sections)
    assert not (place / "briefs/07.yaml").exists()
    again = author("No.")
    assert run(place, again).attempts == 0  # nothing is bought twice to come to nothing again


@pytest.mark.parametrize("window", [2300, 3000])
def test_a_brief_that_does_not_fit_the_model_is_done_without(tmp_path: Path, window: int) -> None:
    place, writer, events = small(tmp_path), author(), list[Event]()
    with (place / "expand.toml").open("a", encoding="utf-8") as settings:
        settings.write(f'[models."gpt-4.1"]\ncontext_window = {window}\nlines_per_request = 20\n')
    result = run(place, writer, on_event=events.append)
    assert (writer.requests[0].purpose == "brief") == (window == 3000)
    assert all(section.status == "drafted" for section in result.chapter.sections)
    assert result.problems == ()
    said = [one.message for one in events if isinstance(one, Notice) and "drafted without a brief" in one.message]
    assert [f"do not fit gpt-4.1's context window of {window:,}" in one for one in said] == [True] * (window == 2300)


@pytest.mark.parametrize("finish", [Finish.CUT, Finish.STOP])
def test_a_brief_whose_connection_broke_is_asked_for_again(tmp_path: Path, finish: Finish) -> None:
    part = BRIEF.partition("```yaml\n")[2].replace("The rules in short.\n```", "The rules in")

    def write(number: int) -> Answer | str:
        usage = Usage(prompt=100, completion=100)
        return BRIEF if number else Answer(text=part, finish=finish, usage=usage)

    place, writer = small(tmp_path), author(write)
    run(place, writer)
    assert sum(sent.purpose == "brief" for sent in writer.requests) == 1 + (finish is Finish.CUT)
    opening = read_brief(place / "briefs/07.yaml", root=place).sections[2].opening
    assert opening == ("The rules in short." if finish is Finish.CUT else "The rules in")


@pytest.mark.parametrize("meanwhile", [False, True])
def test_a_brief_that_a_person_writes_while_one_is_asked_for_stays(tmp_path: Path, meanwhile: bool) -> None:
    place, own = small(tmp_path), BRIEF.partition("```yaml\n")[2].partition("```")[0].replace("prockit", "mine")

    def write(number: int) -> str:
        if meanwhile:
            (place / "briefs").mkdir()
            (place / "briefs/07.yaml").write_text(own, encoding="utf-8")
        return BRIEF

    writer = author(write)
    run(place, writer)
    assert ((place / "briefs/07.yaml").read_text(encoding="utf-8") == own) == meanwhile
    assert all(("mine" in text, "prockit" in text) == (meanwhile, not meanwhile) for text in requests(writer, 1))


def test_a_section_without_an_entry_is_named(tmp_path: Path) -> None:
    outline = Workspace.open(small(tmp_path)).outline("07")
    missing, why = parse_brief(
        "sections: [{title: Checklist}]", outline, ["Signal handling", "Named pipes", "Checklist"]
    )
    assert missing is None
    assert "'Signal handling' has no entry" in why[0]


def test_a_mistake_in_the_file_is_named_by_line(tmp_path: Path) -> None:
    place = small(tmp_path)
    (place / "briefs").mkdir()
    (place / "briefs/07.yaml").write_text("sections:\n- title: Checklist\n  openning: Here\n", encoding="utf-8")
    with pytest.raises(InputErrors, match=r"briefs/07\.yaml:3:3: .*openning.*opening"):
        read_brief(place / "briefs/07.yaml", root=place)
    ran = expand(place, "chapter", "07", "--model", "gpt-4.1", "--base-url", "http://127.0.0.1:9")
    assert ran.code == 2
    assert "briefs/07.yaml:3:3" in ran.err


def test_examples_that_leave_no_room_for_text_are_named() -> None:
    assert too_many_examples(30, 1050) == ""
    assert too_many_examples(30, 1049) == (
        "30 code examples of about 20 lines leave 14 lines of text for each in 1,049 lines; 29 would fit"
    )
    assert too_many_examples(0, 10) == ""


@pytest.mark.parametrize(
    ("demanded", "given", "said"),
    [
        (4, (4, 0), []),  # as many as the outline demands, all in a section that is too small for them
        (4, (3, 1), []),
        (4, (3, 0), ["the topics get 3 code examples in all, the outline demands 4; plan 1 more"]),
        (4, (4, 1), ["section 1 (One): 4 code examples of about 20 lines leave 2 lines of text for each in 90 lines; "
                     "2 would fit, and the outline demands 4 in all"]),
        (4, (2, 3), []),  # more than the outline demands, and they fit
        (0, (2, 3), []),
        (0, (3, 3), ["section 1 (One): 3 code examples of about 20 lines leave 10 lines of text for each in 90 lines; "
                     "2 would fit"]),
    ],
)  # fmt: skip
def test_a_brief_spreads_what_the_outline_demands(demanded: int, given: tuple[int, int], said: list[str]) -> None:
    titles = ["One", "Two"]
    sections = tuple(
        Section(number=number, title=Text(plain=title), lines=lines, topics=(Text(plain="All of it"),))
        for number, (title, lines) in enumerate(zip(titles, (90, 110), strict=True), start=1)
    )
    quality = Quality(code_examples=demanded)
    outline = Outline(id="07", title=Text(plain="T"), source="t.md", sections=sections, quality=quality)
    entries = [
        {"title": title, "topics": [{"title": "All of it", "examples": count}]}
        for title, count in zip(titles, given, strict=True)
    ]
    brief, problems = parse_brief(yaml.safe_dump({"sections": entries}), outline, titles)
    assert brief is not None
    assert [*problems] == [*brief_warnings(brief, outline)] == said
    in_words = outline._replace(sections=tuple(one._replace(words=900) for one in sections))
    assert [*brief_warnings(brief, in_words)] == [why for why in said if "of text for each" not in why]


def test_an_author_in_the_right_number_of_examples_is_asked_once(tmp_path: Path) -> None:
    place = small(tmp_path)
    with (place / "outlines/07.yaml").open("a") as file:
        file.write("quality: {code_examples: 4}\n")
    four = BRIEF.replace("examples: 1", "examples: 3").replace("examples: 0", "examples: 1")
    writer = author(lambda number: BRIEF.replace("examples: 1", "examples: 0") if number == 0 else four)
    run(place, writer)
    asked = [sent.last_user_message for sent in writer.requests if sent.purpose == "brief"]
    assert len(asked) == 2
    assert "in all, the outline demands 4; plan" in asked[1]
    assert "The examples of all topics add up to 4." in asked[0]
    assert "printed word for word" in asked[0]


@pytest.mark.parametrize(("own", "counts"), [(4, (3, 1)), (2, (1, 1))])
def test_a_section_s_own_demand_is_spread_as_the_brief_says_or_evenly(
    tmp_path: Path, own: int, counts: tuple[int, int]
) -> None:
    place, writer = (
        small(tmp_path),
        author(BRIEF.replace("examples: 1", "examples: 3").replace("examples: 0", "examples: 1")),
    )
    path = place / "outlines/07.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    data["id"] = "07"
    data["sections"][0]["code_examples"] = own
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    run(place, writer)
    asked = next(sent.last_user_message for sent in writer.requests if sent.section == 1)
    assert f"Include {own} complete code examples" in asked
    assert tuple(map(int, re.findall(r"examples: (\d+)", asked))) == counts
