"""What leaves for a terminal, a log, a report or a message: without API keys, and with control characters made visible.

Answers, drafts and the ledger hold a model's text as it came. Only what is shown or said about it passes through
``printable``. The keys of this process are noted where they are read, so that no caller has to hand them around.
"""

import json
import re
from collections.abc import Iterable

HIDDEN = "[key]"
SHORTEST_KEY = 12
"""The fewest characters of a key that is hidden. ``EMPTY``, ``ollama`` and the like stand for no key, and are words of
any text."""

# Characters that steer a terminal or turn the direction of a text: C0 and C1 without tab and line feed, line and
# paragraph separators, bidirectional embeddings, overrides and isolates. A lone surrogate cannot be encoded. A carriage
# return is harmless only before a line feed.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]|\r(?!\n)"
)
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~#&])")


KEYS: set[str] = set()
"""The keys that this process has read."""
WORDS: set[str] = set()
"""The words of its settings, which are no secrets."""


def note_keys(keys: Iterable[str | None], *, words: Iterable[str | None] = ()) -> None:
    """Hide these keys from now on, except one that is short, or part of a word of the settings. ``words`` are such."""
    KEYS.update(key for key in keys if key and len(key) >= SHORTEST_KEY)
    WORDS.update(word for word in words if word and len(word) >= SHORTEST_KEY)


def hidden(text: str) -> str:
    """The text with ``[key]`` in the place of each key of this process."""
    keys, words = KEYS.copy(), WORDS.copy()  # another thread may note some meanwhile
    secret = [key for key in keys if not any(key in word for word in words)]
    forms = {*secret, *(json.dumps(key)[1:-1] for key in secret)}  # as JSON, messages, logs and reports quote it
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return text


def visible(text: str) -> str:
    r"""The text with each control character written as ``\u001b``: JSON stays the same JSON."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def printable(text: str) -> str:
    """The text without keys and control characters, for whoever reads it."""
    return visible(hidden(text))


def escaped(text: str) -> str:
    """Text of people and models for a report in Markdown: as it stands, on one line."""
    return _MARKDOWN.sub(r"\\\1", re.sub(r"\s+", " ", text))
