"""Shapes made of shapes: lists, tables with keys of the user's choice, records with fixed keys.

A record reads into ``Values``, which keep what was right even where something else was wrong, so
that one reading finds every problem. ``Field`` carries the type: ``values.need(TITLE)`` is a text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar, cast

from expand.completion import Json
from expand.outline.document import Items, Node, Pairs
from expand.outline.input_text import Problems, Spot, quoted
from expand.outline.shape import Schema, Shape, Trail, Words, call, suggestion

T = TypeVar("T")


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
class Table(Shape[Mapping[str, T]], Generic[T]):
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
