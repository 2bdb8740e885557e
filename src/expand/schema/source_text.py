"""An input file's text, and the problems found in a file.

What holds of the text: valid UTF-8 without control characters or tabs, of bounded size. Lines and columns count from 1,
columns in characters. All problems of a file are gathered before any is raised.
"""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from expand.errors import InputError, InputErrors, Place
from expand.paths import read_file

MAX_BYTES = 1_000_000
MAX_PROBLEMS = 100

# All but line feed and carriage return; U+0085, U+2028 and U+2029 end lines in YAML 1.1 only.
UNWANTED = re.compile("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
# Punctuation and digits of Chinese and Japanese input methods where YAML wants its own; inside a text they are text.
_WIDE = re.compile(
    r"""(?x)^[ ]*[\[{]?(?:[-－][ 　]*)?(?:"[^"]*"|[\w.]+)[ ]*(?P<colon>：) | ^[ 　]*(?P<dash>－)(?=[ 　])
    | (?:^|:)[ ]*(?P<space>　) | [:\[{][ ]*(?P<mark>[［｛“‘]) | [ ](?P<hash>＃) | :[ ]*(?P<digits>[０-９，．]+)[ ]*$"""
)
_NARROW = {
    "colon": '": "', "dash": '"- "', "space": "a space", "hash": '" #"',
    "［": "[ and ]", "｛": "{ and }", "“": '"', "‘": "'",
}  # fmt: skip
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """A position in a file."""

    line: int
    column: int

    def place(self, path: Path | str) -> Place:
        """The position with the file's name, for messages."""
        return Place(path=path, line=self.line, column=self.column)


START = Position(line=1, column=1)


class Problems:
    """The problems of one file. ``shown`` is how messages name the file."""

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self.rows: list[str] = []
        """The lines of a YAML file, to name full-width punctuation in them."""
        self._found: list[tuple[int, int, InputError]] = []
        self._more = 0

    def add(self, at: Position, what: str, remedy: str) -> None:
        """Note a problem; beyond the first hundred they are only counted."""
        if self.full:
            self._more += 1
            return
        # What the parser stumbles on stands in the line above as well: a key without a colon goes on to the next one.
        lines = [at.line, at.line - 1] if what.startswith("not YAML") else [at.line]
        wide = [(line, found) for line in lines for row in self.rows[line - 1 : line] if (found := _WIDE.search(row))]
        if wide:
            line, mark = wide[0][0], wide[0][1][wide[0][1].lastgroup or 0]
            narrow = _NARROW.get(wide[0][1].lastgroup or "") or _NARROW.get(mark) or unicodedata.normalize("NFKC", mark)
            remedy = f'"{mark}"{f" in line {line}" if line < at.line else ""} is full-width; write {narrow}'
        self._found.append((at.line, at.column, InputError(what, remedy=remedy, place=at.place(self.shown))))

    @property
    def full(self) -> bool:
        """Whether further problems are only counted, so that none needs a remedy."""
        return len(self._found) == MAX_PROBLEMS

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def messages(self) -> tuple[str, ...]:
        """What was found, in the order of the file, without the file's name."""
        found = sorted(self._found, key=lambda one: one[:2])
        return tuple(f"line {line}: {error.what}; {error.remedy}" for line, _, error in found)

    def raise_if_any(self) -> None:
        """Raise what was found, in the order of the file, as ``InputErrors``."""
        if not self._found:
            return
        found = [error for *_, error in sorted(self._found, key=lambda f: f[:2])]
        if self._more:
            place = Place(path=self.shown)
            what = f"{self._more:,} more problems are not shown"
            found.append(InputError(what, remedy="mend these first", place=place))
        raise InputErrors(found)


def quoted(text: str) -> str:
    """User text in a message: in quotes, on one line, shortened to 40 characters."""
    line = " ".join(re.sub(r"[\n\r]+", " ↵ ", text).split())
    return f'"{line[:39]}…"' if len(line) > 40 else f'"{line}"'


def shown_path(path: Path, root: Path) -> str:
    """How messages name a file: relative to the workspace if it is inside, with slashes."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def read_text(path: Path, problems: Problems) -> str | None:
    """The file's text; None when ``problems`` say why it cannot be read.

    Unwanted characters are noted, one a line, and others stand in for them, so that reading can go on, but for a tab
    before the text of a line."""
    raw = read_settings_file(path, problems)
    if raw is None:
        return None
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        problems.add(START, "the file is UTF-16", "save it as UTF-8")
        return None
    # A byte that is not UTF-8 becomes a lone surrogate, which is then found with its position.
    text = raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    readable = True
    for number, line in enumerate(_LINE_END.split(text) if UNWANTED.search(text) else (), 1):
        if (found := UNWANTED.search(line)) is None:
            continue
        at, code = Position(line=number, column=found.start() + 1), ord(found[0])
        if code == 9:
            problems.add(at, "a tab", "use spaces")
            readable = readable and bool(line[: found.start()].strip())
        elif 0xDC80 <= code <= 0xDCFF:
            problems.add(at, f"byte 0x{code - 0xDC00:02x} is not UTF-8", "save the file as UTF-8")
        else:
            problems.add(at, f"the control character U+{code:04X}", "remove it")
    return UNWANTED.sub(lambda found: " " if found[0] == "\t" else "\ufffd", text) if readable else None


def read_settings_file(path: Path, problems: Problems) -> bytes | None:
    """The bytes of a file that people write by hand; None when ``problems`` say why it cannot be read."""
    try:
        raw = read_file(path, MAX_BYTES)
    except FileNotFoundError:
        problems.add(START, "there is no such file", "check the name, or write it")
        return None
    except OSError as error:
        problems.add(START, f"the file cannot be read: {error.strerror}", "check its name and its rights")
        return None
    if len(raw) > MAX_BYTES:
        what = f"the file is larger than {MAX_BYTES:,} bytes"
        problems.add(START, what, "split it; a few thousand bytes are usual")
        return None
    return raw
