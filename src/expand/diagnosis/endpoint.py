"""Asking an OpenAI-compatible API which models it has: free of charge, and it tries the key."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from expand.model.address import OPENAI_URL
from expand.settings import Settings

PATIENCE_SECONDS = 10.0
_MOST_BYTES = 4_000_000

Reply = Literal["listed", "no_list", "unauthorized", "unreachable"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """What came back from ``url``: ``models`` are those it lists, ``said`` is its own words."""

    url: str
    reply: Reply
    models: tuple[str, ...] = ()
    said: str = ""


async def ask_endpoint(
    settings: Settings, *, patience_seconds: float = PATIENCE_SECONDS
) -> Endpoint:
    """Ask for the list of models. Nothing is raised for what goes wrong; the key is in no text."""
    import aiohttp  # start-up time

    url = f"{(settings.base_url or OPENAI_URL).rstrip('/')}/models"
    headers = {"Authorization": f"Bearer {settings.api_key}"} if settings.api_key else {}
    timeout = aiohttp.ClientTimeout(total=patience_seconds)
    try:
        async with (
            # A proxy in the environment must not come between us and this machine.
            aiohttp.ClientSession(timeout=timeout, trust_env=not settings.local) as session,
            session.get(url, headers=headers, allow_redirects=False) as response,
        ):
            body = await response.content.read(_MOST_BYTES)
            return endpoint_from(url, response.status, body)
    except TimeoutError:
        return Endpoint(url=url, reply="unreachable", said=f"no answer in {patience_seconds:g} s")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        return Endpoint(url=url, reply="unreachable", said=_without(said, settings.api_key))


def endpoint_from(url: str, status: int, body: bytes) -> Endpoint:
    """What an answer to the question says."""
    if status in (401, 403):
        return Endpoint(url=url, reply="unauthorized", said=f"HTTP {status}")
    if status != 200:
        return Endpoint(url=url, reply="no_list", said=f"HTTP {status}")
    try:
        listed = json.loads(body)["data"]
        models = tuple(str(entry["id"]) for entry in listed)
    except (ValueError, KeyError, TypeError):
        return Endpoint(url=url, reply="no_list", said="the answer is no list of models")
    return Endpoint(url=url, reply="listed", models=models)


def _without(text: str, key: str | None) -> str:
    return text.replace(key, "[key]") if key else text
