"""Find and read the files that ``references`` in book, outline and section name, and save web pages to be cited.

A reference names a file, a folder or a pattern from the workspace, such as ``src/lib.rs``, ``src/lib.rs:10-40``,
``docs/`` or ``../crates/**/*.rs``. It may lie in the repository around the workspace, but never elsewhere, and nothing
hidden, secret or the tool's own is read: what stands in a reference goes to the author model.

A page goes to ``references/`` as it came; beside it stands a small YAML file with its address, the date and its hash.
"""

import hashlib
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import yaml

from expand.errors import InputError, InputErrors, Place
from expand.outline import Book, Outline, Reference
from expand.paths import RESERVED, require_inside, reserved_part
from expand.references.passages import Passage, passages_of
from expand.workspace import Workspace, read_bytes, write_atomically

FOLDER = "references"
"""Where pages are saved, below the workspace."""
SIDECAR = ".saved.yaml"
MOST_FILES = 2_000
"""Of one reference."""
MOST_BYTES = 20_000_000
"""Of one file."""
MOST_PASSAGES = 50_000
_SECRET = re.compile(r"(?i)(?:\.(?:pem|key|p12|pfx|jks|keystore|kdbx)|(?:^|/)id_(?:rsa|dsa|ecdsa|ed25519))$")
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_PACKAGES = frozenset({"node_modules", "target", "__pycache__", "venv", "site-packages"})
"""Folders of what others wrote or a build made."""
_SAID = re.compile(r"(?P<path>.+?)(?::(?P<first>[1-9]\d*)(?:-(?P<last>[1-9]\d*))?)?")
_GLOB = {r"\*\*/": "(?:.*/)?", r"\*\*": ".*", r"\*": "[^/]*", r"\?": "[^/]"}
"""``**`` stands for any folders, ``*`` and ``?`` for parts of one name."""


@dataclass(frozen=True, slots=True)
class Saved:
    """Where a saved page came from, on which day, and the sha256 of its bytes."""

    url: str
    date: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class References:
    """What a chapter may cite: passages that book and outline name, and by section those that it names itself.
    ``files`` are all that were read."""

    shared: tuple[Passage, ...] = ()
    by_section: Mapping[int, tuple[Passage, ...]] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.files)

    def of(self, section: int) -> tuple[Passage, ...]:
        """All that a section may cite, its own passages first."""
        return (*self.by_section.get(section, ()), *self.shared)


def read_references(workspace: Workspace, book: Book, outline: Outline) -> References:
    """The passages of everything that book and outline name, but for the chapter's own document.

    Raises ``InputErrors`` for references that name nothing, or what must not or cannot be read."""
    own = {workspace.source_path(source) for source in (outline.source, *outline.sources.values())}
    own |= {workspace.draft_path(book.draft_name(outline.id, language)) for language in book.languages}
    met: dict[Path, None] = {}
    errors: list[InputError] = []

    def passages(references: Sequence[Reference]) -> tuple[Passage, ...]:
        found: dict[str, Passage] = {}
        for reference in references:
            try:
                for path, wanted, named in _files(workspace, reference):
                    if path not in own:
                        met[path] = None
                        found |= {p.mark: p for p in _read(workspace, path, wanted, reference, named=named)}
                if len(found) > MOST_PASSAGES:
                    raise _mistake(reference, f"makes it {len(found):,} passages to choose from", "name fewer files")
            except InputError as error:
                errors.append(error)
        return tuple(found.values())

    found = References(
        shared=passages((*outline.references, *book.references)),
        by_section={s.number: passages(s.references) for s in outline.sections if s.references},
        files=tuple(met),
    )
    if errors:
        raise InputErrors(errors)
    return found


def read_saved(path: Path) -> Saved | None:
    """What is known of a file in ``references/``, None for one that nobody fetched."""
    with suppress(InputError, OSError, yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError):
        said = yaml.safe_load(read_bytes(path.with_name(path.name + SIDECAR), most=10_000).decode())
        return Saved(url=str(said["url"]), date=str(said["date"]), sha256=str(said["sha256"]))
    return None


def _files(workspace: Workspace, reference: Reference) -> Iterator[tuple[Path, range | None, bool]]:
    """The files that a reference means, the lines wanted of a single one, and whether it is named itself."""
    said = _SAID.fullmatch(reference.said)
    assert said is not None  # every text that is not empty matches
    name, root = said["path"], workspace.root
    repository = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), root)
    wild = re.search(r"[*?]", name)
    fixed = name[: name.rfind("/", 0, wild.start()) + 1] if wild else name
    path = Path(os.path.normpath(root / fixed))
    if "\\" in name or not path.is_relative_to(repository):
        around = "the workspace" if repository == root else "the workspace and its repository"
        raise _mistake(reference, f"leaves {around}", "name what lies in it, with / between folders")
    try:
        require_inside(path, repository)
    except InputError as error:
        raise _mistake(reference, f"cannot be followed: {error.what}", error.remedy) from error
    for place in (path, Path(os.path.realpath(path))):
        if refused := _refused(place, workspace, repository):
            raise _mistake(reference, f"is {refused}", "name documents or code")
    wanted = range(int(said["first"]), int(said["last"] or said["first"]) + 1) if said["first"] else None
    if path.is_file() and not wild:
        yield path, wanted, True
        return
    if not path.is_dir():
        raise _mistake(reference, "does not exist", "correct the path, or remove the reference")
    if wanted is not None:
        raise _mistake(reference, "names lines of several files", "name one file")
    regex = re.sub(r"\\\*\\\*/?|\\\*|\\\?", lambda part: _GLOB[part[0]], re.escape(name[len(fixed) :])) or ".*"
    found = [
        file for file in _walk(path, workspace, repository) if re.fullmatch(regex, file.relative_to(path).as_posix())
    ]
    if not found:
        raise _mistake(reference, "names no file", "correct the pattern, or remove the reference")
    if len(found) > MOST_FILES:
        raise _mistake(reference, f"names {len(found):,} files", f"name at most {MOST_FILES:,}")
    yield from ((file, None, False) for file in found)


def _walk(folder: Path, workspace: Workspace, repository: Path) -> Iterator[Path]:
    """The files in a folder and below in order, without what is refused; no link is followed."""
    for place, below, names in os.walk(folder):
        here = Path(place)
        below[:] = sorted(n for n in below if n not in _PACKAGES and not _refused(here / n, workspace, repository))
        for file in (here / name for name in sorted(names)):
            if not file.is_symlink() and file.is_file() and not _refused(file, workspace, repository):
                yield file


def _refused(path: Path, workspace: Workspace, repository: Path) -> str:
    """What a path is that nobody may cite, "" where they may."""
    if path.is_relative_to(workspace.root):
        part = reserved_part(path.relative_to(workspace.root).parts)
        if part and part not in ("drafts", FOLDER):
            return RESERVED
    elif reserved_part(("", *path.relative_to(repository).parts)):  # the tool's own are in the workspace
        return RESERVED
    if _SECRET.search(path.as_posix()):
        return "a file of keys"
    return RESERVED if path.name.endswith(SIDECAR) and _is_saved(path, workspace) else ""


def _is_saved(path: Path, workspace: Workspace) -> bool:
    return path.is_relative_to(workspace.root) and path.relative_to(workspace.root).parts[:-1] == (FOLDER,)


def _read(
    workspace: Workspace, path: Path, wanted: range | None, reference: Reference, *, named: bool
) -> tuple[Passage, ...]:
    """A file's passages; none of one that is no text or too large, unless it is ``named`` itself."""
    try:
        stat = path.stat()
        shown = os.path.relpath(path, workspace.root).replace(os.sep, "/")
        found = _passages(path, shown, wanted, (stat.st_size, stat.st_mtime_ns))
    except (ValueError, InputError) as error:
        if not named:
            return ()
        what = error.what if isinstance(error, InputError) else error
        raise _mistake(reference, f"cannot be cited: {what}", "name text, code, HTML, PDF or a notebook") from error
    if wanted is not None and not found:
        raise _mistake(reference, "names lines that the file does not have, or empty ones", "correct the lines")
    saved = read_saved(path) if _is_saved(path, workspace) else None
    if saved is None:
        return found
    return tuple(replace(passage, origin=saved.url, saved=saved.date) for passage in found)


@lru_cache(maxsize=MOST_FILES)
def _passages(path: Path, shown: str, wanted: range | None, _state: tuple[int, int]) -> tuple[Passage, ...]:
    """The passages of a file in a state of it: a book's references are read for each of its chapters."""
    data = read_bytes(path, most=MOST_BYTES)
    if _PRIVATE_KEY.search(data):
        raise ValueError("it holds a private key")
    return passages_of(data, shown, wanted)


def _mistake(reference: Reference, what: str, remedy: str) -> InputError:
    return InputError(
        f"the reference {reference.said!r} {what}", remedy=remedy, place=reference.place or Place(path="")
    )


# --- saved pages: all that uses the network ---------------------------------------------------------------

MOST_SECONDS, SILENT_SECONDS = 60.0, 15.0
"""How long a page may take, and for how long the server may say nothing."""
_SLUG_CHARACTERS = 60
_ENDINGS: Mapping[str, str] = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "application/pdf": ".pdf",
    "application/json": ".json",
    "application/yaml": ".yaml",
    "text/markdown": ".md",
}
"""Of files whose address has no ending that says what they are; any other text is .txt."""


class Snapshot(NamedTuple):
    """A page that was saved: its file from the workspace, and whether that is new or ``changed``."""

    path: str
    saved: Saved
    size: int
    changed: bool


def save(workspace: Workspace, url: str, *, name: str = "") -> Snapshot:
    """Fetch ``url`` and save it under ``name``, or one made of the address. The same content again changes nothing.

    Raises ``InputError`` for an address that is none of the web's, a page that cannot be had or is too large, what
    nobody can cite, and a file that a person changed since it was saved."""
    if not re.match(r"https?://[^/?#\[]", url):
        raise InputError(f"{url!r} is no address of a web page", remedy="give one that begins with https://")
    address = urlsplit(url)
    if address.username or address.password:
        raise InputError("the address holds a user name or a password", remedy="leave it out: it would be written down")
    data, media = _fetch(url)
    file = name or _file_name(url, media)
    path, shown = workspace.inside(FOLDER, file), f"{FOLDER}/{file}"
    if PurePosixPath(file).name != file or file.startswith(".") or file.endswith(SIDECAR):
        raise InputError(f"{file!r} is no name for a file in {FOLDER}/", remedy="give a plain name, such as tokio.html")
    try:
        found = passages_of(data, file)
    except ValueError as error:
        raise InputError(f"{url}: {error}", remedy="save text, HTML, PDF or a notebook") from error
    if not found:
        raise InputError(f"{url}: there is no text in it", remedy="save the page that holds the text itself")
    sha256, former = hashlib.sha256(data).hexdigest(), read_saved(path)
    if path.exists():
        present = hashlib.sha256(read_bytes(path)).hexdigest()
        if former is None or present != former.sha256:
            what = "was changed since it was saved" if former else "is no saved page"
            raise InputError(f"this file {what}", remedy="give --name, or move it", place=Place(path=shown))
        if former.url != url:
            raise InputError(f"this is the page {former.url}", remedy="give --name", place=Place(path=shown))
        if present == sha256:
            return Snapshot(path=shown, saved=former, size=len(data), changed=False)
    saved = Saved(url=url, date=datetime.now(UTC).date().isoformat(), sha256=sha256)
    write_atomically(path, data)
    said = yaml.safe_dump(asdict(saved), allow_unicode=True, sort_keys=False)
    write_atomically(path.with_name(file + SIDECAR), said)
    return Snapshot(path=shown, saved=saved, size=len(data), changed=True)


def _fetch(url: str) -> tuple[bytes, str]:
    """The bytes at an address as UTF-8 if they are text, and their media type. Neither keys nor cookies are sent."""
    # 0.05 s, and only one command fetches
    import http.client
    import urllib.error
    import urllib.request

    request = urllib.request.Request(url, headers={"User-Agent": "chapter-expand", "Accept": "*/*"})
    ends, data = time.monotonic() + MOST_SECONDS, b""
    try:
        with urllib.request.urlopen(request, timeout=SILENT_SECONDS) as answer:
            if urlsplit(answer.url).scheme not in ("http", "https"):
                raise InputError(f"{url} leads to {answer.url}", remedy="give the address of a web page")
            while piece := answer.read1(1 << 16):
                data += piece
                if len(data) > MOST_BYTES:
                    raise InputError(f"{url} has more than {MOST_BYTES:,} bytes", remedy="save a part of it by hand")
                if time.monotonic() > ends:
                    raise TimeoutError(f"it took longer than {MOST_SECONDS:.0f} s")
            media, charset = answer.headers.get_content_type(), answer.headers.get_content_charset()
    except (OSError, ValueError, http.client.HTTPException) as error:  # URLError and HTTPError among them
        reason = getattr(error, "reason", None) or error
        status = f"{error.code} " if isinstance(error, urllib.error.HTTPError) else ""
        raise InputError(f"{url} cannot be fetched: {status}{reason}", remedy="check address and network") from error
    if charset and charset.lower().replace("-", "") not in ("utf8", "usascii") and media != "application/pdf":
        with suppress(LookupError, UnicodeDecodeError):
            data = data.decode(charset).encode()
    return data, media


def _file_name(url: str, media: str) -> str:
    """A name for what is at an address: host and path, and the ending that says what it is."""
    address, media_ending = urlsplit(url), _ENDINGS.get(media, ".txt")
    path = unquote(address.path)
    ending = PurePosixPath(path).suffix
    if not re.fullmatch(r"\.[A-Za-z][A-Za-z0-9]{0,5}", ending) or media in ("text/html", "application/pdf"):
        ending = media_ending
    stem = path.removesuffix(ending)
    words = re.sub(r"[^\w]+", "-", f"{address.hostname} {stem} {address.query}").strip("-").lower()
    if len(words) > _SLUG_CHARACTERS:
        words = f"{words[:_SLUG_CHARACTERS]}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"
    return words + ending
