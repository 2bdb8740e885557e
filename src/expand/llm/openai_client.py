"""The author behind an OpenAI-compatible API.

One attempt is one HTTP request: there are no retries and no redirects, since each could be a
purchase that no ledger knows of. Whatever goes wrong leaves as ``AttemptFailedError``. The key is
in no message and no traceback.

A request goes out over the ``wire``, past the SDK's request options and response models.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit
from urllib.request import getproxies

from expand.llm.api_key import HIDDEN, checked_key, hide_key
from expand.llm.base_url import checked_url, is_loopback
from expand.llm.direct import DirectWire
from expand.llm.environment import headers_of
from expand.llm.http_errors import refused
from expand.llm.profile import OutputCapName
from expand.llm.response import answer_from, cut_at, request_id_in
from expand.llm.types import Answer, AttemptFailedError, OnText, Request, ignore_text
from expand.llm.wire import Route, Transport, Wire

CONNECT_SECONDS = 10.0
READ_SECONDS = 600.0

EVERY_REQUEST = {
    "Accept": "application/json",
    "Content-Type": "application/json",
    "User-Agent": "chapter-expand",
}

_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class OpenAIAuthor:
    """Sends chat completions to one endpoint. An async context manager; closing it twice is fine.

    ``base_url`` None is OpenAI's own. ``api_key`` None is for servers that need none: on this
    machine, or behind a gateway; then no Authorization header goes out. ``key_header`` carries it
    where that is not Authorization; ``headers`` go out with every request. ``output_cap_name`` is
    the profile's. ``clock`` gives Unix seconds, for Retry-After dates. ``connections`` is the
    most that are open at once. Raises ``InputError`` for a key or base URL that cannot be sent.
    """

    def __init__(
        self,
        *,
        api_key: str | None,
        base_url: str | None = None,
        output_cap_name: OutputCapName = "max_completion_tokens",
        key_header: str = "Authorization",
        headers: Mapping[str, str] | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        connections: int = 256,
        transport: Transport = "aiohttp",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cap_name = output_cap_name
        self._clock = clock
        self._key = checked_key(api_key)
        self._base_url = checked_url(base_url)
        bearer = key_header.lower() == "authorization"
        own = {key_header: f"Bearer {self._key}" if bearer else self._key} if self._key else {}
        every = _merged(EVERY_REQUEST, headers_of(os.environ), headers or {}, own)
        url = urlsplit(self._base_url)
        self._wire = _wire(
            Route(
                url=url._replace(path=f"{url.path.rstrip('/')}/chat/completions").geturl(),
                headers=every,
                here=is_loopback(self._base_url),
                connect_seconds=connect_seconds,
                read_seconds=read_seconds,
                connections=connections,
            ),
            transport,
        )

    def __repr__(self) -> str:
        return f"OpenAIAuthor(base_url={self._base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._wire.aclose()

    async def open(self) -> None:
        """Ready at once: what takes time was done at import."""

    async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
        """Send the request once. Raises ``AttemptFailedError`` when no answer came."""
        body = {
            **request.parameters,
            "model": request.model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            self._cap_name: request.max_output_tokens,
        }
        sent = _COMPACT.encode(body).encode()
        try:
            reply = await self._wire.post(sent, client_request_id)
            if not 200 <= reply.status < 300:
                raise refused(reply.status, reply.headers, reply.body, now=self._clock())
            answer = answer_from(reply.body, request_id=request_id_in(reply.headers))
            return self._without_key(cut_at(answer, request.max_output_tokens))
        except AttemptFailedError as failed:
            hide_key(failed, self._key)  # the provider's words may repeat it
            raise

    def _without_key(self, answer: Answer) -> Answer:
        """The answer, without the key should the server have repeated it."""
        key = self._key
        if not key or not any(key in text for text in (answer.text, answer.model, answer.provider_request_id)):
            return answer
        return replace(
            answer,
            text=answer.text.replace(key, HIDDEN),
            model=answer.model.replace(key, HIDDEN),
            provider_request_id=answer.provider_request_id.replace(key, HIDDEN),
        )


def _merged(*layers: Mapping[str, str]) -> dict[str, str]:
    """One header for each name, however it is spelled: the last one."""
    found = {name.lower(): (name, text) for layer in layers for name, text in layer.items()}
    return dict(found.values())


def _wire(route: Route, transport: Transport) -> Wire:
    """The way that fits the environment: the SDK's client knows every kind of proxy."""
    if transport == "aiohttp" and (route.here or not getproxies()):
        return DirectWire(route)
    from expand.llm.sdk import SdkWire  # start-up time

    return SdkWire(route, transport)
