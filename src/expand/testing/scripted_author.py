"""An author in the process that writes to order: no network, no key, the same text every time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import unquote

from expand.llm.types import Answer, AttemptFailedError, Failure, Finish, OnText, Request, Usage, ignore_text
from expand.testing.behaviours import ERRORS, INTERRUPTED, Behaviour, billed, pieces_of, written
from expand.testing.text_generator import LineRequest, TextGenerator

FAILURES: Mapping[str, tuple[Failure, str]] = MappingProxyType(
    {
        "rate_limited": (Failure.RATE_LIMITED, ERRORS["rate_limited"][1]),
        "unauthorized": (Failure.UNAUTHORIZED, ERRORS["unauthorized"][1]),
        "insufficient_quota": (Failure.QUOTA, ERRORS["insufficient_quota"][1]),
        "bad_request": (Failure.BAD_REQUEST, ERRORS["bad_request"][1]),
        "server_error": (Failure.SERVER_ERROR, ERRORS["server_error"][1]),
        "timeout": (Failure.TIMEOUT, "no answer in time"),
        "hang": (Failure.TIMEOUT, "no answer in time"),
        "drop": (Failure.DISCONNECTED, "the connection was lost"),
        "not_json": (Failure.GARBLED, "the answer is not JSON"),
        "html": (Failure.GARBLED, "the answer is a web page"),
        "error_in_success": (Failure.GARBLED, "upstream failed"),
        "broken_stream": (Failure.DISCONNECTED, "the connection was lost"),
        "broken_stream_with_usage": (Failure.DISCONNECTED, "the connection was lost"),
        "stalled_stream": (Failure.TIMEOUT, "no answer in time"),
        "unfinished_stream": (Failure.DISCONNECTED, "the stream ended before the answer"),
        "error_in_stream": (Failure.GARBLED, "upstream failed"),
    }
)
"""The failure and message of each behaviour that brings no whole answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SentRequest:
    """One request as it was sent: whom it was for, the words, and the behaviour it met."""

    chapter: str
    section: int
    purpose: str
    attempt_id: str
    request: Request
    behaviour: str = "own"

    @property
    def prompt_text(self) -> str:
        """All messages, one after the other."""
        return "\n".join(message.content for message in self.request.messages)

    @property
    def last_user_message(self) -> str:
        """The section's own request, which says how many lines are wanted."""
        user = [m.content for m in self.request.messages if m.role == "user"]
        return user[-1] if user else ""

    @property
    def question(self) -> LineRequest:
        """What is asked, and for which section."""
        return LineRequest(text=self.last_user_message, chapter=self.chapter, section=self.section)

    @property
    def asked_lines(self) -> int:
        """The number of lines that the request asks for."""
        return self.question.asked[0]


Written = str | Answer | AttemptFailedError


@dataclass
class ScriptedAuthor:
    """An ``Author``: hand it to ``expand_chapter(author=…)``.

    ``ratio`` of the lines asked is delivered. ``answers`` are given to the first requests in turn:
    a text, an ``Answer``, or an ``AttemptFailedError`` to raise. After them ``write`` is asked for
    each answer, if it is given. Without either, ``script`` has one behaviour for each of the first
    requests, ``by_section`` one for every request of a section, and ``behaviour`` is for all others.
    Text is handed out in pieces of ``chunk_characters``, ``chunk_seconds`` apart.
    ``requests`` holds what was sent, in order. ``retry_after_seconds`` is what failures ask for.
    """

    ratio: float = 1.0
    behaviour: Behaviour = "normal"
    script: Sequence[Behaviour] = ()
    by_section: Mapping[int, Behaviour] = field(default_factory=dict)
    answers: Sequence[Written] = ()
    write: Callable[[SentRequest], Written] | None = None
    latency_seconds: float = 0.0
    chunk_characters: int = 40
    chunk_seconds: float = 0.0
    retry_after_seconds: float = 0.0
    requests: list[SentRequest] = field(default_factory=list)
    _generator: TextGenerator = field(default_factory=TextGenerator, repr=False)

    async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
        """Answer as the script has it. Raises ``AttemptFailedError``."""
        index = len(self.requests)
        sent = self._sent(request, client_request_id, index)
        self.requests.append(sent)
        await asyncio.sleep(self.latency_seconds)
        if index < len(self.answers):
            answer = _own(sent, self.answers[index])
        elif self.write is not None:
            answer = _own(sent, self.write(sent))
        else:
            answer = await self._scripted(sent, on_text)
        if answer.finish is not Finish.REFUSAL:
            await self._hand_out(answer.text, on_text)
        return answer

    def _sent(self, request: Request, client_request_id: str, index: int) -> SentRequest:
        chapter, section, purpose, attempt_id = client_request_id.split("/")
        own = self.write is not None or index < len(self.answers)
        behaviour = self.by_section.get(int(section), self.behaviour)
        return SentRequest(
            chapter=unquote(chapter),
            section=int(section),
            purpose=purpose,
            attempt_id=attempt_id,
            request=request,
            behaviour="own" if own else self.script[index] if index < len(self.script) else behaviour,
        )

    async def _scripted(self, sent: SentRequest, on_text: OnText) -> Answer:
        behaviour = sent.behaviour
        if behaviour in FAILURES and behaviour not in INTERRUPTED:
            raise self._failure(behaviour)
        text, why = written(sent.question, behaviour, generator=self._generator, ratio=self.ratio)
        if behaviour in INTERRUPTED:
            await self._hand_out(text[: len(text) // 2], on_text)
            answer = _answer(sent, text, Finish.CUT, behaviour)
            raise self._failure(behaviour, answer if behaviour == "broken_stream_with_usage" else None)
        finish = Finish.REFUSAL if behaviour == "refusal" else Finish(why)
        return _answer(sent, text, finish, behaviour)

    def _failure(self, behaviour: str, reported: Answer | None = None) -> AttemptFailedError:
        failure, message = FAILURES[behaviour]
        return AttemptFailedError(
            failure,
            message,
            status=ERRORS[behaviour][0] if behaviour in ERRORS else None,
            retry_after_seconds=self.retry_after_seconds,
            usage=reported.usage if reported else None,
            model=reported.model if reported else "",
        )

    async def _hand_out(self, text: str, on_text: OnText) -> None:
        for piece in pieces_of(text, self.chunk_characters):
            on_text(piece)
            if self.chunk_seconds:
                await asyncio.sleep(self.chunk_seconds)


def _own(sent: SentRequest, answer: Written) -> Answer:
    if isinstance(answer, AttemptFailedError):
        raise answer
    if isinstance(answer, Answer):
        return answer
    return _answer(sent, answer, Finish.STOP, "normal")


def _answer(sent: SentRequest, text: str, finish: Finish, behaviour: str) -> Answer:
    prompt, completion = billed(sent.prompt_text, text, behaviour)
    return Answer(
        text=text,
        finish=finish,
        usage=None if behaviour == "no_usage" else Usage(prompt=prompt, completion=completion),
        model=sent.request.model,
        provider_request_id=f"scripted-{sent.attempt_id}",
    )
