"""Shapes: what a node of a YAML file has to look like, said once for the reader and the schema.

``read`` turns a node into a value and notes every problem on the way (None stands for what was
wrong); ``schema`` says the same as JSON Schema, draft 2020-12. A ``trail`` is how messages call
the node: ``("section 2", "lines")`` reads "section 2: lines".
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Generic, TypeVar, cast

from expand.completion import Json
from expand.outline.document import Items, Node, Pairs, Scalar
from expand.outline.input_text import Problems, quoted

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

    def refuse(
        self, node: Node, trail: Trail, problems: Problems, remedy: str, *, what: str = ""
    ) -> None:
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
