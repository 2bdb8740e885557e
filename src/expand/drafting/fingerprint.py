"""What a section was made from, as a key in named parts: while it holds, the section is current.

The key stands in the draft's last line. When it no longer holds, the parts that differ are the
reasons to draft the section again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from expand.schema import Json

PARTS = ("outline", "source", "book", "model", "templates", "language", "edition")
"""The section's own outline and lines; the source's blocks in it; the book's rules, readers and
titles; the model and its parameters; the templates; the language; and the edition, raised to buy
the section anew, with the editor's instruction."""

_DIGITS = 8
_JSON = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def digest(part: Json) -> str:
    """A part of a key: eight hexadecimal digits of its JSON's hash."""
    return hashlib.sha256(_JSON.encode(part).encode()).hexdigest()[:_DIGITS]


def key_of(digests: Mapping[str, str]) -> str:
    """The key of a section: the digest of each of ``PARTS``, joined by dots."""
    return ".".join(digests[name] for name in PARTS)


def differences(former: str, key: str) -> tuple[str, ...]:
    """The names of the parts in which two keys differ; all of them where ``former`` has others."""
    old, new = former.split("."), key.split(".")
    if len(old) != len(new):
        return PARTS
    return tuple(name for name, a, b in zip(PARTS, old, new, strict=True) if a != b)
