"""Drafts while they are worked on: their sections, and the files that others may edit as well.

What holds: a file is written whole or not at all; a section, header or footer that a person edited - before the run or
during it - is kept as it is; and so is a section that another run wrote meanwhile, so that several runs may work on one
draft at a time.

A draft is made of the ledger's answers and can be made again, so its writing does not wait for the disk; where there is
an edit in it, it does.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache

from filelock import FileLock

from expand.checks import Finding, check_chapter, not_ignored, source_findings
from expand.document import draft as document
from expand.document.draft import Draft, DraftSection, Stamp
from expand.document.follow import followed, new_numbers, title_of
from expand.document.layout import assembled
from expand.document.page import Page, anchors
from expand.document.site import PLAIN, documents_folder, files_of_link, site_of
from expand.drafting.acceptance_record import Acceptances, file_hash, state_lock
from expand.drafting.brief import read_brief
from expand.drafting.chapter import Chapter, Revision, differences
from expand.drafting.events import SectionStatus
from expand.drafting.model_setup import ModelSetup
from expand.drafting.results import ChapterResult, SectionResult
from expand.drafting.run_options import RunOptions
from expand.drafting.section_text import SectionText
from expand.errors import InputError
from expand.markdown import lines
from expand.markdown.blocks import anchor
from expand.outline import Book, Outline, Section
from expand.workspace import Workspace, decoded, read_bytes, write_atomically

MOST_OPEN = 32
"""Drafts that stay open between the look at them and the work on them; of a larger book the others are read twice, so
that memory does not grow with the book."""
SOURCE_KEY = "source"
"""The key of a section that is as the source has it, in the layout that keeps the document's form."""
WRITE_SECONDS = 1.0
"""How long a finished section may wait for its draft to be written. Its answers are in the ledger, so a kill loses
nothing: the next run puts it there."""


def open_chapter(
    workspace: Workspace,
    book: Book,
    chapter_id: str,
    *,
    options: RunOptions,
    setup: ModelSetup,
    outline: Outline | None = None,
) -> Chapter:
    """A chapter of the workspace, ready to be drafted. Raises ``InputError``."""
    outline = outline or workspace.outline(chapter_id)
    source = Acceptances(workspace).origin(chapter_id, workspace.source_bytes(outline))
    source_text = decoded(source, workspace.source_path(outline.source), keep_mark=True)
    path = workspace.brief_path(chapter_id)
    brief = read_brief(path, root=workspace.root) if options.brief and path.is_file() else None
    return Chapter(book=book, outline=outline, source_text=source_text, options=options, setup=setup, brief=brief)


class DraftFile:
    """The draft of one chapter."""

    def __init__(self, workspace: Workspace, chapter: Chapter) -> None:
        """Reads the draft if there is one."""
        self.chapter = chapter
        self.texts: dict[int, str] = {}
        self._stamps: dict[int, Stamp] = {}
        self._unwritten: set[int] = set()
        self._workspace = workspace
        self._path = workspace.draft_path(chapter.id)
        self.path = workspace.relative(self._path)
        self._acceptances = Acceptances(workspace)
        present = workspace.source_bytes(chapter.outline)
        self.present_source_hash = file_hash(present) if present else ""
        """Of the source as it stands, which may be an accepted draft."""
        self._source = self._acceptances.origin(chapter.id, present)
        self._source_hash = ""
        self._seen: str | None = None
        self._former: Draft | None = None
        self._titles: dict[int, str] = {}
        """The sections' titles as the draft had them."""
        self._reread()
        for section in chapter.outline.sections:
            if section.number not in self.texts:
                text = SectionText(chapter.skeletons[section.number]).render()
                self.put(section.number, text, SOURCE_KEY if chapter.layout == "keep" else "")
        self._unwritten.clear()

    @property
    def dirty(self) -> bool:
        """Whether there is something that is not in the file yet."""
        return bool(self._unwritten)

    @property
    def text(self) -> str:
        """The draft as it was last read or written; "" before."""
        return self._seen or ""

    def put(self, number: int, text: str, key: str, preceding_hash: str = "") -> None:
        """Take over a section that the tool wrote; ``key`` is "" while it is unfinished."""
        self.texts[number] = text
        self._stamps[number] = Stamp(key=key, text=document.text_hash(text), told=preceding_hash)
        self._unwritten.add(number)

    def edited(self, number: int) -> bool:
        """Whether a person edited the section since the tool wrote it."""
        return self._former is not None and self._former.edited(number)

    def preceding_hash(self, number: int) -> str:
        """The hash of what the section's requests said of the sections before it; "" for nothing."""
        stamp = self._stamps.get(number)
        return stamp.told if stamp else ""

    def reason(self, section: Section, revision: Revision) -> str:
        """Why a section is to be drafted, in words; "" when it is current: made from just what its key says. A section
        that was only renamed is current.
        """
        key = self.chapter.key(section, revision)
        stamp = self._stamps.get(section.number)
        if stamp is not None and stamp.key == key:
            return ""
        former = self._titles.get(section.number)
        if stamp is not None and former and stamp.key == self.chapter.key(section, revision, title=former):
            self._stamps[section.number] = replace(stamp, key=key)
            self._unwritten.add(section.number)
            return ""
        if self._former is None or self._former.section(section.number) is None:
            return "new"
        if stamp is not None and stamp.key == SOURCE_KEY:
            return "new"
        if stamp is None or not stamp.key:
            skeleton = SectionText(self.chapter.skeletons[section.number]).render()
            untouched = self.texts[section.number].strip() == skeleton.strip()
            return "new" if untouched else "unfinished"
        return f"changed: {', '.join(differences(stamp.key, key))}"

    def write(self) -> None:
        """Write the draft as it is now; not at all where nothing changed."""
        with drafts_lock(self._workspace):
            self._reread()
            text, with_edits = self._rendered(self.texts)
            if text != self._seen:
                write_atomically(self._path, text, durable=with_edits)
                self._seen = text
        self._unwritten.clear()

    def _rendered(self, texts: Mapping[int, str]) -> tuple[str, bool]:
        """The draft's text, and whether a person's edits are in it."""
        if self.chapter.arrangement is not None:
            return self._rendered_kept()
        former = self._former
        numbers = [section.number for section in self.chapter.outline.sections]
        others = former.sections if former else ()
        theirs = [section for section in others if section.number not in numbers and self.edited(section.number)]
        keep_head = former if former and former.head_edited else None
        keep_footer = former if former and former.footer_edited else None
        text = document.render(
            head=keep_head.head if keep_head else self.chapter.head(),
            sections=[*(DraftSection(number=n, text=texts[n]) for n in numbers), *theirs],
            footer=keep_footer.footer if keep_footer else self.chapter.footer,
            language=self.chapter.language,
            plan=self.chapter.plan.value,
            source=self._kept_source(),
            stamps={number: self._named(number, stamp) for number, stamp in self._stamps.items()},
            head_hash=keep_head.head_hash if keep_head else None,
            footer_hash=keep_footer.footer_hash if keep_footer else None,
        )
        return text, bool(theirs or keep_head or keep_footer) or any(map(self.edited, numbers))

    def _named(self, number: int, stamp: Stamp) -> Stamp:
        """A stamp with the name of its section in the outline, if it is still there."""
        skeleton = self.chapter.skeletons.get(number)
        return stamp if skeleton is None else replace(stamp, name=anchor(skeleton.title))

    def _rendered_kept(self) -> tuple[str, bool]:
        """The same in the layout that keeps the document's own form."""
        former, chapter = self._former, self.chapter
        numbers = [section.number for section in chapter.outline.sections]
        others = former.sections if former else ()
        theirs = any(section.number not in numbers and self.edited(section.number) for section in others)
        edited = former is not None and (former.rest_edited or theirs)
        # What a person wrote outside of sections stays: then the draft is what the sections go into, not the source.
        base = Page(document.document_text(self.text)) if edited else None
        arrangement = chapter.arranged(base) if base else chapter.arrangement
        assert arrangement is not None
        text, starts = assembled(arrangement, self.texts)
        headings = Page(text).headings
        names = {heading.line: name for heading, name in zip(headings, anchors(headings), strict=True)}
        stamps = {n: replace(self._stamps[n], name=names[at]) for n, at in starts.items() if at in names}
        whole = document.render_kept(
            text,
            language=chapter.language,
            plan=chapter.plan.value,
            source=self._kept_source(former.source_hash if former and edited else ""),
            stamps=stamps,
            rest_hash=former.rest_hash if former and edited else "",
        )
        return whole, edited or any(map(self.edited, numbers))

    def document(self, texts: Mapping[int, str]) -> str:
        """The document of the layout ``numbered`` with these texts of its sections, without the hidden line."""
        text, _ = self._rendered(texts)
        return document.document_text(text)

    def _kept_source(self, former: str = "") -> str:
        """The hash under which the source that the draft is made from is kept; ``former`` for an earlier one."""
        if former:
            return former
        if not self._source_hash:
            keep = self._acceptances.keep
            self._source_hash = keep(self._source, durable=False) if self._source else file_hash(b"")
        return self._source_hash

    def overwrite(self, number: int) -> None:
        """Let the tool replace a section that a person edited, as they asked for by name."""
        if self._former is not None:
            self._former = self._former.without(number)

    def _reread(self) -> None:
        """Take in what the file says by now, if somebody else wrote it since."""
        present = decoded(read_bytes(self._path), self._path, keep_mark=True) if self._path.is_file() else None
        if present is None or present == self._seen:
            return
        first = self._seen is None
        self._seen = present
        read, named = document.read(present), self.chapter.named
        numbers = new_numbers(read, named)
        self._titles = {numbers[section.number]: title_of(section) for section in read.sections}
        self._former = followed(read, named)
        for section in self._former.sections:
            stamp = self._former.stamps.get(section.number)
            if stamp is not None and stamp.key == SOURCE_KEY and not self._former.edited(section.number):
                continue  # the author's own text: as the source has it now
            if first or self._former.edited(section.number) or section.number not in self._unwritten:
                self.texts[section.number] = section.text
                self._stamps.pop(section.number, None)
                if section.number in self._former.stamps:
                    self._stamps[section.number] = self._former.stamps[section.number]

    def section_result(self, section: Section, status: SectionStatus) -> SectionResult:
        """A section as it stands, held against its outline."""
        text = self.texts[section.number]
        return SectionResult(
            number=section.number,
            title=self.chapter.skeletons[section.number].title,
            target_lines=section.lines,
            lines=lines.of_section(text),
            status=status,
            findings=self.chapter.check(section, text),
        )

    def chapter_result(
        self,
        sections: Sequence[SectionResult],
        *,
        whole: bool,
        links: dict[str, bool] | None = None,
        others: Mapping[str, str] | None = None,
    ) -> ChapterResult:
        """The chapter from its sections. What is found across them goes to the section that it names, or to the chapter
        where that section is not among them. For the rest see ``chapter_findings``.
        """
        across = self.chapter_findings(whole=whole, links=links, others=others)
        numbers = {section.number for section in sections}
        return ChapterResult(
            id=self.chapter.id,
            draft=self.path,
            language=self.chapter.language,
            plan=self.chapter.plan.value,
            sections=tuple(
                replace(section, findings=(*section.findings, *(f for f in across if f.section == section.number)))
                for section in sections
            ),
            findings=tuple(f for f in across if f.section not in numbers),
        )

    def chapter_findings(
        self, *, whole: bool, links: dict[str, bool] | None = None, others: Mapping[str, str] | None = None
    ) -> tuple[Finding, ...]:
        """What shows only across sections; of a ``whole`` chapter also what is missing from it.

        In ``links`` it is noted which files were looked for, and whether they are there. ``others`` are the
        texts of the book's other chapters by file.
        """
        chapter, former = self.chapter, self._former
        page = self._workspace.source_path(chapter.outline.source)
        site = site_of(page, self._workspace.root)
        docs = documents_folder(site)
        met = {} if links is None else links

        def exists(target: str) -> bool:
            files = map(str, files_of_link(site, page, target, docs=docs))
            # Not Path.exists, which raises for a name that is too long.
            found = [met.setdefault(file, os.path.exists(file)) for file in files]  # noqa: PTH110
            return not found or any(found)

        pieces: Sequence[str | int] = (chapter.head(), chapter.footer)
        if chapter.arrangement is not None:
            pieces = former.pieces if former and former.pieces else chapter.arrangement.pieces
        found = check_chapter(
            self.texts,
            around=[piece for piece in pieces if isinstance(piece, str)],
            quality=chapter.outline.quality if whole else None,
            exists=exists,
            any_slug=site.generator is not PLAIN,
            others=others,
        )
        if whole:
            found += source_findings(chapter.source_blocks, self.text, layout=chapter.layout)
        return not_ignored(found, self.texts, chapter.ignored)


class DraftStore:
    """The drafts of a run by chapter id. ``outlines`` are those that were read already."""

    def __init__(
        self,
        workspace: Workspace,
        book: Book,
        *,
        options: RunOptions,
        setup: ModelSetup,
        outlines: Mapping[str, Outline] | None = None,
    ) -> None:
        self.options = options
        self._workspace = workspace
        self._book = book
        self._outlines = outlines or {}
        self._setup = setup
        self._open: dict[str, DraftFile] = {}
        self._overwritten: dict[str, set[int]] = {}

    def look(self, chapter: str) -> DraftFile:
        """The draft, to look at before work on it begins. Raises ``InputError``."""
        found = self._open.get(chapter)
        if found is None:
            outline = self._outlines.get(chapter)
            opened = open_chapter(
                self._workspace, self._book, chapter, options=self.options, setup=self._setup, outline=outline
            )
            found = DraftFile(self._workspace, opened)
            for number in self._overwritten.get(chapter, ()):
                found.overwrite(number)
            if len(self._open) < MOST_OPEN:
                self._open[chapter] = found
        return found

    def take(self, chapter: str) -> DraftFile:
        """The draft, to work on: it stays open until it is closed. It is written with what its sections consist of
        before a model wrote anything: a folder that cannot be written is found before anything is spent on it.
        """
        found = self.look(chapter)
        self._open[chapter] = found
        found.write()
        return found

    def close(self, chapter: str) -> None:
        """Write a draft that is finished, and let go of it. One that cannot be written stays open, for ``write``."""
        with suppress(InputError):
            self._open[chapter].write()
            del self._open[chapter]

    def forget(self, chapter: str) -> None:
        """Have the chapter read anew: it has a brief now."""
        self._open.pop(chapter, None)

    def overwrite(self, chapter: str, number: int) -> None:
        """Let the tool replace a section that a person edited, as they asked for by name."""
        self._overwritten.setdefault(chapter, set()).add(number)
        self.look(chapter).overwrite(number)

    def write(self) -> list[InputError]:
        """Write every draft that holds more than its file. Returns why some could not be written."""
        errors: list[InputError] = []
        for draft_file in self._open.values():
            if draft_file.dirty:
                try:
                    draft_file.write()
                except InputError as error:
                    errors.append(error)
        return errors

    async def keep_written(self, done: asyncio.Event) -> None:
        """Write what came, every now and then, until all is done."""
        while not done.is_set():
            try:
                await asyncio.wait_for(done.wait(), WRITE_SECONDS)
            except TimeoutError:
                self.write()  # what cannot be written now is tried again, and told at the end


@lru_cache(maxsize=8)
def drafts_lock(workspace: Workspace) -> FileLock:
    """The lock on a workspace's drafts, over all processes; one for all of its drafts."""
    return state_lock(workspace, "drafts.lock")
