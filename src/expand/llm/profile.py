"""Model profiles: what a model can take, what it is asked for at a time, and how it is addressed.

Ready ones stand in ``data/profiles.toml``, matched by model name: an exact name comes first, then
the pattern with the most literal characters; ``openai/gpt-5`` also matches by its last part. What
holds of the provider's server is laid over the ready profile, and the settings'
``[models."name-or-pattern"]`` tables over that, the most specific one last. Tokens are whole,
prices are US dollars per million tokens.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Literal

from expand.errors import InputError, Place
from expand.llm.grammar import Grammar
from expand.schema import Json

OutputCapName = Literal["max_completion_tokens", "max_tokens"]
SystemRole = Literal["system", "user"]
StructuredOutput = Literal["json_schema", "json_object", "grammar", "none"]
Tables = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenPrices:
    """US dollars per million tokens; ``cached`` is the price of a cached prompt token."""

    prompt: Decimal
    completion: Decimal
    cached: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """How one model is used.

    ``like`` is the model that it is under another name, if that was stated. ``context_window``
    holds prompt and completion together. ``tokens_per_line`` is a generous upper estimate, used for
    the output cap only. ``reasoning_tokens`` is the head-room for thinking that comes on top of the
    lines and stays inside ``max_output_tokens``. ``languages`` is None where the model writes any.
    ``parameters`` go into the request body as they are. ``aspects`` (by language) are for small
    models: a topic is asked for in several requests, one about each. ``forms`` are grammars for
    some of those aspects, for servers that take one (llama.cpp's). ``concurrency`` is how many
    sections are worked on side by side; where the settings state it, it is also ``calls_at_once``,
    which holds over all processes. ``structured_output`` is how a model is held to a form: by a
    JSON Schema, to any JSON object, by a grammar (llama.cpp's), or by words alone. ``stream`` asks for the answer as a
    stream. ``leave_out`` are body fields that the server refuses, and ``system_role`` is who says what holds for all
    requests: neither changes what a section is made from, only how it is sent. ``brief`` says that the model plans a
    chapter before it writes its sections."""

    name: str
    like: str | None = None
    context_window: int
    max_output_tokens: int
    lines_per_request: int
    tokens_per_line: int
    reasoning_tokens: int = 0
    languages: tuple[str, ...] | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict)
    output_cap_name: OutputCapName = "max_tokens"
    stream: bool = True
    leave_out: tuple[str, ...] = ()
    system_role: SystemRole = "system"
    style: str | None = None
    encoding: str | None = None
    concurrency: int = 4
    calls_at_once: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    prices: TokenPrices | None = None
    batch_discount: Decimal | None = None
    aspects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    forms: tuple[Grammar, ...] = ()
    structured_output: StructuredOutput = "json_schema"
    brief: bool = False

    @property
    def known_as(self) -> str:
        """The name that tokenizers and price lists know it by."""
        return self.like or self.name

    def request_parameters(self, *, lines: int, aspect: str = "", topic: str = "") -> Mapping[str, Json]:
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
    overrides: Tables | None = None,
    *,
    served: Mapping[str, object] | None = None,
    place: Place | None = None,
) -> Profile:
    """The profile of ``model``: the ready one with the settings' tables laid over it.

    The tables have been validated. ``served`` is the provider's own table, laid between the two. ``place`` is where the
    tables were read from. Raises ``InputError`` where a profile leaves no room for a prompt."""
    tables = overrides or {}
    matching = _matching(model, tables)
    likes = [table["like"] for table in (served or {}, *(tables[p] for p in matching)) if "like" in table]
    profile = replace(_ready(str(likes[-1]) if likes else model), name=model)
    if served:
        profile = _laid_over(profile, served, "the provider's profile", place)
    for pattern in matching:
        profile = _laid_over(profile, tables[pattern], f'models."{pattern}"', place)
        if "concurrency" in tables[pattern]:
            profile = replace(profile, calls_at_once=profile.concurrency)
    return profile


def is_known(model: str, overrides: Tables | None = None) -> bool:
    """Whether a ready profile, or one of the settings', is about this model in particular."""
    return any(pattern != "*" for pattern in _matching(model, {**ready_tables("models"), **(overrides or {})}))


def own_provider(model: str, tables: Tables) -> tuple[str, str] | None:
    """The provider that the settings' tables name for a model, after the pattern of the table; None for none."""
    found = [pattern for pattern in _matching(model, tables) if "provider" in tables[pattern]]
    return (found[-1], str(tables[found[-1]]["provider"])) if found else None


def _ready(model: str) -> Profile:
    """The best matching ready profile; ``*`` matches every model."""
    tables = ready_tables("models")
    empty = Profile(name=model, context_window=10**7, max_output_tokens=1, lines_per_request=1, tokens_per_line=1)
    best = _matching(model, tables)[-1]
    profile = _laid_over(empty, tables["*"], "models.*", None)
    return profile if best == "*" else _laid_over(profile, tables[best], f"models.{best}", None)


@cache
def ready_tables(kind: Literal["models", "providers"]) -> Tables:
    """The tables that come with the tool."""
    path = Path(__file__).parents[1] / "data" / ("profiles.toml" if kind == "models" else "providers.toml")
    tables: Tables = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)[kind]
    return tables


def _matching(model: str, patterns: Mapping[str, object]) -> list[str]:
    """The patterns that match, the least specific first."""
    names = (model.lower(), model.lower().rpartition("/")[2])
    found = [p for p in patterns if any(fnmatchcase(name, p.lower()) for name in names)]
    return sorted(found, key=lambda p: (p.lower() in names, len(p) - p.count("*") - p.count("?")))


def _laid_over(profile: Profile, table: Mapping[str, Any], where: str, place: Place | None) -> Profile:
    changes = _changes(table)
    if "parameters" in changes:
        changes["parameters"] = {**profile.parameters, **changes["parameters"]}
    laid = _fitted(replace(profile, **changes), changes)
    if laid.max_output_tokens >= laid.context_window:
        raise InputError(
            f"{where}: max_output_tokens {laid.max_output_tokens:,} leaves no room for a prompt in "
            f"the context window of {laid.context_window:,}",
            remedy="give a smaller max_output_tokens or a larger context_window",
            place=place,
        )
    return laid


def _fitted(profile: Profile, stated: Mapping[str, object]) -> Profile:
    """A stated window cuts the output to its half, and the lines to the output, unless stated."""
    if "context_window" in stated and "max_output_tokens" not in stated:
        most = max(1, profile.context_window // 2)
        profile = replace(profile, max_output_tokens=min(profile.max_output_tokens, most))
    if {"context_window", "max_output_tokens"} & set(stated) and "lines_per_request" not in stated:
        room = max(0, profile.max_output_tokens - profile.reasoning_tokens)
        most = max(1, room // profile.tokens_per_line)
        profile = replace(profile, lines_per_request=min(profile.lines_per_request, most))
    return profile


def _changes(table: Mapping[str, Any]) -> dict[str, Any]:
    """What a table states, as the profile's own fields."""
    changes: dict[str, Any] = {}
    for name, value in table.items():
        if name == "provider":
            continue  # who serves the model is the settings' matter
        # A count may be written 9000.0 too.
        changes[name] = tuple(value) if isinstance(value, list) else int(value) if isinstance(value, Decimal) else value
    if "batch_discount" in table:
        changes["batch_discount"] = _exact(table["batch_discount"])
    if "parameters" in table:
        changes["parameters"] = _json(table["parameters"])
    if "aspects" in table:
        changes["aspects"] = {language: tuple(aspects) for language, aspects in table["aspects"].items()}
    if "prices" in table:
        prices = {name: _exact(price) for name, price in table["prices"].items()}
        changes["prices"] = TokenPrices(**{"cached": prices["prompt"], **prices})
    if "forms" in table:
        forms = table["forms"]
        changes["forms"] = tuple(
            Grammar(
                aspect=form["aspect"],
                openings=tuple(form["openings"]),
                items=tuple(form["items"]),
                rules=forms["rules"],
            )
            for form in forms["fields"]
        )
    return changes


def _exact(price: Any) -> Decimal:
    return Decimal(str(price))


def _json(value: Any) -> Any:
    """The value with the numbers that JSON has."""
    if isinstance(value, Mapping):
        return {name: _json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json(inner) for inner in value]
    return float(value) if isinstance(value, Decimal) else value
