from __future__ import annotations

import asyncio
import json
import socket
import ssl
import traceback
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, get_args

import httpx2
import openai
import pytest
import respx
from openai.types.chat import ChatCompletion
from scripted_server import Behaviour, WireServer

from expand.errors import InputError
from expand.llm.completion import StreamedAnswer, answer_from, usage_from
from expand.llm.endpoint import Endpoint, headers_of_environment, is_loopback
from expand.llm.failures import MESSAGE_LIMIT, one_line, said_in
from expand.llm.openai_client import OpenAIAuthor
from expand.llm.openai_sdk import Connection, failure_of
from expand.llm.types import (
    Answer,
    AttemptFailedError,
    Failure,
    Finish,
    Message,
    OnText,
    Request,
    RequestForm,
    Usage,
    ignore_text,
)
from expand.redaction import note_keys
from expand.schema import Json

KEY = "sk-test-0123456789abcdef"
REQUEST = Request(
    model="gpt-4o",
    messages=(
        Message(role="system", content="You write."),
        Message(role="user", content="Write about 性能. Write 12 lines."),
    ),
    max_output_tokens=500,
    parameters={"temperature": 0.7, "grammar": "root ::= [a-z]+"},
)
SENT = httpx2.Request("POST", "https://api.openai.com/v1/chat/completions")
GOOD: dict[str, Any] = {
    "model": "gpt-4o-2024-08-06",
    "choices": [{"message": {"content": "Text.\n"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23},
}


@pytest.fixture
async def mocked() -> AsyncIterator[OpenAIAuthor]:
    async with OpenAIAuthor(Endpoint(api_key=KEY)) as author:
        yield author


@pytest.fixture
def server() -> Iterator[WireServer]:
    with WireServer() as running:
        yield running


def be(server: WireServer, behaviour: Any) -> None:
    """Have the server behave so, whether that is one of its behaviours or a habit on the wire."""
    if behaviour in get_args(Behaviour):
        server.behaviour = behaviour
    else:
        server.habit = behaviour


def subclasses(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))


def status_error(status: int, body: object = None, headers: Mapping[str, str] | None = None) -> openai.APIStatusError:
    """The error that the SDK makes of a response, by its own hand."""
    response = httpx2.Response(status, json=body or {}, headers=headers, request=SENT)
    client = openai.AsyncOpenAI(api_key="k")
    return client._make_status_error("said", body=body, response=response)


def failed(error: Exception) -> AttemptFailedError:
    return failure_of(error, now=0.0)


# The mapper ------------------------------------------------------------------------------------


BY_KIND = {
    openai.OpenAIError: Failure.DISCONNECTED,
    openai.APIError: Failure.GARBLED,
    openai.APIConnectionError: Failure.DISCONNECTED,
    openai.APITimeoutError: Failure.TIMEOUT,
    openai.APIResponseValidationError: Failure.GARBLED,
    openai.LengthFinishReasonError: Failure.GARBLED,
    openai.ContentFilterFinishReasonError: Failure.GARBLED,
    openai.APIStatusError: Failure.BAD_REQUEST,
    openai.BadRequestError: Failure.BAD_REQUEST,
    openai.AuthenticationError: Failure.UNAUTHORIZED,
    openai.OAuthError: Failure.UNAUTHORIZED,
    openai.PermissionDeniedError: Failure.FORBIDDEN,
    openai.NotFoundError: Failure.NOT_FOUND,
    openai.ConflictError: Failure.SERVER_ERROR,
    openai.UnprocessableEntityError: Failure.BAD_REQUEST,
    openai.RateLimitError: Failure.RATE_LIMITED,
    openai.InternalServerError: Failure.SERVER_ERROR,
}
STATUSES = {openai.APIStatusError: 418, openai.OAuthError: 401, openai.InternalServerError: 500}
OF_OTHER_APIS = {
    "APIRemovedInV1",
    "MutuallyExclusiveAuthError",
    "StreamAlreadyConsumed",
    "SubjectTokenProviderError",
    "WebSocketConnectionClosedError",
    "WebSocketQueueFullError",
    "_AmbiguousModuleClientUsageError",
}
"""Nothing that the tool calls raises these. They would be unknown outcomes."""


def of_the_sdk(kind: type[Exception]) -> Exception:
    """An error of this kind, made as the SDK makes it."""
    response = httpx2.Response(200, request=SENT)
    if issubclass(kind, openai.APIStatusError):
        status = STATUSES.get(kind) or kind.__dict__["status_code"]
        response = httpx2.Response(status, request=SENT)
        if kind is openai.OAuthError:
            return openai.OAuthError(response=response, body=None)
        return kind("said", response=response, body=None)
    if kind is openai.APIResponseValidationError:
        return openai.APIResponseValidationError(response, None)
    if kind is openai.APITimeoutError:
        return openai.APITimeoutError(SENT)
    if kind is openai.APIConnectionError:
        return openai.APIConnectionError(request=SENT)
    if kind is openai.APIError:
        return openai.APIError("said", SENT, body=None)
    if kind is openai.LengthFinishReasonError:
        return openai.LengthFinishReasonError(completion=ChatCompletion.model_construct(usage=None))
    return kind() if kind is openai.ContentFilterFinishReasonError else kind("said")


def test_every_error_of_the_sdk_is_mapped() -> None:
    """A subclass that an upgrade brings fails here until it is thought about."""
    kinds = {kind for kind in subclasses(openai.OpenAIError) if kind.__name__ not in OF_OTHER_APIS}
    assert kinds == set(BY_KIND)
    for kind, failure in BY_KIND.items():
        assert failed(of_the_sdk(kind)).failure is failure, kind


def test_what_the_tool_cannot_cause_is_an_unknown_outcome() -> None:
    for kind in subclasses(openai.OpenAIError):
        if kind.__name__ in OF_OTHER_APIS:
            bare = kind.__new__(kind)
            assert failed(bare).failure is Failure.DISCONNECTED, kind


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (400, {"error": {"message": "bad"}}, Failure.BAD_REQUEST),
        (402, {}, Failure.QUOTA),
        (405, {}, Failure.BAD_REQUEST),
        (408, {}, Failure.SERVER_ERROR),
        (409, {}, Failure.SERVER_ERROR),
        (413, {}, Failure.BAD_REQUEST),
        (429, {"error": {"code": "insufficient_quota"}}, Failure.QUOTA),
        (429, {"error": {"type": "insufficient_quota"}}, Failure.QUOTA),
        (429, {"error": {"code": "rate_limit_exceeded"}}, Failure.RATE_LIMITED),
        (429, {"error": {"code": ["rate_limit_exceeded"], "type": {}}}, Failure.RATE_LIMITED),
        (404, {"error": {"code": {"model": "none"}}}, Failure.NOT_FOUND),
        (503, {}, Failure.SERVER_ERROR),
        (529, {}, Failure.OVERLOADED),
    ],
)
def test_statuses(status: int, body: object, failure: Failure) -> None:
    mapped = failed(status_error(status, body))
    assert (mapped.failure, mapped.status) == (failure, status)


def test_only_limits_and_server_errors_carry_a_wait() -> None:
    headers = {"retry-after": "9000"}
    assert failed(status_error(429, headers=headers)).retry_after_seconds == 9000
    assert failed(status_error(503, headers=headers)).retry_after_seconds == 9000
    assert failed(status_error(400, headers=headers)).retry_after_seconds is None


def test_a_redirect_is_refused_with_its_remedy() -> None:
    mapped = failed(status_error(301, headers={"location": "https://x.example/v1"}))
    assert mapped.failure is Failure.BAD_REQUEST
    assert mapped.message == "HTTP 301: redirected to https://x.example/v1; give that base URL"


def test_messages_are_one_short_line_without_the_key() -> None:
    said = f"<b>no</b>\n\nkey {KEY} or sk-abcd****wxyz; Bearer abc.def-ghi " + "x" * 900
    note_keys([KEY])
    mapped = failed(status_error(401, {"error": {"message": said}}))
    assert mapped.message.startswith("HTTP 401: no key [key] or [key]; Bearer [key] xxx")
    assert mapped.message.endswith("…")
    assert len(mapped.message) <= MESSAGE_LIMIT + 20
    assert str(mapped) == mapped.message


@pytest.mark.parametrize(
    ("cause", "failure"),
    [
        (httpx2.ConnectError("x"), Failure.UNREACHABLE),
        (httpx2.ConnectTimeout("x"), Failure.UNREACHABLE),
        (httpx2.PoolTimeout("x"), Failure.UNREACHABLE),
        (httpx2.ProxyError("x"), Failure.UNREACHABLE),
        (httpx2.UnsupportedProtocol("x"), Failure.UNREACHABLE),
        (httpx2.InvalidURL("x"), Failure.UNREACHABLE),
        (httpx2.ReadTimeout("x"), Failure.TIMEOUT),
        (httpx2.WriteTimeout("x"), Failure.TIMEOUT),
        (httpx2.ReadError("x"), Failure.DISCONNECTED),
        (httpx2.WriteError("x"), Failure.DISCONNECTED),
        (httpx2.RemoteProtocolError("x"), Failure.DISCONNECTED),
        (httpx2.DecodingError("x"), Failure.GARBLED),
        (httpx2.StreamClosed(), Failure.DISCONNECTED),
        (ssl.SSLError("x"), Failure.DISCONNECTED),
        (TimeoutError("x"), Failure.TIMEOUT),
        (ConnectionResetError("x"), Failure.DISCONNECTED),
    ],
)
def test_connection_failures_go_by_what_the_transport_raised(cause: Exception, failure: Failure) -> None:
    error = openai.APIConnectionError(request=SENT)
    error.__cause__ = cause
    assert failed(error).failure is failure
    assert failed(cause).failure is failure


@pytest.mark.parametrize(
    "error", [json.JSONDecodeError("x", "", 0), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), ValueError("x")]
)
def test_a_body_that_is_no_json_is_garbled(error: Exception) -> None:
    assert failed(error).failure is Failure.GARBLED


def test_every_error_of_the_transports_is_mapped_to_a_certain_or_an_unknown_one() -> None:
    """Nothing but what was certainly never sent is unreachable."""
    unsent = {
        "ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol",
    }  # fmt: skip
    for kind in subclasses(httpx2.RequestError):
        mapped = failed(kind("x"))
        assert (mapped.failure is Failure.UNREACHABLE) is (kind.__name__ in unsent), kind


# Reading answers -------------------------------------------------------------------------------


def body(**message: Any) -> bytes:
    finish = message.pop("finish_reason", "stop")
    return json.dumps({"choices": [{"message": message, "finish_reason": finish}]}).encode()


@pytest.mark.parametrize(
    ("finish_reason", "finish"),
    [
        ("stop", Finish.STOP),
        ("length", Finish.LENGTH),
        ("content_filter", Finish.CONTENT_FILTER),
        ("tool_calls", Finish.OTHER),
        ("function_call", Finish.OTHER),
        ("something_new", Finish.OTHER),
        (None, Finish.OTHER),
        (7, Finish.OTHER),
    ],
)
def test_finish_reasons(finish_reason: object, finish: Finish) -> None:
    answer = answer_from(body(content="a", finish_reason=finish_reason))
    assert (answer.text, answer.finish) == ("a", finish)


def test_content_comes_byte_for_byte() -> None:
    text = " \r\n\tx\u2028\U0001f980 \n"
    assert answer_from(body(content=text)).text == text
    assert answer_from(body(content=None)).text == ""
    assert answer_from(body()).text == ""
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
    assert answer_from(body(content=parts)).text == "ab"


def test_a_refusal_is_never_usable() -> None:
    answer = answer_from(body(content=None, refusal="I cannot help."))
    assert (answer.text, answer.finish, answer.usable) == ("I cannot help.", Finish.REFUSAL, False)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "an empty answer"),
        (b"<html><style>b{}</style><body>Sign in</body></html>", "not JSON: Sign in"),
        (b"\xff\xfe{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "an empty answer"),
        (b"{}", "no choices"),
        (b'{"choices": []}', "no choices"),
        (b'{"choices": ["a"]}', "no choices"),
        (b'{"choices": [{"index": 0}]}', "a choice without a message"),
        (b'{"error": {"message": "upstream failed"}}', "upstream failed"),
        (b'{"error": "just text"}', "just text"),
        (b'{"error": {"code": 5}}', '{"code": 5}'),
        (b'{"error": "", "detail": "overloaded"}', "overloaded"),
        (b'{"choices": [{"message": {}, "error": {"message": "cut off"}}]}', "cut off"),
    ],
)
def test_what_is_no_completion_is_garbled(data: bytes, said: str) -> None:
    with pytest.raises(AttemptFailedError, match="the answer is no chat completion") as caught:
        answer_from(data)
    assert caught.value.failure is Failure.GARBLED
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("value", "usage"),
    [
        (None, None),
        ("12", None),
        ({}, None),
        ({"prompt_tokens": 5}, None),
        ({"prompt_tokens": 5, "completion_tokens": None}, None),
        ({"prompt_tokens": -5, "completion_tokens": 5}, None),
        ({"prompt_tokens": True, "completion_tokens": 5}, None),
        ({"prompt_tokens": "five", "completion_tokens": 5}, None),
        ({"prompt_tokens": "9" * 30, "completion_tokens": 5}, None),
        ({"prompt_tokens": 1.5, "completion_tokens": 5}, None),
        ({"prompt_tokens": 10**30, "completion_tokens": 5}, None),
        ({"prompt_tokens": 0, "completion_tokens": 0}, None),
        ({"prompt_tokens": 5.0, "completion_tokens": 2}, Usage(prompt=5, completion=2)),
        (
            {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 17},
            Usage(prompt=5, completion=12),
        ),
        (
            {
                "prompt_tokens": 50,
                "completion_tokens": 20,
                "prompt_tokens_details": {"cached_tokens": 32},
                "completion_tokens_details": {"reasoning_tokens": 12},
            },
            Usage(prompt=50, completion=20, cached=32, reasoning=12),
        ),
        (
            {
                "prompt_tokens": 50,
                "completion_tokens": 20,
                "prompt_tokens_details": {"cached_tokens": 51},
                "completion_tokens_details": {"reasoning_tokens": 21},
            },
            Usage(prompt=50, completion=20),
        ),
        (
            {
                "prompt_tokens": 50,
                "completion_tokens": 20,
                "prompt_tokens_details": None,
                "completion_tokens_details": {"reasoning_tokens": -1},
            },
            Usage(prompt=50, completion=20),
        ),
    ],
)
def test_usage(value: object, usage: Usage | None) -> None:
    assert usage_from(value) == usage


def test_what_a_provider_says_becomes_one_line() -> None:
    assert said_in(5) == said_in({}) == ""
    assert said_in([{}, {"error": {"message": "x"}}]) == "x"
    assert said_in({"message": "a\r\n\x1b[31mb"}) == "a [31mb"
    assert one_line("x" * 400) == "x" * (MESSAGE_LIMIT - 1) + "…"


# What goes out ---------------------------------------------------------------------------------


async def test_the_request_that_goes_out(mocked: OpenAIAuthor, httpx2_mock: respx.Router) -> None:
    route = httpx2_mock.post("https://api.openai.com/v1/chat/completions").respond(
        json=GOOD, headers={"x-request-id": "req_1"}
    )
    answer = await mocked.complete(REQUEST, client_request_id="03/1/draft/7")
    assert answer == Answer(
        text="Text.\n",
        finish=Finish.STOP,
        usage=Usage(prompt=20, completion=3),
        model="gpt-4o-2024-08-06",
        provider_request_id="req_1",
    )
    sent = route.calls.last.request
    assert json.loads(sent.content) == {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "You write."},
            {"role": "user", "content": "Write about 性能. Write 12 lines."},
        ],
        "max_completion_tokens": 500,
        "temperature": 0.7,
        "grammar": "root ::= [a-z]+",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert sent.headers["X-Client-Request-Id"] == "03/1/draft/7"
    assert sent.headers["Authorization"] == f"Bearer {KEY}"
    assert route.call_count == 1


async def test_parameters_cannot_replace_what_the_reservation_rests_on(
    httpx2_mock: respx.Router,
) -> None:
    route = httpx2_mock.post("http://127.0.0.1:9/v1/chat/completions").respond(json=GOOD)
    parameters: dict[str, Json] = {"max_tokens": 10**9, "model": "dear", "messages": "none", "stream": False}
    request = Request(model="m", messages=REQUEST.messages, max_output_tokens=5, parameters=parameters)
    async with OpenAIAuthor(
        Endpoint(
            api_key=None,
            base_url="http://127.0.0.1:9/v1",
        ),
        RequestForm(output_cap_name="max_tokens"),
    ) as author:
        await author.complete(request, client_request_id="x")
    sent = json.loads(route.calls.last.request.content)
    assert (sent["max_tokens"], sent["model"], len(sent["messages"]), sent["stream"]) == (5, "m", 2, True)
    assert "Authorization" not in route.calls.last.request.headers


async def test_the_sdk_does_not_take_a_key_from_the_environment_by_itself(
    httpx2_mock: respx.Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    route = httpx2_mock.post("http://127.0.0.1:9/v1/chat/completions").respond(json=GOOD)
    async with OpenAIAuthor(Endpoint(api_key=None, base_url="http://127.0.0.1:9/v1")) as author:
        await author.complete(REQUEST, client_request_id="x")
    assert "Authorization" not in route.calls.last.request.headers


async def test_headers_of_the_environment_go_out_as_the_sdk_sends_them(
    httpx2_mock: respx.Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", " org-1\n")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "")
    lines = "X-Team: docs: a\nauthorization: Bearer other\nno header\nUSER-AGENT: books"
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", lines)
    route = httpx2_mock.post("http://127.0.0.1:9/v1/chat/completions").respond(json=GOOD)
    async with OpenAIAuthor(
        Endpoint(
            api_key=KEY,
            base_url="http://127.0.0.1:9/v1",
            headers={"x-team": "ours"},
        )
    ) as author:
        await author.complete(REQUEST, client_request_id="x")
    sent = route.calls.last.request.headers
    assert sent["OpenAI-Organization"] == "org-1"
    assert "OpenAI-Project" not in sent
    assert sent["Authorization"] == f"Bearer {KEY}"
    assert (sent.get_list("X-Team"), sent.get_list("User-Agent")) == (["ours"], ["books"])


@pytest.mark.parametrize(
    "environment",
    [
        {"OPENAI_ORG_ID": "a\nb"},
        {"OPENAI_CUSTOM_HEADERS": "X Team: docs"},
        {"OPENAI_CUSTOM_HEADERS": ": docs"},
        {"OPENAI_CUSTOM_HEADERS": "X-Team: d\u00f6cs"},
        {"OPENAI_CUSTOM_HEADERS": "X-Team: a\rb"},
    ],
)
def test_headers_of_the_environment_that_cannot_be_sent(environment: dict[str, str]) -> None:
    with pytest.raises(InputError, match=next(iter(environment))):
        headers_of_environment(environment)


async def test_a_key_that_the_provider_repeats_is_in_no_traceback(
    mocked: OpenAIAuthor, httpx2_mock: respx.Router
) -> None:
    httpx2_mock.post("https://api.openai.com/v1/chat/completions").respond(
        401, json={"error": {"message": f"Incorrect API key provided: {KEY}"}}
    )
    with pytest.raises(AttemptFailedError) as caught:
        await mocked.complete(REQUEST, client_request_id="x")
    shown = "".join(traceback.format_exception(caught.value))
    assert KEY not in shown + repr(caught.value) + repr(mocked)
    assert caught.value.message == "HTTP 401: Incorrect API key provided: [key]"


async def test_a_key_in_a_garbled_answer_is_hidden(mocked: OpenAIAuthor, httpx2_mock: respx.Router) -> None:
    httpx2_mock.post("https://api.openai.com/v1/chat/completions").respond(text=f"echo {KEY}")
    with pytest.raises(AttemptFailedError) as caught:
        await mocked.complete(REQUEST, client_request_id="x")
    assert caught.value.message.endswith("not JSON: echo [key]")
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("key", ["sk-ü", "sk-a\nb"])
def test_a_key_that_no_header_can_carry(key: str) -> None:
    with pytest.raises(InputError, match="set OPENAI_API_KEY again") as caught:
        OpenAIAuthor(Endpoint(api_key=key))
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:80",
        "ftp://x/v1",
        "http://",
        "http://x:99999",
        "http://[x",
        "http://a..b/v1",
        "http://ä..b/v1",
        f"http://{'a' * 64}.example/v1",
    ],
)
def test_a_base_url_that_is_none(url: str) -> None:
    with pytest.raises(InputError, match="is not an http or https address; give one such as"):
        OpenAIAuthor(Endpoint(api_key=None, base_url=url))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:1/v1", True),
        ("http://127.8.8.8/v1", True),
        ("http://[::1]/v1", True),
        ("http://localhost:1/v1", True),
        ("http://a.localhost", True),
        ("http://10.0.0.1/v1", False),
        ("https://api.openai.com/v1", False),
        (None, False),
        ("nonsense", False),
    ],
)
def test_is_loopback(url: str | None, expected: bool) -> None:
    assert is_loopback(url) is expected


async def test_an_author_that_was_asked_nothing_can_be_closed() -> None:
    author = OpenAIAuthor(Endpoint(api_key=None, base_url="http://127.0.0.1:9/v1"))
    await author.open()
    await author.aclose()


# Over real connections -------------------------------------------------------------------------


async def test_an_answer_over_the_wire(server: WireServer) -> None:
    async with OpenAIAuthor(Endpoint(api_key=None, base_url=server.base_url)) as author:
        answers = await asyncio.gather(
            *(author.complete(REQUEST, client_request_id=f"03/1/draft/{n}") for n in range(8))
        )
        await author.aclose()
    assert all(answer.text.count("\n") == 12 for answer in answers)
    assert sum(a.usage.total for a in answers if a.usage) == server.billed_tokens
    ids = {r.headers["X-Client-Request-Id"] for r in server.requests}
    assert ids == {f"03/1/draft/{n}" for n in range(8)}
    assert server.requests[0].body["messages"][1]["content"] == REQUEST.messages[1].content


@pytest.mark.parametrize(
    ("behaviour", "failure"),
    [
        ("rate_limited", Failure.RATE_LIMITED),
        ("unauthorized", Failure.UNAUTHORIZED),
        ("insufficient_quota", Failure.QUOTA),
        ("bad_request", Failure.BAD_REQUEST),
        ("server_error", Failure.SERVER_ERROR),
        ("drop", Failure.DISCONNECTED),
        ("not_json", Failure.GARBLED),
        ("html", Failure.GARBLED),
        ("error_in_success", Failure.GARBLED),
    ],
)
async def test_failures_over_the_wire(server: WireServer, behaviour: Any, failure: Failure) -> None:
    be(server, behaviour)
    async with OpenAIAuthor(Endpoint(api_key="k" * 20, base_url=server.base_url)) as author:
        with pytest.raises(AttemptFailedError) as caught:
            await author.complete(REQUEST, client_request_id="x")
    assert caught.value.failure is failure
    assert caught.value.retry_after_seconds == (1.0 if behaviour == "rate_limited" else None)
    assert len(server.requests) == 1


@pytest.mark.parametrize("header", ["配额".encode(), "café".encode("latin-1")])
async def test_a_refusal_with_any_bytes_in_its_headers(header: bytes) -> None:
    """The transports hand them on as they came."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n")
        writer.write(b"Connection: close\r\nX-Said: " + header + b"\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/v1"
        async with OpenAIAuthor(Endpoint(api_key=None, base_url=url)) as author:
            with pytest.raises(AttemptFailedError) as caught:
                await author.complete(REQUEST, client_request_id="x")
    assert caught.value.failure is Failure.RATE_LIMITED
    assert caught.value.retry_after_seconds == 7.0


async def test_a_server_that_hangs_is_a_timeout(server: WireServer) -> None:
    server.behaviour = "timeout"
    async with OpenAIAuthor(Endpoint(api_key=None, base_url=server.base_url, read_seconds=0.2)) as author:
        with pytest.raises(AttemptFailedError) as caught:
            await author.complete(REQUEST, client_request_id="x")
    assert caught.value.failure is Failure.TIMEOUT
    assert caught.value.message.startswith("no answer in time")


async def test_nobody_listening_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for host in (f"127.0.0.1:{port}", "no-such-host.invalid"):
        async with OpenAIAuthor(Endpoint(api_key=None, base_url=f"http://{host}/v1")) as author:
            with pytest.raises(AttemptFailedError) as caught:
                await author.complete(REQUEST, client_request_id="x")
        assert caught.value.failure is Failure.UNREACHABLE
        assert caught.value.message.startswith("no connection: ")


async def test_a_proxy_in_the_environment_is_not_used_for_this_machine(
    server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with OpenAIAuthor(Endpoint(api_key=None, base_url=server.base_url)) as author:
        answer = await author.complete(REQUEST, client_request_id="x")
    assert answer.usable


# Streams ---------------------------------------------------------------------------------------


def form_of(*, stream: bool) -> RequestForm:
    return RequestForm(stream=stream)


async def until_mended(author: OpenAIAuthor, on_text: OnText = ignore_text) -> Answer:
    """The answer, after as many attempts as the author mends."""
    while True:
        try:
            return await author.complete(REQUEST, client_request_id="03/1/draft/7", on_text=on_text)
        except AttemptFailedError as refusal:
            if refusal.mended is None:
                raise


async def asked(server: WireServer, pieces: list[str] | None = None, *, stream: bool = True, **endpoint: Any) -> Answer:
    """The answer of a new author to one request."""
    where = Endpoint(api_key=None, base_url=server.base_url, **endpoint)
    async with OpenAIAuthor(where, form_of(stream=stream)) as author:
        on_text = ignore_text if pieces is None else pieces.append
        return await until_mended(author, on_text)


async def test_text_comes_piece_by_piece_and_the_usage_at_the_end(server: WireServer) -> None:
    server.chunk_characters = 7
    pieces: list[str] = []
    answer = await asked(server, pieces)
    assert "".join(pieces) == answer.text
    assert len(pieces) > 20
    assert (answer.finish, answer.model, answer.provider_request_id) == (Finish.STOP, "gpt-4o", "req_0")
    assert answer.usage is not None
    assert answer.usage.total == server.billed_tokens


async def test_a_profile_can_ask_for_plain_answers(server: WireServer) -> None:
    streamed = await asked(server)
    server.requests.clear()
    server._sentences.clear()
    pieces: list[str] = []
    plain = await asked(server, pieces, stream=False)
    assert not server.requests[0].streamed
    assert "stream_options" not in server.requests[0].body
    assert (plain.text, plain.usage) == (streamed.text, streamed.usage)
    assert pieces == [plain.text]


@pytest.mark.parametrize(
    ("behaviour", "fields"),
    [
        ("refuses_stream", [("stream", "stream_options"), ()]),
        ("refuses_stream_options", [("stream", "stream_options"), ("stream",)]),
        ("ignores_stream", [("stream", "stream_options")]),
    ],
)
async def test_a_server_that_streams_otherwise_is_asked_as_it_knows(
    server: WireServer, behaviour: Any, fields: list[tuple[str, ...]]
) -> None:
    """The refused request is billed by nobody, and made once."""
    be(server, behaviour)
    async with OpenAIAuthor(Endpoint(api_key=None, base_url=server.base_url)) as author:
        for _ in range(3):
            pieces: list[str] = []
            answer = await until_mended(author, pieces.append)
            assert answer.text == "".join(pieces)
            assert answer.text.count("\n") == 12
            assert (answer.usage is None) is (behaviour == "refuses_stream_options")
    seen = [tuple(name for name in ("stream", "stream_options") if r.body.get(name)) for r in server.requests]
    assert seen == [*fields, *[fields[-1]] * 2]


async def test_a_model_that_can_only_be_streamed_is_streamed_whatever_the_profile_says(server: WireServer) -> None:
    server.habit = "streams_only"
    assert (await asked(server, stream=False)).usable
    assert [r.streamed for r in server.requests] == [False, True]


async def test_a_server_that_takes_neither_is_asked_both_ways_and_no_more(
    httpx2_mock: respx.Router,
) -> None:
    error = {"error": {"message": "'stream' is not what it should be"}}
    route = httpx2_mock.post("http://127.0.0.1:9/v1/chat/completions").respond(400, json=error)
    async with OpenAIAuthor(Endpoint(api_key=None, base_url="http://127.0.0.1:9/v1")) as author:
        with pytest.raises(AttemptFailedError, match="'stream' is not what it should be"):
            await until_mended(author)
    assert route.call_count == 2


@pytest.mark.parametrize(
    ("status", "message"), [(400, "the upstream failed"), (500, "cannot stream"), (404, "no stream_options here")]
)
async def test_another_refusal_is_no_reason_to_ask_otherwise(
    httpx2_mock: respx.Router, status: int, message: str
) -> None:
    route = httpx2_mock.post("http://127.0.0.1:9/v1/chat/completions").respond(status, json={"error": message})
    async with OpenAIAuthor(Endpoint(api_key=None, base_url="http://127.0.0.1:9/v1")) as author:
        with pytest.raises(AttemptFailedError):
            await author.complete(REQUEST, client_request_id="x")
    assert route.call_count == 1


@pytest.mark.parametrize(
    ("behaviour", "failure"),
    [
        ("broken_stream", Failure.DISCONNECTED),
        ("broken_stream_with_usage", Failure.DISCONNECTED),
        ("unfinished_stream", Failure.DISCONNECTED),
        ("error_in_stream", Failure.GARBLED),
        ("stalled_stream", Failure.TIMEOUT),
    ],
)
async def test_an_answer_that_breaks_off_leaves_its_pieces(
    server: WireServer, behaviour: Any, failure: Failure
) -> None:
    whole = (await asked(server)).text
    server._sentences.clear()
    be(server, behaviour)
    pieces: list[str] = []
    with pytest.raises(AttemptFailedError) as caught:
        await asked(server, pieces, read_seconds=0.3)
    assert "".join(pieces) == whole[: len(whole) // 2]
    assert caught.value.failure is failure
    assert (caught.value.usage is not None) is (behaviour == "broken_stream_with_usage")
    assert (caught.value.model, caught.value.provider_request_id) == ("gpt-4o", "req_1")
    assert len(server.requests) == 2


async def test_the_timeout_is_the_silence_between_two_chunks(server: WireServer) -> None:
    server.chunk_characters, server.chunk_seconds = 60, 0.05
    assert (await asked(server, read_seconds=0.25)).usable
    assert len((await asked(server)).text) / 60 * 0.05 > 0.25, "else the answer would have been in time anyway"


async def test_an_answer_without_end_is_stopped(server: WireServer) -> None:
    server.chunk_characters, server.chunk_seconds = 10, 0.05
    pieces: list[str] = []
    with pytest.raises(AttemptFailedError, match=r"no whole answer in 0\.4 s") as caught:
        await asked(server, pieces, read_seconds=0.3, total_seconds=0.4)
    assert caught.value.failure is Failure.TIMEOUT
    assert pieces


def test_a_whole_answer_may_take_six_times_the_longest_silence() -> None:
    assert Connection(Endpoint(api_key=None)).total_seconds == 3600
    assert Connection(Endpoint(api_key=None, read_seconds=10)).total_seconds == 60
    assert Connection(Endpoint(api_key=None, total_seconds=7)).total_seconds == 7


def events(*chunks: object, done: bool = True) -> bytes:
    data = [*(json.dumps(chunk, ensure_ascii=False) for chunk in chunks), *(["[DONE]"] if done else [])]
    return "".join(f"data: {one}\n\n" for one in data).encode()


def chunk(text: object = None, finish: object = None, **more: Any) -> dict[str, Any]:
    return {"model": "m", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}], **more}


async def streamed(
    httpx2_mock: respx.Router,
    content: bytes,
    pieces: list[str],
    *,
    content_type: str = "text/event-stream",
    stream: bool = True,
) -> Answer:
    headers = {"content-type": content_type} if content_type else {}
    httpx2_mock.post("http://127.0.0.1:9/v1/chat/completions").respond(content=content, headers=headers)
    where = Endpoint(api_key=KEY, base_url="http://127.0.0.1:9/v1")
    async with OpenAIAuthor(where, form_of(stream=stream)) as author:
        return await author.complete(REQUEST, client_request_id="x", on_text=pieces.append)


USAGE = {"prompt_tokens": 5, "completion_tokens": 2}


@pytest.mark.parametrize(
    ("content", "pieces", "finish", "usage"),
    [
        (events(chunk(" \r\n\u2028"), chunk("b\x85"), chunk(None, "stop")),
         [" \r\n\u2028", "b\x85"], Finish.STOP, False),
        (b": waiting\n\n" + events(chunk("a", "length"), {"choices": [], "usage": USAGE}), ["a"], Finish.LENGTH, True),
        (events(chunk("a"), chunk("b", "stop", usage=USAGE), done=False), ["a", "b"], Finish.STOP, True),
        (events(chunk("a"), chunk(None)), ["a"], Finish.OTHER, False),
        (events(chunk("a"), chunk(None, "weird")), ["a"], Finish.OTHER, False),
        (events({"choices": [{"delta": {"reasoning_content": "hm", "reasoning": "hm"}}]}, chunk("a", "stop")),
         ["a"], Finish.STOP, False),
        (events({"choices": [], "prompt_filter_results": []}, chunk("a", "stop")), ["a"], Finish.STOP, False),
        (events({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}), ["a"], Finish.STOP, False),
        (events({"choices": [{"delta": {"content": "a"}, "finish_reason": "stop", "usage": USAGE}]}),
         ["a"], Finish.STOP, True),
        (events(chunk([{"type": "text", "text": "a"}]), chunk("b", "stop")), ["a", "b"], Finish.STOP, False),
        (events({"choices": [{"delta": {"refusal": "I "}}]}, {"choices": [{"delta": {"refusal": "cannot"}}]},
                chunk(None, "stop")), [], Finish.REFUSAL, False),
        (events(chunk(None, "length"), {"choices": [], "usage": USAGE}), [], Finish.LENGTH, True),
    ],
)  # fmt: skip
async def test_streams_as_servers_send_them(
    httpx2_mock: respx.Router, content: bytes, pieces: list[str], finish: Finish, usage: bool
) -> None:
    got: list[str] = []
    answer = await streamed(httpx2_mock, content, got)
    assert (got, answer.finish) == (pieces, finish)
    assert answer.text == ("I cannot" if finish is Finish.REFUSAL else "".join(pieces))
    assert answer.usage == (Usage(prompt=5, completion=2) if usage else None)


@pytest.mark.parametrize(
    ("content", "failure", "said"),
    [
        (b"", Failure.DISCONNECTED, "ended too early"),
        (b"data: [DONE]\n\n", Failure.GARBLED, "an empty answer"),
        (events(chunk("data: [DONE]"), done=False), Failure.DISCONNECTED, "ended too early"),
        (events(chunk("a"), {"error": {"message": "gone"}}), Failure.GARBLED, "gone"),
        (events({"error": "just text"}), Failure.GARBLED, "just text"),
        (events({"choices": [{"delta": {}, "error": {"message": "cut off"}}]}), Failure.GARBLED, "cut off"),
        (events(chunk("a")) .replace(b'"a"', b"a"), Failure.GARBLED, "no chat completion"),
        (b"data: \xff\n\n", Failure.GARBLED, "no chat completion"),
    ],
)  # fmt: skip
async def test_streams_without_an_answer(
    httpx2_mock: respx.Router, content: bytes, failure: Failure, said: str
) -> None:
    with pytest.raises(AttemptFailedError, match=said) as caught:
        await streamed(httpx2_mock, content, [])
    assert caught.value.failure is failure


async def test_usage_so_far_is_not_the_usage_of_an_answer_that_broke_off(httpx2_mock: respx.Router) -> None:
    """The provider may write on and bill it: the attempt is charged at its reservation."""
    with pytest.raises(AttemptFailedError) as caught:
        await streamed(httpx2_mock, events(chunk("a", usage=USAGE), done=False), [])
    assert caught.value.usage is None


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json", "text/plain", ""])
@pytest.mark.parametrize("form", ["events", "json"])
async def test_what_arrives_counts_and_not_its_label(
    httpx2_mock: respx.Router, stream: bool, content_type: str, form: str
) -> None:
    body = events(chunk("Text.\n", "stop")) if form == "events" else json.dumps(GOOD, indent=1).encode()
    pieces: list[str] = []
    answer = await streamed(httpx2_mock, body, pieces, content_type=content_type, stream=stream)
    assert (answer.text, pieces) == ("Text.\n", ["Text.\n"])


@pytest.mark.parametrize("ends", [True, False])
async def test_what_comes_shortly_after_the_end_of_a_stream_is_read_too(ends: bool) -> None:
    """A stream that does not end after its end is not waited for."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for payload in (events(chunk("a", "stop")), events({"choices": [], "usage": USAGE}, done=False)):
            writer.write(b"%x\r\n%b\r\n" % (len(payload), payload))
            await writer.drain()
            await asyncio.sleep(0.02)
        if ends:
            writer.write(b"0\r\n\r\n")
        await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.set()

    gone = asyncio.Event()
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        async with OpenAIAuthor(Endpoint(api_key=None, base_url=url)) as author:
            got = await asyncio.wait_for(author.complete(REQUEST, client_request_id="x"), 5)
        await gone.wait()
    assert (got.text, got.usage) == ("a", Usage(prompt=5, completion=2))


async def test_a_connection_that_breaks_after_the_finish_takes_nothing_away() -> None:
    """The text is whole; only what it cost is not known."""
    payload = events(chunk("a"), chunk("b", "stop"), done=False)

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"%x\r\n%b\r\n" % (len(payload), payload))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(break_off, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        async with OpenAIAuthor(Endpoint(api_key=None, base_url=url)) as author:
            answer = await author.complete(REQUEST, client_request_id="x")
    assert (answer.text, answer.finish, answer.usage) == ("ab", Finish.STOP, None)


async def test_a_key_in_an_answer_is_a_part_of_the_answer(httpx2_mock: respx.Router) -> None:
    pieces: list[str] = []
    answer = await streamed(httpx2_mock, events(chunk(f"the key {KEY}"), chunk(" again", "stop")), pieces)
    assert pieces == [f"the key {KEY}", " again"]
    assert answer.text == f"the key {KEY} again"


async def test_what_the_listener_raises_is_no_failure_of_the_attempt(server: WireServer) -> None:
    def broken(piece: str) -> None:
        raise ValueError(piece)

    async with OpenAIAuthor(Endpoint(api_key=None, base_url=server.base_url)) as author:
        with pytest.raises(ValueError, match=r".+"):
            await author.complete(REQUEST, client_request_id="x", on_text=broken)


async def test_stopping_in_the_middle_lets_the_cancellation_through(server: WireServer) -> None:
    server.habit = "stalled_stream"
    pieces: list[str] = []
    async with OpenAIAuthor(Endpoint(api_key=None, base_url=server.base_url)) as author:
        task = asyncio.create_task(author.complete(REQUEST, client_request_id="x", on_text=pieces.append))
        while not pieces:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
    known = caught.value.__cause__
    assert isinstance(known, AttemptFailedError)
    assert (known.failure, known.model, known.provider_request_id) == (Failure.CANCELLED, "gpt-4o", "req_0")


async def test_stopping_lets_the_cancellation_through(server: WireServer) -> None:
    server.behaviour = "timeout"
    async with OpenAIAuthor(Endpoint(api_key=None, base_url=server.base_url)) as author:
        task = asyncio.create_task(author.complete(REQUEST, client_request_id="x"))
        while not server.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_header_that_repeats_the_key_is_no_id(httpx2_mock: respx.Router) -> None:
    said = json.loads(json.dumps(GOOD))
    httpx2_mock.post("http://127.0.0.1:9/v1/chat/completions").respond(
        json=said, headers={"x-request-id": f"Bearer {KEY}"}
    )
    async with OpenAIAuthor(Endpoint(api_key=KEY, base_url="http://127.0.0.1:9/v1")) as author:
        answer = await author.complete(REQUEST, client_request_id="x")
    assert answer.provider_request_id == ""


@pytest.mark.parametrize("chunk", [None, "text", ["a list"], 5])
def test_a_chunk_that_is_no_object_says_nothing(chunk: object) -> None:
    answer = StreamedAnswer()
    answer.add(chunk)
    assert not answer.started
