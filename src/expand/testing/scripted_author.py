"""An author in the process that writes to order: no network, no key, the same text every time."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import unquote

from expand.llm.types import Answer, AttemptFailedError, Failure, Finish, OnText, Request, Usage, ignore_text
from expand.testing.behaviours import (
    ERRORS,
    INTERRUPTED,
    Asked,
    LineRequest,
    Script,
    billed,
    pieces_of,
)

_KINDS = {
    "rate_limited": Failure.RATE_LIMITED,
    "unauthorized": Failure.UNAUTHORIZED,
    "insufficient_quota": Failure.QUOTA,
    "bad_request": Failure.BAD_REQUEST,
    "server_error": Failure.SERVER_ERROR,
}
FAILURES: Mapping[str, tuple[Failure, str]] = MappingProxyType(
    {
        **{name: (failure, ERRORS[name][1]) for name, failure in _KINDS.items()},
        **dict.fromkeys(("timeout", "stalled_stream"), (Failure.TIMEOUT, "no answer in time")),
        **dict.fromkeys(
            ("drop", "broken_stream", "broken_stream_with_usage"), (Failure.DISCONNECTED, "the connection was lost")
        ),
        **dict.fromkeys(("error_in_success", "error_in_stream"), (Failure.GARBLED, "upstream failed")),
        "not_json": (Failure.GARBLED, "the answer is not JSON"),
        "html": (Failure.GARBLED, "the answer is a web page"),
        "unfinished_stream": (Failure.DISCONNECTED, "the stream ended before the answer"),
    }
)
"""The failure and message of each behaviour that brings no whole answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SentRequest(Asked):
    """One request as it was sent: its section and purpose, the request, and the behaviour it met."""

    chapter: str
    section: int
    purpose: str
    attempt_id: str
    request: Request
    behaviour: str = "own"

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Role and text of each message."""
        return [(message.role, message.content) for message in self.request.messages]

    @property
    def question(self) -> LineRequest:
        """The lines asked for, and the section."""
        return LineRequest(text=self.last_user_message, chapter=self.chapter, section=self.section)

    @property
    def asked_lines(self) -> int:
        """The number of lines that the request asks for."""
        return self.question.asked[0]


Written = str | Answer | AttemptFailedError


@dataclass
class ScriptedAuthor(Script):
    """An ``Author``: hand it to ``expand_chapter(author=…)``.

    ``answers`` are given to the first requests in turn: a text, an ``Answer``, or an ``AttemptFailedError`` to raise.
    After them ``write`` is asked for each answer, if it is given; without either, the script holds. ``requests`` holds
    what was sent, in order. ``retry_after_seconds`` is what failures ask for."""

    answers: Sequence[Written] = ()
    write: Callable[[SentRequest], Written] | None = None
    retry_after_seconds: float = 0.0
    requests: list[SentRequest] = field(default_factory=list)

    async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
        """Answers as scripted. Raises ``AttemptFailedError``."""
        index = len(self.requests)
        chapter, section, purpose, attempt_id = client_request_id.split("/")
        own = self.write is not None or index < len(self.answers)
        behaviour = "own" if own else self.behaviour_of(index, int(section))
        sent = SentRequest(
            chapter=unquote(chapter),
            section=int(section),
            purpose=purpose,
            attempt_id=attempt_id,
            request=request,
            behaviour=behaviour,
        )
        self.requests.append(sent)
        await asyncio.sleep(self.latency_seconds)
        if behaviour != "own":
            answer, failure = self._scripted(sent)
        else:
            said = self.answers[index] if index < len(self.answers) or self.write is None else self.write(sent)
            if isinstance(said, AttemptFailedError):
                raise said
            answer, failure = said if isinstance(said, Answer) else _answer(sent, said, Finish.STOP), None
        if answer.finish is not Finish.REFUSAL:
            for piece in pieces_of(answer.text, self.chunk_characters):
                on_text(piece)
                if self.chunk_seconds:
                    await asyncio.sleep(self.chunk_seconds)
        if failure is not None:
            raise failure
        return answer

    def _scripted(self, sent: SentRequest) -> tuple[Answer, AttemptFailedError | None]:
        """The text that arrives, and the failure that ends it."""
        behaviour = sent.behaviour
        text, why = "", "stop"
        if behaviour not in FAILURES or behaviour in INTERRUPTED:
            text, why = self.written(sent.question, behaviour)
        if behaviour not in FAILURES:
            return _answer(sent, text, Finish.REFUSAL if behaviour == "refusal" else Finish(why)), None
        whole = _answer(sent, text, Finish.CUT)
        failure, message = FAILURES[behaviour]
        return _answer(sent, text[: len(text) // 2], Finish.CUT), AttemptFailedError(
            failure,
            message,
            status=ERRORS[behaviour][0] if behaviour in ERRORS else None,
            retry_after_seconds=self.retry_after_seconds,
            usage=whole.usage if behaviour == "broken_stream_with_usage" else None,
            model=whole.model,
            provider_request_id=whole.provider_request_id,
        )


def _answer(sent: SentRequest, text: str, finish: Finish) -> Answer:
    prompt, completion = billed(sent.prompt_text, text, sent.behaviour)
    return Answer(
        text=text,
        finish=finish,
        usage=None if sent.behaviour == "no_usage" else Usage(prompt=prompt, completion=completion),
        model=sent.request.model,
        provider_request_id=f"scripted-{sent.attempt_id}",
    )
