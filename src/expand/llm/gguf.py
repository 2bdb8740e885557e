"""What a GGUF file says of its model: the name, the context window and the size.

The format is llama.cpp's own (``ggml/docs/gguf.md``): the header holds pairs of key and value, little-endian. Only the
window is looked for. Whether the rest is whole llama.cpp finds out, in a process of its own.
"""

import mmap
import re
from dataclasses import dataclass
from pathlib import Path

from expand.errors import InputError, Place

SUFFIX = ".gguf"
_WINDOW = re.compile(rb"\.context_length(?:\x04\0{3}(?=(.{4}))|\x0a\0{3}(?=(.{8})))", re.DOTALL)
"""The key, without the name of the architecture before it; its type, which is uint32 or uint64; its value. Adapters,
projectors and voices are GGUF files too, and have none."""
_HEADER_BYTES = 2**26
"""No header is larger: most of it are the words of the tokenizer."""
_MOST_WINDOW = 10**7


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFile:
    """What a GGUF file says of its model. ``context_window`` is in tokens, ``size`` the file's in bytes."""

    path: Path
    name: str
    context_window: int
    size: int


def read_model_file(path: Path) -> ModelFile:
    """What the file says of its model.

    Raises ``InputError`` when it cannot be read, is not a GGUF file, or is not a language model."""
    size = window = 0
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            if magic == b"GGUF":
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    size, found = len(data), _WINDOW.search(data, 0, _HEADER_BYTES)
                    window = int.from_bytes(found[1] or found[2], "little") if found else 0
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        reason = "does not exist" if missing else f"cannot be read: {error.strerror or error}"
        raise _refused(path, reason) from error
    if magic != b"GGUF":
        raise _refused(path, "is not a GGUF file")
    if not 0 < window <= _MOST_WINDOW:
        raise _refused(path, "is not of a model that writes text, or is cut short")
    # It is called as its file, which the user knows and which says how it was quantized. The name inside is the same
    # for all of its quantizations, and often left over from the training.
    name = " ".join("".join(c if c.isprintable() else " " for c in path.stem).split()) or "model"
    return ModelFile(path=path, name=name, context_window=window, size=size)


def _refused(path: Path, what: str) -> InputError:
    remedy = "give the path of a GGUF file, such as --model models/llama.gguf; if it was downloaded, download it again"
    return InputError(f"the model file {what}", remedy=remedy, place=Place(path=path))
