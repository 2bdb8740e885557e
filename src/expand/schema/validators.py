"""Validates a file's data by its JSON Schema, and words what is wrong: where it stands, what it is, how to mend it.

The schemas are ``data/schemas/*.json`` (draft 2020-12): what editors get, what the reference is generated from, and
what jsonschema-rs validates by. They do without ``anyOf`` and its like, so that every error leads to one place.
Messages take their words from them too:

- ``title`` of a list's items and of a mapping's ``propertyNames`` names one of them ("section", "language");
- ``patternErrorMessage``, which YAML editors show, says what to give ("give a text on one line");
- ``examples`` say what a missing key may look like.

``"type": ["string", "number"]`` stands for a text that may be left without quotes: ``03`` is "03". ``uniqueItems``
compares titles and ids as people do: letter case and spaces do not count, and neither do the other keys of an item.
"""

import difflib
import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any, cast

import jsonschema_rs

from expand.paths import DATA
from expand.schema.input_file import DataPath, InputFile, quoted

Schema = dict[str, Any]
Format = Callable[[str], tuple[str, str] | None]
"""A rule for texts that no pattern can state: what is wrong with one, and the remedy; None for nothing."""

MAX_DECIMALS = 12
"""Money is kept in whole pico-dollars."""


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

    @cached_property
    def _compiled(self) -> jsonschema_rs.Validator:
        def holds(rule: Format) -> Callable[[str], bool]:
            return lambda text: not text.strip() or rule(text) is None

        formats = {name: holds(rule) for name, rule in self._formats.items()}
        return jsonschema_rs.validator_for(self.schema, formats=formats, validate_formats=True)

    def check(self, file: InputFile) -> dict[str, Any]:
        """Note every problem of the file's data, and take out what is wrong, so that further checks can rely on the
        rest: a wrong item of a list is None, a wrong key is not there. Returns the data, {} of an unreadable file."""
        if file.readable:
            data = _as_written(file.data, self.schema, (), file)
            report = _Report(self.schema, self._formats, file)
            for error in self._compiled.iter_errors(data):
                report.note(error)
            file.data = report.right(data, self.schema, ())
        return file.data or {}


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


def _as_written(value: Any, schema: Schema, path: DataPath, file: InputFile) -> Any:
    """The value with the text as the file has it where the schema takes a number for a text."""
    if isinstance(value, dict):
        return {key: _as_written(inner, _below(schema, key), (*path, key), file) for key, inner in value.items()}
    if isinstance(value, list):
        items = schema.get("items", {})
        return [_as_written(inner, items, (*path, number), file) for number, inner in enumerate(value)]
    if schema.get("type") != ["string", "number"]:
        return value
    text = file.written.get(path, value)
    return unicodedata.normalize("NFC", text) if isinstance(text, str) else text


def _below(schema: Schema, key: str) -> Schema:
    """The schema of the value of a key."""
    below = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
    return below if isinstance(below, dict) else {}


class _Report:
    """Words the library's errors, one rule a keyword."""

    def __init__(self, schema: Schema, formats: Mapping[str, Format], file: InputFile) -> None:
        self._wrong = set(file.refused)
        self._wrong_keys: set[DataPath] = set()
        self._schema = schema
        self._formats = formats
        self._file = file

    def note(self, error: jsonschema_rs.ValidationError) -> None:
        """Note what the error says, once for each value."""
        path, name, schema = self._located(error.instance_path)
        prefix = f"{name}: " if path else ""
        if any(path[:length] in self._file.refused for length in range(len(path) + 1)):
            return
        match error.kind.name:
            case "required":
                key = error.kind.as_dict()["property"]
                example = next(iter(schema["properties"][key].get("examples", ())), None)
                shown = f": {example}" if isinstance(example, str | int) else ""
                self._file.note(path, f'{prefix}the key "{key}" is missing', f"add {key}{shown}")
            case "additionalProperties":
                for key in error.kind.as_dict()["unexpected"]:
                    self._wrong.add((*path, key))
                    # A suggestion costs a comparison with every key that there is.
                    remedy = "" if self._file.full else suggestion(key, schema["properties"])
                    self._file.add(self._file.key((*path, key)), f"{prefix}unknown key {quoted(key)}", remedy)
            case "propertyNames":
                self._note_key(error.kind.as_dict()["error"].instance, schema["propertyNames"], path, prefix)
            case keyword if keyword != "uniqueItems" and path not in self._wrong:  # items are compared by own rules
                self._wrong.add(path)
                what, remedy = self._value_rule(keyword, error.instance, schema, path)
                self._file.note(path, f"{name} {what}", remedy)

    def _located(self, parts: Iterable[str | int]) -> tuple[DataPath, str, Schema]:
        """The path of a value, with its keys as text, since the library takes those of digits for numbers of items; how
        messages call it: ``("sections", 0, "lines")`` is "section 1: lines"; and its schema."""
        path: DataPath = ()
        names: list[str] = []
        schema = self._schema
        for part in parts:
            if "items" in schema:
                schema = schema["items"]
                names[-1] = f"{schema['title']} {int(part) + 1}"
                path = (*path, part)
            else:
                schema = _below(schema, str(part))
                names.append(str(part))
                path = (*path, str(part))
        return path, ": ".join(names) or "the file", schema

    def right(self, value: Any, schema: Schema, path: DataPath) -> Any:
        """What is right of a value, after the checks that no schema can state."""
        if schema.get("uniqueItems") and isinstance(value, list):
            self._note_repeated(value, schema, path)
        exponent = value.as_tuple().exponent if isinstance(value, Decimal) and schema.get("type") == "number" else 0
        if isinstance(exponent, int) and -exponent > MAX_DECIMALS and path not in self._wrong:
            self._wrong.add(path)  # more exact than money can be
            what = f"{self._located(path)[1]} is {self._describe(value, path)}"
            self._file.note(path, what, f"give at most {MAX_DECIMALS} decimals")
        if isinstance(value, dict):
            inner = ((key, self.right(one, _below(schema, key), (*path, key))) for key, one in value.items())
            value = {key: one for key, one in inner if (*path, key) not in self._wrong}
        elif isinstance(value, list):
            items = schema.get("items", {})
            value = [self.right(one, items, (*path, number)) for number, one in enumerate(value)]
        return None if path in self._wrong else value

    def _note_repeated(self, items: list[Any], schema: Schema, path: DataPath) -> None:
        """Note items that repeat the id, the title or the whole of another one."""
        noun = schema["items"]["title"]
        named_by = next((key for key in ("id", "title") if key in schema["items"].get("required", ())), None)
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
                around = self._located((*path, 0))[1].removesuffix(f"{noun} 1")
                at = self._file.value((*path, number - 1, *((named_by,) if named_by else ())))
                self._file.add(at, f"{around}{what}", "change or remove one of them")
            for language, text in words:
                taken.setdefault((language, text), number)
                taken.setdefault(("*", text), number)

    def _note_key(self, key: str, schema: Schema, around: DataPath, prefix: str) -> None:
        """Note a key that a mapping may not have, though its keys are the user's to choose."""
        path = (*around, key)
        if path in self._wrong_keys:
            return
        self._wrong_keys.add(path)
        self._wrong.add(path)
        what, remedy = f"{key} {schema['patternErrorMessage']}", "leave it out"
        if "not" not in schema:
            rule = "maxLength" if len(key) > schema["maxLength"] else "pattern"
            said, remedy = self._value_rule(rule, key, schema, path)
            what = f"the {schema['title']} {said}"
        self._file.add(self._file.key(path), f"{prefix}{what}", remedy)

    def _value_rule(self, keyword: str, value: Any, schema: Schema, path: DataPath) -> tuple[str, str]:
        """What is wrong with one value, and the remedy."""
        if keyword == "maxLength":
            return f"has {len(value):,} characters", f"give at most {schema['maxLength']:,}"
        if isinstance(value, str) and value.strip() and "format" in schema:
            wrong = self._formats[schema["format"]](value)
            if wrong is not None:
                return wrong
        found = self._describe(value, path)
        scalar = isinstance(value, bool | int | float | Decimal) or path in self._file.written
        if keyword == "type" and "string" in schema["type"] and scalar:
            return f"must be a string, not {found}", "put it in quotes"
        return f"is {found}", self._remedy(value, schema, path)

    def _remedy(self, value: Any, schema: Schema, path: DataPath) -> str:
        """What to give in place of a value."""
        if "enum" in schema:
            return suggestion(value if isinstance(value, str) else "", schema["enum"])
        types = schema["type"]
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
        each = "in brackets" if self._file.tables else "each after a dash"
        return f"give a list with at least one {schema['items']['title']}, {each}"

    def _mapping_wanted(self, schema: Schema, path: DataPath) -> str:
        if self._file.tables:
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
            noun = "table" if self._file.tables else "mapping"
            return f"a {noun}" if value else f"an empty {noun}"
        if isinstance(value, str):
            return f"the text {quoted(value)}" if value.strip() else "an empty text"
        written = self._file.written.get(path)
        if written is not None:
            return quoted(written)[1:-1]
        return "empty" if value is None else str(value).lower()
