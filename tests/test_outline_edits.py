"""What is edited in the outline between two runs: texts, edits and purchases stay with their sections and topics. And
what becomes of the draft's hidden last line: it is recognised, or its copy is used.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from expand.api import expand_chapter, review
from expand.drafting.results import ChapterResult
from expand.testing.scripted_author import ScriptedAuthor, SentRequest
from expand.workspace import Workspace

SOURCE = """\
# Pipes

Before all sections.

## Signals

### Blocking

A word of mine on masks.

## Pipes

Mine too.

## Checklist

- [ ] one item of mine
"""
Section = tuple[str, list[str], int]
A: Section = ("Signals", ["Blocking", "Handlers"], 14)
B: Section = ("Pipes", ["Opening a pipe", "Reading to the end"], 14)
C: Section = ("Forks", ["Copy on write", "Exit codes"], 14)
D: Section = ("Checklist", [], 10)
NEW: Section = ("Names", ["Lookup"], 10)
FIRST = [A, B, C, D]


def titled(title: str, section: Section) -> Section:
    return (title, *section[1:])


EDITS: dict[str, list[Section]] = {
    "nothing": FIRST,
    "swap two": [B, A, C, D],
    "swap the last": [A, B, D, C],
    "reverse": [D, C, B, A],
    "rotate": [D, A, B, C],
    "insert the first": [NEW, *FIRST],
    "insert in the middle": [A, B, NEW, C, D],
    "insert the last": [*FIRST, NEW],
    "insert and swap": [B, NEW, A, C, D],
    "delete the edited one": [B, C, D],
    "delete one": [A, B, D],
    "delete two": [A, D],
    "rename a little": [titled("Signals and masks", A), B, C, D],
    "rename": [titled("Interrupts", A), titled("Fifos", B), C, D],
    "rename without topics": [A, B, C, titled("Final checklist", D)],
    "rename and swap": [titled("Channels", B), titled("Interrupts", A), C, D],
    "rename crosswise": [titled("Pipes", A), titled("Signals", B), C, D],
    "merge": [("Signals", A[1] + B[1], 28), C, D],
    "merge under a new title": [("Talking", A[1] + B[1], 28), C, D],
    "merge what nobody edited": [A, ("Pipes", B[1] + C[1], 28), D],
    "merge backwards": [D, ("Pipes", B[1] + A[1], 28), C],
    "merge three": [("Pipes", A[1] + B[1] + C[1], 42), D],
    "merge as a topic": [A, ("Pipes", [*B[1], "Checklist"], 24), C],
    "split": [A, ("Pipes", B[1][:1], 7), ("Reading", B[1][1:], 7), C, D],
    "split what was edited": [("Signals", A[1][:1], 7), ("Handling", A[1][1:], 7), B, C, D],
    "make a topic a section": [("Signals", A[1][:1], 7), B, C, ("Handlers", [], 7), D],
    "move a topic to the edited one": [("Signals", [*A[1], B[1][0]], 21), ("Pipes", B[1][1:], 7), C, D],
    "move the edited topic": [("Signals", A[1][:1], 7), ("Pipes", [*B[1], A[1][1]], 21), C, D],
    "exchange topics": [A, ("Pipes", [B[1][0], C[1][1]], 14), ("Forks", [C[1][0], B[1][1]], 14), D],
    "retitle a topic of the edited one": [("Signals", ["Blocking signals", "Handlers"], 14), B, C, D],
    "retitle a topic": [A, ("Pipes", ["Opening pipes", "Reading to the end"], 14), C, D],
    "swap topics": [A, ("Pipes", B[1][::-1], 14), C, D],
    "delete a topic": [A, ("Pipes", B[1][:1], 7), C, D],
    "insert a topic": [A, ("Pipes", [B[1][0], "Lookup", B[1][1]], 22), C, D],
}
"""What the outline becomes. The topic Handlers of Signals was edited by hand."""
GONE = {"delete one": C[1], "delete two": [*B[1], *C[1]], "delete a topic": B[1][1:]}
"""The topics whose texts go: nobody edited them, and the outline has them no longer."""


def outline(sections: list[Section]) -> str:
    return "id: 07\ntitle: Pipes\nsource: docs/p.md\nquality: {code_examples: 0}\nsections:\n" + "".join(
        f"  - title: {title}\n    lines: {lines}\n" + (f"    topics: [{', '.join(topics)}]\n" if topics else "")
        for title, topics, lines in sections
    )


def written(sent: SentRequest) -> str:
    """Lines that name the topic they are for, none twice."""
    topics = [t for _, topics, _ in [*FIRST, NEW] for t in topics if t in sent.headings]
    named = topics if len(topics) > 1 else [*sent.subjects, f"section {sent.section}"][:1]
    edition = crc32(sent.last_user_message.encode()) % 10**6
    each = max(1, sent.asked_lines // len(named) - 2 * (len(named) > 1))
    return "\n\n".join(
        (f"### {topic}\n\n" if len(named) > 1 else "")
        + "\n".join(f"On {topic}, {edition}.{at}: {at * 7919 + edition} comes of it." for at in range(each))
        for topic in named
    )


def run(place: Path, author: ScriptedAuthor, **options: Any) -> ChapterResult:
    return asyncio.run(expand_chapter(Workspace.open(place), "07", author=author, **options)).chapter


@pytest.fixture(scope="module", params=["numbered", "keep"])
def edited(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chapter that was drafted, of which Forks was drafted once more, and Handlers edited by hand."""
    place = tmp_path_factory.mktemp(request.param)
    for name, text in (
        ("expand.toml", '[author]\nmodel = "scripted"\n'),
        ("outlines/book.yaml", f"title: Book\nlayout: {request.param}\nallowance: {{tokens: 9000000}}\n"),
        ("outlines/07.yaml", outline(FIRST)),
        ("docs/p.md", SOURCE),
    ):
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    author = ScriptedAuthor(write=written)
    run(place, author)
    run(place, author, sections=[3], fresh=True, instruction="Shorter sentences.")
    draft = place / "drafts" / "07.md"
    text = draft.read_text(encoding="utf-8")
    draft.write_text(re.sub(r"^On Handlers.*", "Edited by hand.", text, count=1, flags=re.MULTILINE), encoding="utf-8")
    assert "Edited by hand." in draft.read_text(encoding="utf-8")
    return place


def said(text: str) -> list[str]:
    return sorted(re.findall(r"^On .*|^Edited by hand\.", text, re.MULTILINE))


@pytest.mark.parametrize("edit", EDITS)
def test_texts_edits_and_purchases_follow_the_outline(edited: Path, tmp_path: Path, edit: str) -> None:
    place = tmp_path / "book"
    shutil.copytree(edited, place)
    draft = place / "drafts" / "07.md"
    sections = EDITS[edit]
    before = draft.read_text(encoding="utf-8")
    (place / "outlines" / "07.yaml").write_text(outline(sections), encoding="utf-8")
    author = ScriptedAuthor(write=written)

    result = run(place, author)

    text = draft.read_text(encoding="utf-8")
    stays = [line for line in said(before) if not any(line.startswith(f"On {topic},") for topic in GONE.get(edit, ()))]
    assert [line for line in said(text) if "Lookup" not in line] == stays
    assert {sent.section for sent in author.requests} == {
        number for number, (_, topics, _) in enumerate(sections, 1) if "Lookup" in topics
    }
    assert all("Lookup" in sent.last_user_message for sent in author.requests)
    assert text.count("<!-- expand") == 1
    states = {section.title: section.status for section in result.sections}
    assert set(states.values()) <= {"edited", "reused", "drafted"}
    asked = len(author.requests)
    again = run(place, author)
    assert len(author.requests) == asked
    assert draft.read_text(encoding="utf-8") == text
    assert {section.title: section.status for section in again.sections} == {
        title: "reused" if state == "drafted" else state for title, state in states.items()
    }


def between(text: str, line: str) -> str:
    """The line in the middle of an edited section."""
    bare = text.replace(f"\n{line}\n", "")
    at = bare.index("\n\n", bare.index("Edited by hand.")) + 2
    return f"{bare[:at]}{line}\n\n{bare[at:]}"


DAMAGES: dict[str, Callable[[str, str], str]] = {
    "taken out": lambda text, line: text.replace(line, ""),
    "taken out with its newline": lambda text, line: text.replace(f"\n{line}\n", ""),
    "at the top": lambda text, line: f"{line}\n\n" + text.replace(f"\n{line}\n", ""),
    "in a section": between,
    "text behind it": lambda text, line: f"{text}\nA line behind.\n",
    "blank lines behind it": lambda text, line: f"{text}\n\n\n",
    "twice": lambda text, line: f"{text}\n{line}\n",
    "twice, one of them elsewhere": lambda text, line: f"{line}\n\n{text}",
    "wrapped": lambda text, line: text.replace(line, re.sub(r"((?:\S+ ){4})", r"\1\n", line)),
    "indented": lambda text, line: text.replace(line, f"   {line}"),
    "quoted": lambda text, line: text.replace(line, f"> {line}"),
    "without spaces at its ends": lambda text, line: text.replace(
        line, line.replace("<!-- ", "<!--").replace(" -->", "-->")
    ),
    "escaped": lambda text, line: text.replace(line, line.replace("<", "&lt;").replace(">", "&gt;")),
    "with dashes": lambda text, line: text.replace(line, line.replace("--", "–")),
    "as an MDX comment": lambda text, line: text.replace(line, line.replace("<!--", "{/*").replace("-->", "*/}")),
    "cut": lambda text, line: text.replace(line, line[: len(line) // 2]),
    "cut before a section's hash": lambda text, line: text.replace(line, line[: line.rindex(" 4@")]),
    "another hash": lambda text, line: text.replace(line, re.sub(r"(3@\S+?:)\w+", r"\g<1>0123456789abcdef", line)),
    "another source": lambda text, line: text.replace(line, re.sub(r"source=\w{9}", "source=000000000", line)),
    "another key": lambda text, line: text.replace(line, re.sub(r"(3@[^=]+=)\w+", r"\g<1>00000000", line)),
    "an older one before it": lambda text, line: text.replace(
        line, f"{re.sub(':[0-9a-f]{16}', ':0000000000000000', line)}\n\n{line}"
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_last_line_is_recognised_or_named(edited: Path, tmp_path: Path, damage: str) -> None:
    place = tmp_path / "book"
    shutil.copytree(edited, place)
    draft = place / "drafts" / "07.md"
    before = draft.read_text(encoding="utf-8")
    line = before.rstrip("\n").rpartition("\n")[2]
    damaged = DAMAGES[damage](before, line)
    assert damaged != before
    draft.write_text(damaged, encoding="utf-8")
    author = ScriptedAuthor()

    workspace = Workspace.open(place)
    seen = review(workspace, "07")
    named = [finding.kind for finding in seen.findings if finding.kind == "hidden-line"]
    assert bool(named) is damage.startswith(("taken out", "cut", "another"))
    behind = "text behind it" if damage == "text behind it" else ""
    for result in (seen, run(place, author)):
        states = {section.title: section.status for section in result.sections}
        assert states["Signals"] == "edited"
        assert {states["Pipes"], states["Forks"], *(() if behind else (states["Checklist"],))} == {"reused"}
    assert not author.requests
    text = draft.read_text(encoding="utf-8")
    assert text.count("<!-- expand") == text.count("language=en") == 1
    assert said(text) == said(before)
    if not behind:
        assert [row for row in text.split("\n") if row] == [row for row in before.split("\n") if row]
