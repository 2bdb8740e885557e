"""Read the header of a GGUF file: what the model is called, its context window and size, and whether the file is whole.

Only the header is read; tensors are not. The format is llama.cpp's own (``ggml/docs/gguf.md``), little-endian: counts,
key-value pairs, tensor descriptions, then the tensors at aligned offsets. llama.cpp ends the whole process on some
broken files, so everything that the header says of places in the file is checked here first.
"""

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import NoReturn

from expand.errors import InputError, Place

SUFFIX = ".gguf"

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_KEPT_ITEMS = 64
"""Arrays with more items, which are vocabularies, are passed over."""
_MOST_PAIRS, _MOST_TENSORS, _MOST_DIMENSIONS = 65_536, 1_048_576, 4
_MOST_WINDOW = 10**7
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74),
    18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2),
    26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip
"""Of each tensor type: the values in a block, and the bytes of one. A type that is not here takes 0 bytes at least."""

Value = str | int | float | bool | list["Value"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFile:
    """What a GGUF file says of its model. ``context_window`` is in tokens, ``parameters`` counts the weights,
    ``languages`` are those that it names, None where it names none."""

    path: Path
    name: str
    context_window: int
    parameters: int
    languages: tuple[str, ...] | None


def read_model_file(path: Path) -> ModelFile:
    """What the file says of its model.

    Raises ``InputError`` when it cannot be read, is not a GGUF file, is not a language model, or is cut short."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(path, data).model_file()
    except FileNotFoundError as error:
        raise InputError("the model file does not exist", remedy=_REMEDY, place=Place(path=path)) from error
    except ValueError as error:  # an empty file cannot be mapped
        raise InputError("the model file is empty", remedy=_REMEDY, place=Place(path=path)) from error
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"the model file cannot be read: {reason}", remedy=_REMEDY, place=Place(path=path)) from error


_REMEDY = "give the path of a GGUF file, such as --model models/llama.gguf; if it was downloaded, download it again"


class _Reader:
    """Goes through the header once, from its first byte on."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path = path
        self._data = data

    def model_file(self) -> ModelFile:
        if self._bytes(4) != _MAGIC:
            self._refuse("is not a GGUF file")
        version = self._number("<I")
        if version not in _VERSIONS:
            self._refuse(f"has GGUF version {version:,}, and only 2 and 3 can be read")
        tensors, pairs = self._number("<Q"), self._number("<Q")
        if pairs > _MOST_PAIRS or tensors > _MOST_TENSORS:
            self._refuse("has a damaged header")
        stated: dict[str, Value] = {}
        for _ in range(pairs):
            key = self._string()
            value = self._value(self._number("<I"))
            if value is not None:
                stated[key] = value
        return self._described(stated, self._weights(tensors, stated))

    def _weights(self, tensors: int, stated: Mapping[str, Value]) -> int:
        """How many weights the tensors have. Refuses a file that ends before the last of them."""
        weights, end = 0, 0
        for _ in range(tensors):
            self._string()
            dimensions = self._number("<I")
            if dimensions > _MOST_DIMENSIONS:
                self._refuse("has a damaged header")
            count = prod(self._number("<Q") for _ in range(dimensions))
            values, size = _BLOCKS.get(self._number("<I"), (1, 0))
            end = max(end, self._number("<Q") + count // values * size)
            weights += count
        alignment = stated.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 0 < alignment <= 2**20:
            self._refuse("has a damaged header")
        begin = -(-self._data.tell() // alignment) * alignment
        if begin + end > len(self._data):
            self._refuse(f"is cut short: it has {len(self._data):,} of {begin + end:,} bytes")
        return weights

    def _described(self, stated: Mapping[str, Value], weights: int) -> ModelFile:
        architecture = stated.get("general.architecture")
        window = stated.get(f"{architecture}.context_length")
        # Adapters, projectors and voices are GGUF files too.
        if not weights or not isinstance(window, int) or not 0 < window <= _MOST_WINDOW:
            self._refuse("is a GGUF file, but not of a model that writes text")
        languages = stated.get("general.languages")
        return ModelFile(
            path=self._path,
            name=_name(self._path),
            context_window=window,
            parameters=weights,
            languages=tuple(str(one) for one in languages) if isinstance(languages, list) and languages else None,
        )

    def _value(self, kind: int) -> Value | None:
        """A value, None for a long array."""
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self._number(self._format(kind))
        item, count = self._number("<I"), self._number("<Q")
        if item == _ARRAY:
            self._refuse("has a damaged header")
        if item != _STRING and count > _KEPT_ITEMS:
            self._bytes(struct.calcsize(self._format(item)) * count)
            return None
        if count <= _KEPT_ITEMS:
            return [value for _ in range(count) if (value := self._value(item)) is not None]
        # Each text takes bytes, so a count that is too high ends at the end of the file.
        for _ in range(count):
            self._bytes(self._number("<Q"))
        return None

    def _format(self, kind: int) -> str:
        if kind not in _SCALARS:
            self._refuse("has a damaged header")
        return _SCALARS[kind]

    def _string(self) -> str:
        return self._bytes(self._number("<Q")).decode("utf-8", "replace")

    def _number(self, form: str) -> int:
        (number,) = struct.unpack(form, self._bytes(struct.calcsize(form)))
        return number  # type: ignore[no-any-return]

    def _bytes(self, size: int) -> bytes:
        if size > len(self._data) - self._data.tell():
            self._refuse("is cut short or has a damaged header")
        return self._data.read(size)

    def _refuse(self, what: str) -> NoReturn:
        raise InputError(f"the model file {what}", remedy=_REMEDY, place=Place(path=self._path))


def _name(path: Path) -> str:
    """What the model is called in settings and ledger: as its file, which the user knows and which says how it was
    quantized. The name inside is the same for all of its quantizations, and often left over from the training."""
    return " ".join("".join(c if c.isprintable() else " " for c in path.stem).split()) or "model"
