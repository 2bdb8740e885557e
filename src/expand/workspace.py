"""A workspace: a folder with ``expand.toml``, and where its files are. Atomic writes.

Every path of a workspace comes from ``Workspace.inside``, which refuses one that a link leads out of the workspace, or
to a file of another kind: a folder that somebody else prepared must not get a private key into a prompt, nor a text
over a file of the system. Paths that a user gives on the command line are the user's own and may lie anywhere.

Everything that the tool writes for a person (drafts, accepted sources, reports) goes through ``write_atomically``: a
reader sees the former text or the new one, never a half of either.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from expand.errors import InputError, Place
from expand.ledger_location import LedgerPlace, is_server, read_server
from expand.outline import Book, Outline
from expand.outline.reading import read_book, read_outline, source_mistake
from expand.paths import close_to_others, private_folder, read_file, require_inside, reserved_part
from expand.schema.input_file import read_toml
from expand.trust import destinations, vouched_for

if TYPE_CHECKING:
    from expand.document.draft import Draft

MARKER = "expand.toml"
STATE = ".expand"
"""The folder of what the tool keeps for itself: ledger, records, caches, logs. For nobody but its owner to read."""
MAX_DOCUMENT_BYTES = 20_000_000
"""Of a document or draft: some 400,000 lines."""
LEDGER_VARIABLE = "EXPAND_LEDGER"


@dataclass(frozen=True, kw_only=True, slots=True)
class Workspace:
    """Paths of one workspace; ``root`` is absolute. ``ledger`` is where the environment wants the ledger, None where it
    says nothing; it may hold a password. ``trusted`` says that the caller or the environment vouches for the files;
    otherwise what they say about hosts, keys and ledgers counts only if the user has trusted them, see ``trust``."""

    root: Path
    ledger: str | None = field(default=None, repr=False)
    trusted: bool = False

    @staticmethod
    def open(folder: Path | str, *, trust: bool = False) -> Workspace:
        """The workspace in ``folder``; with ``trust``, what its files say about hosts, key variables, headers and the
        ledger counts. Raises ``InputError`` when it has no ``expand.toml``."""
        found = find_workspace(Path(), given=Path(folder))
        return replace(found, trusted=True) if trust else found

    @staticmethod
    def find(start: Path | str = ".") -> Workspace:
        """The nearest workspace at or above ``start``. Raises ``InputError`` when there is none."""
        return find_workspace(Path(start))

    def inside(self, *parts: str | Path) -> Path:
        """The path of a file or folder of the workspace, whether it exists or not.

        Raises ``InputError`` as ``require_inside`` does."""
        return require_inside(self.root.joinpath(*parts), self.root)

    def state_path(self, *parts: str) -> Path:
        """The path of something that the tool keeps for itself, below ``.expand``; what others may read of it or of
        its folders is closed to them. Raises ``InputError``."""
        path = self.inside(STATE, *parts)
        close_to_others(self.root / STATE, path)
        return path

    @property
    def settings_path(self) -> Path:
        """``expand.toml``."""
        return self.inside(MARKER)

    @property
    def book_path(self) -> Path:
        """``outlines/book.yaml``."""
        return self.inside("outlines", "book.yaml")

    @property
    def ledger_path(self) -> Path:
        """``.expand/ledger.db``, where the ledger is unless something else was said."""
        return self.state_path("ledger.db")

    @property
    def ledger_place(self) -> LedgerPlace:
        """Where the ledger is: as the environment says, or ``ledger`` in ``expand.toml``, or else ``ledger_path``.
        Raises ``InputError``, and ``UntrustedError`` for a server or a file elsewhere that nobody has agreed to."""
        stated, place = (self.ledger, Place(path=LEDGER_VARIABLE)) if self.ledger else self._stated_ledger()
        if not stated:
            return self.ledger_path
        if is_server(stated):
            return read_server(stated, place=place)
        if "://" in stated:
            raise InputError(
                f"the ledger's address begins with {stated.partition('://')[0]}://",
                remedy="name a file, or a database as postgresql://USER@HOST/DATABASE?schema=BOOK",
                place=place,
            )
        path = self.root / Path(stated).expanduser()
        named = Path(os.path.normpath(path))
        return self.inside(named) if named.is_relative_to(self.root) else path

    def _stated_ledger(self) -> tuple[str | None, Place]:
        """What ``expand.toml`` says about the ledger, and where."""
        path = self.settings_path
        if not path.is_file():
            return None, Place(path=path)
        file = read_toml(path)
        file.raise_if_any()
        if (stated := file.data.get("ledger")) is None:
            return None, Place(path=path)
        place = file.value(("ledger",))
        if not isinstance(stated, str):
            raise InputError(f"ledger must be a string, not {stated}", remedy="put it in quotes", place=place)
        named = destinations(path, file)
        if named.statement("ledger") and not (self.trusted or named.trusted):
            if is_server(stated):
                read_server(stated, place=place)  # a mistake in the address is told first
            raise named.refusal("ledger")
        return stated, place

    @property
    def prompts_folder(self) -> Path:
        """``prompts``: the user's own templates."""
        return self.inside("prompts")

    def outline_path(self, chapter: str) -> Path:
        """``outlines/<chapter>.yaml``."""
        return self.inside("outlines", f"{chapter}.yaml")

    def brief_path(self, chapter: str) -> Path:
        """``briefs/<chapter>.yaml``."""
        return self.inside("briefs", f"{chapter}.yaml")

    def memory_path(self, chapter: str) -> Path:
        """``memory/<chapter>.yaml``."""
        return self.inside("memory", f"{chapter}.yaml")

    def draft_path(self, name: str) -> Path:
        """``drafts/<chapter>.md``; ``name`` is the draft's, see ``Book.draft_name``."""
        return self.inside("drafts", f"{name}.md")

    def draft_language(self, book: Book, chapter: str, wanted: str | None = None) -> str:
        """The language of the draft that is meant: ``wanted``, else the book's own, or where there is no such draft the
        first that there is. Raises ``InputError`` for a language that the book does not have."""
        if wanted is not None:
            book.require_language(wanted)
            return wanted
        languages = (book.language, *book.languages)
        return next(
            (one for one in languages if self.draft_path(book.draft_name(chapter, one)).is_file()), languages[0]
        )

    def source_path(self, source: str) -> Path:
        """The document that an outline or the book names as a chapter's source. Raises ``InputError``."""
        if wrong := source_mistake(source):
            raise InputError(f"source {wrong[0]}", remedy=wrong[1], place=Place(path=source))
        return self.inside(source)

    def pages(self) -> Iterator[tuple[str, str]]:
        """Path and text of every Markdown page of the workspace, but the tool's own files, hidden folders and packages.
        One that cannot be read is passed over."""
        for folder, below, files in os.walk(self.root):
            place = Path(folder).relative_to(self.root)
            below[:] = sorted(n for n in below if n != "node_modules" and not reserved_part((*place.parts, n)))
            for name in sorted(files):
                if name.lower().endswith((".md", ".mdx", ".markdown")):
                    with suppress(OSError, InputError):
                        page = read_bytes(self.inside(place, name)).decode("utf-8", "replace")
                        yield (place / name).as_posix(), page

    def relative(self, path: Path) -> str:
        """A path as a user of the workspace writes it."""
        return path.relative_to(self.root).as_posix()

    def chapter_ids(self) -> tuple[str, ...]:
        """Chapters that have an outline, sorted by id."""
        folder = self.inside("outlines")
        return tuple(sorted(path.stem for path in folder.glob("*.yaml") if path.name != "book.yaml"))

    def book(self) -> Book:
        """The book. Raises ``InputError``."""
        if not self.book_path.is_file():
            raise InputError(
                "there is no book file", remedy="create it with `expand init`",
                place=Place(path=self.relative(self.book_path)),
            )  # fmt: skip
        return read_book(self.book_path, root=self.root)

    def outline(self, chapter: str, language: str = "") -> Outline:
        """A chapter's outline, with its document in ``language`` or the book's own. Raises ``InputError``, with a
        suggestion for a mistyped id."""
        path = self.outline_path(chapter) if PurePath(chapter).name == chapter != "book" else None
        if path is None or not path.is_file():
            known = self.chapter_ids()
            near = meant(chapter, known)
            listed = ", ".join(known) or "none"
            hint = f"did you mean {near}?" if near else f"chapters with an outline: {listed}"
            with suppress(InputError):  # a broken book is a fault of its own
                if entry := next((one for one in self.book().chapters if one.id == chapter), None):
                    document = self.source_path(entry.source) if entry.source else None
                    made = entry.source if document and document.is_file() else f"--suggest {chapter}"
                    hint = f"write it, or have it made with `expand outline import {made}`"
            raise InputError(
                f"chapter {chapter!r} has no outline", remedy=hint,
                place=Place(path=f"outlines/{chapter}.yaml"),
            )  # fmt: skip
        found = read_outline(path, root=self.root, chapter_id=chapter)
        return found.in_language(language or self.book().language) if found.sources else found

    def draft(self, name: str) -> Draft | None:
        """The draft of that name as it stands, None if there is none."""
        from expand.document import draft  # start-up time

        path = self.draft_path(name)
        return draft.read(read_text(path), self.kept_line(name)) if path.is_file() else None

    def kept_line(self, name: str) -> str:
        """The copy of the draft's hidden last line, "" where there is none."""
        path = self.state_path("lines", name)
        return read_text(path) if path.is_file() else ""

    def source_bytes(self, outline: Outline) -> bytes:
        """The source document as it stands, empty if it does not exist yet."""
        path = self.source_path(outline.source)
        return read_bytes(path) if path.is_file() else b""


def meant(chapter: str, known: Sequence[str]) -> str:
    """The chapter that a mistyped id most likely means, "" if none is like it: ``01`` for ``1``."""
    import difflib  # start-up time

    bare = chapter.lstrip("0")
    same = [other for other in known if bare and other.lstrip("0") == bare]
    return next(iter(same or difflib.get_close_matches(chapter, known, n=1, cutoff=0.4)), "")


def find_workspace(start: Path, *, given: Path | None = None, environment: Mapping[str, str] = os.environ) -> Workspace:
    """The workspace ``given``, or the nearest one at or above ``start``."""
    ledger, trusted = environment.get(LEDGER_VARIABLE) or None, vouched_for(environment)
    if given is not None:
        if not (given / MARKER).is_file():
            raise InputError(
                f"{given} is no workspace: it has no {MARKER}",
                remedy="run `expand init` there, or name a folder that has one",
            )
        return Workspace(root=given.resolve(), ledger=ledger, trusted=trusted)
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / MARKER).is_file():
            return Workspace(root=folder, ledger=ledger, trusted=trusted)
    raise InputError(
        f"no {MARKER} in {start} or above it",
        remedy="run `expand init` to make a workspace, or name one with --workspace DIR",
    )


def read_text(path: Path, *, most: int = MAX_DOCUMENT_BYTES) -> str:
    """A document's text with its line ends as they are. Raises ``InputError`` on bad UTF-8."""
    return decoded(read_bytes(path, most=most), path)


def read_bytes(path: Path, *, most: int = MAX_DOCUMENT_BYTES) -> bytes:
    """A file's bytes. Raises ``InputError`` when it cannot be read, and when it has more than ``most`` of them."""
    try:
        found = read_file(path, most)
    except OSError as error:
        raise InputError(
            f"it cannot be read: {error.strerror}", remedy="check the file and who may read it", place=Place(path=path)
        ) from error
    if len(found) > most:
        raise InputError(f"it is larger than {most:,} bytes", remedy="split it", place=Place(path=path))
    return found


def decoded(data: bytes, path: Path, *, keep_mark: bool = False) -> str:
    """A document's bytes as text, with its byte order mark if ``keep_mark``. Raises ``InputError`` on bad UTF-8, naming
    ``path`` and line."""
    try:
        return data.decode("utf-8" if keep_mark else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = len(re.findall(rb"\r\n?|\n", data[: error.start])) + 1
        raise InputError(
            f"byte {error.start} is not UTF-8", remedy="save the file as UTF-8", place=Place(path=path, line=line)
        ) from error


def write_atomically(path: Path, content: str | bytes, *, durable: bool = True, private: bool = False) -> None:
    """Replaces ``path`` by ``content`` in one step, durable when it returns; its mode is kept, with ``private`` it is
    for its owner only. A link stays, and what it leads to is replaced; a folder is made where there is none.

    Without ``durable`` it survives a killed process, but perhaps not a lost power supply: for what can be made again.
    Raises ``InputError`` when the place cannot be written."""
    import tempfile  # start-up time

    target = Path(os.path.realpath(path))
    try:
        mode = 0o600 if private else _mode(target)
        private_folder(target.parent) if private else target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
        made = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                if durable:
                    os.fsync(handle)
            made.chmod(mode)
            made.replace(target)
            if durable:
                with suppress(OSError):  # no folder can be opened on Windows
                    folder = os.open(target.parent, os.O_RDONLY)
                    try:
                        os.fsync(folder)  # else a lost power supply may bring back what was replaced
                    finally:
                        os.close(folder)
        except BaseException:
            made.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(
            f"it cannot be written: {error.strerror}",
            remedy="check the folder, who may write there, and the space on the disk",
            place=Place(path=path),
        ) from error


def _mode(path: Path) -> int:
    """The mode of a file, or that of a new one. Raises ``OSError`` for a device: a file would take its place."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "this is no ordinary file")
    return mode & 0o777
