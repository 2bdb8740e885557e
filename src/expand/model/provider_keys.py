"""The keys of a provider's table: one declaration for the reader and the JSON Schema."""

from __future__ import annotations

from expand.model.profile_keys import PROFILE
from expand.outline.record import Field
from expand.outline.shape import Flag, Number, Words
from expand.toml.shapes import LINE, PROSE, TomlList, TomlRecord, TomlTable

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
VARIABLE = Words(
    pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", wanted="the name of an environment variable", longest=200
)
_HEADER = Words(
    pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", wanted="the name of an HTTP header", longest=200
)
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
        Field(
            "needs_key", Flag(), "Whether nothing can be sent without a key; true if unsaid.", False
        ),
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
