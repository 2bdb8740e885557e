"""Shapes made of shapes: lists, tables with keys of the user's choice, records with fixed keys.

A record reads into ``Values``, which keep what was right even where something else was wrong, so
that one reading finds every problem. ``Field`` carries the type: ``values.need(TITLE)`` is a text.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar, cast

from expand.schema import Json
from expand.schema.source_text import Problems, Spot, quoted
from expand.schema.yaml_positions import Items, Node, Pairs, Scalar

# Shapes: what a node of a YAML file has to look like, said once for the reader and the schema.
#
# ``read`` turns a node into a value and notes every problem on the way (None stands for what was
# wrong); ``schema`` says the same as JSON Schema, draft 2020-12. A ``trail`` is how messages call
# the node: ``("section 2", "lines")`` reads "section 2: lines".

T = TypeVar("T")
Trail = tuple[str, ...]
Schema = dict[str, Json]


MAX_DIGITS = 30
ONE_LINE = r"^\s*\S[^\n\r]*\s*$"
SOME_TEXT = r"\S"


def describe(node: Node) -> str:
    """What stands there, for a message."""
    if isinstance(node, Items):
        return "a list"
    if isinstance(node, Pairs):
        return "a mapping"
    scalar = cast(Scalar, node)
    if scalar.kind == "null":
        return "empty"
    if scalar.kind == "text":
        return f"the text {quoted(scalar.text)}" if scalar.text.strip() else "an empty text"
    return quoted(scalar.text)[1:-1]


def suggestion(word: str, known: Iterable[str]) -> str:
    """The remedy for an unknown word: the known one it resembles, or all of them."""
    words = list(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else f"known are: {', '.join(words)}"


def call(trail: Trail) -> str:
    """How messages call the node at the end of the trail."""
    return ": ".join(trail)


class Shape(ABC, Generic[T]):
    """What a node has to look like, and the value it stands for."""

    @abstractmethod
    def read(self, node: Node, trail: Trail, problems: Problems) -> T | None:
        """The node's value; None when it is wrong, which ``problems`` then say."""

    @abstractmethod
    def schema(self) -> Schema:
        """The same as JSON Schema."""

    def refuse(self, node: Node, trail: Trail, problems: Problems, remedy: str, *, what: str = "") -> None:
        """Note that the node is not what it should be, unless it was refused before."""
        if type(node) is not Node:
            problems.add(node, f"{call(trail)} is {what or describe(node)}", remedy)


@dataclass(frozen=True, kw_only=True, slots=True)
class Number(Shape[Decimal]):
    """An exact number between two bounds, both allowed; ``whole`` allows no fraction."""

    minimum: int | Decimal
    maximum: int
    whole: bool = False
    places: int = 12

    def read(self, node: Node, trail: Trail, problems: Problems) -> Decimal | None:
        """The number as it is written, decimal, hexadecimal (0x) or octal (0o)."""
        value = _number(node)
        kind = "whole number" if self.whole else "number"
        remedy = f"give a {kind} from {self.minimum:,} to {self.maximum:,}"
        if value is not None and self.minimum <= value <= self.maximum:
            if self.whole and value == value.to_integral_value():
                return value.to_integral_value()
            if not self.whole and -cast(int, value.as_tuple().exponent) <= self.places:
                return value
            if not self.whole:
                remedy = f"give at most {self.places} decimals"
        elif isinstance(node, Scalar) and node.kind == "text" and node.text.strip().isdigit():
            remedy += ", without quotes"
        self.refuse(node, trail, problems, remedy)
        return None

    def schema(self) -> Schema:
        """An integer or number with both bounds."""
        kind = "integer" if self.whole else "number"
        minimum = self.minimum if isinstance(self.minimum, int) else float(self.minimum)
        return {"type": kind, "minimum": minimum, "maximum": self.maximum}


def _number(node: Node) -> Decimal | None:
    if not isinstance(node, Scalar) or len(node.text) > MAX_DIGITS:
        return None
    if node.kind == "integer" and node.text[:2] in ("0x", "0o"):
        return Decimal(int(node.text[2:], 16 if node.text[1] == "x" else 8))
    if node.kind in ("integer", "number") and not node.text.lower().endswith(("inf", "nan")):
        exponent = int(node.text.lower().partition("e")[2] or "0")
        return Decimal(node.text) if abs(exponent) < 100 else None
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Flag(Shape[bool]):
    """true or false."""

    def read(self, node: Node, trail: Trail, problems: Problems) -> bool | None:
        """The truth value; only the words of YAML 1.2 are one."""
        if isinstance(node, Scalar) and node.kind == "boolean":
            return node.text.lower() == "true"
        self.refuse(node, trail, problems, "give true or false")
        return None

    def schema(self) -> Schema:
        """A boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Words(Shape[str]):
    """A text that passes ``check``, if there is one, and matches ``pattern``.

    ``check`` returns what is wrong and the remedy, or None. With ``trim`` the space around the
    text does not count. With ``raw`` a number is taken as
    the text that it is written with: ``03`` is "03"; letters are composed (NFC).
    """

    pattern: str
    wanted: str
    longest: int
    raw: bool = False
    trim: bool = False
    check: Callable[[str], tuple[str, str] | None] | None = None

    def read(self, node: Node, trail: Trail, problems: Problems) -> str | None:
        """The text."""
        kinds = ("text", "integer", "number") if self.raw else ("text",)
        if not isinstance(node, Scalar) or node.kind not in kinds:
            remedy = f"give {self.wanted}"
            if isinstance(node, Scalar) and node.kind != "null":
                remedy = "put it in quotes if it is meant as text"
            self.refuse(node, trail, problems, remedy)
            return None
        text = node.text.strip() if self.trim else node.text
        if self.raw:
            text = unicodedata.normalize("NFC", text)
        if len(text) > self.longest:
            what = f"{call(trail)} has {len(text):,} characters"
            problems.add(node, what, f"give at most {self.longest:,}")
            return None
        wrong = self.check(text) if self.check is not None and text.strip() else None
        if wrong is not None:
            problems.add(node, f"{call(trail)} {wrong[0]}", wrong[1])
            return None
        if _as_schemas_mean(self.pattern).search(text) is None:
            self.refuse(node, trail, problems, f"give {self.wanted}")
            return None
        return text

    def schema(self) -> Schema:
        """A string with its pattern; a number too where the raw text counts."""
        text: Schema = {"pattern": self.pattern, "minLength": 1, "maxLength": self.longest}
        return {"type": ["string", "number"] if self.raw else "string", **text}


@cache
def _as_schemas_mean(pattern: str) -> re.Pattern[str]:
    """A schema's pattern: elsewhere $ also matches before a line feed at the end."""
    return re.compile(re.sub(r"\$$", r"\\Z", pattern))


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice(Shape[str]):
    """One of a few words."""

    options: tuple[str, ...]

    def read(self, node: Node, trail: Trail, problems: Problems) -> str | None:
        """The word."""
        if isinstance(node, Scalar) and node.kind == "text" and node.text in self.options:
            return node.text
        word = node.text if isinstance(node, Scalar) else ""
        self.refuse(node, trail, problems, suggestion(word, self.options))
        return None

    def schema(self) -> Schema:
        """An enumeration."""
        return {"enum": list(self.options)}


class Identity(NamedTuple):
    """What an item may not share with another of its list.

    ``marks`` is what it takes, ``clashes`` what must not be taken yet (both casefolded),
    ``called`` how messages call it and ``spot`` where it stands, if not where the item begins.
    """

    called: str
    marks: frozenset[str]
    clashes: frozenset[str]
    spot: Spot | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ListOf(Shape[tuple[T, ...]], Generic[T]):
    """A list with at least one item, each of one shape; ``noun`` is what messages call an item.

    With ``identity`` no item may repeat another.
    """

    item: Shape[T]
    noun: str
    identity: Callable[[T], Identity | None] | None = None

    def read(self, node: Node, trail: Trail, problems: Problems) -> tuple[T, ...] | None:
        """The items that are right, in their order."""
        if not isinstance(node, Items) or not node.items:
            what = "an empty list" if isinstance(node, Items) else ""
            remedy = f"give a list with at least one {self.noun}, each after a dash"
            self.refuse(node, trail, problems, remedy, what=what)
            return None
        read: list[T] = []
        taken: dict[str, int] = {}
        for number, child in enumerate(node.items, 1):
            here = (*trail[:-1], f"{self.noun} {number}")
            value = self.item.read(child, here, problems)
            if value is None:
                continue
            read.append(value)
            identity = None if self.identity is None else self.identity(value)
            if identity is not None:
                first = min((taken[m] for m in identity.clashes if m in taken), default=None)
                if first is not None:
                    what = f"{call(here)} repeats {identity.called} of {self.noun} {first}"
                    problems.add(identity.spot or child, what, "change or remove one of them")
                taken.update({mark: taken.get(mark, number) for mark in identity.marks})
        return tuple(read)

    def schema(self) -> Schema:
        """An array; that items differ is said as far as a schema can, of whole items."""
        schema: Schema = {"type": "array", "minItems": 1, "items": self.item.schema()}
        return schema if self.identity is None else {**schema, "uniqueItems": True}


@dataclass(frozen=True, kw_only=True, slots=True)
class MappingOf(Shape[Mapping[str, T]], Generic[T]):
    """A mapping whose keys the user chooses; ``noun`` is what messages call a key."""

    key: Words
    value: Shape[T]
    noun: str

    def read(self, node: Node, trail: Trail, problems: Problems) -> Mapping[str, T] | None:
        """The entries that are right, in their order."""
        if not isinstance(node, Pairs) or not node.pairs:
            what = "an empty mapping" if isinstance(node, Pairs) else ""
            remedy = f"give at least one {self.noun}, a colon and what belongs to it"
            self.refuse(node, trail, problems, remedy, what=what)
            return None
        table: dict[str, T] = {}
        for pair in node.pairs:
            key = self.key.read(pair.key, (*trail, f"the {self.noun}"), problems)
            if key is None:
                continue
            value = self.value.read(pair.value, (*trail, key), problems)
            if key in table:
                what = f"{call(trail)}: the {self.noun} {quoted(key)} appears twice"
                problems.add(pair.key, what, "remove one")
            elif value is not None:
                table[key] = value
        return table

    def schema(self) -> Schema:
        """An object with any keys that fit."""
        names: Json = {"pattern": self.key.pattern, "maxLength": self.key.longest}
        return {
            "type": "object",
            "minProperties": 1,
            "propertyNames": names,
            "additionalProperties": self.value.schema(),
        }


@dataclass(frozen=True, slots=True)
class Field(Generic[T]):
    """A key of a record, what belongs to it, what it means, and what it may look like."""

    key: str
    shape: Shape[T]
    meaning: str
    example: Json
    required: bool = False

    @property
    def remedy(self) -> str:
        """What to do where the field is missing."""
        shown = f": {self.example}" if isinstance(self.example, str | int) else ""
        return f"add {self.key}{shown}"


class Values:
    """What a record holds, by field, and where each value stands."""

    def __init__(self, at: Node) -> None:
        self.at = at
        self._values: dict[str, object] = {}
        self._nodes: dict[str, Node] = {}

    def put(self, key: str, value: object, node: Node) -> None:
        """Keep the value of a key; None where it was wrong."""
        self._values[key] = value
        self._nodes[key] = node

    def get(self, field: Field[T]) -> T | None:
        """The field's value; None where it is missing or was wrong."""
        return cast("T | None", self._values.get(field.key))

    def need(self, field: Field[T]) -> T:
        """The value of a required field of a record without problems."""
        return cast(T, self._values[field.key])

    def spot(self, field: Field[Any]) -> Node:
        """Where the field's value stands, else where the record begins."""
        return self._nodes.get(field.key, self.at)


@dataclass(frozen=True, kw_only=True, slots=True)
class Record(Shape[Values]):
    """A mapping with known keys and no others."""

    fields: Sequence[Field[Any]]

    def read(self, node: Node, trail: Trail, problems: Problems) -> Values | None:
        """The values that are right; unknown and missing keys are noted."""
        known = {field.key: field for field in self.fields}
        if not isinstance(node, Pairs):
            remedy = f"give keys and values; known are: {', '.join(known)}"
            self.refuse(node, trail or ("the file",), problems, remedy)
            return None
        required = [field for field in self.fields if field.required]
        if not node.pairs and not required:
            self.refuse(node, trail, problems, suggestion("", known), what="an empty mapping")
            return None
        values = Values(node)
        prefix = f"{call(trail)}: " if trail else ""
        for pair in node.pairs:
            found = known.get(pair.key.text)
            if found is not None:
                value = found.shape.read(pair.value, (*trail, found.key), problems)
                values.put(found.key, value, pair.value)
            else:
                what = f"{prefix}unknown key {quoted(pair.key.text)}"
                remedy = "" if problems.full else suggestion(pair.key.text, known)
                problems.add(pair.key, what, remedy)
        present = {pair.key.text for pair in node.pairs}
        for field in required:
            if field.key not in present:
                problems.add(node, f'{prefix}the key "{field.key}" is missing', field.remedy)
        return values

    def schema(self) -> Schema:
        """An object with these properties only."""
        properties: dict[str, Json] = {}
        for field in self.fields:
            examples: Json = {"description": field.meaning, "examples": [field.example]}
            properties[field.key] = {**field.shape.schema(), **cast(Schema, examples)}
        schema: Schema = {"type": "object", "properties": properties}
        required: list[Json] = [field.key for field in self.fields if field.required]
        demand: Schema = {"required": required} if required else {"minProperties": 1}
        return {**schema, **demand, "additionalProperties": False}
