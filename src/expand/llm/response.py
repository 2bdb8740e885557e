"""Reading what a provider sent back as a success: a completion's body, or its chunks, into an answer.

Pure: nothing is sent, and no SDK is needed. A provider's word is not trusted: whatever is not a
chat completion is ``GARBLED``, and a usage that cannot be true is none at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from expand.llm.failures import one_line, said_in
from expand.llm.types import Answer, AttemptFailedError, Failure, Finish, OnText, Usage, ignore_text

_FINISHES = {
    "stop": Finish.STOP,
    "length": Finish.LENGTH,
    "content_filter": Finish.CONTENT_FILTER,
}

_REQUEST_IDS = ("x-request-id", "x-litellm-call-id", "apim-request-id")
"""Response headers: OpenAI's and most others', LiteLLM's, Azure's gateway's."""


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

    def finished(self, *, request_id: str = "", done: bool = False) -> Answer:
        """The answer. ``request_id`` is the provider's own, from the headers; ``done`` says that a stream came to its
        ``[DONE]``.

        Raises ``AttemptFailedError``: ``DISCONNECTED`` for a stream that ended without saying that it is complete,
        ``GARBLED`` for one that brought an error or nothing at all.
        """
        text, refusal = "".join(self._text), "".join(self._refusal)
        if self._error and not text:
            raise garbled(self._error)
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
