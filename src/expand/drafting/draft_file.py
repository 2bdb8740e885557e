"""A chapter's draft while it is worked on: its sections, and the file that others may edit as well.

What holds: the file is written whole or not at all; a section, header or footer that a person
edited - before the run or during it - is kept as it is; and so is a section that another run wrote
meanwhile, so that several runs may work on one draft at a time.

A draft is made of the ledger's answers and can be made again, so its writing does not wait for the
disk; where there is an edit in it, it does.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from filelock import FileLock

from expand.document import draft as document
from expand.document.draft import Draft, DraftSection, Stamp
from expand.drafting.acceptance_record import Acceptances, file_hash
from expand.drafting.chapter_state import Chapter
from expand.drafting.fingerprint import differences
from expand.drafting.section_text import SectionText
from expand.outline import Section
from expand.workspace import Workspace, read_text, write_atomically


class DraftFile:
    """The draft of one chapter."""

    def __init__(self, workspace: Workspace, chapter: Chapter) -> None:
        """Reads the draft if there is one."""
        self.chapter = chapter
        self.texts: dict[int, str] = {}
        self._stamps: dict[int, Stamp] = {}
        self._unwritten: set[int] = set()
        self._begun = False
        self._path = workspace.draft_path(chapter.id)
        self._lock = drafts_lock(workspace.root)
        self.path = workspace.relative(self._path)
        self._acceptances = Acceptances(workspace)
        present = workspace.source_bytes(chapter.outline)
        self.present_source_hash = file_hash(present) if present else ""
        """Of the source as it stands, which may be an accepted draft."""
        self._source = self._acceptances.origin(chapter.id, present)
        self._source_hash = ""
        self._seen: str | None = None
        self._seen_as: tuple[int, int, int] | None = None
        self._former: Draft | None = None
        self._reread()
        for section in chapter.outline.sections:
            if section.number not in self.texts:
                self.put(section.number, SectionText(chapter.frame(section)).render(), "")
        self._unwritten.clear()

    @property
    def dirty(self) -> bool:
        """Whether there is something that is not in the file yet."""
        return self._begun or bool(self._unwritten)

    def begin(self) -> None:
        """From now on the file is to be there, with what the sections consist of."""
        self._begun = True

    @property
    def text(self) -> str:
        """The draft as it was last read or written; "" before."""
        return self._seen or ""

    def put(self, number: int, text: str, key: str, told: str = "") -> None:
        """A section that the tool wrote; ``key`` is "" while it is unfinished."""
        self.texts[number] = text
        self._stamps[number] = Stamp(key=key, text=document.text_hash(text), told=told)
        self._unwritten.add(number)

    def edited(self, number: int) -> bool:
        """Whether a person edited the section since the tool wrote it."""
        return self._former is not None and self._former.edited(number)

    def is_current(self, number: int, key: str) -> bool:
        """Whether the draft's section was made from just what ``key`` says."""
        stamp = self._stamps.get(number)
        return stamp is not None and stamp.key == key

    def told(self, number: int) -> str:
        """The hash of what the section was told of those before it; "" for nothing."""
        stamp = self._stamps.get(number)
        return stamp.told if stamp else ""

    def reason(self, section: Section, key: str) -> str:
        """Why a section is to be drafted, in words; "" when it is current."""
        if self.is_current(section.number, key):
            return ""
        stamp = self._stamps.get(section.number)
        if self._former is None or self._former.section(section.number) is None:
            return "new"
        if stamp is None or not stamp.key:
            skeleton = SectionText(self.chapter.frame(section)).render()
            untouched = self.texts[section.number].strip() == skeleton.strip()
            return "new" if untouched else "unfinished"
        return f"changed: {', '.join(differences(stamp.key, key))}"

    def write(self) -> None:
        """Writes the draft as it is now; not at all where nothing changed."""
        with self._lock:
            self._write()
        self._begun = False
        self._unwritten.clear()

    def _write(self) -> None:
        self._reread()
        former = self._former
        numbers = [section.number for section in self.chapter.outline.sections]
        theirs = [
            section
            for section in (former.sections if former else ())
            if section.number not in numbers and self.edited(section.number)
        ]
        keep_head = former if former and former.head_edited else None
        keep_footer = former if former and former.footer_edited else None
        text = document.render(
            head=keep_head.head if keep_head else self.chapter.head(),
            sections=[
                *(DraftSection(number=n, text=self.texts[n]) for n in numbers),
                *theirs,
            ],
            footer=keep_footer.footer if keep_footer else self.chapter.footer,
            language=self.chapter.language,
            plan=self.chapter.plan.value,
            source=self._kept_source(),
            stamps=self._stamps,
            head_hash=keep_head.head_hash if keep_head else None,
            footer_hash=keep_footer.footer_hash if keep_footer else None,
        )
        if text != self._seen:
            theirs_too = bool(theirs or keep_head or keep_footer) or any(map(self.edited, numbers))
            write_atomically(self._path, text, durable=theirs_too)
            self._seen = text
            self._seen_as = _signature(self._path)

    def _kept_source(self) -> str:
        """The hash under which the source that the draft is made from is kept."""
        if not self._source_hash:
            data = self._source
            keep = self._acceptances.keep
            self._source_hash = keep(data, durable=False) if data else file_hash(b"")
        return self._source_hash

    def overwrite(self, number: int) -> None:
        """Lets the tool replace a section that a person edited, as they asked for by name."""
        if self._former is not None:
            self._former = self._former.without(number)

    def _reread(self) -> None:
        """Takes in what the file says by now, if somebody else wrote it since."""
        signature = _signature(self._path)
        if signature is None or signature == self._seen_as:
            return
        present = read_text(self._path)
        self._seen_as = signature
        if present == self._seen:
            return
        first = self._seen is None
        self._seen = present
        self._former = document.read(present)
        for section in self._former.sections:
            mine = section.number in self._unwritten
            if first or self._former.edited(section.number) or not mine:
                self.texts[section.number] = section.text
                self._stamps.pop(section.number, None)
                if section.number in self._former.stamps:
                    self._stamps[section.number] = self._former.stamps[section.number]


@lru_cache(maxsize=8)
def drafts_lock(root: Path) -> FileLock:
    """The lock on a workspace's drafts, over all processes; one for all of its drafts."""
    return FileLock(root / ".expand" / "drafts.lock")


def _signature(path: Path) -> tuple[int, int, int] | None:
    """What changes when anybody writes a file: its inode, size and time; None without a file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
