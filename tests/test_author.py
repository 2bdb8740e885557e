from __future__ import annotations

import asyncio
import json
import socket
import traceback
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import aiohttp
import httpx2
import openai
import pytest
import respx
from aiohttp.client_reqrep import ConnectionKey
from scripted_server import ScriptedServer

from expand.errors import InputError
from expand.llm.api_key import hide_key
from expand.llm.base_url import is_loopback
from expand.llm.environment import headers_of
from expand.llm.openai_client import OpenAIAuthor
from expand.llm.response import (
    MESSAGE_LIMIT,
    answer_from,
    one_line,
    retry_after,
    said_in,
    usage_from,
)
from expand.llm.sdk import failed
from expand.llm.types import Answer, AttemptFailedError, Failure, Finish, Message, Request, Usage
from expand.llm.wire import Transport
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
    async with OpenAIAuthor(api_key=KEY, transport="httpx2", clock=lambda: 0.0) as author:
        yield author


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


def subclasses(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))


def status_error(status: int, body: object = None, headers: Mapping[str, str] | None = None) -> openai.APIStatusError:
    """The error that the SDK makes of a response, by its own hand."""
    response = httpx2.Response(status, json=body or {}, headers=headers, request=SENT)
    client = openai.AsyncOpenAI(api_key="k")
    return client._make_status_error("said", body=body, response=response)


# The mapper ------------------------------------------------------------------------------------


def test_every_error_of_the_sdk_is_mapped() -> None:
    """A subclass that an upgrade brings fails here until it is thought about."""
    known = {
        openai.APIError: Failure.DISCONNECTED,
        openai.APIConnectionError: Failure.DISCONNECTED,
        openai.APITimeoutError: Failure.TIMEOUT,
        openai.APIResponseValidationError: Failure.GARBLED,
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
    assert subclasses(openai.APIError) == set(known)
    statuses = {
        openai.APIStatusError: 418,
        openai.OAuthError: 401,
        openai.InternalServerError: 500,
    }
    for kind, failure in known.items():
        error: openai.APIError
        if issubclass(kind, openai.APIStatusError):
            status = statuses.get(kind) or kind.__dict__["status_code"]
            response = httpx2.Response(status, request=SENT)
            error = (
                openai.OAuthError(response=response, body=None)
                if kind is openai.OAuthError
                else kind("said", response=response, body=None)
            )
        elif kind is openai.APIResponseValidationError:
            error = openai.APIResponseValidationError(httpx2.Response(200, request=SENT), None)
        elif issubclass(kind, openai.APITimeoutError):
            error = openai.APITimeoutError(SENT)
        elif issubclass(kind, openai.APIConnectionError):
            error = openai.APIConnectionError(request=SENT)
        else:
            error = openai.APIError("said", SENT, body=None)
        assert failed(error).failure is failure, kind


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
        (529, {}, Failure.SERVER_ERROR),
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
    mapped = failed(status_error(401, {"error": {"message": said}}))
    hide_key(mapped, KEY)
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
        (aiohttp.ConnectionTimeoutError("x"), Failure.UNREACHABLE),
        (aiohttp.SocketTimeoutError("x"), Failure.TIMEOUT),
        (aiohttp.ServerDisconnectedError("x"), Failure.DISCONNECTED),
        (aiohttp.ClientOSError("x"), Failure.DISCONNECTED),
        (aiohttp.ClientPayloadError("x"), Failure.DISCONNECTED),
        (aiohttp.InvalidURL("x"), Failure.UNREACHABLE),
    ],
)
def test_connection_failures_go_by_what_the_transport_raised(cause: Exception, failure: Failure) -> None:
    error = openai.APIConnectionError(request=SENT)
    error.__cause__ = cause
    assert failed(error).failure is failure
    assert failed(cause).failure is failure


def test_every_error_of_the_transports_is_mapped_to_a_certain_or_an_unknown_one() -> None:
    """Nothing but what was certainly never sent is unreachable."""
    unsent = {
        "ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol",
    }  # fmt: skip
    for kind in subclasses(httpx2.RequestError):
        mapped = failed(kind("x"))
        assert (mapped.failure is Failure.UNREACHABLE) is (kind.__name__ in unsent), kind


def test_the_adapters_misleading_error_is_not_believed() -> None:
    """The aiohttp adapter makes a ConnectTimeout of a connection dropped after sending."""
    outer = openai.APITimeoutError(SENT)
    outer.__cause__ = httpx2.ConnectTimeout("Server disconnected")
    outer.__cause__.__cause__ = aiohttp.ServerDisconnectedError()
    assert failed(outer).failure is Failure.DISCONNECTED


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
        (b"[]", "not an object"),
        (b"{}", "no choices"),
        (b'{"choices": []}', "no choices"),
        (b'{"choices": ["a"]}', "no choices"),
        (b'{"choices": [{"text": "a"}]}', "a choice without a message"),
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
        ({"prompt_tokens": "5", "completion_tokens": 5}, None),
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


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "100000"}, 100000.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:20:00 GMT"}, 200.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:01 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"x-ratelimit-reset-requests": "9s"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9"}, 9.0),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "1m30.5s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "20ms",
            },
            90.5,
        ),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "later"}, None),
        ({"x-ratelimit-remaining-tokens": "0"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=1000.0) == seconds


def test_what_a_provider_says_becomes_one_line() -> None:
    assert said_in(["x"]) == ""
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
    }
    assert sent.headers["X-Client-Request-Id"] == "03/1/draft/7"
    assert sent.headers["Authorization"] == f"Bearer {KEY}"
    assert route.call_count == 1


async def test_parameters_cannot_replace_what_the_reservation_rests_on(
    httpx2_mock: respx.Router,
) -> None:
    route = httpx2_mock.post("http://127.0.0.1:9/v1/chat/completions").respond(json=GOOD)
    parameters: dict[str, Json] = {"max_tokens": 10**9, "model": "dear", "messages": "none"}
    request = Request(model="m", messages=REQUEST.messages, max_output_tokens=5, parameters=parameters)
    async with OpenAIAuthor(
        api_key=None,
        base_url="http://127.0.0.1:9/v1",
        output_cap_name="max_tokens",
        transport="httpx2",
    ) as author:
        await author.complete(request, client_request_id="x")
    sent = json.loads(route.calls.last.request.content)
    assert (sent["max_tokens"], sent["model"], len(sent["messages"])) == (5, "m", 2)
    assert "Authorization" not in route.calls.last.request.headers


async def test_the_sdk_does_not_take_a_key_from_the_environment_by_itself(
    httpx2_mock: respx.Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    route = httpx2_mock.post("http://127.0.0.1:9/v1/chat/completions").respond(json=GOOD)
    async with OpenAIAuthor(api_key=None, base_url="http://127.0.0.1:9/v1", transport="httpx2") as author:
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
        api_key=KEY,
        base_url="http://127.0.0.1:9/v1",
        headers={"x-team": "ours"},
        transport="httpx2",
    ) as author:
        await author.complete(REQUEST, client_request_id="x")
    sent = route.calls.last.request.headers
    assert sent["OpenAI-Organization"] == "org-1"
    assert "OpenAI-Project" not in sent
    assert sent["Authorization"] == f"Bearer {KEY}"
    assert (sent.get_list("X-Team"), sent.get_list("User-Agent")) == (["ours"], ["books"])
    assert headers_of({"OPENAI_CUSTOM_HEADERS": lines})["X-Team"] == "docs: a"


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
        headers_of(environment)


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
        OpenAIAuthor(api_key=key)
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
        OpenAIAuthor(api_key=None, base_url=url)


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
    author = OpenAIAuthor(api_key=None, base_url="http://127.0.0.1:9/v1")
    await author.open()
    await author.aclose()


async def test_an_error_of_the_socket_itself_is_no_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    async def torn(*_: object, **__: object) -> None:
        raise ConnectionResetError("torn")

    monkeypatch.setattr(aiohttp.ClientSession, "_request", torn)
    async with OpenAIAuthor(api_key=None, base_url="http://127.0.0.1:9/v1") as author:
        with pytest.raises(AttemptFailedError) as caught:
            await author.complete(REQUEST, client_request_id="x")
    assert (caught.value.failure, caught.value.message) == (
        Failure.DISCONNECTED,
        "the connection was lost: torn",
    )


def test_a_socket_without_words_for_its_error() -> None:
    key = ConnectionKey("h", 80, False, True, None, None, None)
    error = failed(aiohttp.ClientConnectorError(key, OSError()))
    assert error.failure is Failure.UNREACHABLE
    assert error.message.startswith("no connection: Cannot connect to host h:80")


# Over real connections -------------------------------------------------------------------------

TRANSPORTS: tuple[Transport, ...] = ("aiohttp", "httpx2")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_answer_over_the_wire(server: ScriptedServer, transport: Transport) -> None:
    async with OpenAIAuthor(api_key=None, base_url=server.base_url, transport=transport) as author:
        answers = await asyncio.gather(
            *(author.complete(REQUEST, client_request_id=f"03/1/draft/{n}") for n in range(8))
        )
        await author.aclose()
    assert all(answer.text.count("\n") == 12 for answer in answers)
    assert sum(a.usage.total for a in answers if a.usage) == server.billed_tokens
    ids = {r.headers["X-Client-Request-Id"] for r in server.requests}
    assert ids == {f"03/1/draft/{n}" for n in range(8)}
    assert server.requests[0].body["messages"][1]["content"] == REQUEST.messages[1].content


@pytest.mark.parametrize("transport", TRANSPORTS)
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
async def test_failures_over_the_wire(
    server: ScriptedServer, transport: Transport, behaviour: Any, failure: Failure
) -> None:
    server.behaviour = behaviour
    async with OpenAIAuthor(api_key="k" * 20, base_url=server.base_url, transport=transport) as author:
        with pytest.raises(AttemptFailedError) as caught:
            await author.complete(REQUEST, client_request_id="x")
    assert caught.value.failure is failure
    assert caught.value.retry_after_seconds == (1.0 if behaviour == "rate_limited" else None)
    assert len(server.requests) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("header", ["配额".encode(), "café".encode("latin-1")])
async def test_a_refusal_with_any_bytes_in_its_headers(transport: Transport, header: bytes) -> None:
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
        async with OpenAIAuthor(api_key=None, base_url=url, transport=transport) as author:
            with pytest.raises(AttemptFailedError) as caught:
                await author.complete(REQUEST, client_request_id="x")
    assert caught.value.failure is Failure.RATE_LIMITED
    assert caught.value.retry_after_seconds == 7.0


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_server_that_hangs_is_a_timeout(server: ScriptedServer, transport: Transport) -> None:
    server.behaviour = "hang"
    async with OpenAIAuthor(api_key=None, base_url=server.base_url, read_seconds=0.2, transport=transport) as author:
        with pytest.raises(AttemptFailedError) as caught:
            await author.complete(REQUEST, client_request_id="x")
    assert caught.value.failure is Failure.TIMEOUT
    assert caught.value.message.startswith("no answer in time")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_nobody_listening_is_unreachable(transport: Transport) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for host in (f"127.0.0.1:{port}", "no-such-host.invalid"):
        async with OpenAIAuthor(api_key=None, base_url=f"http://{host}/v1", transport=transport) as author:
            with pytest.raises(AttemptFailedError) as caught:
                await author.complete(REQUEST, client_request_id="x")
        assert caught.value.failure is Failure.UNREACHABLE
        assert caught.value.message.startswith("no connection: ")


async def test_a_proxy_in_the_environment_is_not_used_for_this_machine(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with OpenAIAuthor(api_key=None, base_url=server.base_url) as author:
        answer = await author.complete(REQUEST, client_request_id="x")
    assert answer.usable


async def test_stopping_lets_the_cancellation_through(server: ScriptedServer) -> None:
    server.behaviour = "hang"
    async with OpenAIAuthor(api_key=None, base_url=server.base_url) as author:
        task = asyncio.create_task(author.complete(REQUEST, client_request_id="x"))
        while not server.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_key_that_the_server_repeats_stays_out_of_the_answer(
    httpx2_mock: respx.Router,
) -> None:
    said = json.loads(json.dumps(GOOD))
    said["choices"][0]["message"]["content"] = f"The key is {KEY}."
    httpx2_mock.post("http://127.0.0.1:9/v1/chat/completions").respond(
        json=said, headers={"x-request-id": f"Bearer {KEY}"}
    )
    async with OpenAIAuthor(api_key=KEY, base_url="http://127.0.0.1:9/v1", transport="httpx2") as author:
        answer = await author.complete(REQUEST, client_request_id="x")
    assert KEY not in repr(answer)
    assert answer.text == "The key is [key]."
