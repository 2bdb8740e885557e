"""YAML files as nodes with positions: the strict subset of YAML 1.2 that people write by hand.

What holds: a plain word is text unless the core schema of YAML 1.2 says otherwise (``no`` and
``on`` are text, ``03`` is a whole number whose ``text`` is still "03"); there are no anchors,
aliases, merge keys or tags, so nothing can grow on being read; every node knows its line and
column, counted from 1. All problems of a file are gathered before any is raised.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import yaml
from yaml import events

from expand.schema.source_text import START, UNWANTED, Problems, Spot, quoted, read_text

MAX_DEPTH = 16
MAX_NODES = 100_000

Kind = Literal["null", "boolean", "integer", "number", "text"]

_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# What a plain word is by the core schema, the first that fits; anything else is text.
_CORE = re.compile(
    r"(?P<null>null|Null|NULL|~|)"
    r"|(?P<boolean>true|True|TRUE|false|False|FALSE)"
    r"|(?P<integer>[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)"
    r"|(?P<number>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?(?:\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN)"
)

_QUOTES = 'put the text in "quotes"'
_COLON = (
    "a colon inside a plain text, or a key in the wrong column",
    f"{_QUOTES}, or line the key up with those above",
)
_ESCAPE = ("an unknown escape after a backslash", "double the backslash, or use 'single quotes'")
_OPEN = ("the bracket opened here is not closed, or a comma in it is missing", "close it")
_INDENT = ("the indentation does not fit", "line the keys of one mapping up below each other")
_TOO_DEEP = (
    f"nested more than {MAX_DEPTH} levels deep",
    "no outline needs that; remove the brackets",
)
# What the parser says, what it means, how to mend it, and whether to point where it began.
_SYNTAX: tuple[tuple[str, tuple[str, str], bool], ...] = (
    ("mapping values are not allowed", _COLON, False),
    ("cannot start any token", ("this character cannot begin a text", _QUOTES), False),
    ("escape", _ESCAPE, False),
    ("hexdecimal", _ESCAPE, False),
    ("Unicode character", _ESCAPE, False),
    ("quoted scalar", ("the quote opened here is never closed", "close it"), True),
    ("flow sequence", _OPEN, True),
    ("flow mapping", _OPEN, True),
    ("':'", ("a key without its colon", "write key: value, with a space after it"), True),
    ("expected key", _INDENT, False),
    ("block end", _INDENT, False),
    ("'-' indicator", ("the list ends in the wrong column", "line its dashes up"), False),
    ("sequence entries are not", ("a list begins where none can", "begin it on a new line"), False),
    ("tag", ("an exclamation mark begins a tag", _QUOTES), False),
    ("alphabetic or numeric", ("* and & have a meaning of their own here", _QUOTES), False),
    ("node content", ("a comma or a bracket too many", "remove it"), False),
    ("directive", ("a line that begins with % is a directive", "remove it"), False),
    ("maximum nesting depth", _TOO_DEEP, False),
    ("incompatible", ("a version of YAML that does not exist", "remove the line"), False),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Node(Spot):
    """Anything in a document; a bare ``Node`` stands for what was refused already."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scalar(Node):
    """One value: ``text`` as written (quotes and escapes undone), ``kind`` what it means."""

    text: str
    kind: Kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Items(Node):
    """A list."""

    items: tuple[Node, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A key and its value."""

    key: Scalar
    value: Node


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairs(Node):
    """A mapping; no key appears twice, compared by its text."""

    pairs: tuple[Pair, ...]


def read_document(path: Path, problems: Problems) -> Node | None:
    """The root node of the YAML file; None when ``problems`` say why there is none."""
    text = read_text(path, problems)
    return None if text is None else _compose(text, problems)


def spots(node: Node, path: tuple[str | int, ...] = ()) -> dict[tuple[str | int, ...], Spot]:
    """Where every value stands, by its keys and its places in lists, which count from 0."""
    found: dict[tuple[str | int, ...], Spot] = {path: node}
    if isinstance(node, Items):
        for number, item in enumerate(node.items):
            found |= spots(item, (*path, number))
    elif isinstance(node, Pairs):
        for pair in node.pairs:
            found |= spots(pair.value, (*path, pair.key.text))
    return found


def _compose(text: str, problems: Problems) -> Node | None:
    composer = _Composer(problems)
    unread = bool(problems)
    try:
        with closing(_events(text)) as stream:
            for event in stream:
                if not composer.take(event):
                    return None
    except yaml.YAMLError as error:
        if not unread:  # else the syntax may be wrong only because of what was noted before
            _note_syntax(error, problems)
        return None
    return composer.root or Scalar(line=START.line, column=START.column, text="", kind="null")


def _events(text: str) -> Generator[events.Event, None, None]:
    return cast("Generator[events.Event, None, None]", yaml.parse(text, Loader=_Loader))


def _note_syntax(error: yaml.YAMLError, problems: Problems) -> None:
    marked = cast("yaml.MarkedYAMLError", error)
    said = f"{marked.context or ''} {marked.problem or ''}".strip()
    found = [row for row in _SYNTAX if row[0] in said]
    what, remedy = found[0][1] if found else (said, "compare it with the lines above")
    begun = marked.context_mark if found and found[0][2] else None
    mark = begun or cast("yaml.Mark", marked.problem_mark)
    at = Spot(line=mark.line + 1, column=mark.column + 1)
    problems.add(at, f"not YAML: {what}", remedy)


class _Composer:
    """Builds nodes from parser events without recursion; refuses what the subset leaves out."""

    def __init__(self, problems: Problems) -> None:
        self.root: Node | None = None
        self._problems = problems
        self._open: list[tuple[Node, list[Node]]] = []
        self._nodes = 0
        self._documents = 0

    def take(self, event: events.Event) -> bool:
        """Take in one event; False when reading has to stop here."""
        if isinstance(event, events.NodeEvent):
            return self._take_node(event)
        if isinstance(event, events.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                what = "a second document begins here"
                self._problems.add(_at(event), what, "keep one in a file; remove the ---")
                return False
        elif isinstance(event, events.CollectionEndEvent):
            start, children = self._open.pop()
            self._close(start, children, mapping=isinstance(event, events.MappingEndEvent))
        return True

    def _take_node(self, event: events.NodeEvent) -> bool:
        at = _at(event)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._problems.add(at, f"more than {MAX_NODES:,} values", "split the file")
            return False
        if isinstance(event, events.AliasEvent):
            what = f"the alias *{event.anchor}"
            self._problems.add(at, what, "aliases are not followed; write the text out")
            self._keep(at)
            return True
        if event.anchor is not None:
            self._problems.add(at, f"the anchor &{event.anchor}", "remove it")
        if event.tag is not None:  # type: ignore[attr-defined]
            what = f"the tag {event.tag.replace('tag:yaml.org,2002:', '!!')}"  # type: ignore[attr-defined]
            self._problems.add(at, what, 'remove it; put text in "quotes"')
        if isinstance(event, events.ScalarEvent):
            self._keep(self._scalar(event, at))
            return True
        if len(self._open) == MAX_DEPTH:
            self._problems.add(at, *_TOO_DEEP)
            return False
        self._open.append((at, []))
        return True

    def _scalar(self, event: events.ScalarEvent, at: Node) -> Node:
        unwanted = UNWANTED.search(event.value.replace("\r", "\0"))
        if unwanted is not None:
            what = "a control character"
            self._problems.add(at, what, "remove its escape")
            return at
        kind: Kind = "text"
        if event.implicit[0]:
            core = _CORE.fullmatch(event.value)
            kind = "text" if core is None else cast(Kind, core.lastgroup)
        return Scalar(line=at.line, column=at.column, text=event.value, kind=kind)

    def _close(self, start: Node, children: list[Node], *, mapping: bool) -> None:
        if not mapping:
            self._keep(Items(line=start.line, column=start.column, items=tuple(children)))
            return
        pairs = self._pairs(children)
        refused = bool(children) and not pairs
        whole = Pairs(line=start.line, column=start.column, pairs=pairs)
        self._keep(start if refused else whole)

    def _pairs(self, children: list[Node]) -> tuple[Pair, ...]:
        pairs: dict[str, Pair] = {}
        for key, value in zip(children[::2], children[1::2], strict=True):
            if not isinstance(key, Scalar):
                if type(key) is not Node:
                    self._problems.add(key, "a key is a list or a mapping", "keys are plain words")
            elif key.text == "<<":
                what = "the merge key <<"
                self._problems.add(key, what, "mappings are not merged; write the keys out")
            elif key.text in pairs:
                first = pairs[key.text].key.line
                what = f"the key {quoted(key.text)} appears twice, first in line {first}"
                self._problems.add(key, what, "remove one")
            else:
                pairs[key.text] = Pair(key=key, value=value)
        return tuple(pairs.values())

    def _keep(self, node: Node) -> None:
        if self._open:
            self._open[-1][1].append(node)
        else:
            self.root = node


def _at(event: events.Event) -> Node:
    mark = cast("yaml.Mark", event.start_mark)
    return Node(line=mark.line + 1, column=mark.column + 1)
