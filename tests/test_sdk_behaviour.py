"""What the SDK does on the wire, so that an upgrade that changes it is noticed.

The ledger rests on this: with ``max_retries=0`` each attempt is exactly one HTTP request, whatever
goes wrong. Left alone, the SDK sends it up to three times.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from typing import Any, Self

import openai
import pytest
from scripted_server import NO_COMPLETION, Behaviour, ScriptedServer, WireServer

from expand.llm.endpoint import Endpoint
from expand.llm.openai_client import OpenAIAuthor
from expand.llm.types import AttemptFailedError, Failure, Message, Request

REQUEST = Request(model="m", messages=(Message(role="user", content="Write 3 lines."),), max_output_tokens=50)
FAILING: tuple[Behaviour, ...] = (
    "rate_limited",
    "unauthorized",
    "insufficient_quota",
    "bad_request",
    "server_error",
    "timeout",
    "drop",
)


@pytest.mark.parametrize(
    ("behaviour", "habit"), [*((one, "") for one in FAILING), *(("normal", habit) for habit in NO_COMPLETION)]
)
async def test_one_attempt_is_one_request(behaviour: Behaviour, habit: str) -> None:
    with WireServer(behaviour=behaviour, habit=habit, retry_after="0") as server:
        async with OpenAIAuthor(
            Endpoint(api_key="key-of-a-test", base_url=server.base_url, read_seconds=0.3)
        ) as author:
            with pytest.raises(AttemptFailedError):
                await author.complete(REQUEST, client_request_id="x")
        assert len(server.requests) == 1


async def test_a_kept_connection_that_the_server_closed_is_not_resent_on() -> None:
    with ScriptedServer(script=("normal", "drop")) as server:
        async with OpenAIAuthor(Endpoint(api_key=None, base_url=server.base_url)) as author:
            await author.complete(REQUEST, client_request_id="x")
            with pytest.raises(AttemptFailedError):
                await author.complete(REQUEST, client_request_id="x")
        assert len(server.requests) == 2


@pytest.mark.parametrize(("behaviour", "sent"), [("rate_limited", 3), ("drop", 3), ("bad_request", 1)])
async def test_what_the_sdk_does_when_left_alone(
    behaviour: Behaviour, sent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_wait(_: float) -> None:
        return None

    monkeypatch.setattr("anyio.sleep", no_wait)
    with ScriptedServer(behaviour=behaviour) as server:
        async with openai.AsyncOpenAI(api_key="k", base_url=server.base_url) as client:
            messages: Any = [{"role": "user", "content": "Write 3 lines."}]
            with pytest.raises(openai.APIError):
                await client.chat.completions.create(model="m", messages=messages)
        assert len(server.requests) == sent


class Raw:
    """A server that says one thing to everybody, and keeps what it was sent."""

    def __init__(self, says: str) -> None:
        self.says = says
        self.heads: list[str] = []
        self.port = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head.decode())
            await reader.readexactly(int(self.header("content-length") or 0))
            writer.write(self.says.encode())
            await writer.drain()

    def header(self, name: str) -> str:
        lines = (line.partition(": ") for line in self.heads[-1].splitlines())
        return next((value for key, _, value in lines if key.lower() == name), "")


REDIRECT = "HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:9/v1/elsewhere\r\nContent-Length: 0\r\n\r\n"


async def test_no_redirect_is_followed_and_no_idempotency_key_sent() -> None:
    async with (
        Raw(REDIRECT).running() as server,
        OpenAIAuthor(Endpoint(api_key="k", base_url=f"http://127.0.0.1:{server.port}/v1")) as author,
    ):
        with pytest.raises(AttemptFailedError, match=r"redirected to http://127\.0\.0\.1:9/v1/else"):
            await author.complete(REQUEST, client_request_id="03/1/draft/7")
    assert len(server.heads) == 1
    assert server.heads[0].startswith("POST /v1/chat/completions HTTP/1.1\r\n")
    assert "idempotency-key" not in server.heads[0].lower()
    assert server.header("x-client-request-id") == "03/1/draft/7"
    assert server.header("authorization") == "Bearer k"
    assert server.header("content-type") == "application/json"


async def test_a_proxy_of_the_environment_is_used_for_other_machines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = '{"choices": [{"message": {"content": "By a proxy.\\n"}, "finish_reason": "stop"}]}'
    async with Raw(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}").running() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with OpenAIAuthor(Endpoint(api_key="k", base_url="http://model.invalid/v1")) as author:
            answer = await author.complete(REQUEST, client_request_id="x")
    assert answer.text == "By a proxy.\n"
    assert proxy.heads[0].startswith("POST http://model.invalid/v1/chat/completions HTTP/1.1")
    assert proxy.header("authorization") == "Bearer k"


async def test_a_proxy_for_https_is_asked_for_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy sees the host and nothing of the request."""
    async with Raw("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n").running() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with OpenAIAuthor(Endpoint(api_key="k", base_url="https://model.invalid/v1")) as author:
            with pytest.raises(AttemptFailedError) as caught:
                await author.complete(REQUEST, client_request_id="x")
    assert [head.splitlines()[0] for head in proxy.heads] == ["CONNECT model.invalid:443 HTTP/1.1"]
    assert proxy.header("authorization") == ""
    assert caught.value.failure is Failure.UNREACHABLE


@pytest.mark.parametrize("excepted", ["model.invalid", ".invalid", "*"])
async def test_no_proxy_names_the_hosts_that_are_reached_directly(
    monkeypatch: pytest.MonkeyPatch, excepted: str
) -> None:
    async with Raw("").running() as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", excepted)
        async with OpenAIAuthor(Endpoint(api_key="k", base_url="https://model.invalid/v1")) as author:
            with pytest.raises(AttemptFailedError) as caught:
                await author.complete(REQUEST, client_request_id="x")
    assert proxy.heads == []
    assert caught.value.failure is Failure.UNREACHABLE


async def test_what_a_proxy_garbles_is_a_lost_connection_without_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Raw("HTTP/1.1 abc sk-of-a-test\r\n\r\n").running() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        url = "http://model.invalid/v1"
        async with OpenAIAuthor(Endpoint(api_key="sk-of-a-test", base_url=url)) as author:
            with pytest.raises(AttemptFailedError) as caught:
                await author.complete(REQUEST, client_request_id="x")
    assert caught.value.failure is Failure.DISCONNECTED
    assert "sk-of-a-test" not in "".join(traceback.format_exception(caught.value))


async def test_certificates_are_read_where_there_is_tls() -> None:
    """A server whose certificate nobody vouches for is none that a key may be sent to."""
    async with (
        Raw("").running() as server,
        OpenAIAuthor(Endpoint(api_key="k", base_url=f"https://127.0.0.1:{server.port}/v1")) as author,
    ):
        with pytest.raises(AttemptFailedError) as caught:
            await author.complete(REQUEST, client_request_id="x")
    assert caught.value.failure is Failure.UNREACHABLE
    assert server.heads == []


async def test_a_chunk_is_read_as_data_without_making_a_model_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    construct = openai.BaseModel.construct

    def counted(*given: Any, **values: Any) -> Any:
        made.append(given)
        return construct(*given, **values)

    monkeypatch.setattr(openai.BaseModel, "construct", counted)
    with ScriptedServer() as server:
        async with OpenAIAuthor(Endpoint(api_key=None, base_url=server.base_url)) as author:
            answer = await author.complete(REQUEST, client_request_id="03/1/draft/a")
    assert answer.text
    assert made == []


async def test_what_traces_the_sdk_gets_its_models_and_the_answer_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    create = openai.resources.chat.AsyncCompletions.create

    async def traced(self: Any, **options: Any) -> AsyncIterator[object]:
        stream = await create(self, **options)

        async def read() -> AsyncIterator[object]:
            async for chunk in stream:
                seen.append(chunk)
                yield chunk

        return read()

    monkeypatch.setattr(openai.resources.chat.AsyncCompletions, "create", traced)
    with ScriptedServer() as server:
        async with OpenAIAuthor(Endpoint(api_key=None, base_url=server.base_url)) as author:
            answer = await author.complete(REQUEST, client_request_id="03/1/draft/a")
    assert answer.text
    assert answer.usage is not None
    assert {type(chunk).__name__ for chunk in seen} == {"ChatCompletionChunk"}


async def test_what_traces_the_sdk_leaves_json_to_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK makes no chunks of it."""
    create = openai.resources.chat.AsyncCompletions.create

    async def traced(self: Any, **options: Any) -> AsyncIterator[object]:
        stream = await create(self, **options)

        async def read() -> AsyncIterator[object]:
            async for chunk in stream:
                yield chunk

        return read()

    monkeypatch.setattr(openai.resources.chat.AsyncCompletions, "create", traced)
    with WireServer(habit="ignores_stream") as server:
        async with OpenAIAuthor(Endpoint(api_key=None, base_url=server.base_url)) as author:
            assert (await author.complete(REQUEST, client_request_id="03/1/draft/a")).text


async def test_chunks_that_no_server_sent_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What plays back a recording puts itself in the place of the SDK's method."""

    async def played(self: Any, **options: Any) -> AsyncIterator[object]:
        async def read() -> AsyncIterator[object]:
            yield {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}

        return read()

    monkeypatch.setattr(openai.resources.chat.AsyncCompletions, "create", played)
    async with OpenAIAuthor(Endpoint(api_key=None, base_url="http://127.0.0.1:9/v1")) as author:
        assert (await author.complete(REQUEST, client_request_id="03/1/draft/a")).text == "a"
