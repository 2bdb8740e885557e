"""Sections of a draft follow the outline when they are moved, renamed or taken out there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scripted_server import ScriptedServer
from workspaces import OUTLINE, draft_of, expand, small

from expand.document.draft import document_text
from expand.document.layout import RENAMED_TITLE, Wanted, renamed, retitled_headings
from expand.document.page import Page
from expand.markdown import matching

STARTS = ("  - title: {en: Signal", "  - title: {en: Named", "  - title: {en: Checklist")
HEAD, SIGNALS, PIPES, CHECKLIST = (
    OUTLINE[start:end]
    for start, end in zip([0, *map(OUTLINE.index, STARTS)], [*map(OUTLINE.index, STARTS), len(OUTLINE)], strict=True)
)


@pytest.mark.parametrize("layout", ["numbered", "keep"])
@pytest.mark.parametrize(
    ("sections", "titles"),
    [
        ((PIPES, SIGNALS, CHECKLIST), ["Named pipes", "Signal handling", "Checklist"]),
        ((PIPES, SIGNALS), ["Named pipes", "Signal handling"]),
        (
            (
                SIGNALS.replace("en: Signal handling", "en: Handlers"),
                PIPES,
                CHECKLIST.replace("en: Ch", "en: Final ch"),
            ),
            ["Handlers", "Named pipes", "Final checklist"],
        ),
    ],
    ids=["swapped", "taken out", "renamed"],
)
def test_edits_and_purchases_stay_with_their_sections(
    tmp_path: Path, layout: str, sections: tuple[str, ...], titles: list[str]
) -> None:
    place = small(tmp_path)
    book = place / "outlines" / "book.yaml"
    book.write_text(f"{book.read_text(encoding='utf-8')}layout: {layout}\n", encoding="utf-8")
    with ScriptedServer() as server:
        assert expand(place, "chapter", "07", "--base-url", server.base_url).code in (0, 5)
        text = draft_of(place)
        edited = text.replace("A worker delays one buffer when the load rises", "Edited by hand.")
        assert edited != text
        (place / "drafts" / "07.md").write_text(edited, encoding="utf-8")
        (place / "outlines" / "07.yaml").write_text(HEAD + "".join(sections), encoding="utf-8")
        requests = len(server.requests)
        for _ in range(2):
            ran = expand(place, "chapter", "07", "--base-url", server.base_url, "--json")
            found = [(section["title"], section["status"]) for section in ran.json["chapters"][0]["sections"]]
            signals = ("Signal handling", "Handlers")
            assert found == [(title, "edited" if title in signals else "reused") for title in titles]
            assert draft_of(place).count("Edited by hand.") == 1
        assert len(server.requests) == requests


@pytest.mark.parametrize("layout", ["numbered", "keep"])
@pytest.mark.parametrize("changed", ["", "rest", "outline"])
def test_a_section_under_another_heading_is_a_persons(tmp_path: Path, layout: str, changed: str) -> None:
    place = small(tmp_path)
    book = place / "outlines" / "book.yaml"
    book.write_text(f"{book.read_text(encoding='utf-8')}layout: {layout}\n", encoding="utf-8")
    with ScriptedServer() as server:
        assert expand(place, "chapter", "07", "--base-url", server.base_url).code in (0, 5)
        requests = len(server.requests)
        text = draft_of(place).replace(" Checklist\n", " Before you ship\n")
        text = text.replace("**Level**: expert", "**Level**: anyone") if changed == "rest" else text
        (place / "drafts" / "07.md").write_text(text, encoding="utf-8")
        if changed == "outline":
            (place / "outlines" / "07.yaml").write_text(HEAD + CHECKLIST + SIGNALS + PIPES, encoding="utf-8")
        for _ in range(2):
            ran = expand(place, "chapter", "07", "--base-url", server.base_url, "--json")
            found = {section["title"]: section["status"] for section in ran.json["chapters"][0]["sections"]}
            if layout == "numbered" or changed != "rest":  # with nothing left to tell it by, it is text of no section
                assert found["Checklist"] == "edited"
                assert re.search("(?m)^#.*Checklist", draft_of(place)) is None
            assert len(re.findall("(?m)^#.*Before you ship$", draft_of(place))) == 1
            assert len(server.requests) == requests


@pytest.mark.parametrize(
    "renamed",
    [
        {"Signal handling": "Handling of signals", "Checklist": "A checklist"},
        {"Signal handling": "Handling of signals\n\nMy opening.\n\n## Between\n\nMore"},
    ],
    ids=["two", "with another one"],
)
def test_edits_under_headings_that_a_person_changed_stay(tmp_path: Path, renamed: dict[str, str]) -> None:
    place = small(tmp_path)
    book = place / "outlines" / "book.yaml"
    book.write_text(f"{book.read_text(encoding='utf-8')}layout: keep\n", encoding="utf-8")
    with ScriptedServer() as server:
        assert expand(place, "chapter", "07", "--base-url", server.base_url).code in (0, 5)
        requests, text = len(server.requests), draft_of(place)
        for title, new in renamed.items():
            text = text.replace(f"\n## {title}\n", f"\n## {new}\n")
        text = text.replace("A worker delays one buffer when the load rises", "Edited by hand.")
        (place / "drafts" / "07.md").write_text(text, encoding="utf-8")
        for _ in range(2):
            ran = expand(place, "chapter", "07", "--base-url", server.base_url, "--json")
            found = {section["title"]: section["status"] for section in ran.json["chapters"][0]["sections"]}
            assert [title for title, status in found.items() if status == "edited"] == [*renamed]
            assert document_text(draft_of(place)) == document_text(text)
        assert len(server.requests) == requests


@pytest.mark.parametrize("layout", ["numbered", "keep"])
@pytest.mark.parametrize("lost", [False, True])
def test_a_section_of_a_persons_own_stays(tmp_path: Path, layout: str, lost: bool) -> None:
    place = small(tmp_path)
    book = place / "outlines" / "book.yaml"
    book.write_text(f"{book.read_text(encoding='utf-8')}layout: {layout}\n", encoding="utf-8")
    number = "9. " if layout == "numbered" else ""
    with ScriptedServer() as server:
        assert expand(place, "chapter", "07", "--base-url", server.base_url).code in (0, 5)
        text = draft_of(place).replace("\n---\n\n**Maint", f"\n## {number}Mine\n\nOf my own.\n\n---\n\n**Maint")
        if lost:
            text = text[: text.index("<!-- expand")]
            (place / ".expand" / "lines" / "07").unlink()
        (place / "drafts" / "07.md").write_text(text, encoding="utf-8")
        for _ in range(2):
            assert expand(place, "chapter", "07", "--base-url", server.base_url).code in (0, 5)
            assert draft_of(place).count(f"## {number}Mine\n\nOf my own.\n\n---\n\n**Maint") == 1
            if layout == "numbered" or not lost:
                assert draft_of(place).count("Signal handling\n") == 1
    assert expand(place, "accept", "07", "--section", "2", "--force").code == 0


@pytest.mark.parametrize(("title", "same"), [("Final checklist", True), ("The last steps", False)])
def test_a_title_unlike_the_former_one_is_another_section(title: str, same: bool) -> None:
    assert bool(renamed({}, Page("## Checklist\n\nText.\n").headings, [Wanted((title,))])) is same
    assert (matching.likeness("Checklist", title) >= RENAMED_TITLE) is same


LISTED = """\
# Signals and pipes

See [the list](#checklist), or:

- [Checklist](#checklist)

## Signal handling

Words on signals, see [the list](#checklist).

## Notes

My own section.

## Checklist

- [ ] mine
"""


@pytest.fixture(params=["keep", "numbered"])
def drafted(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A drafted chapter whose source links to its last section."""
    place = small(tmp_path)
    book = place / "outlines" / "book.yaml"
    book.write_text(f"{book.read_text(encoding='utf-8')}layout: {request.param}\n", encoding="utf-8")
    (place / "chapters" / "07_signals.md").write_text(LISTED, encoding="utf-8")
    with ScriptedServer() as server:
        assert expand(place, "chapter", "07", "--base-url", server.base_url).code in (0, 5)
    return place


def retitle(place: Path, **titles: str) -> None:
    text = draft_of(place)
    for former, title in titles.items():
        text, times = re.subn(rf"(?m)^(#+ (?:[\d.]+ )?){former}\b.*$", rf"\g<1>{title}", text)
        assert times == 1
    (place / "drafts" / "07.md").write_text(text, encoding="utf-8")


def findings(place: Path) -> list[tuple[str, str]]:
    (chapter,) = expand(place, "review", "07", "--json").json["chapters"]
    every = [*chapter["findings"], *(one for section in chapter["sections"] for one in section["findings"])]
    return [(one["kind"], one["severity"]) for one in every if one["severity"] != "note"]


@pytest.mark.parametrize("title", ["Final checklist", "Before you ship"])
def test_a_heading_of_another_title_does_not_stop_accept(drafted: Path, title: str) -> None:
    kept = "## 1." not in draft_of(drafted)
    retitle(drafted, Checklist=title, **({"Notes": "Remarks"} if kept else {}))
    before = draft_of(drafted)
    assert not {kind for kind, _ in findings(drafted)} - {"broken-link"}
    with ScriptedServer() as server:
        ran = expand(drafted, "chapter", "07", "--base-url", server.base_url, "--json")
        assert [one["status"] for one in ran.json["chapters"][0]["sections"]] == ["reused", "reused", "edited"]
        assert not server.requests
    assert expand(drafted, "accept", "07").code == 0
    text = (drafted / "chapters" / "07_signals.md").read_text(encoding="utf-8")
    assert document_text(draft_of(drafted)) == text
    if kept:
        assert document_text(before) == text
    else:  # its table of contents is the tool's
        assert f"- [3. {title}](#3-{title.lower().replace(' ', '-')})" in text
    assert text.count("hecklist\n") == (title == "Final checklist")
    assert expand(drafted, "accept", "--undo", "07").code == 0
    assert (drafted / "chapters" / "07_signals.md").read_text(encoding="utf-8") == LISTED


def test_several_headings_of_other_titles_are_followed_also_beside_other_edits(drafted: Path) -> None:
    retitle(drafted, Signal="Interrupts", Checklist="Before you ship")
    text = draft_of(drafted).replace("# Signals and pipes\n", "# Signals and pipes\n\nA line of mine.\n", 1)
    (drafted / "drafts" / "07.md").write_text(text, encoding="utf-8")
    with ScriptedServer() as server:
        for _ in range(2):
            ran = expand(drafted, "chapter", "07", "--base-url", server.base_url, "--json")
            assert [one["status"] for one in ran.json["chapters"][0]["sections"]] == ["edited", "reused", "edited"]
        assert not server.requests
    text = draft_of(drafted)
    assert [text.count(f"{title}\n") for title in ("Interrupts", "Before you ship")] == [1, 1]
    assert not re.search(r"(?m)^#.*(?:Signal handling|Checklist)$", text)
    assert "A line of mine." in text
    assert expand(drafted, "accept", "07").code == 0


@pytest.mark.parametrize(("title", "called"), [("", False), ("## Remarks\n", True)])
def test_the_table_of_contents_is_no_heading_of_another_title(tmp_path: Path, title: str, called: bool) -> None:
    place = small(tmp_path)
    with ScriptedServer() as server:
        expand(place, "chapter", "07", "--base-url", server.base_url)
    text = draft_of(place)
    assert "## Contents\n" in text
    (place / "drafts/07.md").write_text(text.replace("## 2. Named pipes\n", title), encoding="utf-8")
    said = expand(place, "review", "07", "--json").out
    assert "is called Contents" not in said
    assert ("is called Remarks" in said) is called
    assert "gave way to one of the outline's" in said or called


def test_a_heading_that_is_gone_with_its_text_is_left_out(drafted: Path) -> None:
    text = draft_of(drafted)
    kept = "## 1." not in text
    start = re.search(r"(?m)^## (?:3\. )?Checklist$", text)
    assert start is not None
    (drafted / "drafts" / "07.md").write_text(text[: start.start()] + text[text.index("<!-- expand") :], "utf-8")
    assert ("left-out", "blocking" if kept else "warning") in findings(drafted)
    if kept:
        assert expand(drafted, "accept", "07").code == 5


@pytest.mark.parametrize(
    ("former", "present", "found"),
    [
        ("# T\n## Pipes\n", "# T\n## Fifos\n", {"Pipes": "Fifos"}),  # one is missing where one is new
        ("# T\n## Pipes\n", "# T\n## Fifos\n## Queues\n", {}),
        ("# T\n## Pipes\n", "# T\n### Fifos\n", {}),
        ("# T\n## Pipes\n## A\n", "# T\n## A\n## Fifos\n", {}),
        ("# T\n## Pipes\n## Masks\n", "# T\n## Fifos\n## Tables\n", {"Pipes": "Fifos", "Masks": "Tables"}),
        ("# T\n## Pipes\n", "# T\n## Queues\n## Named pipes\n", {"Pipes": "Named pipes"}),
        ("# T\n## Pipes\n### One\n", "# T\n## Fifos\n### Two\n", {"Pipes": "Fifos", "One": "Two"}),
    ],
)
def test_a_heading_in_the_place_of_another_is_the_same(former: str, present: str, found: dict[str, str]) -> None:
    pairs = retitled_headings(Page(former).headings, Page(present).headings)
    assert {was.title: now.title for was, now in pairs} == found
