"""Asking an OpenAI-compatible API which models it has: free of charge, and it tries the key."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from expand.drafting.model_setup import endpoint_of
from expand.errors import InputError
from expand.llm.endpoint import OPENAI_URL
from expand.llm.openai_client import OpenAIClient
from expand.llm.types import AttemptFailedError
from expand.settings import Settings

PATIENCE_SECONDS = 10.0
_WINDOW_NAMES = ("max_model_len", "context_length", "max_context_length", "context_window")
"""How vLLM, OpenRouter, LM Studio and others call a model's context window in their lists."""

Reply = Literal["listed", "no_list", "unauthorized", "unreachable", "no_api"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """What came back from ``url``: ``models`` are those it lists, ``said`` is its own words.

    ``windows`` are the context windows, in tokens, of those models that it states one for.
    """

    url: str
    reply: Reply
    models: tuple[str, ...] = ()
    windows: Mapping[str, int] = field(default_factory=dict)
    said: str = ""


async def ask_endpoint(settings: Settings, *, patience_seconds: float = PATIENCE_SECONDS) -> Endpoint:
    """Ask for the list of models. Nothing is raised for what goes wrong; the key is in no text."""
    url = f"{(settings.base_url or OPENAI_URL).rstrip('/')}/models"
    try:
        async with asyncio.timeout(patience_seconds), OpenAIClient(endpoint_of(settings)) as client:
            status, body, location = await client.get("/models")
    except TimeoutError:
        return Endpoint(url=url, reply="unreachable", said=f"no answer in {patience_seconds:g} s")
    except (AttemptFailedError, InputError) as error:
        return Endpoint(url=url, reply="unreachable", said=str(error))
    return endpoint_from(url, status, body, location=location)


def endpoint_from(url: str, status: int, body: bytes, *, location: str = "") -> Endpoint:
    """What an answer to the question says."""
    if status in (401, 403):
        return Endpoint(url=url, reply="unauthorized", said=f"HTTP {status}")
    if 300 <= status < 400:
        return Endpoint(url=url, reply="no_api", said=f"HTTP {status}, redirected to {location}")
    try:
        answer = json.loads(body)
    except ValueError:
        kind = "a web page" if body.lstrip()[:1] == b"<" else "no JSON"
        reply: Reply = "no_list" if status >= 500 else "no_api"
        return Endpoint(url=url, reply=reply, said=f"HTTP {status} with {kind}")
    if status != 200:
        return Endpoint(url=url, reply="no_list", said=f"HTTP {status}")
    try:
        listed = [(str(entry["id"]), entry) for entry in answer["data"]]
    except (KeyError, TypeError):
        return Endpoint(url=url, reply="no_list", said="the answer is no list of models")
    windows = {name: window for name, entry in listed if (window := _window(entry))}
    return Endpoint(url=url, reply="listed", models=tuple(name for name, _ in listed), windows=windows)


def _window(entry: Mapping[str, object]) -> int | None:
    """The context window that an entry of the list states. llama.cpp has it inside ``meta``."""
    meta = entry.get("meta")
    stated = [entry.get(name) for name in _WINDOW_NAMES]
    stated.append(meta.get("n_ctx") if isinstance(meta, Mapping) else None)
    return next((n for n in stated if isinstance(n, int) and not isinstance(n, bool) and n), None)
