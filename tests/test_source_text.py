"""The author's own text in a section: kept word for word, or revised, and then named and carried."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from workspaces import OUTLINE, expand, small

from expand import RunResult, Workspace, expand_chapter
from expand.checks import source_findings
from expand.markdown import blocks
from expand.testing import ScriptedAuthor, SentRequest
from expand.testing.scripted_author import Script

SENTENCE = "A named pipe outlives the processes that opened it, unlike an anonymous one."
CARRIES = "Unlike an anonymous pipe, a named one outlives the processes that opened it: open it as a file."
SEVEN = "one two three four five six seven"
KEEP_SOURCE = f"""\
---
title: Signals
---

# Signals and pipes

## Signal handling

## Named pipes

### Opening a pipe

{SENTENCE}

[spec]: https://example.org/pipes

### Reading until the end

TODO

## Checklist
"""


def run(place: Path, carried: str = "", **options: object) -> tuple[RunResult, ScriptedAuthor]:
    script = Script()

    def write(sent: SentRequest) -> str:
        text = script.written(sent)[0]
        if SENTENCE not in sent.last_user_message or not carried:
            return text
        return f"{carried}\n\n```rust\nfn open(path: &str) -> std::io::Result<std::fs::File> {{}}\n```\n\n{text}"

    author = ScriptedAuthor(write=write)
    result = asyncio.run(expand_chapter(Workspace.open(place), "07", author=author, sections=[2]))
    return result, author


def revising(tmp_path: Path, where: str) -> Path:
    place = small(tmp_path)
    if where == "book":
        path = place / "outlines/book.yaml"
        path.write_text(path.read_text(encoding="utf-8") + "source_text: revise\n", encoding="utf-8")
    text = OUTLINE
    if where == "outline":
        text = text.replace("target_lines: 100\n", "target_lines: 100\nsource_text: revise\n")
    if where == "section":
        text = text.replace("zh: 命名管道}\n    lines: 40\n", "zh: 命名管道}\n    lines: 40\n    source_text: revise\n")
    assert where in ("book", "keep") or text != OUTLINE
    (place / "outlines/07.yaml").write_text(text, encoding="utf-8")
    return place


@pytest.mark.parametrize("where", ["book", "outline", "section"])
def test_a_revised_text_gives_way_and_is_named(tmp_path: Path, where: str) -> None:
    place = revising(tmp_path, where)
    _, author = run(place, CARRIES)
    draft = (place / "drafts/07.md").read_text(encoding="utf-8")
    assert SENTENCE not in draft
    assert CARRIES in draft
    asked = [sent.last_user_message for sent in author.requests if SENTENCE in sent.last_user_message]
    assert asked
    assert all("What you write takes its place" in message for message in asked)
    found = {(f["kind"], f["severity"]) for f in _findings(place) if "source's paragraph" in f["message"]}
    assert found == {("superseded", "note")}


def test_a_kept_text_stays_word_for_word(tmp_path: Path) -> None:
    place = revising(tmp_path, "keep")
    _, author = run(place, CARRIES)
    assert SENTENCE in (place / "drafts/07.md").read_text(encoding="utf-8")
    assert not any("takes its place" in sent.last_user_message for sent in author.requests)


def test_a_text_that_is_not_carried_is_left_out(tmp_path: Path) -> None:
    place = revising(tmp_path, "section")
    run(place)  # an author that ignores it
    (found,) = [f for f in _findings(place) if "source's paragraph" in f["message"]]
    assert (found["kind"], found["severity"]) == ("left-out", "warning")
    assert "does not carry it" in found["message"]
    assert "outlives" in found["remedy"]


def test_in_keep_only_the_topic_s_own_text_gives_way(tmp_path: Path) -> None:
    place = revising(tmp_path, "section")
    path = place / "outlines/07.yaml"
    path.write_text("layout: keep\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    (place / "chapters/07_signals.md").write_text(KEEP_SOURCE, encoding="utf-8")
    run(place, CARRIES)
    assert expand(place, "accept", "07", "--section", "2").code == 0
    text = (place / "chapters/07_signals.md").read_text(encoding="utf-8")
    before, _, behind = text.partition("### Opening a pipe\n")
    assert before == KEEP_SOURCE.partition("### Opening a pipe\n")[0]
    assert SENTENCE not in text
    assert CARRIES in behind
    assert "[spec]: https://example.org/pipes\n\n### Reading until the end\n" in behind
    assert behind.endswith("\n\n## Checklist\n")


def test_until_there_is_another_the_text_stays(tmp_path: Path) -> None:
    place = revising(tmp_path, "section")
    asyncio.run(expand_chapter(Workspace.open(place), "07", author=ScriptedAuthor(behaviour="unauthorized")))
    assert SENTENCE in (place / "drafts/07.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("carried", "kind"),
    [(SEVEN, "superseded"), (SEVEN[:-6], "left-out")],
)
def test_a_revised_text_carries_seven_words_of_ten(carried: str, kind: str) -> None:
    text = f"{SEVEN} eight nine ten"
    (found,) = source_findings(blocks.blocks(text), carried, revised={text: carried})
    assert found.kind == kind


def _findings(place: Path) -> list[dict[str, str]]:
    (chapter,) = expand(place, "review", "07", "--json").json["chapters"]
    return [*chapter["findings"], *(f for section in chapter["sections"] for f in section["findings"])]
