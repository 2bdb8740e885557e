"""Reading a refusal: which failure it stands for, what it says, and how long it asks to wait.

``data/failures.toml`` holds the habits of the providers, one a line; the first that fits decides, and the HTTP status
where none does. Pure: nothing is sent, and no SDK is needed.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from typing import Any

from expand.llm.types import AttemptFailedError, Failure
from expand.paths import packaged_table
from expand.redaction import HIDDEN, hidden

MESSAGE_LIMIT = 300
"""The most characters of a provider's words that a message of ours repeats."""

_READ = 20_000
"""The most characters of a body that are looked at."""
_DEPTH = 8
"""How deep error objects may lie in one another."""

_BY_STATUS = {
    401: Failure.UNAUTHORIZED,
    402: Failure.QUOTA,
    403: Failure.FORBIDDEN,
    404: Failure.NOT_FOUND,
    # The server may have begun to answer: taken as its own failures are.
    408: Failure.SERVER_ERROR,
    409: Failure.SERVER_ERROR,
    425: Failure.SERVER_ERROR,
    429: Failure.RATE_LIMITED,
    499: Failure.SERVER_ERROR,
    529: Failure.OVERLOADED,
}
"""What a status means where the words say nothing more; others from 500 on are server errors, the rest bad requests."""

_CODE_KEYS = frozenset({"code", "type", "status", "reason", "error_code", "errorcode", "error_type", "__type", "kind"})
_SAID_KEYS = (
    "error", "errors", "message", "detail", "msg", "error_message", "errormessage", "error_msg", "error_description",
    "status_msg", "description", "title", "base_resp",
)  # fmt: skip
"""Where the words of an error are, the first that says something counts. In lower case."""

_KEY_SHAPE = re.compile(r"\bsk-[\w*.-]{6,}|(?<=[Bb]earer )[\w*.~+/=-]{6,}")

_WINDOW = re.compile(
    r"(?:maximum (?:context|model|prompt) length (?:is|of)|context size \(|token limit:|context length of only|"
    r"exceeds the maximum number of tokens allowed \(|context limit: [\d +,]+>|prompt is too long: [\d,]+ tokens >|"
    r"model with)\s*(\d[\d,]{2,8})",
    re.IGNORECASE,
)


@cache
def habits() -> Sequence[Mapping[str, Any]]:
    """How providers word refusals, in the order in which they are asked."""
    table: Sequence[Mapping[str, Any]] = packaged_table("failures")["habits"]
    return table


def fits(habit: Mapping[str, Any], status: int, codes: frozenset[str], text: str) -> bool:
    """Whether a refusal is of this kind: everything that the habit states fits."""
    return (
        status in habit.get("status", [status])
        and ("codes" not in habit or not codes.isdisjoint(habit["codes"]))
        and re.search(habit.get("words", ""), text, re.IGNORECASE) is not None
    )


def refused(status: int, headers: Mapping[str, str], body: bytes, *, now: float) -> AttemptFailedError:
    """The failure that a response without success stands for. ``headers`` are looked up in lower case; ``now`` are
    Unix seconds, for dates where the server does not state its own."""
    text = body.decode("utf-8", "replace").strip()
    data: object = text[:_READ]
    with suppress(ValueError, RecursionError):
        data = json.loads(text)
    return _failure_in(data, status, headers, now)


def refused_within(data: object) -> AttemptFailedError | None:
    """The failure that an error in the body of a success stands for, read under the status that its own code names;
    None where it may be anything."""
    failed = _failure_in(data, 200, {}, 0.0)
    unclear = failed.failure in (Failure.SERVER_ERROR, Failure.BAD_REQUEST, Failure.TIMEOUT)
    return None if unclear else failed


def _failure_in(data: object, status: int, headers: Mapping[str, str], now: float) -> AttemptFailedError:
    """The failure that an error object, or the text of a body, stands for."""
    text = data if isinstance(data, str) else _plain(data)
    named = (headers.get(name, "").partition(":")[0].lower() for name in ("x-amzn-errortype", "x-error-code"))
    codes = frozenset((*_codes(data), *filter(None, named)))
    asked, phrase, remedy = status, HTTPStatus(status).phrase if status in set(HTTPStatus) else "", ""
    if status < 400:
        asked = next((int(code) for code in sorted(codes) if re.fullmatch(r"[45]\d\d", code)), status)
    said = said_in(data) or (one_line(text) if data else "") or phrase
    if 300 <= status < 400:
        failure = Failure.BAD_REQUEST
        said = f"redirected to {headers.get('location', '?')}; give that base URL"
    elif habit := next((habit for habit in habits() if fits(habit, asked, codes, text)), None):
        failure, remedy = Failure(habit["means"]), habit.get("remedy", "")
    else:
        failure = _BY_STATUS.get(asked, Failure.BAD_REQUEST if 400 <= asked < 500 else Failure.SERVER_ERROR)
    if failure is Failure.TOO_LONG and (window := _WINDOW.search(text)):
        tokens = window[1].replace(",", "")
        remedy = f"set context_window = {tokens} for the model in expand.toml, or shorten the prompt"
    message = f"{f'HTTP {status}' if status >= 300 else 'an error instead of an answer'}: {one_line(said)}"
    # After any other failure, a wait that was asked for means nothing.
    waiting = failure in (Failure.RATE_LIMITED, Failure.OVERLOADED, Failure.SERVER_ERROR)
    wait = asked_wait(headers, data, now=now) if waiting else None
    return AttemptFailedError(failure, message, status=status, retry_after_seconds=wait, remedy=remedy)


def request_id_in(headers: Mapping[str, str]) -> str:
    """The id that the provider, or the gateway before it, knows the request by; "" without one."""
    names = ("x-request-id", "x-litellm-call-id", "apim-request-id")  # most have the first, Azure's gateway the last
    return next((headers[name] for name in names if headers.get(name)), "")


def garbled(what: str) -> AttemptFailedError:
    """The failure of a success whose body is no chat completion."""
    return AttemptFailedError(Failure.GARBLED, f"the answer is no chat completion: {what}")


def one_line(text: str) -> str:
    """The text without keys, line breaks, tags or control characters, cut to ``MESSAGE_LIMIT``.

    What looks like a key goes, too: some providers repeat it in part."""
    text = _KEY_SHAPE.sub(HIDDEN, hidden(text[:_READ]))  # before the cut, which would leave a part of it
    plain = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    words = " ".join("".join(c if c.isprintable() else " " for c in plain).split())
    return words if len(words) <= MESSAGE_LIMIT else words[: MESSAGE_LIMIT - 1] + "…"


def said_in(data: object, depth: int = _DEPTH) -> str:
    """What a provider's error, of whatever shape, says: one short line; "" when it says nothing."""
    if isinstance(data, str):
        # Of a web page its title, which says most: the rest are menus and footers.
        title = re.search(r"<title[^>]*>(.*?)</title>", data[:_READ], re.DOTALL | re.IGNORECASE)
        return one_line(title[1]) if title and title[1].strip() else one_line(data)
    if depth and isinstance(data, list):
        return next(filter(None, (said_in(entry, depth - 1) for entry in data)), "")
    if not depth or not isinstance(data, dict):
        return ""
    by_key = {str(key).lower(): value for key, value in data.items()}
    # Where `error` is only a word, such as "Unauthorized", the message beside it says more.
    keys = _SAID_KEYS if isinstance(by_key.get("error"), dict | list) else (*_SAID_KEYS[1:], "error")
    for key in keys:
        value = by_key.get(key)
        said = said_in(value, depth - 1)
        if not said and key == "error" and isinstance(value, dict | list) and value:
            said = one_line(_plain(value))  # codes alone
        if said:
            return one_line(": ".join(filter(None, (_field_named(by_key, said), said, _said_behind(by_key, depth)))))
    return ""


def _field_named(error: Mapping[str, object], said: str) -> str:
    """The body field that an error is about, where its words do not name it: pydantic's ``loc``, OpenAI's ``param``."""
    place = error.get("loc")
    name = ".".join(map(str, place)) if isinstance(place, list) else error.get("param")
    return name if isinstance(name, str) and name.rpartition(".")[2] not in said else ""


def _said_behind(error: Mapping[str, object], depth: int) -> str:
    """What the provider behind a gateway said (OpenRouter's ``metadata.raw``)."""
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    with suppress(ValueError, TypeError, RecursionError):
        raw = json.loads(raw)  # type: ignore[arg-type]
    return said_in(raw, depth - 1)


def _entries(data: object, name: str = "", depth: int = _DEPTH) -> Iterator[tuple[str, object]]:
    """Every value in a body, at any depth, with the key in lower case that it stands under."""
    yield name, data
    if depth and isinstance(data, list):
        for entry in data[:20]:
            yield from _entries(entry, "", depth - 1)
    elif depth and isinstance(data, dict):
        for key, value in data.items():
            yield from _entries(value, str(key).lower(), depth - 1)


def _codes(data: object) -> Iterator[str]:
    """Every code, type, status and reason in an error, in lower case."""
    for name, value in _entries(data):
        if name in _CODE_KEYS and isinstance(value, str):
            yield value.rpartition("#")[2].lower()  # com.amazon.coral.availability#ThrottlingException
        elif name in _CODE_KEYS and type(value) is int and abs(value) < 10**9:  # more digits are no code
            yield str(value)


def _plain(data: object) -> str:
    try:
        return json.dumps(data, ensure_ascii=False)[:_READ]
    except (ValueError, RecursionError):
        return ""


# --- how long to wait: read out of headers and bodies, in seconds; nothing is bounded, but every wait is finite

LONGEST_ASKED_SECONDS = 3600.0
"""The longest wait that a provider may ask for, if the settings do not say otherwise."""
YEAR_SECONDS = 366 * 86_400.0

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_AMOUNT = (
    r"(\d{1,15}(?:\.\d{1,9})?)\s*"
    r"(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)(?![a-z])"
)
_DURATION = rf"(?:{_AMOUNT}[\s,]*(?:and\s+)?)+"
_WORDS = re.compile(
    rf"\b(?:try again|retry|retrying|wait|available again|resets?)\b[^\d\n]{{0,24}}?\s({_DURATION})",
    re.IGNORECASE,
)
"""“Please try again in 1m26.5s”, “retry after 20 seconds”, “please wait 46000 seconds before retrying”."""

_MILLISECONDS = re.compile(r"(?:x-(?:ms-)?)?retry-?after-?ms")
_SECONDS = re.compile(r"(?:x-)?retry-?after(?:-?seconds)?|retry-?delay|estimated-time")
_REFUSED = ("x-ratelimit-reset", "x-ratelimit-reset-after")
"""Resets that count where nobody says how much is left: it was too little."""


def asked_wait(headers: Mapping[str, str], data: object = None, *, now: float) -> float | None:
    """The seconds that a provider asks to wait, None when it asks for nothing.

    ``headers`` have lower-case names; ``data`` is the body, read as JSON or as text. The first that says something
    above 0 counts, of the headers before the body: milliseconds, seconds, words, and the longest reset of what is used
    up. Dates are taken against the server's own ``Date``, else against ``now`` in Unix seconds: the two clocks may be
    hours apart."""
    now = _date(headers.get("date"), 0.0) or now
    stated = [  # the headers of the provider behind a gateway are in the body
        (name.replace("_", "-"), str(value))
        for name, value in (*headers.items(), *_entries(data))
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    ]
    figures = dict(reversed(stated))

    def used_up(reset: str) -> bool:
        left = reset.removesuffix("-after").replace("reset", "remaining")
        return _number(figures.get(left, "0" if reset in _REFUSED else "")) == 0

    resets = (_wait(value, now) for name, value in stated if "ratelimit" in name and "reset" in name and used_up(name))
    found = [
        *(_wait(f"{value}ms", now) for name, value in stated if _MILLISECONDS.fullmatch(name)),
        *(_wait(value, now) for name, value in stated if _SECONDS.fullmatch(name)),
        *(_duration(words[1]) for _, value in stated if (words := _WORDS.search(value[:4000]))),
        max((seconds for seconds in resets if seconds is not None), default=None),
    ]
    asked = [seconds for seconds in found if seconds is not None]
    return next((seconds for seconds in asked if seconds > 0), 0.0 if asked else None)


def until(seconds: float, *, now: datetime | None = None) -> str:
    """When a wait of so many seconds ends, by the local clock: ``until 2026-11-30 14:05 CET``."""
    if seconds > 10 * YEAR_SECONDS:  # a mistake of the provider's, and perhaps no date at all
        return "for more than ten years"
    moment = (now or datetime.now(UTC)).astimezone() + timedelta(seconds=seconds)
    return f"until {moment:%Y-%m-%d %H:%M} {moment.tzname()}"


def _wait(stated: str, now: float) -> float | None:
    """Seconds out of a number, a duration, a date, or an epoch time in seconds or milliseconds; None for anything else,
    a negative number among it."""
    seconds = _number(stated)
    if seconds is not None:
        # A number near the present time is one: servers differ in whether a reset is a moment or a span.
        for moment in (seconds, seconds / 1000):
            if now > YEAR_SECONDS and abs(moment - now) < YEAR_SECONDS:
                return max(0.0, moment - now)
        return seconds
    span = _duration(stated)
    return _date(stated, now) if span is None else span


def _number(stated: str) -> float | None:
    try:
        number = float(stated)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _duration(stated: str) -> float | None:
    """``1m26.5s``, ``20ms``, ``6 minutes and 5 seconds``."""
    stated = stated.strip()
    if not re.fullmatch(_DURATION, stated, re.IGNORECASE):
        return None
    amounts = ((number, unit.lower()) for number, unit in re.findall(_AMOUNT, stated, re.IGNORECASE))
    return sum(float(n) * _UNITS["ms" if unit.startswith(("ms", "milli")) else unit[0]] for n, unit in amounts)


def _date(stated: str | None, now: float) -> float | None:
    """Seconds from ``now`` to an HTTP date or an RFC 3339 time."""
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        with suppress(ValueError, TypeError, OverflowError, IndexError, OSError):
            return max(0.0, parse(stated or "").timestamp() - now)
    return None
