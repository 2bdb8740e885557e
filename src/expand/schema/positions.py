"""YAML and TOML files as plain data, with one index that says where everything stands.

YAML is the strict subset of YAML 1.2 that people write by hand: a plain word is text unless the core schema says
otherwise (``no`` and ``on`` are text, ``03`` is a number that is still written "03"); anchors, aliases, merge keys and
tags are refused, so nothing can grow while it is read. TOML is what tomllib reads, without dates. Numbers with a point
are Decimal. All problems of a file are gathered before any is raised.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import yaml
from yaml import events

from expand.paths import packaged_table
from expand.schema.source_text import START, UNWANTED, Position, Problems, quoted, read_settings_file, read_text

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_DEPTH = 16
MAX_NODES = 100_000
MAX_DIGITS = 30
MAX_DOTS = 1000
"""In a line of TOML."""

DataPath = tuple[str | int, ...]
"""The keys and list indexes (from 0) that lead to a value."""

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


class Positions:
    """Where the values and keys of a file stand. ``written`` is a number's text as the file has it, ``refused`` the
    paths that a problem was noted for while reading, ``tables`` whether mappings are TOML tables."""

    tables = False

    def __init__(self) -> None:
        self.values: dict[DataPath, Position] = {}
        self.keys: dict[DataPath, Position] = {}
        self.written: dict[DataPath, str] = {}
        self.refused: set[DataPath] = set()

    def value(self, path: DataPath) -> Position:
        """Where the value at ``path`` begins; where its nearest known parent does, if it has no place of its own."""
        return self._nearest(self.values, path)

    def key(self, path: DataPath) -> Position:
        """Where the key that ends ``path`` stands."""
        return self.keys.get(path) or self.value(path)

    @staticmethod
    def _nearest(known: Mapping[DataPath, Position], path: DataPath) -> Position:
        while path and path not in known:
            path = path[:-1]
        return known.get(path, START)


class TomlPositions(Positions):
    """The same for TOML, looked for only when they are asked for: most files have no mistake. A value stands where its
    key does, and an item of a list where the list does."""

    tables = True

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def value(self, path: DataPath) -> Position:
        """Where the key of the value at ``path`` stands."""
        return self._nearest(self._found, tuple(part for part in path if isinstance(part, str)))

    @cached_property
    def _found(self) -> Mapping[DataPath, Position]:
        found: dict[DataPath, Position] = {}
        for path, position in _toml_keys(self._text):
            found.setdefault(path, position)
        return found


class Document(NamedTuple):
    """A file's plain data, and where everything in it stands."""

    data: Any
    positions: Positions


def read_yaml(path: Path, problems: Problems) -> Document | None:
    """The YAML file; None when ``problems`` say why it cannot be read."""
    text = read_text(path, problems)
    return None if text is None else parse_yaml(text, problems)


def parse_yaml(text: str, problems: Problems) -> Document | None:
    """The same for a text."""
    problems.rows = text.splitlines()
    composer = _Composer(problems)
    unreadable = bool(problems)
    try:
        with closing(_events(text)) as stream:
            for event in stream:
                if not composer.take(event):
                    return None
    except yaml.YAMLError as error:
        if not unreadable:  # else the syntax may be wrong only because of what was noted before
            _note_syntax(error, problems)
        return None
    return Document(data=composer.document, positions=composer.positions)


def _events(text: str) -> Generator[events.Event, None, None]:
    return cast("Generator[events.Event, None, None]", yaml.parse(text, Loader=_Loader))


def _note_syntax(error: yaml.YAMLError, problems: Problems) -> None:
    marked = cast("yaml.MarkedYAMLError", error)
    said = f"{marked.context or ''} {marked.problem or ''}".strip()
    found: Mapping[str, Any] = next((row for row in _SYNTAX if any(words in said for words in row["says"])), {})
    begun = marked.context_mark if found.get("begun") else None
    mark = begun or cast("yaml.Mark", marked.problem_mark)
    what, remedy = found.get("what", said), found.get("remedy", "compare it with the lines above")
    problems.add(Position(line=mark.line + 1, column=mark.column + 1), f"not YAML: {what}", remedy)


_REFUSED = "\0"
"""The key of what was refused as a key: no file can hold it."""


@dataclass(slots=True)
class _Collection:
    """A list or mapping that is not closed yet; ``key`` is the one whose value comes next."""

    path: DataPath
    data: dict[str, Any] | list[Any]
    key: str | None = None
    in_brackets: bool = False

    @property
    def awaits_key(self) -> bool:
        return isinstance(self.data, dict) and self.key is None

    def attach(self, value: Any) -> None:
        if isinstance(self.data, list):
            self.data.append(value)
        else:
            self.data[cast(str, self.key)] = value
            self.key = None


class _Composer:
    """Builds data and positions from parser events without recursion; refuses what the subset leaves out."""

    def __init__(self, problems: Problems) -> None:
        self.root = _Collection((), [])  # holds the document
        self.positions = Positions()
        self._problems = problems
        self._open: list[_Collection] = []
        self._nodes = 0
        self._documents = 0

    @property
    def document(self) -> Any:
        return next(iter(self.root.data), None)

    def take(self, event: events.Event) -> bool:
        """Take in one event; False when reading has to stop here."""
        if isinstance(event, events.NodeEvent):
            return self._take_node(event)
        if isinstance(event, events.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._problems.add(_at(event), "a second document begins here", "keep one in a file; remove the ---")
                return False
        elif isinstance(event, events.CollectionEndEvent):
            self._close(self._open.pop())
        return True

    def _take_node(self, event: events.NodeEvent) -> bool:
        at = _at(event)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._problems.add(at, f"more than {MAX_NODES:,} values", "split the file")
            return False
        around = self._open[-1] if self._open else self.root
        refused = self._refuses(event, at) or self._separates_nothing(event, at, around)
        is_key = around.awaits_key
        if is_key:
            around.key = _REFUSED if refused else self._key(event, at, around)
            path: DataPath = (*around.path, _REFUSED)
        else:
            path = () if around is self.root else (*around.path, len(around.data) if around.key is None else around.key)
            self.positions.values[path] = at
            if refused:
                self.positions.refused.add(path)
        if isinstance(event, events.CollectionStartEvent):
            if len(self._open) == MAX_DEPTH:
                self._problems.add(at, *_TOO_DEEP)
                return False
            data: dict[str, Any] | list[Any] = {} if isinstance(event, events.MappingStartEvent) else []
            if not is_key:
                around.attach(data)
            self._open.append(_Collection(path, data, in_brackets=bool(event.flow_style)))
        elif not is_key:
            around.attach(None if refused else self._scalar(cast("events.ScalarEvent", event), path))
        return True

    def _refuses(self, event: events.NodeEvent, at: Position) -> bool:
        """Note what the subset leaves out; True where nothing is left of the node."""
        if isinstance(event, events.AliasEvent):
            self._problems.add(at, f"the alias *{event.anchor}", "aliases are not followed; write the text out")
            return True
        if event.anchor is not None:
            self._problems.add(at, f"the anchor &{event.anchor}", "remove it")
        if event.tag is not None:  # type: ignore[attr-defined]
            what = f"the tag {event.tag.replace('tag:yaml.org,2002:', '!!')}"  # type: ignore[attr-defined]
            self._problems.add(at, what, 'remove it; put text in "quotes"')
        if isinstance(event, events.ScalarEvent) and UNWANTED.search(event.value.replace("\r", "\0")):
            self._problems.add(at, "a control character", "remove its escape")
            return True
        return False

    def _separates_nothing(self, event: events.NodeEvent, at: Position, around: _Collection) -> bool:
        """Note full-width punctuation in brackets, where it would silently make one item of two, or a key of a pair."""
        mark = "，" if isinstance(around.data, list) else "：" if around.awaits_key else ""
        plain = isinstance(event, events.ScalarEvent) and event.implicit[0] and around.in_brackets
        if not (mark and plain and mark in event.value):  # type: ignore[attr-defined]
            return False
        narrow = '", "' if mark == "，" else '": "'
        self._problems.add(at, f'"{mark}" separates nothing here', f'write {narrow}, or put the text in "quotes"')
        return True

    def _key(self, event: events.NodeEvent, at: Position, around: _Collection) -> str:
        if not isinstance(event, events.ScalarEvent):
            self._problems.add(at, "a key is a list or a mapping", "keys are plain words")
        elif event.value == "<<":
            self._problems.add(at, "the merge key <<", "mappings are not merged; write the keys out")
        elif event.value in around.data:
            first = self.positions.keys[*around.path, event.value].line
            what = f"the key {quoted(event.value)} appears twice, first in line {first}"
            self._problems.add(at, what, "remove one")
        else:
            self.positions.keys[*around.path, event.value] = at
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
        self.positions.written[path] = event.value
        return _number(event.value)

    def _close(self, collection: _Collection) -> None:
        """Drop what a refused key held; a mapping with none but refused keys is refused as a whole."""
        data = collection.data
        if isinstance(data, dict) and _REFUSED in data:
            del data[_REFUSED]
            if not data:
                self.positions.refused.add(collection.path)


def _at(event: events.Event) -> Position:
    mark = cast("yaml.Mark", event.start_mark)
    return Position(line=mark.line + 1, column=mark.column + 1)


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


def read_toml(path: Path, problems: Problems) -> Document | None:
    """The TOML file; None when ``problems`` say why it cannot be read."""
    raw = read_settings_file(path, problems)
    if raw is None:
        return None
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        at = Position(line=raw[: error.start].count(b"\n") + 1, column=1)
        problems.add(at, f"byte {error.start} is not UTF-8", "save the file as UTF-8")
        return None
    return parse_toml(text, problems)


def parse_toml(text: str, problems: Problems) -> Document | None:
    """The same for a text with line feeds only."""
    try:
        return _parsed_toml(text, problems)
    except RecursionError:
        rows = text.split("\n")
        deepest = max(range(len(rows)), key=lambda row: rows[row].count("[") + rows[row].count("{"))
        problems.add(Position(line=deepest + 1, column=1), *_TOO_DEEP)
        return None


def _parsed_toml(text: str, problems: Problems) -> Document | None:
    for number, row in enumerate(text.split("\n"), 1):
        # tomllib needs the square of a dotted key's parts, in time and in memory: 40 GB for 100,000 of them.
        if row.count(".") > MAX_DOTS and not row.lstrip().startswith("#"):
            problems.add(Position(line=number, column=1), *_TOO_DEEP)
            return None
    try:
        data = tomllib.loads(text, parse_float=_toml_float)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        last = Position(line=max(1, text.rstrip().count("\n") + 1), column=1)
        at = Position(line=int(found[1]), column=int(found[2])) if found else last
        problems.add(at, re.sub(r" \(at .*\)$", "", str(error)), "mend the TOML")
        return None
    except ValueError:  # Python reads no integer of more digits than sys.get_int_max_str_digits()
        longest = max(re.finditer(r"[0-9_]+", text), key=lambda found: len(found[0])).start()
        at = Position(line=text.count("\n", 0, longest) + 1, column=longest - text.rfind("\n", 0, longest))
        problems.add(at, "a number with thousands of digits", f"give at most {MAX_DIGITS} digits")
        return None
    positions = TomlPositions(text)
    return Document(data=_json_values(data, (), positions, problems), positions=positions)


class _NoNumber(str):
    """The text of a number with a point that no file can mean."""


def _toml_float(text: str) -> int | Decimal | _NoNumber:
    number = _number(text)
    return _NoNumber(text) if number is None else number


def _json_values(value: Any, path: DataPath, positions: Positions, problems: Problems) -> Any:
    """The value without what JSON cannot hold, which is noted."""
    if isinstance(value, dict | list) and len(path) >= MAX_DEPTH:
        problems.add(positions.value(path), *_TOO_DEEP)
    elif isinstance(value, dict):
        return {key: _json_values(inner, (*path, key), positions, problems) for key, inner in value.items()}
    elif isinstance(value, list):
        return [_json_values(inner, (*path, number), positions, problems) for number, inner in enumerate(value)]
    elif (
        isinstance(value, Decimal)
        or (isinstance(value, int) and abs(value) < 10**MAX_DIGITS)
        or (isinstance(value, str) and not isinstance(value, _NoNumber))
    ):
        return value
    else:
        name = next(part for part in reversed(path) if isinstance(part, str))
        if isinstance(value, int | _NoNumber):
            found = quoted(value)[1:-1] if isinstance(value, str) else "too large"
            problems.add(
                positions.value(path), f"{name} is {found}", f"give a finite number of at most {MAX_DIGITS} digits"
            )
        else:
            problems.add(positions.value(path), f"{name} is a date or time", "give a text in quotes")
    positions.refused.add(path)
    return None


def _toml_keys(text: str) -> Iterator[tuple[DataPath, Position]]:
    """Each key's place, by the keys that lead to it, in the order of the text."""
    import tree_sitter_toml  # start-up time: most files have no mistake
    from tree_sitter import Language, Parser

    rows = text.encode().split(b"\n")

    def keys_below(node: Node, base: DataPath, depth: int) -> Iterator[tuple[DataPath, Position]]:
        for child in node.named_children if depth else ():
            path = base
            if child.type in ("pair", "table", "table_array_element"):
                for key in _key_parts(child.named_children[0]):
                    line, column = key.start_point
                    before = rows[line][: column + (key.type == "quoted_key")].decode()
                    path = (*path, *tomllib.loads(f"{rows[line][column : key.end_point[1]].decode()} = 0"))
                    yield path, Position(line=line + 1, column=len(before) + 1)
            elif child.type not in ("array", "inline_table"):
                continue
            yield from keys_below(child, path, depth - 1)

    yield from keys_below(
        Parser(Language(tree_sitter_toml.language())).parse(text.encode()).root_node, (), 2 * MAX_DEPTH
    )


def _key_parts(key: Node) -> list[Node]:
    """The parts of a dotted key, whose nodes are nested to the left."""
    parts: list[Node] = []
    while key.type == "dotted_key":
        key, last = key.named_children
        parts.insert(0, last)
    return [key, *parts]
