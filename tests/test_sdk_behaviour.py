"""What the SDK does on the wire, so that an upgrade that changes it is noticed.

The ledger rests on this: with ``max_retries=0`` each attempt is exactly one HTTP request, whatever
goes wrong. Left alone, the SDK sends it up to three times.
"""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import pytest
from scripted_server import Habit, ScriptedServer

from expand.completion import AttemptFailedError, Message, Request
from expand.model.author import OpenAIAuthor

REQUEST = Request(
    model="m", messages=(Message(role="user", content="Write 3 lines."),), max_output_tokens=50
)
FAILING: tuple[Habit, ...] = (
    "rate_limited",
    "unauthorized",
    "insufficient_quota",
    "bad_request",
    "server_error",
    "hang",
    "drop",
    "not_json",
    "html",
    "error_in_success",
)


@pytest.mark.parametrize("habit", FAILING)
async def test_one_attempt_is_one_request(habit: Habit) -> None:
    with ScriptedServer(habit=habit, retry_after="0") as server:
        async with OpenAIAuthor(
            api_key="key-of-a-test", base_url=server.base_url, read_seconds=0.3
        ) as author:
            with pytest.raises(AttemptFailedError):
                await author.complete(REQUEST, client_request_id="x")
        assert len(server.requests) == 1


async def test_a_kept_connection_that_the_server_closed_is_not_resent_on() -> None:
    with ScriptedServer(script=("normal", "drop")) as server:
        async with OpenAIAuthor(api_key=None, base_url=server.base_url) as author:
            await author.complete(REQUEST, client_request_id="x")
            with pytest.raises(AttemptFailedError):
                await author.complete(REQUEST, client_request_id="x")
        assert len(server.requests) == 2


@pytest.mark.parametrize(("habit", "sent"), [("rate_limited", 3), ("drop", 3), ("bad_request", 1)])
async def test_what_the_sdk_does_when_left_alone(
    habit: Habit, sent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_wait(_: float) -> None:
        return None

    monkeypatch.setattr("anyio.sleep", no_wait)
    with ScriptedServer(habit=habit) as server:
        async with openai.AsyncOpenAI(api_key="k", base_url=server.base_url) as client:
            messages: Any = [{"role": "user", "content": "Write 3 lines."}]
            with pytest.raises(openai.APIError):
                await client.chat.completions.create(model="m", messages=messages)
        assert len(server.requests) == sent


async def test_no_redirect_is_followed_and_no_idempotency_key_sent() -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(307, headers={"location": "http://127.0.0.1:9/v1/elsewhere"})

    async with OpenAIAuthor(api_key="k", base_url="http://127.0.0.1:9/v1") as author:
        author._http._transport = httpx2.MockTransport(answer)
        with pytest.raises(AttemptFailedError, match="redirected to http"):
            await author.complete(REQUEST, client_request_id="x")
    assert len(seen) == 1
    assert "idempotency-key" not in seen[0].headers
