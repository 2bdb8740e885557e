"""Where an outline's sections are in a document, where text goes in, and what a page is read into."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_server import ScriptedServer
from workspaces import draft_of, expand, small

from expand.document.draft import read
from expand.document.layout import (
    PLACEHOLDER_CHARACTERS,
    SAME_TITLE,
    Named,
    Wanted,
    arrange,
    assembled,
    fill,
    is_placeholder,
    located,
)
from expand.document.page import Page
from expand.markdown import blocks, matching


def filled(text: str, *sections: Named) -> str:
    """The document with "NEW" in each place of its sections."""
    arranged = arrange(Page(text), sections)
    texts = {n: fill(parts, ["NEW"] * 9, arranged.newline).text for n, parts in arranged.sections.items()}
    return assembled(arranged, texts).text


def section(title: str, *topics: str, heading: str = "") -> Named:
    return Named(Wanted((title,), heading), title, tuple(Wanted((topic,)) for topic in topics), topics)


def test_a_new_section_with_a_number_stands_behind_all_that_have_one() -> None:
    page = "# T\n\n## 1.1 A\n\nA.\n\n## 1.2 B\n\nB.\n\n## 1.3 C\n\nC.\n"
    wanted = section("A"), section("B"), section("D")
    text = filled(page, *wanted)
    assert text.index("## 1.3 C") < text.index("## 1.4 D")
    assert text.startswith("# T\n\n## 1.1 A\n\nA.\n\nNEW\n\n## 1.2 B\n\nB.\n\nNEW\n\n## 1.3 C\n\nC.\n\n## 1.4 D\n")
    plain = filled(page.replace("1.1 ", "").replace("1.2 ", "").replace("1.3 ", ""), *wanted)
    assert plain.index("## B") < plain.index("## D") < plain.index("## C"), "without numbers, behind its neighbour"


@pytest.mark.parametrize("stated", ["#second", "#by-anchor", "#second-one", "Second One"])
def test_what_the_outline_states_is_found_wherever_it_is(stated: str) -> None:
    page = Page('# T\n\n## First\n\n<a id="by-anchor"></a>\n\n## Second One {#second}\n\n## Third\n')
    assert located(page.headings[1:], [Wanted(("Something else",), stated), Wanted(("First",))]) == {0: 1, 1: 0}
    assert located(page.headings[1:], [Wanted(("Second One",), "#nowhere")]) == {}


def test_a_title_like_it_counts_between_its_neighbours_only() -> None:
    page = Page("## Reading files\n\n## Sockets\n\n## Writing files\n")
    wanted = [Wanted(("Read files",)), Wanted(("Sockets",))]
    assert matching.likeness("Read files", "Reading files") >= SAME_TITLE
    assert located(page.headings, wanted) == {0: 0, 1: 1}
    assert located(page.headings, wanted[::-1]) == {0: 1}  # it would have to stand behind the sockets
    assert located(page.headings, [Wanted(("Pipes",))]) == {}


def places(text: str, *titles: str) -> list[str]:
    """The headings that titles are found at, as they stand in the text; "" for none."""
    page = Page(text)
    found = located(page.headings, [Wanted((title,)) for title in titles])
    return [page.headings[found[index]].text.strip() if index in found else "" for index in range(len(titles))]


def test_of_several_headings_with_one_title_the_level_and_the_place_decide() -> None:
    assert places("## A\n\n### Example\n\n## B\n\n#### Example\n", "B", "Example") == ["## B", "#### Example"]
    text = "## Overview\n\n### Setup\n\n## Use\n\n## Setup\n"
    assert places(text, "Overview", "Use", "Setup") == ["## Overview", "## Use", "## Setup"]
    assert places(text, "Overview", "Setup", "Use") == ["## Overview", "## Setup", "## Use"]
    assert places("# A\n\n## T\n\n# T\n", "A", "T") == ["# A", "# T"]


def test_the_order_of_the_document_outranks_likeness() -> None:
    text = "## Reading big files\n\n## Sockets and pipes\n\n## Reading files\n"
    first, second = "Read a file", "Socket and pipe"
    assert matching.likeness(first, "Reading files") > matching.likeness(first, "Reading big files")
    assert places(text.replace("big ", "the "), first, second) == ["## Reading the files", "## Sockets and pipes"]


@pytest.mark.parametrize(
    ("title", "found"),
    [("Installation", True), ("Installation on Linux and macOS", True), ("Removal", False), ("Write files", False)],
)
def test_what_is_left_in_one_place_needs_to_be_less_alike(title: str, found: bool) -> None:
    text = "## First\n\n## {}\n\n## Last\n"
    for heading in ("Installation on Linux", "Read files"):
        assert places(text.format(heading), "First", title, "Last")[1] == (
            f"## {heading}" if found and heading.startswith("Inst") else ""
        )
    assert places(text.format("A\n\n## Installation on Linux"), "First", "Installation", "Last")[1] == ""


def test_a_section_is_found_again_with_its_topics_below() -> None:
    text = "## First\n\n## Installation on Linux\n\n### Packages\n\n### Sources\n\n## Last\n"
    assert places(text, "First", "Installation", "Last")[1] == "## Installation on Linux"
    assert places(text.replace("### S", "## S"), "First", "Installation", "Last")[1] == ""
    assert places(text.replace("### P", "# P"), "First", "Installation", "Last")[1] == ""


@pytest.mark.parametrize("title", ["🎯", "?", "🌐 🎑"])
def test_a_title_of_signs_is_found(title: str) -> None:
    assert places(f"## One\n\n## {title}\n", title) == [f"## {title}"]


@pytest.mark.parametrize(
    ("text", "newline"),
    [
        ("a\nb\r\n\nc\n", "\n"), ("a\r\nb\r\nc\n", "\r\n"), ("a\rb\r", "\r"), ("", "\n"), ("a\r\nb\n", "\n"),
        ("a\u2028b\x0cc\r\n", "\r\n"),
    ],
)  # fmt: skip
def test_the_line_ending_is_that_of_most_lines(text: str, newline: str) -> None:
    assert Page(text).newline == newline


@pytest.mark.parametrize("closing", ["<!-- a comment -->\n", "---\n", "[r]: http://x\n", "[^1]: A note.\n", ""])
def test_text_goes_in_before_what_closes_a_place(closing: str) -> None:
    text = f"## A\n\nMine.\n\n{closing}\n## B\n"
    assert filled(text, section("A")) == f"## A\n\nMine.\n\nNEW\n\n{closing}\n## B\n"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_new_text_has_a_blank_line_around_it(newline: str) -> None:
    text = "## A\nMine.\n## B\nMine too.\n"
    new = filled(text.replace("\n", newline), section("A"), section("B"), section("C"))
    wanted = "## A\nMine.\n\nNEW\n\n## B\nMine too.\n\nNEW\n\n## C\n\nNEW\n"
    assert new == wanted.replace("\n", newline)


def test_a_placeholder_above_the_topics_gives_way_too() -> None:
    assert filled("## A\n\nTODO\n\n### One\n\nMine.\n", section("A", "One")) == "## A\n\n### One\n\nMine.\n\nNEW\n"
    assert filled("## A\n\nTODO\n", section("A", "One")) == "## A\n\n### One\n\nNEW\n"


@pytest.mark.parametrize("own", ["<div>\n\nIn a container.\n\n</div>\n", "<p>HTML</p>\n", "* * *\n\nMore.\n"])
def test_text_goes_in_behind_what_the_author_wrote(own: str) -> None:
    assert filled(f"## A\n\n{own}\n## B\n", section("A")) == f"## A\n\n{own}\nNEW\n\n## B\n"


def test_a_placeholder_in_the_middle_gives_way_and_nothing_else() -> None:
    text = "## A\n\nBefore.\n\nTODO: say more\n\nAfter.\n"
    assert filled(text, section("A")) == "## A\n\nBefore.\n\nAfter.\n\nNEW\n"
    assert filled("## A\n\nTODO\n\n## B\n", section("A")) == "## A\n\nNEW\n\n## B\n"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("TODO", True), ("*Coming soon…*", True), ("> Work in progress.", True), ("待补充。", True),
        ("- [ ] TODO", True),
        ("TODO: " + "x" * (PLACEHOLDER_CHARACTERS - 6), True), ("TODO: " + "x" * (PLACEHOLDER_CHARACTERS - 5), False),
        ("TODO\nand\nmore", False), ("A todo list is a list.", False), ("Coming soon to theatres.", False),
        ("```\nTODO\n```", False),
    ],
)  # fmt: skip
def test_what_stands_for_text_to_come(text: str, is_one: bool) -> None:
    (block,) = blocks.blocks(text)
    assert is_placeholder(block) is is_one


def test_headings_that_are_added_have_the_documents_style() -> None:
    numbered = "## 1. One\n\ntext\n\n## 2. Two\n\ntext\n"
    assert "\n## 3. Three\n" in filled(numbered, section("One"), section("Two"), section("Three"))
    for first, second, third in (
        ("1", "2", "3"), ("3.1", "3.2", "3.3"), ("1)", "2)", "3)"), ("一、", "二、", "三、"), ("A.1", "A.2", "A.3"),
        ("第九章", "第十章", "第十一章"), ("十九、", "二十、", "二十一、"),
        ("Appendix A:", "Appendix B:", "Appendix C:"),
    ):  # fmt: skip
        text = f"## {first} One\n\n## {second} Two\n"
        assert f"\n## {third} Three\n" in filled(text, section("One"), section("Two"), section("Three"))
    assert "\n## Between\n" in filled(numbered, section("One"), section("Between"), section("Two"))
    titled = "## Getting Started\n\n## Going Further\n"
    assert "## Looking Back\n" in filled(titled, section("Getting Started"), section("looking back"))
    for plain in ("## One\n\n## Two\n", "## Using Docker\n\n## Using pip\n", "## Using Docker\n"):
        assert "## Looking back\n" in filled(plain, section("Looking back"))
    assert "## One\n\n### Below\n\nNEW\n" in filled("## One\n", section("One", "Below"))


def test_topics_below_a_topic_stay_with_it() -> None:
    text = "## A\n\n### One\n\n#### Deeper\n\nDeep.\n\n### Other\n\nOther.\n"
    found = filled(text, section("A", "One", "Two"))
    assert found.index("#### Deeper") < found.index("### Two") < found.index("### Other")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("::: tip\n\n## In\n\n:::\n\n## Out\n", 1),
        (":::: outer\n\n::: inner\n\n## In\n\n:::\n\n::::\n\n## Out\n", 1),
        ("::: never closed\n\n## Out\n\n## Too\n", 2),
        (":::\n\n## Out\n", 1),
        ("<div>\n\n## In\n\n</div>\n\n## Out\n", 1),
        ("{/* gone:\n\n## In\n\n*/}\n\n{/* one */}\n\n## Out\n", 1),
        ("<br>\n\n## Out\n\n</br>\n", 1),
        ("<img src=a/>\n\n## Out\n\n<hr>\n", 1),
        ("</div>\n\n## Out\n", 1),
        ("`<div>` here\n\n## Out\n\n`</div>`\n", 1),
    ],
)
def test_a_heading_in_a_container_parts_no_document(text: str, count: int) -> None:
    page = Page(text)
    assert len(page.headings) == count
    assert "".join(span.text for span in page.spans) == text


@pytest.mark.parametrize(
    ("front", "lines"),
    [
        ('{\n"title": "x"\n}\n', 3), ('{\n"title": }\n}\n', 0), ("[\n1\n]\n", 0), ("+++\na = 1\n+++\n", 3),
        ("---\n# a comment\na: b\n---\n", 4), ("---\na: b\n", 0),
    ],
)  # fmt: skip
def test_front_matter_in_each_of_its_forms(front: str, lines: int) -> None:
    assert blocks.front_matter_lines(blocks.rows(f"{front}\n# T\n")) == lines


def test_lines_are_those_of_markdown() -> None:
    text = "## A\n\nOne\u2028line\x0cand\x85more.\n\n## B\n"
    assert filled(text, section("A")) == "## A\n\nOne\u2028line\x0cand\x85more.\n\nNEW\n\n## B\n"


SECTION = "## 2. Named pipes"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return small(tmp_path)


def test_one_section_of_a_numbered_draft_is_accepted(place: Path) -> None:
    source = place / "chapters" / "07_signals.md"
    with ScriptedServer() as server:
        assert expand(place, "chapter", "07", "--base-url", server.base_url).code == 0
    draft = read(draft_of(place))
    assert expand(place, "accept", "07", "--section", "2").code == 0
    first = read(source.read_text(encoding="utf-8"))
    assert first.sections[2] == draft.sections[2]
    assert 1 in first.sections
    assert "About Blocking signals." not in source.read_text(encoding="utf-8")
    assert expand(place, "accept", "07", "--section", "1").code == 0
    second = read(source.read_text(encoding="utf-8"))
    assert (second.sections[1], second.sections[2]) == (draft.sections[1], draft.sections[2])
    assert expand(place, "accept", "07", "--section", "9").code == 2
    assert expand(place, "accept", "07", "--undo", "--section", "1").code == 2
    shown = expand(place, "accept", "07", "--section", "3", "--json")
    assert [done["changed"] for done in shown.json["accepted"]] == [True]
    for _ in range(3):
        assert expand(place, "accept", "07", "--undo").code == 0
    assert "Named pipes" in source.read_text(encoding="utf-8")
    assert expand(place, "accept", "07", "--undo", "--json").code == 2


def test_text_outside_of_sections_that_a_person_edits_in_a_draft_stays(place: Path) -> None:
    book = place / "outlines" / "book.yaml"
    book.write_text(f"{book.read_text(encoding='utf-8')}layout: keep\n", encoding="utf-8")
    with ScriptedServer() as server:
        assert expand(place, "chapter", "07", "--section", "2", "--base-url", server.base_url).code == 0
        draft = place / "drafts" / "07.md"
        draft.write_text(draft_of(place).replace("> **Level**: expert", "> **Level**: anyone"), encoding="utf-8")
        assert expand(place, "chapter", "07", "--base-url", server.base_url).code in (0, 5)
        text = draft_of(place)
        assert "> **Level**: anyone" in text
        assert "> **Level**: expert" not in text
        assert text.count("## Named pipes\n") == 1
        requests = len(server.requests)
        assert expand(place, "chapter", "07", "--base-url", server.base_url).code in (0, 5)
        assert draft_of(place) == text
        assert len(server.requests) == requests
