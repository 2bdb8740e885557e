"""The author behind an OpenAI-compatible API. The SDK is loaded when the first request is about to be sent.

One attempt is one request, and one purchase. Answers are streamed, so that text is kept that arrived before a
connection broke. Whatever goes wrong leaves as ``AttemptFailedError``. The key is in no message and no traceback.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from expand.errors import AuthorError
from expand.llm.completion import believed
from expand.llm.endpoint import Endpoint, checked_key, checked_url, other_url
from expand.llm.request_form import MENDABLE, RequestForm, advice, mended
from expand.llm.types import Answer, AttemptFailedError, OnText, Request, ignore_text
from expand.redaction import note_keys

if TYPE_CHECKING:
    from expand.llm.openai_sdk import Connection

DEFAULT_FORM = RequestForm()


class OpenAIClient:
    """One endpoint, and the SDK's connection to it. An async context manager; closing it twice is fine.

    Raises ``InputError`` for a key, base URL or header of the environment that cannot be sent."""

    def __init__(self, endpoint: Endpoint) -> None:
        note_keys([endpoint.api_key, *endpoint.secrets()], words=[endpoint.url])  # raises before anything is started
        checked_url(endpoint.base_url)
        self._endpoint = replace(endpoint, api_key=checked_key(endpoint.api_key))
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._endpoint.url!r})"

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

        Raises ``AttemptFailedError`` when no response came."""
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


class OpenAIAuthor(OpenAIClient):
    """Sends chat completions to an endpoint. ``form`` is how the profile says that they are put."""

    def __init__(self, endpoint: Endpoint, form: RequestForm = DEFAULT_FORM) -> None:
        super().__init__(endpoint)
        self._stated = form
        self._forms: dict[str, list[RequestForm]] = {}
        """The forms that were tried with a model; the last one is in use."""
        self._tried_urls = [self._endpoint.url]
        self._answered = False

    async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
        """Send the request once. Raises ``AttemptFailedError`` when no whole answer came.

        A refusal that is about the request's form, or about a base URL without its ``/v1``, changes how all further
        requests are sent: the failure says so in ``mended``, and the same request may be sent again at once."""
        connection = await self._connected()
        form, url = self._form(request.model), self._tried_urls[-1]
        try:
            answer = await connection.complete(request, form, client_request_id=client_request_id, on_text=on_text)
        except AttemptFailedError as failed:
            if failed.failure in MENDABLE:
                failed.mended = self._mended(connection, failed, request, form, url)
            raise
        self._answered = True
        prompt_bytes = sum(len(message.content.encode(errors="replace")) for message in request.messages)
        return believed(answer, prompt_bytes=prompt_bytes, cap=form.cap(request))

    def advice(self, model: str) -> tuple[str, ...]:
        """What to write into ``expand.toml``, so that what this author had to find out is known from the beginning."""
        lines = []
        if self._answered and len(self._tried_urls) > 1:
            lines.append(f'[author] base_url = "{self._tried_urls[-1]}"')
        stated = advice(self._stated, self._form(model))
        return (*lines, *([f'[models."{model}"] {"; ".join(stated)}'] if stated else []))

    def _form(self, model: str) -> RequestForm:
        return self._forms.setdefault(model, [self._stated])[-1]

    def _mended(
        self, connection: Connection, failed: AttemptFailedError, request: Request, form: RequestForm, url: str
    ) -> str | None:
        """Change how requests are sent, as a refusal asks for it; returns what is different now, "" where another
        request found it out while this one was under way, and None where nothing is to be changed."""
        forms = self._forms[request.model]
        if form != forms[-1] or url != self._tried_urls[-1]:
            return ""
        if (mend := mended(form, failed, request, tried=forms)) is not None:
            forms.append(mend[0])
            return mend[1]
        if self._answered or failed.status not in (404, 405) or "model" in failed.message.lower():
            return None
        other = other_url(self._tried_urls[0])
        if other is None or other in self._tried_urls:
            if other is not None:
                failed.remedy = f"neither {self._tried_urls[0]} nor {other} is the API: check the base URL"
            return None
        self._tried_urls.append(other)
        connection.move(other)
        return f"trying {other} instead"
