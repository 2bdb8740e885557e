"""Providers: which one is meant, what is sent to it, and where the key goes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import respx
import workspaces
from scripted_server import ScriptedServer

from expand.client.retry_policy import RULES
from expand.drafting.model_setup import model_setup_for, profile_of
from expand.errors import InputError
from expand.llm.endpoint import Endpoint, host_of, is_loopback, port_of
from expand.llm.failures import refused
from expand.llm.openai_client import OpenAIAuthor
from expand.llm.profile import COMPATIBLE, profile_for, providers, recognised
from expand.llm.types import AttemptFailedError, Failure, Finish, Message, Request
from expand.settings import Overrides, Settings, read_settings, require_author
from expand.workspace import Workspace

READY = ("openai", "azure", "openrouter", "ollama", "lmstudio", "vllm", "llamacpp", "litellm")


def read(
    folder: Path,
    text: str = "",
    *,
    base_url: str | None = None,
    model: str | None = None,
    **environment: str,
) -> Settings:
    path = folder / "expand.toml"
    path.write_text(text, encoding="utf-8")
    overrides = Overrides(base_url=base_url, model=model)
    return read_settings(path, environment=environment, overrides=overrides, trusted=True)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://books.openai.azure.com/openai/v1/", "azure"),
        ("https://b.services.ai.azure.com/openai/v1", "azure"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("http://127.0.0.1:11434/v1", "ollama"),
        ("http://box.local:11434/v1", "ollama"),
        ("http://localhost:1234/v1", "lmstudio"),
        ("http://127.0.0.1:8000/v1", "vllm"),
        ("http://[::1]:8080/v1", "llamacpp"),
        ("http://127.0.0.1:4000", "litellm"),
        ("http://127.0.0.1:5001/v1", "compatible"),
        ("https://openrouter.ai.example.com/v1", "compatible"),
        ("https://example.com:8080/v1", "compatible"),
    ],
)
def test_what_a_base_url_is_recognised_as(url: str, name: str) -> None:
    assert recognised(url, providers()).name == name


def test_a_provider_of_ones_own_is_not_recognised_by_its_port() -> None:
    mine = {"base_url": "http://127.0.0.1:8000/v1", "key_variable": "MY_KEY"}
    box = {"base_url": "http://gpu.example.com:8000/v1", "key_variable": "BOX_KEY"}
    assert recognised("http://127.0.0.1:8000/v1", providers({"mine": mine})).name == "mine"
    assert recognised("http://gpu.example.com:8000/v1", providers({"mine": mine})).name == "vllm"
    assert recognised("http://gpu.example.com:9000/v1", providers({"mine": mine})) == COMPATIBLE
    assert recognised("http://gpu.example.com:8000/v1", providers({"box": box, "mine": mine})).name == "box"


def test_a_variable_of_former_versions_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="EXPAND_PROVIDER is no longer read"):
        read(tmp_path, EXPAND_PROVIDER="ollama")


def test_a_blank_base_url_is_none(tmp_path: Path) -> None:
    path = tmp_path / "expand.toml"
    path.write_text('[author]\nmodel = "m"\nbase_url = "http://127.0.0.1:9/v1"\n', encoding="utf-8")
    for environment, given in (({"OPENAI_BASE_URL": " "}, None), ({}, " ")):
        overrides = Overrides(base_url=given)
        found = read_settings(path, environment=environment, overrides=overrides, trusted=True)
        assert found.base_url == "http://127.0.0.1:9/v1"


def test_an_address_that_is_none_has_no_host_and_no_port() -> None:
    assert host_of("http://[::1") == ""
    assert host_of(None) == ""
    assert port_of("http://h:99999") is None
    assert port_of("https://h/v1") == 443


def test_a_status_that_nobody_knows_is_told_by_its_number() -> None:
    unknown = refused(599, {}, b"", now=0.0)
    assert (unknown.failure, unknown.message) == (Failure.SERVER_ERROR, "HTTP 599: ")


def test_the_ready_ones() -> None:
    known = providers()
    assert tuple(known) == ("compatible", *READY)
    assert not any(p.needs_key for p in known.values() if is_loopback(p.base_url))
    for provider in known.values():
        assert profile_for("some-model", served=provider.profile).output_cap(10) > 0


def test_a_named_provider_is_where_it_says(tmp_path: Path) -> None:
    settings = read(tmp_path, '[author]\nprovider = "ollama"\nmodel = "llama3.2"\n')
    assert settings.provider.name == "ollama"
    assert settings.base_url == "http://127.0.0.1:11434/v1"
    assert not settings.embedded
    require_author(settings, path=tmp_path)
    elsewhere = read(tmp_path, '[author]\nprovider = "vllm"\nbase_url = "http://gpu.example:80/v1"\n')
    assert elsewhere.provider.name == "vllm"
    assert elsewhere.base_url == "http://gpu.example:80/v1"
    require_author(elsewhere, path=tmp_path)


def test_a_base_url_above_the_file_takes_the_provider_along(tmp_path: Path) -> None:
    """Else a key would go to a host that it was not meant for."""
    text = '[author]\nprovider = "openrouter"\n'
    keys = {"OPENROUTER_API_KEY": "sk-or", "OPENAI_API_KEY": "sk-oa"}
    assert read(tmp_path, text, **keys).api_key == "sk-or"
    for settings in (
        read(tmp_path, text, base_url="https://api.example.com/v1", **keys),
        read(tmp_path, text, OPENAI_BASE_URL="https://api.example.com/v1", **keys),
    ):
        assert settings.provider == COMPATIBLE
        assert (settings.api_key, settings.key_variable) == ("sk-oa", "OPENAI_API_KEY")


def test_the_embedded_model_as_a_provider(tmp_path: Path) -> None:
    text = '[author]\nprovider = "embedded"\n'
    assert read(tmp_path, text, OPENAI_API_KEY="k").embedded
    assert not read(tmp_path, text, base_url="http://127.0.0.1:9/v1").embedded
    assert not read(tmp_path, text, OPENAI_BASE_URL="http://127.0.0.1:9/v1").embedded
    assert not read(tmp_path, text, model="gpt-4.1", OPENAI_API_KEY="k").embedded


def test_azure_has_no_address_that_all_share(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expand\.toml:2:1: Azure OpenAI has no address") as told:
        read(tmp_path, '[author]\nprovider = "azure"\n')
    assert "https://NAME.openai.azure.com/openai/v1/" in told.value.remedy


def test_a_missing_key_is_asked_for_by_its_name(tmp_path: Path) -> None:
    settings = read(tmp_path, '[author]\nprovider = "openrouter"\n')
    with pytest.raises(InputError, match="and OPENROUTER_API_KEY is not set"):
        require_author(settings, path=tmp_path)


def test_the_space_at_a_keys_end_is_not_the_keys(tmp_path: Path) -> None:
    settings = read(tmp_path, OPENAI_API_KEY="sk-1\n")
    assert settings.api_key == "sk-1"
    require_author(settings, path=tmp_path)
    assert read(tmp_path, OPENAI_API_KEY=" \n").embedded
    with pytest.raises(InputError, match="OPENAI_API_KEY holds spaces, line breaks"):
        require_author(read(tmp_path, OPENAI_API_KEY="sk-1\nsk-2"), path=tmp_path)


GATEWAY = """\
[author]
provider = "gateway"
model = "house-model"

[providers.gateway]
title = "Our gateway"
base_url = "https://models.example.com/v1"
key_variable = "GATEWAY_KEY"
key_header = "X-Key"
headers = { X-Team = "docs" }

[providers.gateway.profile]
output_cap_name = "max_completion_tokens"
parameters = { route = "eu" }

[models.house-model]
like = "gpt-4.1"
parameters = { seed = 7 }
"""


def test_a_provider_of_ones_own(tmp_path: Path) -> None:
    settings = read(tmp_path, GATEWAY, GATEWAY_KEY="secret", OPENAI_API_KEY="other")
    assert settings.base_url == "https://models.example.com/v1"
    assert (settings.api_key, settings.key_variable) == ("secret", "GATEWAY_KEY")
    profile = profile_of(Workspace(root=tmp_path), settings)
    assert profile.context_window == 1_000_000
    assert profile.parameters == {"temperature": 0.7, "route": "eu", "seed": 7}
    assert profile.known_as == "gpt-4.1"
    by_url = read(
        tmp_path, GATEWAY.replace('provider = "gateway"\n', ""),
        base_url="https://models.example.com/v1/", GATEWAY_KEY="secret",
    )  # fmt: skip
    assert (by_url.provider.title, by_url.api_key) == ("Our gateway", "secret")


def test_a_ready_provider_can_be_changed(tmp_path: Path) -> None:
    text = '[providers.azure]\nkey_header = "Authorization"\n[providers.ollama.profile]\nrpm = 9\n'
    settings = read(tmp_path, text, base_url="https://n.openai.azure.com/openai/v1")
    assert settings.provider.key_header == "Authorization"
    assert settings.provider.title == "Azure OpenAI"
    ollama = read(tmp_path, text, base_url="http://127.0.0.1:11434/v1", model="m")
    profile = profile_of(Workspace(root=tmp_path), ollama)
    assert (profile.context_window, profile.rpm) == (4_096, 9)


@pytest.mark.parametrize("model", ["gpt-5-mini", "gpt-4.1", "llama3.2"])
def test_servers_of_ones_own_take_the_old_name_of_the_cap(model: str) -> None:
    """Ollama takes no notice of ``max_completion_tokens``, and would write until it is full."""
    for name in ("ollama", "lmstudio", "vllm", "llamacpp"):
        profile = profile_for(model, served=providers()[name].profile)
        assert profile.form.output_cap_name == "max_tokens"


def test_ollamas_window_is_its_servers_until_it_is_stated() -> None:
    served = providers()["ollama"].profile
    profile = profile_for("llama3.2", served=served)
    assert (profile.context_window, profile.max_output_tokens) == (4_096, 2_048)
    assert profile.lines_per_request * profile.tokens_per_line <= profile.max_output_tokens
    stated = profile_for("llama3.2", {"llama*": {"context_window": 16_384}}, served=served)
    assert stated.context_window == 16_384


def test_only_openais_own_counting_is_taken_as_exact(tmp_path: Path) -> None:
    place = Workspace(root=workspaces.small(tmp_path / "w"))
    margins = {
        name: model_setup_for(
            place,
            Settings(model="gpt-oss-20b", provider=providers()[name], base_url="http://h/v1"),
            ledger=None,
        ).margin()
        for name in ("openai", "azure", "ollama", "openrouter")
    }
    assert margins["openai"] == margins["azure"] == 0
    assert margins["ollama"] == margins["openrouter"] > 0


REQUEST = Request(
    model="deployment",
    messages=(Message(role="user", content="Write 3 lines."),),
    max_output_tokens=50,
)
ANSWER = {
    "choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11, "cost": 0.001},
}


@pytest.mark.parametrize(
    ("provider", "sent"),
    [
        ("openai", {"authorization": "Bearer sk-1"}),
        ("azure", {"api-key": "sk-1"}),
        ("litellm", {"authorization": "Bearer sk-1", "x-litellm-num-retries": "0"}),
    ],
)
async def test_where_the_key_goes(httpx2_mock: respx.Router, provider: str, sent: dict[str, str]) -> None:
    known = providers()[provider]
    base = "https://name.openai.azure.com/openai/v1/"
    route = httpx2_mock.post(f"{base}chat/completions").respond(json=ANSWER)
    async with OpenAIAuthor(
        Endpoint(api_key="sk-1", base_url=base, key_header=known.key_header, headers=known.headers)
    ) as author:
        answer = await author.complete(REQUEST, client_request_id="01/1/draft/a")
    request = route.calls.last.request
    names = {"authorization", "api-key", "x-litellm-num-retries"}
    assert {name: request.headers[name] for name in names if name in request.headers} == sent
    assert request.headers["x-client-request-id"] == "01/1/draft/a"
    assert json.loads(request.content)["max_completion_tokens"] == 50
    assert answer.usage is not None
    assert (answer.usage.prompt, answer.usage.completion) == (9, 2)


@pytest.mark.parametrize(
    ("headers", "known_by"),
    [
        ({"x-request-id": "req-1", "x-litellm-call-id": "call-1"}, "req-1"),
        ({"x-litellm-call-id": "call-1"}, "call-1"),
        ({"apim-request-id": "apim-1"}, "apim-1"),
        ({}, ""),
    ],
)
async def test_the_id_that_provider_or_gateway_know_an_answer_by(
    httpx2_mock: respx.Router, headers: dict[str, str], known_by: str
) -> None:
    httpx2_mock.post("http://127.0.0.1:9/v1/chat/completions").respond(json=ANSWER, headers=headers)
    async with OpenAIAuthor(Endpoint(api_key=None, base_url="http://127.0.0.1:9/v1")) as author:
        answer = await author.complete(REQUEST, client_request_id="01/1/draft/a")
    assert answer.provider_request_id == known_by


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        ("litellm.RateLimitError: OpenAIException - You exceeded your current quota", "quota"),
        ("litellm.RateLimitError: OpenAIException - Rate limit reached", "rate_limited"),
    ],
)
async def test_a_quota_that_a_gateway_words_anew(httpx2_mock: respx.Router, said: str, failure: str) -> None:
    """Waiting for a rate limit ends some time; waiting for money does not."""
    error = {"error": {"message": said, "type": "throttling_error", "code": "429"}}
    httpx2_mock.post("http://127.0.0.1:9/v1/chat/completions").respond(429, json=error)
    async with OpenAIAuthor(Endpoint(api_key=None, base_url="http://127.0.0.1:9/v1")) as author:
        with pytest.raises(AttemptFailedError) as told:
            await author.complete(REQUEST, client_request_id="01/1/draft/a")
    assert told.value.failure == failure


@pytest.mark.parametrize(
    "error",
    [
        {"message": "The response was filtered", "code": "content_filter", "type": None},
        {"message": "litellm.ContentPolicyViolationError: AzureException", "code": "400"},
    ],
)
async def test_a_prompt_that_azure_filters_is_billed(httpx2_mock: respx.Router, error: dict[str, str | None]) -> None:
    """Unlike any other bad request: the filter has read the prompt."""
    httpx2_mock.post("http://127.0.0.1:9/v1/chat/completions").respond(400, json={"error": error})
    async with OpenAIAuthor(Endpoint(api_key=None, base_url="http://127.0.0.1:9/v1")) as author:
        with pytest.raises(AttemptFailedError) as told:
            await author.complete(REQUEST, client_request_id="01/1/draft/a")
    assert told.value.failure is Failure.FILTERED
    assert RULES[told.value.failure].billed == "unknown"
    assert not RULES[told.value.failure].retried


def test_a_prompt_that_would_not_fit_is_refused_with_the_arithmetic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ollama would cut it silently, and write about what is left."""
    monkeypatch.setenv("EXPAND_TRUST", "1")
    place = workspaces.small(tmp_path / "w")
    with ScriptedServer() as server:
        settings = f'[author]\nprovider = "ollama"\nmodel = "scripted"\nbase_url = "{server.base_url}"\n'
        tight = f"{settings}[models.scripted]\ncontext_window = 700\n"
        (place / "expand.toml").write_text(tight, encoding="utf-8")
        refused = workspaces.expand(place, "chapter", "07", "--json")
        assert server.requests == []
        (place / "expand.toml").write_text(settings, encoding="utf-8")
        assert workspaces.expand(place, "chapter", "07", "--section", "1", "--json").code in (0, 5)
        (cap,) = {request.body["max_tokens"] for request in server.requests[:1]}
        assert cap <= 2_048
    assert (refused.code, refused.out) == (2, "")
    numbers = re.search(
        r"section \d: a prompt of ([\d,]+) tokens and ([\d,]+) of output do not fit scripted's "
        r"context window of 700; ",
        refused.err,
    )
    assert numbers is not None, refused.err
    prompt, output = (int(number.replace(",", "")) for number in numbers.groups())
    assert prompt + output > 700


@pytest.mark.parametrize(
    ("reason", "completion", "finish"),
    [
        ("stop", 50, Finish.LENGTH),
        ("stop", 49, Finish.STOP),
        ("eos", 50, Finish.LENGTH),
        ("length", 3, Finish.LENGTH),
        ("content_filter", 50, Finish.CONTENT_FILTER),
    ],
)
async def test_a_text_that_used_its_cap_up_was_cut_whatever_a_gateway_says(
    httpx2_mock: respx.Router, reason: str, completion: int, finish: Finish
) -> None:
    answer = {
        "choices": [{"message": {"content": "Half a"}, "finish_reason": reason}],
        "usage": {"prompt_tokens": 9, "completion_tokens": completion},
    }
    httpx2_mock.post("http://127.0.0.1:9/v1/chat/completions").respond(json=answer)
    async with OpenAIAuthor(Endpoint(api_key=None, base_url="http://127.0.0.1:9/v1")) as author:
        got = await author.complete(REQUEST, client_request_id="01/1/draft/a")
    assert got.finish is finish
