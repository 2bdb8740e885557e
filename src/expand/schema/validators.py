"""Validates a file's data by its JSON Schema, and words what is wrong: where it stands, what it is, how to mend it.

The schemas are ``data/schemas/*.json`` (draft 2020-12): what editors get, what the reference is generated from, and
what this walks by. They do without ``anyOf`` and its like, so that every mistake leads to one place. Messages take
their words from them too:

- ``title`` of a list's items and of a mapping's ``propertyNames`` names one of them ("section", "language");
- ``patternErrorMessage``, which YAML editors show, says what to give ("give a text on one line");
- ``examples`` say what a missing key may look like.

``"type": ["string", "number"]`` stands for a text that may be left without quotes: ``03`` is "03". ``uniqueItems``
compares titles and ids as people do: letter case and spaces do not count, and neither do the other keys of an item.
"""

import difflib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import cache, cached_property
from typing import Any, cast

from expand.paths import DATA
from expand.schema.positions import DataPath, Positions
from expand.schema.source_text import Problems, quoted

Schema = dict[str, Any]
Format = Callable[[str], tuple[str, str] | None]
"""A rule for texts that no pattern can state: what is wrong with one, and the remedy; None for nothing."""

MAX_DECIMALS = 12
"""Money is kept in whole pico-dollars."""
_WRONG: Any = object()
"""Stands for a value of which nothing is right."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """The remedy for an unknown word: the known one it resembles, or all of them."""
    words = list(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else f"known are: {', '.join(words)}"


def folded(text: str) -> str:
    """The text as it is compared with others: letter case, spaces and the spelling of accents do not count."""
    return " ".join(unicodedata.normalize("NFC", text).split()).casefold()


class Validator:
    """Validates one kind of file by ``data/schemas/NAME.json``; ``formats`` are the rules that it calls formats."""

    def __init__(self, name: str, formats: Mapping[str, Format]) -> None:
        self.name = name
        self._formats = formats

    @cached_property
    def schema(self) -> Schema:
        """The schema with every ``$ref`` replaced by what it refers to, so that it stands alone."""
        schema = _load(self.name)
        definitions = {**_load("common")["$defs"], **schema.pop("$defs", {})}
        return cast(Schema, _resolved(schema, definitions))

    def check(self, data: Any, positions: Positions, problems: Problems) -> Any:
        """Note every problem of the data. Returns the data without the values that are wrong, so that further checks
        can rely on the rest: a wrong item of a list is None, a wrong key is not there."""
        right = _Check(self._formats, positions, problems).right(data, self.schema, (), ())
        return None if right is _WRONG else right


def _load(name: str) -> Schema:
    return cast(Schema, json.loads((DATA / "schemas" / f"{name}.json").read_text(encoding="utf-8")))


def _resolved(value: Any, definitions: Schema) -> Any:
    if isinstance(value, list):
        return [_resolved(item, definitions) for item in value]
    if not isinstance(value, dict):
        return value
    own = {key: _resolved(inner, definitions) for key, inner in value.items() if key != "$ref"}
    if "$ref" not in value:
        return own
    return {**_resolved(definitions[value["$ref"].rpartition("/")[2]], definitions), **own}


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    """A schema's pattern, in which ``$`` is the end of the text; Python's also stands before a last line feed."""
    return re.compile(re.sub(r"\[(?:\\.|[^\]])*\]|\$", lambda found: r"\Z" if found[0] == "$" else found[0], pattern))


class _Check:
    """One walk over a file's data with its schema. ``path`` leads to a value, ``names`` are what messages call it and
    what it is in."""

    def __init__(self, formats: Mapping[str, Format], positions: Positions, problems: Problems) -> None:
        self._formats = formats
        self._positions = positions
        self._problems = problems

    def right(self, value: Any, schema: Schema, path: DataPath, names: tuple[str, ...]) -> Any:
        """What is right of a value, once all that is wrong in it is noted; ``_WRONG`` where nothing is."""
        if path in self._positions.refused:
            return _WRONG
        types = schema.get("type", ())
        if types == ["string", "number"]:
            value = self._positions.written.get(path, value)
            value = unicodedata.normalize("NFC", value) if isinstance(value, str) else value
        mistake = self._mistake(value, schema, path)
        if mistake:
            self._problems.add(
                self._positions.value(path), f"{': '.join(names) or 'the file'} {mistake[0]}", mistake[1]
            )
        if isinstance(value, dict):
            value = self._right_mapping(value, schema, path, names)
        elif isinstance(value, list):
            items = schema.get("items", {})
            called = [(*names[:-1], f"{items.get('title')} {number}") for number in range(1, len(value) + 1)]
            inner = [self.right(one, items, (*path, at), called[at]) for at, one in enumerate(value)]
            value = [None if one is _WRONG else one for one in inner]
            if schema.get("uniqueItems"):
                self._note_repeated(value, items, path, names)
        return _WRONG if mistake else value

    def _right_mapping(self, data: Mapping[str, Any], schema: Schema, path: DataPath, names: tuple[str, ...]) -> Any:
        known, further = schema.get("properties", {}), schema.get("additionalProperties", {})
        prefix = f"{': '.join(names)}: " if names else ""
        for key in schema.get("required", ()):
            if key not in data:
                example = next(iter(known[key].get("examples", ())), None)
                shown = f": {example}" if isinstance(example, str | int) else ""
                what = f'{prefix}the key "{key}" is missing'
                self._problems.add(self._positions.value(path), what, f"add {key}{shown}")
        found: dict[str, Any] = {}
        for key, value in data.items():
            below = known.get(key, further)
            mistake = self._key_mistake(key, schema) if below is not False else None
            if below is False:
                # A suggestion costs a comparison with every key that there is.
                mistake = f"unknown key {quoted(key)}", "" if self._problems.full else suggestion(key, known)
            if mistake:
                self._problems.add(self._positions.key((*path, key)), f"{prefix}{mistake[0]}", mistake[1])
            right = _WRONG if below is False else self.right(value, below, (*path, key), (*names, key))
            if not mistake and right is not _WRONG:
                found[key] = right
        return found

    def _key_mistake(self, key: str, schema: Schema) -> tuple[str, str] | None:
        """Why a mapping may not have a key, though its keys are the user's to choose."""
        names = schema.get("propertyNames", {})
        mistake = self._mistake(key, names, ())
        if mistake and "not" in names:
            return f"{key} {names['patternErrorMessage']}", "leave it out"
        return (f"the {names['title']} {mistake[0]}", mistake[1]) if mistake else None

    def _mistake(self, value: Any, schema: Schema, path: DataPath) -> tuple[str, str] | None:
        """What is wrong with a value, whatever is in it, and the remedy."""
        types, kind = schema.get("type", ()), _kind(value)
        allowed = [types] if isinstance(types, str) else types
        fits, size = True, value if kind in ("integer", "number") else len(value) if kind in _SIZES else 0
        if allowed and kind not in allowed and not (kind == "integer" and "number" in allowed):
            scalar = kind in ("boolean", "integer", "number") or path in self._positions.written
            if "string" in allowed and scalar:
                return f"must be a string, not {self._describe(value, path)}", "put it in quotes"
            fits = False
        elif kind == "string":
            if size > schema.get("maxLength", size):
                return f"has {size:,} characters", f"give at most {schema['maxLength']:,}"
            if value.strip() and "format" in schema and (mistake := self._formats[schema["format"]](value)):
                return mistake
            fits = "pattern" not in schema or _pattern(schema["pattern"]).search(value) is not None
        least, most = _SIZES.get(kind, ("minimum", "maximum"))
        fits = fits and schema.get(least, size) <= size <= schema.get(most, size)
        fits = fits and value in schema.get("enum", [value]) and value not in schema.get("not", {}).get("enum", [])
        if not fits:
            return f"is {self._describe(value, path)}", self._remedy(value, schema, path)
        if types == "number" and isinstance(value, Decimal) and -int(value.as_tuple().exponent) > MAX_DECIMALS:
            return f"is {self._describe(value, path)}", f"give at most {MAX_DECIMALS} decimals"
        return None

    def _remedy(self, value: Any, schema: Schema, path: DataPath) -> str:
        """What to give in place of a value."""
        if "enum" in schema:
            return suggestion(value if isinstance(value, str) else "", schema["enum"])
        types = schema.get("type", "string")
        if types == "object" or (isinstance(value, dict) and "object" in types):
            return self._mapping_wanted(schema, path)
        if "string" in types:
            return str(schema["patternErrorMessage"])
        if types in ("integer", "number"):
            kind = "whole number" if types == "integer" else "number"
            quotes = ", without quotes" if isinstance(value, str) and value.strip().isdigit() else ""
            return f"give a {kind} from {schema['minimum']:,} to {schema['maximum']:,}{quotes}"
        if types == "boolean":
            return "give true or false"
        each = "in brackets" if self._positions.tables else "each after a dash"
        return f"give a list with at least one {schema['items']['title']}, {each}"

    def _mapping_wanted(self, schema: Schema, path: DataPath) -> str:
        if self._positions.tables:
            names = (name if name.isidentifier() else f'"{name}"' for name in map(str, path))
            return f"write it as a table: [{'.'.join(names)}]"
        if "properties" not in schema:
            return f"give at least one {schema['propertyNames']['title']}, a colon and what belongs to it"
        return f"give keys and values; known are: {', '.join(schema['properties'])}"

    def _describe(self, value: Any, path: DataPath) -> str:
        """What stands there, for a message."""
        if isinstance(value, list):
            return "a list" if value else "an empty list"
        if isinstance(value, dict):
            noun = "table" if self._positions.tables else "mapping"
            return f"a {noun}" if value else f"an empty {noun}"
        if isinstance(value, str):
            return f"the text {quoted(value)}" if value.strip() else "an empty text"
        written = self._positions.written.get(path)
        if written is not None:
            return quoted(written)[1:-1]
        return "empty" if value is None else str(value).lower()

    def _note_repeated(self, items: list[Any], schema: Schema, path: DataPath, names: tuple[str, ...]) -> None:
        """Note items that repeat the id, the title or the whole of another one."""
        noun = schema["title"]
        named_by = next((key for key in ("id", "title") if key in schema.get("required", ())), None)
        taken: dict[tuple[str, str], int] = {}
        for number, item in enumerate(items, 1):
            same = item.get(named_by) if named_by and isinstance(item, dict) else item
            texts = same if isinstance(same, dict) else {"": same}
            words = {(language, folded(text)) for language, text in texts.items() if isinstance(text, str)}
            # A text by language repeats one in the same language, and one that is the same in all of them.
            clashes = words | {("" if language else "*", text) for language, text in words}
            first = min((taken[clash] for clash in clashes if clash in taken), default=None)
            if first is not None:
                what = f"{noun} {number} repeats {f'the {named_by} of ' if named_by else ''}{noun} {first}"
                at = self._positions.value((*path, number - 1, *((named_by,) if named_by else ())))
                self._problems.add(at, ": ".join((*names[:-1], what)), "change or remove one of them")
            for language, text in words:
                taken.setdefault((language, text), number)
                taken.setdefault(("*", text), number)


_SIZES = {
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}


def _kind(value: Any) -> str:
    """The JSON type of a value; 50.0 is a whole number."""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return "integer" if value == int(value) else "number"
    kinds: dict[type, str] = {bool: "boolean", str: "string", list: "array", dict: "object"}
    return kinds.get(type(value), "null")
