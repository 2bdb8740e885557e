"""Finds the chapters of a docs tree, their order, titles and language, and which of them are finished or stubs.

Nothing here writes, and no document raises an error: one that cannot be read is known by its name.
"""

import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from expand.document.layout import is_placeholder
from expand.document.page import Page
from expand.document.site import (
    MARKDOWN,
    PLAIN,
    Configuration,
    GeneratorName,
    PageIndex,
    Site,
    SummaryEntry,
    site_at,
)
from expand.errors import InputError
from expand.importers.proposal import ProposedSection, read_headings, with_ids
from expand.importers.text_patterns import title_of_file
from expand.markdown import blocks, lines, matching
from expand.markdown.languages import detected
from expand.outline.reading import is_language, source_mistake
from expand.workspace import read_text

PageKind = Literal["chapter", "index", "changelog", "reference"]
TARGETS: dict[PageKind, int] = {"chapter": 600, "index": 60, "changelog": 60, "reference": 200}
"""Lines that a page of a kind gets unless it has more."""
WORDS_A_PAGE = 50
WORDS_A_HEADING = 25
"""A page with fewer words, or fewer for each of its headings, is a stub; two Chinese characters count as a word. Of the
finished pages of ten public trees one in twenty has fewer; three stubs of a user had 7 to 13 a heading, and much code.
"""

_INCLUDE = re.compile(
    r"""(?x)\s*(?: -+8<-+ | :::[ \t]*[\w.-]+[ \t]*(?:\n[ \t]+:|\n?\Z|\n[ \t]+options:) | \{\{\#\w*include\b
    | \{%-?[ ]include | [`~]{3,}\{(?:literal)?include\} )"""
)
"""Text from elsewhere: snippets of MkDocs, its ``::: module`` directives, mdBook's, Jinja's and MyST's includes."""
_LINK_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d+\.)[ \t]+\[[^\]]*\]\([^)]*\)[ \t]*")
LEAST_LINKS = 3
"""A page of so many items that are links, and of more such than other lines, is a list of links."""
_KINDS: tuple[tuple[PageKind, re.Pattern[str]], ...] = (
    (
        "changelog",
        re.compile(
            r"(?i)(?:^|/)(?:changelog|changes|history|news|release[_-]?notes|whats?[_-]?new|[\d.]+[_-]announcement)\.\w+$"
        ),
    ),
    ("reference", re.compile(r"(?i)(?:^|/)(?:api|apis|ref|references?|glossary|faq)(?:/|\.\w+$)")),
    ("index", re.compile(r"(?i)(?:^|/)(?:index|readme|home|_?index)\.\w+$")),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PageState:
    """A page: ``lines`` are those that it has, ``target`` those that fit its kind."""

    kind: PageKind = "chapter"
    lines: int = 0
    finished: bool = False

    @property
    def target(self) -> int:
        """The lines to plan for."""
        return max(1, self.lines) if self.finished else max(TARGETS[self.kind], self.lines)


def page_state(text: str, file: str) -> PageState:
    """The state of a document by its text and its path.

    A stub has headings with little text, or a placeholder. What is made of components, includes or HTML alone has no
    text to miss; neither has what is not there, a page whose headings each have an include or a directive that
    makes the text, nor a list of links."""
    kind: PageKind = next((kind for kind, pattern in _KINDS if pattern.search(file)), "chapter")
    page = Page(text)
    words, placeholders, included, other = 0, 0, 0, False
    rows: list[str] = []
    for span in page.spans:
        what = span.block.kind if span.block else span.kind
        if span.block is not None and is_placeholder(span.block):
            placeholders += 1
        elif what in ("paragraph", "fence") and _INCLUDE.match(span.text):
            included += 1
        elif what not in ("heading", "fence", "code", "html", "mark", "front-matter", "blank"):
            words += matching.sizes([span.text])[0][0] + matching.cjk_letters(span.text) // 2
            rows += [row for row in span.text.splitlines() if row.strip()]
        other = other or what in ("container", "html", "fence")
    links = sum(_LINK_ITEM.fullmatch(row) is not None for row in rows)
    made = other and not page.headings and words < WORDS_A_PAGE
    enough = words >= max(WORDS_A_PAGE, WORDS_A_HEADING * len(page.headings))
    made = made or (included > 0 and included >= len(page.headings) and not placeholders)
    made = made or LEAST_LINKS <= links > len(rows) - links
    finished = kind == "changelog" or made or (enough and not placeholders)
    # The target of a finished page is what it has, as the status report counts it; a stub's is what is to be written.
    return PageState(kind=kind, lines=lines.count(text) if finished else lines.effective(text), finished=finished)


# --- the tree -----------------------------------------------------------------------------------------------

MOST_DOCUMENTS = 5_000
"""A folder with more documents is cut off here: it is hardly a book."""
SITE_DEPTH = 2
"""How many folders below the given one a site is looked for."""
_FOLDERS = ("docs", "doc", "chapters", "src", "content", "book", "manuscript")
_NO_CHAPTERS = re.compile(
    r"(?i)^(?:licen[cs]e|contributing|code_of_conduct|security|authors|maintainers|todo|summary|claude|agents)\b"
)
_NO_DOCUMENTS = frozenset({"node_modules", "__pycache__", "venv", "site-packages"})
_NO_SITES = _NO_DOCUMENTS | {"tests", "test", "__tests__", "fixtures", "examples", "template", "templates", "vendor"}
_LANGUAGES = (
    "ar|bg|bn|ca|cs|da|de|el|en|es|et|fa|fi|fr|he|hi|hr|hu|id|it|ja|ko|lt|lv|ms|nb|nl|no|pl|pt|ro|ru|sk|sl|sr|sv|th|tr|"
    "uk|ur|vi|zh"
)
_LOCALE = re.compile(rf"(?:{_LANGUAGES})(?:[-_][A-Za-z]{{2,4}})?")
_LOCALE_ENDING = re.compile(rf"(?P<name>.+)[._-](?P<locale>(?:{_LANGUAGES})(?:[-_][A-Za-z]{{2,4}})?)\.\w+")
_FRONT_ID = re.compile(r"""(?m)^id:[ \t]*["']?([^"'\r\n]+?)["']?[ \t]*\r?$""")
_POSITION = re.compile(r"(?m)^[ \t]*(?:sidebar_position|nav_order|weight|order):[ \t]*(\d+(?:\.\d+)?)")
_FOLDER_POSITION = re.compile(r"(?m)^\s*\"?position\"?\s*:\s*([\d.]+)")
_ANOTHER_SCRIPT = re.compile(r"(?i)-(?:[a-z]{4}|tw|hk|mo|br)\b")
HEAD = 4_000
"""Characters of a document in which its front matter is read."""
PROSE_OF_A_PAGE, MOST_PROSE = 5_000, 200_000
"""Characters of prose by which the language is told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeChapter:
    """A chapter: ``source`` is relative to the root of the tree."""

    id: str
    title: str
    source: str
    sections: tuple[ProposedSection, ...]
    exists: bool
    state: PageState = field(default_factory=PageState)


@dataclass(frozen=True, kw_only=True, slots=True)
class DocsTree:
    """The tree in a folder: ``documents`` is the folder of its documents from there, ``listing`` the file that lists
    the chapters, if there is one. ``generator`` builds it.

    ``translations`` counts the documents of locales that say the same in another language, ``unsupported`` those that
    are reStructuredText, ``left_out`` those above ``MOST_DOCUMENTS``; none of them are chapters. ``others`` are
    further sites below the folder."""

    site: Site
    title: str
    language: str
    documents: str = "."
    chapters: tuple[TreeChapter, ...] = ()
    listing: str | None = None
    translations: Mapping[str, int] = field(default_factory=dict)
    unsupported: int = 0
    left_out: int = 0
    others: tuple[str, ...] = ()

    @property
    def kind(self) -> GeneratorName | Literal["empty"]:
        """What builds it; "empty" where there are neither documents nor a site."""
        return "empty" if self.site.generator is PLAIN and not self.chapters else self.site.generator.name


def find_tree(root: Path, *, language: str | None = None, site: Site | None = None) -> DocsTree:
    """The docs tree at ``root``, that of ``site`` if it is given; of several translations the one in ``language``.

    Raises ``InputError`` for a configuration that cannot be read."""
    site, others = (site, ()) if site is not None else _site(root)
    stated = site.configuration() if site.generator is not PLAIN else Configuration(_plain_folder(root))
    if _inside(root, stated.folder) is None:
        raise InputError(
            f"{os.path.normpath(stated.folder)} is outside of {root}", remedy="keep the documents in the folder of the "
            "workspace, or run `expand init` in a folder that has both"
        )  # fmt: skip
    every, unsupported = _documents(stated.folder)
    files, translations = _without_translations(every, language or stated.language)
    entries = _ordered(site, stated, files[:MOST_DOCUMENTS])
    chapters: list[TreeChapter] = []
    prose = ""
    for chapter, entry in with_ids(entries):
        path = Path(os.path.normpath(stated.folder / (entry.file or f"{chapter}.md")))
        source = _inside(root, path)
        if source is None or source_mistake(source):
            continue
        text = text_of(path)
        if len(prose) < MOST_PROSE:
            prose += matching.prose(text)[:PROSE_OF_A_PAGE]
        proposal = read_headings(text, file=source, chapter=chapter)
        chapters.append(
            TreeChapter(
                id=chapter,
                title=entry.title or proposal.title or title_of_file(source),
                source=source,
                sections=proposal.sections,
                exists=path.is_file(),
                state=page_state(text, entry.file or source),
            )
        )
    folder = root.resolve()
    named = folder.parent if folder.name in ("docs", "doc", "src", "content") else folder
    return DocsTree(
        site=site,
        title=stated.title or title_of_file(named.name or "Book"),
        language=_language(stated.language, prose),
        documents=_inside(root, stated.folder) or ".",
        chapters=tuple(chapters),
        listing=_inside(root, stated.listing) if stated.listing else None,
        translations=translations,
        unsupported=unsupported,
        left_out=max(0, len(files) - MOST_DOCUMENTS),
        others=tuple(sorted(filter(None, (_inside(root, other.folder) for other in others)))),
    )


def _site(root: Path) -> tuple[Site, Sequence[Site]]:
    """The site in a folder, or the largest of those that are the fewest folders below it; and the others."""

    def size(site: Site) -> int:
        """How many documents a site has, 0 for one that is not to be used."""
        try:
            folder = site.configuration().folder
        except InputError:
            return 0
        return len(_documents(folder)[0]) if _inside(root, folder) is not None else 0

    level = [root]
    for _ in range(SITE_DEPTH + 1):
        found = [site for site in map(site_at, level) if site is not None]
        if found:
            found.sort(key=lambda site: (-size(site), site.folder))
            return found[0], found[1:]
        level = [folder for above in level for folder in _folders(above) if folder.name not in _NO_SITES]
    return Site(PLAIN, root), ()


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".") and not p.is_symlink())
    except OSError:
        return []


def _plain_folder(root: Path) -> Path:
    """The folder that has most of the documents of a tree without a site generator."""
    every = [file for file in _documents(root)[0] if not _NO_CHAPTERS.match(PurePosixPath(file).name)]
    for name in _FOLDERS:
        if 2 * sum(file.startswith(f"{name}/") for file in every) >= max(1, len(every)):
            return root / name
    return root


def has_documents(folder: Path) -> bool:
    """Whether there is any Markdown or reStructuredText below a folder."""
    return any(_documents(folder))


def _documents(folder: Path) -> tuple[list[str], int]:
    """The Markdown files below a folder, sorted by their paths, and how many are reST."""
    found: list[str] = []
    unsupported = 0
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "_")) and name not in _NO_DOCUMENTS]
        for name in files:
            if name.lower().endswith(MARKDOWN) and not name.startswith((".", "_")):
                found.append((Path(here) / name).relative_to(folder).as_posix())
            unsupported += name.lower().endswith(".rst")
    return sorted(found), unsupported


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Numbers by their value, and a folder's index before what it indexes."""
    if re.match(r"(?i)(?:index|readme|intro(?:duction)?)\.", name):
        return [(-1, 0, name.casefold())]
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.casefold()) for part in parts]


def _without_translations(files: Sequence[str], language: str) -> tuple[list[str], Mapping[str, int]]:
    """The files in one language, and how many there are in each of the others.

    A folder that is named as a locale holds a translation if a quarter of its files stand in the main language too: in
    the folder of ``language``, else outside of such folders, else in that of English or the largest. A file that is
    named as another one, with a locale behind the name, is a translation of it."""
    groups: dict[str, set[str]] = {}
    for file in files:
        first, _, rest = file.partition("/")
        if rest and _LOCALE.fullmatch(first):
            groups.setdefault(first, set()).add(rest)
    outside = {file for file in files if file.partition("/")[0] not in groups}

    def is_copy(rest: set[str], of: set[str]) -> bool:
        return 4 * len(rest & of) >= len(rest)

    main = next((one for one in (language, language[:2]) if one in groups), "")
    if not main and groups and not any(is_copy(rest, outside) for rest in groups.values()):
        main = "en" if "en" in groups else max(groups, key=lambda one: len(groups[one]))
    here = groups.get(main, outside)
    copies = Counter({one: len(rest) for one, rest in groups.items() if one != main and is_copy(rest, here)})
    names, kept = set(files), []
    for file in files:
        ending = _LOCALE_ENDING.fullmatch(file)
        if ending and f"{ending['name']}{PurePosixPath(file).suffix}" in names:
            copies[ending["locale"]] += 1
        elif file.partition("/")[0] not in copies:
            kept.append(file)
    return kept, copies


def _ordered(site: Site, stated: Configuration, files: Sequence[str]) -> list[SummaryEntry]:
    """The documents in the order of the listing, then those that it does not name. An mdBook has only the named ones;
    what a nav or a summary names need not exist."""
    generator = site.generator
    index = PageIndex(files)
    heads = {}
    for file in files:
        rows = blocks.rows(text_of(stated.folder / file)[:HEAD])
        heads[file] = head = "".join(rows[: blocks.front_matter_lines(rows)])
        if name := _FRONT_ID.search(head):
            index.add((PurePosixPath(file).parent / name[1]).as_posix(), file)
    found: dict[str, SummaryEntry] = {}
    for entry in stated.entries:
        if generator.complete or (entry.file and (stated.folder / entry.file).is_file()):
            found.setdefault(entry.file or f"\0{entry.title}", entry)
        elif (known := index.find(entry.file or "")) is not None:
            found.setdefault(known, SummaryEntry("", known))
    if generator.name == "mdBook" and found:
        return list(found.values())
    rest = [file for file in files if file not in found and (generator is not PLAIN or not _NO_CHAPTERS.match(file))]
    positions = {file: float(own[1]) if (own := _POSITION.search(heads[file])) else math.inf for file in rest}
    folders = {}
    for folder in {folder for file in rest for folder in PurePosixPath(file).parents}:
        # What Docusaurus' file of a folder says of its place; the last one without it.
        said = (stated.folder / folder / f"_category_.{ending}" for ending in ("json", "yml", "yaml"))
        own = _FOLDER_POSITION.search(next((text_of(path) for path in said if path.is_file()), ""))
        folders[folder] = float(own[1]) if own else math.inf

    def place(file: str) -> list[tuple[float, list[tuple[int, int, str]]]]:
        path = PurePosixPath(file)
        above = [(folders[folder], _natural(folder.name)) for folder in (*reversed(path.parents),)[1:]]
        return [*above, (positions[file], _natural(path.name))]

    return [*found.values(), *(SummaryEntry("", file) for file in sorted(rest, key=place))]


def _language(stated: str, prose: str) -> str:
    """The language that the documents are in: as the configuration says unless they tell another one. A region is left
    out where it changes no word: en-US is en, and zh-TW stays."""
    seen = detected(prose)
    main = stated.partition("-")[0].lower()
    if not is_language(stated) or seen not in (None, main):
        return seen or "en"
    return stated if _ANOTHER_SCRIPT.search(stated) else main


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
