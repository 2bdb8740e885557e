"""YAML and TOML files as plain data, with one index that says where everything stands.

YAML is the strict subset of YAML 1.2 that people write by hand: a plain word is text unless the core schema says
otherwise (``no`` and ``on`` are text, ``03`` is a number that is still written "03"); anchors, aliases, merge keys and
tags are refused, so nothing can grow while it is read. TOML is what tomllib reads, without dates. Numbers with a point
are Decimal. All problems of a file are gathered before any is raised.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, cast

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
        return next((self.values[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.values), START)

    def key(self, path: DataPath) -> Position:
        """Where the key that ends ``path`` stands."""
        return self.keys.get(path) or self.value(path)


class TomlPositions(Positions):
    """The same for TOML, looked for only when they are asked for: most files have no mistake. A value stands where its
    key does, and an item of a list where the list does."""

    tables = True

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def value(self, path: DataPath) -> Position:
        """Where the key of the value at ``path`` stands."""
        if not self.values:
            for known, position in _toml_keys(self._text):
                self.values.setdefault(known, position)
        return super().value(tuple(part for part in path if isinstance(part, str)))


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
    unreadable = bool(problems)
    reader = _YamlReader(text, problems)
    try:
        return Document(data=reader.document(), positions=reader.positions)
    except _UnreadableError:
        return None
    except yaml.MarkedYAMLError as error:
        if not unreadable:  # else the syntax may be wrong only because of what was noted before
            said = f"{error.context or ''} {error.problem or ''}".strip()
            found: Mapping[str, Any] = next((row for row in _SYNTAX if any(words in said for words in row["says"])), {})
            begun = error.context_mark if found.get("begun") else None
            what, remedy = found.get("what", said), found.get("remedy", "compare it with the lines above")
            problems.add(_at(begun or error.problem_mark), f"not YAML: {what}", remedy)
        return None


class _UnreadableError(Exception):
    """Reading stops here; why has been noted."""


_REFUSED = "\0"
"""The key of what was refused as a key: no file can hold it."""


class _YamlReader:
    """Builds data and positions from parser events; refuses what the subset leaves out."""

    def __init__(self, text: str, problems: Problems) -> None:
        self.positions = Positions()
        self._problems = problems
        self._events = yaml.parse(text, Loader=_Loader)
        self._nodes = 0

    def document(self) -> Any:
        """The data of the only document in the text. Raises ``_UnreadableError``, or what the parser raises."""
        data = None
        documents = 0
        for event in self._events:
            if isinstance(event, events.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._stop(
                        _at(event.start_mark), "a second document begins here", "keep one in a file; remove the ---"
                    )
            elif isinstance(event, events.NodeEvent):
                data = self._value(event, ())
        return data

    def _value(self, event: events.Event, path: DataPath, *, within: events.Event | None = None) -> Any:
        """The value that begins with an event; None for one that is refused. ``within`` begins the list around it."""
        at = self.positions.values[path] = self._counted(event)
        if self._refuses(event, at) or (within is not None and self._separates_nothing(event, at, within, "，")):
            self.positions.refused.add(path)
            return None
        return self._scalar(event, path) if isinstance(event, events.ScalarEvent) else self._contents(event, path)

    def _contents(self, start: events.Event, path: DataPath) -> Any:
        """What is in the list or mapping that begins with an event."""
        if len(path) == MAX_DEPTH:
            self._stop(_at(start.start_mark), *_TOO_DEEP)
        if isinstance(start, events.MappingStartEvent):
            return self._mapping(start, path)
        items = enumerate(self._until(events.SequenceEndEvent))
        return [self._value(item, (*path, number), within=start) for number, item in items]

    def _mapping(self, start: events.Event, path: DataPath) -> dict[str, Any]:
        """A mapping without what refused keys hold; one with none but refused keys is refused as a whole."""
        data: dict[str, Any] = {}
        for event in self._until(events.MappingEndEvent):
            at = self._counted(event)
            wrong = self._refuses(event, at) or self._separates_nothing(event, at, start, "：")
            key = _REFUSED if wrong else self._key(event, at, path, data)
            data[key] = self._value(next(self._events), (*path, key))
        if _REFUSED in data:
            del data[_REFUSED]
            if not data:
                self.positions.refused.add(path)
        return data

    def _until(self, end: type[events.Event]) -> Iterator[events.Event]:
        """The events that begin what is in a collection."""
        return itertools.takewhile(lambda event: not isinstance(event, end), self._events)

    def _counted(self, event: events.Event) -> Position:
        """Where a value or key begins, which counts as one more of the file."""
        at = _at(event.start_mark)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._stop(at, f"more than {MAX_NODES:,} values", "split the file")
        return at

    def _stop(self, at: Position, what: str, remedy: str) -> NoReturn:
        self._problems.add(at, what, remedy)
        raise _UnreadableError

    def _refuses(self, event: events.Event, at: Position) -> bool:
        """Note what the subset leaves out; True where nothing is left of the node."""
        anchor, tag = cast("events.NodeEvent", event).anchor, getattr(event, "tag", None)
        if isinstance(event, events.AliasEvent):
            self._problems.add(at, f"the alias *{anchor}", "aliases are not followed; write the text out")
            return True
        if anchor is not None:
            self._problems.add(at, f"the anchor &{anchor}", "remove it")
        if tag is not None:
            what = f"the tag {tag.replace('tag:yaml.org,2002:', '!!')}"
            self._problems.add(at, what, 'remove it; put text in "quotes"')
        if isinstance(event, events.ScalarEvent) and UNWANTED.search(event.value.replace("\r", "\0")):
            self._problems.add(at, "a control character", "remove its escape")
            return True
        return False

    def _separates_nothing(self, event: events.Event, at: Position, within: events.Event, mark: str) -> bool:
        """Note full-width punctuation in brackets, where it would silently make one item of two, or a key of a pair."""
        plain = isinstance(event, events.ScalarEvent) and event.implicit[0] and mark in event.value
        if not plain or not cast("events.CollectionStartEvent", within).flow_style:
            return False
        narrow = '", "' if mark == "，" else '": "'
        self._problems.add(at, f'"{mark}" separates nothing here', f'write {narrow}, or put the text in "quotes"')
        return True

    def _key(self, event: events.Event, at: Position, around: DataPath, taken: Mapping[str, Any]) -> str:
        if not isinstance(event, events.ScalarEvent):
            self._problems.add(at, "a key is a list or a mapping", "keys are plain words")
            self._contents(event, (*around, _REFUSED))
        elif event.value == "<<":
            self._problems.add(at, "the merge key <<", "mappings are not merged; write the keys out")
        elif event.value in taken:
            first = self.positions.keys[*around, event.value].line
            what = f"the key {quoted(event.value)} appears twice, first in line {first}"
            self._problems.add(at, what, "remove one")
        else:
            self.positions.keys[*around, event.value] = at
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


def _at(mark: Any) -> Position:
    """The position of a parser's mark, which counts from 0."""
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
        return parse_toml(raw.decode("utf-8-sig").replace("\r\n", "\n"), problems)
    except UnicodeDecodeError as error:
        at = Position(line=raw[: error.start].count(b"\n") + 1, column=1)
        problems.add(at, f"byte {error.start} is not UTF-8", "save the file as UTF-8")
        return None


def parse_toml(text: str, problems: Problems) -> Document | None:
    """The same for a text with line feeds only."""
    rows = text.split("\n")
    # tomllib needs the square of a dotted key's parts, in time and in memory: 40 GB for 100,000 of them.
    dots = (row.count(".") > MAX_DOTS and not row.lstrip().startswith("#") for row in rows)
    line, column, what, remedy = next((number for number, many in enumerate(dots, 1) if many), 0), 1, *_TOO_DEEP
    try:
        if not line:
            data = tomllib.loads(text, parse_float=_toml_float)
            positions = TomlPositions(text)
            return Document(data=_json_values(data, (), positions, problems), positions=positions)
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
    problems.add(Position(line=line, column=column), what, remedy)
    return None


class _NoNumber(str):
    """The text of a number with a point that no file can mean."""


def _toml_float(text: str) -> int | Decimal | _NoNumber:
    number = _number(text)
    return _NoNumber(text) if number is None else number


def _json_values(value: Any, path: DataPath, positions: Positions, problems: Problems) -> Any:
    """The value without what JSON cannot hold, which is noted."""
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    match value:
        case dict() | list() if len(path) >= MAX_DEPTH:
            what, remedy = _TOO_DEEP
        case dict():
            return {key: _json_values(inner, (*path, key), positions, problems) for key, inner in value.items()}
        case list():
            return [_json_values(inner, (*path, number), positions, problems) for number, inner in enumerate(value)]
        case _NoNumber():
            what, remedy = f"{name} is {quoted(value)[1:-1]}", f"give a finite number of at most {MAX_DIGITS} digits"
        case int() if abs(value) >= 10**MAX_DIGITS:
            what, remedy = f"{name} is too large", f"give a finite number of at most {MAX_DIGITS} digits"
        case Decimal() | int() | str():
            return value
        case _:
            what, remedy = f"{name} is a date or time", "give a text in quotes"
    problems.add(positions.value(path), what, remedy)
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

    tree = Parser(Language(tree_sitter_toml.language())).parse(text.encode())
    return keys_below(tree.root_node, (), 2 * MAX_DEPTH)


def _key_parts(key: Node) -> list[Node]:
    """The parts of a dotted key, whose nodes are nested to the left."""
    parts: list[Node] = []
    while key.type == "dotted_key":
        key, last = key.named_children
        parts.insert(0, last)
    return [key, *parts]
