"""The files that people write by hand, YAML and TOML, as plain data: where everything in one stands, and what is wrong
with it. All problems of a file are gathered before any is raised. Lines and columns count from 1, columns in
characters.

YAML is the strict subset of YAML 1.2 that people write by hand: a plain word is text unless the core schema says
otherwise (``no`` and ``on`` are text, ``03`` is a number that is still written "03"); anchors, aliases, merge keys and
tags are refused, so nothing can grow while it is read. Its text is valid UTF-8 without control characters or tabs. TOML
is what tomllib reads, without dates. Numbers with a point are Decimal.
"""

from __future__ import annotations

import itertools
import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import yaml
from yaml import events

from expand.errors import InputError, InputErrors, Place
from expand.paths import packaged_table, read_file

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_BYTES = 1_000_000
MAX_PROBLEMS = 100
MAX_DEPTH = 16
MAX_DIGITS = 30

DataPath = tuple[str | int, ...]
"""The keys and list indexes (from 0) that lead to a value."""

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

_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# What a plain word is by the core schema, the first that fits; anything else is text.
_CORE = re.compile(
    r"(?P<null>null|Null|NULL|~|)"
    r"|(?P<boolean>true|True|TRUE|false|False|FALSE)"
    r"|(?P<integer>[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)"
    r"|(?P<number>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?(?:\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN)"
)

_TOO_DEEP = (f"nested more than {MAX_DEPTH} levels deep", "no file needs that; remove the brackets")
_SYNTAX: Sequence[Mapping[str, Any]] = (
    *packaged_table("yaml_errors")["errors"],
    {"says": ["maximum nesting depth"], "what": _TOO_DEEP[0], "remedy": _TOO_DEEP[1]},
)


class InputFile:
    """A file's ``data``, where everything in it stands, and its problems. They say why it cannot be read where
    ``readable`` is False. ``shown`` is how messages name the file, ``written`` a number's text as the file has it,
    ``refused`` the paths that a problem was noted for while reading, ``tables`` whether mappings are TOML tables."""

    tables = False

    def __init__(self, shown: Path | str) -> None:
        self.shown = str(shown)
        self.data: Any = None
        self.readable = True
        self.values: dict[DataPath, Place] = {}
        self.keys: dict[DataPath, Place] = {}
        self.written: dict[DataPath, str] = {}
        self.refused: set[DataPath] = set()
        self._rows: list[str] = []
        """The lines of a YAML file, to name full-width punctuation in them."""
        self._found: list[InputError] = []
        self._more = 0

    def at(self, line: int, column: int) -> Place:
        """A place in the file."""
        return Place(self.shown, line, column)

    def value(self, path: DataPath) -> Place:
        """Where the value at ``path`` begins; where its nearest known parent does, if it has no place of its own."""
        ends = range(len(path), -1, -1)
        return next((self.values[path[:end]] for end in ends if path[:end] in self.values), self.at(1, 1))

    def key(self, path: DataPath) -> Place:
        """Where the key that ends ``path`` stands."""
        return self.keys.get(path) or self.value(path)

    def note(self, path: DataPath, what: str, remedy: str) -> None:
        """Note a problem with a value."""
        self.add(self.value(path), what, remedy)

    def add(self, place: Place, what: str, remedy: str) -> None:
        """Note a problem; beyond the first hundred they are only counted."""
        if self.full:
            self._more += 1
            return
        line = place.line or 1
        # What the parser stumbles on stands in the line above as well: a key without a colon goes on to the next one.
        lines = [line, line - 1] if what.startswith("not YAML") else [line]
        wide = [(at, found) for at in lines for row in self._rows[at - 1 : at] if (found := _WIDE.search(row))]
        if wide:
            at, mark = wide[0][0], wide[0][1][wide[0][1].lastgroup or 0]
            narrow = _NARROW.get(wide[0][1].lastgroup or "") or _NARROW.get(mark) or unicodedata.normalize("NFKC", mark)
            remedy = f'"{mark}"{f" in line {at}" if at < line else ""} is full-width; write {narrow}'
        self._found.append(InputError(what, remedy=remedy, place=place))

    def refuse(self, place: Place, what: str, remedy: str) -> None:
        """Note why the file cannot be read."""
        self.add(place, what, remedy)
        self.readable = False

    @property
    def full(self) -> bool:
        """Whether further problems are only counted, so that none needs a remedy."""
        return len(self._found) == MAX_PROBLEMS

    @property
    def problems(self) -> list[InputError]:
        """What was found, in the order of the file."""
        return sorted(self._found, key=lambda error: error.place or ())

    def raise_if_any(self) -> None:
        """Raise the problems as ``InputErrors``."""
        found = self.problems
        if self._more:
            what = f"{self._more:,} more problems are not shown"
            found.append(InputError(what, remedy="mend these first", place=Place(self.shown)))
        if found:
            raise InputErrors(found)


def quoted(text: str) -> str:
    """User text in a message: in quotes, on one line, shortened to 40 characters."""
    line = " ".join(re.sub(r"[\n\r]+", " ↵ ", text).split())
    return f'"{line[:39]}…"' if len(line) > 40 else f'"{line}"'


def shown_path(path: Path, root: Path | None) -> str:
    """How messages name a file: relative to the workspace if it is inside, with slashes."""
    return path.relative_to(root).as_posix() if root and path.is_relative_to(root) else str(path)


def _read_bytes(path: Path, file: InputFile) -> bytes | None:
    """The bytes of a file that people write by hand; None when it cannot be read."""
    try:
        raw = read_file(path, MAX_BYTES)
    except FileNotFoundError:
        file.refuse(file.at(1, 1), "there is no such file", "check the name, or write it")
    except OSError as error:
        file.refuse(file.at(1, 1), f"the file cannot be read: {error.strerror}", "check its name and its rights")
    else:
        if len(raw) <= MAX_BYTES:
            return raw
        what = f"the file is larger than {MAX_BYTES:,} bytes"
        file.refuse(file.at(1, 1), what, "split it; a few thousand bytes are usual")
    return None


# YAML.


def read_yaml(path: Path, root: Path | None = None) -> InputFile:
    """The YAML file; messages name it by its path in ``root``."""
    file = _YamlFile(shown_path(path, root))
    raw = _read_bytes(path, file)
    if raw is not None and raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        file.refuse(file.at(1, 1), "the file is UTF-16", "save it as UTF-8")
    elif raw is not None:
        # A byte that is not UTF-8 becomes a lone surrogate, which is then found with its position.
        file.read(raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape"))
    return file


def parse_yaml(text: str, shown: str) -> InputFile:
    """The same for a text without unwanted characters."""
    file = _YamlFile(shown)
    file.parse(text)
    return file


class _UnreadableError(Exception):
    """Reading stops here; why has been noted."""


_REFUSED = "\0"
"""The key of what was refused as a key: no file can hold it."""


class _YamlFile(InputFile):
    """Builds data and positions from parser events; refuses what the subset leaves out."""

    _events: Iterator[events.Event]

    def read(self, text: str) -> None:
        """Read a text. Unwanted characters are noted, one a line, and others stand in for them, so that reading can go
        on, but for a tab before the text of a line."""
        for number, line in enumerate(re.split(r"\r\n|\r|\n", text) if UNWANTED.search(text) else (), 1):
            if (found := UNWANTED.search(line)) is None:
                continue
            at, code = self.at(number, found.start() + 1), ord(found[0])
            if code == 9:
                self.add(at, "a tab", "use spaces")
                self.readable = self.readable and bool(line[: found.start()].strip())
            elif 0xDC80 <= code <= 0xDCFF:
                self.add(at, f"byte 0x{code - 0xDC00:02x} is not UTF-8", "save the file as UTF-8")
            else:
                self.add(at, f"the control character U+{code:04X}", "remove it")
        if self.readable:
            self.parse(UNWANTED.sub(lambda found: " " if found[0] == "\t" else "\ufffd", text))

    def parse(self, text: str) -> None:
        """Parse a text, whose unwanted characters have been noted."""
        self._rows = text.splitlines()
        noted = bool(self._found)
        self._events = yaml.parse(text, Loader=_Loader)
        try:
            self.data = self._document()
        except _UnreadableError:
            self.readable = False
        except yaml.MarkedYAMLError as error:
            self.readable = False
            if not noted:  # else the syntax may be wrong only because of what was noted before
                said = f"{error.context or ''} {error.problem or ''}".strip()
                found: Mapping[str, Any] = next((r for r in _SYNTAX if any(words in said for words in r["says"])), {})
                begun = error.context_mark if found.get("begun") else None
                what, remedy = found.get("what", said), found.get("remedy", "compare it with the lines above")
                self.add(self._mark(begun or error.problem_mark), f"not YAML: {what}", remedy)

    def _mark(self, mark: Any) -> Place:
        """The place of a parser's mark, which counts from 0."""
        return Place(self.shown, mark.line + 1, mark.column + 1)

    def _document(self) -> Any:
        """The data of the only document in the text. Raises ``_UnreadableError``, or what the parser raises."""
        data = None
        documents = 0
        for event in self._events:
            if isinstance(event, events.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    at = self._mark(event.start_mark)
                    self._stop(at, "a second document begins here", "keep one in a file; remove the ---")
            elif isinstance(event, events.NodeEvent):
                data = self._value(event, ())
        return data

    def _value(self, event: events.Event, path: DataPath, *, within: events.Event | None = None) -> Any:
        """The value that begins with an event; None for one that is refused. ``within`` begins the list around it."""
        at = self.values[path] = self._mark(event.start_mark)
        if self._refuses(event, at) or (within is not None and self._separates_nothing(event, at, within, "，")):
            self.refused.add(path)
            return None
        return self._scalar(event, path) if isinstance(event, events.ScalarEvent) else self._contents(event, path)

    def _contents(self, start: events.Event, path: DataPath) -> Any:
        """What is in the list or mapping that begins with an event."""
        if len(path) == MAX_DEPTH:
            self._stop(self._mark(start.start_mark), *_TOO_DEEP)
        if isinstance(start, events.MappingStartEvent):
            return self._mapping(start, path)
        items = enumerate(self._until(events.SequenceEndEvent))
        return [self._value(item, (*path, number), within=start) for number, item in items]

    def _mapping(self, start: events.Event, path: DataPath) -> dict[str, Any]:
        """A mapping without what refused keys hold; one with none but refused keys is refused as a whole."""
        data: dict[str, Any] = {}
        for event in self._until(events.MappingEndEvent):
            at = self._mark(event.start_mark)
            wrong = self._refuses(event, at) or self._separates_nothing(event, at, start, "：")
            key = _REFUSED if wrong else self._key(event, at, path, data)
            data[key] = self._value(next(self._events), (*path, key))
        if _REFUSED in data:
            del data[_REFUSED]
            if not data:
                self.refused.add(path)
        return data

    def _until(self, end: type[events.Event]) -> Iterator[events.Event]:
        """The events that begin what is in a collection."""
        return itertools.takewhile(lambda event: not isinstance(event, end), self._events)

    def _stop(self, at: Place, what: str, remedy: str) -> NoReturn:
        self.add(at, what, remedy)
        raise _UnreadableError

    def _refuses(self, event: events.Event, at: Place) -> bool:
        """Note what the subset leaves out; True where nothing is left of the node."""
        anchor, tag = cast("events.NodeEvent", event).anchor, getattr(event, "tag", None)
        if isinstance(event, events.AliasEvent):
            self.add(at, f"the alias *{anchor}", "aliases are not followed; write the text out")
            return True
        if anchor is not None:
            self.add(at, f"the anchor &{anchor}", "remove it")
        if tag is not None:
            what = f"the tag {tag.replace('tag:yaml.org,2002:', '!!')}"
            self.add(at, what, 'remove it; put text in "quotes"')
        if isinstance(event, events.ScalarEvent) and UNWANTED.search(event.value.replace("\r", "\0")):
            self.add(at, "a control character", "remove its escape")
            return True
        return False

    def _separates_nothing(self, event: events.Event, at: Place, within: events.Event, mark: str) -> bool:
        """Note full-width punctuation in brackets, where it would silently make one item of two, or a key of a pair."""
        plain = isinstance(event, events.ScalarEvent) and event.implicit[0] and mark in event.value
        if not plain or not cast("events.CollectionStartEvent", within).flow_style:
            return False
        narrow = '", "' if mark == "，" else '": "'
        self.add(at, f'"{mark}" separates nothing here', f'write {narrow}, or put the text in "quotes"')
        return True

    def _key(self, event: events.Event, at: Place, around: DataPath, taken: Mapping[str, Any]) -> str:
        if not isinstance(event, events.ScalarEvent):
            self.add(at, "a key is a list or a mapping", "keys are plain words")
            self._contents(event, (*around, _REFUSED))
        elif event.value == "<<":
            self.add(at, "the merge key <<", "mappings are not merged; write the keys out")
        elif event.value in taken:
            first = self.keys[*around, event.value].line
            what = f"the key {quoted(event.value)} appears twice, first in line {first}"
            self.add(at, what, "remove one")
        else:
            self.keys[*around, event.value] = at
            return event.value
        return _REFUSED

    def _scalar(self, event: events.ScalarEvent, path: DataPath) -> Any:
        core = _CORE.fullmatch(event.value) if event.implicit[0] else None
        if core is None:
            return event.value
        if core.lastgroup == "null":
            return None
        if core.lastgroup == "boolean":
            return event.value.lower() == "true"
        self.written[path] = event.value
        return _number(event.value)


def _number(text: str) -> int | Decimal | None:
    """The number as it is written; None for infinity, for what is none and for what no file can mean."""
    if len(text) > MAX_DIGITS or text.lower().endswith(("inf", "nan")):
        return None
    if text[:2] in ("0x", "0o"):
        return int(text[2:], 16 if text[1] == "x" else 8)
    exponent = int(text.lower().partition("e")[2] or "0")
    if abs(exponent) >= 100:
        return None
    return int(text) if text.lstrip("+-").isdigit() else Decimal(text)


# TOML.


class _TomlFile(InputFile):
    """The places are looked for only when they are asked for: most files have no mistake. A value stands where its key
    does, and an item of a list where the list does."""

    tables = True

    def __init__(self, shown: Path | str, text: str = "") -> None:
        super().__init__(shown)
        self.text = text

    def value(self, path: DataPath) -> Place:
        """Where the key of the value at ``path`` stands."""
        if not self.values:
            for known, line, column in _toml_keys(self.text):
                self.values.setdefault(known, self.at(line, column))
        return super().value(tuple(part for part in path if isinstance(part, str)))


def read_toml(path: Path, root: Path | None = None) -> InputFile:
    """The TOML file; messages name it by its path in ``root``."""
    file = _TomlFile(shown_path(path, root))
    if (raw := _read_bytes(path, file)) is not None:
        try:
            return parse_toml(raw.decode("utf-8-sig").replace("\r\n", "\n"), file.shown)
        except UnicodeDecodeError as error:
            at = file.at(raw[: error.start].count(b"\n") + 1, 1)
            file.refuse(at, f"byte {error.start} is not UTF-8", "save the file as UTF-8")
    return file


def parse_toml(text: str, shown: str) -> InputFile:
    """The same for a text with line feeds only."""
    file, rows = _TomlFile(shown, text), text.split("\n")
    # tomllib needs the square of a dotted key's parts, in time and in memory: 40 GB for 100,000 of them.
    dots = (row.count(".") > 1000 and not row.lstrip().startswith("#") for row in rows)
    line, column, what, remedy = next((number for number, many in enumerate(dots, 1) if many), 0), 1, *_TOO_DEEP
    try:
        if not line:
            file.data = _json_values(tomllib.loads(text, parse_float=_toml_float), (), file)
            return file
    except RecursionError:
        line = 1 + max(range(len(rows)), key=lambda row: rows[row].count("[") + rows[row].count("{"))
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line, column = (int(found[1]), int(found[2])) if found else (max(1, text.rstrip().count("\n") + 1), 1)
        what, remedy = re.sub(r" \(at .*\)$", "", str(error)), "mend the TOML"
    except ValueError:  # Python reads no integer of more digits than sys.get_int_max_str_digits()
        longest = max(re.finditer(r"[0-9_]+", text), key=lambda found: len(found[0])).start()
        line, column = text.count("\n", 0, longest) + 1, longest - text.rfind("\n", 0, longest)
        what, remedy = "a number with thousands of digits", f"give at most {MAX_DIGITS} digits"
    file.refuse(file.at(line, column), what, remedy)
    return file


class _NoNumber(str):
    """The text of a number with a point that no file can mean."""


def _toml_float(text: str) -> int | Decimal | _NoNumber:
    number = _number(text)
    return _NoNumber(text) if number is None else number


def _json_values(value: Any, path: DataPath, file: InputFile) -> Any:
    """The value without what JSON cannot hold, which is noted."""
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    match value:
        case dict() | list() if len(path) >= MAX_DEPTH:
            what, remedy = _TOO_DEEP
        case dict():
            return {key: _json_values(inner, (*path, key), file) for key, inner in value.items()}
        case list():
            return [_json_values(inner, (*path, number), file) for number, inner in enumerate(value)]
        case _NoNumber():
            what, remedy = f"{name} is {quoted(value)[1:-1]}", f"give a finite number of at most {MAX_DIGITS} digits"
        case int() if abs(value) >= 10**MAX_DIGITS:
            what, remedy = f"{name} is too large", f"give a finite number of at most {MAX_DIGITS} digits"
        case Decimal() | int() | str():
            return value
        case _:
            what, remedy = f"{name} is a date or time", "give a text in quotes"
    file.note(path, what, remedy)
    file.refused.add(path)
    return None


def _toml_keys(text: str) -> Iterator[tuple[DataPath, int, int]]:
    """The keys that lead to each key, its line and its column, in the order of the text."""
    import tree_sitter_toml  # start-up time: most files have no mistake
    from tree_sitter import Language, Parser

    rows = text.encode().split(b"\n")

    def keys_below(node: Node, base: DataPath, depth: int) -> Iterator[tuple[DataPath, int, int]]:
        for child in node.named_children if depth else ():
            path = base
            if child.type in ("pair", "table", "table_array_element"):
                for key in _key_parts(child.named_children[0]):
                    line, column = key.start_point
                    before = rows[line][: column + (key.type == "quoted_key")].decode()
                    path = (*path, *tomllib.loads(f"{rows[line][column : key.end_point[1]].decode()} = 0"))
                    yield path, line + 1, len(before) + 1
            elif child.type not in ("array", "inline_table"):
                continue
            yield from keys_below(child, path, depth - 1)

    tree = Parser(Language(tree_sitter_toml.language())).parse(text.encode())
    return keys_below(tree.root_node, (), 2 * MAX_DEPTH)


def _key_parts(key: Node) -> list[Node]:
    """The parts of a dotted key, whose nodes are nested to the left."""
    parts: list[Node] = []
    while key.type == "dotted_key":
        key, last = key.named_children
        parts.insert(0, last)
    return [key, *parts]
