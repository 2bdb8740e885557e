"""The one door to the ``openai`` package: clients that send each request once, and what its errors stand for.

Importing it takes 0.8 s, so ``openai_client`` does it when the first request is about to be sent.

One table maps all errors, those of the SDK and those of its transport that escape while a stream is read. What is not
known for certain never to have been sent is not taken as unreachable: it may be on the bill.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from contextvars import ContextVar
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import openai

from expand.errors import chain
from expand.llm.completion import StreamedAnswer
from expand.llm.endpoint import CONNECT_SECONDS, Endpoint, is_loopback
from expand.llm.failures import garbled, one_line, refused, request_id_in, said_in
from expand.llm.types import Answer, AttemptFailedError, Failure, OnText, Request, RequestForm
from expand.redaction import hidden

SDK_ERRORS = (openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError, ValueError)
"""What may be raised while a request is sent and its response read; ``ValueError`` is a body that is no JSON."""

OWN_FIELDS = frozenset({"model", "messages", "stream", "stream_options"})
"""Body fields that parameters of a profile cannot replace."""

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
        self.total_seconds = endpoint.total_seconds or endpoint.read_seconds * 6
        timeout = httpx2.Timeout(endpoint.read_seconds, connect=CONNECT_SECONDS, pool=None)
        self.client = openai.AsyncOpenAI(
            api_key="",  # it goes out with `headers`
            base_url=endpoint.url,
            default_query=dict(parse_qsl(urlsplit(endpoint.base_url or "").query)),  # Azure's ``api-version``
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
        self._completions = self.client.chat.completions

    async def complete(self, request: Request, form: RequestForm, *, client_request_id: str, on_text: OnText) -> Answer:
        """Send one chat completion request, put in a form."""
        answer = StreamedAnswer(on_text)
        exchange = _Exchange(answer)
        noted = _current_exchange.set(exchange)
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
        failed: AttemptFailedError | None = None
        cancelled: asyncio.CancelledError | None = None
        try:
            async with asyncio.timeout(self.total_seconds), aclosing(self._sent(sent, answer)) as steps:
                async for chunk in steps:
                    exchange.read()
                    if exchange.response is None:  # what plays back a recording has none
                        answer.add(chunk)
                    if answer.looping:
                        break
        except TimeoutError:
            failed = AttemptFailedError(Failure.TIMEOUT, f"no whole answer in {self.total_seconds:g} s")
        except asyncio.CancelledError as error:
            cancelled, failed = error, AttemptFailedError(Failure.CANCELLED, "it was stopped while it was in flight")
        except AttemptFailedError as error:
            failed = error
        finally:
            _current_exchange.reset(noted)
            if exchange.response is not None:
                await exchange.response.aclose()  # what the server has not written is not billed
        exchange.read(final=True)
        stated = request_id_in(exchange.headers)
        request_id = stated if hidden(stated) == stated else ""  # else a server repeats the request's headers
        try:
            if failed is not None and not answer.complete:
                raise failed
            is_stream = exchange.headers.get("content-type", "").startswith("text/event-stream")
            return answer.finished(request_id=request_id, is_stream=is_stream)
        except AttemptFailedError as error:
            error.usage, error.model, error.provider_request_id = answer.final_usage, answer.model, request_id
            if cancelled is not None:
                raise cancelled from error
            raise

    async def _sent(self, sent: dict[str, Any], answer: StreamedAnswer) -> AsyncGenerator[object]:
        """Send the request; a step for each piece of a stream that has passed."""
        with self.mapped():
            if not sent["stream"]:
                with suppress(ValueError, openai.APIResponseValidationError):  # the answer reads the body by itself
                    await self._completions.create(**sent)
                return
            stream = await self._completions.create(**sent)
            if type(stream) is not openai.AsyncStream:
                # What traces the SDK has put an object of its own in this place, and reads the SDK's chunks.
                async for chunk in stream:
                    yield chunk.to_dict(warnings=False) if isinstance(chunk, openai.BaseModel) else chunk
                return
            # The bytes, not the SDK's chunks: it ends at the first chunk that is not as it should be, drops the text in
            # a chunk that holds an error, too, and makes a model of each, which keeps a processor busy with 64 answers
            # at 80 tokens a second.
            async with aclosing(stream.response.aiter_bytes()) as pieces:
                async for piece in pieces:
                    yield piece
                    if answer.json.done:
                        break
                # What comes after ``[DONE]``, where a server does not end there: read, so that the connection can be
                # used again.
                with suppress(*SDK_ERRORS):
                    async with asyncio.timeout(0.25):
                        async for _ in pieces:
                            pass

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
        """Raises errors of the SDK as ``AttemptFailedError``; a cause that repeats the key is in no traceback."""
        try:
            yield
        except SDK_ERRORS as error:
            repeats_key = any(hidden(said) != said for said in (f"{cause!r} {cause}" for cause in chain(error)))
            raise failure_of(error, now=time.time()) from (None if repeats_key else error)


class _Exchange:
    """The response to one request as the HTTP client saw it, and the answer that is read from it."""

    def __init__(self, answer: StreamedAnswer) -> None:
        self.response: httpx2.Response | None = None
        self._answer = answer
        self._passed: list[bytes] = []

    @property
    def headers(self) -> Mapping[str, str]:
        """The response's headers, looked up in any case."""
        return self.response.headers if self.response is not None else {}

    def follow(self, response: httpx2.Response) -> None:
        """Keep what passes of a success, whoever asks for it."""
        self.response, pieces = response, response.aiter_bytes

        async def passing(chunk_size: int | None = None) -> AsyncGenerator[bytes]:
            async with aclosing(pieces(chunk_size)) as decompressed:
                async for piece in decompressed:
                    self._passed.append(piece)
                    yield piece

        if response.is_success:
            response.aiter_bytes = passing  # type: ignore[method-assign]

    def read(self, *, final: bool = False) -> None:
        """Have the answer read what has passed: not at once, as what its listener raises is no failure of the SDK."""
        passed = b"".join(self._passed)
        self._passed.clear()
        self._answer.feed(passed, final=final)


_current_exchange: ContextVar[_Exchange | None] = ContextVar("_current_exchange", default=None)
"""What follows the response to the current task's request; None for what is no chat completion."""


async def _note(response: httpx2.Response) -> None:
    """A hook of the HTTP client: instrumentations put objects of their own in the place of the SDK's streams, and the
    SDK's own tell less than the bytes do, also of where a body broke off."""
    if (exchange := _current_exchange.get()) is not None:
        exchange.follow(response)


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
