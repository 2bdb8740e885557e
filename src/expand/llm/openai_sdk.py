"""The one door to the ``openai`` package: clients that send each request once, and what its errors stand for.

Importing it takes 0.8 s, so ``openai_client`` does it when the first request is about to be sent.

One table maps all errors, those of the SDK and those of its transport that escape while a stream is read. What is not
known for certain never to have been sent is not taken as unreachable: it may be on the bill.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from contextvars import ContextVar
from importlib import import_module
from typing import Any

import httpx2
import openai

from expand.errors import chain
from expand.llm.completion import JsonReader, StreamedAnswer
from expand.llm.endpoint import CONNECT_SECONDS, TOTAL_TIMES, Endpoint, is_loopback
from expand.llm.failures import garbled, one_line, refused, request_id_in, said_in
from expand.llm.request_form import RequestForm
from expand.llm.types import Answer, AttemptFailedError, Failure, OnText, Request
from expand.redaction import hidden

SDK_ERRORS = (openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError, ValueError)
"""What may be raised while a request is sent and its response read; ``ValueError`` is a body that is no JSON."""

OWN_FIELDS = frozenset({"model", "messages", "stream", "stream_options"})
"""Body fields that parameters of a profile cannot replace."""

END_SECONDS = 0.25
"""How long after ``[DONE]`` a stream may take to end, so that its connection can be used again."""

_BY_KIND: tuple[tuple[Failure, tuple[type[BaseException], ...]], ...] = (
    (Failure.UNREACHABLE, (httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ConnectError, httpx2.ProxyError)),
    (Failure.UNREACHABLE, (httpx2.UnsupportedProtocol, httpx2.InvalidURL)),
    (Failure.TIMEOUT, (httpx2.TimeoutException,)),
    (Failure.GARBLED, (httpx2.DecodingError,)),
    (Failure.DISCONNECTED, (httpx2.HTTPError, httpx2.StreamError)),
    (Failure.TIMEOUT, (TimeoutError, openai.APITimeoutError)),
    (Failure.DISCONNECTED, (openai.APIConnectionError,)),
    # With what the SDK makes of an answer, an error object in the stream of a success too.
    (Failure.GARBLED, (openai.APIError, openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError)),
    (Failure.DISCONNECTED, (openai.OpenAIError, OSError)),
    (Failure.GARBLED, (ValueError,)),
)
"""What errors stand for. The first row of which one fits the error or one of its causes counts: the transport's own
errors stand before what the SDK makes of them, special ones before what they derive from."""

_WORDS = {
    Failure.UNREACHABLE: "no connection",
    Failure.TIMEOUT: "no answer in time",
    Failure.DISCONNECTED: "the connection was lost",
}


class Connection:
    """The SDK's client for one endpoint. It sends each request once: there are no retries and no redirects, each of
    which could be a purchase that no ledger knows of."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._clock, self.total_seconds = endpoint.clock, endpoint.total_seconds or endpoint.read_seconds * TOTAL_TIMES
        timeout = httpx2.Timeout(endpoint.read_seconds, connect=CONNECT_SECONDS, pool=None)
        self.client = openai.AsyncOpenAI(
            api_key=endpoint.api_key or "",
            base_url=endpoint.url,
            default_query=dict(endpoint.query),
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

    def move(self, url: str) -> None:
        """Send whatever comes next to another base URL; what is under way is left alone."""
        self.client.base_url = url

    async def complete(self, request: Request, form: RequestForm, *, client_request_id: str, on_text: OnText) -> Answer:
        """Send one chat completion request, put in a form."""
        exchange, answer = _Exchange(), StreamedAnswer(on_text)
        _current_exchange.set(exchange)
        body = form.body(request)
        sent: dict[str, Any] = {
            "model": request.model,
            "messages": form.messages(request),
            "stream": form.stream,
            "extra_body": {name: value for name, value in body.items() if name not in OWN_FIELDS},
            "extra_headers": {**self.headers, "X-Client-Request-Id": client_request_id},
        }
        if form.stream and "stream_options" not in form.leave_out:
            sent["stream_options"] = {"include_usage": True}
        failed = None
        try:
            async with asyncio.timeout(self.total_seconds):
                parts = (self._streamed if form.stream else self._plain)(sent, exchange, answer.json)
                async with aclosing(parts):
                    async for part in parts:
                        if isinstance(part, bytes):
                            answer.feed(part)
                        else:
                            answer.add(part)
                        if answer.looping:
                            break  # the connection is closed below: what the server has not written is not billed
        except TimeoutError:
            failed = AttemptFailedError(Failure.TIMEOUT, f"no whole answer in {self.total_seconds:g} s")
        except AttemptFailedError as error:
            failed = error
        finally:
            await exchange.aclose()
        answer.end()
        request_id = request_id_in(exchange.headers)
        if hidden(request_id) != request_id:
            request_id = ""  # a server that repeats the headers of the request: that is no id
        try:
            if failed is not None and not answer.complete:
                raise failed
            is_stream = exchange.headers.get("content-type", "").startswith("text/event-stream")
            return answer.finished(request_id=request_id, is_stream=is_stream)
        except AttemptFailedError as error:
            error.usage = answer.final_usage
            _forget_cause_with_key(error)
            raise error from error.__cause__

    async def _streamed(self, sent: dict[str, Any], exchange: _Exchange, reader: JsonReader) -> AsyncGenerator[object]:
        """The bytes of the response as they arrive; chunks where somebody else reads those."""
        with self.mapped():
            stream = await self.completions.create(**sent)
            if type(stream) is not openai.AsyncStream:
                # What traces the SDK has put an object of its own in this place, and reads the SDK's chunks.
                chunk: object = None
                async for chunk in stream:
                    yield chunk.to_dict(warnings=False) if isinstance(chunk, openai.BaseModel) else chunk
                if chunk is None:  # JSON, of which the SDK makes no chunks
                    yield exchange.body
                else:
                    deque((*reader.feed(exchange.body), *reader.end()), maxlen=0)  # for what it says of the end
                return
            # The bytes, not the SDK's chunks: it ends at the first chunk that is not as it should be, drops the text in
            # a chunk that holds an error, too, and makes a model of each, which keeps a processor busy with 64 answers
            # at 80 tokens a second.
            exchange.kept = None
            pieces = stream.response.aiter_bytes()
            async for piece in pieces:
                yield piece
                if reader.done:
                    break
            rest: list[bytes] = []  # what comes after ``[DONE]``, where a server does not end there
            with suppress(*SDK_ERRORS):
                async with asyncio.timeout(END_SECONDS):
                    async for piece in pieces:
                        rest.append(piece)
            yield b"".join(rest)

    async def _plain(self, sent: dict[str, Any], exchange: _Exchange, _: JsonReader) -> AsyncGenerator[object]:
        """The bytes of the body, which tell more than the SDK's objects, also where it broke off."""
        failed = None
        try:
            with self.mapped(), suppress(ValueError, openai.APIResponseValidationError):
                await self.completions.create(**sent)
        except AttemptFailedError as error:
            failed = error
        if exchange.response is not None and exchange.response.is_success:
            with self.mapped():
                body = exchange.body
            yield body
        if failed is not None:
            raise failed

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
            _forget_cause_with_key(failed)
            raise failed from failed.__cause__


class _Exchange:
    """The response to one request as the HTTP client saw it: what the SDK's own objects do not tell."""

    def __init__(self) -> None:
        self.response: httpx2.Response | None = None
        self.kept: list[bytes] | None = []
        """The body's bytes as they came, None once nobody needs them."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The response's headers, looked up in any case."""
        return self.response.headers if self.response is not None else {}

    @property
    def body(self) -> bytes:
        """What has arrived of the body and was kept, decompressed. Raises the HTTP client's errors."""
        if self.response is None:
            return b""
        whole = httpx2.Response(200, headers=self.headers, content=b"".join(self.kept or ()))
        return whole.content

    async def aclose(self) -> None:
        """Let the connection go."""
        if self.response is not None:
            await self.response.aclose()


_current_exchange: ContextVar[_Exchange] = ContextVar("_current_exchange")
"""What the current task's request is noted in."""


async def _note(response: httpx2.Response) -> None:
    """Keep the response for whoever sent the request.

    A hook of the HTTP client, since instrumentations put objects of their own in the place of the SDK's streams."""
    exchange = _current_exchange.get(None)
    if exchange is None:  # a call of the Batch API
        return
    exchange.response = response
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _KeptBytes(response.stream, exchange)


class _KeptBytes(httpx2.AsyncByteStream):
    """A response's bytes, unchanged, kept while somebody may need them."""

    def __init__(self, stream: httpx2.AsyncByteStream, exchange: _Exchange) -> None:
        self._stream, self._exchange = stream, exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            if self._exchange.kept is not None:
                self._exchange.kept.append(piece)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


def _forget_cause_with_key(failed: AttemptFailedError) -> None:
    """Keep the key out of the failure's traceback: leave a cause out that repeats it."""
    if any(hidden(said) != said for said in (f"{cause!r} {cause}" for cause in chain(failed))):
        failed.__cause__ = None  # which leaves out its context, too


def failure_of(error: BaseException, *, now: float) -> AttemptFailedError:
    """The failure that an error of the SDK or its transport stands for. ``now`` are Unix seconds, for Retry-After
    dates."""
    if isinstance(error, openai.APIStatusError):
        response = error.response
        return refused(response.status_code, response.headers, response.content, now=now)
    causes = list(chain(error))
    cause, failure = next(
        ((cause, failure) for failure, kinds in _BY_KIND for cause in causes if isinstance(cause, kinds)),
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
