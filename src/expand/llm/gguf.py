"""Read the header of a GGUF file: what the model is called, its context window and size, and whether the file is whole.

Only the header is read; tensors are not. The format is llama.cpp's own (``ggml/docs/gguf.md``), little-endian: counts,
key-value pairs, tensor descriptions, then the tensors at aligned offsets. llama.cpp ends the whole process on some
broken files, so everything that the header says of places in the file is checked here first.
"""

import mmap
import os
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from expand.errors import InputError, Place

SUFFIX = ".gguf"

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_MOST_PAIRS, _MOST_TENSORS, _MOST_DIMENSIONS = 65_536, 1_048_576, 4
_MOST_WINDOW = 10**7
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74),
    18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2),
    26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip
"""Of each tensor type: the values in a block, and the bytes of one. A type that is not here takes 0 bytes at least."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFile:
    """What a GGUF file says of its model. ``context_window`` is in tokens, ``parameters`` counts the weights."""

    path: Path
    name: str
    context_window: int
    parameters: int


def read_model_file(path: Path) -> ModelFile:
    """What the file says of its model.

    Raises ``InputError`` when it cannot be read, is not a GGUF file, is not a language model, or is cut short."""
    try:
        if not path.stat().st_size:  # an empty file cannot be mapped
            raise _refused(path, "is empty")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _described(path, data)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        reason = "does not exist" if missing else f"cannot be read: {error.strerror or error}"
        raise _refused(path, reason) from error
    except (struct.error, ValueError, TypeError, KeyError, ArithmeticError) as error:
        raise _refused(path, "is cut short or has a damaged header") from error


def _refused(path: Path, what: str) -> InputError:
    remedy = "give the path of a GGUF file, such as --model models/llama.gguf; if it was downloaded, download it again"
    return InputError(f"the model file {what}", remedy=remedy, place=Place(path=path))


def _described(path: Path, data: mmap.mmap) -> ModelFile:
    """Goes through the header once, from its first byte on."""
    if _number(data, "4s") != b"GGUF":
        raise _refused(path, "is not a GGUF file")
    if (version := _number(data, "<I")) not in (2, 3):
        raise _refused(path, f"has GGUF version {version:,}, and only 2 and 3 can be read")
    tensors, pairs = _number(data), _number(data)
    if pairs > _MOST_PAIRS or tensors > _MOST_TENSORS:
        raise ValueError(pairs, tensors)
    stated = {_text(data): _value(data, _number(data, "<I")) for _ in range(pairs)}
    weights, end = 0, 0
    for _ in range(tensors):
        _text(data)
        if (dimensions := _number(data, "<I")) > _MOST_DIMENSIONS:
            raise ValueError(dimensions)
        count = prod(_number(data) for _ in range(dimensions))
        values, size = _BLOCKS.get(_number(data, "<I"), (1, 0))
        end = max(end, _number(data) + count // values * size)
        weights += count
    alignment = stated.get("general.alignment", 32)
    if not isinstance(alignment, int):
        raise TypeError(alignment)
    begin = -(-data.tell() // alignment) * alignment
    if begin + end > len(data):
        raise _refused(path, f"is cut short: it has {len(data):,} of {begin + end:,} bytes")
    window = stated.get(f"{stated.get('general.architecture')}.context_length")
    # Adapters, projectors and voices are GGUF files too.
    if not weights or not isinstance(window, int) or not 0 < window <= _MOST_WINDOW:
        raise _refused(path, "is a GGUF file, but not of a model that writes text")
    # It is called as its file, which the user knows and which says how it was quantized. The name inside is the same
    # for all of its quantizations, and often left over from the training.
    name = " ".join("".join(c if c.isprintable() else " " for c in path.stem).split()) or "model"
    return ModelFile(path=path, name=name, context_window=window, parameters=weights)


def _value(data: mmap.mmap, kind: int) -> Any:
    """A value; None for an array, which is passed over."""
    if kind == _STRING:
        return _text(data)
    if kind != _ARRAY:
        return _number(data, _SCALARS[kind])
    item, count = _number(data, "<I"), _number(data)
    if item != _STRING:
        data.seek(struct.calcsize(_SCALARS[item]) * count, os.SEEK_CUR)
        return None
    for _ in range(count):
        data.seek(_number(data), os.SEEK_CUR)
    return None


def _text(data: mmap.mmap) -> str:
    if (size := _number(data)) > len(data) - data.tell():
        raise ValueError(size)
    return data.read(size).decode("utf-8", "replace")


def _number(data: mmap.mmap, form: str = "<Q") -> Any:
    return struct.unpack(form, data.read(struct.calcsize(form)))[0]
