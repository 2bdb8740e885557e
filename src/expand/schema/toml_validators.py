"""Shapes for what stands in a TOML file: those of outlines, with TOML's words and a few more.

An empty table is fine here: settings are optional, and a file with all of them commented out is
what people begin with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from expand.schema import Json
from expand.schema.source_text import Problems
from expand.schema.validators import (
    ListOf,
    MappingOf,
    Record,
    Schema,
    Shape,
    Trail,
    Values,
    Words,
    call,
)
from expand.schema.yaml_positions import Items, Node, Pairs, Scalar

T = TypeVar("T")

LINE = Words(pattern=r"^[^\n\r]*\S[^\n\r]*$", wanted="a text in quotes, on one line", longest=500)
PROSE = Words(pattern=r"\S", wanted="a text in quotes", longest=100_000)


class TomlList(ListOf[T]):
    """A list with at least one item."""

    def refuse(self, node: Node, trail: Trail, problems: Problems, remedy: str, *, what: str = "") -> None:
        """Note that the node is no such list."""
        remedy = f"give a list with at least one {self.noun}, in brackets"
        super().refuse(node, trail, problems, remedy, what=what)


class TomlTable(MappingOf[T]):
    """A table whose keys the user chooses; there may be none."""

    def read(self, node: Node, trail: Trail, problems: Problems) -> Mapping[str, T] | None:
        """The entries that are right, in their order."""
        if isinstance(node, Pairs) and not node.pairs:
            return {}
        return super().read(node, trail, problems)

    def refuse(self, node: Node, trail: Trail, problems: Problems, remedy: str, *, what: str = "") -> None:
        """Note that the node is no table."""
        super().refuse(node, trail, problems, f"write it as a table: {_header(trail)}", what=what)

    def schema(self) -> Schema:
        """An object with any keys that fit."""
        schema = super().schema()
        schema.pop("minProperties", None)
        return schema


class TomlRecord(Record):
    """A table with known keys and no others; without required ones it may be empty."""

    def read(self, node: Node, trail: Trail, problems: Problems) -> Values | None:
        """The values that are right; unknown and missing keys are noted."""
        if isinstance(node, Pairs) and not node.pairs and not self._required:
            return Values(node)
        return super().read(node, trail, problems)

    def refuse(self, node: Node, trail: Trail, problems: Problems, remedy: str, *, what: str = "") -> None:
        """Note that the node is no table."""
        super().refuse(node, trail, problems, f"write it as a table: {_header(trail)}", what=what)

    def schema(self) -> Schema:
        """An object with these properties only."""
        schema = super().schema()
        schema.pop("minProperties", None)
        return schema

    @property
    def _required(self) -> bool:
        return any(field.required for field in self.fields)


@dataclass(frozen=True, kw_only=True, slots=True)
class JsonTable(Shape[Mapping[str, Json]]):
    """A table that goes out as JSON, with any keys but those ``reserved``."""

    reserved: frozenset[str] = frozenset()

    def read(self, node: Node, trail: Trail, problems: Problems) -> Mapping[str, Json] | None:
        """The table as JSON holds it."""
        if not isinstance(node, Pairs):
            self.refuse(node, trail, problems, f"write it as a table: {_header(trail)}")
            return None
        for pair in node.pairs:
            if pair.key.text in self.reserved:
                what = f"{call(trail)}: {pair.key.text} is set by the tool itself"
                problems.add(pair.key, what, "leave it out")
        return {pair.key.text: as_json(pair.value) for pair in node.pairs}

    def schema(self) -> Schema:
        """An object; the reserved keys are refused."""
        if not self.reserved:
            return {"type": "object"}
        names: Json = {"not": {"enum": cast("list[Json]", sorted(self.reserved))}}
        return {"type": "object", "propertyNames": names}


def as_json(node: Node) -> Json:
    """What a node stands for, as JSON holds it."""
    if isinstance(node, Pairs):
        return {pair.key.text: as_json(pair.value) for pair in node.pairs}
    if isinstance(node, Items):
        return [as_json(item) for item in node.items]
    if not isinstance(node, Scalar) or node.kind == "null":
        return None
    plain: Mapping[str, Any] = {
        "boolean": lambda text: text == "true",
        "integer": int,
        "number": float,
        "text": str,
    }
    return cast(Json, plain[node.kind](node.text))


def _header(trail: Trail) -> str:
    names = (name if name.isidentifier() else f'"{name}"' for name in trail)
    return f"[{'.'.join(names)}]"
