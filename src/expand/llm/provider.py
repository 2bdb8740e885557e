"""Providers: where models are served, how the key goes there, and how the server differs.

Ready ones stand in ``data/providers.toml``; the settings' ``[providers.NAME]`` tables are laid
over them, or are new ones. A provider that is not named is recognised by its base URL: by a host
that is its own, or by a port of this machine, which is a guess, and is said to be one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from expand.errors import InputError, Place
from expand.llm.endpoint import OPENAI_KEY, host_of, is_loopback, port_of
from expand.llm.profile import PROFILE
from expand.schema.source_text import Problems
from expand.schema.toml_positions import node_of
from expand.schema.toml_validators import LINE, PROSE, TomlList, TomlRecord, TomlTable
from expand.schema.validators import Field, Flag, Number, Words

# The keys of a provider's table: one declaration for the reader and the JSON Schema.

OWN_HEADERS = ("authorization", "content-length", "content-type", "host", "x-client-request-id")
"""Headers that the tool sets itself, in lower case."""


def _secret_in(url: str) -> tuple[str, str] | None:
    """A password in an address would be shown with it, and the key goes out in its place anyway."""
    if "@" in url.partition("?")[0]:
        return (
            "has a user or a password in it",
            "leave out what stands before the @; put a key into OPENAI_API_KEY, or a header of "
            "your own into `headers` of a provider",
        )
    return None


URL = Words(
    pattern=r"^https?://[^\s/@?#]+([/?#]|$)",
    wanted="one such as http://127.0.0.1:8080/v1",
    longest=2000,
    check=_secret_in,
)
VARIABLE = Words(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", wanted="the name of an environment variable", longest=200)
_HEADER = Words(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", wanted="the name of an HTTP header", longest=200)
_EXTRA_HEADER = Words(
    pattern=r"^(?!(?i:" + "|".join(OWN_HEADERS) + r")$)[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
    wanted="a header that the tool does not set itself (a key goes into key_variable)",
    longest=200,
)
_HEADER_TEXT = Words(pattern=r"^[ -~]+$", wanted="a text of plain characters", longest=2000)

BASE_URL = Field("base_url", URL, "Where the API is, up to its /v1.", "http://127.0.0.1:8080/v1")
PROVIDER = TomlRecord(
    fields=(
        Field("title", LINE, "How messages call it.", "Our gateway"),
        BASE_URL,
        Field(
            "hosts",
            TomlList(item=LINE, noun="host"),
            "Hosts of a base URL that it is recognised by; * stands for anything.",
            ["*.models.example.com"],
        ),
        Field(
            "port",
            Number(minimum=1, maximum=65_535, whole=True),
            "The port of this machine that it is recognised by, which is a guess.",
            11_434,
        ),
        Field(
            "key_variable",
            VARIABLE,
            "The environment variable that holds the key; OPENAI_API_KEY is looked at after it.",
            "GATEWAY_KEY",
        ),
        Field(
            "key_header",
            _HEADER,
            "The header that carries the key; Authorization carries it as a bearer token.",
            "api-key",
        ),
        Field("needs_key", Flag(), "Whether nothing can be sent without a key; true if unsaid.", False),
        Field(
            "exact_tokens",
            Flag(),
            "Whether tiktoken counts as this provider does, for the models that it knows.",
            False,
        ),
        Field(
            "headers",
            TomlTable(key=_EXTRA_HEADER, value=_HEADER_TEXT, noun="header"),
            "Headers that go out with every request; not for secrets.",
            {"X-Team": "docs"},
        ),
        Field(
            "profile",
            PROFILE,
            "What holds of every model there: keys as in [models.NAME].",
            {"output_cap_name": "max_tokens", "context_window": 4_096},
        ),
        Field("advice", PROSE, "What its users should know; `expand doctor` says it.", "Slow."),
    )
)


EMBEDDED_MODEL = "smollm2-135m-instruct"
"""The model that runs in the process itself; see ``embedded.py``."""
EMBEDDED = "embedded"
"""The name under which the model in the process can be chosen as a provider."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Provider:
    """How one provider is spoken to.

    ``key_variable`` is looked at before ``OPENAI_API_KEY``; ``key_header`` carries the key as it
    is, and ``Authorization`` as a bearer token. ``exact_tokens`` says whether tiktoken's count of
    a model that it knows is the provider's own. ``profile`` is laid over the ready profile of
    every model that is served there. ``advice`` is what its users should know.
    """

    name: str
    title: str
    base_url: str | None = None
    hosts: tuple[str, ...] = ()
    port: int | None = None
    key_variable: str = OPENAI_KEY
    key_header: str = "Authorization"
    needs_key: bool = True
    exact_tokens: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    profile: Mapping[str, object] = field(default_factory=dict)
    advice: str = ""

    @property
    def key_variables(self) -> tuple[str, ...]:
        """Where its key is looked for, in this order."""
        return tuple(dict.fromkeys((self.key_variable, OPENAI_KEY)))


COMPATIBLE = Provider(name="compatible", title="an OpenAI-compatible API")
"""A provider of which nothing is known but that it speaks OpenAI's API."""


class Recognised(NamedTuple):
    """A provider found by its base URL. ``sign`` is what it was found by, "" by nothing."""

    provider: Provider
    sign: str = ""

    @property
    def guessed(self) -> bool:
        """Whether another server may as well be there."""
        return self.sign.startswith("port")


def providers(overrides: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Provider]:
    """All known providers by name: the ready ones with the settings' tables laid over them."""
    known = {COMPATIBLE.name: COMPATIBLE}
    known |= {name: _laid_over(_new(name), table) for name, table in _ready_tables().items()}
    for name, table in (overrides or {}).items():
        known[name] = _laid_over(known.get(name) or _new(name), table)
    return known


def provider_named(name: str, known: Mapping[str, Provider], *, place: Place | None) -> Provider:
    """The provider of this name. Raises ``InputError`` with the names that there are."""
    if name not in known:
        from expand.schema.validators import suggestion  # only where something is wrong

        raise InputError(f"there is no provider {name!r}", remedy=suggestion(name, known), place=place)
    return known[name]


def recognised(base_url: str, known: Mapping[str, Provider]) -> Recognised:
    """The provider behind a base URL; ``COMPATIBLE`` where nothing says which it is."""
    host, port = host_of(base_url), port_of(base_url)
    own_first = tuple(known.values())[::-1]  # the settings' come last in ``known``
    for provider in own_first:
        stated = provider.base_url
        if stated and (host_of(stated), port_of(stated)) == (host, port):
            if provider.port is None or not is_loopback(base_url):
                return Recognised(provider=provider, sign=f"host {host}")
            return Recognised(provider=provider, sign=f"port {port}")
        if any(fnmatchcase(host, pattern.lower()) for pattern in provider.hosts):
            return Recognised(provider=provider, sign=f"host {host}")
    for provider in own_first:
        if provider.port is not None and provider.port == port and base_url.startswith("http:"):
            return Recognised(provider=provider, sign=f"port {port}")
    return Recognised(provider=COMPATIBLE)


def _new(name: str) -> Provider:
    return Provider(name=name, title=name)


def _laid_over(provider: Provider, table: Mapping[str, Any]) -> Provider:
    problems = Problems(f"provider {provider.name}")
    values = PROVIDER.read(node_of(table), ("providers", provider.name), problems)
    problems.raise_if_any()
    assert values is not None  # a problem would have been raised
    changes: dict[str, Any] = {}
    for one in PROVIDER.fields:
        value = values.get(one)
        if value is not None:
            changes[one.key] = int(value) if isinstance(value, Decimal) else value
    for name in ("headers", "profile"):
        if name in changes:
            # As it was written: a profile is read where it is laid over the model's.
            changes[name] = {**getattr(provider, name), **table[name]}
    return replace(provider, **changes)


@cache
def _ready_tables() -> Mapping[str, Mapping[str, Any]]:
    path = Path(__file__).parents[1] / "data" / "providers.toml"
    text = path.read_text(encoding="utf-8")
    tables: Mapping[str, Mapping[str, Any]] = tomllib.loads(text, parse_float=Decimal)["providers"]
    return tables
