"""Which chapter gets sections proposed: one that the book knows, a document's, or a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from expand.errors import InputError, Place
from expand.importers.headings import id_of_file, read_headings
from expand.importers.outline_yaml import OutlineLanguage
from expand.importers.proposal import Proposal, file_id
from expand.importers.writer import id_of_source, inside, wording_for
from expand.markdown.matching import title_key
from expand.outline import Book
from expand.outline.schema import OUTLINE, id_mistake
from expand.workspace import Workspace, read_text

_DOCUMENTS = (".md", ".markdown")
MOST_ID = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class SuggestionTarget:
    """A chapter without sections. ``source`` is its document from the workspace, None where it has
    none yet; ``text`` is what that document says, ``present`` its sections with their lines.
    """

    id: str
    title: str
    how: OutlineLanguage
    source: str | None = None
    text: str = ""
    present: Mapping[str, int] = field(default_factory=dict)
    target: int | None = None


def find_target(
    workspace: Workspace, book: Book, wanted: str, *, chapter: str | None, language: str | None
) -> SuggestionTarget:
    """What ``wanted`` means: a chapter's id, a document, a chapter's title, or a new title.

    ``chapter`` is the id that a new chapter is to have. Raises ``InputError``.
    """
    wanted = " ".join(wanted.split())
    if not wanted:
        raise InputError("the title is empty", remedy="give a chapter's title, id or document")
    known = _known_id(workspace, book, wanted)
    document = Path(wanted)
    if known is None and document.is_file():
        return _of_document(workspace, book, document, chapter=chapter, language=language)
    if known is None and document.suffix.lower() in _DOCUMENTS:
        raise InputError(
            "there is no such file",
            remedy="name a document, or give a title in words",
            place=Place(path=document),
        )
    if known is None:
        new = _checked(chapter) if chapter else _next_id(workspace, book, wanted)
        subject = SuggestionTarget(id=new, title=wanted, how=wording_for(wanted, book, language))
        return subject if chapter is None else _with_entry(workspace, book, subject)
    if chapter not in (None, known):
        raise InputError(f"{wanted!r} is chapter {known} already", remedy=f"leave --id {chapter} out")
    title = _title(workspace, book, known, language)
    subject = SuggestionTarget(id=known, title=title, how=wording_for(title, book, language))
    return _with_entry(workspace, book, subject)


def _known_id(workspace: Workspace, book: Book, wanted: str) -> str | None:
    """The chapter whose id or title this is."""
    ids = {chapter.id for chapter in book.chapters} | set(workspace.chapter_ids())
    if wanted in ids:
        return wanted
    key = title_key(wanted)
    for chapter in book.chapters:
        if key and any(title_key(title) == key for title in chapter.title.every()):
            return chapter.id
    return None


def _of_document(
    workspace: Workspace, book: Book, document: Path, *, chapter: str | None, language: str | None
) -> SuggestionTarget:
    source = inside(workspace, document)
    if source is None:
        raise InputError(
            "it lies outside of the workspace",
            remedy=f"copy it below {workspace.root}, or give its title in words",
            place=Place(path=document),
        )
    known = id_of_source(workspace, source)
    if known is not None and chapter not in (None, known):
        raise InputError(f"{source} is chapter {known} already", remedy=f"leave --id {chapter} out")
    text = read_text(document)
    read = read_headings(text, file=source, chapter=known)
    new = known or (_checked(chapter) if chapter else id_of_file(source))
    title = _title(workspace, book, known, language) if known else read.title
    how = wording_for(title, book, language)
    return _filled(SuggestionTarget(id=new, title=title, how=how, source=source), read, text)


def _with_entry(workspace: Workspace, book: Book, subject: SuggestionTarget) -> SuggestionTarget:
    """The subject with what outline, book and document say of the chapter."""
    entry = next((one for one in book.chapters if one.id == subject.id), None)
    source = entry.source if entry else None
    target = entry.target_lines if entry else None
    if subject.id in workspace.chapter_ids():
        outline = workspace.outline(subject.id)
        source, target = outline.source, outline.stated_lines or target
    found = SuggestionTarget(id=subject.id, title=subject.title, how=subject.how, source=source, target=target)
    if source is None or not (workspace.root / source).is_file():
        return found
    text = read_text(workspace.root / source)
    return _filled(found, read_headings(text, file=source, chapter=subject.id), text)


def _filled(subject: SuggestionTarget, read: Proposal, text: str) -> SuggestionTarget:
    """The subject with its document's text and sections; one without any stands for itself."""
    return SuggestionTarget(
        id=subject.id,
        title=subject.title,
        how=subject.how,
        source=subject.source,
        text=text,
        present={section.title: section.present for section in read.sections if section.present},
        target=subject.target or read.target,
    )


def _title(workspace: Workspace, book: Book, known: str, language: str | None) -> str:
    spoken = language or book.language
    if known in workspace.chapter_ids():
        return workspace.outline(known).title.say(spoken, book.language)
    entry = next(chapter for chapter in book.chapters if chapter.id == known)
    return entry.title.say(spoken, book.language)


def _next_id(workspace: Workspace, book: Book, title: str) -> str:
    """The number after the last where all chapters are numbered, else the title as an id."""
    ids = [*(chapter.id for chapter in book.chapters), *workspace.chapter_ids()]
    if ids and all(known.isascii() and known.isdecimal() for known in ids):
        width = max(map(len, ids))
        return f"{max(map(int, ids)) + 1:0{width}d}"
    wanted = file_id(title.lower())[:MOST_ID].rstrip("-._") or "chapter"
    taken = {known.casefold() for known in ids}
    copies = (wanted if copy == 1 else f"{wanted}-{copy}" for copy in range(1, len(taken) + 2))
    return next(copy for copy in copies if copy.casefold() not in taken)


def _checked(chapter: str) -> str:
    wrong = id_mistake(chapter) if chapter else ("is empty", "give letters and digits")
    longest = OUTLINE.schema["properties"]["id"]["maxLength"]
    if wrong is not None or len(chapter) > longest:
        what, remedy = wrong or ("is too long", f"give at most {longest} characters")
        raise InputError(f"--id {chapter!r} {what}", remedy=remedy)
    return chapter
