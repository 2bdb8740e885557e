"""Providers: where models are served, how the key goes there, and how the server differs.

Ready ones stand in ``data/providers.toml``; the settings' ``[providers.NAME]`` tables are laid
over them, or are new ones. A provider that is not named is recognised by its base URL: by a host
that is its own, or by a port of this machine, which is a guess, and is said to be one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from expand.errors import InputError, Place
from expand.llm.endpoint import OPENAI_KEY, host_of, is_loopback, port_of
from expand.llm.gguf import ModelFile
from expand.llm.profile import ready_tables
from expand.schema.validators import suggestion

EMBEDDED_MODEL = "smollm2-135m-instruct"
"""The model that is shipped, which the embedded server serves if no other is named; see ``local_model.py``."""
EMBEDDED = "embedded"
"""The name under which the embedded server can be chosen as a provider."""
SMALL_PARAMETERS = 10**9
"""Models with fewer weights than this can neither keep count nor stay with a subject: a topic is asked for in parts."""
MOST_WINDOW = 8_192
"""The window that a model file is served with, if nobody states more: the memory for a window grows with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Provider:
    """How one provider is spoken to.

    ``key_variable`` holds its key; ``key_header`` carries the key as it
    is, and ``Authorization`` as a bearer token. ``exact_tokens`` says whether tiktoken's count of
    a model that it knows is the provider's own. ``profile`` is laid over the ready profile of
    every model that is served there. ``advice`` is what its users should know."""

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


COMPATIBLE = Provider(name="compatible", title="an OpenAI-compatible API")
"""A provider of which nothing is known but that it speaks OpenAI's API."""


def embedded_provider(file: ModelFile) -> Provider:
    """The embedded server with a model file: what holds of the model, as far as the file says."""
    window = min(file.context_window, MOST_WINDOW)
    profile: dict[str, object] = {
        "context_window": window,
        "output_cap_name": "max_tokens",
        "structured_output": "json_schema",
        "concurrency": 1,
        "prices": {"prompt": 0, "completion": 0},
    }
    if file.languages:
        profile["languages"] = list(file.languages)
    if file.parameters < SMALL_PARAMETERS:
        # The forms of the model that is shipped; what it was measured to need, others of its size need as well.
        profile |= {"like": EMBEDDED_MODEL, "structured_output": "grammar", "concurrency": 2}
    return Provider(name=EMBEDDED, title="the embedded server", needs_key=False, exact_tokens=False, profile=profile)


class Recognised(NamedTuple):
    """A provider found by its base URL. ``sign`` is what it was found by, "" by nothing."""

    provider: Provider
    sign: str = ""

    @property
    def guessed(self) -> bool:
        """Whether another server may as well be there."""
        return self.sign.startswith("port")


def providers(overrides: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Provider]:
    """All known providers by name: the ready ones with the settings' tables, which have been validated, laid over."""
    known = {COMPATIBLE.name: COMPATIBLE}
    for name, table in (*ready_tables("providers").items(), *(overrides or {}).items()):
        known[name] = _laid_over(known.get(name) or Provider(name=name, title=name), table)
    return known


def provider_named(name: str, known: Mapping[str, Provider], *, place: Place | None) -> Provider:
    """The provider of this name. Raises ``InputError`` with the names that there are."""
    if name not in known:
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


def _laid_over(provider: Provider, table: Mapping[str, Any]) -> Provider:
    changes: dict[str, Any] = {**table}
    if "hosts" in table:
        changes["hosts"] = tuple(table["hosts"])
    if "port" in table:
        changes["port"] = int(table["port"])
    for name in {"headers", "profile"} & set(table):  # a profile is read where it is laid over the model's
        changes[name] = {**getattr(provider, name), **table[name]}
    return replace(provider, **changes)
