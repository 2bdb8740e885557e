"""Approve as you go: a person decides on the brief and on each section, once for each text."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripted_server import ScriptedServer
from workspaces import OUTLINE, TITLES, draft_of, expand, small

from expand import Decision, Event, Notice, Question, RunResult, Workspace, expand_chapter, expanding, review
from expand.drafting.approval import Choice
from expand.testing import ScriptedAuthor, SentRequest

TAKE = Decision(choice="take")


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace.open(small(tmp_path / "book"))


class Person:
    """Answers in turn, and takes whatever is asked after that."""

    def __init__(self, *decisions: Decision | Choice) -> None:
        self.decisions = [Decision(choice=one) if isinstance(one, str) else one for one in decisions]
        self.questions: list[Question] = []

    async def __call__(self, question: Question) -> Decision:
        self.questions.append(question)
        return self.decisions.pop(0) if self.decisions else TAKE

    @property
    def asked(self) -> list[int]:
        return [question.section for question in self.questions]


async def approve(place: Workspace, person: Person, author: ScriptedAuthor, **changes: Any) -> RunResult:
    return await expand_chapter(place, "07", author=author, decide=person, **changes)


async def test_sections_come_in_order_and_what_was_taken_is_not_asked_for_again(place: Workspace) -> None:
    person, author = Person(), ScriptedAuthor()
    result = await approve(place, person, author)
    assert person.asked == [1, 2, 3]
    assert result.exit_code == 0
    first = person.questions[0]
    assert (first.path, first.length) == ("drafts/07.md", "39 of 40 lines")
    assert first.text in draft_of(place.root)
    assert first.choices == ("take", "back", "edit", "skip", "quit")

    again, nobody = Person(), ScriptedAuthor()
    assert (await approve(place, again, nobody)).exit_code == 0
    assert (again.asked, nobody.requests) == ([], [])


async def test_a_section_that_is_sent_back_is_revised_with_the_note(place: Workspace) -> None:
    person, author = Person(Decision(choice="back", note="Name the signals."), "take"), ScriptedAuthor()
    result = await approve(place, person, author, sections=[1])
    assert person.asked == [1, 1]
    assert person.questions[0].text != person.questions[1].text
    revised = [sent for sent in author.requests if sent.purpose == "revise"]
    assert revised
    assert "Name the signals." in revised[0].prompt_text
    assert result.chapter.sections[0].answers == len(author.requests)

    again, nobody = Person(), ScriptedAuthor()
    await approve(place, again, nobody, sections=[1])
    assert (again.asked, nobody.requests) == ([], [])


async def test_quitting_keeps_what_was_taken_and_what_was_bought(place: Workspace) -> None:
    person, author = Person("take", "quit"), ScriptedAuthor()
    result = await approve(place, person, author)
    assert (person.asked, result.exit_code) == ([1, 2], 130)
    bought = len(author.requests)

    again, other = Person("skip"), ScriptedAuthor()
    assert (await approve(place, again, other)).exit_code == 0
    assert again.asked == [2, 3], "the first was taken, the second only bought"
    assert {sent.section for sent in other.requests} == {3}
    assert again.questions[0].text == person.questions[1].text

    last = Person()
    await approve(place, last, ScriptedAuthor())
    assert last.asked == [2], "what was skipped is asked for again"
    assert bought > 0


async def test_an_edit_is_the_persons_own_and_is_asked_about_as_such(place: Workspace) -> None:
    mine = "## 1. Signal handling\n\n" + "\n".join(f"My line {n} about blocking signals." for n in range(38))
    person = Person(Decision(choice="edit", text=mine), "take")
    result = await approve(place, person, ScriptedAuthor())
    assert person.asked == [1, 1, 2, 3]
    assert person.questions[1].text.strip() == mine
    assert [one.status for one in result.chapter.sections] == ["edited", "drafted", "drafted"]
    assert mine in draft_of(place.root)

    note = Decision(choice="back", note="Shorter sentences.")
    (place.root / ".expand" / "approved" / "07").unlink()
    back, author = Person(note), ScriptedAuthor()
    result = await approve(place, back, author, sections=[1])
    assert back.asked == [1, 1], "an edit is sent back as any text is"
    assert mine not in draft_of(place.root)
    assert [one.status for one in result.chapter.sections] == ["drafted"]


async def test_an_edit_without_the_heading_stays_under_it(place: Workspace) -> None:
    person = Person(Decision(choice="edit", text="Only my text.\n"), "take")
    await approve(place, person, ScriptedAuthor())
    assert "## 1. Signal handling\n\nOnly my text.\n\n## 2. Named pipes\n" in draft_of(place.root)


@pytest.mark.parametrize("layout", ["numbered", "keep"])
@pytest.mark.parametrize(
    "edit",
    ["Mine.\n\n{0} Further\n\nMore of mine.", "{0} Handling of signals\n\nMine.\n\n{0} Further\n\nMore of mine."],
    ids=["one more", "another one"],
)
async def test_headings_of_an_edit_are_the_persons(place: Workspace, layout: str, edit: str) -> None:
    place.book_path.write_text(place.book_path.read_text() + f"layout: {layout}\n")
    edit = edit.format("##")
    await approve(place, Person(Decision(choice="edit", text=edit)), ScriptedAuthor())
    assert edit in draft_of(place.root)
    assert draft_of(place.root).count("ignal handling\n") == (layout == "numbered" or edit.startswith("Mine"))
    again = await approve(place, Person(), ScriptedAuthor())
    assert edit in draft_of(place.root)
    assert again.chapter.sections[0].status == "edited"


async def test_an_edit_of_a_document_that_keeps_its_form(place: Workspace) -> None:
    place.book_path.write_text(place.book_path.read_text() + "layout: keep\n")
    person = Person("take", Decision(choice="edit", text="My own text on pipes.\n"), "take")
    await approve(place, person, ScriptedAuthor())
    assert person.asked == [1, 2, 2, 3]
    assert "## Named pipes\n\nMy own text on pipes.\n" in draft_of(place.root)
    again = Person()
    assert (await approve(place, again, ScriptedAuthor())).chapter.sections[1].status == "edited"
    assert again.asked == []


@pytest.mark.parametrize("first", [TAKE, Decision(choice="back", note="More.")])
async def test_a_draft_that_is_edited_while_a_question_is_open_is_another_question(
    place: Workspace, first: Decision
) -> None:
    path, questions = place.draft_path("07"), list[Question]()

    async def decide(question: Question) -> Decision:
        questions.append(question)
        if len(questions) > 1:
            return TAKE
        path.write_text(path.read_text().replace("About Blocking signals.", "About my own signals."))
        return first

    result = await expand_chapter(place, "07", author=ScriptedAuthor(), decide=decide, sections=[1])
    assert [("my own" in one.text) for one in questions] == [False, True]
    assert "About my own signals." in draft_of(place.root)
    assert [one.status for one in result.chapter.sections] == ["edited"]


async def test_a_section_that_the_outline_loses_while_a_question_is_open_is_named(place: Workspace) -> None:
    async def decide(question: Question) -> Decision:
        place.outline_path("07").write_text(OUTLINE[: OUTLINE.index("  - title: {en: Checklist")])
        return next(decisions)

    decisions = iter([Decision(choice="back", note="More."), TAKE, TAKE])
    result = await expand_chapter(place, "07", author=ScriptedAuthor(), decide=decide)
    assert list(result.problems) == ["07 has no section 3 any more; its outline was changed; run again"]


# --- lengths ---------------------------------------------------------------------------------------


async def test_a_length_that_is_off_can_be_taken_as_it_is(place: Workspace) -> None:
    author = ScriptedAuthor()
    edit = Decision(choice="edit", text="Much too short.\n")
    person = Person(edit, "length")
    result = await approve(place, person, author, sections=[1])
    assert person.asked == [1, 1, 1]
    assert person.questions[1].choices[5:] == ("length", "again", "outline")
    assert person.questions[2].choices[5:] == ()
    (short,) = [one for one in result.chapter.sections[0].findings if one.kind == "short"]
    assert (short.severity, short.message.endswith("; taken as it is")) == ("note", True)
    reviewed = review(place, "07").sections[0].findings
    assert [one.severity for one in reviewed if one.kind == "short"] == ["note"]

    path = place.draft_path("07")
    path.write_text(path.read_text().replace("Much too short.", "Still too short."))
    changed = [one.severity for one in review(place, "07").sections[0].findings if one.kind == "short"]
    assert changed == ["blocking"], "it was taken for one text only"


LONG = OUTLINE.replace("    lines: 20\n", "    lines: 20  # a list\n")


@pytest.mark.parametrize(("lines", "off"), [(48, False), (49, True)])
async def test_only_a_length_outside_the_tolerance_is_offered(place: Workspace, lines: int, off: bool) -> None:
    text = "## 1. Signal handling\n\n" + "\n".join(f"Line {n} of mine." for n in range(lines - 3))
    person = Person(Decision(choice="edit", text=text))
    await approve(place, person, ScriptedAuthor(), sections=[1])
    assert person.questions[1].length == f"{lines} of 40 lines"
    assert ("length" in person.questions[1].choices) is off


@pytest.mark.parametrize("unit", ["lines", "words"])
async def test_the_outline_follows_a_length_and_nothing_is_bought_again(place: Workspace, unit: str) -> None:
    outline = LONG.replace("lines: 20  #", f"{unit}: 20  #")
    place.outline_path("07").write_text(outline)
    long = "\n".join(f"Sentence number {n} says what is to be checked here." for n in range(60))
    author = ScriptedAuthor(write=lambda sent: long)
    person = Person("outline")
    result = await approve(place, person, author, sections=[3])
    assert person.asked == [3, 3]
    delivered = int(person.questions[0].length.split()[0])
    assert place.outline_path("07").read_text() == outline.replace(f"{unit}: 20", f"{unit}: {delivered}")
    assert "outline" not in person.questions[1].choices
    assert person.questions[1].text == person.questions[0].text
    assert len(author.requests) == result.chapter.sections[0].answers == 1
    assert yaml.safe_load(place.outline_path("07").read_text())["sections"][2][unit] == delivered


@pytest.mark.parametrize(("mark", "end"), [("\ufeff", "\n"), ("", "\r\n"), ("\ufeff", "\r")])
async def test_the_outline_keeps_its_mark_and_its_line_ends(place: Workspace, mark: str, end: str) -> None:
    outline = mark + LONG.replace("\n", end)
    place.outline_path("07").write_bytes(outline.encode())
    person = Person(Decision(choice="edit", text="Short.\n"), "outline")
    await approve(place, person, ScriptedAuthor(), sections=[3])
    delivered = person.questions[1].length.split()[0]
    written = place.outline_path("07").read_bytes().decode()
    assert written == outline.replace("lines: 20 ", f"lines: {delivered} ")


async def test_asking_again_buys_the_section_anew_with_its_note(place: Workspace) -> None:
    short = "One line.\n"
    author = ScriptedAuthor(answers=[short] * 40)
    person = Person(Decision(choice="back", note="All of it."), "again", "skip")
    await approve(place, person, author, sections=[3])
    assert person.asked == [3, 3, 3]
    revised = [sent for sent in author.requests if sent.purpose == "revise"]
    assert "All of it." in revised[-1].prompt_text


async def test_under_the_lean_plan_the_outline_is_left_alone(place: Workspace) -> None:
    person = Person(Decision(choice="edit", text="Short.\n"))
    await approve(place, person, ScriptedAuthor(), sections=[3], plan="lean")
    assert person.questions[1].choices[5:] == ("length", "again")


async def test_a_length_that_the_section_does_not_state_is_not_written(place: Workspace) -> None:
    place.outline_path("07").write_text(
        OUTLINE.replace("    lines: 20\n", "").replace("sections:", "words: 600\nsections:")
    )
    person = Person(Decision(choice="edit", text="Short.\n"))
    await approve(place, person, ScriptedAuthor(), sections=[3])
    assert person.questions[1].choices[5:] == ("length", "again")


async def test_characters_are_written_under_the_key_that_the_outline_has(place: Workspace) -> None:
    outline = LONG.replace("lines: 20  #", "字数: 300  #")
    place.outline_path("07").write_text(outline)
    person = Person(Decision(choice="edit", text="很短的一句话。\n"), "outline")
    await approve(place, person, ScriptedAuthor(), sections=[3], language="zh")
    delivered = person.questions[1].length.split()[0]
    assert place.outline_path("07").read_text() == outline.replace("字数: 300", f"字数: {delivered}")


# --- briefs ------------------------------------------------------------------------------------------


async def test_the_brief_is_decided_on_before_any_section(place: Workspace) -> None:
    author = ScriptedAuthor()
    person = Person(Decision(choice="back", note="Use one running example."), "take")
    await approve(place, person, author, model="gpt-4.1")
    assert person.asked == [0, 0, 1, 2, 3]
    assert person.questions[0].path == "briefs/07.yaml"
    assert [sent.section for sent in author.requests[:2]] == [0, 0]
    assert "Use one running example." in author.requests[1].prompt_text
    assert author.requests[2].section == 1

    again = Person()
    await approve(place, again, ScriptedAuthor(), model="gpt-4.1")
    assert again.asked == []


async def test_a_brief_that_cannot_be_written_again_stays_and_is_asked_about(place: Workspace) -> None:
    briefs = iter(["sections:\n" + "".join(f"- title: {title}\n" for title in TITLES)])

    def write(sent: SentRequest) -> str:
        return next(briefs, "No brief.") if not sent.section else "Words and lines.\n" * 30

    events: list[Event] = []
    person = Person(Decision(choice="back", note="Better."), "take", "quit")
    await approve(place, person, ScriptedAuthor(write=write), model="gpt-4.1", on_event=events.append)
    assert person.asked == [0, 0, 1]
    assert person.questions[0].text == person.questions[1].text
    assert any(isinstance(one, Notice) and one.message.startswith("07: the brief: ") for one in events)


async def test_an_edited_brief_counts_and_one_that_is_skipped_is_asked_about_again(place: Workspace) -> None:
    path = place.brief_path("07")
    path.parent.mkdir()
    good = "sections:\n- title: Checklist\n  opening: Check this.\n"
    path.write_text(good)
    person, author = (
        Person(Decision(choice="edit", text=good.replace("Check this", "Tick off this")), "skip"),
        ScriptedAuthor(),
    )
    await approve(place, person, author, sections=[3])
    assert person.asked == [0, 0, 3]
    assert "Tick off this." in draft_of(place.root)
    skipped = Person()
    await approve(place, skipped, ScriptedAuthor(), sections=[3])
    assert skipped.asked == [0]


# --- stopping ------------------------------------------------------------------------------------------


async def test_a_run_that_is_stopped_leaves_its_question(place: Workspace) -> None:
    asked = asyncio.Event()

    async def never(question: Question) -> Decision:
        asked.set()
        await asyncio.Event().wait()
        return TAKE

    async with expanding(place, "07", author=ScriptedAuthor(), decide=never) as run:
        await asked.wait()
        run.stop()
        result = await run.result()
    assert result.exit_code == 130


async def test_a_run_that_is_stopped_before_its_first_question_asks_nothing(place: Workspace) -> None:
    person, author = Person(), ScriptedAuthor()
    async with expanding(place, "07", author=author, decide=person) as run:
        run.stop()
        result = await run.result()
    assert (result.exit_code, person.asked, author.requests) == (130, [], [])


async def test_an_answer_that_was_not_offered_is_a_defect_of_the_asker(place: Workspace) -> None:
    with pytest.raises(ValueError, match="is no answer to 07/1"):
        await approve(place, Person("outline"), ScriptedAuthor())


async def test_a_budget_counts_for_the_whole_run(place: Workspace) -> None:
    person, author = Person(), ScriptedAuthor()
    result = await approve(place, person, author, budget=2_000)
    assert result.exit_code == 3
    assert len(person.asked) < 3


# --- the command line -----------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


def test_without_a_terminal_nobody_can_be_asked(place: Workspace) -> None:
    ran = expand(place.root, "chapter", "07", "--ask")
    assert (ran.code, ran.out) == (2, "")
    assert "--ask asks at a terminal, and this is none" in ran.err


def test_a_batch_asks_nobody(place: Workspace) -> None:
    ran = expand(place.root, "chapter", "07", "--ask", "--batch", "submit")
    assert (ran.code, ran.out) == (2, "")
    assert "a batch asks nobody; leave out --ask or --batch" in ran.err


class Terminal:
    """A command line on a terminal of its own, its stdout a pipe."""

    def __init__(self, place: Path, *arguments: str, **environment: str) -> None:
        self.master, terminal = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "expand", *arguments],
            cwd=place,
            stdin=terminal,
            stderr=terminal,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TERM": "xterm", **environment},
        )
        os.close(terminal)
        self.shown = ""

    def until(self, words: str, seconds: float = 30) -> str:
        """Reads until the words have been shown; what was shown since the last call."""
        before, end = len(self.shown), time.monotonic() + seconds
        while words not in self.shown[before:]:
            assert time.monotonic() < end, f"{words!r} never came: {self.shown[before:]}"
            if select.select([self.master], [], [], 0.1)[0]:
                self.shown += os.read(self.master, 65536).decode(errors="replace")
        return self.shown[before:]

    def say(self, answer: str) -> None:
        os.write(self.master, f"{answer}\n".encode())

    def end(self) -> tuple[int, str]:
        out, _ = self.process.communicate(timeout=30)
        os.close(self.master)
        return self.process.returncode, out


def test_sections_behind_the_one_where_a_person_quits_are_not_begun(place: Workspace, server: ScriptedServer) -> None:
    one = Terminal(place.root, "chapter", "07", "--ask", "--base-url", server.base_url)
    one.until("[q]uit?")
    one.say("q")
    code, out = one.end()
    assert code == 130
    assert re.search(r"2\. Named pipes .* not begun\n", out)
    assert "07/2, 07/3 not finished; run again to go on from there" in out
    assert "failed" not in out


def test_a_section_whose_attempts_failed_was_begun(place: Workspace) -> None:
    with ScriptedServer(behaviour="unauthorized") as server:
        ran = expand(place.root, "chapter", "07", "--base-url", server.base_url)
    assert ran.code == 4
    assert re.search(r"1\. Signal handling .* failed\n", ran.out)
    assert re.search(r"2\. Named pipes .* not begun\n", ran.out)
    assert "07/1, 07/2, 07/3 not finished; run again" in ran.out


def test_a_person_at_the_terminal(place: Workspace, server: ScriptedServer, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nprintf '## 2. Named pipes\\n\\nMine.\\n' > \"$1\"\n")
    editor.chmod(0o755)
    ask = ("chapter", "07", "--ask", "--json", "--base-url", server.base_url)
    one = Terminal(place.root, *ask, EDITOR=str(editor))
    shown = one.until("[q]uit?")
    assert "07/1 Signal handling: 39 of 40 lines (drafts/07.md)" in shown
    assert "[t]ake, send it [b]ack, [e]dit, [s]kip, [q]uit?" in shown
    one.say("x")
    one.until("[q]uit?")
    one.say("b")
    one.until("What is to change?")
    os.write(one.master, b"Name each signal \xff.\n")
    one.until("[q]uit?")
    one.say("t")
    one.until("[q]uit?")
    one.say("e")
    one.until("take its [l]ength as it is, [a]gain, change the [o]utline to it?")
    one.say("o")
    one.until("[q]uit?")
    one.say("t")
    one.until("[q]uit?")
    one.process.send_signal(signal.SIGINT)
    code, out = one.end()
    assert code == 130
    result = json.loads(out)
    assert [section["status"] for section in result["chapters"][0]["sections"]] == ["drafted", "edited", "drafted"]
    revised = [received for received in server.requests if "/revise/" in received.headers["X-Client-Request-Id"]]
    assert revised

    bought = len(server.requests)
    two = Terminal(place.root, *ask, EDITOR="vi '")
    assert "07/3 Checklist" in two.until("[q]uit?")
    two.say("e")
    assert "expand: No closing quotation; nothing is changed" in two.until("[q]uit?")
    two.process.kill()
    two.end()
    three = Terminal(place.root, *ask)
    assert "07/3 Checklist" in three.until("[q]uit?")
    three.say("t")
    assert three.end()[0] == 5, "the edit leaves topics out"
    assert len(server.requests) == bought
