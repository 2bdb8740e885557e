"""Reading what a provider sent back: a completion's body into an answer, an error into a failure, waits out of headers.

Pure: nothing is sent, and no SDK is needed. A provider's word is not trusted: whatever is not a
chat completion is ``GARBLED``, and a usage that cannot be true is none at all.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from expand.llm.types import Answer, AttemptFailedError, Failure, Finish, OnText, Usage, ignore_text
from expand.markdown.repetition import LoopDetector

MESSAGE_LIMIT = 300
"""The most characters of a provider's words that a message of ours repeats."""

_FINISHES = {
    "stop": Finish.STOP,
    "length": Finish.LENGTH,
    "content_filter": Finish.CONTENT_FILTER,
}

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

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class StreamedAnswer:
    """An answer as its chunks arrive, or all at once. ``on_text`` gets each piece of text.

    Reasoning is no text. ``model`` and ``usage`` are what the server has said so far.
    """

    def __init__(self, on_text: OnText = ignore_text) -> None:
        self.model = ""
        self.usage: Usage | None = None
        self.final_usage: Usage | None = None
        """The usage of the whole answer. Some servers report what they have used so far with every chunk: less than
        they will bill once the connection is broken."""
        self.started = False
        self._on_text = on_text
        self._loops = LoopDetector()
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._finish: Finish | None = None
        self._whole = False
        self._error = ""

    def add(self, chunk: object) -> None:
        """Read one chunk; one that is no chunk of a chat completion says nothing."""
        if not isinstance(chunk, dict):
            return
        self.started = True
        model = chunk.get("model")
        self.model = model if isinstance(model, str) and model else self.model
        choice = _first_choice(chunk)
        usage = usage_from(chunk.get("usage")) or usage_from((choice or {}).get("usage"))
        self.usage = usage or self.usage
        if choice is None:
            self.final_usage = usage or self.final_usage
            self._error = self._error or said_in(chunk.get("error"))
            return
        self._read(choice, choice.get("delta") or (None if self._text else choice.get("message")))
        if self._finish is not None:
            self.final_usage = self.usage

    def add_whole(self, body: bytes) -> None:
        """Read a whole chat completion, or all chunks of one from a server that streams without being asked to.

        Raises ``AttemptFailedError`` with ``GARBLED`` for any other body.
        """
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            if self._add_events(body):
                return
            seen = one_line(body[:2000].decode("utf-8", "replace"))
            raise garbled(f"not JSON: {seen}" if seen else "an empty answer") from None
        if not isinstance(data, dict):
            raise garbled("JSON, but not an object")
        choice = _first_choice(data)
        if choice is None:
            raise garbled(said_in(data) or "no choices in it")
        message, error = choice.get("message"), said_in(choice.get("error"))
        if not isinstance(message, dict):
            raise garbled(error or "a choice without a message")
        model = data.get("model")
        self.model = model if isinstance(model, str) else ""
        self.usage = self.final_usage = usage_from(data.get("usage"))
        self._whole = True
        self._read(choice, message)

    def _add_events(self, body: bytes) -> bool:
        for line in body.split(b"\n"):
            if line.startswith(b"data:"):
                with suppress(ValueError, RecursionError):
                    self.add(json.loads(line.removeprefix(b"data:")))
        self._whole = b"[DONE]" in body
        return self.started

    def _read(self, choice: Mapping[str, object], message: object) -> None:
        self._error = self._error or said_in(choice.get("error"))
        if isinstance(message, dict):
            if text := _text(message.get("content")):
                self._text.append(text)
                self._on_text(text)
                if not self._whole:
                    self._loops.feed(text)
            refusal = message.get("refusal")
            if isinstance(refusal, str):
                self._refusal.append(refusal)
        reason = choice.get("finish_reason")
        if reason is not None:
            self._finish = _FINISHES.get(reason, Finish.OTHER) if isinstance(reason, str) else Finish.OTHER

    @property
    def complete(self) -> bool:
        """Whether the author has said why it stopped: a connection that breaks after that takes nothing away."""
        return self._finish is not None

    @property
    def looping(self) -> bool:
        """Whether the text repeats without end, and the author has not stopped: no more of it is worth its price."""
        return self._loops.looping and not self.complete

    def finished(self, *, request_id: str = "", done: bool = False) -> Answer:
        """The answer. ``request_id`` is the provider's own, from the headers; ``done`` says that a stream came to its
        ``[DONE]``.

        Raises ``AttemptFailedError``: ``DISCONNECTED`` for a stream that ended without saying that it is complete,
        ``GARBLED`` for one that brought an error or nothing at all.
        """
        text, refusal = "".join(self._text), "".join(self._refusal)
        if self._error and not text:
            raise garbled(self._error)
        if self.looping:
            # What the server has said of its usage is not all: it may have written on until the connection closed.
            self._finish, self.usage = Finish.REPETITION, self.final_usage
        if self._finish is None and not (done or self._whole):
            raise AttemptFailedError(Failure.DISCONNECTED, "the connection was lost: the stream ended too early")
        if not self.started and not self._whole:
            raise garbled("an empty answer")
        return Answer(
            text=refusal or text,
            finish=Finish.REFUSAL if refusal else self._finish or Finish.OTHER,
            usage=self.usage,
            model=self.model,
            provider_request_id=request_id,
        )


def answer_from(body: bytes, *, request_id: str = "") -> Answer:
    """The answer in the body of a success that is not streamed. Raises as ``StreamedAnswer.add_whole`` does."""
    answer = StreamedAnswer()
    answer.add_whole(body)
    return answer.finished(request_id=request_id)


def _first_choice(data: Mapping[str, object]) -> Mapping[str, object] | None:
    choices = data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    return choice if isinstance(choice, dict) else None


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


def garbled(what: str) -> AttemptFailedError:
    """The failure of a success whose body is no chat completion."""
    return AttemptFailedError(Failure.GARBLED, f"the answer is no chat completion: {what}")


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return ""


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
