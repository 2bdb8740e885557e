"""Which site generator builds a folder of documents, what its files say of their order, and where links lead in it.

Configurations in JavaScript and Python are read as text, for the folder, the title and the language; nothing is run.
Their documents are taken in the order of their paths.
"""

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal, NamedTuple
from urllib.parse import unquote

import yaml

from expand.errors import InputError, Place
from expand.markdown import blocks
from expand.paths import packaged_table, read_file, require_inside
from expand.schema.input_file import MAX_BYTES

GeneratorName = Literal["mdBook", "MkDocs", "VitePress", "Docusaurus", "docsify", "Sphinx", "Markdown"]
MARKDOWN = (".md", ".mdx", ".markdown")
"""Endings of the documents that can be chapters."""

_ENTRY = re.compile(r"^(?P<indent>\s*)(?:[-*+]\s+)?\[(?P<title>(?:\\.|[^\]\\])*)\]\((?P<target>[^)]*)\)")
_TARGET = re.compile(r"^\s*(?:<([^>]*)>|(\S*))")
_ADDRESS = re.compile(r"(?i)[a-z][a-z0-9+.-]*:|//")
_STRING = re.compile(r"""(?P<quote>['"`])(?P<text>(?:\\.|(?!(?P=quote))[^\\\n])*)(?P=quote)""")
_SCRIPT_COMMENT = re.compile(r"(?<![:'\"`\w])//[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Generator:
    """How a site generator finds its pages.

    A folder with one of ``marks`` is its site. ``indexes`` are the names of a folder's own page. ``bare``: a link
    without an ending is one to a page; ``html``: one that ends in .html too; ``folders``: a page's address is a folder,
    so that other links start from there; ``rooted``: a link that begins with / starts from the documents' folder, or
    from one in ``served``. ``complete``: the listing names documents by their paths, written ones or not. ``exclude``
    is the setting that keeps files out of the site. ``footnotes`` is a pattern that its configuration has where pages
    show footnotes, "" where they always do."""

    name: GeneratorName
    marks: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ("index", "README")
    bare: bool = False
    html: bool = False
    folders: bool = False
    rooted: bool = False
    served: tuple[str, ...] = ()
    complete: bool = False
    exclude: str = ""
    footnotes: str = ""


def _scripts(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}.{ending}" for name in names for ending in ("ts", "js", "mts", "mjs", "cts", "cjs"))


def _generator(name: GeneratorName, table: Mapping[str, Any]) -> Generator:
    stated: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    marks = (*_scripts(*stated.pop("scripts", ())), *stated.pop("marks", ()))
    return Generator(name=name, marks=marks, **stated)


_TABLE = packaged_table("site_generators")
PLAIN = Generator(name="Markdown")
GENERATORS = tuple(_generator(name, table) for name, table in _TABLE["generators"].items())
_PROOFS: Mapping[str, str] = _TABLE["proofs"]
"""What a mark of a common name has to hold."""


class SummaryEntry(NamedTuple):
    """A document as a listing names it: ``file`` is relative to the listing's folder, None while it is unwritten."""

    title: str
    file: str | None


class Configuration(NamedTuple):
    """What a site's configuration says. ``folder`` is the documents', ``entries`` their order as far as it is stated,
    ``listing`` the file that states it."""

    folder: Path
    entries: tuple[SummaryEntry, ...] = ()
    title: str = ""
    language: str = ""
    listing: Path | None = None


class Site(NamedTuple):
    """A site: ``folder`` has its configuration."""

    generator: Generator
    folder: Path

    def configuration(self) -> Configuration:
        """What the configuration says. Raises ``InputError`` for one that cannot be read or leads out of its folder's
        parent."""
        read = _READERS.get(self.generator.name)
        return read(self.folder) if read else Configuration(self.folder)

    @property
    def shows_footnotes(self) -> bool:
        """Whether its pages show footnotes as such, and not the marks of them."""
        pattern, files = self.generator.footnotes, (self.folder / mark for mark in self.generator.marks)
        return not pattern or any(re.search(pattern, _text(file)) for file in files if file.is_file())


def site_at(folder: Path) -> Site | None:
    """The site whose configuration is in the folder."""
    for generator in GENERATORS:
        for mark in generator.marks:
            if (folder / mark).exists() and (mark not in _PROOFS or re.search(_PROOFS[mark], _text(folder / mark))):
                return Site(generator, folder)
    return None


def sites_above(folder: Path, root: Path | None = None) -> Iterator[tuple[Path, Site]]:
    """The sites that a folder may belong to, the nearest first, each with the folder that has it and the documents:
    their configurations are in a folder above, up to ``root``, or in one beside the documents that is named so."""
    for place in (folder, *folder.parents):
        if root is not None and not place.is_relative_to(root):
            break
        for candidate in (place, place / "website", place / "site"):
            found = site_at(candidate)
            if found is not None:
                yield place, found


def site_of(page: Path, root: Path) -> Site:
    """The site that a document below ``root`` belongs to; without one, plain Markdown in ``root``."""
    return next((site for _, site in sites_above(page.parent, root)), Site(PLAIN, root))


def documents_folder(site: Site) -> Path:
    """The folder of a site's documents; the site's own where its configuration cannot be read."""
    try:
        return site.configuration().folder
    except InputError:  # the generator says it too
        return site.folder


def files_of_link(site: Site, page: Path, target: str, *, docs: Path | None = None) -> tuple[Path, ...]:
    """The files that a link in ``page`` may mean, the likeliest first; the link is broken if none exists.

    Empty where no file can be told: an address, an anchor of the page itself, a role's target, a path from the root of
    a site whose address is not known. ``docs`` is the documents' folder, where the caller has read it."""
    generator = site.generator
    path = re.split(r"[?#]", target)[0].strip()
    if generator.name == "Sphinx":
        path = re.sub(r"^(?:project|path|doc):", "", path)
    is_label = generator.name == "Sphinx" and "." not in PurePosixPath(path).name  # one of another page looks the same
    rootless = path.startswith("/") and not generator.rooted
    if not path or is_label or rootless or _ADDRESS.match(path) or re.search(r"[{}<>$@]", path):
        return ()
    docs = docs or documents_folder(site)
    starts = [page.parent]
    if path.startswith("/"):
        # A locale is a folder of the documents that its addresses leave out, or that they begin with.
        above = [folder for folder in page.parents if folder.is_relative_to(docs)]
        starts = [*above, docs, *(docs / name for name in generator.served)]
    elif generator.name == "docsify":
        starts.append(docs)
    if generator.folders and not path.lower().endswith(MARKDOWN):
        starts.append(page.with_suffix(""))
        starts += [docs / name for name in generator.served]
    names = list(_files(generator, unquote(path).lstrip("/")))
    return tuple(dict.fromkeys(Path(os.path.normpath(start / name)) for start in starts for name in names))


def _files(generator: Generator, path: str) -> Iterator[str]:
    """The files that a path without query and fragment may stand for."""
    yield path or "."
    stem, ending = re.sub(r"\.html?$", "", path), PurePosixPath(path).suffix.lower()
    if ending in MARKDOWN:
        return
    if (generator.html and stem != path) or (generator.bare and stem == path and not path.endswith("/")):
        yield from (f"{stem}{one}" for one in MARKDOWN)
        if PurePosixPath(stem).name == "index":
            yield f"{stem.removesuffix('index')}README.md"
    if generator.bare or generator.folders:
        yield from (f"{stem.rstrip('/')}.md", f"{stem.rstrip('/')}.mdx")
        yield from (f"{path.rstrip('/') or '.'}/{name}{one}" for name in generator.indexes for one in MARKDOWN)


def read_summary(text: str, *, bare: bool = False) -> tuple[SummaryEntry, ...]:
    """The chapters that a list of links names in their order, each document once. ``bare``: links without an ending
    are documents too."""
    found: dict[str, SummaryEntry] = {}
    listed = (block.text for block in blocks.blocks(text) if block.kind in ("list", "paragraph"))
    for row in chain.from_iterable(map(blocks.rows, listed)):
        if entry := _entry(row, bare=bare):
            found.setdefault(entry.file or f"\0{entry.title}", entry)
    return tuple(found.values())


def _entry(line: str, *, bare: bool) -> SummaryEntry | None:
    match = _ENTRY.match(line)
    if match is None:
        return None
    target = unquote("".join(part or "" for part in _TARGET.findall(match["target"])[0]))
    if _ADDRESS.match(target) or target.startswith("#") or (target.startswith("/") and not bare):
        return None
    path = re.split(r"[?#]" if bare else "#", target)[0]
    title = re.sub(r"\\(.)", r"\1", match["title"]).strip()
    if not path:
        return SummaryEntry(title, None) if title else None
    file = PurePosixPath(path).as_posix()
    ending = PurePosixPath(file).suffix.lower()
    return SummaryEntry(title, file) if ending in MARKDOWN or (bare and not ending) else None


def _text(path: Path) -> str:
    """A file of a generator as text; "" for one that cannot be read."""
    try:
        return read_file(path, MAX_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return ""


def _settings(path: Path) -> str:
    """The text of a configuration in its folder. Raises ``InputError``."""
    require_inside(path, path.parent)
    try:
        return read_file(path, MAX_BYTES)[:MAX_BYTES].decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"it cannot be read: {error}", remedy="save it as UTF-8", place=Place(path=path)) from error


def _mdbook(folder: Path) -> Configuration:
    path = folder / "book.toml"
    book = _table(path, "TOML", tomllib.loads).get("book") if path.is_file() else None
    book = book if isinstance(book, dict) else {}
    title, language = _said(book.get("title")), _said(book.get("language"))
    docs = folder / str(book.get("src") or "src")
    for summary in (docs / "SUMMARY.md", folder / "SUMMARY.md"):
        if summary.is_file():
            return Configuration(summary.parent, read_summary(_text(summary)), title, language, summary)
    return Configuration(docs, (), title, language)


def _mkdocs(folder: Path) -> Configuration:
    path = next(folder / name for name in ("mkdocs.yml", "mkdocs.yaml") if (folder / name).is_file())
    table = _table(path, "YAML", lambda text: yaml.load(text, _TextsOnly))
    docs = folder / str(table.get("docs_dir") or "docs")
    theme = table.get("theme")
    language = theme.get("language") if isinstance(theme, dict) else ""
    nav = table.get("nav")
    literate = docs / "SUMMARY.md"  # of the plugin literate-nav
    entries = tuple(_nav(nav)) if nav else read_summary(_text(literate)) if literate.is_file() else ()
    listing = path if nav else literate if entries else None
    return Configuration(docs, entries, _said(table.get("site_name")), _said(language), listing)


def _vitepress(folder: Path) -> Configuration:
    text = _script(folder, ".vitepress/config", ".vitepress/config/index")
    source = re.search(r"\bsrcDir\s*:\s*['\"`]([^'\"`]+)", text)
    docs = folder / (source[1] if source else ".")
    return Configuration(docs, (), _stated(text, "title"), _stated(text, "lang"))


def _docusaurus(folder: Path) -> Configuration:
    text = _script(folder, "docusaurus.config")
    docs = re.search(r"\bdocs\s*:\s*\{[^{}]*?\bpath\s*:\s*['\"`]([^'\"`]+)", text)
    title, language = _stated(text, "title"), _stated(text, "defaultLocale")
    return Configuration(folder / (docs[1] if docs else "docs"), (), title, language)


def _docsify(folder: Path) -> Configuration:
    sidebar, page = folder / "_sidebar.md", _text(folder / "index.html")
    named = read_summary(_text(sidebar), bare=True) if sidebar.is_file() else ()
    files = (
        one.file and (one.file if PurePosixPath(one.file).suffix else f"{one.file}.md").lstrip("/") for one in named
    )
    entries = tuple(one._replace(file=file) for one, file in zip(named, files, strict=True))
    title = re.search(r"<title>([^<]*)</title>", page)
    language = re.search(r"<html[^>]*\blang=[\"']?([\w-]+)", page)
    listing = sidebar if entries else None
    return Configuration(folder, entries, title[1] if title else "", language[1] if language else "", listing)


def _sphinx(folder: Path) -> Configuration:
    title, language = (_stated(_text(folder / "conf.py"), key, sign="=") for key in ("project", "language"))
    return Configuration(folder, (), title, language)


_READERS: Mapping[str, Callable[[Path], Configuration]] = {
    "mdBook": _mdbook,
    "MkDocs": _mkdocs,
    "VitePress": _vitepress,
    "Docusaurus": _docusaurus,
    "docsify": _docsify,
    "Sphinx": _sphinx,
}


def _script(folder: Path, *names: str) -> str:
    """The first of the scripts that is there, without comments."""
    found = (folder / name for name in _scripts(*names) if (folder / name).is_file())
    return _SCRIPT_COMMENT.sub("", next(map(_text, found), ""))


def _stated(text: str, key: str, *, sign: str = ":") -> str:
    """The first string that a script gives a key."""
    found = re.search(rf"(?m)(?:^|[\s{{,]){key}['\"]?\s*{sign}\s*{_STRING.pattern}", text)
    return found["text"] if found else ""


def _said(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


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
            if "://" not in file and file.lower().endswith(MARKDOWN):
                yield SummaryEntry(title=" ".join(title.split()), file=file.removeprefix("./"))


_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _TextsOnly(_Loader):  # type: ignore[misc]
    """mkdocs.yml may hold tags of Python objects; they are passed over, never made. Numbers and dates stay texts, and
    mappings are not merged: a few that merge each other have more keys than there are atoms."""

    yaml_implicit_resolvers: ClassVar[dict[str, object]] = {}


_TextsOnly.add_multi_constructor("", lambda loader, suffix, node: None)


def _table(path: Path, form: str, parsed: Callable[[str], object]) -> Mapping[str, object]:
    """The table that a configuration is, empty where it is something else. Raises ``InputError``."""
    try:
        table = parsed(_settings(path))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = Place(path=path, line=mark.line + 1, column=mark.column + 1) if mark else Place(path=path)
        said = getattr(error, "problem", None) or error
        raise InputError(f"this is no {form}: {said}", remedy="fix it", place=place) from error
    return table if isinstance(table, dict) else {}
