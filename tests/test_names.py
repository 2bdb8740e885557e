"""Names of link references and footnotes: found, kept apart, merged."""

from __future__ import annotations

import pytest

from expand.markdown.names import apart, completed, definitions, uses

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
    assert (
        completed("See [a][x][^n].\n", (), ["[x]: u\n", "[^n]: N\n[x]: w\n"]) == "See [a][x][^n].\n\n[x]: u\n[^n]: N\n"
    )
    assert completed("See [a][x].\n", {"x"}, ["[x]: u\n"]) == "See [a][x].\n"
    assert completed("See [a].\n", (), ["[x]: u\n"]) == "See [a].\n"


def test_nested_and_quoted_names() -> None:
    text = "[![alt][img]][page]\n\n> [img]: i.png\n>\n> - [page]: p\n"
    assert [use.name for use in uses(text)] == ["page", "img", "img", "page"]
    assert apart(text, {"img": "other"}).count("img-2") == 2
