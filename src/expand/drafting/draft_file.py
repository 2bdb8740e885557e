"""Drafts while they are worked on: their sections, and the files that others may edit as well.

What holds: a file is written whole or not at all; a section, header or footer that a person edited - before the run or
during it - is kept as it is; and so is a section that another run wrote meanwhile, so that several runs may work on one
draft at a time.

A draft is made of the ledger's answers and can be made again, so its writing does not wait for the disk; where there is
an edit in it, it does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from expand.checks import Finding, check_chapter, not_ignored, source_findings
from expand.checks.consistency import voice_drift
from expand.checks.finding import finding
from expand.checks.requirements import LONG, SHORT
from expand.document import draft as document
from expand.document.draft import Draft, Stamp, text_hash
from expand.document.follow import Carried, bodies, followed, inserted, title_of, with_topics_moved
from expand.document.layout import Added, Arrangement, Assembled, assembled
from expand.document.numbered import CONTENTS_TITLES, renumbered, with_contents
from expand.document.page import BYTE_ORDER_MARK, Page
from expand.document.site import PLAIN, documents_folder, files_of_link, site_of
from expand.drafting.acceptance_record import (
    Acceptances,
    ReplacedText,
    file_hash,
    keep_replaced,
    last_replaced,
    state_lock,
)
from expand.drafting.brief import read_brief
from expand.drafting.chapter import NO_REVISION, Chapter, Revision, differences
from expand.drafting.draft_state import approved, keep_told, read_record, told
from expand.drafting.events import SectionStatus
from expand.drafting.memory import read_others
from expand.drafting.model_setup import ModelSetup
from expand.drafting.results import ChapterResult, SectionResult
from expand.drafting.run_options import RunOptions
from expand.drafting.section_text import SectionText
from expand.errors import InputError, Place
from expand.markdown import lines, names
from expand.markdown.blocks import anchor, blocks, newline_of, without_attributes
from expand.outline import Book, Outline, Section
from expand.references.citations import outdated, renewed
from expand.references.reference_files import read_references
from expand.workspace import Workspace, decoded, read_bytes, write_atomically

if TYPE_CHECKING:
    from expand.code_check.chapter_code import ChapterVerdicts

SOURCE_KEY = "source"
"""The key of a section that is as the source has it."""


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
    outline = (outline or workspace.outline(chapter_id)).in_language(options.language)
    name = book.draft_name(chapter_id, options.language)
    source = Acceptances(workspace).origin(chapter_id, workspace.source_bytes(outline))
    path = workspace.brief_path(chapter_id)
    return Chapter(
        book=book,
        outline=outline,
        source_text=decoded(source, workspace.source_path(outline.source), keep_mark=True),
        options=options,
        setup=setup,
        brief=read_brief(path, root=workspace.root) if options.brief and path.is_file() else None,
        draft=workspace.draft(name),
        references=read_references(workspace, book, outline),
        others=read_others(workspace, book, outline, options.language),
    )


class Begun(NamedTuple):
    """The text of each topic that a section goes on from, the opening that stands in its draft (None: the brief's), and
    whether it has all in their lines."""

    bodies: tuple[str, ...] = ()
    opening: str | None = None
    whole: bool = False


NOT_BEGUN = Begun()


class DraftFile:
    """The draft of one chapter."""

    def __init__(
        self,
        workspace: Workspace,
        chapter: Chapter,
        overwritten: set[int] | None = None,
        told: dict[int, Sequence[Finding]] | None = None,
    ) -> None:
        """Reads the draft if there is one. ``overwritten`` are the edited sections that are to be replaced, kept up to
        date here."""
        self.chapter = chapter
        self.texts: dict[int, str] = {}
        self.told = {} if told is None else told
        """What this run alone can tell of sections; its warnings are kept with the text that they are of."""
        self._stamps: dict[int, Stamp] = {}
        self.unwritten: set[int] = set()
        """The sections of which there is something that is not in the file yet."""
        self._workspace = workspace
        self._path = workspace.draft_path(chapter.name)
        self.path = workspace.relative(self._path)
        self._acceptances = Acceptances(workspace)
        present = workspace.source_bytes(chapter.outline)
        self.present_source_hash = file_hash(present) if present else ""
        """Of the source as it stands, which may be an accepted draft."""
        self._source = self._acceptances.origin(chapter.id, present)
        self._mark = BYTE_ORDER_MARK if self._source.startswith(BYTE_ORDER_MARK.encode()) else ""
        self._newline = newline_of(self._source.decode("utf-8", "replace"))
        self._seen: str | None = None
        self._former: Draft | None = None
        self._damaged = False
        self._overwritten = set[int]() if overwritten is None else overwritten
        self._kept_line = workspace.kept_line(chapter.name)
        self._reread()
        for section in chapter.outline.sections:
            if section.number not in self.texts:
                text = SectionText(chapter.skeletons[section.number]).render()
                self.put(section.number, text, SOURCE_KEY)
        self.unwritten.clear()

    @property
    def text(self) -> str:
        """The draft as it was last read or written; "" before."""
        return self._seen or ""

    @property
    def result(self) -> str:
        """The document that the draft is, as it was last read or written."""
        return document.document_text(self.text, self._kept_line)

    def require_unchanged(self) -> None:
        """Refuses a source that is not what the draft was made from. Raises ``InputError``."""
        made_from = self._former.source_hash if self._former else ""
        if not made_from or made_from not in (self.present_source_hash, file_hash(self._source)):
            gone = f"the last, hidden line of {self.path} is missing, which says what it was made from"
            raise InputError(
                "the source changed since the draft was made" if made_from else gone,
                remedy=f"run `expand chapter {self.chapter.id}` again to take the change in, or give --force",
                place=Place(path=self.chapter.outline.source),
            )

    def put(self, number: int, text: str, key: str) -> None:
        """Take over a section that the tool wrote; ``key`` is "" while it is unfinished."""
        section = self.chapter.outline.sections[number - 1]
        former = self.texts.get(number, "")
        if number in self._overwritten:
            self._keep_replaced(number)
            self._overwritten.discard(number)
        self.texts[number] = text
        if names.definitions(former):  # what another section leant on stays defined
            wanted = names.lacking(list(self.texts.values()), self.chapter.names)
            text = self.texts[number] = names.completed(text, wanted, [former])
        self._stamps[number] = Stamp(
            key=key,
            text=text_hash(text),
            demands=self.chapter.demands(section),
            lines=self.chapter.skeletons[number].goal,
            id=self.ledger_id(number),
        )
        self.unwritten.add(number)

    def put_on(self, number: int, text: str) -> None:
        """Take over another text of a section, which stays as due or as current as it is."""
        self.texts[number] = text
        self._stamps[number] = replace(self._stamps[number], text=text_hash(text))
        self.unwritten.add(number)

    def ledger_id(self, number: int) -> int:
        """The number under which the ledger has a section's editions: that of its first draft, wherever it is now."""
        stamp = self._stamps.get(number)
        if stamp is not None and stamp.id:
            return stamp.id
        taken = {other.id for other in self._stamps.values()}
        if number not in taken:
            return number
        return max(*taken, len(self.chapter.outline.sections)) + number

    def edited(self, number: int) -> bool:
        """Whether a person edited the section since the tool wrote it."""
        if number not in self.texts or number in self._overwritten:
            return False
        stamp = self._stamps.get(number)
        return stamp is None or stamp.text != text_hash(self.texts[number])

    @property
    def unfinished(self) -> tuple[int, ...]:
        """The sections that neither the tool nor a person has finished, by number."""
        done = {n for n, stamp in self._stamps.items() if stamp.key not in ("", SOURCE_KEY)}
        numbers = (section.number for section in self.chapter.outline.sections)
        return tuple(n for n in numbers if n not in done and not self.edited(n))

    def reason(self, section: Section, revision: Revision) -> str:
        """Why a section is to be drafted, in words; "" when it is current: made from just what its key says."""
        key = self.chapter.key(section, revision)
        stamp = self._stamps.get(section.number)
        if stamp is not None and stamp.key == key:
            gone = outdated(section.number, self.texts, self.chapter.known_passages(section.number))
            return f"changed: references ({', '.join(gone)})" if gone else ""
        if stamp is not None and stamp.key == SOURCE_KEY:
            return "new"
        if stamp is None or not stamp.key:
            skeleton = SectionText(self.chapter.skeletons[section.number]).render()
            untouched = self.texts[section.number].strip() == skeleton.strip()
            return "new" if untouched else "unfinished"
        return f"changed: {', '.join(differences(stamp.key, key))}"

    def begun(self, section: Section, revision: Revision) -> Begun:
        """What a section that is due goes on from: its text, where only titles and topics changed since it was drafted.
        What changed otherwise - the source, an instruction, how much is asked for - has it drafted anew; by an
        instruction, below the opening that it has, which a read-through or a person may have changed."""
        stamp, chapter = self._stamps.get(section.number), self.chapter
        if stamp is None or stamp.key == SOURCE_KEY or chapter.demands_more(section, stamp.demands):
            return NOT_BEGUN
        changed = set(differences(stamp.key, chapter.key(section, revision)))
        same_source = self._former is not None and self._former.source_hash == file_hash(self._source)
        skeleton, wanted = chapter.skeletons[section.number], chapter.named[section.number - 1]
        found = bodies(self.texts[section.number], wanted.topics, self.chapter.authors)
        texts, opening = dict(found.texts), found.opening
        if texts and not wanted.topics and any(isinstance(part, Added) for part in skeleton.parts[1:]):
            # Nothing but its place tells the opening from the rest: it is the first paragraph, if the text begins so.
            first, said = blocks(texts[0])[0], texts[0].split("\n")
            end = first.end if first.kind == "paragraph" else 0
            opening, texts[0] = "\n".join(said[:end]).strip("\n"), "\n".join(said[end:]).strip("\n")
        anew = Begun(opening=opening) if revision.instruction and texts else NOT_BEGUN
        if not changed or not changed <= {"outline", *(("source",) if same_source else ())}:
            return anew
        begun = SectionText(skeleton.opened(opening), texts)
        whole = all(begun.bodies)
        share = begun.lines / section.lines
        less = found.others or not stamp.lines
        if whole and not less and skeleton.goal != stamp.lines and not SHORT <= share <= LONG:
            return anew
        return Begun(tuple(begun.bodies), opening, whole=whole and (not less or share >= SHORT))

    def write(self) -> None:
        """Write the draft as it is now; not at all where nothing changed."""
        with state_lock(self._workspace, "drafts.lock"):  # over all processes
            self._reread()
            self._keep_names()
            own = [n for n in self.unwritten if n in self.told and not self.edited(n)]
            keep_told(self._workspace, self.path, {text_hash(self.texts[n]): self.told[n] for n in own})
            text, with_edits = self._rendered()
            if text != self._seen:
                write_atomically(self._path, text, durable=with_edits)
                self._seen, self._damaged = text, False
            line = document.hidden_line(text)
            if line != self._kept_line:
                path = self._workspace.state_path("lines", self.chapter.name)
                write_atomically(path, line, durable=False, private=True)
                self._kept_line = line
        self.unwritten.clear()

    def _keep_names(self) -> None:
        """Follow cited passages; keep apart what sections, but no person, define."""
        numbers = [section.number for section in self.chapter.outline.sections]
        taken: dict[str, str] = {}
        for number in sorted(numbers, key=lambda n: (not self.edited(n), n)):  # the same whoever is first
            text, stamp = self.texts[number], self._stamps.get(number)
            if stamp is not None and not self.edited(number):
                new = names.apart(renewed(text, self.chapter.known_passages(number)), taken, keep=self.chapter.names)
                if new != text:
                    self.put_on(number, new)
            definitions = names.definitions(self.texts[number])
            taken |= {d.name: d.content for d in definitions if d.name not in self.chapter.names}

    def _rendered(self) -> tuple[str, bool]:
        """The draft's text, and whether a person's edits are in it."""
        former, chapter = self._former, self.chapter
        arrangement, edited = self._arrangement(self.texts)
        text, starts = self._text(arrangement, self.texts)
        titles = {number: anchor(one.title) for number, one in chapter.skeletons.items()}
        stamps = {n: replace(one, name=titles.get(n, one.name)) for n, one in self._stamps.items() if n in starts}
        if chapter.layout == "keep":  # its own headings; else the tool's title, whatever a person made of it
            own = {heading.line: heading.anchor for heading in Page(text).headings}
            stamps = {n: replace(one, name=own.get(starts[n], ""), title=one.name) for n, one in stamps.items()}
        kept = former and chapter.layout == "keep" and any(edited)  # then it is not made from the source as it is now
        whole = document.render(
            text,
            layout=chapter.layout,
            pieces=arrangement.pieces,
            stamps=stamps,
            rest=[hashed if mine else "" for hashed, mine in zip(former.rest, edited, strict=False)] if former else (),
            language=chapter.language,
            plan=chapter.plan.value,
            source=(former.source_hash if former and kept else "") or self._kept_source,
        )
        return whole, any(edited) or any(map(self.edited, self.texts))

    def _arrangement(self, texts: Mapping[int, str]) -> tuple[Arrangement, Sequence[bool]]:
        """The document for the sections' texts to go into, and which parts of it a person edited: these stay, and so do
        their sections that the outline does not have. A table of contents has the titles that the texts have."""
        former, chapter = self._former, self.chapter
        arrangement, edited = chapter.arrangement, former.rest_edited if former else ()
        own = [*former.sections] if former else []
        theirs = [n for n in own if n in texts and n not in chapter.skeletons and self.edited(n)]
        if chapter.layout == "numbered":
            titles = [without_attributes(texts[n].partition("\n")[0].lstrip("# ")) for n in chapter.skeletons]
            pieces = [with_contents(str(arrangement.pieces[0]), titles, chapter.language), arrangement.pieces[-1]]
            head, footer = (former.pieces[at] if former and edited[at] else pieces[at] for at in (0, -1))
            arrangement = arrangement._replace(pieces=(head, *chapter.skeletons, *theirs, footer))
        elif former and (any(edited) or theirs):
            arrangement, edited = chapter.arranged(Page(former.whole), former.starts), (True,)
        return arrangement, edited

    def document(self, texts: Mapping[int, str]) -> str:
        """The document with these texts of its sections, without the hidden line."""
        return self._text(self._arrangement(texts)[0], texts)[0]

    def _text(self, arrangement: Arrangement, texts: Mapping[int, str]) -> Assembled:
        whole = assembled(arrangement, texts)
        if self.chapter.layout == "keep":
            return whole
        return whole._replace(text=self._mark + f"{whole.text.rstrip()}\n".replace("\n", self._newline))

    @cached_property
    def _kept_source(self) -> str:
        """The hash under which the source that the draft is made from is kept."""
        return self._acceptances.keep(self._source, durable=False) if self._source else file_hash(b"")

    def overwrite(self, number: int) -> None:
        """Let the tool replace a section that a person edited, as they asked for by name."""
        if self.edited(number):
            self._overwritten.add(number)

    def restore(self, number: int) -> None:
        """Bring back the text that was replaced last, as a person's edit, and write it. The present one is kept in its
        turn, so that the next call takes this one back. Raises ``InputError``."""
        title = self.chapter.skeletons[number].title
        replaced = last_replaced(self._workspace, self.chapter.name, number=number, title=title)
        self._keep_replaced(number)
        text = replaced.text
        if self.chapter.layout == "numbered":
            text = renumbered(text, replaced.number, number, title_of(text))
        self.put_edit(number, text)

    def put_edit(self, number: int, text: str) -> None:
        """Take over a person's text of a section: it is put into the file, and read from there like any edit, as it may
        have headings that end the section."""
        self.write()
        with state_lock(self._workspace, "drafts.lock"):
            before, after = self.document(self.texts), self.document({**self.texts, number: text})
            write_atomically(self._path, after + self.text.removeprefix(before))
            self._reread()

    def _keep_replaced(self, number: int) -> None:
        title = self.chapter.skeletons[number].title
        replaced = ReplacedText(number=number, title=title, text=self.texts[number])
        keep_replaced(self._workspace, self.chapter.name, replaced)

    def _reread(self) -> None:
        """Take in what the file says by now, if somebody else wrote it since."""
        present = decoded(read_bytes(self._path), self._path, keep_mark=True) if self._path.is_file() else None
        if present is None or present == self._seen:
            return
        first = self._seen is None
        self._seen = present
        chapter = self.chapter
        self._kept_line = self._workspace.kept_line(chapter.name)
        read = document.read(present, self._kept_line)
        if read.language not in ("", chapter.language):  # another chapter's, or of when all languages had one name
            raise InputError(
                f"the draft is in {read.language!r}, and its name is that of the draft in {chapter.language!r}",
                remedy=f"rename it to drafts/{chapter.book.draft_name(chapter.id, read.language)}.md",
                place=Place(path=self.path),
            )
        self._damaged = read.damaged
        former = followed(read, chapter.named)
        # A topic that is missing in a section whose outline is as it was, a person took out or put elsewhere.
        keys = {section.number: chapter.key(section, NO_REVISION) for section in chapter.outline.sections}
        changed = frozenset(
            n for n, s in former.stamps.items() if n not in keys or "outline" in differences(s.key, keys[n])
        )
        former, carried = with_topics_moved(former, chapter.named, self.chapter.authors, changed)
        for number, one in carried.items():
            former = former.having(number, *self._with(former, number, one))
        for number, text in former.sections.items():
            stamp, edited = former.stamps.get(number), former.edited(number)
            if stamp is not None and stamp.key == SOURCE_KEY and not edited:
                continue  # the author's own text: as the source has it now
            if first or edited or number not in self.unwritten:
                self.texts[number] = text
                self._stamps.pop(number, None)
                self._stamps |= {} if stamp is None else {number: stamp}
        self._former = former

    def _with(self, former: Draft, number: int, carried: Carried) -> tuple[str, Stamp | None]:
        """A section with the topics that came to it from others. It is edited where any of them was."""
        whole, stamp = former.sections.get(number, ""), former.stamps.get(number)
        skeleton, named = self.chapter.skeletons[number], self.chapter.named[number - 1]
        if former.edited(number):
            for slot, body in carried.texts.items():
                title = skeleton.topics[slot]
                title = f"{number}.{slot + 1} {title}" if former.layout == "numbered" else title
                heading = f"{'#' * skeleton.body_level} {title}"
                whole = inserted(whole, slot, named.topics, f"{heading}\n\n{body}")
            return whole, stamp
        own = bodies(whole, named.topics, self.chapter.authors)
        carried_over = {slot: body for slot, body in carried.texts.items() if body}
        text = SectionText(skeleton.opened(own.opening or None), {**own.texts, **carried_over})
        whole = text.render()
        before = stamp if stamp is not None and stamp.key not in ("", SOURCE_KEY) else carried.stamp
        if before is not None:
            # Lines and topics came from elsewhere, and what is asked for rose with them.
            asked = text.skeleton.goal if all(text.bodies) else before.lines
            hashed = "" if carried.edited else text_hash(whole)
            before = replace(before, text=hashed, lines=asked, id=stamp.id if stamp else 0)
        return whole, before

    def section_result(
        self, section: Section, status: SectionStatus, code: ChapterVerdicts | None = None
    ) -> SectionResult:
        """A section as it stands, held against its outline, with the verdicts on its ``code`` if there are any: what is
        refused is no example."""
        number, text = section.number, self.texts[section.number]
        skeleton = self.chapter.skeletons[number]
        findings = self.chapter.check(section, text, code.refused(number) if code else frozenset())
        findings = code.over(number, findings) if code else findings
        before = (replace(one, section=number) for one in told(self._workspace, self.path).get(text_hash(text), ()))
        every = dict.fromkeys((*self.told.get(number, ()), *before, *findings))
        findings = not_ignored(every, self.texts, self.chapter.ignored)
        off = [one for one in findings if one.kind in ("short", "long")]
        if off and f"length:{text_hash(text)}" in approved(self._workspace, self.chapter.id):
            said = f"{off[0].message}; taken as it is"
            findings = tuple(replace(one, severity="note", message=said) if one in off else one for one in findings)
        return SectionResult(
            number=number,
            title=skeleton.title,
            target_lines=section.lines,
            lines=lines.of_section(text),
            unit=skeleton.measure.unit,
            target=skeleton.goal,
            counted=skeleton.measure.counted(text),
            status=status,
            findings=findings,
            code=code.counts(number) if code else None,
        )

    def chapter_result(
        self,
        sections: Sequence[SectionResult],
        *,
        whole: bool,
        others: Mapping[str, str] | None = None,
        code: ChapterVerdicts | None = None,
    ) -> ChapterResult:
        """The chapter from its sections. What is found across them goes to the section that it names, or to the chapter
        where that section is not among them. For the rest see ``chapter_findings``."""
        refused = {number: code.refused(number) for number in self.texts} if code else {}
        across = self.chapter_findings(whole=whole, others=others, refused=refused)
        read = read_record(self._workspace, self.path).findings_in(self.texts)
        across += not_ignored((*read, *(code.unchecked() if code else ())), self.texts, self.chapter.ignored)
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
        self,
        *,
        whole: bool,
        others: Mapping[str, str] | None = None,
        refused: Mapping[int, frozenset[int]] | None = None,
        texts: Mapping[int, str] | None = None,
    ) -> tuple[Finding, ...]:
        """What shows only across sections; of a ``whole`` chapter also what is missing from it.

        ``others`` are the texts of the book's other chapters by file, ``refused`` the lines of code that is no example,
        by section, and ``texts`` the sections in the place of those in the draft."""
        chapter, former = self.chapter, self._former
        texts = self.texts if texts is None else texts
        page = self._workspace.source_path(chapter.outline.source)
        site = site_of(page, self._workspace.root)
        docs = documents_folder(site)

        def exists(target: str) -> bool:
            # Not Path.exists, which raises for a name that is too long.
            found = [os.path.exists(file) for file in files_of_link(site, page, target, docs=docs)]  # noqa: PTH110
            return not found or any(found)

        pieces = former.pieces if former and former.pieces else chapter.arrangement.pieces
        found = check_chapter(
            texts,
            around=[piece for piece in pieces if isinstance(piece, str)],
            quality=chapter.outline.quality if whole else None,
            exists=exists,
            any_slug=site.generator is not PLAIN,
            others=others,
            names=frozenset(use.name for use in names.uses(chapter.source_text)),
            contents=chapter.contents,
            refused=refused or {},
        )
        if others is not None:  # as these, the voice is another chapter's text, and no run knows when it changes
            found += tuple(voice_drift(self.texts, chapter.others.voice))
        if self._damaged:
            found += (finding("hidden-line", 0, 1, "the draft's hidden last line is missing, damaged or there twice"),)
        if whole:
            skeletons = chapter.skeletons.items()
            revised = {text: texts[number] for number, one in skeletons for text in one.revised_texts}
            titles = [title for one in chapter.skeletons.values() for title in (one.title, *one.topics)]
            written = (*titles, *CONTENTS_TITLES.values())
            found += source_findings(
                chapter.source_blocks, self.result, layout=chapter.layout, revised=revised, outlined=written
            )
        return not_ignored(found, texts, chapter.ignored)


@dataclass(slots=True)
class DraftStore:
    """The drafts of a run by chapter id. ``outlines`` are those that were read already."""

    workspace: Workspace
    book: Book
    options: RunOptions = field(kw_only=True)
    setup: ModelSetup = field(kw_only=True)
    outlines: dict[str, Outline] = field(default_factory=dict, kw_only=True)
    _open: dict[str, DraftFile] = field(default_factory=dict, init=False)
    _overwritten: dict[str, set[int]] = field(default_factory=dict, init=False)
    """The edited sections that are to be replaced, by chapter; known also once a draft is read again."""
    _told: dict[str, dict[int, Sequence[Finding]]] = field(default_factory=dict, init=False)

    def look(self, chapter: str) -> DraftFile:
        """The draft, to look at before work on it begins. Raises ``InputError``."""
        found = self._open.get(chapter)
        if found is None:
            outline = self.outlines.get(chapter)
            opened = open_chapter(
                self.workspace, self.book, chapter, options=self.options, setup=self.setup, outline=outline
            )
            known = self._overwritten.setdefault(chapter, set()), self._told.setdefault(chapter, {})
            found = DraftFile(self.workspace, opened, *known)
            self._open[chapter] = found
        return found

    def take(self, chapter: str) -> DraftFile:
        """The draft, to work on: it stays open until it is closed. It is written with what its sections consist of
        before a model wrote anything: a folder that cannot be written is found before anything is spent on it."""
        found = self.look(chapter)
        found.write()
        return found

    def close(self, chapter: str) -> None:
        """Write a draft that is finished, and let go of it. One that cannot be written stays open, for ``write``."""
        with suppress(InputError):
            self._open[chapter].write()
            del self._open[chapter]

    def forget(self, chapter: str) -> None:
        """Have the chapter read anew: its brief or its outline is another now."""
        self._open.pop(chapter, None)
        self.outlines.pop(chapter, None)

    def write(self) -> list[InputError]:
        """Write every draft that holds more than its file. Returns why some could not be written."""
        errors: list[InputError] = []
        for draft_file in self._open.values():
            if draft_file.unwritten:
                try:
                    draft_file.write()
                except InputError as error:
                    errors.append(error)
        return errors
