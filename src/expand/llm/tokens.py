"""Counting tokens, offline, and what they cost. The only module that imports tiktoken and genai_prices.

The rank files of o200k and cl100k are package data (``data/tiktoken``, names and hashes as tiktoken expects them), so
that counting never goes to the network. tiktoken deletes a cached file whose hash is wrong and then downloads it: hence
every file is verified before tiktoken is told of it.

A price is None where unknown. It comes from the profile, else from the genai-prices package as installed; nothing is
downloaded. Where a provider's price steps up with the length of the prompt, each step is kept.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property, lru_cache
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from expand.errors import InputError, Place
from expand.llm.endpoint import OPENAI_URL, is_private
from expand.llm.profile import EMBEDDED_MODEL, Price, Profile, pico_per_token
from expand.llm.types import Message
from expand.paths import DATA

if TYPE_CHECKING:
    import tiktoken
    from genai_prices.types import PriceCalculation, TieredPrices

RANKS_FOLDER = DATA / "tiktoken"

PIECE = 50_000
"""The characters that are counted at a time."""

TOKENS_PER_MESSAGE, TOKENS_FOR_REPLY = 4, 3
"""What the chat format adds around the text: three tokens and the role for each message, and three that prime the reply
(OpenAI Cookbook, "How to count tokens with tiktoken")."""

LONGEST_TOKEN = 16
"""Characters: ordinary text has hardly a token that is longer."""

_O200K = "fb374d419588a4632f3f557e76b4b70aebbca790", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
_CL100K = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4", "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
RANK_FILES = {"o200k_base": _O200K, "o200k_harmony": _O200K, "cl100k_base": _CL100K}
"""Encoding to the name of its rank file and that file's sha256."""

_CACHE_VARIABLE = "TIKTOKEN_CACHE_DIR"

_loading = threading.Lock()
"""Ranks are loaded by one thread at a time: once for all, and the environment is changed meanwhile."""


class TokenCounter:
    """Counts the tokens of texts and messages for one model. Safe to share between threads.

    The rank file is read at the first count (0.4 s). Raises ``InputError`` when it is damaged."""

    def __init__(self, model: str) -> None:
        known = _encoding_of(model)
        self.exact = known is not None
        """Whether counts are the model's own; False means an estimate that needs a margin."""
        self.encoding = known or "o200k_base"
        """The name of the encoding that is counted with; this one stands in where the model's own is not known."""

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
        return TOKENS_FOR_REPLY + sum(self.count(message.content) + TOKENS_PER_MESSAGE for message in messages)

    @cached_property
    def _loaded(self) -> tiktoken.Encoding:
        with _loading:
            return load_ranks(self.encoding, RANKS_FOLDER)


def raised(tokens: int, margin: Decimal) -> int:
    """A count raised by a margin (0.1 is a tenth), rounded up."""
    return ceil(tokens * (1 + margin))


def _encoding_of(model: str) -> str | None:
    """The encoding that tiktoken knows for the model and whose ranks are at hand, else None."""
    from tiktoken.model import encoding_name_for_model  # start-up time

    for name in (model, model.rpartition("/")[2]):
        with suppress(KeyError):
            encoding = encoding_name_for_model(name)
            return encoding if encoding in RANK_FILES else None
    return None


@lru_cache(maxsize=4)
def load_ranks(encoding: str, folder: Path) -> tiktoken.Encoding:
    """The encoding from its packaged rank file. Raises ``InputError`` when the file is missing or damaged."""
    import tiktoken  # start-up time
    from tiktoken_ext.openai_public import ENCODING_CONSTRUCTORS  # type: ignore[import-untyped]

    name, digest = RANK_FILES[encoding]
    path = folder / name
    content = b""
    with suppress(OSError):
        content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise InputError(
            f"the rank file of {encoding} is {'damaged' if content else 'missing'}",
            remedy="install the package again",
            place=Place(path=path),
        )
    before = os.environ.get(_CACHE_VARIABLE)
    os.environ[_CACHE_VARIABLE] = str(folder)
    try:
        made = tiktoken.Encoding(**ENCODING_CONSTRUCTORS[encoding]())
    finally:
        del os.environ[_CACHE_VARIABLE]
        os.environ |= {_CACHE_VARIABLE: before} if before is not None else {}
    made._mergeable_ranks = {}  # a copy for pickling, of 23 MB
    return made


def price_for(model: str, profile: Profile, base_url: str | None, *, now: datetime | None = None) -> Price | None:
    """The price of ``model`` at ``base_url`` (None is the SDK's own); None when it is not known.

    The embedded model costs nothing. A server on this machine or a private network has no price
    unless its profile states one. ``now`` is for prices that change with the date or the hour."""
    if profile.prices is not None:
        return profile.prices
    if base_url is None and model == EMBEDDED_MODEL:
        return Price(prompt=0, cached=0, completion=0)
    url = base_url or OPENAI_URL
    return None if is_private(url) else _published(profile.like or model, url, now)


def batch_price_for(model: str, profile: Profile, base_url: str | None, *, now: datetime | None = None) -> Price | None:
    """The price of ``model`` in a batch: the profile's discount off its price, else the published
    price for batches, else half."""
    live, discount = price_for(model, profile, base_url, now=now), profile.batch_discount
    if live is not None and profile.prices is None and discount is None:
        published = _published(profile.like or model, base_url or OPENAI_URL, now, {"processing": "batch"})
        if published not in (None, live):
            return published
    return live and live.less(Decimal("0.5") if discount is None else discount)


def _published(model: str, url: str, now: datetime | None, context: Mapping[str, str] | None = None) -> Price | None:
    import genai_prices  # start-up time

    moment = (now or datetime.now(UTC)).astimezone(UTC)
    with suppress(LookupError):
        found = genai_prices.calc_price(
            genai_prices.Usage(), model, provider_api_url=url, genai_request_timestamp=moment, price_context=context
        )
        return _price(found)
    return None


def _price(found: PriceCalculation) -> Price | None:
    prices = found.model_price
    if prices.input_mtok is None or prices.output_mtok is None:
        return None
    # OpenAI writes its cache by itself and bills it: then a fresh prompt token may cost that much.
    written = prices.cache_write_mtok if found.provider.id == "openai" else None
    read = prices.input_mtok if prices.cache_read_mtok is None else prices.cache_read_mtok
    parts = (prices.input_mtok, written, read, prices.output_mtok)
    starts = {tier.start for part in parts if part is not None and not isinstance(part, Decimal) for tier in part.tiers}

    def rates(above: int) -> Price:
        fresh, writing, cached, completion = (pico_per_token(_at(part, above)) for part in parts)
        return Price(above=above, prompt=max(fresh, writing), cached=cached, completion=completion)

    return replace(rates(0), steps=tuple(map(rates, sorted(starts))))


def _at(value: Decimal | TieredPrices | None, above: int) -> Decimal:
    """USD per million tokens for prompts of just over ``above`` tokens; 0 where there is none."""
    if value is None or isinstance(value, Decimal):
        return value or Decimal(0)
    reached = [tier.price for tier in value.tiers if tier.start <= above and above > 0]
    return reached[-1] if reached else value.base
