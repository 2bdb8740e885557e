"""Imports a document: makes outlines for its chapters and writes them into a workspace.

Everything is worked out and read back before anything is written. An outline that exists is only changed with
``force``; then comments, order, other languages and what the document does not mention stay. A chapter that the book
does not have gets an entry there.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal

from expand.document.site import read_summary
from expand.errors import InputError, InputErrors, Place
from expand.importers import outline_yaml
from expand.importers.lengths import Length, Unit
from expand.importers.outline_yaml import OutlineLanguage
from expand.importers.plan_document import Plan, read_plan
from expand.importers.proposal import Proposal, all_free, converted, id_of_file, read_headings, settled, with_ids
from expand.importers.text_patterns import file_id, number_of_file, title_of_file
from expand.markdown import matching
from expand.markdown.matching import title_key
from expand.outline import Outline
from expand.outline.reading import id_mistake, read_outline
from expand.schema.input_file import shown_path
from expand.workspace import Workspace, read_text, write_atomically

Kind = Literal["auto", "plan", "summary", "headings"]
KINDS: tuple[Kind, ...] = ("auto", "plan", "summary", "headings")
DEFAULT_LINES = 600
"""A chapter's lines where the document states none for it."""
MAX_NAMED = 12
"""Lines that are named one by one where they were not understood."""
SCHEMA_FILE = ".schema/outline.json"
"""Where ``expand init`` puts the schema, from the folder of the outlines."""
_NO_DOCUMENTS = frozenset({".yml", ".yaml", ".toml", ".json", ".html", ".py", ".pdf", ".docx"})
_MAX_TITLE_ID = 40
"""Characters of an id that is made of a title."""
_CALLED_PLAN = re.compile(r"(?i)(?:^|[\W_])(?:plans?|outlines?|to-?do)(?:$|[\W_])|提纲|大纲|计划|规划|待办")
_TASK = re.compile(r"(?m)^[ \t>]*(?:[-*+]|\d+[.)]) \[[ xX]\] ")


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportRequest:
    """How to make outlines: ``language`` is the one of the text where it is None, ``id`` that of the only chapter,
    ``lines`` a chapter's where none are stated. ``per`` says what a page or a minute of a plan comes to."""

    kind: Kind = "auto"
    id: str | None = None
    language: str | None = None
    lines: int | None = None
    per: Mapping[Unit, Length] = field(default_factory=dict)
    force: bool = False
    dry_run: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenOutline:
    """One chapter's outline: ``text`` is the file's, ``dropped`` names the sections that it loses. ``planned`` are its
    lines where the document states lengths, else None."""

    id: str
    title: str
    path: Path
    source: str
    text: str
    state: Literal["new", "changed", "same"]
    sections: int
    lines: int
    length: Length
    stated: Length | None
    planned: int | None
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportResult:
    """The outlines, the chapters that the book got an entry for, and those that it called finished, or stated another
    length for: it does no more."""

    outlines: tuple[WrittenOutline, ...]
    added_to_book: tuple[str, ...] = ()
    reopened: tuple[str, ...] = ()


class KnownChapters:
    """The chapters that a workspace has in its book or as outlines. Outlines are read only where their documents are
    asked for: a plan can be imported beside one that is broken."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.book = workspace.book() if workspace.book_path.is_file() else None
        self.chapters = self.book.chapters if self.book else ()
        self.outlined = workspace.chapter_ids()
        self.ids = {one.id: None for one in self.chapters} | dict.fromkeys(self.outlined)
        self.by_title: dict[str, str] = {}
        for one in reversed(self.chapters):
            self.by_title |= {key: one.id for title in one.title.every() if (key := title_key(title))}

    @cached_property
    def sources(self) -> dict[str, str]:
        """The documents of the outlines. Raises ``InputErrors`` for one that cannot be read."""
        return {chapter: self.workspace.outline(chapter).source for chapter in self.outlined}

    @cached_property
    def by_source(self) -> dict[str, str]:
        """What document belongs to which, in an outline or, which comes first, in the book."""
        found = {source: chapter for chapter, source in reversed(self.sources.items())}
        return found | {one.source: one.id for one in reversed(self.chapters) if one.source}

    def path_inside(self, path: Path) -> str | None:
        """A document as an outline names it, None for one outside the workspace."""
        root, resolved = self.workspace.root.resolve(), path.resolve()
        return shown_path(resolved, root) if resolved.is_relative_to(root) else None

    def language(self, text: str, code: str | None) -> OutlineLanguage:
        """The language of titles and topics: ``code``, else the one of the book's that fits the text's script."""
        languages = self.book.languages if self.book else ()
        if code is not None and self.book:
            self.book.require_language(code)
        if code is None:
            cjk = matching.is_cjk_text(matching.prose(text))
            fitting = [known for known in languages if matching.is_cjk_language(known) is cjk]
            code = next(iter(fitting or languages), "zh" if cjk else "en")
        return OutlineLanguage(code=code, several=len(languages) > 1)

    def next_id(self, title: str, used: Sequence[str] = (), reserved: Sequence[str] = ()) -> str:
        """An id that no chapter has, nor is ``used`` or ``reserved``: the number after the last where all are numbers,
        as in a workspace without any, else the title as one."""
        taken = [*self.ids, *used]
        if all(known.isascii() and known.isdecimal() for known in taken):
            numbers = [int(known) for known in (*taken, *reserved) if known.isascii() and known.isdecimal()]
            return f"{max(numbers, default=0) + 1:0{max(map(len, taken), default=2)}d}"
        wanted = file_id(title.lower())[:_MAX_TITLE_ID].rstrip("-._") or "chapter"
        return all_free([wanted], (*taken, *reserved))[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentReading:
    """What a document says: ``kind`` is how it was read, and ``plan`` its chapters with lengths as it states them."""

    known: KnownChapters
    document: Path
    text: str
    kind: Kind
    plan: Plan


def read_document(workspace: Workspace, document: Path, request: ImportRequest) -> DocumentReading:
    """The document's chapters under the ids that they have or get. Raises ``InputError`` for what is no document, and
    for a plan that is not understood."""
    _require_document(document)
    known, text = KnownChapters(workspace), read_text(document)
    kind, plan = _read(known, document, text, request.kind)
    chapters = tuple(_under_known_ids(known, plan.chapters))
    if request.id is not None:
        chapters = (_under_id(known, chapters, request.id, document),)
    return DocumentReading(known=known, document=document, text=text, kind=kind, plan=replace(plan, chapters=chapters))


def write_outlines(reading: DocumentReading, request: ImportRequest) -> ImportResult:
    """Writes what was read, or in a dry run works it out only. Raises ``InputError`` before anything is written."""
    known, place = reading.known, Place(path=reading.document)
    language = known.language(reading.text, request.language)
    writer = OutlineWriter(known, language, request.lines or DEFAULT_LINES, origin=reading.document)
    outlines = [writer.outline_for(converted(one, request.per, place=place)) for one in reading.plan.chapters]
    for outline in outlines:
        source = known.workspace.source_path(outline.source)
        if reading.kind == "plan" and source.resolve() == reading.document.resolve():
            raise InputError(
                f"chapter {outline.id} has the plan itself as its document",
                remedy="give the plan another name, or take --from headings if this is the chapter",
                place=place,
            )
    return writer.write(outlines, force=request.force, dry_run=request.dry_run)


# What a document says.


def _require_document(document: Path) -> None:
    """Refuses what is neither Markdown nor text."""
    if not document.is_file():
        what, remedy = "there is no such file", "name a document; `expand init` finds the chapters of a folder"
    elif document.suffix.lower() in _NO_DOCUMENTS:
        what = f"a {document.suffix} file is no document with headings"
        remedy = "name a Markdown file; `expand init` reads mkdocs.yml and book.toml"
    else:
        return
    raise InputError(what, remedy=remedy, place=Place(path=document))


def _read(known: KnownChapters, document: Path, text: str, kind: Kind) -> tuple[Kind, Plan]:
    """What a document says, and how it was read to find that."""
    if kind == "summary" or (kind == "auto" and document.name.lower() == "summary.md"):
        chapters = tuple(_from_summary(known, document, text))
        if not chapters:
            raise InputError(
                "no chapter is listed here", remedy="write - [Title](chapter.md) for each", place=Place(path=document)
            )
        return "summary", Plan(chapters=chapters)
    if kind != "headings":
        plan = read_plan(text, without_lengths=kind == "plan")
        if plan.chapters and (kind == "plan" or not plan.is_prose):
            named = title_of_file(document.name)
            chapters = tuple(one if one.title or one.file else replace(one, title=named) for one in plan.chapters)
            return "plan", replace(plan, chapters=chapters)
        _refuse_plan(document, text, plan, kind)
    source = known.path_inside(document)
    chapter = known.by_source.get(source) or _other_id(known, source) if source else None
    return "headings", Plan(chapters=(read_headings(text, file=source or document.name, chapter=chapter),))


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


def _from_summary(known: KnownChapters, document: Path, text: str) -> Iterator[Proposal]:
    entries = read_summary(text)
    listed = {known.path_inside(document.parent / entry.file) for entry in entries if entry.file}
    free = [(source, one) for source, one in known.by_source.items() if source not in listed]
    others = [one for source, one in free if known.workspace.source_path(source).is_file()]
    for chapter, entry in with_ids(entries, [one for one in others if not number_of_file(one)]):
        file = entry.file or f"{chapter}.md"
        path = document.parent / file
        inside = known.path_inside(path)
        if not inside and not path.resolve().is_relative_to(document.parent.resolve()):  # links are followed
            raise InputError(
                f"the listed document {path} leads to {path.resolve()}, outside of the listing's folder and the "
                "workspace",
                remedy="copy it into the folder, or leave it out of the list",
                place=Place(path=document),
            )
        source = inside or file
        there = read_text(path) if path.is_file() else ""
        proposal = read_headings(there, file=source, chapter=known.by_source.get(source, chapter))
        yield replace(proposal, title=entry.title or proposal.title)


def _under_known_ids(known: KnownChapters, proposals: Sequence[Proposal]) -> Iterator[Proposal]:
    """The proposals under the ids that their chapters have already, and what has none under a new one.

    A proposal whose id is new takes the chapter of the book that has its document, else its title where not both name
    a document, if just one has; each chapter once."""
    used, given = {proposal.id for proposal in proposals}, list[str]()
    for proposal in proposals:
        file, title, key = proposal.file or "", proposal.title, title_key(proposal.title)
        free = [one for one in known.chapters if one.id not in used] if proposal.id not in known.ids else []
        by_file = [one for one in free if file and one.source and _is_end(*sorted((file, one.source), key=len))]
        by_title = [one for one in free if key in map(title_key, one.title.every()) and not (file and one.source)]
        found = next((some[0].id for some in (by_file, by_title) if len(some) == 1), proposal.id)
        if proposal.file and title == proposal.id:  # the plan gives it no title of its own
            of_book = (said for one in known.chapters if one.id == found for said in one.title.every())
            title = next(of_book, title_of_file(proposal.file))
        given.append(found or known.next_id(title, given, [one.id for one in proposals]))
        used.add(given[-1])
        yield replace(proposal, id=given[-1], title=title, file=file or None)


def _is_end(short: str, path: str) -> bool:
    return f"/{path}".endswith(f"/{short}")


def require_id(chapter: str) -> None:
    """Raises ``InputError`` for what ``--id`` cannot be."""
    if wrong := id_mistake(chapter or " "):
        raise InputError(f"--id {chapter!r} {wrong[0]}", remedy=wrong[1])


def _under_id(known: KnownChapters, proposals: Sequence[Proposal], chapter: str, document: Path) -> Proposal:
    """The chapter of several that the person names; the only one as that, with the title that the book has for it."""
    require_id(chapter)
    if len(proposals) > 1:
        chosen = [one for one in proposals if one.id == chapter]
        if not chosen:
            planned = ", ".join(one.id for one in proposals)
            raise InputError(
                f"chapter {chapter!r} is not planned here", remedy=f"planned are: {planned}", place=Place(path=document)
            )
        return chosen[0]
    own = known.by_source.get(known.path_inside(document) or "", chapter)
    if own != chapter:
        raise InputError(f"{document} is chapter {own} already", remedy=f"leave --id {chapter} out")
    book = next((one for one in known.chapters if one.id == chapter), None)
    return replace(proposals[0], id=chapter, title=book.title.every()[0] if book else proposals[0].title)


def _other_id(known: KnownChapters, source: str) -> str | None:
    """The id of a document whose name is another document's as well: with its folder, ``client-overview``. None where
    its name is free, or begins with a chapter's number."""
    wanted = id_of_file(source)
    taken = known.sources
    if wanted not in taken or number_of_file(source) or not known.workspace.source_path(taken[wanted]).is_file():
        return None
    return all_free([file_id("-".join(PurePosixPath(source).with_suffix("").parts[-2:]))], taken)[0]


# Outlines.


@dataclass(frozen=True, slots=True)
class OutlineWriter:
    """Makes outlines from proposals in one language; ``lines`` are a chapter's where it states none. ``origin`` is the
    document that the proposals come from, for messages."""

    known: KnownChapters
    language: OutlineLanguage
    lines: int
    origin: Path | None = None

    def outline_for(self, proposal: Proposal) -> WrittenOutline:
        """The outline that the proposal makes; nothing is written. Raises ``InputError``."""
        workspace = self.known.workspace
        path, before, dropped = workspace.outline_path(proposal.id), "", tuple[str, ...]()
        if path.is_file():
            source = workspace.outline(proposal.id).source  # refuses an outline that cannot be read
            before = read_text(path)
            text, dropped = outline_yaml.updated_outline(before, proposal, language=self.language, lines=self.lines)
        else:
            source = self._source(proposal)
            schema = SCHEMA_FILE if (path.parent / SCHEMA_FILE).is_file() else None
            whole = settled(proposal, lines=self.lines)
            text = outline_yaml.new_outline(whole, source=source, language=self.language, schema=schema)
        outline = self._read_back(proposal, text)
        states_lengths = proposal.target or any(section.length for section in proposal.sections)
        return WrittenOutline(
            id=proposal.id,
            title=proposal.title,
            path=path,
            source=source,
            text=text,
            state="same" if text == before else "changed" if before else "new",
            sections=len(outline.sections),
            lines=outline.target_lines,
            length=_length(outline),
            stated=proposal.target or (Length(outline.stated_lines, "lines") if outline.stated_lines else None),
            planned=outline.stated_lines or outline.target_lines if states_lengths else None,
            dropped=dropped,
        )

    def write(self, outlines: Sequence[WrittenOutline], *, force: bool = False, dry_run: bool = False) -> ImportResult:
        """Writes what is new or changed, and brings the book up to it; a dry run says what that would be. Raises
        ``InputErrors`` where an existing outline would change without ``force``."""
        workspace, book = self.known.workspace, self.known.book
        where = f"in {self.origin.name}" if self.origin else "in the proposal"
        shows = ", --dry-run shows what it would become" if self.origin else ""
        errors = [
            InputError(
                f"the outline exists, and chapter {outline.id} reads differently {where}",
                remedy=f"--force changes it in place{shows}",
                place=Place(path=workspace.relative(outline.path)),
            )
            for outline in outlines
            if outline.state == "changed"
        ]
        if errors and not (force or dry_run):
            raise InputErrors(errors)
        changed = [outline for outline in outlines if outline.state != "same"]
        known = {chapter.id: chapter for chapter in self.known.chapters}
        missing = [outline for outline in outlines if book and outline.id not in known]
        entries = [(one, known[one.id]) for one in changed if one.id in known]
        reopened = [
            one.id for one, of in entries if of.finished or (one.planned and of.target_lines not in (None, one.planned))
        ]
        if not dry_run:
            for outline in changed:
                write_atomically(outline.path, outline.text)
            if missing or reopened:
                further = [(one.id, one.title, one.source, one.length) for one in missing]
                before = read_text(workspace.book_path)
                text = outline_yaml.updated_book(before, further, reopened, language=self.language)
                write_atomically(workspace.book_path, text)
        return ImportResult(
            outlines=tuple(outlines),
            added_to_book=tuple(one.id for one in missing),
            reopened=tuple(reopened),
        )

    def _read_back(self, proposal: Proposal, text: str) -> Outline:
        """The outline as ``text`` says it. Refuses one that cannot be read, naming the place in the document."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{proposal.id}.yaml"
            path.write_text(text, encoding="utf-8")
            try:
                return read_outline(path, root=self.known.workspace.root, chapter_id=proposal.id)
            except InputErrors as wrong:
                first = wrong.errors[0]
                raise InputError(
                    f"chapter {proposal.id} makes no outline: {first.what}",
                    remedy=first.remedy,
                    place=Place(path=self.origin, line=proposal.line) if self.origin else None,
                ) from wrong

    def _source(self, proposal: Proposal) -> str:
        """The document of a new outline: the book's, else a file that exists, else a name beside the book's others."""
        workspace, path_inside = self.known.workspace, self.known.path_inside
        sources = {one.id: one.source for one in self.known.chapters if one.source}
        if proposal.id in sources:
            return sources[proposal.id]
        name = proposal.file or f"{proposal.id}.md"
        own = self.origin and path_inside(self.origin)

        def free(path: Path) -> bool:  # a plan is no chapter's document
            return path.is_file() and (own in (None, proposal.file) or path_inside(path) != own)

        for folder in (".", "chapters", "docs", "src"):
            candidate = (PurePosixPath(folder) / name).as_posix()
            if free(workspace.inside(candidate)):
                return candidate
        folders = {PurePosixPath(source).parent.as_posix() for source in sources.values()}
        return f"{folders.pop() if len(folders) == 1 else 'chapters'}/{PurePosixPath(name).name}"


def _length(outline: Outline) -> Length:
    """What the sections add up to, in the unit that all of them count; else in lines."""
    for unit in ("words", "characters"):
        amounts = [getattr(section, unit) for section in outline.sections]
        if all(amounts):
            return Length(sum(amounts), unit)
    return Length(outline.target_lines, "lines")
