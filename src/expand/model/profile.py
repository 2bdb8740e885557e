"""Model profiles: what a model can take, what it is asked for at a time, and how it is addressed.

Ready ones stand in ``data/profiles.toml``, matched by model name: an exact name comes first, then
the pattern with the most literal characters; ``openai/gpt-5`` also matches by its last part. The
settings' ``[models."name-or-pattern"]`` tables are laid over the ready profile, the most specific
one last. Tokens are whole, prices are US dollars per million tokens.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

from expand.completion import Json
from expand.errors import InputError, Place
from expand.model.form import Form

EMBEDDED_MODEL = "smollm2-135m-instruct"
"""The model that runs in the process itself; see ``embedded.py``."""

OutputCapName = Literal["max_completion_tokens", "max_tokens"]
StructuredOutput = Literal["json_schema", "json_object", "grammar", "none"]

RESERVED_PARAMETERS = frozenset(
    {
        "best_of",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "model",
        "n",
        "stream",
        "stream_options",
        "tools",
    }
)
"""Body fields that the tool sets itself, or that would break what a reservation promises."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenPrices:
    """US dollars per million tokens; ``cached`` is the price of a cached prompt token."""

    prompt: Decimal
    completion: Decimal
    cached: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """How one model is used.

    ``context_window`` holds prompt and completion together. ``tokens_per_line`` is a generous
    upper estimate, used for the output cap only. ``reasoning_tokens`` is the head-room for thinking
    that comes on top of the lines and stays inside ``max_output_tokens``. ``languages`` is None
    where the model writes any. ``parameters`` go into the request body as they are. ``aspects`` (by
    language) are for small models: a topic is asked for in several requests, one about each.
    ``forms`` are grammars for some of those aspects, for servers that take one (llama.cpp's).
    ``concurrency`` is how many sections are worked on side by side; where the settings state it, it
    is also ``calls_at_once``, which holds over all processes. ``structured_output`` is how a model
    is held to a form: by a JSON Schema, to any JSON object, by a grammar (llama.cpp's), or by words
    alone.
    """

    name: str
    context_window: int
    max_output_tokens: int
    lines_per_request: int
    tokens_per_line: int
    reasoning_tokens: int = 0
    languages: tuple[str, ...] | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict)
    output_cap_name: OutputCapName = "max_tokens"
    style: str | None = None
    encoding: str | None = None
    concurrency: int = 4
    calls_at_once: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    prices: TokenPrices | None = None
    aspects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    forms: tuple[Form, ...] = ()
    structured_output: StructuredOutput = "json_schema"

    def request_parameters(
        self, *, lines: int, aspect: str = "", topic: str = ""
    ) -> Mapping[str, Json]:
        """``parameters`` for one request, with the grammar of the form that ``aspect`` has."""
        for form in self.forms:
            if form.aspect == aspect:
                return {**self.parameters, "grammar": form.grammar(lines=lines, topic=topic)}
        return self.parameters

    def output_cap(self, lines: int) -> int:
        """The output cap, in tokens, for a request that asks for ``lines`` lines."""
        return min(self.max_output_tokens, self.reasoning_tokens + lines * self.tokens_per_line)

    def writes(self, language: str) -> bool:
        """Whether the model can be asked to write in ``language``."""
        return self.languages is None or language in self.languages


def profile_for(
    model: str,
    overrides: Mapping[str, Mapping[str, object]] | None = None,
    *,
    place: Place | None = None,
) -> Profile:
    """The profile of ``model``: the ready one with the settings' tables laid over it.

    ``place`` is where the overrides were read from. Raises ``InputError`` for an unknown key or a
    value of the wrong kind, in any of the tables, whether or not it is about this model.
    """
    for pattern, table in (overrides or {}).items():
        _laid_over(_ready("*"), table, f'models."{pattern}"', place)
    profile = replace(_ready(model), name=model)
    for pattern in _matching(model, overrides or {}):
        table = (overrides or {})[pattern]
        profile = _laid_over(profile, table, f'models."{pattern}"', place)
        if "concurrency" in table:
            profile = replace(profile, calls_at_once=profile.concurrency)
    return profile


def is_known(model: str, overrides: Mapping[str, Mapping[str, object]] | None = None) -> bool:
    """Whether a ready profile, or one of the settings', is about this model in particular."""
    return any(
        pattern != "*" for pattern in _matching(model, {**_ready_tables(), **(overrides or {})})
    )


def _ready(model: str) -> Profile:
    """The best matching ready profile; ``*`` matches every model."""
    tables = _ready_tables()
    empty = Profile(
        name=model, context_window=1, max_output_tokens=1, lines_per_request=1, tokens_per_line=1
    )
    best = _matching(model, tables)[-1]
    profile = _laid_over(empty, tables["*"], "models.*", None)
    return profile if best == "*" else _laid_over(profile, tables[best], f"models.{best}", None)


@cache
def _ready_tables() -> Mapping[str, Mapping[str, object]]:
    text = files("expand").joinpath("data", "profiles.toml").read_text(encoding="utf-8")
    tables: Mapping[str, Mapping[str, object]] = tomllib.loads(text, parse_float=Decimal)["models"]
    return tables


def _matching(model: str, patterns: Mapping[str, object]) -> list[str]:
    """The patterns that match, the least specific first."""
    names = (model.lower(), model.lower().rpartition("/")[2])
    found = [p for p in patterns if any(fnmatchcase(name, p.lower()) for name in names)]
    return sorted(found, key=lambda p: (p.lower() in names, len(p) - p.count("*") - p.count("?")))


def _laid_over(
    profile: Profile, table: Mapping[str, object], where: str, place: Place | None
) -> Profile:
    changes: dict[str, object] = {}
    if not isinstance(table, Mapping):
        raise _wrong(where, "", "a table of settings", table, place)
    for key, value in table.items():
        reader = _READERS.get(key)
        if reader is None:
            raise InputError(
                f"{where}: unknown key {key!r}",
                remedy=f"known are {', '.join(sorted(_READERS))}",
                place=place,
            )
        try:
            read = reader(value)
        except _WrongKindError as wrong:
            raise _wrong(where, f".{key}{wrong.inside}", wrong.wanted, wrong.value, place) from None
        if key == "parameters":
            read = {**profile.parameters, **_parameters(value)}
        changes[key] = read
    laid: Profile = replace(profile, **changes)  # type: ignore[arg-type]
    if laid.context_window > 1 and laid.max_output_tokens >= laid.context_window:
        raise InputError(
            f"{where}: max_output_tokens {laid.max_output_tokens:,} leaves no room for a prompt in "
            f"the context window of {laid.context_window:,}",
            remedy="give a smaller max_output_tokens or a larger context_window",
            place=place,
        )
    return laid


class _WrongKindError(Exception):
    def __init__(self, wanted: str, value: object, inside: str = "") -> None:
        super().__init__(wanted)
        self.wanted = wanted
        self.value = value
        self.inside = inside


def _wrong(where: str, key: str, wanted: str, value: object, place: Place | None) -> InputError:
    return InputError(f"{where}{key} is {value!r}", remedy=f"give {wanted}", place=place)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _WrongKindError("a whole number above 0", value)
    return value


def _count_or_zero(value: object) -> int:
    return 0 if value == 0 and not isinstance(value, bool) else _count(value)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _WrongKindError("a text", value)
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise _WrongKindError("a list of texts", value)
    return tuple(_text(item) for item in value)


def _aspects(value: object) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        raise _WrongKindError("a table from language to a list of texts", value)
    return {_text(language): _texts(texts) for language, texts in value.items()}


def _forms(value: object) -> tuple[Form, ...]:
    wanted = "a table with rules, and fields that each have aspect, openings and items"
    if not isinstance(value, Mapping) or set(value) != {"rules", "fields"}:
        raise _WrongKindError(wanted, value)
    rules, fields = _text(value["rules"]), value["fields"]
    if not isinstance(fields, list | tuple):
        raise _WrongKindError(wanted, value)
    forms = []
    for entry in fields:
        if not isinstance(entry, Mapping) or set(entry) != {"aspect", "openings", "items"}:
            raise _WrongKindError(wanted, entry, ".fields")
        forms.append(
            Form(
                aspect=_text(entry["aspect"]),
                openings=_texts(entry["openings"]),
                items=_texts(entry["items"]),
                rules=rules,
            )
        )
    return tuple(forms)


def _cap_name(value: object) -> OutputCapName:
    for name in get_args(OutputCapName):
        if value == name:
            known: OutputCapName = name
            return known
    raise _WrongKindError(" or ".join(repr(n) for n in get_args(OutputCapName)), value)


def _structured(value: object) -> StructuredOutput:
    for name in get_args(StructuredOutput):
        if value == name:
            known: StructuredOutput = name
            return known
    raise _WrongKindError(" or ".join(repr(n) for n in get_args(StructuredOutput)), value)


def _parameters(value: object) -> dict[str, Json]:
    if not isinstance(value, Mapping):
        raise _WrongKindError("a table that goes into the request body", value)
    for key in value:
        if key in RESERVED_PARAMETERS:
            raise _WrongKindError("only what the tool does not set itself", value[key], f".{key}")
    return {str(key): _json(item, f".{key}") for key, item in value.items()}


def _json(value: object, inside: str) -> Json:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list | tuple):
        return [_json(item, inside) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _json(item, f"{inside}.{key}") for key, item in value.items()}
    raise _WrongKindError("what JSON can hold", value, inside)


def _prices(value: object) -> TokenPrices:
    if not isinstance(value, Mapping) or not {"prompt", "completion"} <= set(value):
        raise _WrongKindError("a table with prompt and completion, USD per million tokens", value)
    unknown = set(value) - {"prompt", "cached", "completion"}
    if unknown:
        raise _WrongKindError("prompt, cached and completion only", value)
    return TokenPrices(
        prompt=_price(value["prompt"], ".prompt"),
        completion=_price(value["completion"], ".completion"),
        cached=_price(value.get("cached", value["prompt"]), ".cached"),
    )


def _price(value: object, inside: str) -> Decimal:
    try:
        if isinstance(value, bool):
            raise InvalidOperation
        price = Decimal(str(value))
        if not price.is_finite() or price < 0:
            raise InvalidOperation
    except InvalidOperation:
        raise _WrongKindError("USD per million tokens, 0 or more", value, inside) from None
    return price


_READERS = {
    "aspects": _aspects,
    "concurrency": _count,
    "context_window": _count,
    "encoding": _text,
    "forms": _forms,
    "languages": _texts,
    "lines_per_request": _count,
    "max_output_tokens": _count,
    "output_cap_name": _cap_name,
    "parameters": _parameters,
    "prices": _prices,
    "reasoning_tokens": _count_or_zero,
    "rpm": _count,
    "structured_output": _structured,
    "style": _text,
    "tokens_per_line": _count,
    "tpm": _count,
}
