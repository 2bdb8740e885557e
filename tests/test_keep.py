"""The layout that keeps the document's own form: nothing but the bodies of outlined sections changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_server import ScriptedServer
from site_pages import PAGES, SitePage
from workspaces import expand

from expand.checks import check_text
from expand.document.draft import document_text, read
from expand.document.layout import Named, Wanted, arrange, assembled, fill, is_placeholder
from expand.document.page import Page, first_fault, footer_line
from expand.markdown.blocks import blocks

BOOK = "title: Pages\nlanguage: en\nlayout: keep\nallowance: {tokens: 200000}\n"
FORMS = {
    "plain": lambda text: text,
    "crlf": lambda text: text.replace("\n", "\r\n"),
    "mark": lambda text: "\ufeff" + text,
    "no final newline": lambda text: text.rstrip("\n"),
    "blank lines at the end": lambda text: text + "\n\n",
}


def named(page: SitePage) -> list[Named]:
    return [
        Named(Wanted((title,)), title, tuple(Wanted((topic,)) for topic in topics), topics)
        for title, topics in page.sections
    ]


def workspace(folder: Path, page: SitePage, text: str) -> Path:
    outline = f"id: p\ntitle: {page.name}\nsource: docs/p.md\nsections:\n"
    for title, topics in page.sections:
        outline += f"  - {{title: {title}, lines: 12, topics: [{', '.join(topics)}]}}\n".replace(", topics: []", "")
    for name, content in (("expand.toml", '[author]\nmodel = "scripted"\n'), ("outlines/book.yaml", BOOK),
                          ("outlines/p.yaml", outline), ("docs/p.md", text)):  # fmt: skip
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
    return folder


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_without_new_text_is_the_same_bytes(page: SitePage, form: str) -> None:
    text = FORMS[form](page.text)
    arranged = arrange(Page(text), named(page), end=footer_line(Page(text)))
    empty = {number: fill(parts, [""] * 9, arranged.newline).text for number, parts in arranged.sections.items()}
    assert assembled(arranged, empty).text == text
    assert "".join(span.text for span in Page(text).spans) == text


@pytest.mark.parametrize(
    ("page", "form"),
    [(page, form) for number, page in enumerate(PAGES) for form in {"plain": 0, tuple(FORMS)[number % len(FORMS)]: 0}],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_one_section_is_accepted_and_nothing_else_changes(page: SitePage, form: str, tmp_path: Path) -> None:
    text = FORMS[form](page.text)
    place = workspace(tmp_path, page, text)
    source = place / "docs" / "p.md"
    with ScriptedServer() as server:
        for number in range(1, len(page.sections) + 1):
            ran = expand(place, "chapter", "p", "--section", str(number), "--base-url", server.base_url)
            assert ran.code in (0, 5), ran.err
            shown = expand(place, "accept", "p", "--section", str(number), "--diff", "--force")
            assert shown.code == 0
            assert source.read_bytes() == text.encode()
            taken = expand(place, "accept", "p", "--section", str(number), "--force")
            assert taken.code == 0, taken.err
            new = source.read_bytes().decode()
            assert _only_added(text, new), shown.out
            assert _blocks_stay(text, new), shown.out
            before, after = _outside(page, text, number)
            assert new.startswith(before)
            assert new.endswith(after)
            assert shown.out.count("\n@@") >= 1
            assert expand(place, "accept", "p", "--undo").code == 0
            assert source.read_bytes() == text.encode()


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_byte_that_is_not_utf8_is_named_with_its_line(tmp_path: Path, newline: str) -> None:
    page = SitePage("bytes", "# T\n\n## One\n\nMenu\n", (("One", ()),))
    place = workspace(tmp_path, page, page.text)
    (place / "docs" / "p.md").write_bytes(page.text.replace("\n", newline).encode() + b"caf\xe9" + newline.encode())
    ran = expand(place, "chapter", "p", "--dry-run")
    assert ran.code == 2
    assert "p.md:6: " in ran.err
    assert "is not UTF-8" in ran.err


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_only_markdowns_line_ends_end_a_line(odd: str) -> None:
    text = f"# T{odd}\n\n## One\n\nA{odd}## no heading{odd}```{odd}B\n\n```\nc{odd}```{odd}\n```\n"
    page = Page(text)
    assert "".join(span.text for span in page.spans) == text
    assert [heading.title for heading in page.headings] == [f"T{odd}".strip(), "One"]
    assert first_fault(page.text) is None
    assert not [one for one in check_text(text, section=1) if one.kind in ("open-fence", "broken-code", "repeats")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_draft_is_read_back_and_not_bought_again(page: SitePage, tmp_path: Path) -> None:
    place = workspace(tmp_path, page, page.text)
    with ScriptedServer() as server:
        assert expand(place, "chapter", "p", "--base-url", server.base_url).code in (0, 5)
        draft = place / "drafts" / "p.md"
        first, requests = draft.read_bytes(), len(server.requests)
        back = read(first.decode())
        assert [*back.sections] == list(range(1, len(page.sections) + 1))
        assert not any(map(back.edited, back.sections))
        assert back.rest_edited == (False,)
        assert expand(place, "chapter", "p", "--base-url", server.base_url).code in (0, 5)
        assert len(server.requests) == requests
        assert draft.read_bytes() == first
        assert _only_added(page.text, document_text(first.decode()))
        assert expand(place, "accept", "p", "--force").code == 0
        assert (place / "docs" / "p.md").read_bytes().decode() == document_text(first.decode())


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_a_section_is_the_same_bytes_when_another_is_drafted_again(tmp_path: Path, newline: str) -> None:
    """Also one that the document does not have, above its closing lines."""
    text = "# T\n\nMine.\n\n---\n\n**Maintenance**: kept by me.\n".replace("\n", newline)
    place = workspace(tmp_path, SitePage("T", "", (("One", ()), ("Two", ()))), text)
    with ScriptedServer() as server:
        assert expand(place, "chapter", "p", "--base-url", server.base_url).code in (0, 5)
        draft = place / "drafts" / "p.md"
        two = draft.read_text(encoding="utf-8").partition("## Two")[2].partition("<!--")[0]
        assert "**Maintenance**: kept by me." in two
        for _ in range(2):
            assert (
                expand(place, "revise", "p", "--section", "1", "--note", "x", "--base-url", server.base_url).code == 0
            )
            assert draft.read_text(encoding="utf-8").partition("## Two")[2].partition("<!--")[0] == two


@pytest.mark.parametrize(
    ("text", "beginning"),
    [
        (None, "# Pages and text\n\n## One\n"),
        ("", "# Pages and text\n\n## One\n"),
        ("\ufeff\r\n", "\ufeff# Pages and text\r\n\r\n## One\r\n"),
        ("---\ntags: [a]\n---\n", "---\ntags: [a]\n---\n\n# Pages and text\n\n## One\n"),
        ("---\ntitle: Mine\n---\n", "---\ntitle: Mine\n---\n\n## One\n"),
        ("<!-- notes -->\n", "## One\n"),
        ("Text.\n", "Text.\n\n## One\n"),
    ],
)
def test_a_page_without_text_begins_with_the_chapters_title(tmp_path: Path, text: str | None, beginning: str) -> None:
    place = workspace(tmp_path, SitePage("Pages and text", "", (("One", ()), ("Two", ()))), text or "")
    source = place / "docs" / "p.md"
    if text is None:
        source.unlink()
    with ScriptedServer() as server:
        assert expand(place, "chapter", "p", "--base-url", server.base_url).code in (0, 5)
        requests = len(server.requests)
        assert expand(place, "accept", "p", "--section", "1", "--force").code == 0
        assert source.read_bytes().decode().startswith(beginning)
        assert "# Two" not in source.read_text(encoding="utf-8")
        assert expand(place, "accept", "p", "--force").code == 0
        whole = source.read_bytes().decode()
        assert whole.startswith(beginning)
        assert whole.count("# Pages and text") == beginning.count("# Pages and text")
        assert expand(place, "chapter", "p", "--base-url", server.base_url).code in (0, 5)
        assert len(server.requests) == requests
    assert expand(place, "accept", "p", "--undo").code == expand(place, "accept", "p", "--undo").code == 0
    assert source.exists() is (text is not None)
    assert text is None or source.read_bytes() == text.encode()


def _only_added(before: str, after: str) -> bool:
    """Whether every line stays, in order, but placeholders."""
    left = [line for line in before.splitlines() if line.strip() and line not in ("TODO", "Coming soon.", "待补充")]
    lines = iter(after.splitlines())
    return all(line in lines for line in left)


def _blocks_stay(before: str, after: str) -> bool:
    """Whether each of the author's blocks is a block of its own, in order, but placeholders."""
    left = (block.text.replace("\r\n", "\n") for block in blocks(after))
    own = (block.text.replace("\r\n", "\n") for block in blocks(before) if not is_placeholder(block))
    return all(text in left for text in own)


def _outside(page: SitePage, text: str, number: int) -> tuple[str, str]:
    """The text before a section's body and behind it."""
    arranged = arrange(Page(text), named(page), end=footer_line(Page(text)))
    own = {n: fill(parts, [""] * 9, arranged.newline).text for n, parts in arranged.sections.items()}
    texts = [piece if isinstance(piece, str) else own[piece] for piece in arranged.pieces]
    at = arranged.pieces.index(number)
    heading = own[number].partition("\n")[0]
    return "".join(texts[:at]) + heading, "".join(texts[at + 1 :])


@pytest.mark.parametrize(
    ("opened", "said"),
    [
        ("```rust\nfn main() {}\n", "the code block ```rust never ends"),
        ("> quoted\n\n~~~~\n```\n~~~\n", "the code block ~~~~ never ends"),
        ("<!-- a comment\n\n## Hidden\n", "the HTML <!-- never ends"),
        ("<script setup>\nlet a\n\n", "the HTML <script never ends"),
    ],
)
@pytest.mark.parametrize("layout", ["keep", "numbered"])
def test_what_never_ends_is_said_before_anything_is_bought(tmp_path: Path, opened: str, said: str, layout: str) -> None:
    page = SitePage("open", f"\ufeff# T\r\n\r\n## One\r\n\r\n{opened}", (("One", ()), ("Two", ())))
    place = workspace(tmp_path, page, page.text)
    book = place / "outlines" / "book.yaml"
    book.write_text(BOOK.replace("keep", layout), encoding="utf-8")
    with ScriptedServer() as server:
        for arguments in (("--dry-run",), ("--base-url", server.base_url)):
            ran = expand(place, "chapter", "p", *arguments)
            assert ran.code == 2
            line = (
                page.text[: page.text.index(opened.split("\n\n")[-1 if opened.startswith(">") else 0])].count("\n") + 1
            )
            assert f"docs/p.md:{line}: {said}, and all that follows would be part of it" in ran.err
        assert not server.requests


@pytest.mark.parametrize(
    "text",
    ["- a\n  ```\n  code\n\nBehind.\n", "::: package.module\n    options: {}\n", "<div>\n\n",
     "<!-- one --> <!-- two -->\n", "<SCRIPT>\n\na\n\n</SCRIPT>\n", "```\n```\n", "<!DOCTYPE html>\n"],
)  # fmt: skip
def test_what_ends_by_itself_is_no_fault(text: str) -> None:
    assert first_fault(f"# T\n\n{text}") is None
