"""Where the paths of a folder that somebody else may have prepared lead, what is for nobody else to read, and the
package's own data.

A link in it must not get a private key into a prompt, nor a text over a file of the system or of git; a pipe must not
stop a command, nor a device feed it without end. The look comes before the use: who can change a link in between can
write in the folder at that moment, and needs no link.
"""

import errno
import os
import stat
import tomllib
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from expand.errors import InputError, Place

DATA = Path(__file__).parent / "data"
"""The tables and files that come with the tool."""

_TOOLS_OWN = frozenset({"expand.toml", "outlines", "prompts", "drafts", "briefs", "references"})
"""What the tool keeps at the top of a workspace, besides ``.expand``."""
RESERVED = "a file of the tool's own or a hidden one"


def packaged_table(name: str) -> dict[str, Any]:
    """The table ``data/NAME.toml`` of the package."""
    return tomllib.loads((DATA / f"{name}.toml").read_text(encoding="utf-8"))


def require_inside(path: Path, root: Path) -> Path:
    """``path`` as it is, whether it exists or not, after a look at where it leads.

    Raises ``InputError`` where a link leads out of ``root``, to a hidden file or to one of the tool's own of another
    kind, and for what is neither a file nor a folder."""
    shown, top = _shown(path, root), Path(os.path.realpath(root))
    try:
        real = Path(os.path.realpath(path))
        ordinary = stat.S_IFMT(path.stat().st_mode) in (stat.S_IFREG, stat.S_IFDIR)
    except (FileNotFoundError, NotADirectoryError):
        ordinary = True  # it can be made
    except (OSError, ValueError) as error:  # links in a circle, a name that is too long or that no file can have
        reason = error.strerror if isinstance(error, OSError) else str(error)
        what, remedy = f"this path cannot be followed: {reason}", "check its name, its links and who may read it"
        raise InputError(what, remedy=remedy, place=Place(path=shown)) from error
    if ordinary and real == top / shown and real.is_relative_to(top):
        return path  # there is no link on the way
    if not real.is_relative_to(top):
        links = (step for step in (*reversed(path.parents), path) if step != root and step.is_relative_to(root))
        link = next((one for one in links if one.is_symlink() and not one.resolve().is_relative_to(top)), None)
        said = f"the link {_shown(link, root)} leads to {link.resolve()}" if link else f"this is {real}"
        what, remedy = f"{said}, outside of the workspace", "put a copy of what is there into the workspace"
    elif not ordinary:
        what, remedy = "this is neither a file nor a folder", "put a file there, or remove it"
    elif reserved_part(real.relative_to(top).parts) not in ("", reserved_part(Path(shown).parts)):
        what = f"this is a link to {real.relative_to(top)}, {RESERVED}"
        remedy = "link to a document, or put a copy in the place of the link"
    else:
        return path
    raise InputError(what, remedy=remedy, place=Place(path=shown))


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def close_to_others(*paths: Path) -> None:
    """Take from all but its owner what they may do with a file or folder of the tool's own. A folder of an older
    version, which was open, is closed with everything in it."""
    for path in paths:
        with suppress(OSError):  # not there, or another user's: then it is that user's to close
            mode = path.lstat().st_mode
            if mode & 0o077 and not stat.S_ISLNK(mode):
                if stat.S_ISDIR(mode):
                    close_to_others(*path.iterdir())
                path.chmod(stat.S_IMODE(mode) & 0o700)


def private_folder(folder: Path) -> Path:
    """The folder, made with its parents where there is none, for its owner only. Raises ``OSError``."""
    for step in (*reversed(folder.parents), folder):
        if not step.is_dir():
            step.mkdir(mode=0o700, exist_ok=True)
    return folder


def reserved_part(parts: Sequence[str]) -> str:
    """The part of a path in a workspace that makes it a file of the tool, of git or of other programs: the first folder
    or file with a dot before its name (``.expand``, ``.git``, ``.env``), or the tool's own at the top; "" if none does.
    Spelled as file systems compare names: without letter case, invisible characters and dots or spaces at the end."""
    spelled = [_as_file_systems_compare(part) for part in parts if part not in ("", ".")]
    hidden = next((part for part in spelled if part.startswith((".", "git~"))), "")
    return hidden or next((part for part in spelled[:1] if part in _TOOLS_OWN), "")


def _as_file_systems_compare(name: str) -> str:
    visible = "".join(c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf")
    return visible.casefold().rstrip(" .") or name


def read_file(path: Path, most: int) -> bytes:
    """The bytes of an ordinary file, and one more than ``most`` of a larger one. Raises ``OSError`` with a reason in
    words; of what is no ordinary file too: a pipe may never say anything, and a device never end."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(errno.EINVAL, "it is no ordinary file")
        with path.open("rb") as file:
            return file.read(most + 1)
    except ValueError as error:  # a character that no path can have
        raise OSError(errno.EINVAL, str(error)) from error
