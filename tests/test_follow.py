"""Sections of a draft follow the outline when they are moved, renamed or taken out there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from workspaces import OUTLINE, draft_of, expand, small

from expand.document.draft import document_text
from expand.document.follow import RENAMED_TITLE, _follows
from expand.document.layout import Named, Wanted
from expand.markdown import matching
from expand.testing.server import ScriptedServer

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
            assert draft_of(place).count("Before you ship") == 1
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


@pytest.mark.parametrize(("title", "same"), [("Final checklist", True), ("The last steps", False)])
def test_a_title_unlike_the_former_one_is_another_section(title: str, same: bool) -> None:
    assert _follows("## 1. Checklist\n\nText.\n", Named(Wanted((title,)), title, (), ())) is same
    assert (matching.likeness("Checklist", title) >= RENAMED_TITLE) is same
