"""One page in a workspace of its own, expanded by a scripted author and accepted: what changed, by the bytes alone.

Shared by the benchmarks that read other people's documents. The outline is made from the page's own headings.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from expand.api import expand_chapter
from expand.document.layout import is_placeholder, section_headings
from expand.document.page import Page
from expand.drafting.accept import accept_drafts
from expand.drafting.run_options import settings_of
from expand.markdown.blocks import blocks, rows
from expand.testing import ScriptedAuthor
from expand.workspace import Workspace

SETTINGS = '[author]\nmodel = "scripted"\n'
BOOK = "title: Pages\nlanguage: en\nlayout: keep\nallowance: {tokens: 100000000}\n"
MOST_SECTIONS = 6
MOST_TOPICS = 3


@dataclass(frozen=True)
class Part:
    """A section that an outline names: its lines in the page, and the titles below it. ``start`` is None for one that
    the page does not have.
    """

    title: str
    start: int | None
    end: int
    topics: tuple[str, ...]


def markdown_files(folders: Sequence[Path]) -> Iterator[Path]:
    """Every Markdown file below some folders, links and version control aside."""
    for folder in folders:
        for root, names, files in os.walk(folder):
            names[:] = sorted(name for name in names if name != ".git")
            paths = (Path(root, name) for name in sorted(files) if name.lower().endswith((".md", ".mdx", ".markdown")))
            yield from (path for path in paths if not path.is_symlink())


def parts_of(text: str) -> list[Part]:
    """The sections of a page at its shallowest headings, each with topics that it has and one that it has not, and one
    more section that it has not.
    """
    page = Page(text)
    every = [heading for heading in section_headings(page) if _sayable(heading.title)]
    level = min((heading.level for heading in every), default=2)
    found: list[Part] = []
    seen: set[str] = set()
    for heading in (heading for heading in every if heading.level == level):
        if heading.title in seen or len(found) == MOST_SECTIONS:
            continue
        seen.add(heading.title)
        later = (other.lead for other in page.headings if other.line > heading.line and other.level <= level)
        end = next(later, len(page.lines))
        below = [other.title for other in every if heading.line < other.line < end and other.level == level + 1]
        topics = tuple(dict.fromkeys(below[:MOST_TOPICS]))
        found.append(Part(heading.title, heading.line, end, (*topics, "A worked example") if topics else ()))
    return [*found, Part("Questions of the readers", None, 0, ("How to begin",))]


def _sayable(title: str) -> bool:
    return bool(title.strip()) and len(title) <= 200 and not any(ord(character) < 32 for character in title)


def workspace_for(folder: Path, text: bytes, parts: Sequence[Part], name: str = "page.md") -> Workspace:
    """A workspace with the page as the source of chapter ``p``."""
    outline = {
        "id": "p",
        "title": "Page",
        "source": f"docs/{name}",
        "sections": [
            {"title": part.title, "lines": 12, **({"topics": list(part.topics)} if part.topics else {})}
            for part in parts
        ],
    }
    files = {
        "expand.toml": SETTINGS,
        "outlines/book.yaml": BOOK,
        "outlines/p.yaml": json.dumps(outline, ensure_ascii=False),
    }
    for path, content in {**{n: t.encode() for n, t in files.items()}, f"docs/{name}": text}.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return Workspace.open(folder)


def changes_outside(text: bytes, number: int, parts: Sequence[Part], *, name: str = "page.md") -> str:
    """Expand a page and accept one of its sections, counted from 1: what changed but that section's body, "" for
    nothing. Raises ``InputError`` for a page that is refused before anything is bought.
    """
    with tempfile.TemporaryDirectory() as folder:
        workspace = workspace_for(Path(folder), text, parts, name)
        author = ScriptedAuthor()
        result = asyncio.run(expand_chapter(workspace, "p", author=author, sections=frozenset({number})))
        source = workspace.root / "docs" / name
        if source.read_bytes() != text:
            return "the source changed before it was accepted"
        result.raise_for_status()
        accept_drafts(workspace, settings_of(workspace), ["p"], sections=[number], force=True)
        return difference(text.decode(), source.read_bytes().decode(), parts[number - 1])


def difference(before: str, after: str, part: Part) -> str:
    """What changed but one section's body: bytes before or behind it, or a line in it that is no placeholder."""
    lines = rows(before)
    if after == before:
        return "nothing was added"
    if part.start is None:
        head = tail = ""
    else:
        head, tail = "".join(lines[: part.start + 1]).rstrip("\r\n"), "".join(lines[part.end :])
    if not after.startswith(head):
        return "text before the section"
    if not after.endswith(tail):
        return "text behind the section"
    gone = {row.strip() for block in blocks(before) if is_placeholder(block) for row in rows(block.text)}
    left = iter(row.rstrip("\r\n") for row in rows(after))
    for row in lines:
        if row.strip() and row.strip() not in gone and row.rstrip("\r\n") not in left:
            return f"the line {row.strip()[:60]!r} is gone or elsewhere"
    own = (block.text for block in blocks(before) if not is_placeholder(block))
    every = (block.text for block in blocks(after))
    lost = next((text for text in own if text not in every), "")
    return f"the block {lost[:60]!r} is no block any more" if lost else ""
