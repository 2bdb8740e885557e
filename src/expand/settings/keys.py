"""The keys of ``expand.toml``: one declaration for the reader and the JSON Schema."""

from __future__ import annotations

from expand.model.profile_keys import PROFILE
from expand.model.provider_keys import PROVIDER, URL
from expand.outline.record import Field
from expand.outline.shape import Choice, Number, Schema, Words
from expand.toml.shapes import LINE, TomlRecord, TomlTable

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
BASE_URL = Field(
    "base_url", URL, "Where the API is, if not at the provider's own.", "http://127.0.0.1:8080/v1"
)
CONCURRENCY = Field(
    "concurrency",
    Number(minimum=1, maximum=10_000, whole=True),
    "Requests at once.",
    8,
)
TIMEOUT = Field(
    "timeout_seconds",
    Number(minimum=1, maximum=86_400),
    "How long an answer may take to come.",
    600,
)
ON_UNKNOWN = Field(
    "on_unknown",
    Choice(options=("retry", "hold")),
    "What to do about requests whose outcome was never learnt.",
    "retry",
)
AUTHOR = Field(
    "author",
    TomlRecord(fields=(MODEL, PROVIDER_NAME, BASE_URL, CONCURRENCY, TIMEOUT, ON_UNKNOWN)),
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
