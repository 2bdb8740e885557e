"""Proposals into a workspace: an outline for each, and an entry in the book.

Everything is worked out and read back before anything is written. An outline that is there and
would change keeps its comments, its order, its other languages and what the proposal does not
speak of.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from expand.errors import InputError, InputErrors, Place
from expand.importers import outline_yaml
from expand.importers.outline_yaml import OutlineLanguage
from expand.importers.proposal import Proposal, settled
from expand.markdown import matching
from expand.markdown.blocks import newline_of
from expand.outline import Book, Outline
from expand.outline.reading import read_outline
from expand.schema.source_text import shown_path
from expand.workspace import Workspace, read_text, write_atomically

SCHEMA_FILE = ".schema/outline.json"
"""Where ``expand init`` puts the schema, from the folder of the outlines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenOutline:
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
class OutlineWriter:
    """How proposals are filed: ``origin`` is what they come from, named in messages; ``lines`` are
    a chapter's where it states none; ``how`` is the language of its texts.
    """

    workspace: Workspace
    book: Book | None
    how: OutlineLanguage
    lines: int
    origin: Path | None = None

    def taken(self, proposal: Proposal) -> WrittenOutline:
        """The proposal as the outline that it would be. Raises ``InputError``."""
        path = self.workspace.outline_path(proposal.id)
        dropped: tuple[str, ...] = ()
        if path.is_file():
            former = self.workspace.outline(proposal.id)  # refuses what cannot be read, and says why
            before = read_text(path)
            rewritten = outline_yaml.updated_outline(
                before.replace("\r\n", "\n"), proposal, wording=self.how, lines=self.lines
            )
            text = rewritten.text.replace("\n", newline_of(before))
            dropped, source = rewritten.dropped, former.source
        else:
            before, source = "", self._source(proposal)
            schema = SCHEMA_FILE if (path.parent / SCHEMA_FILE).is_file() else None
            whole = settled(proposal, lines=self.lines)
            text = outline_yaml.new_outline(whole, source=source, wording=self.how, schema=schema)
        outline = self._check(proposal, text)
        return WrittenOutline(
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

    def refuse_changes(self, taken: Sequence[WrittenOutline]) -> None:
        """Raises ``InputErrors`` where an outline that is there would become another."""
        where = f"in {self.origin.name}" if self.origin else "in the proposal"
        errors = [
            InputError(
                f"it is there, and chapter {one.id} reads differently {where}",
                remedy="--force changes it in place, --dry-run shows what it would become"
                if self.origin
                else "--force changes it in place",
                place=Place(path=self.workspace.relative(one.path)),
            )
            for one in taken
            if one.state == "changed"
        ]
        if errors:
            raise InputErrors(errors)

    def write(self, taken: Sequence[WrittenOutline]) -> tuple[str, ...]:
        """Writes what is new or changed. Returns the chapters that the book got an entry for."""
        for one in taken:
            if one.state != "same":
                write_atomically(one.path, one.text)
        missing = self.missing(taken)
        if missing:
            entries = [(one.id, one.title, one.source, one.lines) for one in missing]
            text = read_text(self.workspace.book_path)
            booked = outline_yaml.with_chapters(text.replace("\r\n", "\n"), entries, wording=self.how)
            write_atomically(self.workspace.book_path, booked.replace("\n", newline_of(text)))
        return tuple(one.id for one in missing)

    def missing(self, taken: Sequence[WrittenOutline]) -> list[WrittenOutline]:
        """Those that the book has no entry for."""
        if self.book is None:
            return []
        known = {chapter.id for chapter in self.book.chapters}
        return [one for one in taken if one.id not in known]

    def _check(self, proposal: Proposal, text: str) -> Outline:
        """The outline read back; what cannot be is refused, naming the place in the document."""
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
        """The document of a new outline: the book's, else a file that is there, else a name."""
        for chapter in self.book.chapters if self.book else ():
            if chapter.id == proposal.id and chapter.source:
                return chapter.source
        root = self.workspace.root
        name = proposal.file or f"{proposal.id}.md"
        here = inside(self.workspace, self.origin.parent) if self.origin else None
        folders = [".", here or ".", "chapters", "docs", "src"]
        for folder in dict.fromkeys(folders):
            candidate = (PurePosixPath(folder) / name).as_posix()
            if (root / candidate).is_file():
                return candidate
        numbered = sorted((root / "chapters").glob(f"{proposal.id}[_-]*.md"))
        if len(numbered) == 1:
            return self.workspace.relative(numbered[0])
        return f"{self._folder()}/{PurePosixPath(name).name}"

    def _folder(self) -> str:
        """Where a document that does not exist yet is to be: beside the book's other ones."""
        sources = [chapter.source for chapter in self.book.chapters if chapter.source] if self.book else []
        folders = {PurePosixPath(source).parent.as_posix() for source in sources}
        return folders.pop() if len(folders) == 1 else "chapters"


def wording_for(text: str, book: Book | None, language: str | None) -> OutlineLanguage:
    """How titles and topics are written: under their language where the book has several."""
    languages = book.languages if book else ()
    if language is not None and book and language not in languages:
        raise InputError(
            f"the book has no language {language!r}",
            remedy=f"give one of: {', '.join(languages)}, or add it to outlines/book.yaml",
        )
    if language is None:
        language = _language(text, languages)
    return OutlineLanguage(language=language, several=len(languages) > 1)


def _language(text: str, languages: Sequence[str]) -> str:
    """The language of the book's that the text looks like, going by its script."""
    cjk = matching.is_cjk_text(matching.prose(text))
    fits = [code for code in languages if matching.is_cjk_language(code) is cjk]
    return next(iter(fits or languages), "zh" if cjk else "en")


def inside(workspace: Workspace, path: Path) -> str | None:
    """A document as an outline names it, None for one outside of the workspace."""
    resolved = path.resolve()
    within = resolved.is_relative_to(workspace.root.resolve())
    return shown_path(resolved, workspace.root.resolve()) if within else None


def id_of_source(workspace: Workspace, source: str) -> str | None:
    """The chapter that a document is already known as, from the book or from an outline."""
    if workspace.book_path.is_file():
        for chapter in workspace.book().chapters:
            if chapter.source == source:
                return chapter.id
    for known in workspace.chapter_ids():
        if workspace.outline(known).source == source:
            return known
    return None
