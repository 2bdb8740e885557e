"""Names of link references and footnotes: found, kept apart, merged."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from workspaces import draft_of, small

from expand.api import expand_chapter, review
from expand.document.draft import read
from expand.drafting.section_text import SectionText, Skeleton
from expand.llm.types import Finish
from expand.markdown.names import apart, completed, definitions, lacking, uses
from expand.testing import ScriptedAuthor
from expand.testing.scripted_author import SentRequest
from expand.workspace import Workspace

TEXT = """See [the docs][Docs], [docs][], [docs] and ![x][docs]; a note[^1].

[docs]: https://a.example "A"
[^1]: A note
    that goes on.

    And on.

Text again.
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_uses_and_definitions(newline: str) -> None:
    text = TEXT.replace("\n", newline)
    assert [(use.name, use.form) for use in uses(text)] == [
        ("docs", "full"), ("docs", "full"), ("docs", "shortcut"), ("docs", "full"), ("^1", "note"),
        ("docs", "definition"), ("^1", "definition"),
    ]  # fmt: skip
    assert [(d.name, d.start, d.end, d.content) for d in definitions(text)] == [
        ("docs", 2, 3, 'https://a.example "A"'),
        ("^1", 3, 7, "A note that goes on. And on."),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "`[a][b]` and ``[^x] ` ``\n", "```\n[a][b]\n[b]: c\n```\n", "    [a][b]\n", "\\[a][b]\n", "<!-- [^x] -->\n",
        "$$\n[a][b]\n$$\n", "[a](b)\n", "- [ ] task\n",
    ],
)  # fmt: skip
def test_code_escapes_and_inline_links_name_nothing(text: str) -> None:
    assert not [use for use in uses(text) if use.sure]
    assert not definitions(text)


def test_what_may_be_an_index_or_a_citation_is_not_sure() -> None:
    assert not any(use.sure for use in uses("m[i][j], f()[a][b] and [1][2]; [a] alone\n"))


def test_a_name_that_is_taken_is_another_one_in_the_text() -> None:
    found = apart(TEXT, {"docs": "https://b.example", "^1": "Another"})
    first, _, rest = found.partition("\n")
    assert first == "See [the docs][Docs-2], [docs][docs-2], [docs][docs-2] and ![x][docs-2]; a note[^1-2]."
    assert rest == TEXT.partition("\n")[2].replace("[docs]:", "[docs-2]:").replace("^1]", "^1-2]")


def test_what_is_defined_likewise_is_defined_once() -> None:
    taken = {"docs": 'https://a.example "A"', "^1": "A note that goes on. And on."}
    assert apart(TEXT, taken) == TEXT.splitlines(keepends=True)[0] + "\nText again.\n"
    apart_once = apart(TEXT, {"docs": "x"})
    assert apart(TEXT, {"docs": "x", "docs-2": 'https://a.example "A"'}) == apart_once.replace(
        '[docs-2]: https://a.example "A"\n', ""
    )


def test_names_of_the_authors_are_left_alone() -> None:
    assert apart(TEXT, {"docs": "x", "^1": "y"}, keep={"docs", "^1"}) == TEXT
    assert apart(TEXT, {}) == TEXT


def test_two_answers_in_one_text_are_kept_apart() -> None:
    text = "One [a][x].\n\n[x]: u\n\nTwo [b][x] and [c][x].\n\n[x]: v\n\nThree [d][x].\n\n[x]: u\n"
    assert apart(text, {}) == ("One [a][x].\n\n[x]: u\n\nTwo [b][x-2] and [c][x-2].\n\n[x-2]: v\n\nThree [d][x].\n\n")


def test_a_text_gets_the_definitions_that_others_have() -> None:
    text = "See [a][x][^n] and [b].\n"
    assert lacking([text, "[b]: u\n"], {"^n"}) == {"x"}
    whole = "See [a][x][^n] and [b].\n\n[x]: u\n[^n]: N\n"
    assert completed(text, {"x", "^n", "z"}, ["[x]: u\n[b]: v\n", "[^n]: N\n[x]: w\n"]) == whole
    assert completed(text, (), ["[x]: u\n"]) == completed(text, {"z"}, ["[x]: u\n"]) == text


def test_nested_and_quoted_names() -> None:
    text = "[![alt][img]][page]\n\n> [img]: i.png\n>\n> - [page]: p\n"
    assert [use.name for use in uses(text)] == ["page", "img", "img", "page"]
    assert apart(text, {"img": "other"}).count("img-2") == 2


def _answer(sent: SentRequest) -> str:
    """As many lines as are asked for, and names that every section defines, some of them differently."""
    lines = "".join(f"Sentence {n**2} of section {sent.section}.\n" for n in range(sent.asked_lines))
    ends = f"See [it][it], [same][same] and [own][own].[^1]\n\n[it]: https://e.example/{sent.section}\n"
    return f"{lines}\n{ends}[same]: https://same.example\n[own]: https://model.example\n\n[^1]: Of {sent.section}.\n"


@pytest.mark.parametrize("layout", ["numbered", "keep"])
def test_sections_do_not_share_names_by_accident(tmp_path: Path, layout: str) -> None:
    place = small(tmp_path)
    book, source = place / "outlines" / "book.yaml", place / "chapters" / "07_signals.md"
    book.write_text(f"{book.read_text(encoding='utf-8')}layout: {layout}\n", encoding="utf-8")
    own = "[own]: https://author.example"
    source.write_text(
        source.read_text(encoding="utf-8").replace("anonymous one.", f"anonymous [one][own].\n\n{own}"),
        encoding="utf-8",
    )

    def run(sections: list[int] | None = None) -> str:
        author = ScriptedAuthor(write=_answer)
        asyncio.run(expand_chapter(Workspace.open(place), "07", author=author, sections=sections))
        return draft_of(place)

    run([3])
    text = run()
    found = definitions(text)
    assert len({d.name for d in found}) == len(found)
    assert {d.content for d in found if d.name.startswith("it")} == {f"https://e.example/{n}" for n in (1, 2, 3)}
    assert [d.content for d in found if d.name.startswith("same")] == ["https://same.example"]
    assert own in text
    assert [d.name for d in found if d.content == "https://model.example"] == ["own-2"]
    assert not lacking([text])
    back, named = read(text), {d.name: d.content for d in found}
    assert not any(map(back.edited, back.sections))
    for number, section in back.sections.items():
        targets = {named[use.name] for use in uses(section) if use.said.startswith("it")}
        assert targets == {f"https://e.example/{number}"}
    assert run() == text
    kinds = [f.kind for f in review(Workspace.open(place), "07").every_finding]
    assert "undefined-reference" not in kinds


def test_answers_of_one_section_are_kept_apart() -> None:
    section = SectionText(Skeleton(number=1, title="T", topics=("Alpha", "Beta"), target=40))
    section.add("One [a][x].\n\n[x]: u\n", Finish.STOP, (0,))
    section.add("Two [b][x] goes", Finish.LENGTH, (1,))
    section.add(" on.\n\n[x]: v\n", Finish.STOP, (1,))
    assert section.bodies[1] == "Two [b][x-2] goes on.\n\n[x-2]: v\n"
    both = SectionText(Skeleton(number=1, title="T", topics=("Alpha", "Beta"), target=40, names={"x": "author"}))
    both.add("### Alpha\n\nOne [a][x].\n\n### Beta\n\nTwo [b][x].\n\n[x]: u\n", Finish.STOP, (0, 1))
    assert both.bodies == ["One [a][x-2].\n", "Two [b][x-2].\n\n[x-2]: u\n"]
    again = both.replaced((1,), "Three.\n", Finish.STOP)
    assert again.bodies[1] == "Three.\n\n[x-2]: u\n"
