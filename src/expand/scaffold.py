"""``expand init``: makes a workspace of settings, the book, schemas for editors, and a first outline. The chapters are
those found in a docs tree, with their order, titles and language; some are finished, others stubs.

No file that exists is changed, except the generated schemas, which are renewed. No document raises an error: one that
cannot be read is known by its name.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from expand.document.layout import is_placeholder
from expand.document.page import Page
from expand.document.site import (
    MARKDOWN,
    PLAIN,
    Configuration,
    GeneratorName,
    Site,
    SummaryEntry,
    site_at,
    sites_above,
)
from expand.errors import InputError, Place
from expand.importers import outline_yaml
from expand.importers.import_run import SCHEMA_FILE
from expand.importers.lengths import Length
from expand.importers.outline_yaml import OutlineLanguage
from expand.importers.proposal import Proposal, ProposedSection, all_free, read_headings, settled, with_ids
from expand.importers.text_patterns import title_of_file
from expand.markdown import lines, matching
from expand.markdown.languages import detected
from expand.outline.reading import BOOK, OUTLINE, is_language, source_mistake
from expand.paths import DATA
from expand.settings import SETTINGS
from expand.workspace import MARKER, STATE, Workspace, read_text, write_atomically

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


class PageState(NamedTuple):
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
    text to miss; neither has what is not there. An include, or a directive that makes text, counts as a page's."""
    kind: PageKind = next((kind for kind, pattern in _KINDS if pattern.search(file)), "chapter")
    page = Page(text)
    words, is_stub, other = 0, False, False
    for span in page.spans:
        what = span.block.kind if span.block else span.kind
        if span.block is not None and is_placeholder(span.block):
            is_stub = True
        elif what in ("paragraph", "fence") and _INCLUDE.match(span.text):
            words += WORDS_A_PAGE  # of what it brings
        elif what not in ("heading", "fence", "code", "html", "mark", "front-matter", "blank"):
            words += matching.size(span.text)[0] + matching.cjk_letters(span.text) // 2
        other = other or what in ("html", "fence") or (what == "container" and span.text.lstrip().startswith("<"))
    finished = (
        kind == "changelog"
        or (other and not page.headings and words < WORDS_A_PAGE)
        or (not is_stub and words >= max(WORDS_A_PAGE, WORDS_A_HEADING * len(page.headings)))
    )
    # The target of a finished page is what it has, as the status report counts it; a stub's is what is to be written.
    return PageState(kind, lines.count(text) if finished else lines.effective(text), finished)


# The docs tree.

MOST_DOCUMENTS = 5_000
"""A folder with more documents is cut off here: it is hardly a book."""
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
_ANOTHER_SCRIPT = re.compile(r"(?i)-(?:[a-z]{4}|tw|hk|mo|br)\b")
PROSE_OF_A_PAGE, MOST_PROSE = 5_000, 200_000
"""Characters of prose by which the language is told."""


class TreeChapter(NamedTuple):
    """A chapter: ``source`` is relative to the root of the tree."""

    id: str
    title: str
    source: str
    sections: tuple[ProposedSection, ...] = ()
    exists: bool = False
    state: PageState = PageState()


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
        called = entry.title or proposal.title or title_of_file(source)
        state = page_state(text, entry.file or source)
        chapters.append(TreeChapter(chapter, called, source, proposal.sections, path.is_file(), state))
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


def _size(root: Path, site: Site) -> int:
    """How many documents a site has, 0 for one that is not to be used."""
    try:
        folder = site.configuration().folder
    except InputError:
        return 0
    return len(_documents(folder)[0]) if _inside(root, folder) is not None else 0


def _site(root: Path) -> tuple[Site, Sequence[Site]]:
    """The largest of the sites that are the fewest folders below a folder, two at most, and the others."""
    level = [root]
    for _ in range(3):
        if found := [site for site in map(site_at, level) if site is not None]:
            first, *others = sorted(found, key=lambda site: -_size(root, site))
            return first, others
        below = (folder for above in level for folder in above.glob("[!.]*/") if folder.name not in _NO_SITES)
        level = sorted(folder for folder in below if not folder.is_symlink())
    return Site(PLAIN, root), ()


def _plain_folder(root: Path) -> Path:
    """The folder that has most of the documents of a tree without a site generator."""
    every = [file for file in _documents(root)[0] if not _NO_CHAPTERS.match(PurePosixPath(file).name)]
    counts = {name: sum(file.startswith(f"{name}/") for file in every) for name in _FOLDERS}
    return next((root / name for name in _FOLDERS if 2 * counts[name] >= max(1, len(every))), root)


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
    found: dict[str, SummaryEntry] = {}
    for entry in stated.entries:
        if generator.complete or (entry.file and (stated.folder / entry.file).is_file()):
            found.setdefault(entry.file or f"\0{entry.title}", entry)
    if generator.name == "mdBook" and found:
        return list(found.values())
    rest = [file for file in files if file not in found and (generator is not PLAIN or not _NO_CHAPTERS.match(file))]
    rest.sort(key=lambda file: [*map(_natural, PurePosixPath(file).parts)])
    return [*found.values(), *(SummaryEntry("", file) for file in rest)]


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


# The workspace.

FIRST_ALLOWANCE = 200_000
"""Tokens: enough for a few chapters, little enough to learn with."""
MOST_PARENTS = 4
"""Folders, from the one that is named upwards, in which the configuration of its site is looked for."""
BOOK_SCHEMA_FILE = ".schema/book.json"
_FIRST_PAGES = frozenset({"preface", "foreword", "introduction", "intro", "title-page"})


@dataclass(frozen=True, kw_only=True, slots=True)
class NewWorkspace:
    """What was made: ``written``, ``renewed`` and ``kept`` are paths from the workspace's root.

    ``first`` is the chapter to start with, "" for none, ``further`` a document to import more outlines from."""

    workspace: Workspace
    tree: DocsTree
    written: tuple[str, ...]
    renewed: tuple[str, ...]
    kept: tuple[str, ...]
    first: str
    further: str | None


def create_workspace(root: Path, *, language: str | None = None, every: bool = False) -> NewWorkspace:
    """Makes ``root`` a workspace; where it is a folder that a site generator builds, the folder above it, as
    ``workspace_folder`` says. Raises ``InputError``.

    ``every`` writes an outline for each chapter, not just for the first."""
    if root.exists() and not root.is_dir():
        raise InputError("this is a file", remedy="name a folder", place=Place(path=root))
    root, site = workspace_folder(root)
    tree = find_tree(root, language=language, site=site)
    workspace = Workspace(root=root.resolve())
    tree = replace(tree, chapters=_under_known_ids(workspace, tree.chapters))
    first = _first(tree.chapters, workspace.chapter_ids())
    outlines = tree.chapters if every else [first] if first else ()
    files = _common_files(tree, language or tree.language)
    files |= {f"outlines/{one.id}.yaml": _outline(one) for one in outlines}
    done: dict[str, list[str]] = {"written": [], "renewed": [], "kept": []}
    for name, text in files.items():
        own = name.startswith(f"{STATE}/")
        path = workspace.state_path(*name.split("/")[1:]) if own else workspace.inside(name)
        stale = name.endswith(".json") and path.is_file() and text_of(path) != text  # a schema, which is generated
        what = "written" if not path.exists() else "renewed" if stale else "kept"
        if what != "kept":
            write_atomically(path, text, private=own)
        done[what].append(name)
    return NewWorkspace(
        workspace=workspace,
        tree=tree,
        first=first.id if first else "",
        further=_further(tree, workspace.chapter_ids()),
        **{what: tuple(names) for what, names in done.items()},
    )


def workspace_folder(folder: Path) -> tuple[Path, Site | None]:
    """Where the workspace of a folder's documents goes, and their site if it is not in that place: next to what a site
    generator builds, so that it does not build the workspace's drafts.

    A folder above is taken only if it belongs to the same site or the same repository."""
    top = folder.resolve()
    if (top / MARKER).exists() or not any(_documents(top)):
        return folder, None
    place, site = next(sites_above(top), (top, None))
    if site is None or place not in (top, *top.parents)[:MOST_PARENTS]:
        return folder, None
    documents = Path(os.path.normpath(site.configuration().folder))
    repository = next((above for above in (top, *top.parents) if (above / ".git").exists()), None)
    if documents == place and repository is not None and place != repository:
        place = place.parent
    inside = top.is_relative_to(documents) and not place.is_relative_to(documents)
    return (place, site) if inside and (repository is None or place.is_relative_to(repository)) else (folder, None)


def _under_known_ids(workspace: Workspace, chapters: tuple[TreeChapter, ...]) -> tuple[TreeChapter, ...]:
    """The chapters with the ids that an existing book has for their documents, no two the same."""
    try:
        known = {chapter.source: chapter.id for chapter in workspace.book().chapters}
    except InputError:
        return chapters
    free = iter(all_free((one.id for one in chapters if one.source not in known), known.values()))
    return tuple(one._replace(id=known[one.source] if one.source in known else next(free)) for one in chapters)


def _further(tree: DocsTree, outlined: Sequence[str]) -> str | None:
    """A document that more outlines can be imported from: the listing, else that of the chapter to go on with."""
    following = _first([chapter for chapter in tree.chapters if chapter.id not in outlined and chapter.exists], ())
    is_listed = following is not None and tree.listing is not None and tree.listing.endswith(".md")
    return tree.listing if is_listed else following and following.source


def _first(chapters: Sequence[TreeChapter], outlined: Sequence[str]) -> TreeChapter | None:
    """The chapter to start with: one that is ``outlined``, else the first stub that is more than a title page, else the
    first that is."""
    real = [c for c in chapters if c.state.kind == "chapter" and Path(c.source).stem.lower() not in _FIRST_PAGES]
    stubs = [c for c in real if not c.state.finished]
    some = [c for c in chapters if c.id in outlined] or stubs or real or chapters
    return next((c for c in some if len(c.sections) > 1), next(iter(some), None))


def _common_files(tree: DocsTree, language: str) -> dict[str, str]:
    book = outline_yaml.new_book(
        title=" ".join(tree.title.split()),
        language=language,
        tokens=FIRST_ALLOWANCE,
        chapters=[
            {"id": one.id, "title": one.title, "source": one.source, "target_lines": one.state.target}
            | ({"finished": True} if one.state.finished else {})
            for one in tree.chapters
        ],
        schema=BOOK_SCHEMA_FILE,
    )
    return {
        MARKER: (DATA / "new_workspace.toml").read_text(encoding="utf-8"),
        f"outlines/{SCHEMA_FILE}": _json(OUTLINE.schema),
        f"outlines/{BOOK_SCHEMA_FILE}": _json(BOOK.schema),
        "outlines/.schema/settings.json": _json(SETTINGS.schema),
        "outlines/book.yaml": book,
        ".expand/.gitignore": "*\n",  # the tool's own files are not for version control
    }


def _outline(chapter: TreeChapter) -> str:
    sections, target = chapter.sections, chapter.state.target
    if chapter.state.finished:
        sections = tuple(replace(s, length=Length(s.present or target, "lines")) for s in sections)
    return outline_yaml.new_outline(
        settled(Proposal(id=chapter.id, title=chapter.title, sections=sections), lines=target),
        source=chapter.source,
        language=OutlineLanguage(code="en", several=False),
        schema=SCHEMA_FILE,
    )


def _json(schema: object) -> str:
    return json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
