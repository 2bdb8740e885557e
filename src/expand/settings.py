"""Settings: command line over environment over ``expand.toml`` over defaults.

``OPENAI_API_KEY`` and ``OPENAI_BASE_URL`` mean what they mean for the OpenAI SDK. With neither set,
and no provider named, the embedded local model is the author. Which provider serves the model is
said by ``provider``, or recognised by the base URL; whichever of the two was stated at the higher
place decides, so that a key never goes to a host that it was not meant for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from expand.errors import InputError, Place
from expand.llm.endpoint import OPENAI_KEY, checked_key, is_loopback
from expand.llm.provider import (
    COMPATIBLE,
    EMBEDDED,
    EMBEDDED_MODEL,
    Provider,
    Recognised,
    provider_named,
    providers,
    recognised,
)
from expand.llm.waits import LONGEST_ASKED_SECONDS
from expand.redaction import note_keys
from expand.schema.positions import Document, read_toml
from expand.schema.source_text import Problems
from expand.schema.validators import Validator

DEFAULT_MODEL = "gpt-4.1"
OnUnknown = Literal["retry", "hold"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a run goes by. ``models`` are profile overrides by model name or glob.

    ``api_key`` and ``base_url`` are None where the SDK's own defaults hold, ``key_variable`` is where the key is from,
    or would be looked for; ``embedded`` says that the author is the local model. ``recognised_by`` is what the provider
    was found by, "" where it was named or is not known; ``guessed`` says that it may be another.
    """

    model: str = DEFAULT_MODEL
    provider: Provider = COMPATIBLE
    recognised_by: str = ""
    guessed: bool = False
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    key_variable: str = OPENAI_KEY
    concurrency: int | None = None
    timeout_seconds: float = 600.0
    total_timeout_seconds: float | None = None
    longest_wait_seconds: float = LONGEST_ASKED_SECONDS
    on_unknown: OnUnknown = "retry"
    models: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def embedded(self) -> bool:
        """Whether the embedded local model is the author."""
        return self.model == EMBEDDED_MODEL

    @property
    def local(self) -> bool:
        """Whether the base URL is on this machine, where no key is needed."""
        return is_loopback(self.base_url)


class Overrides(NamedTuple):
    """What the command line says; None where it says nothing."""

    model: str | None = None
    base_url: str | None = None
    concurrency: int | None = None
    on_unknown: str | None = None


def read_settings(path: Path, *, environment: Mapping[str, str], overrides: Overrides | None = None) -> Settings:
    """Settings of the workspace whose ``expand.toml`` is ``path``.

    Raises ``InputErrors`` for what is wrong in the file, ``InputError`` for the rest.
    """
    stated = _Stated(path, environment, overrides or Overrides())
    found = stated.provider()
    model = stated.model()
    base_url = stated.base_url() or (found.provider.base_url if found else None)
    variable, key = _key(environment, found.provider if found else COMPATIBLE)
    nothing = model is None and found is None and not key
    if model in (EMBEDDED, EMBEDDED_MODEL) or nothing or (stated.embedded and model is None):
        model, base_url, found = EMBEDDED_MODEL, None, None
    elif found is None:
        found = Recognised(provider=stated.known["openai"])
    if found is not None and base_url is None and found.provider.name != "openai":
        raise InputError(
            f"{found.provider.title} has no address that is the same for everybody",
            remedy="set base_url, such as https://NAME.openai.azure.com/openai/v1/ for Azure",
            place=stated.place("provider"),
        )
    if found is not None and found.provider.name == "openai" and not stated.base_url():
        base_url = None  # the SDK's own
    note_keys([key], words=stated.words(model, base_url))
    return Settings(
        model=model or DEFAULT_MODEL,
        provider=found.provider if found else COMPATIBLE,
        recognised_by=found.sign if found else "",
        guessed=found.guessed if found else False,
        base_url=base_url,
        api_key=key,
        key_variable=variable,
        concurrency=stated.concurrency(),
        timeout_seconds=float(stated.author.get("timeout_seconds", 600)),
        total_timeout_seconds=float(total) if (total := stated.author.get("total_timeout_seconds")) else None,
        longest_wait_seconds=float(stated.author.get("longest_wait_seconds", LONGEST_ASKED_SECONDS)),
        on_unknown=stated.on_unknown(),
        models=stated.models,
    )


def check_settings(path: Path) -> None:
    """Raises ``InputError`` for what is wrong in the file, whatever environment and command line say."""
    _Stated(path, {}, Overrides()).check_provider()


def require_author(settings: Settings, *, path: Path) -> None:
    """Refuses settings under which nothing could be sent, before anything is spent."""
    provider = settings.provider
    if settings.embedded:
        return
    if settings.api_key:
        checked_key(settings.api_key, variable=settings.key_variable)
        return
    if settings.local or not provider.needs_key:
        return
    where = f"at {settings.base_url}" if settings.base_url else "by its provider"
    raise InputError(
        f"model {settings.model} is served {where}, and {' or '.join(provider.key_variables)} is not set",
        remedy="set it, give --base-url http://127.0.0.1:PORT/v1 for a local server, or give "
        "--model embedded for the local model",
        place=Place(path=path),
    )


class _Stated:
    """What command line, environment and file state, each in its turn."""

    def __init__(self, path: Path, environment: Mapping[str, str], overrides: Overrides) -> None:
        self._path = path
        self._environment = environment
        self._overrides = overrides
        self._file = _read(path)
        self.author: Mapping[str, Any] = self._file.data.get("author", {})
        self.models: Mapping[str, Mapping[str, object]] = self._file.data.get("models", {})
        self.known = providers(self._file.data.get("providers", {}))

    @property
    def embedded(self) -> bool:
        """Whether the embedded model was chosen as a provider."""
        return self._provider_name() == EMBEDDED and not self._overrides.base_url

    def place(self, name: str) -> Place | None:
        """Where the file states a key of the author; None where it does not."""
        if name not in self.author:
            return None
        return self._file.positions.value(("author", name)).place(self._path)

    def model(self) -> str | None:
        """The model's name."""
        given = self._overrides.model or self._environment.get("EXPAND_MODEL")
        return given or self.author.get("model")

    def base_url(self) -> str | None:
        """The base URL; a provider that is named above it takes the provider's own instead."""
        given = self._overrides.base_url or self._environment.get("OPENAI_BASE_URL")
        if given:
            _check_url(given)
            return given.strip()
        stated = self.author.get("base_url")
        named = self._environment.get("EXPAND_PROVIDER")
        return None if named and self._named(named).base_url else stated

    def provider(self) -> Recognised | None:
        """The provider that is named or recognised by the base URL, None where there is neither."""
        above = self._overrides.base_url
        if not self._environment.get("EXPAND_PROVIDER"):
            above = above or self._environment.get("OPENAI_BASE_URL")
        name = self._provider_name()
        if above:
            return recognised(above, self.known)
        if name and name != EMBEDDED:
            return Recognised(provider=self._named(name))
        url = self.base_url()
        return recognised(url, self.known) if url else None

    def words(self, *more: str | None) -> tuple[str | None, ...]:
        """The words of the settings, and ``more``: a key that is one of them, or a part, is no secret."""
        own = (text for provider in self.known.values() for text in (provider.name, provider.title, provider.base_url))
        return (*more, *own, *(self.author.get(name) for name in ("model", "provider", "base_url")), *self.models)

    def concurrency(self) -> int | None:
        """Sections worked on side by side, None where nobody says how many."""
        count = self._overrides.concurrency
        if count is None and (stated := self._environment.get("EXPAND_CONCURRENCY")):
            if not stated.isdecimal() or not int(stated):
                raise InputError(f"EXPAND_CONCURRENCY is {stated!r}", remedy="give a whole number above 0")
            count = int(stated)
        if count is None and "concurrency" in self.author:
            count = int(self.author["concurrency"])
        if count is not None and count < 1:
            raise InputError(f"concurrency is {count}", remedy="give a whole number above 0")
        return count

    def on_unknown(self) -> OnUnknown:
        """What to do about unknown outcomes."""
        wanted = self._overrides.on_unknown or self.author.get("on_unknown", "retry")
        if wanted not in ("retry", "hold"):
            raise InputError(f"on_unknown is {wanted!r}", remedy="give retry or hold")
        return cast(OnUnknown, wanted)

    def _provider_name(self) -> str | None:
        return self._environment.get("EXPAND_PROVIDER") or self.author.get("provider")

    def _named(self, name: str) -> Provider:
        """The provider of that name; what serves the embedded model has no address of its own."""
        known = {**self.known, EMBEDDED: COMPATIBLE}
        place = None if self._environment.get("EXPAND_PROVIDER") else self.place("provider")
        return provider_named(name, known, place=place)

    def check_provider(self) -> None:
        """Refuses the name of a provider that there is not."""
        if name := self._provider_name():
            self._named(name)


def _read(path: Path) -> Document:
    """The file with validated data. Raises ``InputErrors``."""
    problems = Problems(str(path))
    document = read_toml(path, problems)
    data = document and SETTINGS.check(*document, problems)
    problems.raise_if_any()
    assert document is not None  # a problem would have been raised
    return Document(data=data, positions=document.positions)


def _check_url(url: str) -> None:
    shape = SETTINGS.schema["properties"]["author"]["properties"]["base_url"]
    if _url_mistake(url) or not re.search(shape["pattern"], url.strip()):
        if "@" in url:  # perhaps with a password before it
            raise InputError(
                "the base URL has an @ in it", remedy="leave out user and password; a key goes into OPENAI_API_KEY"
            )
        raise InputError(f"the base URL is {url!r}", remedy=shape["patternErrorMessage"])


def _key(environment: Mapping[str, str], provider: Provider) -> tuple[str, str | None]:
    """The first key that is set, without the space that it ends in, and the variable it is from."""
    for variable in provider.key_variables:
        if found := (environment.get(variable) or "").strip():
            return variable, found
    return provider.key_variables[0], None


def _url_mistake(url: str) -> tuple[str, str] | None:
    """A password in an address would be shown with it, and the key goes out in its place anyway."""
    if "@" in url.partition("?")[0]:
        return (
            "has a user or a password in it",
            "leave out what stands before the @; put a key into OPENAI_API_KEY, or a header of "
            "your own into `headers` of a provider",
        )
    return None


SETTINGS = Validator("settings", {"base-url": _url_mistake})
