"""Model profiles: what a model can take, what it is asked for at a time, and how it is addressed.

Ready ones stand in ``data/profiles.toml``, matched by model name: an exact name comes first, then
the pattern with the most literal characters; ``openai/gpt-5`` also matches by its last part. What
holds of the provider's server is laid over the ready profile, and the settings'
``[models."name-or-pattern"]`` tables over that, the most specific one last. Tokens are whole,
prices are US dollars per million tokens.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Literal

from expand.errors import InputError, InputErrors, Place
from expand.llm.grammar import Grammar
from expand.outline.text_rules import LANGUAGE
from expand.schema import Json
from expand.schema.source_text import Problems
from expand.schema.toml_positions import node_of
from expand.schema.toml_validators import LINE, PROSE, JsonTable, TomlList, TomlRecord, TomlTable
from expand.schema.validators import Choice, Field, Flag, Number, Values

# The keys of a model's profile: one declaration for the reader and the JSON Schema.

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

STRUCTURED = ("json_schema", "json_object", "grammar", "none")
CAP_NAMES = ("max_completion_tokens", "max_tokens")


def _count(maximum: int = 10_000_000, minimum: int = 1) -> Number:
    return Number(minimum=minimum, maximum=maximum, whole=True)


_PRICE = Number(minimum=0, maximum=1_000_000)
_TEXTS = TomlList(item=LINE, noun="text")

PRICE_PROMPT = Field("prompt", _PRICE, "USD per million prompt tokens.", 2.5, True)
PRICE_CACHED = Field("cached", _PRICE, "Those served from a cache; as prompt if unsaid.", 0.25)
PRICE_COMPLETION = Field("completion", _PRICE, "USD per million completion tokens.", 10, True)
PRICES = TomlRecord(fields=(PRICE_PROMPT, PRICE_CACHED, PRICE_COMPLETION))

FORM_ASPECT = Field("aspect", LINE, "The aspect that it is for.", "how it works", True)
FORM_OPENINGS = Field("openings", _TEXTS, "First words of paragraphs.", ["It works by"], True)
FORM_ITEMS = Field("items", _TEXTS, "First words of a list's items.", ["**First**: "], True)
FORM = TomlRecord(fields=(FORM_ASPECT, FORM_OPENINGS, FORM_ITEMS))
FORM_RULES = Field("rules", PROSE, "GBNF rules for `sentence` and `rest`.", "rest ::= [a-z]+", True)
FORM_FIELDS = Field(
    "fields",
    TomlList(item=FORM, noun="form"),
    "One form for each aspect.",
    [{"aspect": "how it works", "openings": ["It works by"], "items": ["**First**: "]}],
    True,
)
FORMS_SHAPE = TomlRecord(fields=(FORM_RULES, FORM_FIELDS))

LIKE = Field(
    "like",
    LINE,
    "The model that it is under another name: its profile, tokenizer and price hold.",
    "gpt-4.1",
)
CONTEXT_WINDOW = Field("context_window", _count(), "Tokens of prompt and answer together.", 32_000)
MAX_OUTPUT = Field(
    "max_output_tokens",
    _count(),
    "The most tokens that one answer may take; half the window at most if unsaid.",
    8_000,
)
LINES_PER_REQUEST = Field("lines_per_request", _count(10_000), "Lines that one request can well bring.", 60)
TOKENS_PER_LINE = Field("tokens_per_line", _count(10_000), "A generous estimate, for the output cap alone.", 60)
REASONING = Field("reasoning_tokens", _count(minimum=0), "Room in the output cap for thinking.", 12_000)
LANGUAGES = Field(
    "languages",
    TomlList(item=LANGUAGE, noun="language"),
    "The languages that it writes; any if unsaid.",
    ["en", "zh"],
)
PARAMETERS = Field(
    "parameters",
    JsonTable(reserved=RESERVED_PARAMETERS),
    "Sampling and whatever else goes into the request body as it is.",
    {"temperature": 0.7},
)
CAP_NAME = Field(
    "output_cap_name",
    Choice(options=CAP_NAMES),
    "How the server calls the output cap.",
    "max_completion_tokens",
)
STREAM = Field(
    "stream",
    Flag(),
    "Whether answers are streamed, so that text is kept that arrived before a connection broke; true if unsaid.",
    False,
)
STYLE = Field("style", LINE, "The folder in prompts/ whose templates come first.", "brief")
ENCODING = Field("encoding", LINE, "The tiktoken encoding that it counts with.", "o200k_base")
CONCURRENCY = Field("concurrency", _count(10_000), "Sections worked on side by side.", 4)
RPM = Field("rpm", _count(), "Requests a minute that the account may send.", 500)
TPM = Field("tpm", _count(1_000_000_000), "Tokens a minute that the account may use.", 200_000)
PRICES_FIELD = Field(
    "prices",
    PRICES,
    "What it costs, where no published price is right; zeros for what costs nothing.",
    {"prompt": 2.5, "completion": 10},
)
BATCH_DISCOUNT = Field(
    "batch_discount",
    Number(minimum=0, maximum=1),
    "How much less a token costs in a batch, 0.5 for half; if unsaid, as published, else half.",
    0.5,
)
ASPECTS = Field(
    "aspects",
    TomlTable(key=LANGUAGE, value=_TEXTS, noun="language"),
    "For small models: a topic is asked for in several requests, one about each.",
    {"en": ["what it is", "how it works"]},
)
FORMS = Field(
    "forms",
    FORMS_SHAPE,
    "Grammars that aspects are written by, for llama.cpp's server.",
    {"rules": "rest ::= [a-z]+", "fields": FORM_FIELDS.example},
)
STRUCTURED_OUTPUT = Field(
    "structured_output",
    Choice(options=STRUCTURED),
    "How the server holds the model to a form, where one is asked for.",
    "json_schema",
)

_FIELDS: tuple[Field[Any], ...] = (
    LIKE,
    CONTEXT_WINDOW,
    MAX_OUTPUT,
    LINES_PER_REQUEST,
    TOKENS_PER_LINE,
    REASONING,
    LANGUAGES,
    PARAMETERS,
    CAP_NAME,
    STREAM,
    STYLE,
    ENCODING,
    CONCURRENCY,
    RPM,
    TPM,
    PRICES_FIELD,
    BATCH_DISCOUNT,
    ASPECTS,
    FORMS,
    STRUCTURED_OUTPUT,
)
PROFILE = TomlRecord(fields=_FIELDS)


OutputCapName = Literal["max_completion_tokens", "max_tokens"]
StructuredOutput = Literal["json_schema", "json_object", "grammar", "none"]
Tables = Mapping[str, Mapping[str, object]]


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
    JSON Schema, to any JSON object, by a grammar (llama.cpp's), or by words alone. ``stream`` says whether an answer is
    asked for as a stream.
    """

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

    ``served`` is the provider's own table, laid between the two. ``place`` is where the tables were
    read from. Raises ``InputError`` for an unknown key or a wrong value, in any of the tables,
    whether or not it is about this model.
    """
    tables = overrides or {}
    matching = _matching(model, tables)
    likes = [table["like"] for table in (served or {}, *(tables[p] for p in matching)) if "like" in table]
    profile = replace(_ready(str(likes[-1]) if likes else model), name=model)
    if served:
        profile = _laid_over(profile, served, "the provider's profile", place)
    for pattern, table in tables.items():
        if pattern not in matching:
            _laid_over(profile, table, f'models."{pattern}"', place, alone=True)
    for pattern in matching:
        profile = _laid_over(profile, tables[pattern], f'models."{pattern}"', place)
        if "concurrency" in tables[pattern]:
            profile = replace(profile, calls_at_once=profile.concurrency)
    return profile


def is_known(model: str, overrides: Tables | None = None) -> bool:
    """Whether a ready profile, or one of the settings', is about this model in particular."""
    return any(pattern != "*" for pattern in _matching(model, {**_ready_tables(), **(overrides or {})}))


def _ready(model: str) -> Profile:
    """The best matching ready profile; ``*`` matches every model."""
    tables = _ready_tables()
    empty = Profile(
        name=model,
        context_window=10**7,
        max_output_tokens=1,
        lines_per_request=1,
        tokens_per_line=1,
    )
    best = _matching(model, tables)[-1]
    profile = _laid_over(empty, tables["*"], "models.*", None)
    return profile if best == "*" else _laid_over(profile, tables[best], f"models.{best}", None)


@cache
def _ready_tables() -> Tables:
    path = Path(__file__).parents[1] / "data" / "profiles.toml"
    text = path.read_text(encoding="utf-8")
    tables: Tables = tomllib.loads(text, parse_float=Decimal)["models"]
    return tables


def _matching(model: str, patterns: Mapping[str, object]) -> list[str]:
    """The patterns that match, the least specific first."""
    names = (model.lower(), model.lower().rpartition("/")[2])
    found = [p for p in patterns if any(fnmatchcase(name, p.lower()) for name in names)]
    return sorted(found, key=lambda p: (p.lower() in names, len(p) - p.count("*") - p.count("?")))


def _laid_over(
    profile: Profile,
    table: Mapping[str, object],
    where: str,
    place: Place | None,
    *,
    alone: bool = False,
) -> Profile:
    """``alone`` only reads the table: it is about another model."""
    problems = Problems(str(place.path) if place else "profile")
    values = PROFILE.read(node_of(table), (where,), problems)
    _raise_at(problems, place)
    assert values is not None  # a problem would have been raised
    if alone:
        return profile
    changes = _changes(values)
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


def _raise_at(problems: Problems, place: Place | None) -> None:
    """Raise the problems at ``place``: a table from Python has no lines."""
    try:
        problems.raise_if_any()
    except InputErrors as found:
        raise InputErrors([InputError(e.what, remedy=e.remedy, place=place) for e in found.errors]) from None


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


def _changes(values: Values) -> dict[str, Any]:
    """What a table states, as the profile's own fields."""
    changes: dict[str, Any] = {}
    for one in PROFILE.fields:
        value = values.get(one)
        if value is not None:
            changes[one.key] = int(value) if isinstance(value, Decimal) else value
    if (discount := values.get(BATCH_DISCOUNT)) is not None:
        changes["batch_discount"] = Decimal(str(discount))
    if (prices := values.get(PRICES_FIELD)) is not None:
        prompt, cached = prices.need(PRICE_PROMPT), prices.get(PRICE_CACHED)
        changes["prices"] = TokenPrices(
            prompt=prompt,
            completion=prices.need(PRICE_COMPLETION),
            cached=prompt if cached is None else cached,
        )
    if (forms := values.get(FORMS)) is not None:
        rules = forms.need(FORM_RULES)
        changes["forms"] = tuple(_form(form, rules) for form in forms.need(FORM_FIELDS))
    return changes


def _form(values: Values, rules: str) -> Grammar:
    return Grammar(
        aspect=values.need(FORM_ASPECT),
        openings=values.need(FORM_OPENINGS),
        items=values.need(FORM_ITEMS),
        rules=rules,
    )
