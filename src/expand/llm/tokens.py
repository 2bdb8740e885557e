"""Counting tokens, offline: the only module that imports tiktoken.

The rank files of o200k and cl100k are package data (``data/tiktoken``, names and hashes as tiktoken
expects them), so that counting never goes to the network. tiktoken deletes a cached file whose hash
is wrong and then downloads it: hence every file is verified before tiktoken is told of it.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import ROUND_CEILING, Decimal
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from expand.errors import InputError, Place
from expand.llm.types import Message
from expand.paths import DATA

if TYPE_CHECKING:
    import tiktoken

RANKS_FOLDER = DATA / "tiktoken"

ESTIMATE = "o200k_base"
"""The encoding that stands in for a model whose own is not known."""

PIECE = 50_000
"""The characters that are counted at a time."""

TOKENS_PER_MESSAGE = 3
TOKENS_PER_ROLE = 1
TOKENS_FOR_REPLY = 3
"""What the chat format adds around the text: three tokens and the role for each message, and three
that prime the reply (OpenAI Cookbook, "How to count tokens with tiktoken")."""

LONGEST_TOKEN = 16
"""Characters: ordinary text has hardly a token that is longer."""

SYSTEMS_KEPT = 256
"""System messages whose counts are remembered: those of the chapters looked at and worked on."""

_O200K = (
    "fb374d419588a4632f3f557e76b4b70aebbca790",
    "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
)
_CL100K = (
    "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
    "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
)
RANK_FILES = {"o200k_base": _O200K, "o200k_harmony": _O200K, "cl100k_base": _CL100K}
"""Encoding to the name of its rank file and that file's sha256."""

_CACHE_VARIABLE = "TIKTOKEN_CACHE_DIR"

_loading = threading.Lock()
"""Ranks are loaded by one thread at a time: once for all, and the environment is changed meanwhile."""


class TokenCounter:
    """Counts the tokens of texts and messages for one model. Safe to share between threads.

    ``encoding`` is the profile's, None to go by the model's name. The rank file is read at the
    first count (0.4 s). Raises ``InputError`` when the encoding is not one of ``RANK_FILES`` or
    when its file is damaged."""

    def __init__(self, model: str, *, encoding: str | None = None, ranks_folder: Path = RANKS_FOLDER) -> None:
        self.model = model
        self._ranks_folder = ranks_folder
        self._count_system = lru_cache(maxsize=SYSTEMS_KEPT)(self.count)
        if encoding is not None and encoding not in RANK_FILES:
            raise InputError(
                f"{model}: encoding {encoding!r} is not known",
                remedy=f"give one of {', '.join(sorted(RANK_FILES))}, or none for an estimate",
            )
        self._stated = encoding

    @property
    def exact(self) -> bool:
        """Whether counts are the model's own; False means an estimate that needs a margin."""
        return (self._stated or _encoding_of(self.model)) is not None

    @property
    def encoding(self) -> str:
        """The name of the encoding that is counted with."""
        return self._stated or _encoding_of(self.model) or ESTIMATE

    def count(self, text: str) -> int:
        """The tokens of ``text``; words such as ``<|endoftext|>`` are text like any other.

        A text of more than ``PIECE`` characters is counted in pieces, at most a token too many for each."""
        # tiktoken fails, as a panic, on a million blanks in a row.
        pieces = (text[start : start + PIECE] for start in range(0, len(text), PIECE))
        return sum(len(self._loaded.encode_ordinary(piece)) for piece in pieces)

    def last(self, text: str, most: int) -> str:
        """The end of a text, of at most ``most`` tokens; all of it where it has no more."""
        if len(text.encode(errors="replace")) <= most:
            return text
        # Cut before it is counted: of a line of megabytes no more is read than could be wanted.
        end = text[-most * LONGEST_TOKEN :]
        tokens = self._loaded.encode_ordinary(end)
        return end if len(tokens) <= most else self._loaded.decode(tokens[-most:], errors="ignore")

    def count_messages(self, messages: Iterable[Message]) -> int:
        """The prompt tokens of ``messages``, the chat format's own included."""
        around = TOKENS_PER_MESSAGE + TOKENS_PER_ROLE
        return TOKENS_FOR_REPLY + sum(around + self._count_kept(m) for m in messages)

    def load(self) -> None:
        """Load the ranks now. Raises ``InputError`` as ``count`` does."""
        _ = self._loaded

    @cached_property
    def _loaded(self) -> tiktoken.Encoding:
        with _loading:
            return load_ranks(self.encoding, self._ranks_folder)

    def _count_kept(self, message: Message) -> int:
        """The tokens of a message; those of a system message are remembered, since it is the same
        for all requests of a chapter, and several chapters may be worked on in turn."""
        counted = self._count_system if message.role == "system" else self.count
        return counted(message.content)


def raised(tokens: int, margin: Decimal) -> int:
    """A count raised by a margin (0.1 is a tenth), rounded up."""
    return int((tokens * (1 + margin)).to_integral_value(rounding=ROUND_CEILING))


def _encoding_of(model: str) -> str | None:
    """The encoding that tiktoken knows for the model and whose ranks are at hand, else None."""
    from tiktoken.model import encoding_name_for_model  # start-up time

    for name in (model, model.rpartition("/")[2]):
        try:
            encoding = encoding_name_for_model(name)
        except KeyError:
            continue
        return encoding if encoding in RANK_FILES else None
    return None


@lru_cache(maxsize=4)
def load_ranks(encoding: str, folder: Path) -> tiktoken.Encoding:
    """The encoding from its packaged rank file. Raises ``InputError`` when the file is missing or damaged."""
    import tiktoken  # start-up time
    from tiktoken_ext.openai_public import ENCODING_CONSTRUCTORS  # type: ignore[import-untyped]

    name, digest = RANK_FILES[encoding]
    found = _digest(folder / name)
    if found != digest:
        raise InputError(
            f"the rank file of {encoding} is {'damaged' if found else 'missing'}",
            remedy="install the package again",
            place=Place(path=folder / name),
        )
    with _cache_folder(folder):
        made = tiktoken.Encoding(**ENCODING_CONSTRUCTORS[encoding]())
    made._mergeable_ranks = {}  # a copy for pickling, of 23 MB
    return made


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


@contextmanager
def _cache_folder(folder: Path) -> Iterator[None]:
    """Points tiktoken at ``folder`` and puts the environment back as it was."""
    before = os.environ.get(_CACHE_VARIABLE)
    os.environ[_CACHE_VARIABLE] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CACHE_VARIABLE]
        else:
            os.environ[_CACHE_VARIABLE] = before
