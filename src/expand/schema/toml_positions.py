"""A TOML file as nodes with positions, so that the shapes that read outlines can read it.

tomllib keeps no positions. But each statement of a TOML file (a table's header, or a key with its
value) is a TOML file of its own, so the file is cut into the shortest runs of lines that tomllib
can read, and those say where each key stands. A value's position is that of its key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from expand.schema.source_text import START, Problems, Spot
from expand.schema.yaml_positions import Items, Kind, Node, Pair, Pairs, Scalar

Trail = tuple[str, ...]


class TomlFile(NamedTuple):
    """A file's ``table`` as tomllib reads it (numbers with a point are Decimal), and as a node."""

    table: Mapping[str, object]
    root: Pairs


def read_toml(path: Path, problems: Problems) -> TomlFile | None:
    """The file; None when ``problems`` say why it cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        remedy = "make it a readable file"
        problems.add(START, f"it cannot be read: {error.strerror}", remedy)
        return None
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        at = Spot(line=data[: error.start].count(b"\n") + 1, column=1)
        problems.add(at, f"byte {error.start} is not UTF-8", "save the file as UTF-8")
        return None
    try:
        table = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        last = Spot(line=max(1, text.rstrip().count("\n") + 1), column=1)
        at = Spot(line=int(found[1]), column=int(found[2])) if found else last
        problems.add(at, re.sub(r" \(at .*\)$", "", str(error)), "mend the TOML")
        return None
    spots = dict(_spots(text))
    return TomlFile(table=table, root=_pairs(table, (), START, spots, problems))


def node_of(value: object) -> Node:
    """A value from Python as a node without a position of its own."""
    return _node(value, (), START, {}, Problems(""))


def _node(value: object, trail: Trail, at: Spot, spots: Mapping[Trail, Spot], problems: Problems) -> Node:
    if isinstance(value, Mapping):
        return _pairs(value, trail, at, spots, problems)
    if isinstance(value, list | tuple):
        items = tuple(_node(item, trail, at, spots, problems) for item in value)
        return Items(line=at.line, column=at.column, items=items)
    kind = _kind(value)
    if kind is None:
        problems.add(at, f"{trail[-1] if trail else 'it'} is a date or time", "give a text in quotes")
        return Node(line=at.line, column=at.column)
    text = str(value).lower() if kind == "boolean" else "" if value is None else str(value)
    return Scalar(line=at.line, column=at.column, text=text, kind=kind)


def _pairs(
    table: Mapping[str, object],
    trail: Trail,
    at: Spot,
    spots: Mapping[Trail, Spot],
    problems: Problems,
) -> Pairs:
    pairs = []
    for key, value in table.items():
        here = (*trail, str(key))
        spot = spots.get(here, at)
        name = Scalar(line=spot.line, column=spot.column, text=str(key), kind="text")
        pairs.append(Pair(key=name, value=_node(value, here, spot, spots, problems)))
    return Pairs(line=at.line, column=at.column, pairs=tuple(pairs))


def _kind(value: object) -> Kind | None:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float | Decimal):
        return "number"
    return "text" if isinstance(value, str) else None


def _spots(text: str) -> Iterator[tuple[Trail, Spot]]:
    """Each key's place, by the keys that lead to it; the first, where it comes again."""
    table: Trail = ()
    seen: set[Trail] = set()
    for first, words in _statements(text):
        statement = tomllib.loads(words, parse_float=Decimal)
        header = words.lstrip().startswith("[")
        base = () if header else table
        if header:
            table = _innermost(statement)
        for trail, offset in _keys(statement, words, 0):
            if (*base, *trail) not in seen:
                seen.add((*base, *trail))
                before = words[:offset]
                column = offset - before.rfind("\n")
                yield (*base, *trail), Spot(line=first + before.count("\n"), column=column)


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """The shortest runs of lines that are TOML by themselves, each with its first line's number."""
    pending: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        pending.append(line)
        words = "\n".join(pending)
        try:
            tomllib.loads(words)
        except tomllib.TOMLDecodeError:
            continue
        yield number - len(pending) + 1, words
        pending = []


def _innermost(statement: Mapping[str, object]) -> Trail:
    """The table that a header opens."""
    trail: list[str] = []
    inner: object = statement
    while isinstance(inner, Mapping | list) and inner:
        if isinstance(inner, list):
            inner = inner[0]
            continue
        key = next(iter(inner))
        trail.append(key)
        inner = inner[key]
    return tuple(trail)


def _keys(table: Mapping[str, object], words: str, start: int) -> Iterator[tuple[Trail, int]]:
    """The keys of one statement, each with its place in the statement's text."""
    for key, value in table.items():
        found = re.compile(rf"(?<![\w-]){re.escape(key)}(?![\w-])").search(words, start)
        offset = found.start() if found else start
        start = found.end() if found else start
        yield (key,), offset
        inner = value[0] if isinstance(value, list) and value else value
        if isinstance(inner, Mapping):
            for trail, place in _keys(inner, words, start):
                yield (key, *trail), place
                start = max(start, place)
