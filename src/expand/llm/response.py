"""Reading what a provider sent back in the place of an answer: an error into a failure, waits out of headers.

Pure: nothing is sent, and no SDK is needed. ``completion`` reads answers.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from expand.llm.types import AttemptFailedError, Failure
from expand.redaction import HIDDEN, hidden

MESSAGE_LIMIT = 300
"""The most characters of a provider's words that a message of ours repeats."""

_REQUEST_IDS = ("x-request-id", "x-litellm-call-id", "apim-request-id")
"""Response headers: OpenAI's and most others', LiteLLM's, Azure's gateway's."""

_BY_STATUS = {
    401: Failure.UNAUTHORIZED,
    403: Failure.FORBIDDEN,
    404: Failure.NOT_FOUND,
    402: Failure.QUOTA,
    # The server may have begun to answer: taken as its own failures are.
    408: Failure.SERVER_ERROR,
    409: Failure.SERVER_ERROR,
    425: Failure.SERVER_ERROR,
    499: Failure.SERVER_ERROR,
}

_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
# A gateway repeats the message of the provider behind it, and replaces the code by one of its own.
_QUOTA_WORDS = re.compile(r"insufficient_quota|exceeded your current quota", re.IGNORECASE)

_KEY_SHAPE = re.compile(r"\bsk-[\w*.-]{6,}|(?<=[Bb]earer )[\w*.~+/=-]{6,}")

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def request_id_in(headers: Mapping[str, str]) -> str:
    """The id that the provider, or the gateway before it, knows the request by; "" without one."""
    return next((headers[name] for name in _REQUEST_IDS if headers.get(name)), "")


def refused(status: int, headers: Mapping[str, str], body: bytes, *, now: float) -> AttemptFailedError:
    """The failure that a response without success stands for. ``headers`` are looked up in lower case; ``now`` are
    Unix seconds, for Retry-After dates.
    """
    text = body.decode("utf-8", "replace").strip()
    data: object = text
    with suppress(ValueError, RecursionError):
        data = json.loads(body)
    if isinstance(data, dict):
        data = data.get("error", data)
    stated = (data.get("code"), data.get("type")) if isinstance(data, dict) else ()
    codes = {code for code in stated if isinstance(code, str)}
    said = said_in(data) or said_in(text) or _phrase(status)
    if 300 <= status < 400:
        failure = Failure.BAD_REQUEST
        said = f"redirected to {headers.get('location', '?')}; give that base URL"
    elif status == 429:
        used_up = bool(_QUOTA_CODES & codes) or _QUOTA_WORDS.search(said)
        failure = Failure.QUOTA if used_up else Failure.RATE_LIMITED
    elif status == 400 and ("content_filter" in codes or "ContentPolicyViolationError" in said):
        failure = Failure.FILTERED  # Azure's filter refused the prompt, directly or through LiteLLM
    elif status >= 500:
        failure = Failure.SERVER_ERROR
    else:
        failure = _BY_STATUS.get(status, Failure.BAD_REQUEST)
    waits = failure in (Failure.RATE_LIMITED, Failure.SERVER_ERROR)
    return AttemptFailedError(
        failure,
        f"HTTP {status}: {one_line(said)}",
        status=status,
        retry_after_seconds=retry_after(headers, now=now) if waits else None,
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


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


_SAYING = (
    "error", "errors", "message", "detail", "error_description", "error_message", "error_msg", "msg", "base_resp",
    "status_msg",
)  # fmt: skip
_DEEPEST_ERROR = 8


def said_in(data: object, depth: int = 0) -> str:
    """What a provider's error object says, or the first of a list, as one short line; "" when it says nothing."""
    if isinstance(data, str):
        return one_line(data)
    if depth == _DEEPEST_ERROR:
        return "an error within errors"
    if isinstance(data, list):
        return next((said for each in data if (said := said_in(each, depth + 1))), "")
    if not isinstance(data, dict):
        return ""
    for key in _SAYING:
        inner = data.get(key)
        if inner:
            said = said_in(inner, depth + 1) or (one_line(_as_json(inner)) if inner is not True else "")
            if said:
                return said
    return ""


def _as_json(data: object) -> str:
    try:
        return json.dumps(data)
    except RecursionError:
        return ""


def one_line(text: str) -> str:
    """The text without keys, line breaks, tags or control characters, cut to ``MESSAGE_LIMIT``.

    What looks like a key goes, too: some providers repeat it in part.
    """
    text = _KEY_SHAPE.sub(HIDDEN, hidden(text))  # before the cut, which would leave a part of it
    plain = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    words = " ".join("".join(c if c.isprintable() else " " for c in plain).split())
    return words if len(words) <= MESSAGE_LIMIT else words[: MESSAGE_LIMIT - 1] + "…"


def garbled(what: str) -> AttemptFailedError:
    """The failure of a success whose body is no chat completion."""
    return AttemptFailedError(Failure.GARBLED, f"the answer is no chat completion: {what}")


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
