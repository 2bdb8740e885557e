"""Imports a document: makes outlines for its chapters and writes them into a workspace.

Everything is worked out and read back before anything is written. An outline that exists is only changed with
``force``; then comments, order, other languages and what the document does not mention stay. A chapter that the book
does not have gets an entry there.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from expand.document.site import read_summary
from expand.errors import InputError, Place
from expand.importers.documents import read_headings, with_ids
from expand.importers.lengths import Length, Unit
from expand.importers.plan_document import Plan, PlanLine, read_plan
from expand.importers.proposal import Proposal, converted
from expand.importers.text_patterns import number_of_file, title_of_file
from expand.importers.writer import (
    OutlineWriter,
    WrittenOutline,
    ids_by_source,
    next_id,
    other_id,
    outline_language,
    path_inside,
)
from expand.markdown.matching import title_key
from expand.workspace import Workspace, read_text

Kind = Literal["auto", "plan", "summary", "headings"]
KINDS: tuple[Kind, ...] = ("auto", "plan", "summary", "headings")
DEFAULT_LINES = 600
"""A chapter's lines where the document states none for it."""
NO_DOCUMENTS = frozenset({".yml", ".yaml", ".toml", ".json", ".html", ".py", ".pdf", ".docx"})
MAX_NAMED = 12
"""Lines that are named one by one where they were not understood."""
_CALLED_PLAN = re.compile(r"(?i)(?:^|[\W_])(?:plans?|outlines?|to-?do)(?:$|[\W_])|提纲|大纲|计划|规划|待办")
_TASK = re.compile(r"(?m)^[ \t>]*(?:[-*+]|\d+[.)]) \[[ xX]\] ")


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportRequest:
    """How to read a document: no ``chapters`` means all of them, no ``language`` the one of the text.

    ``per`` says what a page or a minute comes to, for plans that state those."""

    kind: Kind = "auto"
    chapters: tuple[str, ...] = ()
    language: str | None = None
    lines: int = DEFAULT_LINES
    per: Mapping[Unit, Length] = field(default_factory=dict)
    force: bool = False
    dry_run: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentReading:
    """What a document says: ``kind`` is how it was read, and ``proposals`` its chapters with lengths as it states them.

    ``unplanned`` are the chapters that it names without planning them, ``left`` its lines with lengths that make no
    section."""

    document: Path
    text: str
    kind: Kind
    proposals: tuple[Proposal, ...]
    unplanned: Mapping[str, str] = field(default_factory=dict)
    left: tuple[PlanLine, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportResult:
    """The imported outlines, what they were read from, and the chapters that the book got an entry for."""

    reading: DocumentReading
    outlines: tuple[WrittenOutline, ...]
    added_to_book: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """How the document was read."""
        return self.reading.kind


def import_document(workspace: Workspace, document: Path, request: ImportRequest | None = None) -> ImportResult:
    """Writes outlines for the document's chapters. Raises ``InputError`` before anything is written."""
    request = request or ImportRequest()
    return write_outlines(workspace, read_document(workspace, document, request), request)


def read_document(workspace: Workspace, document: Path, request: ImportRequest) -> DocumentReading:
    """The document's chapters under the ids that they have or get. Raises ``InputError`` for what is no document, and
    for a plan that is not understood."""
    _require_document(document)
    text = read_text(document)
    reading = _reading(workspace, document, text, request.kind)
    proposals = _chosen(_under_known_ids(workspace, reading.proposals), request.chapters, document)
    reading = replace(reading, proposals=tuple(proposals))
    return replace(reading, unplanned={}, left=()) if request.chapters else reading


def write_outlines(workspace: Workspace, reading: DocumentReading, request: ImportRequest) -> ImportResult:
    """Writes what was read, or in a dry run works it out only. Raises ``InputError`` before anything is written."""
    book = workspace.book() if workspace.book_path.is_file() else None
    writer = OutlineWriter(
        workspace=workspace,
        book=book,
        language=outline_language(reading.text, book, request.language),
        lines=request.lines,
        origin=reading.document,
    )
    place = Place(path=reading.document)
    outlines = tuple(writer.outline_for(converted(one, request.per, place=place)) for one in reading.proposals)
    for outline in outlines:
        if reading.kind == "plan" and workspace.source_path(outline.source).resolve() == reading.document.resolve():
            raise InputError(
                f"chapter {outline.id} has the plan itself as its document",
                remedy="give the plan another name, or take --from headings if this is the chapter",
                place=place,
            )
    if not request.force and not request.dry_run:
        writer.refuse_changes(outlines)
    added = writer.missing_from_book(outlines) if request.dry_run else writer.write(outlines)
    return ImportResult(reading=reading, outlines=outlines, added_to_book=added)


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


def _reading(workspace: Workspace, document: Path, text: str, kind: Kind) -> DocumentReading:
    if kind == "summary" or (kind == "auto" and document.name.lower() == "summary.md"):
        listed = _from_summary(workspace, document, text)
        if listed:
            return DocumentReading(document=document, text=text, kind="summary", proposals=tuple(listed))
        raise InputError(
            "no chapter is listed here", remedy="write - [Title](chapter.md) for each", place=Place(path=document)
        )
    if kind != "headings":
        plan = read_plan(text, without_lengths=kind == "plan")
        if plan.chapters and (kind == "plan" or len(plan.chapters) > 1 or not plan.is_prose):
            named = title_of_file(document.name)
            return DocumentReading(
                document=document,
                text=text,
                kind="plan",
                proposals=tuple(replace(one, title=one.title or named) for one in plan.chapters),
                unplanned=plan.unplanned,
                left=plan.left,
            )
        _refuse_plan(document, text, plan, kind)
    source = path_inside(workspace, document)
    known = ids_by_source(workspace).get(source) or other_id(workspace, source) if source else None
    proposal = read_headings(text, file=source or document.name, chapter=known)
    return DocumentReading(document=document, text=text, kind="headings", proposals=(proposal,))


def _refuse_plan(document: Path, text: str, plan: Plan, kind: Kind) -> None:
    """Refuses a plan that names no sections, and what looks like a plan where nobody said what it is."""
    lines = ", ".join(str(one.line) for one in plan.left[:MAX_NAMED])
    if kind == "plan":
        what = "no heading, list or table names sections" + (f"; lines {lines} state lengths" if lines else "")
        remedy = "write such as `# Pipes` and below it `- Basics (150 lines)`, or take --from headings"
    elif plan.is_prose:
        return
    elif plan.left:
        what = f"this is a plan, but the lengths in lines {lines} belong to no section"
        remedy = "write the sections below each chapter, or take --from headings if this is the chapter itself"
    elif _CALLED_PLAN.search(f"{document.stem} {text.lstrip().partition(chr(10))[0]}") or _TASK.search(text):
        what = "this looks like a plan, and states no lengths"
        remedy = "take --from plan to share out --lines, or --from headings if this is the chapter itself"
    else:
        return
    raise InputError(what, remedy=remedy, place=Place(path=document, line=plan.left[0].line if plan.left else None))


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


def _under_known_ids(workspace: Workspace, proposals: Sequence[Proposal]) -> Sequence[Proposal]:
    """The proposals under the ids that their chapters have already, and what has none under a new one.

    A proposal whose id is new takes the chapter of the book that has its document, else its title; each chapter once.
    """
    book = workspace.book() if workspace.book_path.is_file() else None
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
        if not proposal.id:
            proposal = replace(proposal, id=next_id([*known, *(one.id for one in found)], proposal.title))  # noqa: PLW2901
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
