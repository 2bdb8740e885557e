"""References to sections: whether they lead somewhere, in drafts, reviews and briefs."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_server import ScriptedServer
from workspaces import expand, small

from expand.checks import check_chapter
from expand.checks.links import Contents

TITLES = {1: ("Starting workers", "The Worker type"), 2: ("Profiling tools",)}


def found(text: str, contents: Contents | None = None, **others: str) -> list[tuple[str, int, str]]:
    """Severity, line and message of each finding in section 2."""
    texts = {
        1: others.get("first", "## Starting workers\n\nThe `Worker` starts.\n"),
        2: f"## Profiling tools\n\n{text}\n",
    }
    found = check_chapter(texts, around=[others.get("around", "")], contents=contents or Contents(titles=TITLES))
    return [(one.severity, one.line, one.message) for one in found if one.kind == "wrong-pointer"]


@pytest.fixture(scope="module")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = small(tmp_path_factory.mktemp("pointers"))
    with ScriptedServer() as server:
        assert expand(place, "chapter", "07", "--base-url", server.base_url).code == 0
    return place


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("The mask is set as section 4 says.", "there are 3 sections"),
        ("The mask is set as section 1.3 says.", "that section has 2 topics"),
        ("The mask is set as section 1.2 says.", ""),
        ("The `mkfifo_of` of section 1 makes it.", ""),
    ],
)
def test_a_review_names_section_line_and_what_is_wrong(drafted: Path, said: str, told: str) -> None:
    path = drafted / "drafts/07.md"
    before = path.read_text(encoding="utf-8")
    rows = before.split("\n")
    at = rows.index("## 2. Named pipes")
    rows[at + 1 : at + 1] = ["", said, ""]
    first = rows.index("## 1. Signal handling")
    rows[first + 1 : first + 1] = ["", "Here `mkfifo_of` is defined.", ""]
    path.write_text("\n".join(rows), encoding="utf-8")
    try:
        (chapter,) = expand(drafted, "review", "07", "--format", "json").json["chapters"]
    finally:
        path.write_text(before, encoding="utf-8")
    every = [one for section in chapter["sections"] for one in section["findings"] if one["kind"] == "wrong-pointer"]
    assert [(one["section"], one["line"]) for one in every] == ([(2, 3)] if told else [])
    assert all(told in one["message"] for one in every)


def test_names_are_looked_for_in_the_text_and_in_the_brief() -> None:
    said = "The `Flame` from section 1 draws."
    where = "points to where nothing is said of Flame; no section says it"
    assert found(said) == [("note", 3, f'"`Flame` from section 1" {where}')]
    assert found(f"{said}\n\nA `Flame` is here.")[0][0] == "warning"
    assert found(said, Contents(titles=TITLES, introduced={1: "Flame"})) == []


def test_the_numbers_of_other_chapters_are_passed_over_where_they_may_be_meant() -> None:
    said = "Section 7.2 has the table."
    assert len(found(said)) == 1
    assert found(said, Contents(titles=TITLES, chapters={7})) == []
    assert found("Section 4.1 has it.", Contents(titles=TITLES, chapter=4)) == []
    assert len(found("Section 4.3 has it.", Contents(titles=TITLES, chapter=4))) == 1
