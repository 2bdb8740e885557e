"""The one door to the ``openai`` package: clients that send each request once, and what its errors stand for.

Importing it takes 0.8 s, so ``openai_client`` does it when the first request is about to be sent.

One table maps all errors, those of the SDK and those of its transport that escape while a stream is read. What is not
known for certain never to have been sent is not taken as unreachable: it may be on the bill.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from importlib import import_module
from typing import Any

import httpx2
import openai

from expand.errors import chain
from expand.llm.endpoint import HIDDEN, Endpoint, hide_key, is_loopback
from expand.llm.openai_client import Mode
from expand.llm.response import StreamedAnswer, garbled, one_line, refused, request_id_in, said_in
from expand.llm.types import Answer, AttemptFailedError, Failure, OnText
from expand.schema import Json

SDK_ERRORS = (openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError, ValueError)
"""What may be raised while a request is sent and its response read; ``ValueError`` is a body that is no JSON."""

OWN_FIELDS = frozenset({"model", "messages", "stream", "stream_options"})
"""Body fields that parameters of a profile cannot replace."""

_EVENT = re.compile(rb"(?:^|[\r\n])data:")
_DONE = re.compile(_EVENT.pattern + rb" ?\[DONE\]")

_BY_KIND: tuple[tuple[type[BaseException], Failure], ...] = (
    (httpx2.ConnectTimeout, Failure.UNREACHABLE),
    (httpx2.PoolTimeout, Failure.UNREACHABLE),
    (httpx2.ConnectError, Failure.UNREACHABLE),
    (httpx2.ProxyError, Failure.UNREACHABLE),
    (httpx2.UnsupportedProtocol, Failure.UNREACHABLE),
    (httpx2.InvalidURL, Failure.UNREACHABLE),
    (httpx2.TimeoutException, Failure.TIMEOUT),
    (httpx2.DecodingError, Failure.GARBLED),
    (httpx2.HTTPError, Failure.DISCONNECTED),
    (httpx2.StreamError, Failure.DISCONNECTED),
    (TimeoutError, Failure.TIMEOUT),
    (openai.APITimeoutError, Failure.TIMEOUT),
    (openai.APIConnectionError, Failure.DISCONNECTED),
    (openai.APIResponseValidationError, Failure.GARBLED),
    (openai.LengthFinishReasonError, Failure.GARBLED),
    (openai.ContentFilterFinishReasonError, Failure.GARBLED),
    (openai.APIError, Failure.GARBLED),  # an error object in the stream of a success
    (openai.OpenAIError, Failure.DISCONNECTED),
    (OSError, Failure.DISCONNECTED),
    (ValueError, Failure.GARBLED),
)
"""Errors and what they stand for. The first row that fits the error or one of its causes counts: the transport's own
errors stand before what the SDK makes of them, special ones before what they derive from.
"""

_WORDS = {
    Failure.UNREACHABLE: "no connection",
    Failure.TIMEOUT: "no answer in time",
    Failure.DISCONNECTED: "the connection was lost",
}


class Connection:
    """The SDK's client for one endpoint. It sends each request once: there are no retries and no redirects, each of
    which could be a purchase that no ledger knows of.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._key, self._clock, self._total_seconds = endpoint.api_key, endpoint.clock, endpoint.longest_seconds
        timeout = httpx2.Timeout(endpoint.read_seconds, connect=endpoint.connect_seconds, pool=None)
        self.client = openai.AsyncOpenAI(
            api_key=endpoint.api_key or "",
            base_url=endpoint.url,
            max_retries=0,
            timeout=timeout,
            http_client=openai.DefaultAsyncHttpxClient(
                timeout=timeout,
                follow_redirects=False,
                # A proxy in the environment must not come between us and this machine.
                trust_env=not is_loopback(endpoint.url),
                event_hooks={"response": [_note]},
            ),
            _enforce_credentials=False,
        )
        self.headers: dict[str, str | openai.Omit] = {
            name: openai.Omit() if text is None else text for name, text in endpoint.request_headers().items()
        }
        """What goes out with every call."""
        # The SDK imports a resource, and its transport an event loop's back end, when first used: 0.1 s or more. Do it
        # now, in a thread, and not within the first request: its head start over the others is about as short.
        with suppress(ImportError):
            import_module("anyio._backends._asyncio")
        self.completions = self.client.chat.completions

    async def complete(
        self,
        model: str,
        messages: list[dict[str, str]],
        body: Mapping[str, Json],
        *,
        mode: Mode,
        client_request_id: str,
        on_text: OnText,
    ) -> Answer:
        """Send one chat completion request; ``body`` are the fields that go out as they are."""
        exchange = _Exchange()
        answer = StreamedAnswer(lambda piece: on_text(self.without_key(piece)))
        _current_exchange.set(exchange)
        sent: dict[str, Any] = {
            "model": model,
            "messages": messages,
            "extra_body": {name: value for name, value in body.items() if name not in OWN_FIELDS},
            "extra_headers": {**self.headers, "X-Client-Request-Id": client_request_id},
        }
        try:
            async with asyncio.timeout(self._total_seconds):
                chunks = self._plain(sent) if mode is Mode.PLAIN else self._streamed(sent, mode)
                async with aclosing(chunks):
                    async for chunk in chunks:
                        answer.add(chunk)
                        if answer.looping:
                            break  # the connection is closed below: what the server has not written is not billed
            if not answer.started and exchange.body is not None:
                answer.add_whole(exchange.body)
            failed = None
        except TimeoutError:
            failed = AttemptFailedError(Failure.TIMEOUT, f"no whole answer in {self._total_seconds:g} s")
        except AttemptFailedError as error:
            failed = error
        finally:
            await exchange.aclose()
        request_id = self.without_key(request_id_in(exchange.headers))
        try:
            if failed is not None and not answer.complete:
                raise failed
            found = answer.finished(request_id=request_id, done=exchange.done)
        except AttemptFailedError as error:
            error.usage, error.model, error.provider_request_id = answer.final_usage, answer.model, request_id
            hide_key(error, self._key)
            raise error from error.__cause__
        return replace(found, text=self.without_key(found.text), model=self.without_key(found.model))

    async def _streamed(self, sent: dict[str, Any], mode: Mode) -> AsyncGenerator[object, None]:
        if mode is Mode.STREAM_WITH_USAGE:
            sent["stream_options"] = {"include_usage": True}
        with self.mapped():
            stream = await self.completions.create(**sent, stream=True)
            if type(stream) is openai.AsyncStream:
                # Have plain data of each chunk instead of a model and its dump: with 64 answers at 80 tokens a second
                # the SDK keeps a processor busy, and what it need not make reaches the user sooner. What traces the SDK
                # has put an object of its own in this place, and gets the models. Should the SDK rename the attribute,
                # the models are read below.
                vars(stream)["_cast_to"] = object
            async for chunk in stream:
                # whatever the server put into it: the SDK validates nothing
                yield chunk.to_dict(warnings=False) if isinstance(chunk, openai.BaseModel) else chunk

    async def _plain(self, sent: dict[str, Any]) -> AsyncGenerator[object, None]:
        """Nothing: the exchange has the body, which tells more than the SDK's objects."""
        with self.mapped(), suppress(ValueError, openai.APIResponseValidationError):
            await self.completions.create(**sent, stream=False)
        return
        yield

    async def get(self, path: str) -> tuple[int, bytes, str]:
        """The response's status, body and Location, whatever the status."""
        with self.mapped():
            try:
                response = await self.client.get(path, cast_to=httpx2.Response, options={"headers": self.headers})
            except openai.APIStatusError as error:
                response = error.response
            return response.status_code, response.content, response.headers.get("location", "")

    @contextmanager
    def mapped(self) -> Iterator[None]:
        """Raises errors of the SDK as ``AttemptFailedError``, without the key: the provider may repeat it."""
        try:
            yield
        except SDK_ERRORS as error:
            failed = failure_of(error, now=self._clock())
            failed.__cause__ = error
            hide_key(failed, self._key)
            raise failed from failed.__cause__

    def without_key(self, text: str) -> str:
        """The text, should a server have repeated the key in it."""
        return text.replace(self._key, HIDDEN) if self._key else text


class _Exchange:
    """The response to one request as the HTTP client saw it: what the SDK's own objects do not tell.

    ``done`` says that a stream came to its ``[DONE]``, which the SDK swallows. It is looked for in the bytes as they
    arrive, so a compressed stream never has it; that matters only where a finish reason is missing, too.
    """

    def __init__(self) -> None:
        self.response: httpx2.Response | None = None
        self.done = False
        self.before_events: bytes | None = b""
        """What a stream brought; None once that was an event. Some servers call plain JSON a stream."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The response's headers, looked up in any case."""
        return self.response.headers if self.response is not None else {}

    @property
    def body(self) -> bytes | None:
        """The whole body, None of a stream of events."""
        try:
            return self.response.content if self.response is not None else None
        except httpx2.ResponseNotRead:
            return self.before_events or None

    async def aclose(self) -> None:
        """Let the connection go."""
        if self.response is not None:
            await self.response.aclose()


_current_exchange: ContextVar[_Exchange] = ContextVar("_current_exchange")
"""What the current task's request is noted in."""


async def _note(response: httpx2.Response) -> None:
    """Keep the response for whoever sent the request, and read one that is no stream to its end.

    A hook of the HTTP client, since instrumentations put objects of their own in the place of the SDK's streams.
    """
    exchange = _current_exchange.get(None)
    if exchange is None:  # a call of the Batch API
        return
    exchange.response = response
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        await response.aread()
    elif isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _WatchedBytes(response.stream, exchange)


class _WatchedBytes(httpx2.AsyncByteStream):
    """A response's bytes, unchanged; looks out for the end of a stream of events."""

    def __init__(self, stream: httpx2.AsyncByteStream, exchange: _Exchange) -> None:
        self._stream, self._exchange = stream, exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        tail = b"\n"
        async for piece in self._stream:
            tail = tail[-64:] + piece
            exchange = self._exchange
            if b"[DONE]" in tail:  # asked first, since the pattern takes 20 times as long, for every piece
                exchange.done = exchange.done or _DONE.search(tail) is not None
            if exchange.before_events is not None:
                exchange.before_events += piece
                if _EVENT.search(exchange.before_events):
                    exchange.before_events = None
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


def failure_of(error: BaseException, *, now: float) -> AttemptFailedError:
    """The failure that an error of the SDK or its transport stands for. ``now`` are Unix seconds, for Retry-After
    dates.
    """
    if isinstance(error, openai.APIStatusError):
        response = error.response
        return refused(response.status_code, response.headers, response.content, now=now)
    causes = list(chain(error))
    cause, failure = next(
        ((cause, failure) for kind, failure in _BY_KIND for cause in causes if isinstance(cause, kind)),
        (error, Failure.DISCONNECTED),
    )
    words = one_line(str(cause)) or type(cause).__name__
    if failure is Failure.GARBLED:
        body = said_in(cause.body) if isinstance(cause, openai.APIError) else ""
        return garbled(body or words)
    if failure is Failure.UNREACHABLE and isinstance(error, openai.APIError):
        url = error.request.url
        words = f"{url.host}{f':{url.port}' if url.port else ''}: {words[:1].lower()}{words[1:]}"
    return AttemptFailedError(failure, f"{_WORDS[failure]}: {words}")
