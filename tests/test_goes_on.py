"""What is kept of a section between runs: no answer goes into its text twice, and no warning of it is lost."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from workspaces import draft_of, expand, small

from expand.api import expand_chapter
from expand.checks.finding import finding
from expand.drafting.accept import open_draft
from expand.drafting.draft_file import Begun
from expand.drafting.draft_state import keep_told, told
from expand.drafting.length_loop import Ask
from expand.drafting.request_builder import RequestBuilder
from expand.drafting.results import RunResult
from expand.drafting.run_options import RunOptions
from expand.drafting.section_state import check_section_state
from expand.llm.types import Answer, AttemptFailedError, Failure, Finish, Usage
from expand.testing import ScriptedAuthor, drafted
from expand.testing.scripted_author import SentRequest, Written
from expand.workspace import Workspace

USAGE = Usage(prompt=50, cached=0, completion=20, reasoning=0)


def outline(*topics: str) -> str:
    return (
        "id: 07\ntitle: Pipes\nsource: docs/p.md\nquality: {code_examples: 0}\nsections:\n"
        f"  - title: Signals\n    lines: 80\n    topics: [{', '.join(topics)}]\n"
    )


class Author:
    """Writes lines that are there once, for each topic as many as it is told; ``cuts`` of its answers on Lookup are
    cut, a question about ``lost`` loses the connection, and the first answers have as many lines as ``sizes`` says."""

    def __init__(self, name: str, *, cuts: int = 0, lost: str = "", sizes: Sequence[int] = ()) -> None:
        self.name, self.cuts, self.lost, self.sizes = name, cuts, lost, list(sizes)
        self.half = ""
        self.scripted = ScriptedAuthor(write=self.write)

    @property
    def asked(self) -> list[tuple[str, str]]:
        return [(sent.purpose, self.topic(sent)) for sent in self.scripted.requests]

    def topic(self, sent: SentRequest) -> str:
        return "+".join(sent.subjects)

    def write(self, sent: SentRequest) -> Written:
        topic, number = self.topic(sent), len(self.scripted.requests)
        if self.lost and self.lost in topic:
            raise AttemptFailedError(Failure.UNAUTHORIZED, "no such key")
        cut = "Lookup" in topic and self.cuts > 0
        self.cuts -= cut
        lines = 1 if cut or sent.purpose == "continue" else 8
        if self.sizes:
            lines = self.sizes.pop(0)
        said = [f"{self.name} says {number * 7919}.{at * 104729} of {topic} here." for at in range(lines)]
        if self.half:
            said.insert(0, f"{self.half} the end of the day.")
        self.half = f"It took {number * 7907} milliseconds until" if cut else ""
        if not cut and not self.half and "Lookup" not in topic:  # one list with what it goes on from, which may repeat
            said = ["- of calls", "- of signals", "", *said, "", f"- {number} at last"]
        text = "\n".join([*said, *filter(None, [self.half])])
        return Answer(text=text, finish=Finish.CUT if cut else Finish.STOP, usage=USAGE)


def run(place: Path, author: Author, **options: Any) -> RunResult:
    return asyncio.run(expand_chapter(Workspace.open(place), "07", author=author.scripted, **options))


def said(place: Path) -> Counter[str]:
    return Counter(re.findall(r"\w+ says \d+\.\d+", (place / "drafts" / "07.md").read_text(encoding="utf-8")))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, text in (
        ("expand.toml", '[author]\nmodel = "scripted"\n'),
        ("outlines/book.yaml", "title: Book\nallowance: {tokens: 9000000}\n"),
        ("docs/p.md", "# Pipes\n"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    outlined(tmp_path, "Blocking", "Handlers")
    return tmp_path


def outlined(place: Path, *topics: str) -> None:
    (place / "outlines" / "07.yaml").write_text(outline(*topics), encoding="utf-8")


def test_a_begun_section_gets_no_answer_twice(place: Path) -> None:
    run(place, Author("First", sizes=[8, 20, 5, 5]))
    bought = said(place)
    outlined(place, "Blocking", "Lookup")
    run(place, Author("Second"))
    outlined(place, "Blocking", "Handlers")
    last = Author("Third")
    run(place, last)
    assert max(said(place).values()) == 1, draft_of(place)
    assert set(bought) <= set(said(place)), "what was bought of a topic that is there again is found"
    assert ("draft", "Handlers") not in last.asked


def test_questions_are_told_apart_by_the_text_that_they_go_on_from(place: Path) -> None:
    run(place, Author("First"))
    workspace = Workspace.open(place)
    draft_file = open_draft(workspace, RunOptions().settings(workspace, own_author=True), workspace.book(), "07")
    chapter = draft_file.chapter
    check = check_section_state(draft_file, chapter.outline.sections[0], {})

    def question(slot: int, *begun: str) -> str | None:
        here = replace(check, begun=Begun(begun))
        ask = Ask(purpose="continue", slots=(slot,), lines=9, ordinal=0)
        return RequestBuilder(chapter, here, run_id="none").order(ask, here.text(chapter)).question

    assert question(0, "One.", "") == question(0, "One.", "Two.") != question(0, "One.\n\nMore.", "")
    assert question(1, "One.", "") == question(1) != question(1, "One.", "Two."), "a topic without text begins anew"


@pytest.mark.parametrize("killed", [False, True])
def test_a_begun_section_that_was_stopped_goes_on(killed: bool, place: Path) -> None:
    run(place, Author("First"))
    before = draft_of(place)
    first = (place / "drafts" / "07.md").read_bytes()
    outlined(place, "Blocking", "Lookup", "Handlers", "Limits")

    author = Author("Second", cuts=2, lost="Limits")
    stopped = run(place, author)
    assert stopped.exit_code == 4
    assert ("continue", "Lookup") in author.asked, author.asked
    bought = said(place)
    assert "Second says" in draft_of(place) != before
    if killed:  # before the draft was written
        (place / "drafts" / "07.md").write_bytes(first)

    last = Author("Third")
    run(place, last)
    now = said(place)
    assert max(now.values()) == 1, now
    assert set(bought) <= set(now)
    assert any("Limits" in topic for _, topic in last.asked)
    assert ("draft", "Lookup") not in last.asked


def warnings(result: Any) -> list[str]:
    return [one["message"] for one in result.json["chapters"][0]["sections"][2]["findings"] if one["kind"] == "cut"]


def test_what_only_a_run_can_tell_is_kept_with_the_text(tmp_path: Path) -> None:
    place = small(tmp_path)
    author = ScriptedAuthor(script=["cut_off"], goes_on="aside")
    first = drafted(Workspace.open(place), author, "07", sections=[3], concurrency=1)
    (told,) = [one for one in first.chapter.sections[0].findings if one.kind == "cut"]
    assert told.severity == "warning"
    assert warnings(expand(place, "review", "07", "--json")) == [told.message]
    for _ in range(2):
        again = drafted(Workspace.open(place), ScriptedAuthor(), "07")
        assert [one.message for one in again.chapter.sections[2].findings].count(told.message) == 1
    assert again.chapter.sections[2].status == "reused"

    kept = (place / "outlines" / "07.yaml").read_text(encoding="utf-8")
    (place / "outlines" / "07.yaml").write_text(kept + "    ignore: [cut]\n", encoding="utf-8")
    assert warnings(expand(place, "review", "07", "--json")) == []
    (place / "outlines" / "07.yaml").write_text(kept, encoding="utf-8")
    (place / ".expand" / "told" / "07.json").write_text("[", encoding="utf-8")
    assert warnings(expand(place, "review", "07", "--json")) == []


def test_what_was_told_of_a_text_is_not_said_of_an_edit(tmp_path: Path) -> None:
    place = small(tmp_path)
    author = ScriptedAuthor(script=["cut_off"], goes_on="aside")
    drafted(Workspace.open(place), author, "07", sections=[3], concurrency=1)
    assert len(warnings(expand(place, "review", "07", "--json"))) == 1
    draft = place / "drafts" / "07.md"
    text = draft.read_text(encoding="utf-8")
    draft.write_text(text.replace("## 3. Checklist\n", "## 3. Checklist\n\nRead by hand.\n"), encoding="utf-8")
    assert "Read by hand." in draft.read_text(encoding="utf-8")
    assert warnings(expand(place, "review", "07", "--json")) == []


def test_only_what_is_told_of_the_text_is_kept(tmp_path: Path) -> None:
    workspace = Workspace.open(small(tmp_path))
    found = [finding(kind, 3, 1, "said") for kind in ("cut", "repeats", "over-plan")]
    keep_told(workspace, "drafts/07.md", {"hash": [*found, finding("left-off", 3, 1, "said", severity="note")]})
    assert [one.kind for one in told(workspace, "drafts/07.md")["hash"]] == ["cut", "repeats"]
