"""The use case: outlines for the chapters of a document, written into a workspace.

Everything is worked out and read back before anything is written. An outline that is there and
would change is only changed with ``force``; then comments, order, other languages and what the
document does not speak of stay. The book gets an entry for a chapter that it does not have.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from expand.errors import InputError, InputErrors, Place
from expand.importing import outline_yaml
from expand.importing.heading_document import read_headings
from expand.importing.outline_yaml import Wording
from expand.importing.plan_document import finished, read_plan
from expand.importing.proposal import Proposal, settled
from expand.importing.summary import read_summary, with_ids
from expand.outline import Book, Outline
from expand.outline.file import read_outline
from expand.outline.input_text import shown_path
from expand.text import wording
from expand.text.markdown import newline_of
from expand.workspace import Workspace, read_text, write_atomically

Kind = Literal["auto", "plan", "summary", "headings"]
KINDS: tuple[Kind, ...] = ("auto", "plan", "summary", "headings")
DEFAULT_LINES = 600
"""What a chapter is planned at when the document states no lines for it."""
SCHEMA_FILE = ".schema/outline.json"
"""Where ``expand init`` puts the schema, from the folder of the outlines."""
_CJK_SHARE = 0.15


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """One chapter's outline: ``text`` is the file's, ``dropped`` names sections that it loses."""

    id: str
    title: str
    path: Path
    source: str
    text: str
    state: Literal["new", "changed", "same"]
    sections: int
    lines: int
    stated_lines: int | None
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Intake:
    """What was taken in: ``kind`` is how the document was read, ``left`` the chapters that it
    names without planning them, ``booked`` those that the book got an entry for.
    """

    kind: Kind
    outlines: tuple[Taken, ...]
    left: Mapping[str, str] = field(default_factory=dict)
    booked: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """How to read a document: ``chapters`` empty means all, ``language`` None goes by the text."""

    kind: Kind = "auto"
    chapters: tuple[str, ...] = ()
    language: str | None = None
    lines: int = DEFAULT_LINES


def take_in(
    workspace: Workspace,
    document: Path,
    wanted: Wanted | None = None,
    *,
    force: bool = False,
    dry_run: bool = False,
) -> Intake:
    """Writes outlines for the document's chapters. Raises ``InputError`` before anything is."""
    wanted = wanted or Wanted()
    if not document.is_file():
        raise InputError(
            "there is no such file", remedy="name a document to import", place=Place(path=document)
        )
    text = read_text(document)
    kind, proposals = _proposals(workspace, document, text, wanted.kind)
    proposals = _chosen(proposals, wanted.chapters, document)
    book = workspace.book() if workspace.book_path.is_file() else None
    how = _wording(text, book, wanted.language)
    taken = tuple(
        _taken(workspace, proposal, document, book, how, wanted.lines) for proposal in proposals
    )
    if not force and not dry_run:
        _refuse_changes(workspace, taken)
    missing = _missing(taken, book)
    if not dry_run:
        _write(workspace, taken, missing, how)
    left = finished(text, proposals) if kind == "plan" and not wanted.chapters else {}
    return Intake(kind=kind, outlines=taken, left=left, booked=tuple(t.id for t in missing))


def _proposals(
    workspace: Workspace, document: Path, text: str, kind: Kind
) -> tuple[Kind, Sequence[Proposal]]:
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
    source = _inside(workspace, document)
    known = _id_of_source(workspace, source) if source else None
    return "headings", [read_headings(text, file=source or document.name, chapter=known)]


def _from_summary(workspace: Workspace, document: Path, text: str) -> list[Proposal]:
    found = []
    for entry in with_ids(read_summary(text)):
        file = entry.file or f"{entry.id}.md"
        path = document.parent / file
        source = _inside(workspace, path) or file
        chapter = _id_of_source(workspace, source) or entry.id
        proposal = read_headings(
            read_text(path) if path.is_file() else "", file=source, chapter=chapter
        )
        found.append(replace(proposal, title=entry.title or proposal.title))
    return found


def _chosen(
    proposals: Sequence[Proposal], chapters: Sequence[str], document: Path
) -> Sequence[Proposal]:
    known = [proposal.id for proposal in proposals]
    for chapter in chapters:
        if chapter not in known:
            raise InputError(
                f"chapter {chapter!r} is not planned here",
                remedy=f"planned are: {', '.join(known)}",
                place=Place(path=document),
            )
    return [p for p in proposals if not chapters or p.id in chapters]


def _wording(text: str, book: Book | None, language: str | None) -> Wording:
    """How titles and topics are written: under their language where the book has several."""
    languages = book.languages if book else ()
    if language is not None and book and language not in languages:
        raise InputError(
            f"the book has no language {language!r}",
            remedy=f"give one of: {', '.join(languages)}, or add it to outlines/book.yaml",
        )
    if language is None:
        language = _language(text, languages)
    return Wording(language=language, several=len(languages) > 1)


def _language(text: str, languages: Sequence[str]) -> str:
    """The language of the book's that the text looks like, going by its script."""
    letters = [character for character in wording.prose(text) if character.isalpha()]
    cjk = sum(map(wording.is_cjk, letters)) > _CJK_SHARE * len(letters)
    fits = [code for code in languages if (code.partition("-")[0] in ("zh", "ja", "ko")) is cjk]
    return next(iter(fits or languages), "zh" if cjk else "en")


def _taken(
    workspace: Workspace,
    proposal: Proposal,
    document: Path,
    book: Book | None,
    how: Wording,
    lines: int,
) -> Taken:
    path = workspace.outline_path(proposal.id)
    dropped: tuple[str, ...] = ()
    if path.is_file():
        former = workspace.outline(proposal.id)  # refuses what cannot be read, with its reasons
        before = read_text(path)
        rewritten = outline_yaml.updated_outline(
            before.replace("\r\n", "\n"), proposal, wording=how, lines=lines
        )
        text = rewritten.text.replace("\n", newline_of(before))
        dropped, source = rewritten.dropped, former.source
    else:
        before, source = "", _source(workspace, proposal, document, book)
        schema = SCHEMA_FILE if (path.parent / SCHEMA_FILE).is_file() else None
        whole = settled(proposal, lines=lines)
        text = outline_yaml.new_outline(whole, source=source, wording=how, schema=schema)
    outline = _check(workspace, proposal, text, document)
    return Taken(
        id=proposal.id,
        title=proposal.title,
        path=path,
        source=source,
        text=text,
        state="same" if text == before else "changed" if before else "new",
        sections=len(outline.sections),
        lines=outline.target_lines,
        stated_lines=outline.stated_lines,
        dropped=dropped,
    )


def _check(workspace: Workspace, proposal: Proposal, text: str, document: Path) -> Outline:
    """The outline read back; what cannot be is refused, naming the place in the document."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{proposal.id}.yaml"
        path.write_text(text, encoding="utf-8")
        try:
            return read_outline(path, root=workspace.root, chapter_id=proposal.id)
        except InputErrors as wrong:
            first = wrong.errors[0]
            raise InputError(
                f"chapter {proposal.id} makes no outline: {first.what}",
                remedy=first.remedy,
                place=Place(path=document, line=proposal.line),
            ) from wrong


def _refuse_changes(workspace: Workspace, taken: Sequence[Taken]) -> None:
    errors = [
        InputError(
            f"it is there, and chapter {one.id} reads differently in the document",
            remedy="--force changes it in place, --dry-run shows what it would become",
            place=Place(path=workspace.relative(one.path)),
        )
        for one in taken
        if one.state == "changed"
    ]
    if errors:
        raise InputErrors(errors)


def _missing(taken: Sequence[Taken], book: Book | None) -> list[Taken]:
    if book is None:
        return []
    known = {chapter.id for chapter in book.chapters}
    return [one for one in taken if one.id not in known]


def _write(
    workspace: Workspace, taken: Sequence[Taken], missing: Sequence[Taken], how: Wording
) -> None:
    for one in taken:
        if one.state != "same":
            write_atomically(one.path, one.text)
    if missing:
        entries = [(one.id, one.title, one.source, one.lines) for one in missing]
        text = read_text(workspace.book_path)
        booked = outline_yaml.with_chapters(text.replace("\r\n", "\n"), entries, wording=how)
        write_atomically(workspace.book_path, booked.replace("\n", newline_of(text)))


def _inside(workspace: Workspace, path: Path) -> str | None:
    """A document as an outline names it, None for one outside of the workspace."""
    resolved = path.resolve()
    inside = resolved.is_relative_to(workspace.root.resolve())
    return shown_path(resolved, workspace.root.resolve()) if inside else None


def _id_of_source(workspace: Workspace, source: str) -> str | None:
    """The chapter that a document is already known as, from the book or from an outline."""
    if workspace.book_path.is_file():
        for chapter in workspace.book().chapters:
            if chapter.source == source:
                return chapter.id
    for known in workspace.chapter_ids():
        if workspace.outline(known).source == source:
            return known
    return None


def _source(workspace: Workspace, proposal: Proposal, document: Path, book: Book | None) -> str:
    """The document of a new outline: the book's, else a file that is there, else a name for one."""
    for chapter in book.chapters if book else ():
        if chapter.id == proposal.id and chapter.source:
            return chapter.source
    name = proposal.file or f"{proposal.id}.md"
    here = _inside(workspace, document.parent)
    folders = [".", here or ".", "chapters", "docs", "src"]
    for folder in dict.fromkeys(folders):
        candidate = (PurePosixPath(folder) / name).as_posix()
        if (workspace.root / candidate).is_file():
            return candidate
    numbered = sorted((workspace.root / "chapters").glob(f"{proposal.id}[_-]*.md"))
    if len(numbered) == 1:
        return workspace.relative(numbered[0])
    return f"chapters/{PurePosixPath(name).name}"
