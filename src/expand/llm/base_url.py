"""Where an author is reached: OpenAI's own URL, and whether another one is on this machine."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from expand.errors import InputError

OPENAI_URL = "https://api.openai.com/v1"


def host_of(base_url: str | None) -> str:
    """The URL's host in lower case; "" where there is none."""
    try:
        return urlsplit(base_url).hostname or "" if base_url else ""
    except ValueError:
        return ""


def port_of(base_url: str) -> int | None:
    """The URL's port, as stated or as its scheme has it; None where it has none."""
    try:
        parts = urlsplit(base_url)
        return parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None


def is_loopback(base_url: str | None) -> bool:
    """Whether the URL is a server on this machine, which needs no key."""
    host = host_of(base_url)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_private(base_url: str) -> bool:
    """Whether the URL is on this machine or a private network, so that no price is published."""
    host = host_of(base_url)
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return is_loopback(base_url) or not host or host.endswith((".local", ".internal"))


def _can_be_looked_up(host: str) -> bool:
    """Whether a host is one for the resolver: no label is empty or too long. Raises ``ValueError``
    for other characters that it cannot take.
    """
    if host.isascii():  # mostly so, and then the tables of Unicode need not be loaded
        return all(0 < len(label) < 64 for label in host.removesuffix(".").split("."))
    return bool(host.encode("idna"))


def checked_url(url: str | None) -> str:
    """The URL without the space around it, OpenAI's where there is none. Raises ``InputError``."""
    if url is None or not url.strip():
        return OPENAI_URL
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        usable = usable and (parts.port is None or parts.port > 0)
        usable = usable and _can_be_looked_up(parts.hostname or "")
    except ValueError:
        usable = False
    if not usable:
        raise InputError(
            f"base URL {url!r} is not an http or https address",
            remedy="give one such as http://127.0.0.1:8080/v1",
        )
    return url.strip()
