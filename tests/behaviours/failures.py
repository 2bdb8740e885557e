"""Behaviours of providers: errors, waits, and parameters that are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any

from behaviours.server import Behaviour, Call, Reply, answer, error, json_reply

CHALLENGE = "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body><h1>x</h1></body></html>"
BAD_GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body><hr>nginx</body></html>"


def _good(call: Call) -> Reply:
    return answer(call, call.good_text())


def _always(reply: Reply) -> Callable[[Call], Reply]:
    return lambda call: reply


def _first(count: int, refusal: Callable[[], Reply]) -> Callable[[Call], Reply]:
    """Refuses the first requests, then answers."""
    return lambda call: refusal() if call.number <= count else _good(call)


def _in_section(section: int, refusal: Reply) -> Callable[[Call], Reply]:
    """Refuses whatever is asked for one section."""
    return lambda call: refusal if call.section == section else _good(call)


def _page(status: int, text: str) -> Reply:
    return Reply(parts=[text.encode()], status=status, headers={"Content-Type": "text/html"})


def _dated() -> Reply:
    """A wait until a date of a server whose clock is a day ahead of ours."""
    ahead = 1_800_000_000
    dates = {"Retry-After": formatdate(ahead + 1, usegmt=True), "Date": formatdate(ahead, usegmt=True)}
    return error(429, "Slow down", headers=dates)


def _waits(header: str, message: str = "Rate limit reached") -> Callable[[], Reply]:
    return lambda: error(429, message, code="rate_limit_exceeded", headers={"Retry-After": header})


def _takes(accepts: Callable[[Mapping[str, Any]], bool], refusal: Reply) -> Callable[[Call], Reply]:
    """Answers a request whose body it takes."""
    return lambda call: _good(call) if accepts(call.body) else refusal


def _picky(call: Call) -> Reply:
    for name in ("max_tokens", "temperature", "stream_options"):
        if name in call.body:
            return error(400, f"Unknown parameter: '{name}'")
    return error(400, "System role not supported") if call.body["messages"][0]["role"] == "system" else _good(call)


def _below_v1(call: Call) -> Reply:
    return _good(call) if call.path.startswith("/v1/chat/") else _page(404, "404 page not found")


def _answers_one(call: Call) -> Reply:
    return _good(call) if call.number == 1 else error(500, "The server had an error", kind="server_error")


WARM = 'parameters = { temperature = 0.7, provider = { order = ["a"] } }\n'
FILTER = error(400, "The response was filtered", code="content_filter")
FLAGGED = error(403, "a/b requires moderation. Your input was flagged", code=403)
INSPECTED = json_reply({"code": "DataInspectionFailed", "message": "inappropriate content"}, status=400)
TOO_LONG = error(400, "This model's maximum context length is 4096 tokens.", code="context_length_exceeded")
UNKNOWN_CAP = {"detail": [{"loc": ["body", "max_tokens"], "msg": "Extra inputs are not permitted"}]}
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
WORDS_OF_QUOTA = error(
    429,
    "You exceeded your current quota: error-code#token-limit",
    code="insufficient_quota",
    headers={"Retry-After": "0.05"},
)
OTHER_CAP = error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
LOW = {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low"}}
BAD_KEY = [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}]

BEHAVIOURS: tuple[Behaviour, ...] = (
    Behaviour(
        name="quota-429",
        does="has no quota left, under the status of a rate limit",
        reply=_always(error(429, "You exceeded your current quota", code="insufficient_quota")),
        codes=(4,),
        said="check the plan and billing",
        most_requests=1,
    ),
    Behaviour(
        name="quota-402",
        does="has no balance left (DeepSeek)",
        reply=_always(error(402, "Insufficient Balance", code="invalid_request_error")),
        codes=(4,),
        said="HTTP 402: Insufficient Balance",
        most_requests=1,
    ),
    Behaviour(
        name="quota-400",
        does="has no credit left, under the status of a bad request (Anthropic)",
        reply=_always(json_reply(LOW, status=400)),
        codes=(4,),
        said="check the plan and billing",
        most_requests=1,
    ),
    Behaviour(
        name="rate-words-of-quota",
        does="words a rate limit as a used-up quota (DashScope), twice",
        reply=_first(2, lambda: WORDS_OF_QUOTA),
    ),
    Behaviour(
        name="rate-in-words",
        does="says in words how long to wait, once",
        reply=_first(1, lambda: error(429, "Rate limit reached. Please try again in 0.2s.")),
        said="Rate limit reached",
    ),
    Behaviour(name="rate-date", does="gives a date of its own clock to wait for", reply=_first(1, _dated)),
    Behaviour(name="rate-negative", does="asks to wait less than nothing, once", reply=_first(1, _waits("-5"))),
    Behaviour(name="rate-nan", does="asks to wait for no number of seconds, once", reply=_first(1, _waits("nan"))),
    Behaviour(
        name="rate-empty",
        does="refuses for the rate without a word, once",
        reply=_first(1, lambda: Reply(parts=[], status=429)),
    ),
    Behaviour(
        name="rate-1e300",
        does="asks to wait for 1e300 seconds",
        reply=_always(_waits("1e300")()),
        codes=(4,),
        said="for more than ten years",
        most_requests=1,
    ),
    Behaviour(
        name="rate-99999999999",
        does="asks to wait for three thousand years",
        reply=_always(_waits("99999999999")()),
        codes=(4,),
        said="for more than ten years",
        most_requests=1,
    ),
    Behaviour(
        name="rate-a-day",
        does="has used up the tokens of the day (Groq)",
        reply=_always(error(429, "Rate limit on tokens per day (TPD). Please try again in 7h12m.")),
        codes=(4,),
        said="asks to wait until 20",
        most_requests=1,
    ),
    Behaviour(
        name="filter-azure",
        does="filters the prompts of one section with a 400",
        reply=_in_section(2, FILTER),
        codes=(4,),
        said="reword the topic",
        drafted="scheduler",
    ),
    Behaviour(
        name="filter-moderation",
        does="filters the prompts of one section with a 403 (OpenRouter)",
        reply=_in_section(1, FLAGGED),
        codes=(4,),
        said="reword the topic",
        drafted="scheduler",
    ),
    Behaviour(
        name="filter-inspection",
        does="filters every prompt (DashScope)",
        reply=_always(INSPECTED),
        codes=(4,),
        said="reword the topic",
    ),
    Behaviour(
        name="too-long",
        does="finds every prompt too long",
        reply=_always(TOO_LONG),
        codes=(4,),
        said="set context_window = 4096",
    ),
    Behaviour(
        name="too-long-once",
        does="finds the prompts of one section too long",
        reply=_in_section(2, TOO_LONG),
        codes=(4,),
        said="set context_window = 4096",
        drafted="scheduler",
    ),
    Behaviour(
        name="cap-name",
        does="knows the output cap as max_completion_tokens only",
        reply=_takes(lambda body: "max_tokens" not in body, OTHER_CAP),
        said="calling the output cap max_completion_tokens",
    ),
    Behaviour(
        name="cap-name-422",
        does="refuses the output cap's name as pydantic does",
        reply=_takes(lambda body: "max_tokens" not in body, json_reply(UNKNOWN_CAP, status=422)),
        said="calling the output cap max_completion_tokens",
    ),
    Behaviour(
        name="cap-range",
        does="takes an output cap of 500 tokens at the most",
        reply=_takes(
            lambda body: body.get("max_tokens", 0) <= 500,
            error(400, "Invalid max_tokens value, the valid range of max_tokens is [1, 500]"),
        ),
        said="asking for at most 500 tokens an answer",
    ),
    Behaviour(
        name="no-temperature",
        does="refuses a temperature",
        reply=_takes(
            lambda body: "temperature" not in body,
            error(400, "Unsupported value: 'temperature' does not support 0.7 with this model."),
        ),
        settings=f'[models."no-temperature"]\n{WARM}',
        said="leaving out temperature",
    ),
    Behaviour(
        name="no-provider",
        does="refuses a parameter that may hold a promise",
        reply=_takes(lambda body: "provider" not in body, error(400, "Unknown parameter: 'provider'.")),
        settings=f'[models."no-provider"]\n{WARM}',
        codes=(4,),
        said="check the model's name and its parameters",
        most_requests=1,
    ),
    Behaviour(
        name="no-stream-options",
        does="refuses stream_options",
        reply=_takes(lambda body: "stream_options" not in body, error(400, "Unknown parameter: 'stream_options'.")),
        said="asking without stream_options",
    ),
    Behaviour(
        name="no-stream",
        does="refuses to stream",
        reply=_takes(lambda body: not body.get("stream"), error(400, "Unsupported value: 'stream'")),
        said="asking for an answer that is not streamed",
    ),
    Behaviour(
        name="no-system",
        does="refuses a system message",
        reply=_takes(lambda body: body["messages"][0]["role"] == "user", error(400, "System role not supported")),
        said="putting the system message into the user's",
    ),
    Behaviour(
        name="picky",
        does="refuses the cap's name, the temperature, stream_options and the system message, one after the other",
        reply=_picky,
        settings=f'[models."picky"]\n{WARM}',
    ),
    Behaviour(
        name="overloaded-529",
        does="is overloaded, twice (Anthropic)",
        reply=_first(2, lambda: json_reply(OVERLOADED, status=529)),
        said="Overloaded",
    ),
    Behaviour(
        name="loading",
        does="is loading its model, twice (llama.cpp)",
        reply=_first(2, lambda: error(503, "Loading model", code=503, kind="unavailable_error")),
        said="Loading model",
    ),
    Behaviour(
        name="server-error",
        does="fails every time",
        reply=_always(error(500, "The server had an error", kind="server_error")),
        codes=(4,),
        said="The server had an error (4 attempts)",
        most_requests=4,
    ),
    Behaviour(
        name="server-error-later",
        does="answers once, then fails every time",
        reply=_answers_one,
        codes=(4,),
        said="The server had an error",
    ),
    Behaviour(
        name="bad-gateway",
        does="shows a web page with 502, once",
        reply=_first(1, lambda: _page(502, BAD_GATEWAY)),
        said="HTTP 502: 502 Bad Gateway",
    ),
    Behaviour(
        name="challenge",
        does="wants a person to prove that they are one (Cloudflare)",
        reply=_always(_page(403, CHALLENGE)),
        codes=(4,),
        said="HTTP 403: Just a moment...",
        most_requests=1,
    ),
    Behaviour(
        name="bad-key-in-a-list",
        does="refuses the key with 400, in a list (Gemini)",
        reply=_always(json_reply(BAD_KEY, status=400)),
        codes=(4,),
        said="check OPENAI_API_KEY",
        most_requests=1,
    ),
    Behaviour(
        name="not-pulled",
        does="has not pulled the model (Ollama)",
        reply=_always(error(404, "model 'x' not found, try pulling it first")),
        codes=(4,),
        said="ollama pull",
        most_requests=1,
    ),
    Behaviour(
        name="without-v1",
        does="is below /v1, which the base URL leaves out",
        reply=_below_v1,
        base="",
        said="/v1 instead",
    ),
    Behaviour(
        name="with-chat-completions",
        does="is given with the resource behind the base URL",
        reply=_below_v1,
        base="/v1/chat/completions",
        most_requests=12,
    ),
    Behaviour(
        name="nowhere",
        does="is no API, with /v1 or without",
        reply=_always(_page(404, "404 page not found")),
        base="",
        codes=(4,),
        said="check the base URL",
        most_requests=2,
    ),
)
