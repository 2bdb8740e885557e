"""Finds the chapters of a docs tree, their order and their titles.

A tree is mdBook's (``book.toml``, ``SUMMARY.md``), MkDocs' (``mkdocs.yml`` with or without ``nav``), or plain Markdown
files. Nothing here writes, and no document raises an error: one that cannot be read is known by its name.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import unquote

import yaml

from expand.errors import InputError, Place
from expand.importers.documents import SummaryEntry, read_headings, read_summary, with_ids
from expand.importers.text_patterns import title_of_file
from expand.markdown import matching
from expand.outline.schema import is_language, source_mistake
from expand.paths import require_inside
from expand.schema.source_text import MAX_BYTES
from expand.workspace import read_text

TreeKind = Literal["mdBook", "MkDocs", "Markdown", "empty"]
MOST_DOCUMENTS = 500
"""A plain folder with more documents is cut off here: it is hardly a book."""
_FOLDERS = ("docs", "doc", "chapters", "src", "content", "book", "manuscript", ".")
_NO_CHAPTERS = re.compile(
    r"(?i)^(?:readme|changelog|changes|history|licen[cs]e|contributing|code_of_conduct|security|"
    r"authors|maintainers|todo|summary|claude|agents|news|release_?notes)\b"
)
_SKIPPED = frozenset(
    {"node_modules", "site", "target", "build", "dist", "drafts", "outlines", "prompts", "__pycache__"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeChapter:
    """A chapter: ``source`` is relative to the root of the tree, ``sections`` how many it has."""

    id: str
    title: str
    source: str
    sections: int
    exists: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class DocsTree:
    """The tree in a folder. ``listing`` is the file that lists the chapters, if there is one."""

    kind: TreeKind
    title: str
    language: str
    chapters: tuple[TreeChapter, ...] = ()
    listing: str | None = None


def find_tree(root: Path) -> DocsTree:
    """The docs tree at ``root``. Raises ``InputError`` for a ``book.toml`` or ``mkdocs.yml`` that cannot be read."""
    if any((root / name).is_file() for name in ("book.toml", "SUMMARY.md", "src/SUMMARY.md")):
        return _mdbook(root)
    for name in ("mkdocs.yml", "mkdocs.yaml"):
        if (root / name).is_file():
            return _mkdocs(root, root / name)
    return _plain(root)


def _mdbook(root: Path) -> DocsTree:
    table = _toml(root / "book.toml") if (root / "book.toml").is_file() else {}
    book = table.get("book")
    book = book if isinstance(book, dict) else {}
    folder = _folder(root, book.get("src") or "src")
    summary = folder / "SUMMARY.md" if (folder / "SUMMARY.md").is_file() else root / "SUMMARY.md"
    listing = _inside(root, summary) if summary.is_file() else None
    entries = read_summary(text_of(summary)) if listing is not None else ()
    title, language = book.get("title"), book.get("language")
    return _tree(root, "mdBook", summary.parent, entries, title=title, language=language, listing=listing)


def _mkdocs(root: Path, path: Path) -> DocsTree:
    table = _mkdocs_settings(path)
    folder = _folder(root, table.get("docs_dir") or "docs")
    nav = table.get("nav")
    entries = tuple(_nav(nav)) if nav else tuple(_documents(folder, folder))
    theme = table.get("theme")
    language = theme.get("language") if isinstance(theme, dict) else None
    listing = _inside(root, path) if nav else None
    return _tree(root, "MkDocs", folder, entries, title=table.get("site_name"), language=language, listing=listing)


def _plain(root: Path) -> DocsTree:
    for name in _FOLDERS:
        folder = root / name
        entries = tuple(_documents(folder, folder, deep=name != ".")) if _inside(root, folder) is not None else ()
        if entries:
            return _tree(root, "Markdown", folder, entries)
    return _tree(root, "empty", root, ())


def _tree(
    root: Path,
    kind: TreeKind,
    folder: Path,
    entries: tuple[SummaryEntry, ...],
    *,
    title: object = None,
    language: object = None,
    listing: str | None = None,
) -> DocsTree:
    chapters = []
    prose = ""
    for chapter, entry in with_ids(entries):
        path = folder / (entry.file or f"{chapter}.md")
        source = _inside(root, path)
        if source is None or source_mistake(source):
            continue
        text = text_of(path)
        prose += matching.prose(text)[:20_000]
        proposal = read_headings(text, file=source, chapter=chapter)
        chapters.append(
            TreeChapter(
                id=chapter,
                title=entry.title or proposal.title or title_of_file(source),
                source=source,
                sections=len(proposal.sections),
                exists=path.is_file(),
            )
        )
    if not (isinstance(language, str) and is_language(language)):
        language = "zh" if matching.is_cjk_text(prose) else "en"
    return DocsTree(
        kind=kind,
        title=" ".join(str(title or "").split()) or title_of_file(root.resolve().name or "Book"),
        language=language,
        chapters=tuple(chapters),
        listing=listing,
    )


def _documents(folder: Path, top: Path, *, deep: bool = True) -> Iterator[SummaryEntry]:
    """The Markdown files of a folder, in the order in which people number them."""
    found: list[str] = []
    for here, folders, files in os.walk(folder):
        keep = [f for f in folders if not f.startswith((".", "_")) and f not in _SKIPPED]
        folders[:] = sorted(keep) if deep else []
        for name in files:
            stem = name.rpartition(".")[0]
            if not name.lower().endswith((".md", ".markdown")) or name.startswith((".", "_")):
                continue
            if not _NO_CHAPTERS.match(stem):
                found.append((Path(here) / name).relative_to(top).as_posix())
        if len(found) > MOST_DOCUMENTS:
            break
    for file in sorted(found, key=_natural)[:MOST_DOCUMENTS]:
        yield SummaryEntry(title="", file=file)


def _natural(file: str) -> list[tuple[int, int, str]]:
    """Numbers by their value, and a folder's index before what it indexes."""
    parts = re.split(r"(\d+)", re.sub(r"(?i)(^|/)(index|intro(?:duction)?)\.", r"\1\0.", file))
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.casefold()) for part in parts]


def _nav(nav: object) -> Iterator[SummaryEntry]:
    """The documents of a ``nav``: paths, titles with paths, and sections of them, each list and mapping once."""
    seen: set[int] = set()
    waiting: list[tuple[object, str]] = [(nav, "")]
    while waiting:
        item, title = waiting.pop()
        if isinstance(item, list | dict):
            if id(item) in seen:  # an alias, perhaps of what it is in
                continue
            seen.add(id(item))
            pairs = item.items() if isinstance(item, dict) else (("", value) for value in item)
            waiting += reversed([(value, str(key) if isinstance(value, str) else "") for key, value in pairs])
        elif isinstance(item, str):
            file = unquote(item.partition("#")[0]).strip()
            if "://" not in file and file.lower().endswith((".md", ".markdown")):
                yield SummaryEntry(title=" ".join(title.split()), file=file.removeprefix("./"))


_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _TextsOnly(_Loader):  # type: ignore[misc]
    """mkdocs.yml may hold tags of Python objects; they are passed over, never made. Numbers and dates stay texts, and
    mappings are not merged: a few that merge each other have more keys than there are atoms.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, object]] = {}


_TextsOnly.add_multi_constructor("", lambda loader, suffix, node: None)


def _mkdocs_settings(path: Path) -> Mapping[str, object]:
    try:
        table = yaml.load(_settings_text(path), _TextsOnly)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = Place(path=path, line=mark.line + 1, column=mark.column + 1) if mark else Place(path=path)
        raise InputError(
            f"this is no YAML: {getattr(error, 'problem', error)}", remedy="fix it", place=place
        ) from error
    except RecursionError as error:
        raise InputError("its values are nested too deep", remedy="fix it", place=Place(path=path)) from error
    return table if isinstance(table, dict) else {}


def _toml(path: Path) -> Mapping[str, object]:
    try:
        return tomllib.loads(_settings_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"this is no TOML: {error}", remedy="fix it", place=Place(path=path)) from error


def _settings_text(path: Path) -> str:
    """The text of a file of another tool. Raises ``InputError`` for one that a link leads out of the tree."""
    require_inside(path, path.parent)
    return read_text(path, most=MAX_BYTES)


def _folder(root: Path, name: object) -> Path:
    """The folder of the documents. Raises ``InputError`` where it is outside of the tree."""
    folder = root / str(name)
    if _inside(root, folder) is None:
        raise InputError(f"{folder} is outside of {root}", remedy="keep the documents in the folder of the workspace")
    return folder


def text_of(path: Path) -> str:
    """A document's text; "" for one that is not there or not UTF-8."""
    try:
        return read_text(path)
    except (OSError, InputError):
        return ""


def _inside(root: Path, path: Path) -> str | None:
    full = Path(os.path.normpath(path.absolute()))
    top = Path(os.path.normpath(root.absolute()))
    try:
        inside = full.is_relative_to(top) and full.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):  # links in a circle, a name that no file can have
        inside = False
    return full.relative_to(top).as_posix() if inside else None
