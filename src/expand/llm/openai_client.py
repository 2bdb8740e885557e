"""The author behind an OpenAI-compatible API, and what it asks otherwise when a server refuses how requests are put.
The SDK is loaded when the first request is about to be sent.

One attempt is one request, and one purchase. Answers are streamed, so that text is kept that arrived before a
connection broke. Whatever goes wrong leaves as ``AttemptFailedError``. The key is in no message and no traceback.

Servers differ in the name of the output cap, in the sampling parameters that a model takes, in how they stream, and in
whether they know a system message. A refusal with a 400 names the field and is billed by nobody, so the author asks
otherwise from then on. What is left out shapes the text alone. A parameter that may hold a promise (a price, a route,
privacy) is never left out, and neither is the output cap, which the reservation rests on.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Self

from expand.errors import AuthorError
from expand.llm.completion import believed
from expand.llm.endpoint import Endpoint, other_url
from expand.llm.types import (
    Answer,
    AttemptFailedError,
    Failure,
    OnText,
    OutputCapName,
    Request,
    RequestForm,
    ignore_text,
)
from expand.paths import packaged_table
from expand.redaction import note_keys

if TYPE_CHECKING:
    from expand.llm.openai_sdk import Connection


class OpenAIClient:
    """One endpoint, and the SDK's connection to it. An async context manager; closing it twice is fine.

    Raises ``InputError`` for a key, base URL or header of the environment that cannot be sent."""

    def __init__(self, endpoint: Endpoint) -> None:
        note_keys(endpoint.secrets(), words=[endpoint.url])  # raises before anything is started
        self._endpoint = endpoint
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
        async with self._opening:
            if self._connection is None:
                # The SDK's imports reach this package by way of `importlib.abc`, the grammars of code blocks by its
                # own name. Two threads that load it from both ends deadlock, so one loads it first.
                import importlib.resources  # noqa: F401

                self._connection = await asyncio.to_thread(self._connect)
            return self._connection

    def _connect(self) -> Connection:
        """In a thread: importing the SDK takes 0.8 s, reading the certificates of all authorities 20 ms."""
        from expand.llm.openai_sdk import Connection  # the SDK's one door

        return Connection(self._endpoint)


LEAST_CAP = 256
"""A smaller cap is not believed to be the model's: it would cut every answer."""

_WORDS = packaged_table("answers")["form"]
_UNKNOWN, _SYSTEM = (re.compile("|".join(_WORDS[name]), re.IGNORECASE) for name in ("unknown", "system"))
_MOST = tuple(re.compile(words, re.IGNORECASE) for words in _WORDS["most"])
"""How the largest output cap that a model takes is stated."""


class OpenAIAuthor(OpenAIClient):
    """Sends chat completions to an endpoint. ``form`` is how the profile says that they are put."""

    def __init__(self, endpoint: Endpoint, form: RequestForm | None = None) -> None:
        super().__init__(endpoint)
        self._stated = form or RequestForm()
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
            # Some servers answer 404 to a parameter that no host of a model takes.
            if failed.failure in (Failure.BAD_REQUEST, Failure.NOT_FOUND):
                failed.mended = self._mended(connection, failed, request, form, url)
            raise
        self._answered = True
        prompt_bytes = sum(len(message.content.encode(errors="replace")) for message in request.messages)
        return believed(answer, prompt_bytes=prompt_bytes, cap=form.cap(request))

    def advice(self, model: str) -> tuple[str, ...]:
        """What to write into ``expand.toml``, so that what this author had to find out is known from the beginning."""
        lines, stated, found = [], [], self._form(model)
        if self._answered and len(self._tried_urls) > 1:
            lines.append(f'[author] base_url = "{self._tried_urls[-1]}"')
        for name in (field.name for field in fields(RequestForm)):
            value = getattr(found, name)
            if value != getattr(self._stated, name):
                stated.append(f"{name} = {json.dumps(sorted(value) if isinstance(value, frozenset) else value)}")
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
        mends = _mends(form, failed.message, request) if failed.status in (400, 404, 415, 422) else ()
        if mend := next((mend for mend in mends if mend[0] not in forms), None):
            forms.append(mend[0])
            return mend[1]
        if self._answered or failed.status not in (404, 405) or "model" in failed.message.lower():
            return None
        other = other_url(self._tried_urls[0])
        if other in self._tried_urls:
            failed.remedy = f"neither {self._tried_urls[0]} nor {other} is the API: check the base URL"
        if other is None or other in self._tried_urls:
            return None
        self._tried_urls.append(other)
        connection.client.base_url = other  # what is under way is left alone
        return f"trying {other} instead"


def _mends(form: RequestForm, said: str, sent: Request) -> Iterator[tuple[RequestForm, str]]:
    """The forms that a refusal may ask for, each with what is different in it."""
    usage_asked = form.stream and "stream_options" not in form.leave_out
    if usage_asked and re.search(r"stream_options|include_usage", said, re.IGNORECASE):
        without = replace(form, leave_out=form.leave_out | {"stream_options"})
        yield without, "asking without stream_options, so the answer states no usage"
    most = next((int(found[1]) for pattern in _MOST if (found := pattern.search(said))), None)
    if most is not None and LEAST_CAP <= most < form.cap(sent):
        yield replace(form, max_output_tokens=most), f"asking for at most {most:,} tokens an answer"
    if _UNKNOWN.search(said):
        other: OutputCapName = "max_tokens" if form.output_cap_name != "max_tokens" else "max_completion_tokens"
        if re.search(rf"\b{form.output_cap_name}\b", said):
            yield replace(form, output_cap_name=other), f"calling the output cap {other}"
        if name := _named(said, [name for name in sent.parameters if name not in form.leave_out]):
            yield replace(form, leave_out=form.leave_out | {name}), f"leaving out {name}"
    refuses_system = _SYSTEM.search(said) and any(message.role == "system" for message in sent.messages)
    if form.system_role == "system" and refuses_system:
        yield replace(form, system_role="user"), "putting the system message into the user's"
    if re.search(r"\bstream(?:s|ed|ing)?\b", said, re.IGNORECASE):
        said_otherwise = "asking for an answer that is not streamed" if form.stream else "asking for a stream"
        yield replace(form, stream=not form.stream), said_otherwise


def _named(said: str, parameters: list[str]) -> str | None:
    """Which of the parameters that may be left out a refusal is about: the last one that it names, since “temperature
    and top_p cannot both be specified” is mended by either. Names are compared as xAI writes them, too: topP."""
    plain = said.lower().replace("_", "")
    places = {
        name: found.start()
        for name in parameters
        if name in _WORDS["shaping"] and (found := re.search(rf"(?<![a-z]){name.replace('_', '')}(?![a-z])", plain))
    }
    return max(places, key=lambda name: places[name], default=None)
