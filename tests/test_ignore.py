"""Findings that a book, an outline, a section or a comment silences; links by the rules of the site."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripted_server import ScriptedServer
from site_pages import SitePage
from test_keep import workspace
from workspaces import ROOT, expand

from expand.checks import check_chapter
from expand.checks.finding import KINDS

TEXT = (
    "# T\n\n[t](t-gone.md)\n\n## One\n\n{comment}See [a](gone.md).\n\nSee [b](gone.md) too.\n\n## Two\n\n[c](#gone)\n"
)
PAGE = (("One", ()), ("Two", ()))


@pytest.fixture(scope="module")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("ignore"))


def made(folder: Path, comment: str = "") -> Path:
    text = TEXT.replace("{comment}", comment)
    place = workspace(folder, SitePage("p", text, PAGE), text)
    with ScriptedServer() as server:
        assert expand(place, "chapter", "p", "--base-url", server.base_url).code == 5
    return place


def broken(place: Path) -> list[tuple[int, str]]:
    (result,) = expand(place, "review", "p", "--format", "json").json["chapters"]
    every = [*result["findings"], *(f for section in result["sections"] for f in section["findings"])]
    return [(one["section"], one["message"].split()[2]) for one in every if one["kind"] == "broken-link"]


def test_without_anything_ignored_each_link_of_a_section_is_found(drafted: Path) -> None:
    assert broken(drafted) == [(1, "gone.md"), (1, "gone.md"), (2, "#gone")]


@pytest.mark.parametrize(
    ("file", "before", "left"),
    [
        ("book.yaml", "title:", []),
        ("p.yaml", "title: p", []),
        ("p.yaml", "{title: One, ", [(2, "#gone")]),
        ("p.yaml", "{title: Two, ", [(1, "gone.md"), (1, "gone.md")]),
    ],
)
def test_a_kind_is_silenced_where_it_says(drafted: Path, file: str, before: str, left: list[tuple[int, str]]) -> None:
    path = drafted / "outlines" / file
    former = path.read_text(encoding="utf-8")
    flow = before.startswith("{")
    said = f"{before}ignore: [broken-link, cut], " if flow else f"ignore: [broken-link, cut]\n{before}"
    path.write_text(former.replace(before, said, 1), encoding="utf-8")
    try:
        assert broken(drafted) == left
        planned = expand(drafted, "chapter", "p", "--dry-run", "--json").json
        assert all(section["reused"] for section in planned["sections"]), "nothing is bought again"
    finally:
        path.write_text(former, encoding="utf-8")


@pytest.mark.parametrize(
    "comment",
    [
        "<!-- expand: ignore broken-link -->\n",
        "<!-- expand: ignore cut, broken-link -->\n\n",
        "{/* expand: ignore broken-link cut */}\n\n",
        "% expand: ignore broken-link\n\n",
        "<!-- expand: ignore broken-link -->\n\n<!-- another -->\n<!-- expand: ignore cut -->\n\n",
    ],
)
def test_a_comment_silences_the_next_block_only(tmp_path: Path, comment: str) -> None:
    assert broken(made(tmp_path, comment)) == [(1, "gone.md"), (2, "#gone")]


def test_a_comment_silences_only_what_it_names(tmp_path: Path) -> None:
    assert len(broken(made(tmp_path, "<!-- expand: ignore cut -->\n"))) == 3


def test_a_kind_that_there_is_not_is_named(drafted: Path) -> None:
    path = drafted / "outlines" / "book.yaml"
    former = path.read_text(encoding="utf-8")
    path.write_text(former + "ignore: [broken-lin]\n", encoding="utf-8")
    ran = expand(drafted, "outline", "check")
    path.write_text(former, encoding="utf-8")
    assert ran.code == 2
    assert "broken-link" in ran.out + ran.err


def test_every_kind_can_be_ignored() -> None:
    common = json.loads((ROOT / "src/expand/data/schemas/common.json").read_text(encoding="utf-8"))
    assert set(common["$defs"]["finding_kind"]["enum"]) == set(KINDS), "add the kind to finding_kind in common.json"


@pytest.mark.parametrize(
    "link",
    ["#own", "#attr", "#by-attr", "#jsx", "#target", "#label", "#setup", "#tab-one", "#quoted", "#the-title",
     "#the-title-1", "#Own"],
)  # fmt: skip
def test_explicit_ids_and_headings_in_tabs_count(link: str) -> None:
    text = (
        f"## The title\n\n[x]({link})\n\n### One {{#own}}\n\n### Two {{ #attr .wide }}\n\nText.\n{{: #by-attr }}\n\n"
        '<Tab id="jsx">\n\n(target)=\n### Three\n\n```{figure} a.png\n:name: label\n```\n\n### Four :id=setup\n\n'
        '=== "Tab"\n\n    #### Tab one\n\n> #### Quoted\n\n### The title\n'
    )
    assert check_chapter({1: text}) == ()
    assert [f.kind for f in check_chapter({1: text.replace(f"({link})", f"({link}-not)")})] == ["broken-link"]


def test_anchors_of_the_rest_of_the_document_count() -> None:
    assert check_chapter({1: "## A\n\n[x](#intro)\n"}, around=["# Intro\n"]) == ()


@pytest.mark.parametrize(
    ("heading", "slug"),
    [("A -- b: c", "a-b-c"), ("Écran `x.y`", "ecran-x-y"), ("1. Über", "_1-uber"), ("A & B", "a--b"), ("C++", "c")],
)
def test_slugs_of_every_generator_are_the_same_anchor(heading: str, slug: str) -> None:
    texts = {1: f"## {heading}\n\n[x](#{slug})\n"}
    assert check_chapter(texts, any_slug=True) == ()
    gone = {1: f"## {heading}\n\n[x](#{slug}z)\n"}
    assert len(check_chapter(gone, any_slug=True)) == 1


@pytest.mark.parametrize(
    "include",
    ["{{#include ../shared.md}}", '--8<-- "shared.md"', "<!--@include: ./shared.md-->", "```{include} shared.md\n```",
     "import Part from './_part.mdx';", ".. include:: shared.rst"],
)  # fmt: skip
def test_anchors_of_a_page_that_is_included_are_not_known(include: str) -> None:
    assert check_chapter({1: f"## A\n\n[x](#shared)\n\n{include}\n"}) == ()
    assert (
        len(check_chapter({1: f"## A\n\n[x](#shared)\n\n{include.replace('.md', '.rs').replace('.rst', '.py')}\n"}))
        == 1
    )


@pytest.mark.parametrize(
    ("html", "found"),
    [('<a href="#gone">x</a>', 1), ("Text <img src='gone.png' alt=\"x\"> more.", 1),
     ('<div>\n<a class="b" href="c.md">', 1),
     ('<a :href="url">', 0), ('<a href="https://e.org">', 0), ('<a href="{url}">', 0), ('`<a href="#gone">`', 0),
     ('<a data-href="#gone">', 0)],
)  # fmt: skip
def test_links_of_html_elements_are_links(html: str, found: int) -> None:
    assert len(check_chapter({1: f"## A\n\n{html}\n"}, exists=lambda path: False)) == found


@pytest.mark.parametrize(
    ("files", "page", "there", "gone"),
    [
        ({"mkdocs.yml": "site_name: x\n", "docs/b/index.md": ""}, "docs/p.md", "../b/ b/index.md", "../c/ c.md"),
        ({"book.toml": "[book]\n", "docs/SUMMARY.md": "[a](b.md)\n", "docs/b.md": ""}, "docs/p.md", "b.html", "c.html"),
        ({"docs/.vitepress/config.ts": "export default {}\n", "docs/b.md": ""}, "docs/p.md", "/b b ./b.html", "/c c"),
        ({"docusaurus.config.js": "module.exports = {}\n", "docs/b.mdx": ""}, "docs/p.md", "b ./b.mdx", "c.md"),
        ({"docs/conf.py": 'project = "x"\n', "docs/b.md": ""}, "docs/p.md", "b.md a-label", "c.md"),
    ],
)
def test_links_follow_the_rules_of_the_generator(
    tmp_path: Path, files: dict[str, str], page: str, there: str, gone: str
) -> None:
    links = " ".join(f"[x]({target})" for target in (there + " " + gone).split())
    text = f"# T\n\n## One\n\n{links}\n\n## Two\n"
    place = workspace(tmp_path, SitePage("p", text, PAGE), text)
    for name, content in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    with ScriptedServer() as server:
        ran = expand(place, "chapter", "p", "--section", "1", "--json", "--base-url", server.base_url)
    messages = json.dumps(ran.json)
    assert messages.count('"broken-link"') == len(gone.split())
    assert all(f"the link {target} leads" in messages for target in gone.split())
