"""Settings: command line over environment over ``expand.toml`` over defaults.

``OPENAI_API_KEY`` and ``OPENAI_BASE_URL`` mean what they mean for the OpenAI SDK. With neither set, and no provider
named, the embedded local model is the author. Which provider serves the model is said by ``provider``, or recognised by
the base URL; whichever of the two was stated at the higher place decides. A key stands for a host: a provider's own
variable holds the key of that provider alone, and what ``expand.toml`` says about hosts and keys counts only once the
user has trusted the workspace (``trust``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from expand.errors import InputError, Place
from expand.llm import gguf
from expand.llm.endpoint import OPENAI_KEY, OPENAI_URL, checked_key, checked_url, is_loopback, is_openai
from expand.llm.failures import LONGEST_ASKED_SECONDS
from expand.llm.profile import (
    COMPATIBLE,
    EMBEDDED,
    EMBEDDED_MODEL,
    Provider,
    embedded_provider,
    own_provider,
    provider_named,
    providers,
    recognised,
)
from expand.paths import require_inside
from expand.redaction import note_keys, visible
from expand.schema.input_file import InputFile, read_toml
from expand.schema.validators import Validator
from expand.trust import Destinations, destinations, vouched_for, without_routing

DEFAULT_MODEL = "gpt-4.1"
ModelRole = Literal["draft", "repair", "brief", "review", "translate"]
"""What a model is asked for. ``draft`` includes continuing and revising."""


class CodeSettings(NamedTuple):
    """``check`` has runs judge code blocks by their toolchains, ``run`` has those that are programs executed too, and
    ``checkers`` are commands of the user's own by language."""

    check: bool = False
    run: bool = False
    checkers: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a run goes by. ``models`` are profile overrides by model name or glob.

    ``api_key`` and ``base_url`` are None where the SDK's own defaults hold, ``key_variable`` is where the key is from,
    or would be looked for; ``embedded`` says that the author is the local model. ``for_openai`` says whether what is
    meant for OpenAI (``OPENAI_API_KEY``, ``OPENAI_ORG_ID`` and the like) may go there. ``untrusted`` are the
    workspace's destinations where the user has not agreed to them and something would go there; then there is no key.
    ``model_file`` is what the GGUF file of the embedded author says, None for the model that is shipped.

    ``model`` drafts. ``roles`` names the models of the roles that are stated, ``fallback`` those that stand in for any
    of them, in this order. ``others`` has the settings of each of these by its name. ``code`` says how code blocks are
    checked."""

    model: str = DEFAULT_MODEL
    provider: Provider = COMPATIBLE
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    key_variable: str = OPENAI_KEY
    for_openai: bool = False
    untrusted: Destinations | None = None
    concurrency: int | None = None
    timeout_seconds: float = 600.0
    total_timeout_seconds: float | None = None
    longest_wait_seconds: float = LONGEST_ASKED_SECONDS
    models: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    model_file: gguf.ModelFile | None = None
    roles: Mapping[ModelRole, str] = field(default_factory=dict)
    fallback: tuple[str, ...] = ()
    others: Mapping[str, Settings] = field(default_factory=dict, repr=False)
    code: CodeSettings = field(default_factory=CodeSettings)

    @property
    def embedded(self) -> bool:
        """Whether the author is a local model that is served here."""
        return self.model == EMBEDDED_MODEL or self.model_file is not None

    @property
    def local(self) -> bool:
        """Whether the base URL is on this machine, where no key is needed."""
        return is_loopback(self.base_url)

    @property
    def recipient(self) -> str:
        """Who writes, and where, in words: ``gpt-4.1 at api.openai.com, with the key in OPENAI_API_KEY``."""
        host = urlsplit(self.base_url or OPENAI_URL).netloc.encode("unicode_escape").decode("ascii")
        key = f"with the key in {self.key_variable}" if self.api_key else "without a key"
        return f"{visible(self.model)} at {host}, {key}"

    @property
    def route(self) -> tuple[object, ...]:
        """Where requests go and what they carry besides the text; equal for settings that make no difference to it."""
        url = (self.base_url or OPENAI_URL).rstrip("/")
        headers = tuple(sorted(self.provider.headers.items()))
        credentials = (self.key_variable, self.api_key, self.provider.key_header, headers, self.for_openai)
        return (EMBEDDED,) if self.embedded else (url, *credentials)

    def require_trust(self) -> None:
        """Raises ``UntrustedError`` where a request would go to a destination that the user has not agreed to."""
        if self.untrusted is not None:
            raise self.untrusted.refusal("author", "base_url")

    def for_model(self, model: str) -> Settings:
        """The settings under which a model is asked: who serves it, where, and with which key. A model that the
        settings do not name is asked where the one that drafts is."""
        if model == self.model:
            return self
        other = self.others.get(model)
        if other is None:
            return replace(self, model=model, model_file=None)
        return replace(other, roles=self.roles, fallback=self.fallback, others={**self.others, self.model: self})

    def for_role(self, role: ModelRole) -> tuple[Settings, ...]:
        """The settings of the model that a role means, then of those that stand in for it, in their order."""
        names = dict.fromkeys((self.roles.get(role, self.model), *self.fallback))
        return tuple(self.for_model(name) for name in names)

    def of_sections(self, *others: ModelRole) -> tuple[Settings, ...]:
        """The settings of every model that a section may be sent to, and those of other roles; each once, the one that
        drafts first."""
        found = {one.model: one for role in (*SECTION_ROLES, *others) for one in self.for_role(role)}
        return tuple(found.values())

    def replaceable(self) -> frozenset[str]:
        """The models that another one stands in for, whatever a section asks of them."""
        orders = [[one.model for one in self.for_role(role)] for role in SECTION_ROLES]
        return frozenset(model for order in orders for model in order[:-1]) - {order[-1] for order in orders}


_WANTED: Mapping[str, Callable[[Any], object]] = {
    "concurrency": int,  # which may be written 4.0
    **dict.fromkeys(("timeout_seconds", "total_timeout_seconds", "longest_wait_seconds"), float),
}
SECTION_ROLES: tuple[ModelRole, ...] = ("draft", "repair")
"""The roles whose requests are a section's own."""


class Overrides(NamedTuple):
    """What the command line or the caller says; None where it says nothing."""

    model: str | None = None
    base_url: str | None = None
    concurrency: int | None = None
    api_key: str | None = None


def read_settings(
    path: Path, *, environment: Mapping[str, str], overrides: Overrides | None = None, trusted: bool = False
) -> Settings:
    """Settings of the workspace whose ``expand.toml`` is ``path``.

    With ``trusted``, or ``EXPAND_TRUST`` in the environment, the caller vouches for what the file says about hosts and
    keys. Raises ``InputErrors`` for what is wrong in the file, ``InputError`` for the rest."""
    file, given = _read(path), overrides or Overrides()
    settings = _Stated(path, file, environment, given).settings()
    named = destinations(path, file)
    if trusted or vouched_for(environment) or named.trusted:
        return settings
    # The file's destinations do not count. Of a model for which they make no difference, nobody needs to be asked.
    own = copy(file)
    own.data = without_routing(file.data)
    try:
        bare = _Stated(path, own, environment, given).settings()
        routes = {one.model: one.route for one in (bare, *bare.others.values())}
    except InputError:  # a provider or a model file whose name or address only the file knows
        routes = {}

    def checked(one: Settings) -> Settings:
        same = one.embedded or routes.get(one.model) == one.route
        return one if same else replace(one, api_key=None, untrusted=named)

    return replace(checked(settings), others={name: checked(one) for name, one in settings.others.items()})


def read_destinations(path: Path) -> Destinations:
    """The destinations that the file names. Raises ``InputErrors`` for what is wrong in it."""
    return destinations(path, _read(path))


def check_settings(path: Path) -> None:
    """Raises ``InputError`` for what is wrong in the file, whatever environment and command line say."""
    _Stated(path, _read(path), {}, Overrides())


def require_author(settings: Settings, *, path: Path) -> None:
    """Refuses settings under which nothing could be sent, before anything is spent."""
    provider = settings.provider
    if settings.embedded:
        return
    settings.require_trust()
    if settings.api_key or settings.local or not provider.needs_key:
        checked_key(settings.api_key, variable=settings.key_variable)
        return
    where = f"at {settings.base_url}" if settings.base_url else "by its provider"
    variables = key_variables(provider, for_openai=settings.for_openai)
    raise InputError(
        f"model {settings.model} is served {where}, and {' or '.join(variables)} is not set",
        remedy="set it, give --base-url http://127.0.0.1:PORT/v1 for a local server, or give "
        "--model embedded for the local model",
        place=Place(path=path),
    )


class _Stated:
    """What command line, environment and file state, each in its turn; and the settings that they make."""

    def __init__(self, path: Path, file: InputFile, environment: Mapping[str, str], overrides: Overrides) -> None:
        self._path = path
        self._file = file
        self._environment = environment
        self._overrides = overrides
        self._author: Mapping[str, Any] = file.data.get("author", {})
        self._models: Mapping[str, Mapping[str, object]] = file.data.get("models", {})
        self._known = providers(file.data.get("providers", {}))
        self._model_given = overrides.model or environment.get("EXPAND_MODEL")
        self._url_given = (overrides.base_url or environment.get("OPENAI_BASE_URL") or "").strip() or None
        if environment.get("EXPAND_PROVIDER"):  # requests must not go elsewhere without a word
            raise InputError("EXPAND_PROVIDER is no longer read", remedy="name the provider in expand.toml")
        named = self._author.get("provider")
        # Whether the embedded model was chosen as a provider.
        self._embedded = named == EMBEDDED and not self._url_given
        self._named: Provider | None = None
        if named not in (None, EMBEDDED):
            self._named = provider_named(named, {**self._known, EMBEDDED: COMPATIBLE}, file, "author", "provider")

    def settings(self) -> Settings:
        """The settings of the model that drafts, and of all others that the file names."""
        draft = self._settings_of(self._model())
        others: dict[str, Settings] = {}
        names: dict[str, str] = {}
        roles: Mapping[ModelRole, str] = self._file.data.get("roles", {})
        roles = {role: model for role, model in roles.items() if role != "draft"}
        fallback: Sequence[str] = self._file.data.get("fallback", ())
        stated: list[tuple[tuple[str | int, ...], str]] = [(("roles", role), model) for role, model in roles.items()]
        stated += [(("fallback", number), model) for number, model in enumerate(fallback)]
        for key, given in stated:
            one = self._settings_of(given, draft=False)
            known = draft if one.model == draft.model else others.setdefault(one.model, one)
            # What the ledger and the requests tell models apart by is the name.
            if known.model_file != one.model_file:
                raise InputError(
                    f"two models are called {one.model}", remedy="rename one of the files", place=self._file.value(key)
                )
            names[given] = one.model
        return replace(
            draft,
            roles={role: names[model] for role, model in roles.items()},
            fallback=tuple(dict.fromkeys(names[model] for model in fallback)),
            others=others,
        )

    def _settings_of(self, model: str | None, *, draft: bool = True) -> Settings:
        """The settings of one model, where None is the one that nobody named. That of ``draft`` is asked where command
        line and environment say; any other where its own table says, else at the author's provider."""
        file = self._model_file(model, draft=draft)
        # For the model that drafts, an address that command line or environment name comes before its own table.
        stated = None if model is None or (draft and self._url_given) else own_provider(model, self._models)
        own = stated and provider_named(stated[1], self._known, self._file, "models", stated[0], "provider")
        found, given = (own, None) if own else self._served()
        provider = found or self._known["openai"]
        base_url = given or provider.base_url
        for_openai = given is not None or is_openai(base_url)
        variable, key = self._key(provider, for_openai=for_openai, callers=own is None)
        nothing = model is None and found is None and not key and is_openai(base_url)
        embedded = model in (EMBEDDED, EMBEDDED_MODEL) or nothing or (self._embedded and model is None)
        if file is not None or embedded:
            model, base_url = file.name if file is not None else EMBEDDED_MODEL, None
            provider = embedded_provider(file) if file is not None else COMPATIBLE
            variable, key, for_openai = OPENAI_KEY, None, False
        elif base_url is None:
            raise InputError(
                f"{provider.title} has no address that is the same for everybody",
                remedy=f"set base_url under [providers.{provider.name}], such as "
                "https://NAME.openai.azure.com/openai/v1/ for Azure",
                place=self._file.value(("author", "provider")),
            )
        if base_url == OPENAI_URL and not given:
            base_url = None  # the SDK's own
        # A key that is one of the settings' words, or a part of one, is no secret.
        words = [text for one in self._known.values() for text in (one.name, one.title, one.base_url)]
        words += [self._author.get(name) for name in ("model", "provider", "base_url")]
        note_keys([key], words=(model, base_url, *words, *self._models))
        said = {**self._author, **{name: one for name, one in self._overrides._asdict().items() if one is not None}}
        wanted: dict[str, Any] = {name: kind(said[name]) for name, kind in _WANTED.items() if name in said}
        if wanted.get("concurrency", 1) < 1:
            raise InputError(f"concurrency is {wanted['concurrency']}", remedy="give a whole number above 0")
        return Settings(
            model=model or DEFAULT_MODEL,
            provider=provider,
            base_url=base_url,
            api_key=key,
            key_variable=variable,
            for_openai=for_openai,
            models=self._models,
            model_file=file,
            code=CodeSettings(**self._file.data.get("code", {})),
            **wanted,
        )

    def _model(self) -> str | None:
        author, draft = self._author.get("model"), self._file.data.get("roles", {}).get("draft")
        if author and draft and author != draft and not self._model_given:
            raise InputError(
                f"{draft} is to draft, and the author is {author}",
                remedy="state the model in one of the two places: under [author], or as draft under [roles]",
                place=self._file.value(("roles", "draft")),
            )
        return self._model_given or author or draft

    def _model_file(self, model: str | None, *, draft: bool) -> gguf.ModelFile | None:
        """What the GGUF file says that a model is given as; None for a model that is given by its name.

        A server may call its models by their files. So an address on the command line takes a path for a name, and an
        address that stands elsewhere a path to nothing."""
        if model is None or not model.lower().endswith(gguf.SUFFIX) or (draft and self._overrides.base_url):
            return None
        if own_provider(model, self._models):
            return None
        if draft and model == self._model_given:
            path = Path(model).expanduser().absolute()
        else:  # A workspace may come from a stranger, and what it names is read: so no path out of it.
            root = self._path.parent.absolute()
            path = require_inside(root / Path(model).expanduser(), root)
        if not path.exists() and self._served()[0] and not self._embedded:
            return None
        return gguf.read_model_file(path)

    def _served(self) -> tuple[Provider | None, str | None]:
        """Who serves models that state nothing else, None where nobody is named, and the base URL that is stated."""
        if url := self._url_given:
            if mistake := _url_mistake(url):
                raise InputError(f"the base URL {mistake[0]}", remedy=mistake[1])
            return recognised(url, self._known), checked_url(url)
        url = self._author.get("base_url")
        return self._named or (recognised(url, self._known) if url else None), url

    def _key(self, provider: Provider, *, for_openai: bool, callers: bool) -> tuple[str, str | None]:
        """The variable that the key is from, or would be looked for first, and the key without space around it.
        ``callers`` says whether a key that the caller gave is meant."""
        if self._overrides.api_key and callers:
            return "api_key", self._overrides.api_key.strip()
        variables = key_variables(provider, for_openai=for_openai)
        keys = ((variable, (self._environment.get(variable) or "").strip()) for variable in variables)
        return next(((variable, key) for variable, key in keys if key), (variables[0], None))


def _read(path: Path) -> InputFile:
    """The file with validated data. Raises ``InputErrors``."""
    file = read_toml(path)
    SETTINGS.check(file)
    file.raise_if_any()
    return file


def key_variables(provider: Provider, *, for_openai: bool) -> tuple[str, ...]:
    """Where a provider's key is looked for, in this order. A key stands for a host: ``OPENAI_API_KEY`` is for OpenAI,
    for a base URL that the user gave, and for a provider that is said to take it."""
    return tuple(dict.fromkeys((provider.key_variable, *((OPENAI_KEY,) if for_openai else ()))))


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
