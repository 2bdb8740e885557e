"""Where requests go and with which key; what may be sent, and how the key stays out of what is shown and stored."""

import ipaddress
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from expand.errors import InputError

CONNECT_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where requests go, and with what.

    ``base_url`` None is OpenAI's own. ``api_key`` None is for servers that need none: on this machine, or behind a
    gateway; then no Authorization header goes out. ``key_header`` carries the key where that is not Authorization;
    ``headers`` go out with every request, and with ``for_openai`` the environment's ``OPENAI_ORG_ID``,
    ``OPENAI_PROJECT_ID`` and ``OPENAI_CUSTOM_HEADERS``, which may hold a key, too. ``read_seconds`` is the longest
    silence: before an answer that is not streamed, between two chunks of one that is. ``total_seconds`` is the longest
    that an answer may take as a whole, None for six times that."""

    api_key: str | None = field(repr=False)
    base_url: str | None = None
    key_header: str = "Authorization"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    for_openai: bool = True
    read_seconds: float = 600.0
    total_seconds: float | None = None

    @property
    def url(self) -> str:
        """The base URL without what the API itself puts behind it. Raises ``InputError`` for one that is none."""
        return api_url(checked_url(self.base_url))

    def request_headers(self) -> dict[str, str | None]:
        """The headers of every request, the key's among them; one that is None does not go out, whatever the
        environment says of it. Raises ``InputError`` for what no header can carry."""
        key = checked_key(self.api_key)
        bearer = self.key_header.lower() == "authorization"
        stated = headers_of_environment(os.environ)
        return {
            **(stated if self.for_openai else dict.fromkeys(stated)),
            **self.headers,
            "Authorization": None,  # else one in OPENAI_CUSTOM_HEADERS would go out in the key's place
            **({self.key_header: f"Bearer {key}" if bearer else key} if key else {}),
        }

    def secrets(self) -> list[str]:
        """The key, and what headers carry that are named like one, without the scheme before it."""
        named = [text or "" for name, text in self.request_headers().items() if _SECRET_HEADER.search(name)]
        return [key for text in (self.api_key or "", *named) for key in text.split()[-1:]]


# Base URLs

OPENAI_URL = "https://api.openai.com/v1"
_OPENAI_HOST = "api.openai.com"
_RESOURCE = re.compile(r"(?:/(?:chat/completions|completions|responses|embeddings|models|batches|files))?/*$")
"""What a base URL that was copied from an example request ends in."""
_VERSION = re.compile(r"/v\d+(?:alpha|beta)?\d*(?:/|$)|/api(?:/|$)|/openai(?:/|$)")


def api_url(url: str) -> str:
    """The base URL of the API: without the resource, slashes, query and fragment behind it."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, _RESOURCE.sub("", parts.path, count=1), "", ""))


def other_url(url: str) -> str | None:
    """Where else the API may be: below ``/v1``, which often is left out. None where the URL names a version, or where
    an API is, already."""
    parts = urlsplit(url)
    if _VERSION.search(parts.path):
        return None
    return urlunsplit((parts.scheme, parts.netloc, f"{api_url(parts.path)}/v1", parts.query, ""))


def host_of(base_url: str | None) -> str:
    """The URL's host in lower case; "" where there is none."""
    with suppress(ValueError):
        return urlsplit(base_url or "").hostname or ""
    return ""


def port_of(base_url: str) -> int | None:
    """The URL's port, as stated or as its scheme has it; None where it has none."""
    with suppress(ValueError):
        parts = urlsplit(base_url)
        return parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return None


def is_loopback(base_url: str | None) -> bool:
    """Whether the URL is a server on this machine, which needs no key."""
    host = host_of(base_url)
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def is_openai(base_url: str | None) -> bool:
    """Whether the URL is one of OpenAI's own hosts (None is), the regional ones such as eu.api.openai.com included."""
    host = host_of(base_url or OPENAI_URL)
    return host == _OPENAI_HOST or host.endswith(f".{_OPENAI_HOST}")


def is_private(base_url: str) -> bool:
    """Whether the URL is on this machine or a private network, so that no price is published."""
    host = host_of(base_url)
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_private
    return is_loopback(base_url) or not host or host.endswith((".local", ".internal"))


def checked_url(url: str | None) -> str:
    """The URL without the space around it, OpenAI's where there is none. Raises ``InputError``."""
    if url is None or not url.strip():
        return OPENAI_URL
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in ("http", "https") and (parts.port is None or parts.port > 0)
        # The resolver takes no label that is empty or too long.
        usable = usable and bool((parts.hostname or "").encode("idna"))
    except ValueError:
        usable = False
    if not usable:
        remedy = "give one such as http://127.0.0.1:8080/v1"
        raise InputError(f"base URL {url!r} is not an http or https address", remedy=remedy)
    return url.strip()


# Keys and headers

OPENAI_KEY = "OPENAI_API_KEY"

_NAMED_HEADERS = {"OPENAI_ORG_ID": "OpenAI-Organization", "OPENAI_PROJECT_ID": "OpenAI-Project"}
_CUSTOM_HEADERS = "OPENAI_CUSTOM_HEADERS"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SECRET_HEADER = re.compile(r"auth|key|token|secret|password|cookie|credential", re.IGNORECASE)


def checked_key(key: str | None, *, variable: str = OPENAI_KEY) -> str | None:
    """The key without the space or line feed that files end in; None where there is none.

    Raises ``InputError`` for one that no header can carry, or with a space or line break inside."""
    key = key.strip() if key else None
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise InputError(
            f"{variable} holds spaces, line breaks or characters that no HTTP header can carry",
            remedy=f"set {variable} again, without quotes or line breaks",
        )
    return key or None


def headers_of_environment(environment: Mapping[str, str]) -> dict[str, str | None]:
    """The headers that the SDK reads from the environment: the lines ``name: text`` of ``OPENAI_CUSTOM_HEADERS``, and
    ``OPENAI_ORG_ID`` and ``OPENAI_PROJECT_ID``, None where there is none: the SDK would send a blank one.

    Raises ``InputError`` for what no header can carry: what the SDK raises then could as well mean that the request
    went out."""
    lines = (line.partition(":") for line in environment.get(_CUSTOM_HEADERS, "").split("\n"))
    custom = {name.strip(): text.strip() for name, colon, text in lines if colon}
    for name, text in custom.items():
        if not (_HEADER_NAME.fullmatch(name) and text.isascii() and text.isprintable()):
            remedy = "write one in a line, as name: text, in ASCII"
            raise InputError(f"{_CUSTOM_HEADERS} holds a header that cannot be sent: {name!r}", remedy=remedy)
    named = {header: checked_key(environment.get(name), variable=name) for name, header in _NAMED_HEADERS.items()}
    return {**custom, **named}
