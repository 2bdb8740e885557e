"""Writes proposals into a workspace: an outline for each, and an entry in the book.

Everything is worked out and read back before anything is written. An outline that exists and would change keeps its
comments, its order, its other languages and what the proposal does not mention.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from expand.errors import InputError, InputErrors, Place
from expand.importers import outline_yaml
from expand.importers.documents import id_of_file
from expand.importers.lengths import Length
from expand.importers.outline_yaml import OutlineLanguage
from expand.importers.proposal import Proposal, file_id, first_free, settled
from expand.importers.text_patterns import number_of_file
from expand.markdown import matching
from expand.markdown.blocks import newline_of
from expand.outline import Book, Outline
from expand.outline.reading import read_outline
from expand.schema.source_text import shown_path
from expand.workspace import Workspace, read_text, write_atomically

SCHEMA_FILE = ".schema/outline.json"
"""Where ``expand init`` puts the schema, from the folder of the outlines."""

MAX_TITLE_ID = 40
"""Characters of an id that is made of a title."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenOutline:
    """One chapter's outline: ``text`` is the file's, ``dropped`` names the sections that it loses."""

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
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class OutlineWriter:
    """Makes outlines from proposals in one language; ``lines`` are a chapter's where it states none.

    ``origin`` is the document that the proposals come from, for messages."""

    workspace: Workspace
    book: Book | None
    language: OutlineLanguage
    lines: int
    origin: Path | None = None
    _sources: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        chapters = self.book.chapters if self.book else ()
        object.__setattr__(self, "_sources", {one.id: one.source for one in chapters if one.source})

    def outline_for(self, proposal: Proposal) -> WrittenOutline:
        """The outline that the proposal makes; nothing is written. Raises ``InputError``."""
        path = self.workspace.outline_path(proposal.id)
        dropped: tuple[str, ...] = ()
        if path.is_file():
            source = self.workspace.outline(proposal.id).source  # refuses an outline that cannot be read
            before = read_text(path)
            rewritten = outline_yaml.updated_outline(
                before.replace("\r\n", "\n"), proposal, language=self.language, lines=self.lines
            )
            text, dropped = rewritten.text.replace("\n", newline_of(before)), rewritten.dropped
        else:
            before, source = "", self._source(proposal)
            schema = SCHEMA_FILE if (path.parent / SCHEMA_FILE).is_file() else None
            whole = settled(proposal, lines=self.lines)
            text = outline_yaml.new_outline(whole, source=source, language=self.language, schema=schema)
        outline = self._read_back(proposal, text)
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
            dropped=dropped,
        )

    def refuse_changes(self, outlines: Sequence[WrittenOutline]) -> None:
        """Raises ``InputErrors`` where an existing outline would change."""
        where = f"in {self.origin.name}" if self.origin else "in the proposal"
        shows = ", --dry-run shows what it would become" if self.origin else ""
        errors = [
            InputError(
                f"the outline exists, and chapter {outline.id} reads differently {where}",
                remedy=f"--force changes it in place{shows}",
                place=Place(path=self.workspace.relative(outline.path)),
            )
            for outline in outlines
            if outline.state == "changed"
        ]
        if errors:
            raise InputErrors(errors)

    def write(self, outlines: Sequence[WrittenOutline]) -> tuple[str, ...]:
        """Writes what is new or changed. Returns the chapters that were added to the book."""
        for outline in outlines:
            if outline.state != "same":
                write_atomically(outline.path, outline.text)
        missing = self.missing_from_book(outlines)
        if missing:
            new = set(missing)
            entries = [(one.id, one.title, one.source, one.length) for one in outlines if one.id in new]
            before = read_text(self.workspace.book_path)
            text = outline_yaml.with_chapters(before.replace("\r\n", "\n"), entries, language=self.language)
            write_atomically(self.workspace.book_path, text.replace("\n", newline_of(before)))
        return missing

    def missing_from_book(self, outlines: Sequence[WrittenOutline]) -> tuple[str, ...]:
        """The chapters that the book has no entry for; none where there is no book."""
        if self.book is None:
            return ()
        known = {chapter.id for chapter in self.book.chapters}
        return tuple(outline.id for outline in outlines if outline.id not in known)

    def _read_back(self, proposal: Proposal, text: str) -> Outline:
        """The outline as ``text`` says it. Refuses one that cannot be read, naming the place in the document."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{proposal.id}.yaml"
            path.write_text(text, encoding="utf-8")
            try:
                return read_outline(path, root=self.workspace.root, chapter_id=proposal.id)
            except InputErrors as wrong:
                first = wrong.errors[0]
                raise InputError(
                    f"chapter {proposal.id} makes no outline: {first.what}",
                    remedy=first.remedy,
                    place=Place(path=self.origin, line=proposal.line) if self.origin else None,
                ) from wrong

    def _source(self, proposal: Proposal) -> str:
        """The document of a new outline: the book's, else a file that exists, else a name beside the book's others."""
        if proposal.id in self._sources:
            return self._sources[proposal.id]
        name = proposal.file or f"{proposal.id}.md"
        own = self.origin and path_inside(self.workspace, self.origin)

        def free(path: Path) -> bool:  # a plan is no chapter's document
            return path.is_file() and (own in (None, proposal.file) or path_inside(self.workspace, path) != own)

        here = path_inside(self.workspace, self.origin.parent) if self.origin else None
        for folder in (".", here or ".", "chapters", "docs", "src"):
            candidate = (PurePosixPath(folder) / name).as_posix()
            if free(self.workspace.inside(candidate)):
                return candidate
        numbered = [*filter(free, self.workspace.inside("chapters").glob(f"{proposal.id}[_-]*.md"))]
        if len(numbered) == 1:
            return self.workspace.relative(numbered[0])
        folders = {PurePosixPath(source).parent.as_posix() for source in self._sources.values()}
        return f"{folders.pop() if len(folders) == 1 else 'chapters'}/{PurePosixPath(name).name}"


def _length(outline: Outline) -> Length:
    """What the sections add up to, in the unit that all of them count; else in lines."""
    for unit in ("words", "characters"):
        amounts = [getattr(section, unit, 0) for section in outline.sections]
        if all(amounts):
            return Length(sum(amounts), unit)
    return Length(outline.target_lines, "lines")


def outline_language(text: str, book: Book | None, code: str | None) -> OutlineLanguage:
    """The language of titles and topics: ``code``, else the one of the book's that fits the text's script."""
    languages = book.languages if book else ()
    if code is not None and book and code not in languages:
        raise InputError(
            f"the book has no language {code!r}",
            remedy=f"give one of: {', '.join(languages)}, or add it to outlines/book.yaml",
        )
    if code is None:
        cjk = matching.is_cjk_text(matching.prose(text))
        fitting = [known for known in languages if matching.is_cjk_language(known) is cjk]
        code = next(iter(fitting or languages), "zh" if cjk else "en")
    return OutlineLanguage(code=code, several=len(languages) > 1)


def next_id(ids: Sequence[str], title: str) -> str:
    """An id that is not among ``ids``: the number after the last where all are numbers, else the title as one."""
    if ids and all(known.isascii() and known.isdecimal() for known in ids):
        width = max(map(len, ids))
        return f"{max(map(int, ids)) + 1:0{width}d}"
    wanted = file_id(title.lower())[:MAX_TITLE_ID].rstrip("-._") or "chapter"
    return first_free(wanted, ids)


def path_inside(workspace: Workspace, path: Path) -> str | None:
    """A document as an outline names it, None for one outside the workspace."""
    root, resolved = workspace.root.resolve(), path.resolve()
    return shown_path(resolved, root) if resolved.is_relative_to(root) else None


def ids_by_source(workspace: Workspace) -> dict[str, str]:
    """The chapters that documents belong to already, in an outline or, which comes first, in the book."""
    found = {workspace.outline(chapter).source: chapter for chapter in reversed(workspace.chapter_ids())}
    chapters = workspace.book().chapters if workspace.book_path.is_file() else ()
    return found | {chapter.source: chapter.id for chapter in reversed(chapters) if chapter.source}


def other_id(workspace: Workspace, source: str) -> str | None:
    """The id of a document whose name is another document's as well: with its folder, ``client-overview``. None where
    its name is free, or begins with a chapter's number."""
    wanted = id_of_file(source)
    taken = {chapter: workspace.outline(chapter).source for chapter in workspace.chapter_ids()}
    if wanted not in taken or number_of_file(source) or not workspace.source_path(taken[wanted]).is_file():
        return None
    return first_free(file_id("-".join(PurePosixPath(source).with_suffix("").parts[-2:])), taken)
