"""An author in the process that writes to order: no network, no key, the same text every time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import unquote

from expand.llm.types import Answer, AttemptFailedError, Failure, Finish, OnText, Request, Usage, ignore_text
from expand.testing.behaviours import Behaviour, billed, written
from expand.testing.text_generator import LineRequest, TextGenerator

FAILURES: Mapping[str, tuple[Failure, int | None, str]] = MappingProxyType(
    {
        "rate_limited": (Failure.RATE_LIMITED, 429, "Rate limit reached"),
        "unauthorized": (Failure.UNAUTHORIZED, 401, "Incorrect API key provided"),
        "insufficient_quota": (Failure.QUOTA, 429, "You exceeded your current quota"),
        "bad_request": (Failure.BAD_REQUEST, 400, "Unsupported parameter: 'temperature'"),
        "server_error": (Failure.SERVER_ERROR, 500, "The server had an error"),
        "timeout": (Failure.TIMEOUT, None, "no answer in time"),
        "hang": (Failure.TIMEOUT, None, "no answer in time"),
        "drop": (Failure.DISCONNECTED, None, "the connection was dropped"),
        "not_json": (Failure.GARBLED, 200, "the answer is not JSON"),
        "html": (Failure.GARBLED, 200, "the answer is a web page"),
        "error_in_success": (Failure.GARBLED, 200, "upstream failed"),
    }
)
"""What the habits that bring no answer are for an author: failure, HTTP status, message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SentRequest:
    """One request as it was sent: whom it was for, the words, and the habit it met."""

    chapter: str
    section: int
    purpose: str
    attempt_id: str
    request: Request
    habit: str = "own"

    @property
    def prompt_text(self) -> str:
        """All messages, one after the other."""
        return "\n".join(message.content for message in self.request.messages)

    @property
    def last_user_message(self) -> str:
        """The section's own request, which says how many lines are wanted."""
        said = [m.content for m in self.request.messages if m.role == "user"]
        return said[-1] if said else ""

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
    each answer, if it is given. Without either, ``script`` has one habit for each of the first
    requests, ``by_section`` one for every request of a section, and ``habit`` is for all others.
    ``requests`` holds what was sent, in order. ``retry_after_seconds`` is what failures ask for.
    """

    ratio: float = 1.0
    habit: Behaviour = "normal"
    script: Sequence[Behaviour] = ()
    by_section: Mapping[int, Behaviour] = field(default_factory=dict)
    answers: Sequence[Written] = ()
    write: Callable[[SentRequest], Written] | None = None
    latency_seconds: float = 0.0
    retry_after_seconds: float = 0.0
    requests: list[SentRequest] = field(default_factory=list)
    _prose: TextGenerator = field(default_factory=TextGenerator, repr=False)

    async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
        """Answers as the script has it. Raises ``AttemptFailedError``."""
        index = len(self.requests)
        sent = self._sent(request, client_request_id, index)
        self.requests.append(sent)
        await asyncio.sleep(self.latency_seconds)
        if index < len(self.answers):
            return self._own(sent, self.answers[index])
        if self.write is not None:
            return self._own(sent, self.write(sent))
        return self._scripted(sent)

    def _sent(self, request: Request, client_request_id: str, index: int) -> SentRequest:
        chapter, section, purpose, attempt_id = client_request_id.split("/")
        own = self.write is not None or index < len(self.answers)
        habit = self.by_section.get(int(section), self.habit)
        return SentRequest(
            chapter=unquote(chapter),
            section=int(section),
            purpose=purpose,
            attempt_id=attempt_id,
            request=request,
            habit="own" if own else self.script[index] if index < len(self.script) else habit,
        )

    def _own(self, sent: SentRequest, answer: Written) -> Answer:
        if isinstance(answer, AttemptFailedError):
            raise answer
        if isinstance(answer, Answer):
            return answer
        return _answer(sent, answer, Finish.STOP, "normal")

    def _scripted(self, sent: SentRequest) -> Answer:
        if sent.habit in FAILURES:
            failure, status, message = FAILURES[sent.habit]
            raise AttemptFailedError(failure, message, status=status, retry_after_seconds=self.retry_after_seconds)
        text, why = written(sent.question, sent.habit, prose=self._prose, ratio=self.ratio)
        finish = Finish.REFUSAL if sent.habit == "refusal" else Finish(why)
        return _answer(sent, text, finish, sent.habit)


def _answer(sent: SentRequest, text: str, finish: Finish, habit: str) -> Answer:
    prompt, completion = billed(sent.prompt_text, text, habit)
    return Answer(
        text=text,
        finish=finish,
        usage=None if habit == "no_usage" else Usage(prompt=prompt, completion=completion),
        model=sent.request.model,
        provider_request_id=f"scripted-{sent.attempt_id}",
    )
