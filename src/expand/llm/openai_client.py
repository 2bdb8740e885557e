"""The author behind an OpenAI-compatible API. The SDK is loaded when the first request is about to be sent.

One attempt is one purchase. Answers are streamed, so that text is kept that arrived before a connection broke. Whatever
goes wrong leaves as ``AttemptFailedError``. The key is in no message and no traceback.
"""

from __future__ import annotations

import asyncio
import enum
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from expand.errors import AuthorError
from expand.llm.completion import believed, cut_at
from expand.llm.endpoint import Endpoint, checked_key
from expand.llm.profile import OutputCapName
from expand.llm.types import Answer, AttemptFailedError, OnText, Request, ignore_text
from expand.redaction import note_keys

if TYPE_CHECKING:
    from expand.llm.openai_sdk import Connection

_STREAM = re.compile(r"\bstream(?:s|ed|ing)?\b", re.IGNORECASE)
_STREAM_OPTIONS = re.compile(r"stream_options|include_usage", re.IGNORECASE)


class OpenAIClient:
    """One endpoint, and the SDK's connection to it. An async context manager; closing it twice is fine.

    Raises ``InputError`` for a key, base URL or header of the environment that cannot be sent.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        endpoint.request_headers()  # raises before anything is started
        self._endpoint = replace(endpoint, api_key=checked_key(endpoint.api_key), base_url=endpoint.url)
        note_keys([self._endpoint.api_key], words=[self._endpoint.base_url])
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._endpoint.base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.client.close()

    async def open(self) -> None:
        """Load the SDK and make its client; send nothing. Raises ``AuthorError`` when there is none to talk to."""
        try:
            await self._connected()
        except AttemptFailedError as failed:
            raise AuthorError(f"{failed.message}; run `expand doctor`") from failed

    async def get(self, path: str) -> tuple[int, bytes, str]:
        """Ask for a resource, free of charge. Returns status, body and where a redirect points.

        Raises ``AttemptFailedError`` when no response came.
        """
        return await (await self._connected()).get(path)

    async def _connected(self) -> Connection:
        if self._connection is None:
            async with self._opening:
                if self._connection is None:
                    # The SDK's imports reach this package by way of `importlib.abc`, the grammars of code blocks by
                    # its own name. Two threads that load it from both ends deadlock, so one loads it first.
                    import importlib.resources  # noqa: F401

                    self._connection = await asyncio.to_thread(self._connect)
        return self._connection

    def _connect(self) -> Connection:
        """In a thread: importing the SDK takes 0.8 s, reading the certificates of all authorities 20 ms."""
        from expand.llm.openai_sdk import Connection  # the SDK's one door

        return Connection(self._endpoint)


class Mode(enum.Enum):
    """How an answer is asked for."""

    STREAM_WITH_USAGE = "a stream that ends with the usage"
    STREAM = "a stream"
    PLAIN = "plain JSON"


class OpenAIAuthor(OpenAIClient):
    """Sends chat completions to an endpoint. ``output_cap_name`` and ``stream`` are the profile's."""

    def __init__(
        self, endpoint: Endpoint, *, output_cap_name: OutputCapName = "max_completion_tokens", stream: bool = True
    ) -> None:
        super().__init__(endpoint)
        self._cap_name = output_cap_name
        self._mode = Mode.STREAM_WITH_USAGE if stream else Mode.PLAIN

    async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
        """Send the request once. Raises ``AttemptFailedError`` when no whole answer came.

        A server that refuses to stream, or to report the usage of a stream, is asked again in the way it knows; that
        is remembered, and a refused request is billed by nobody.
        """
        connection = await self._connected()
        body = {**request.parameters, self._cap_name: request.max_output_tokens}
        messages = [{"role": m.role, "content": m.content} for m in request.messages]
        refused: set[Mode] = set()
        while True:
            mode = self._mode
            try:
                answer = await connection.complete(
                    request.model, messages, body, mode=mode, client_request_id=client_request_id, on_text=on_text
                )
            except AttemptFailedError as failed:
                refused.add(mode)
                other = _other_mode(mode, failed)
                if other is None or other in refused:
                    raise
                self._mode = other
            else:
                cap = request.max_output_tokens
                prompt_bytes = sum(len(message.content.encode(errors="replace")) for message in request.messages)
                return cut_at(believed(answer, prompt_bytes=prompt_bytes, cap=cap), cap)


def _other_mode(mode: Mode, failed: AttemptFailedError) -> Mode | None:
    """The way to ask a server that refused this one; None if it refused for another reason."""
    if failed.status not in (400, 422):
        return None
    if mode is Mode.STREAM_WITH_USAGE and _STREAM_OPTIONS.search(failed.message):
        return Mode.STREAM
    if _STREAM.search(failed.message):
        return Mode.STREAM_WITH_USAGE if mode is Mode.PLAIN else Mode.PLAIN
    return None
