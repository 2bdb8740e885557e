"""Putting a draft in the place of its source, and taking it back.

What holds: the source is replaced in one step and only if it is still what the draft was made from; its former text is
kept in ``.expand/sources`` under its hash; every acceptance is one line of ``.expand/accepted.jsonl``, and ``undo``
takes back the last one of a chapter byte for byte. A lock keeps two processes from writing the record at once.

A chapter whose source is the text that was accepted is drafted from its former text: accepting a draft does not make it
outdated.

Texts that a person had edited and that ``--fresh`` replaced are kept too, so that they can be brought back: in
``.expand/replaced/<chapter>.jsonl``, one a line, the last one last; nothing takes them out.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from expand.errors import InputError, Place
from expand.markdown.matching import title_key
from expand.outline.reading import source_mistake
from expand.paths import private_folder
from expand.workspace import Workspace, read_bytes, read_text, write_atomically

_Entry = TypeVar("_Entry")


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """One line of the record. Hashes are sha256 of the file's bytes; ``former`` is "" where there was no source before.
    ``undone`` marks the taking back of the acceptance with the same hashes. Raises ``ValueError`` for a source that no
    outline may name."""

    chapter: str
    source: str
    former: str
    accepted: str
    undone: bool = False

    def __post_init__(self) -> None:
        if wrong := source_mistake(self.source):
            raise ValueError(f"{self.source!r}: {wrong[0]}")
        if re.fullmatch("([0-9a-f]{64})?", self.former) is None:
            raise ValueError(f"{self.former!r} is no hash")


def file_hash(data: bytes) -> str:
    """sha256 of a file's bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def state_lock(workspace: Workspace, name: str) -> FileLock:
    """A lock over all processes, on a file below ``.expand``. Raises ``InputError`` where it cannot be written."""
    path = workspace.state_path(name)
    try:
        private_folder(path.parent)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise InputError(
            f"it cannot be written: {error.strerror}",
            remedy="check the folder, and who may write there",
            place=Place(path=workspace.relative(path)),
        ) from error
    return FileLock(path, mode=0o600)


class Acceptances:
    """The record of a workspace, and the copies of former sources."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._record = workspace.state_path("accepted.jsonl")

    def copy(self, hashed: str) -> Path:
        """Where the text with that hash is kept."""
        return self._workspace.state_path("sources", hashed)

    def keep(self, data: bytes, *, durable: bool) -> str:
        """Keeps a text; returns its hash. Not ``durable``: it may be lost with the power supply, as long as its file is
        still there that may be."""
        hashed = file_hash(data)
        if durable or not self.copy(hashed).is_file():
            write_atomically(self.copy(hashed), data, durable=durable, private=True)
        return hashed

    def last(self, chapter: str, source: str | None = None) -> Acceptance | None:
        """The chapter's last acceptance that was not taken back, or that of one of its documents."""
        standing = [entry for entry in self._standing().get(chapter, []) if source in (None, entry.source)]
        return standing[-1] if standing else None

    def replaced(self) -> dict[str, bytes]:
        """The document that the first standing acceptance of each chapter replaced, empty where there was none; a
        chapter whose copy is lost is left out."""
        firsts = {chapter: entries[0].former for chapter, entries in self._standing().items() if entries}
        return {
            chapter: read_bytes(self.copy(former)) if former else b""
            for chapter, former in firsts.items()
            if not former or self.copy(former).is_file()
        }

    def _standing(self) -> dict[str, list[Acceptance]]:
        """The acceptances that were not taken back, in order, by chapter."""
        standing: dict[str, list[Acceptance]] = {}
        for entry in self._entries():
            if entry.undone:
                # Its document's last: those of several languages are accepted and taken back by turns.
                entries = standing.get(entry.chapter, [])
                own = [at for at, one in enumerate(entries) if one.source == entry.source]
                if own:
                    del entries[own[-1]]
            else:
                standing.setdefault(entry.chapter, []).append(entry)
        return standing

    def origin(self, chapter: str, data: bytes) -> bytes:
        """What the chapter is drafted from: ``data``, or the text that an acceptance replaced."""
        for entry in reversed(self._standing().get(chapter, [])):
            # Sections may be accepted one after the other: then each former text is an accepted one itself.
            if entry.accepted != file_hash(data):
                continue  # of another language's document, or of a text that somebody replaced
            copy = self.copy(entry.former)
            if entry.former and not copy.is_file():
                break
            data = read_bytes(copy) if entry.former else b""
        return data

    def accept(self, chapter: str, source: str, text: str) -> bool:
        """Replaces the source by ``text``; the former text is kept first. False when the source says so already."""
        path = self._workspace.source_path(source)
        new = text.encode()
        with state_lock(self._workspace, "accepted.lock"):
            former = self.keep(read_bytes(path), durable=True) if path.is_file() else ""
            if former == file_hash(new):
                return False
            self._append(Acceptance(chapter=chapter, source=source, former=former, accepted=file_hash(new)))
            write_atomically(path, new)
        return True

    def undo(self, chapter: str, source: str | None = None) -> Acceptance:
        """Brings the former source back, or takes the file away where there was none before; of several documents the
        one that was accepted last, or ``source``.

        Raises ``InputError``."""
        with state_lock(self._workspace, "accepted.lock"):
            last = self.last(chapter, source)
            if last is None:
                raise InputError(f"nothing was accepted for chapter {chapter}", remedy="there is nothing to undo")
            path = self._workspace.source_path(last.source)
            present = read_bytes(path) if path.is_file() else b""
            if file_hash(present) not in (last.accepted, last.former):
                raise InputError(
                    "the file was changed since it was accepted",
                    remedy=f"save your change elsewhere, put back what was accepted, or copy "
                    f".expand/sources/{last.former} over it by hand",
                    place=Place(path=last.source),
                )
            if not last.former:
                Path(os.path.realpath(path)).unlink(missing_ok=True)  # what was written: a link to it stays
            elif (copy := self.copy(last.former)).is_file():
                write_atomically(path, read_bytes(copy))
            else:
                raise InputError(
                    "the copy of the former text is gone",
                    remedy="restore it from a backup, or the source itself by hand",
                    place=Place(path=self._workspace.relative(copy)),
                )
            self._append(replace(last, undone=True))
        return last

    def _entries(self) -> list[Acceptance]:
        return _lines(self._workspace, self._record, Acceptance)

    def _append(self, entry: Acceptance) -> None:
        _write_lines(self._record, [*self._entries(), entry])


def _lines(workspace: Workspace, path: Path, kind: Callable[..., _Entry]) -> list[_Entry]:
    """The entries of a record, one a line. Raises ``InputError`` for a damaged one."""
    found = []
    # By line feeds alone: a text may hold other line separators, which JSON leaves as they are.
    for number, line in enumerate(read_text(path).split("\n") if path.is_file() else [], 1):
        try:
            found += [kind(**json.loads(line))] if line.strip() else []
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(
                f"the record of what was accepted or replaced is damaged: {error}",
                remedy="mend the line, or delete it: what it is for cannot be undone then",
                place=Place(path=workspace.relative(path), line=number),
            ) from error
    return found


def _write_lines(path: Path, entries: Sequence[Acceptance | ReplacedText]) -> None:
    lines = [json.dumps(asdict(entry), ensure_ascii=False) + "\n" for entry in entries]
    write_atomically(path, "".join(lines), private=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplacedText:
    """A section as it was, with its heading, under the number and title that it had."""

    number: int
    title: str
    text: str


def keep_replaced(workspace: Workspace, chapter: str, replaced: ReplacedText) -> None:
    """Keeps a text; it is on disk when this returns. Raises ``InputError``."""
    _write_lines(workspace.state_path("replaced", f"{chapter}.jsonl"), [*_entries(workspace, chapter), replaced])


def last_replaced(workspace: Workspace, chapter: str, *, number: int, title: str) -> ReplacedText:
    """The text that was replaced last of the section with this title, else of that number. Raises ``InputError``."""
    entries = _entries(workspace, chapter)[::-1]
    titled = [entry for entry in entries if title_key(entry.title) == title_key(title)]
    if found := titled or [entry for entry in entries if entry.number == number]:
        return found[0]
    raise InputError(
        f"no edit of section {number} of chapter {chapter} was replaced", remedy="there is nothing to bring back"
    )


def _entries(workspace: Workspace, chapter: str) -> list[ReplacedText]:
    return _lines(workspace, workspace.state_path("replaced", f"{chapter}.jsonl"), ReplacedText)
