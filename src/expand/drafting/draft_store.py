"""The drafts that a run works on: opened when their turn comes, and closed when it is over.

A book may have a thousand chapters; only some are open at a time, so that memory does not grow
with the book.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from expand.checks import Finding, check_chapter, source_findings
from expand.drafting.acceptance_record import Acceptances
from expand.drafting.chapter_state import Chapter, ModelSetup
from expand.drafting.draft_file import DraftFile, drafts_lock
from expand.drafting.run_options import RunOptions
from expand.outline import Book, Outline
from expand.workspace import Workspace, decoded

KEPT = 8_000_000
"""The size to which drafts that nobody works on yet stay open, so that they are not read twice;
what one takes beside its own texts; and how often it holds its source's."""
KEPT_EACH, KEPT_SOURCES = 12_000, 5

WRITE_SECONDS = 1.0
"""How long a finished section may wait for its draft to be written; it waits half of that at least,
for its chapter may be done by then. Its answers are in the ledger, so a kill loses nothing: the
next run puts it there."""


class DraftStore:
    """The drafts of a run by chapter id. ``outlines`` are those that were read already."""

    def __init__(
        self,
        workspace: Workspace,
        book: Book,
        *,
        outlines: Mapping[str, Outline],
        options: RunOptions,
        means: ModelSetup,
    ) -> None:
        self._workspace = workspace
        self._book = book
        self._outlines = outlines
        self._options = options
        self._means = means
        self._idle: dict[str, DraftFile] = {}
        self._sizes: dict[str, int] = {}
        self._room = KEPT
        self._worked_on: dict[str, DraftFile] = {}
        self._given_way: dict[str, set[int]] = {}
        self._proven = False
        """Whether a draft could be written."""

    def look(self, chapter: str) -> DraftFile:
        """The draft, to look at before work on it begins. Raises ``InputError``."""
        found = self._worked_on.get(chapter) or self._idle.get(chapter)
        if found is None:
            found = DraftFile(self._workspace, self._open(chapter))
            for number in self._given_way.get(chapter, ()):
                found.overwrite(number)
            size = _size(found)
            if size <= self._room:
                self._room -= size
                self._idle[chapter], self._sizes[chapter] = found, size
        return found

    def take(self, chapter: str) -> DraftFile:
        """The draft, to work on: it stays open until it is closed. Its file is written soon, with
        what the sections consist of before a model wrote anything; a run's first one at once, so
        that a folder that cannot be written is found before anything is spent.
        """
        found = self._worked_on.get(chapter)
        if found is None:
            found = self._worked_on[chapter] = self.look(chapter)
            self._idle.pop(chapter, None)
            self._room += self._sizes.pop(chapter, 0)
            found.begin()
            if not self._proven:
                found.write()
                self._proven = True
        return found

    def close(self, chapter: str) -> None:
        """Lets go of a draft that is finished."""
        self._worked_on.pop(chapter, None)

    def overwrite(self, chapter: str, number: int) -> None:
        """Lets the tool replace a section that a person edited, as they asked for by name."""
        self._given_way.setdefault(chapter, set()).add(number)
        self.look(chapter).overwrite(number)

    def write(self) -> None:
        """Writes every draft that holds more than its file. Raises ``InputError``."""
        self._write(self._dirty())

    def _dirty(self) -> list[DraftFile]:
        return [folio for folio in self._worked_on.values() if folio.dirty]

    def _write(self, some: Collection[DraftFile]) -> None:
        if some:
            with drafts_lock(self._workspace.root):
                for folio in some:
                    folio.write()

    async def keep_written(self, done: asyncio.Event) -> None:
        """Writes what came, every now and then, until all is done."""
        waiting: list[DraftFile] = []
        while not done.is_set():
            try:
                await asyncio.wait_for(done.wait(), WRITE_SECONDS / 2)
            except TimeoutError:
                self._write([folio for folio in self._dirty() if folio in waiting])
                waiting = self._dirty()

    def _open(self, chapter: str) -> Chapter:
        return open_chapter(
            self._workspace,
            self._book,
            chapter,
            options=self._options,
            means=self._means,
            outline=self._outlines.get(chapter),
        )


def _size(folio: DraftFile) -> int:
    source = KEPT_SOURCES * len(folio.chapter.source_text)
    return KEPT_EACH + source + sum(map(len, folio.texts.values()))


def open_chapter(
    workspace: Workspace,
    book: Book,
    chapter_id: str,
    *,
    options: RunOptions,
    means: ModelSetup,
    outline: Outline | None = None,
) -> Chapter:
    """A chapter of the workspace, ready to be drafted. Raises ``InputError``."""
    outline = outline or workspace.outline(chapter_id)
    source = Acceptances(workspace).origin(chapter_id, workspace.source_bytes(outline))
    return Chapter(
        book=book,
        outline=outline,
        source_text=decoded(source, workspace.root / outline.source),
        options=options,
        means=means,
    )


def across(
    workspace: Workspace, folio: DraftFile, *, whole: bool, links: dict[str, bool] | None = None
) -> tuple[Finding, ...]:
    """What shows only across sections; of a ``whole`` chapter also what is missing from it.

    In ``links`` it is noted which files were looked for, and whether they are there.
    """
    chapter = folio.chapter
    beside = workspace.root / chapter.outline.source
    met = {} if links is None else links

    def exists(path: str) -> bool:
        return met.setdefault(path, (beside.parent / path).exists())

    quality = chapter.outline.quality if whole else None
    found = check_chapter(folio.texts, quality=quality, exists=exists)
    if whole:
        found += source_findings(chapter.source_blocks, folio.text)
    return found
