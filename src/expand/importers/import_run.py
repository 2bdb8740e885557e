"""The use case: outlines for the chapters of a document, written into a workspace.

Everything is worked out and read back before anything is written. An outline that is there and
would change is only changed with ``force``; then comments, order, other languages and what the
document does not speak of stay. The book gets an entry for a chapter that it does not have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from expand.errors import InputError, Place
from expand.importers.headings import read_headings
from expand.importers.plan_document import TableRow, finished, left_rows, read_plan
from expand.importers.proposal import Proposal
from expand.importers.summary import read_summary, with_ids
from expand.importers.writer import OutlineWriter, WrittenOutline, id_of_source, inside, wording_for
from expand.markdown.matching import title_key
from expand.outline import Book, BookChapter
from expand.workspace import Workspace, read_text

Kind = Literal["auto", "plan", "summary", "headings"]
KINDS: tuple[Kind, ...] = ("auto", "plan", "summary", "headings")
DEFAULT_LINES = 600
"""What a chapter is planned at when the document states no lines for it."""
NO_DOCUMENTS = frozenset({".yml", ".yaml", ".toml", ".json", ".html", ".py", ".pdf", ".docx"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Intake:
    """What was taken in: ``kind`` is how the document was read, ``left`` the chapters that it
    names without planning them, ``booked`` those that the book got an entry for, ``rows`` those of
    its tables that were not taken.
    """

    kind: Kind
    outlines: tuple[WrittenOutline, ...]
    left: Mapping[str, str] = field(default_factory=dict)
    booked: tuple[str, ...] = ()
    rows: tuple[TableRow, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportRequest:
    """How to read a document: ``chapters`` empty means all, ``language`` None goes by the text."""

    kind: Kind = "auto"
    chapters: tuple[str, ...] = ()
    language: str | None = None
    lines: int = DEFAULT_LINES


def take_in(
    workspace: Workspace,
    document: Path,
    wanted: ImportRequest | None = None,
    *,
    force: bool = False,
    dry_run: bool = False,
) -> Intake:
    """Writes outlines for the document's chapters. Raises ``InputError`` before anything is."""
    wanted = wanted or ImportRequest()
    _require_document(document)
    text = read_text(document)
    kind, proposals = _proposals(workspace, document, text, wanted.kind)
    book = workspace.book() if workspace.book_path.is_file() else None
    rows = left_rows(text, proposals) if kind == "plan" else ()
    left = finished(text, proposals) if kind == "plan" and not wanted.chapters else {}
    proposals = _chosen(_known(workspace, book, proposals), wanted.chapters, document)
    filing = OutlineWriter(
        workspace=workspace,
        book=book,
        how=wording_for(text, book, wanted.language),
        lines=wanted.lines,
        origin=document,
    )
    taken = tuple(filing.taken(proposal) for proposal in proposals)
    if not force and not dry_run:
        filing.refuse_changes(taken)
    booked = tuple(one.id for one in filing.missing(taken)) if dry_run else filing.write(taken)
    return Intake(
        kind=kind,
        outlines=taken,
        left=left,
        booked=booked,
        rows=tuple(row for row in rows if row.id not in left) if not wanted.chapters else (),
    )


def _require_document(document: Path) -> None:
    """Refuses what is no Markdown or text. Raises ``InputError``."""
    place = Place(path=document)
    if document.is_dir():
        raise InputError(
            "this is a folder",
            remedy="name a document in it, or run `expand init` to find its chapters",
            place=place,
        )
    if not document.is_file():
        raise InputError("there is no such file", remedy="name a document to import", place=place)
    if document.suffix.lower() in NO_DOCUMENTS:
        raise InputError(
            f"a {document.suffix} file is no document with headings",
            remedy="name a Markdown file; `expand init` reads mkdocs.yml and book.toml",
            place=place,
        )


def _proposals(workspace: Workspace, document: Path, text: str, kind: Kind) -> tuple[Kind, Sequence[Proposal]]:
    if kind == "summary" or (kind == "auto" and document.name.lower() == "summary.md"):
        listed = _from_summary(workspace, document, text)
        if listed:
            return "summary", listed
        raise InputError(
            "no chapter is listed here",
            remedy="write - [Title](chapter.md) for each",
            place=Place(path=document),
        )
    plans = read_plan(text) if kind in ("auto", "plan") else ()
    if plans:
        return "plan", plans
    if kind == "plan":
        raise InputError(
            "no heading names a chapter with sections that state their lines",
            remedy="write such as `### Chapter 3: Pipes` and below it `1. **Basics** (150 lines)`, "
            "or read its own headings with --from headings",
            place=Place(path=document),
        )
    source = inside(workspace, document)
    known = id_of_source(workspace, source) if source else None
    return "headings", [read_headings(text, file=source or document.name, chapter=known)]


def _from_summary(workspace: Workspace, document: Path, text: str) -> list[Proposal]:
    found = []
    for entry in with_ids(read_summary(text)):
        file = entry.file or f"{entry.id}.md"
        path = document.parent / file
        source = inside(workspace, path) or file
        chapter = id_of_source(workspace, source) or entry.id
        proposal = read_headings(read_text(path) if path.is_file() else "", file=source, chapter=chapter)
        found.append(replace(proposal, title=entry.title or proposal.title))
    return found


def _known(workspace: Workspace, book: Book | None, proposals: Sequence[Proposal]) -> Sequence[Proposal]:
    """The proposals under the ids that their chapters have already: one that the book does not know
    by its id is recognised by its document, else by its title, each chapter once.
    """
    chapters = book.chapters if book else ()
    taken = {chapter.id for chapter in chapters} | set(workspace.chapter_ids())
    used = {proposal.id for proposal in proposals} & taken
    found: list[Proposal] = []
    for proposal in proposals:
        same = None
        if proposal.id not in taken:
            free = [chapter for chapter in chapters if chapter.id not in used]
            same = _by_document(proposal, free) or _by_title(proposal, free)
        if same is not None:
            used.add(same.id)
        found.append(replace(proposal, id=same.id) if same is not None else proposal)
    return found


def _by_document(proposal: Proposal, chapters: Sequence[BookChapter]) -> BookChapter | None:
    """The one chapter whose document the proposal names, by its path's end."""
    if proposal.file is None:
        return None
    wanted = PurePosixPath(proposal.file).parts
    fits = [
        chapter
        for chapter in chapters
        if chapter.source and PurePosixPath(chapter.source).parts[-len(wanted) :] == wanted
    ]
    return fits[0] if len(fits) == 1 else None


def _by_title(proposal: Proposal, chapters: Sequence[BookChapter]) -> BookChapter | None:
    key = title_key(proposal.title)
    fits = [c for c in chapters if any(title_key(title) == key for title in c.title.every())]
    return fits[0] if key and len(fits) == 1 else None


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
