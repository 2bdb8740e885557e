"""Models and providers: what a model can take and is asked for at a time, where it is served, how the key goes there.

Ready profiles of models stand in ``data/profiles.toml``, matched by model name: an exact name comes first, then the
pattern with the most literal characters; ``openai/gpt-5`` also matches by its last part. What holds of the provider's
server is laid over the ready profile, and the settings' ``[models."name-or-pattern"]`` tables over that, the most
specific one last. Prices are US dollars per million tokens there, and whole pico-dollars a token (10**-12 USD) here.

Ready providers stand in ``data/providers.toml``; the settings' ``[providers.NAME]`` tables are laid over them, or are
new ones. A provider that is not named is recognised by its base URL: by a host that is its own, or by the port of a
server that people run themselves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache
from math import ceil
from typing import Any, Literal

from expand.errors import InputError, Place
from expand.llm.endpoint import OPENAI_KEY, host_of, is_loopback, port_of
from expand.llm.gguf import ModelFile
from expand.llm.types import RequestForm, Usage
from expand.paths import packaged_table
from expand.schema import Json
from expand.schema.input_file import InputFile
from expand.schema.validators import suggestion

# --- a form that a small model fills in ---------------------------------------------------------------------
#
# llama.cpp's server takes a GBNF grammar with a request. A model too small to keep count or to stay with its subject
# then writes exactly the lines asked, opens each paragraph on the subject, and stops by itself.

LIST_FROM_LINES = 8
"""Fewer lines than this are sentences only; from here on a list closes them."""

LEAST_ITEMS = 3
PARAGRAPH_SENTENCES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Grammar:
    """One side of a topic, as a form.

    ``openings`` are the first words of the paragraphs, with ``{topic}`` for the subject, ``items``
    the first words of the list's items. ``rules`` is GBNF for ``sentence`` (a whole line) and
    ``rest`` (a line from after its opening), each ending in a newline."""

    aspect: str
    openings: tuple[str, ...]
    items: tuple[str, ...]
    rules: str

    def grammar(self, *, lines: int, topic: str) -> str:
        """GBNF for a text of exactly ``lines`` lines about ``topic``, blank lines included."""
        items = min(len(self.items), max(LEAST_ITEMS, lines // 3)) if lines >= LIST_FROM_LINES else 0
        above = lines - items - (1 if items else 0)
        blocks = [self._paragraph(number, sentences, topic) for number, sentences in enumerate(_shared_out(above))]
        if items:
            blocks.append(" ".join(f"{quoted(f'- {text}')} rest" for text in self.items[:items]))
        separator = f" {quoted(chr(10))} "
        return f"root ::= {separator.join(blocks)}\n{self.rules.strip()}\n"

    def _paragraph(self, number: int, sentences: int, topic: str) -> str:
        if number >= len(self.openings):
            return f"sentence{{{sentences}}}"
        opening = self.openings[number].replace("{topic}", subject(topic))
        more = f" sentence{{{sentences - 1}}}" if sentences > 1 else ""
        return f"{quoted(opening[:1].upper() + opening[1:])} rest{more}"


def subject(topic: str) -> str:
    """The topic as it stands in a sentence, without what explains it: ``The perf tool (CPU
    profiling)`` is about ``the perf tool``."""
    short = re.split(r"\s*[(（]|[:：]\s+|\s+[-–—]\s+", topic.strip(), maxsplit=1)[0].strip()
    words = " ".join((short or topic).split())
    return words[:1].lower() + words[1:] if words[1:2].islower() else words


def _shared_out(lines: int) -> list[int]:
    """The sentences of each paragraph, so that they and the blank lines between make ``lines``."""
    paragraphs = max(1, ceil((lines + 1) / (PARAGRAPH_SENTENCES + 1)))
    sentences = max(1, lines - paragraphs + 1)
    return [sentences // paragraphs + (number < sentences % paragraphs) for number in range(paragraphs)]


def quoted(text: str) -> str:
    """A text as GBNF writes it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


# --- models -------------------------------------------------------------------------------------------------

Tables = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """Pico-dollars a token, for prompts of more than ``above`` tokens; ``cached`` is for cached prompt tokens.

    ``steps`` replace them all for longer prompts, the shortest first."""

    above: int = 0
    prompt: int
    cached: int
    completion: int
    steps: tuple[Price, ...] = ()

    def cost(self, usage: Usage) -> int:
        """What an answer cost, in pico-dollars, at the rates that its prompt's length calls for."""
        rates = self._reached(usage.prompt)[-1]
        fresh = usage.prompt - usage.cached
        return fresh * rates.prompt + usage.cached * rates.cached + usage.completion * rates.completion

    def bound(self, prompt_tokens: int, cap: int) -> int:
        """The most that a request can cost, in pico-dollars: the cap used up, and the highest
        rates that a prompt of up to ``prompt_tokens`` can reach."""
        reached = self._reached(prompt_tokens)
        prompt = max(max(rates.prompt, rates.cached) for rates in reached)
        return prompt_tokens * prompt + cap * max(rates.completion for rates in reached)

    def less(self, discount: Decimal) -> Price:
        """The price less a discount (0.1 is a tenth), rounded up so that a reservation is never too small."""
        prompt, cached, completion = (
            ceil(pico * (1 - discount)) for pico in (self.prompt, self.cached, self.completion)
        )
        steps = tuple(step.less(discount) for step in self.steps)
        return replace(self, prompt=prompt, cached=cached, completion=completion, steps=steps)

    def _reached(self, prompt_tokens: int) -> list[Price]:
        return [self, *(rates for rates in self.steps if prompt_tokens > rates.above)]


def pico_per_token(usd_per_million: Decimal) -> int:
    """Whole pico-dollars a token, rounded up: 10**6 for one US dollar per million tokens."""
    return ceil(usd_per_million * 10**6)


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """How one model is used.

    ``like`` is the model that it is under another name, if that was stated. ``context_window`` holds prompt and
    completion together. ``tokens_per_line`` is a generous upper estimate, used for the output cap only.
    ``reasoning_tokens`` is the head-room for thinking that comes on top of the lines and stays inside
    ``max_output_tokens``. ``languages`` is None where the model writes any. ``parameters`` go into the request body as
    they are. ``aspects`` (by language) are for small models: a topic is asked for in several requests, one about each.
    ``forms`` are grammars for some of those aspects, for servers that take one (llama.cpp's). ``concurrency`` is how
    many sections are worked on side by side; where the settings state it, it is also ``calls_at_once``, which holds
    over all processes. ``structured_output`` is how a model is held to a form: by a JSON Schema, to any JSON object, by
    words alone, or by ``forms`` only, which no plan fits into. ``form`` is how requests are put, which changes nothing
    of what a section is made from. ``brief`` says that the model plans a chapter before it writes its sections and
    ``read`` that it reads a chapter once it is drafted. ``reference_tokens`` is how much of the references a request
    quotes."""

    name: str
    like: str | None = None
    context_window: int
    max_output_tokens: int
    lines_per_request: int
    tokens_per_line: int
    reasoning_tokens: int = 0
    languages: tuple[str, ...] | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict)
    form: RequestForm = field(default_factory=RequestForm)
    style: str | None = None
    concurrency: int = 4
    calls_at_once: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    prices: Price | None = None
    batch_discount: Decimal | None = None
    aspects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    forms: tuple[Grammar, ...] = ()
    structured_output: Literal["json_schema", "json_object", "grammar", "none"] = "json_schema"
    brief: bool = False
    reference_tokens: int = 4000
    read: bool = False

    @property
    def known_as(self) -> str:
        """The name that tokenizers and price lists know it by."""
        return self.like or self.name

    def request_parameters(self, *, lines: int, aspect: str = "", topic: str = "") -> Mapping[str, Json]:
        """``parameters`` for one request, with the grammar of the form that ``aspect`` has."""
        grammars = {form.aspect: form.grammar(lines=lines, topic=topic) for form in self.forms if form.aspect == aspect}
        return {**self.parameters, "grammar": grammars[aspect]} if grammars else self.parameters

    def json_format(self, name: str, schema: Json) -> Mapping[str, Json]:
        """The request parameters that hold the model to JSON of a schema, as far as its server can."""
        if self.structured_output == "json_schema":
            form: Json = {"name": name, "strict": True, "schema": schema}
            return {"response_format": {"type": "json_schema", "json_schema": form}}
        return {"response_format": {"type": "json_object"}} if self.structured_output == "json_object" else {}

    def output_cap(self, lines: int) -> int:
        """The output cap, in tokens, for a request that asks for ``lines`` lines."""
        return min(self.max_output_tokens, self.reasoning_tokens + lines * self.tokens_per_line)

    def writes(self, language: str) -> bool:
        """Whether the model can be asked to write in ``language``."""
        return self.languages is None or language in self.languages


def strict_object(properties: dict[str, Json]) -> Json:
    """The schema of an object in OpenAI's strict form: every property required, none besides."""
    required: list[Json] = [*properties]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


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
    tables, ready = overrides or {}, ready_tables("models")
    stated = [(f'models."{pattern}"', tables[pattern]) for pattern in _matching(model, tables)]
    layers = [("the provider's profile", served), *stated] if served else stated
    likes = [str(table["like"]) for _, table in layers if "like" in table]
    best = _matching(likes[-1] if likes else model, ready)[-1]  # "*" matches every model
    laid: Mapping[str, Any] = ready["*"]
    for where, table in ((f"models.{best}", ready[best]), *layers):
        laid = _laid_over(laid, table, where, place)
    fields = _fields(laid)
    at_once = fields["concurrency"] if any("concurrency" in table for _, table in stated) else None
    return Profile(name=model, calls_at_once=at_once, **fields)


def is_known(model: str, overrides: Tables | None = None) -> bool:
    """Whether a ready profile, or one of the settings', is about this model in particular."""
    return any(pattern != "*" for pattern in _matching(model, {**ready_tables("models"), **(overrides or {})}))


def own_provider(model: str, tables: Tables) -> tuple[str, str] | None:
    """The provider that the settings' tables name for a model, after the pattern of the table; None for none."""
    found = [pattern for pattern in _matching(model, tables) if "provider" in tables[pattern]]
    return (found[-1], str(tables[found[-1]]["provider"])) if found else None


@cache
def ready_tables(kind: Literal["models", "providers"]) -> Tables:
    """The tables that come with the tool."""
    tables: Tables = packaged_table("profiles" if kind == "models" else "providers")[kind]
    return tables


def _matching(model: str, patterns: Mapping[str, object]) -> list[str]:
    """The patterns that match, the least specific first."""
    names = (model.lower(), model.lower().rpartition("/")[2])
    found = [p for p in patterns if any(fnmatchcase(name, p.lower()) for name in names)]
    return sorted(found, key=lambda p: (p.lower() in names, len(p) - p.count("*") - p.count("?")))


def _laid_over(below: Mapping[str, Any], table: Mapping[str, Any], where: str, place: Place | None) -> dict[str, Any]:
    """A profile's keys with those of a table over them. A stated window cuts the output to its half, and the lines to
    the output, unless they are stated."""
    laid: dict[str, Any] = {**below, **table}
    laid["parameters"] = {**below.get("parameters", {}), **table.get("parameters", {})}
    if "context_window" in table and "max_output_tokens" not in table:
        laid["max_output_tokens"] = min(laid["max_output_tokens"], max(1, laid["context_window"] // 2))
    if {"context_window", "max_output_tokens"} & table.keys() and "lines_per_request" not in table:
        room = max(0, laid["max_output_tokens"] - laid.get("reasoning_tokens", 0))
        laid["lines_per_request"] = min(laid["lines_per_request"], max(1, room // laid["tokens_per_line"]))
    if laid["max_output_tokens"] >= laid["context_window"]:
        raise InputError(
            f"{where}: max_output_tokens {laid['max_output_tokens']:,} leaves no room for a prompt in "
            f"the context window of {laid['context_window']:,}",
            remedy="give a smaller max_output_tokens or a larger context_window",
            place=place,
        )
    return laid


def _fields(laid: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a profile as its fields."""
    # Who serves the model is the settings' matter.
    fields: dict[str, Any] = {name: _frozen(value) for name, value in laid.items() if name != "provider"}
    put = {name: fields.pop(name) for name in ("output_cap_name", "stream", "system_role") if name in fields}
    fields["form"] = RequestForm(**put, leave_out=frozenset(fields.pop("leave_out", ())))
    fields["parameters"] = json.loads(json.dumps(laid["parameters"], default=float))
    if "batch_discount" in laid:
        fields["batch_discount"] = Decimal(str(laid["batch_discount"]))
    if "prices" in laid:
        prices = {"cached": laid["prices"]["prompt"], **laid["prices"]}
        prompt, cached, completion = (
            pico_per_token(Decimal(str(prices[name]))) for name in ("prompt", "cached", "completion")
        )
        fields["prices"] = Price(prompt=prompt, cached=cached, completion=completion)
    if "forms" in laid:
        forms = fields["forms"]
        fields["forms"] = tuple(Grammar(rules=forms["rules"], **form) for form in forms["fields"])
    return fields


def _frozen(value: Any) -> Any:
    """The value with tuples for its lists; a count may be written 9000.0 too."""
    if isinstance(value, Mapping):
        return {name: _frozen(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    return int(value) if isinstance(value, Decimal) else value


# --- providers ----------------------------------------------------------------------------------------------

EMBEDDED_MODEL = "smollm2-135m-instruct"
"""The model that is shipped, which the embedded server serves if no other is named; see ``local_model.py``."""
EMBEDDED = "embedded"
"""The name under which the embedded server can be chosen as a provider."""
SMALL_BYTES = 600_000_000
"""Models in smaller files than this (a billion weights of half a byte each) can neither keep count nor stay with a
subject: a topic is asked for in parts."""
MOST_WINDOW = 8_192
"""The window that a model file is served with, if nobody states more: the memory for a window grows with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Provider:
    """How one provider is spoken to.

    ``key_variable`` holds its key; ``key_header`` carries the key as it is, and ``Authorization`` as a bearer token.
    ``exact_tokens`` says whether tiktoken's count of a model that it knows is the provider's own. ``profile`` is laid
    over the ready profile of every model that is served there. ``advice`` is what its users should know."""

    name: str
    title: str
    base_url: str | None = None
    hosts: tuple[str, ...] = ()
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
    if file.size < SMALL_BYTES:
        # The forms of the model that is shipped; what it was measured to need, others of its size need as well.
        profile |= {"like": EMBEDDED_MODEL, "structured_output": "grammar", "concurrency": 2}
    return Provider(name=EMBEDDED, title="the embedded server", needs_key=False, exact_tokens=False, profile=profile)


def providers(overrides: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Provider]:
    """All known providers by name: the ready ones with the settings' tables, which have been validated, laid over."""
    known = {COMPATIBLE.name: COMPATIBLE}
    for name, table in (*ready_tables("providers").items(), *(overrides or {}).items()):
        provider = known.get(name) or Provider(name=name, title=name)
        # A profile is read where it is laid over the model's.
        merged = {part: {**getattr(provider, part), **table[part]} for part in ("headers", "profile") if part in table}
        known[name] = replace(provider, **{**_frozen(table), **merged})
    return known


def provider_named(name: str, known: Mapping[str, Provider], file: InputFile, *key: str) -> Provider:
    """The provider that a file names under a key. Raises ``InputError`` with the names that there are."""
    if name not in known:
        raise InputError(f"there is no provider {name!r}", remedy=suggestion(name, known), place=file.value(key))
    return known[name]


def recognised(base_url: str, known: dict[str, Provider]) -> Provider:
    """The provider behind a base URL; ``COMPATIBLE`` where nothing says which it is."""
    host, port = host_of(base_url), port_of(base_url)
    own_first = tuple(known.values())[::-1]  # the settings' come last
    for provider in own_first:
        stated = provider.base_url
        if stated and (host_of(stated), port_of(stated)) == (host, port):
            return provider
        if any(fnmatchcase(host, pattern.lower()) for pattern in provider.hosts):
            return provider
    # By the usual port alone only a ready server: the key of a provider of one's own goes to its own host.
    for provider in own_first:
        usual = ready_tables("providers").get(provider.name, {}).get("base_url", "")
        if base_url.startswith("http:") and is_loopback(usual) and port_of(usual) == port:
            return provider
    return COMPATIBLE
