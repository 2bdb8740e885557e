"""Reading what a provider sent back: a completion's body into an answer, waits out of headers.

Pure: nothing is sent, and no SDK is needed. A provider's word is not trusted: whatever is not a
chat completion is ``GARBLED``, and a usage that cannot be true is none at all.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime

from expand.llm.types import Answer, AttemptFailedError, Failure, Finish, Usage

MESSAGE_LIMIT = 300
"""The most characters of a provider's words that a message of ours repeats."""

_FINISHES = {
    "stop": Finish.STOP,
    "length": Finish.LENGTH,
    "content_filter": Finish.CONTENT_FILTER,
}

_REQUEST_IDS = ("x-request-id", "x-litellm-call-id", "apim-request-id")
"""Response headers: OpenAI's and most others', LiteLLM's, Azure's gateway's."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def answer_from(body: bytes, *, request_id: str = "") -> Answer:
    """The answer in a success response's body.

    ``request_id`` is the provider's own, from the headers. Raises ``AttemptFailedError`` with
    ``GARBLED`` when the body is not a chat completion.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        seen = one_line(body[:2000].decode("utf-8", "replace"))
        raise _garbled(f"not JSON: {seen}" if seen else "an empty answer") from None
    if not isinstance(data, dict):
        raise _garbled("JSON, but not an object")
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise _garbled(said_in(data) or "no choices in it")
    choice = choices[0]
    message, mishap = choice.get("message"), said_in(choice.get("error"))
    if not isinstance(message, dict):
        raise _garbled(mishap or "a choice without a message")
    text = _text(message.get("content"))
    if not text and mishap:
        raise _garbled(mishap)
    finish = _finish(choice.get("finish_reason"))
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        text, finish = refusal, Finish.REFUSAL
    model = data.get("model")
    return Answer(
        text=text,
        finish=finish,
        usage=usage_from(data.get("usage")),
        model=model if isinstance(model, str) else "",
        provider_request_id=request_id,
    )


def cut_at(answer: Answer, cap: int) -> Answer:
    """The answer, known to be cut where it used the cap up: gateways report ``stop`` for that."""
    used_up = answer.usage is not None and answer.usage.completion >= cap
    stopped = answer.finish in (Finish.STOP, Finish.OTHER)
    return replace(answer, finish=Finish.LENGTH) if used_up and stopped else answer


def request_id_in(headers: Mapping[str, str]) -> str:
    """The id that the provider, or the gateway before it, knows the request by; "" without one."""
    return next((headers[name] for name in _REQUEST_IDS if headers.get(name)), "")


def usage_from(value: object) -> Usage | None:
    """The usage as reported, None when it is missing, partial or cannot be true.

    Where a provider's total is above prompt and completion together (reasoning counted apart), the
    difference belongs to the completion. Cached or reasoning figures that cannot be true are 0.
    """
    if not isinstance(value, dict):
        return None
    prompt, completion = (
        _tokens(value.get("prompt_tokens")),
        _tokens(value.get("completion_tokens")),
    )
    if prompt is None or completion is None:
        return None
    completion = max(completion, (_tokens(value.get("total_tokens")) or 0) - prompt)
    if prompt + completion == 0:
        return None
    cached = _detail(value, "prompt_tokens_details", "cached_tokens")
    reasoning = _detail(value, "completion_tokens_details", "reasoning_tokens")
    return Usage(
        prompt=prompt,
        completion=completion,
        cached=cached if cached <= prompt else 0,
        reasoning=reasoning if reasoning <= completion else 0,
    )


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """The seconds that a provider asks to wait, None when it asks for nothing. In full: no cap.

    ``headers`` have lower-case names. Read are ``retry-after-ms``, ``retry-after`` (seconds or an
    HTTP date, taken against ``now`` in Unix seconds), then ``x-ratelimit-reset-*`` of whatever is
    used up (``1m30s``, ``20ms``).
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    stated = headers.get("retry-after")
    seconds = _number(stated)
    if seconds is not None:
        return seconds
    if stated:
        try:
            return max(0.0, parsedate_to_datetime(stated).timestamp() - now)
        except (ValueError, TypeError, OverflowError):
            pass
    resets = [
        _duration(headers.get(f"x-ratelimit-reset-{kind}"))
        for kind in ("requests", "tokens")
        if _number(headers.get(f"x-ratelimit-remaining-{kind}")) == 0
    ]
    return max((reset for reset in resets if reset is not None), default=None)


def said_in(data: object) -> str:
    """What a provider's error object says, as one short line; "" when it says nothing."""
    if isinstance(data, str):
        return one_line(data)
    if not isinstance(data, dict):
        return ""
    for key in ("error", "message", "detail", "error_description"):
        inner = data.get(key)
        if inner is not None:
            said = said_in(inner) or (one_line(json.dumps(inner)) if inner else "")
            if said:
                return said
    return ""


def one_line(text: str) -> str:
    """The text without line breaks, tags or control characters, cut to ``MESSAGE_LIMIT``."""
    plain = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    words = " ".join("".join(c if c.isprintable() else " " for c in plain).split())
    return words if len(words) <= MESSAGE_LIMIT else words[: MESSAGE_LIMIT - 1] + "…"


def _garbled(what: str) -> AttemptFailedError:
    return AttemptFailedError(Failure.GARBLED, f"the answer is no chat completion: {what}")


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return ""


def _finish(reason: object) -> Finish:
    return _FINISHES.get(reason, Finish.OTHER) if isinstance(reason, str) else Finish.OTHER


def _tokens(value: object) -> int | None:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole:
        return None
    count = int(value)  # type: ignore[call-overload]
    return count if 0 <= count < 2**53 else None


def _detail(usage: Mapping[str, object], group: str, name: str) -> int:
    details = usage.get(group)
    return (_tokens(details.get(name)) or 0) if isinstance(details, dict) else 0


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _duration(value: str | None) -> float | None:
    plain = _number(value)
    if plain is not None or value is None:
        return plain
    if not re.fullmatch(rf"(?:{_DURATION.pattern})+", value.strip()):
        return None
    return sum(float(n) * _SECONDS[unit] for n, unit in _DURATION.findall(value))
