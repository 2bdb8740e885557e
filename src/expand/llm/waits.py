"""How long a provider asks to wait: read out of headers and bodies, in seconds. Nothing is bounded here, but every wait
is a finite number of seconds.
"""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST_ASKED_SECONDS = 3600.0
"""The longest wait that a provider may ask for, if the settings do not say otherwise."""
YEAR_SECONDS = 366 * 86_400.0

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_UNIT = (
    r"(?:ms\b|milliseconds?|s(?![a-z])|secs?(?![a-z])|seconds?|m(?![a-z])|mins?(?![a-z])|minutes?|"
    r"h(?![a-z])|hrs?(?![a-z])|hours?|d(?![a-z])|days?)"
)
_AMOUNT = rf"\d{{1,15}}(?:\.\d{{1,9}})?\s*{_UNIT}"
_AMOUNTS = re.compile(rf"(\d{{1,15}}(?:\.\d{{1,9}})?)\s*({_UNIT})", re.IGNORECASE)
_DURATION = re.compile(rf"(?:{_AMOUNT}[\s,]*(?:and\s+)?)+", re.IGNORECASE)
_WORDS = re.compile(
    rf"\b(?:try again|retry|retrying|wait|available again|resets?)\b[^\d\n]{{0,24}}?\s({_DURATION.pattern})",
    re.IGNORECASE,
)
"""“Please try again in 1m26.5s”, “retry after 20 seconds”, “please wait 46000 seconds before retrying”."""

_KINDS = ("requests", "tokens", "input-tokens", "output-tokens", "project-tokens", "requests-day", "tokens-minute")
_SECONDS_KEYS = frozenset(
    {"retrydelay", "retry_delay", "retry_after", "retryafter", "retry_after_seconds", "retryafterseconds",
     "estimated_time", "retry-after"}
)  # fmt: skip
_MILLISECONDS_KEYS = frozenset({"retry_after_ms", "retryafterms", "retry-after-ms"})
_DEPTH = 8


def asked_wait(headers: Mapping[str, str], data: object = None, *, now: float) -> float | None:
    """The seconds that a provider asks to wait, None when it asks for nothing.

    ``headers`` have lower-case names; ``data`` is the body, read as JSON or as text. The first that says something
    above 0 counts: ``retry-after-ms``; ``retry-after`` and ``x-retry-after``; the body's fields, then its words; the
    reset times of what is used up. Dates are taken against the server's own ``Date``, else against ``now`` in Unix
    seconds: the two clocks may be hours apart."""
    now = _date(headers.get("date"), 0.0) or now
    stated = [*_from_headers(headers, now), *_from_body(data, now), *_from_resets(headers, now)]
    found = [seconds for seconds in stated if seconds is not None]
    return next((seconds for seconds in found if seconds > 0), 0.0 if found else None)


def until(seconds: float, *, now: datetime | None = None) -> str:
    """When a wait of so many seconds ends, by the local clock: ``until 2026-11-30 14:05 CET``."""
    if seconds > 10 * YEAR_SECONDS:  # a mistake of the provider's, and perhaps no date at all
        return "for more than ten years"
    moment = (now or datetime.now(UTC)).astimezone() + timedelta(seconds=seconds)
    return f"until {moment:%Y-%m-%d %H:%M} {moment.tzname()}"


def _from_headers(headers: Mapping[str, str], now: float) -> Iterator[float | None]:
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        milliseconds = _number(headers.get(name))
        yield None if milliseconds is None else milliseconds / 1000
    for name in ("retry-after", "x-retry-after"):
        yield _wait(headers.get(name), now)


def _from_body(data: object, now: float) -> Iterator[float | None]:
    yield from _fields(data, now, _DEPTH)
    for text in _texts(data, _DEPTH):
        if words := _WORDS.search(text[:4000]):
            yield _duration(words[1])


def _fields(data: object, now: float, depth: int) -> Iterator[float | None]:
    if not depth:
        return
    if isinstance(data, list):
        for entry in data[:20]:
            yield from _fields(entry, now, depth - 1)
    elif isinstance(data, dict):
        for key, value in data.items():
            name = str(key).lower()
            if isinstance(value, dict) and name == "headers":  # those of the provider behind a gateway
                lower = {str(header).lower(): str(text)[:200] for header, text in value.items()}
                yield from _from_headers(lower, now)
                yield from _from_resets(lower, now)
            elif isinstance(value, dict | list):
                yield from _fields(value, now, depth - 1)
            elif isinstance(value, str | int | float) and not isinstance(value, bool):
                if name in _SECONDS_KEYS:
                    yield _wait(str(value), now)
                elif name in _MILLISECONDS_KEYS:
                    milliseconds = _number(str(value))
                    yield None if milliseconds is None else milliseconds / 1000


def _from_resets(headers: Mapping[str, str], now: float) -> Iterator[float | None]:
    """The longest reset among what is used up; the one of a limit that has something left says nothing."""
    used_up = [
        _wait(headers.get(f"{family}-reset-{kind}") or headers.get(f"{family}-{kind}-reset"), now)
        for family in ("x-ratelimit", "anthropic-ratelimit")
        for kind in _KINDS
        if 0 in (_number(headers.get(f"{family}-remaining-{kind}")), _number(headers.get(f"{family}-{kind}-remaining")))
    ]
    if _number(headers.get("x-ratelimit-remaining")) in (0, None):
        used_up += [_wait(headers.get(name), now) for name in ("x-ratelimit-reset-after", "x-ratelimit-reset")]
    if _number(headers.get("ratelimit-remaining")) == 0:
        used_up.append(_wait(headers.get("ratelimit-reset"), now))
    yield max((seconds for seconds in used_up if seconds is not None), default=None)


def _wait(stated: str | None, now: float) -> float | None:
    """Seconds out of a number, a duration, a date, or an epoch time in seconds or milliseconds; None for anything else,
    a negative number among it."""
    if stated is None:
        return None
    seconds = _number(stated)
    if seconds is not None:
        # A number near the present time is one: servers differ in whether a reset is a moment or a span.
        for moment in (seconds, seconds / 1000):
            if now > YEAR_SECONDS and abs(moment - now) < YEAR_SECONDS:
                return max(0.0, moment - now)
        return seconds
    span = _duration(stated)
    return _date(stated, now) if span is None else span


def _number(stated: str | None) -> float | None:
    try:
        number = float(stated) if stated is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _duration(stated: str) -> float | None:
    """``1m26.5s``, ``20ms``, ``6 minutes and 5 seconds``."""
    stated = stated.strip()
    if not _DURATION.fullmatch(stated):
        return None
    amounts = ((number, unit.lower()) for number, unit in _AMOUNTS.findall(stated))
    return sum(float(n) * _UNITS["ms" if unit.startswith(("ms", "milli")) else unit[0]] for n, unit in amounts)


def _date(stated: str | None, now: float) -> float | None:
    """Seconds from ``now`` to an HTTP date or an RFC 3339 time."""
    if not stated:
        return None
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            return max(0.0, parse(stated).timestamp() - now)
        except (ValueError, TypeError, OverflowError, IndexError, OSError):
            pass
    return None


def _texts(data: object, depth: int) -> Iterator[str]:
    """All texts of an error object."""
    if isinstance(data, str):
        yield data
    elif depth and isinstance(data, list):
        for entry in data[:20]:
            yield from _texts(entry, depth - 1)
    elif depth and isinstance(data, dict):
        for value in data.values():
            yield from _texts(value, depth - 1)
