"""Settings: command line over environment over ``expand.toml`` over defaults.

``OPENAI_API_KEY`` and ``OPENAI_BASE_URL`` mean what they mean for the OpenAI SDK. With neither set,
and no provider named, the embedded local model is the author. Which provider serves the model is
said by ``provider``, or recognised by the base URL; whichever of the two was stated at the higher
place decides, so that a key never goes to a host that it was not meant for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from expand.errors import InputError, Place
from expand.llm.endpoint import OPENAI_KEY, checked_key, is_loopback
from expand.llm.profile import PROFILE
from expand.llm.provider import (
    COMPATIBLE,
    EMBEDDED,
    EMBEDDED_MODEL,
    PROVIDER,
    URL,
    Provider,
    Recognised,
    provider_named,
    providers,
    recognised,
)
from expand.schema.source_text import Problems
from expand.schema.toml_positions import node_of, read_toml
from expand.schema.toml_validators import LINE, TomlRecord, TomlTable
from expand.schema.validators import Choice, Field, Number, Schema, Values, Words

DEFAULT_MODEL = "gpt-4.1"
OnUnknown = Literal["retry", "hold"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a run goes by. ``models`` are profile overrides by model name or glob.

    ``api_key`` and ``base_url`` are None where the SDK's own defaults hold, ``key_variable`` is
    where the key is from, or would be looked for; ``embedded`` says that
    the author is the local model. ``recognised_by`` is what the provider was found by, "" where it
    was named or is not known; ``guessed`` says that it may be another.
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
            place=stated.place(PROVIDER_NAME),
        )
    if found is not None and found.provider.name == "openai" and not stated.base_url():
        base_url = None  # the SDK's own
    return Settings(
        model=model or DEFAULT_MODEL,
        provider=found.provider if found else COMPATIBLE,
        recognised_by=found.sign if found else "",
        guessed=found.guessed if found else False,
        base_url=base_url,
        api_key=key,
        key_variable=variable,
        concurrency=stated.concurrency(),
        timeout_seconds=stated.timeout_seconds(),
        total_timeout_seconds=stated.total_timeout_seconds(),
        on_unknown=stated.on_unknown(),
        models=stated.models,
    )


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
        problems = Problems(str(path))
        read = read_toml(path, problems)
        values = SETTINGS.read(read.root, (), problems) if read else None
        problems.raise_if_any()
        assert read is not None  # a problem would have been raised
        assert values is not None
        self.author: Values = values.get(AUTHOR) or Values(node_of({}))
        self.models = cast("Mapping[str, Mapping[str, object]]", read.table.get("models", {}))
        tables = cast("Mapping[str, Mapping[str, Any]]", read.table.get("providers", {}))
        self.known = providers(tables)

    @property
    def embedded(self) -> bool:
        """Whether the embedded model was chosen as a provider."""
        return self._provider_name() == EMBEDDED and not self._overrides.base_url

    def place(self, one: Field[Any]) -> Place | None:
        """Where the file states a key of the author; None where it does not."""
        if self.author.get(one) is None:
            return None
        spot = self.author.spot(one)
        return Place(path=self._path, line=spot.line, column=spot.column)

    def model(self) -> str | None:
        """The model's name."""
        given = self._overrides.model or self._environment.get("EXPAND_MODEL")
        return given or self.author.get(MODEL)

    def base_url(self) -> str | None:
        """The base URL; a provider that is named above it takes the provider's own instead."""
        given = self._overrides.base_url or self._environment.get("OPENAI_BASE_URL")
        if given:
            self._check_url(given)
            return given.strip()
        stated = self.author.get(BASE_URL)
        named = self._environment.get("EXPAND_PROVIDER")
        if named and named != EMBEDDED and self._named(named).base_url:
            return None
        return stated

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

    def concurrency(self) -> int | None:
        """Sections worked on side by side, None where nobody says how many."""
        number: int | None = self._overrides.concurrency
        if number is None and (text := self._environment.get("EXPAND_CONCURRENCY")):
            if not text.isdecimal() or not int(text):
                raise InputError(f"EXPAND_CONCURRENCY is {text!r}", remedy="give a whole number above 0")
            number = int(text)
        if number is not None and number < 1:
            raise InputError(f"concurrency is {number}", remedy="give a whole number above 0")
        stated = self.author.get(CONCURRENCY)
        return number if number is not None else None if stated is None else int(stated)

    def timeout_seconds(self) -> float:
        """The longest silence while an answer comes."""
        seconds = self.author.get(TIMEOUT)
        return 600.0 if seconds is None else float(seconds)

    def total_timeout_seconds(self) -> float | None:
        """How long a whole answer may take, None where nobody says."""
        seconds = self.author.get(TOTAL_TIMEOUT)
        return None if seconds is None else float(seconds)

    def on_unknown(self) -> OnUnknown:
        """What to do about unknown outcomes."""
        said = self._overrides.on_unknown or self.author.get(ON_UNKNOWN) or "retry"
        if said not in ("retry", "hold"):
            raise InputError(f"on_unknown is {said!r}", remedy="give retry or hold")
        return cast(OnUnknown, said)

    def _provider_name(self) -> str | None:
        return self._environment.get("EXPAND_PROVIDER") or self.author.get(PROVIDER_NAME)

    def _named(self, name: str) -> Provider:
        known = {**self.known, EMBEDDED: COMPATIBLE}
        place = None if self._environment.get("EXPAND_PROVIDER") else self.place(PROVIDER_NAME)
        return provider_named(name, known, place=place)

    def _check_url(self, url: str) -> None:
        problems = Problems("")
        if BASE_URL.shape.read(node_of(url.strip()), ("the base URL",), problems) is None:
            if "@" in url:  # perhaps with a password before it
                raise InputError(
                    "the base URL has an @ in it",
                    remedy="leave out user and password; a key goes into OPENAI_API_KEY",
                )
            raise InputError(f"the base URL is {url!r}", remedy="give one such as http://127.0.0.1:8080/v1")


def _key(environment: Mapping[str, str], provider: Provider) -> tuple[str, str | None]:
    """The first key that is set, without the space that it ends in, and the variable it is from."""
    for variable in provider.key_variables:
        if key := (environment.get(variable) or "").strip():
            return variable, key
    return provider.key_variables[0], None


# The keys of ``expand.toml``: one declaration for the reader and the JSON Schema.

PATTERN = Words(pattern=r"\S", wanted="a model's name or pattern", longest=500)
NAME = Words(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", wanted="letters, digits, - and _", longest=80)

LEDGER = Field(
    "ledger",
    LINE,
    "Where the ledger is: a file, or postgresql://USER@HOST/DATABASE?schema=BOOK for workers on"
    " several machines. EXPAND_LEDGER comes before it.",
    "postgresql://expand@db.example.com/books?schema=my_book",
)
MODEL = Field("model", LINE, "The author model; `embedded` is the local one.", "gpt-4.1")
PROVIDER_NAME = Field(
    "provider",
    NAME,
    "Who serves the model: one of the ready providers, or one under [providers].",
    "ollama",
)
BASE_URL = Field("base_url", URL, "Where the API is, if not at the provider's own.", "http://127.0.0.1:8080/v1")
CONCURRENCY = Field(
    "concurrency",
    Number(minimum=1, maximum=10_000, whole=True),
    "Requests at once.",
    8,
)
TIMEOUT = Field(
    "timeout_seconds",
    Number(minimum=1, maximum=86_400),
    "The longest silence: before an answer, and between two pieces of one that is streamed.",
    600,
)
TOTAL_TIMEOUT = Field(
    "total_timeout_seconds",
    Number(minimum=1, maximum=86_400),
    "The longest that a whole answer may take; six times timeout_seconds if unsaid.",
    3600,
)
ON_UNKNOWN = Field(
    "on_unknown",
    Choice(options=("retry", "hold")),
    "What to do about requests whose outcome was never learnt.",
    "retry",
)
AUTHOR = Field(
    "author",
    TomlRecord(fields=(MODEL, PROVIDER_NAME, BASE_URL, CONCURRENCY, TIMEOUT, TOTAL_TIMEOUT, ON_UNKNOWN)),
    "Who writes. Command line and environment come before it.",
    {"model": "gpt-4.1"},
)
MODELS = Field(
    "models",
    TomlTable(key=PATTERN, value=PROFILE, noun="model"),
    "Profiles of models, by name or pattern, laid over the ready ones.",
    {"my-model*": {"context_window": 32_000}},
)
PROVIDERS = Field(
    "providers",
    TomlTable(key=NAME, value=PROVIDER, noun="provider"),
    "Providers of your own, or changes to the ready ones.",
    {"gateway": {"base_url": "https://models.example.com/v1", "key_variable": "GATEWAY_KEY"}},
)
SETTINGS = TomlRecord(fields=(LEDGER, AUTHOR, MODELS, PROVIDERS))


def settings_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of ``expand.toml``."""
    head: Schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of a workspace",
    }
    return {**head, **SETTINGS.schema()}
