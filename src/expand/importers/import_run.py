"""Imports a document: makes outlines for its chapters and writes them into a workspace.

Everything is worked out and read back before anything is written. An outline that exists is only changed with
``force``; then comments, order, other languages and what the document does not mention stay. A chapter that the book
does not have gets an entry there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from expand.document.site import read_summary
from expand.errors import InputError, Place
from expand.importers.documents import read_headings, with_ids
from expand.importers.plan_document import TableRow, read_plan, skipped_rows, unplanned_chapters
from expand.importers.proposal import Proposal
from expand.importers.text_patterns import number_of_file
from expand.importers.writer import (
    OutlineWriter,
    WrittenOutline,
    ids_by_source,
    other_id,
    outline_language,
    path_inside,
)
from expand.markdown.matching import title_key
from expand.outline import Book
from expand.workspace import Workspace, read_text

Kind = Literal["auto", "plan", "summary", "headings"]
KINDS: tuple[Kind, ...] = ("auto", "plan", "summary", "headings")
DEFAULT_LINES = 600
"""A chapter's lines where the document states none for it."""
NO_DOCUMENTS = frozenset({".yml", ".yaml", ".toml", ".json", ".html", ".py", ".pdf", ".docx"})


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportRequest:
    """How to read a document: no ``chapters`` means all of them, no ``language`` the one of the text."""

    kind: Kind = "auto"
    chapters: tuple[str, ...] = ()
    language: str | None = None
    lines: int = DEFAULT_LINES
    force: bool = False
    dry_run: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportResult:
    """The imported outlines; ``kind`` is how the document was read.

    ``unplanned`` are the chapters that it names without planning them, ``skipped_rows`` the rows of its tables that
    make no chapter, ``added_to_book`` the chapters that the book got an entry for."""

    kind: Kind
    outlines: tuple[WrittenOutline, ...]
    unplanned: Mapping[str, str] = field(default_factory=dict)
    skipped_rows: tuple[TableRow, ...] = ()
    added_to_book: tuple[str, ...] = ()


def import_document(workspace: Workspace, document: Path, request: ImportRequest | None = None) -> ImportResult:
    """Writes outlines for the document's chapters. Raises ``InputError`` before anything is written."""
    request = request or ImportRequest()
    _require_document(document)
    text = read_text(document)
    kind, proposals = _proposals(workspace, document, text, request.kind)
    book = workspace.book() if workspace.book_path.is_file() else None
    rows: tuple[TableRow, ...] = ()
    unplanned: Mapping[str, str] = {}
    if kind == "plan" and not request.chapters:
        unplanned = unplanned_chapters(text, proposals)
        rows = tuple(row for row in skipped_rows(text, proposals) if row.id not in unplanned)
    proposals = _chosen(_under_known_ids(workspace, book, proposals), request.chapters, document)
    writer = OutlineWriter(
        workspace=workspace,
        book=book,
        language=outline_language(text, book, request.language),
        lines=request.lines,
        origin=document,
    )
    outlines = tuple(writer.outline_for(proposal) for proposal in proposals)
    if not request.force and not request.dry_run:
        writer.refuse_changes(outlines)
    return ImportResult(
        kind=kind,
        outlines=outlines,
        unplanned=unplanned,
        skipped_rows=rows,
        added_to_book=writer.missing_from_book(outlines) if request.dry_run else writer.write(outlines),
    )


def _require_document(document: Path) -> None:
    """Refuses what is neither Markdown nor text."""
    if document.is_dir():
        what, remedy = "this is a folder", "name a document in it, or run `expand init` to find its chapters"
    elif not document.is_file():
        what, remedy = "there is no such file", "name a document to import"
    elif document.suffix.lower() in NO_DOCUMENTS:
        what = f"a {document.suffix} file is no document with headings"
        remedy = "name a Markdown file; `expand init` reads mkdocs.yml and book.toml"
    else:
        return
    raise InputError(what, remedy=remedy, place=Place(path=document))


def _proposals(workspace: Workspace, document: Path, text: str, kind: Kind) -> tuple[Kind, Sequence[Proposal]]:
    if kind == "summary" or (kind == "auto" and document.name.lower() == "summary.md"):
        listed = _from_summary(workspace, document, text)
        if listed:
            return "summary", listed
        raise InputError(
            "no chapter is listed here", remedy="write - [Title](chapter.md) for each", place=Place(path=document)
        )
    plans = read_plan(text) if kind in ("auto", "plan") else ()
    if plans:
        return "plan", plans
    if kind == "plan":
        raise InputError(
            "no heading names a chapter with sections that state their lines",
            remedy="write such as `### Chapter 3: Pipes` and below it `1. **Basics** (150 lines)`, or read its own "
            "headings with --from headings",
            place=Place(path=document),
        )
    source = path_inside(workspace, document)
    known = ids_by_source(workspace).get(source) or other_id(workspace, source) if source else None
    return "headings", [read_headings(text, file=source or document.name, chapter=known)]


def _from_summary(workspace: Workspace, document: Path, text: str) -> list[Proposal]:
    found = []
    known = ids_by_source(workspace)
    entries = read_summary(text)
    listed = {path_inside(workspace, document.parent / entry.file) for entry in entries if entry.file}
    others = [one for source, one in known.items() if source not in listed and workspace.source_path(source).is_file()]
    for chapter, entry in with_ids(entries, [one for one in others if not number_of_file(one)]):
        file = entry.file or f"{chapter}.md"
        path = document.parent / file
        _require_near(path, workspace, document)
        source = path_inside(workspace, path) or file
        proposal = read_headings(
            read_text(path) if path.is_file() else "", file=source, chapter=known.get(source, chapter)
        )
        found.append(replace(proposal, title=entry.title or proposal.title))
    return found


def _require_near(path: Path, workspace: Workspace, summary: Path) -> None:
    """Refuses a listed document that is neither below its listing's folder nor in the workspace, links followed."""
    if not path_inside(workspace, path) and not path.resolve().is_relative_to(summary.parent.resolve()):
        raise InputError(
            f"the listed document {path} leads to {path.resolve()}, outside of the listing's folder and the workspace",
            remedy="copy it into the folder, or leave it out of the list",
            place=Place(path=summary),
        )


def _under_known_ids(workspace: Workspace, book: Book | None, proposals: Sequence[Proposal]) -> Sequence[Proposal]:
    """The proposals under the ids that their chapters have already.

    A proposal whose id is new takes the chapter of the book that has its document, else its title; each chapter once.
    """
    chapters = book.chapters if book else ()
    known = {chapter.id for chapter in chapters} | set(workspace.chapter_ids())
    used = {proposal.id for proposal in proposals} & known
    by_document: dict[Sequence[str], list[str]] = {}  # by each end of its path
    by_title: dict[str, list[str]] = {}
    for chapter in chapters:
        parts = PurePosixPath(chapter.source or "").parts
        for at in range(len(parts)):
            by_document.setdefault(parts[at:], []).append(chapter.id)
        for key in {title_key(title) for title in chapter.title.every()} - {""}:
            by_title.setdefault(key, []).append(chapter.id)
    sources = {chapter.id: chapter.source for chapter in chapters}
    found: list[Proposal] = []
    for proposal in proposals:
        if proposal.id not in known:
            titled = by_title.get(title_key(proposal.title), ())
            wanted = (
                by_document.get(PurePosixPath(proposal.file or "").parts, ()),
                [one for one in titled if not _is_of_another(workspace, sources[one], proposal.file)],
            )
            free = ([one for one in fitting if one not in used] for fitting in wanted)
            same = next((fitting[0] for fitting in free if len(fitting) == 1), None)
            if same is not None:
                used.add(same)
                proposal = replace(proposal, id=same)  # noqa: PLW2901
        found.append(proposal)
    return found


def _is_of_another(workspace: Workspace, source: str | None, file: str | None) -> bool:
    """Whether a chapter has a document, and the proposal is another one of the workspace."""
    both = [path for path in (source, file) if path and workspace.inside(path).is_file()]
    return len(both) == 2 and source != file


def _chosen(proposals: Sequence[Proposal], chapters: Sequence[str], document: Path) -> Sequence[Proposal]:
    known = [proposal.id for proposal in proposals]
    for chapter in chapters:
        if chapter not in known:
            raise InputError(
                f"chapter {chapter!r} is not planned here",
                remedy=f"planned are: {', '.join(known)}",
                place=Place(path=document),
            )
    return [p for p in proposals if not chapters or p.id in chapters]
