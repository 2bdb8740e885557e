"""How requests are put, and how that is mended when a provider refuses it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import respx

from expand.llm.endpoint import Endpoint, api_url, other_url
from expand.llm.openai_client import LEAST_CAP, OpenAIAuthor
from expand.llm.profile import profile_for
from expand.llm.types import Answer, AttemptFailedError, Failure, Message, Request, RequestForm

BASE = "http://127.0.0.1:9"
GOOD = {
    "model": "m",
    "choices": [{"message": {"content": "Text.\n"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23},
}
SENT: dict[str, Any] = {"temperature": 0.7, "top_p": 0.9, "reasoning_effort": "low", "provider": {"max_price": 1}}


def request(cap: int = 8000, **parameters: Any) -> Request:
    messages = (Message(role="system", content="Rules."), Message(role="user", content="Write 3 lines."))
    return Request(model="m", messages=messages, max_output_tokens=cap, parameters=parameters or SENT)


class Provider:
    """Answers with its refusals in order, then properly; ``bodies`` are what it was sent, ``urls`` where."""

    def __init__(self, router: respx.Router, refusals: list[tuple[int, Any]]) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.urls: list[str] = []
        self._refusals = refusals
        router.route().side_effect = self._reply

    def _reply(self, sent: Any) -> Any:
        self.bodies.append(json.loads(sent.content))
        self.urls.append(str(sent.url))
        number = len(self.bodies) - 1
        if number < len(self._refusals):
            status, body = self._refusals[number]
            return (
                respx.MockResponse(status, json=body)
                if not isinstance(body, str)
                else respx.MockResponse(status, text=body)
            )
        return respx.MockResponse(200, json=GOOD)


async def asked(author: OpenAIAuthor, wanted: Request | None = None, mends: list[str] | None = None) -> Answer:
    """The answer, after as many attempts as the author mends."""
    while True:
        try:
            return await author.complete(wanted or request(), client_request_id="x")
        except AttemptFailedError as refusal:
            if refusal.mended is None:
                raise
            if mends is not None:
                mends.append(refusal.mended)


def openai_error(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


REFUSALS = Path(__file__).with_name("provider_forms.jsonl").read_text("utf-8")
MENDS = [json.loads(line) for line in REFUSALS.splitlines()]
"""Refusals of a request's form as providers word them, what is done otherwise then, and what a profile says of it."""


def mend(advice: str) -> tuple[int, Any]:
    """Status and body of the first refusal that leads to this advice."""
    return next((one["status"], one["body"]) for one in MENDS if one["advice"] == advice)


@pytest.mark.parametrize("seen", MENDS, ids=lambda seen: seen["advice"])
async def test_a_refused_form_is_mended_once_and_remembered(httpx2_mock: respx.Router, seen: dict[str, Any]) -> None:
    provider = Provider(httpx2_mock, [(seen["status"], seen["body"])])
    mends: list[str] = []
    async with OpenAIAuthor(Endpoint(api_key=None, base_url=f"{BASE}/v1")) as author:
        assert author.advice("m") == ()
        for _ in range(3):
            assert (await asked(author, mends=mends)).text == "Text.\n"
        assert author.advice("m") == (f'[models."m"] {seen["advice"]}',)
    assert [seen["mend"] in said for said in mends] == [True]
    assert len(provider.bodies) == 4
    assert provider.bodies[0] != provider.bodies[1] == provider.bodies[2] == provider.bodies[3]
    for sent in provider.bodies:
        assert ("max_tokens" in sent) != ("max_completion_tokens" in sent)
        assert sent["provider"] == {"max_price": 1}
        assert sent["messages"][-1]["content"].endswith("Write 3 lines.")


@pytest.mark.parametrize("line", sorted({seen["advice"] for seen in MENDS}))
def test_what_is_advised_is_what_a_profile_can_say(line: str) -> None:
    """The form that the advice leads to is the one that was found."""
    profile = profile_for("m", {"m": tomllib.loads(line)})
    form = profile.form
    found = {
        "max_tokens": form.output_cap_name == "max_tokens",
        "leave_out": bool(form.leave_out),
        "stream =": not form.stream,
        "system_role": form.system_role == "user",
        "max_output_tokens": profile.max_output_tokens == 4096,
    }
    assert next(there for name, there in found.items() if name in line)


async def test_several_faults_are_mended_one_after_the_other(httpx2_mock: respx.Router) -> None:
    stated = ('["temperature"]', "max_tokens", '["stream_options"]', "system_role")
    advices = [next(seen["advice"] for seen in MENDS if part in seen["advice"]) for part in stated]
    provider = Provider(httpx2_mock, [mend(advice) for advice in advices])
    async with OpenAIAuthor(Endpoint(api_key=None, base_url=f"{BASE}/v1")) as author:
        await asked(author)
        assert author.advice("m") == (
            '[models."m"] output_cap_name = "max_tokens"; leave_out = ["stream_options", "temperature"]; '
            'system_role = "user"',
        )
    assert len(provider.bodies) == 5
    last = provider.bodies[-1]
    assert last["max_tokens"] == 8000
    assert last["messages"] == [{"role": "user", "content": "Rules.\n\nWrite 3 lines."}]
    assert "temperature" not in last


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "Invalid value for 'temperature': must be at most 2"),
        (400, "Unknown parameter: 'provider'"),
        (400, "Unsupported parameter: 'messages'"),
        (400, "Your prompt cannot be processed"),
        (401, "Unsupported parameter: 'temperature'"),
        (403, "Unsupported parameter: 'temperature'"),
        (429, "Unsupported parameter: 'temperature'"),
        (500, "Unsupported parameter: 'temperature'"),
        (400, "max_tokens: 8000 > 255, which is the maximum allowed number of output tokens"),
    ],
)
async def test_what_is_no_matter_of_form_is_not_mended(httpx2_mock: respx.Router, status: int, message: str) -> None:
    """A wrong value, a parameter that may hold a promise, another status, a cap that cannot be meant."""
    provider = Provider(httpx2_mock, [(status, openai_error(message))] * 9)
    async with OpenAIAuthor(Endpoint(api_key=None, base_url=f"{BASE}/v1")) as author:
        with pytest.raises(AttemptFailedError):
            await asked(author)
        assert author.advice("m") == ()
    assert len(provider.bodies) == 1


async def test_the_least_cap_that_is_believed(httpx2_mock: respx.Router) -> None:
    message = f"max_tokens: 8000 > {LEAST_CAP}, which is the maximum allowed"
    provider = Provider(httpx2_mock, [(400, openai_error(message))])
    async with OpenAIAuthor(Endpoint(api_key=None, base_url=f"{BASE}/v1")) as author:
        await asked(author)
        await asked(author, request(100))
    assert [body["max_completion_tokens"] for body in provider.bodies] == [8000, LEAST_CAP, 100]


async def test_a_provider_that_takes_neither_cap_is_asked_with_both_and_no_more(httpx2_mock: respx.Router) -> None:
    """Without a cap nothing is sent: the reservation rests on it."""
    refusals = [(400, openai_error(f"Unknown parameter: '{name}'")) for name in ("max_completion_tokens", "max_tokens")]
    provider = Provider(httpx2_mock, [*refusals, *refusals])
    async with OpenAIAuthor(Endpoint(api_key=None, base_url=f"{BASE}/v1")) as author:
        with pytest.raises(AttemptFailedError, match="max_tokens"):
            await asked(author)
    assert len(provider.bodies) == 2


async def test_requests_under_way_are_sent_again_in_the_form_that_another_found(httpx2_mock: respx.Router) -> None:
    status, body = mend('output_cap_name = "max_tokens"')
    provider = Provider(httpx2_mock, [])
    author = OpenAIAuthor(Endpoint(api_key=None, base_url=f"{BASE}/v1"))
    async with author:
        old = author._form("m")
        failed = AttemptFailedError(Failure.BAD_REQUEST, f"HTTP {status}: {body['error']['message']}", status=status)
        connection = await author._connected()
        first = author._mended(connection, failed, request(), old, f"{BASE}/v1")
        second = author._mended(connection, failed, request(), old, f"{BASE}/v1")
        assert (first, second) == ("calling the output cap max_tokens", "")
        await asked(author)
    assert "max_tokens" in provider.bodies[0]


async def test_a_request_keeps_its_key_whatever_its_form(httpx2_mock: respx.Router) -> None:
    wanted = request()
    before = wanted.key
    Provider(httpx2_mock, [mend('leave_out = ["temperature"]')])
    async with OpenAIAuthor(Endpoint(api_key=None, base_url=f"{BASE}/v1")) as author:
        await asked(author, wanted)
    assert wanted.key == before
    assert dict(wanted.parameters) == SENT


def test_what_a_profile_leaves_out_is_not_sent() -> None:
    profile = profile_for("m", {"m": {"leave_out": ["temperature", "stream_options"], "system_role": "user"}})
    form = profile.form
    assert form.stream
    assert "stream_options" in form.leave_out
    assert "temperature" not in form.body(request())
    assert [message["role"] for message in form.messages(request())] == ["user"]


def test_messages_without_a_system_message_stay_as_they_are() -> None:
    alone = Request(model="m", messages=(Message(role="user", content="Hi."),), max_output_tokens=5)
    assert RequestForm(system_role="user").messages(alone) == [{"role": "user", "content": "Hi."}]
    only = Request(model="m", messages=(Message(role="system", content="Hi."),), max_output_tokens=5)
    assert RequestForm(system_role="user").messages(only) == [{"role": "system", "content": "Hi."}]


# Base URLs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://h/v1", "http://h/v1"),
        ("http://h/v1/", "http://h/v1"),
        ("http://h/v1/chat/completions", "http://h/v1"),
        ("http://h/v1/chat/completions/", "http://h/v1"),
        ("http://h/v1/models", "http://h/v1"),
        ("http://h/v1/completions", "http://h/v1"),
        ("http://h/v1/responses", "http://h/v1"),
        ("http://h", "http://h"),
        ("http://h//", "http://h"),
        ("http://h/chat/completions", "http://h"),
        ("http://h/models/v1", "http://h/models/v1"),
        ("https://h/openai/v1/?api-version=preview", "https://h/openai/v1"),
        ("https://h/openai/deployments/d/chat/completions?api-version=2024-06-01", "https://h/openai/deployments/d"),
        ("http://h/v1#top", "http://h/v1"),
    ],
)
def test_what_the_api_puts_behind_a_base_url_is_taken_off(given: str, url: str) -> None:
    assert api_url(given) == url
    assert Endpoint(api_key=None, base_url=given).url == url


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("http://h", "http://h/v1"),
        ("http://h:8080/", "http://h:8080/v1"),
        ("http://h/llm", "http://h/llm/v1"),
        ("http://h/v1", None),
        ("http://h/v1beta/openai", None),
        ("http://h/api/v3", None),
        ("http://h/api", None),
        ("http://h/openai/deployments/d", None),
    ],
)
def test_where_else_an_api_may_be(url: str, other: str | None) -> None:
    assert other_url(url) == other


@pytest.mark.parametrize(("status", "body"), [(404, "404 page not found"), (404, {"detail": "Not Found"}), (405, "")])
async def test_a_base_url_without_its_version_is_tried_with_it(
    httpx2_mock: respx.Router, status: int, body: Any
) -> None:
    provider = Provider(httpx2_mock, [(status, body)])
    mends: list[str] = []
    async with OpenAIAuthor(Endpoint(api_key=None, base_url=BASE)) as author:
        await asked(author, mends=mends)
        await asked(author, mends=mends)
        assert author.advice("m") == (f'[author] base_url = "{BASE}/v1"',)
    assert mends == [f"trying {BASE}/v1 instead"]
    assert provider.urls == [f"{BASE}/chat/completions", *[f"{BASE}/v1/chat/completions"] * 2]


@pytest.mark.parametrize(
    ("base_url", "body", "urls"),
    [
        (BASE, "404 page not found", [f"{BASE}/chat/completions", f"{BASE}/v1/chat/completions"]),
        (f"{BASE}/v1", "404 page not found", [f"{BASE}/v1/chat/completions"]),
        (BASE, openai_error("The model `m` does not exist"), [f"{BASE}/chat/completions"]),
    ],
)
async def test_where_no_api_is_the_run_ends(
    httpx2_mock: respx.Router, base_url: str, body: Any, urls: list[str]
) -> None:
    provider = Provider(httpx2_mock, [(404, body)] * 9)
    async with OpenAIAuthor(Endpoint(api_key=None, base_url=base_url)) as author:
        with pytest.raises(AttemptFailedError) as caught:
            await asked(author)
        assert author.advice("m") == ()
    assert provider.urls == urls
    assert ("neither" in caught.value.remedy) is (len(urls) == 2)


async def test_a_url_that_has_answered_is_not_doubted(httpx2_mock: respx.Router) -> None:
    provider = Provider(httpx2_mock, [])
    async with OpenAIAuthor(Endpoint(api_key=None, base_url=BASE)) as author:
        await asked(author)
        provider._refusals = [(404, "gone")] * 9
        with pytest.raises(AttemptFailedError):
            await asked(author)
    assert len(provider.urls) == 2


async def test_the_query_of_a_base_url_goes_with_every_request(httpx2_mock: respx.Router) -> None:
    provider = Provider(httpx2_mock, [])
    url = f"{BASE}/openai/deployments/d/chat/completions?api-version=2024-06-01"
    async with OpenAIAuthor(Endpoint(api_key=None, base_url=url)) as author:
        await asked(author)
    assert provider.urls == [url]
