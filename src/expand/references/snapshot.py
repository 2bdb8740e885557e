"""Save web pages and files into the workspace, to be cited. The only part of the references that uses the network.

A page goes to ``references/`` as it came; beside it stands a small YAML file with its address, the date and its hash.
"""

import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import yaml

from expand.errors import InputError, Place
from expand.references.passages import passages_of
from expand.references.reference_files import FOLDER, MOST_BYTES, SIDECAR, Saved, read_saved
from expand.workspace import Workspace, read_bytes, write_atomically

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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A page that was saved: its file from the workspace, and whether that is new or ``changed``."""

    path: str
    saved: Saved
    size: int
    changed: bool


def save(workspace: Workspace, url: str, *, name: str = "") -> Snapshot:
    """Fetch ``url`` and save it under ``name``, or one made of the address. The same content again changes nothing.

    Raises ``InputError`` for an address that is none of the web's, a page that cannot be had or is too large, what
    nobody can cite, and a file that a person changed since it was saved."""
    try:
        address = urlsplit(url)
        whole = address.scheme in ("http", "https") and bool(address.hostname)
    except ValueError:  # half an IPv6 address
        whole = False
    if not whole:
        raise InputError(f"{url!r} is no address of a web page", remedy="give one that begins with https://")
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
    address = urlsplit(url)
    path = unquote(address.path)
    ending = PurePosixPath(path).suffix
    stem = path.removesuffix(ending)
    if not re.fullmatch(r"\.[A-Za-z][A-Za-z0-9]{0,5}", ending) or media in ("text/html", "application/pdf"):
        stem, ending = (stem if ending.lower() == _ENDINGS.get(media) else stem + ending), _ENDINGS.get(media, ".txt")
    words = re.sub(r"[^\w]+", "-", f"{address.hostname} {stem} {address.query}").strip("-").lower()
    if len(words) > _SLUG_CHARACTERS:
        words = f"{words[:_SLUG_CHARACTERS]}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"
    return words + ending
