"""The keys of a model's profile: one declaration for the reader and the JSON Schema."""

from __future__ import annotations

from typing import Any

from expand.outline.record import Field
from expand.outline.shape import Choice, Number
from expand.outline.words import LANGUAGE
from expand.toml.shapes import LINE, PROSE, JsonTable, TomlList, TomlRecord, TomlTable

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
LINES_PER_REQUEST = Field(
    "lines_per_request", _count(10_000), "Lines that one request can well bring.", 60
)
TOKENS_PER_LINE = Field(
    "tokens_per_line", _count(10_000), "A generous estimate, for the output cap alone.", 60
)
REASONING = Field(
    "reasoning_tokens", _count(minimum=0), "Room in the output cap for thinking.", 12_000
)
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
