"""Makes a workspace: settings, the book, schemas for editors, and a first outline.

No file that exists is changed, except the generated schemas, which are renewed. An empty folder also gets a first
chapter to expand.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from expand.document.site import Site, sites_above
from expand.errors import InputError, Place
from expand.importers import outline_yaml
from expand.importers.import_run import SAMPLE, SCHEMA_FILE
from expand.importers.lengths import Length
from expand.importers.outline_yaml import OutlineLanguage
from expand.importers.proposal import Proposal, all_free, settled
from expand.outline.reading import BOOK, OUTLINE
from expand.paths import DATA
from expand.prompts.template_files import eject_templates, template_files
from expand.scaffold.docs_tree import DocsTree, TreeChapter, find_tree, has_documents, text_of
from expand.settings import SETTINGS
from expand.workspace import MARKER, STATE, Workspace, write_atomically

FIRST_ALLOWANCE = 200_000
"""Tokens: enough for a few chapters, little enough to learn with."""
MOST_PARENTS = 4
"""Folders, from the one that is named upwards, in which the configuration of its site is looked for."""
BOOK_SCHEMA_FILE = ".schema/book.json"
SETTINGS_SCHEMA_FILE = "outlines/.schema/settings.json"
_FIRST_PAGES = frozenset({"preface", "foreword", "introduction", "intro", "title-page"})
_FIRST = TreeChapter(id=SAMPLE.id, title=SAMPLE.title, source=SAMPLE.source, sections=(), exists=False)
_GENERATED = frozenset({f"outlines/{SCHEMA_FILE}", f"outlines/{BOOK_SCHEMA_FILE}", SETTINGS_SCHEMA_FILE})


@dataclass(frozen=True, kw_only=True, slots=True)
class NewWorkspace:
    """What was made: ``written``, ``renewed`` and ``kept`` are paths from the workspace's root.

    ``first`` is the chapter to start with, which has an outline; ``above`` is a workspace that this one lies in,
    ``further`` a document to import more outlines from."""

    workspace: Workspace
    tree: DocsTree
    written: tuple[str, ...]
    kept: tuple[str, ...]
    first: str
    above: Path | None
    renewed: tuple[str, ...] = ()
    further: str | None = None

    @property
    def missing_lines(self) -> int:
        """Lines that the chapters' targets ask for above those that are there."""
        return sum(max(0, one.state.target - one.state.lines) for one in self.tree.chapters)


def create_workspace(
    root: Path, *, title: str | None = None, language: str | None = None, every: bool = False, prompts: bool = False
) -> NewWorkspace:
    """Makes ``root`` a workspace; where it is a folder that a site generator builds, the folder above it, as
    ``workspace_folder`` says. Raises ``InputError``.

    ``every`` writes an outline for each chapter, not just for the first; ``prompts`` copies the templates."""
    if root.exists() and not root.is_dir():
        raise InputError("this is a file", remedy="name a folder", place=Place(path=root))
    root, site = workspace_folder(root)
    tree = find_tree(root, language=language, site=site)
    workspace = Workspace(root=root.resolve())
    tree = replace(tree, chapters=_under_known_ids(workspace, tree.chapters))
    chapters = tree.chapters or (_FIRST,)
    outlined = workspace.chapter_ids()
    first = _first(chapters)
    if outlined and first.id not in outlined:
        first = next((chapter for chapter in chapters if chapter.id in outlined), first)
    files = _common_files(tree, title=title, language=language, chapters=chapters)
    files |= {f"outlines/{one.id}.yaml": _outline(one) for one in (chapters if every else (first,))}
    if tree.kind == "empty" and not tree.unsupported:
        files |= SAMPLE.files()
    done: dict[str, list[str]] = {"written": [], "renewed": [], "kept": []}
    for name, text in files.items():
        own = name.startswith(f"{STATE}/")
        path = workspace.state_path(*name.split("/")[1:]) if own else workspace.inside(name)
        stale = name in _GENERATED and path.is_file() and text_of(path) != text
        what = "written" if not path.exists() else "renewed" if stale else "kept"
        if what != "kept":
            write_atomically(path, text, private=own)
        done[what].append(name)
    if prompts:
        # Only the templates that do not exist: init changes no file.
        missing = [file for file in template_files(workspace) if file.own is None and file.packaged]
        done["written"] += eject_templates(workspace, missing, force=False)
    above = next((folder for folder in root.resolve().parents if (folder / MARKER).is_file()), None)
    return NewWorkspace(
        workspace=workspace,
        tree=tree,
        written=tuple(done["written"]),
        kept=tuple(done["kept"]),
        first=first.id,
        above=above,
        renewed=tuple(done["renewed"]),
        further=_further(tree, chapters, first.id, workspace.chapter_ids()),
    )


def workspace_folder(folder: Path) -> tuple[Path, Site | None]:
    """Where the workspace of a folder's documents goes, and their site if it is not in that place: next to what a site
    generator builds, so that it does not build the workspace's drafts.

    A folder above is taken only if it belongs to the same site or the same repository."""
    top = folder.resolve()
    if (top / MARKER).exists() or not has_documents(top):
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
    return tuple(replace(one, id=known[one.source] if one.source in known else next(free)) for one in chapters)


def _further(tree: DocsTree, chapters: Sequence[TreeChapter], first: str, outlined: Sequence[str]) -> str | None:
    """A document that more outlines can be imported from: the listing, else the next chapter's own."""
    rest = [chapter.source for chapter in chapters if chapter.id not in outlined and chapter.exists]
    if rest and tree.listing is not None and tree.listing.endswith(".md"):
        return tree.listing
    start = next(at for at, chapter in enumerate(chapters) if chapter.id == first)
    return next((one.source for one in chapters[start:] if one.source in rest), rest[0] if rest else None)


def _first(chapters: tuple[TreeChapter, ...]) -> TreeChapter:
    """The chapter to start with: the first stub that is more than a title page, else the first that is."""
    real = [c for c in chapters if c.state.kind == "chapter" and Path(c.source).stem.lower() not in _FIRST_PAGES]
    stubs = [c for c in real if not c.state.finished]
    for some in (stubs, real, chapters):
        if some:
            return next((c for c in some if len(c.sections) > 1), some[0])
    return _FIRST


def _common_files(
    tree: DocsTree, *, title: str | None, language: str | None, chapters: tuple[TreeChapter, ...]
) -> dict[str, str]:
    book = outline_yaml.new_book(
        title=" ".join((title or tree.title).split()),
        language=language or tree.language,
        tokens=FIRST_ALLOWANCE,
        chapters=[
            {"id": one.id, "title": one.title, "source": one.source}
            | ({} if one is _FIRST else {"target_lines": one.state.target})  # its outline states lengths of its own
            | ({"finished": True} if one.state.finished else {})
            for one in chapters
        ],
        schema=BOOK_SCHEMA_FILE,
    )
    return {
        MARKER: (DATA / "new_workspace.toml").read_text(encoding="utf-8"),
        f"outlines/{SCHEMA_FILE}": _json(OUTLINE.schema),
        f"outlines/{BOOK_SCHEMA_FILE}": _json(BOOK.schema),
        SETTINGS_SCHEMA_FILE: _json(SETTINGS.schema),
        "outlines/book.yaml": book,
        ".expand/.gitignore": "*\n",  # the tool's own files are not for version control
    }


def _outline(chapter: TreeChapter) -> str:
    if chapter is _FIRST:
        return SAMPLE.files()[f"outlines/{SAMPLE.id}.yaml"]
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
