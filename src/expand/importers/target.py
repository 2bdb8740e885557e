"""Finds the chapter that ``--suggest`` means: one of the book, a document's, or a new one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from expand.errors import InputError, Place
from expand.importers.documents import id_of_file, read_headings
from expand.importers.outline_yaml import OutlineLanguage
from expand.importers.writer import ids_by_source, next_id, outline_language, path_inside
from expand.markdown.matching import title_key
from expand.outline import Book
from expand.outline.reading import OUTLINE, id_mistake
from expand.workspace import Workspace, read_text


@dataclass(frozen=True, kw_only=True, slots=True)
class SuggestionTarget:
    """A chapter that gets sections.

    ``source`` is its document from the workspace's root, None where it has none yet; ``text`` is the document's text,
    ``present`` its sections with their lines. ``target_lines`` are the chapter's, where something states them."""

    id: str
    title: str
    language: OutlineLanguage
    source: str | None = None
    text: str = ""
    present: Mapping[str, int] = field(default_factory=dict)
    target_lines: int | None = None


def find_target(
    workspace: Workspace, book: Book, wanted: str, *, new_id: str | None, language: str | None
) -> SuggestionTarget:
    """What ``wanted`` means: a chapter's id, a document, a chapter's title, or a new title.

    ``new_id`` is the id that a new chapter gets. Raises ``InputError``."""
    wanted = " ".join(wanted.split())
    if not wanted:
        raise InputError("the title is empty", remedy="give a chapter's title, id or document")
    document = Path(wanted)
    known = _known_id(workspace, book, wanted)
    source = title = None
    if known is None and document.is_file():
        source = path_inside(workspace, document)
        if source is None:
            raise InputError(
                "it lies outside the workspace",
                remedy=f"copy it below {workspace.root}, or give its title in words",
                place=Place(path=document),
            )
        known = ids_by_source(workspace).get(source)
    elif known is None and document.suffix.lower() in (".md", ".markdown"):
        raise InputError(
            "there is no such file", remedy="name a document, or give a title in words", place=Place(path=document)
        )
    if known is not None:
        if new_id not in (None, known):
            raise InputError(f"{source or repr(wanted)} is chapter {known} already", remedy=f"leave --id {new_id} out")
        chapter, title = known, _title(workspace, book, known, language)
    elif new_id:
        chapter = _checked(new_id)
    else:
        ids = [*(one.id for one in book.chapters), *workspace.chapter_ids()]
        chapter = id_of_file(source) if source else next_id(ids, wanted)
    if title is None:
        title = read_headings(read_text(document), file=source).title if source else wanted
    target = SuggestionTarget(id=chapter, title=title, language=outline_language(title, book, language), source=source)
    return _with_document(workspace, book, target)


def _known_id(workspace: Workspace, book: Book, wanted: str) -> str | None:
    """The chapter with this id or title."""
    if wanted in {chapter.id for chapter in book.chapters} | set(workspace.chapter_ids()):
        return wanted
    key = title_key(wanted)
    titled = (c.id for c in book.chapters if key and any(title_key(title) == key for title in c.title.every()))
    return next(titled, None)


def _with_document(workspace: Workspace, book: Book, target: SuggestionTarget) -> SuggestionTarget:
    """The target with what outline, book and document say of the chapter."""
    entry = next((one for one in book.chapters if one.id == target.id), None)
    source = target.source or (entry.source if entry else None)
    lines = entry.target_lines if entry else None
    if target.id in workspace.chapter_ids():
        outline = workspace.outline(target.id)
        source, lines = outline.source, outline.stated_lines or lines
    target = replace(target, source=source, target_lines=lines)
    if source is None or not (document := workspace.source_path(source)).is_file():
        return target
    text = read_text(document)
    read = read_headings(text, file=source, chapter=target.id)
    # A document without headings counts as one section without lines: nothing of it has to be kept.
    present = {section.title: section.present for section in read.sections if section.present}
    return replace(target, text=text, present=present, target_lines=lines or read.target_lines)


def _title(workspace: Workspace, book: Book, chapter: str, language: str | None) -> str:
    if chapter in workspace.chapter_ids():
        title = workspace.outline(chapter).title
    else:
        title = next(one for one in book.chapters if one.id == chapter).title
    return title.say(language or book.language, book.language)


def _checked(chapter: str) -> str:
    wrong = id_mistake(chapter) if chapter else ("is empty", "give letters and digits")
    longest = OUTLINE.schema["properties"]["id"]["maxLength"]
    if wrong is not None or len(chapter) > longest:
        what, remedy = wrong or ("is too long", f"give at most {longest} characters")
        raise InputError(f"--id {chapter!r} {what}", remedy=remedy)
    return chapter
