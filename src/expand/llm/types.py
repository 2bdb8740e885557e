"""What a request to an author model and its answer are, and the protocol every author speaks.

Nothing here sends anything. Token counts follow the provider's own report: ``prompt`` includes
``cached``, ``completion`` includes ``reasoning``.
"""

import enum
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple, Protocol
from urllib.parse import quote

from expand.redaction import printable
from expand.schema import Json

Role = Literal["system", "user", "assistant"]
Purpose = Literal["draft", "continue", "repair", "revise", "brief", "review", "translate"]
OutputCapName = Literal["max_completion_tokens", "max_tokens"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One chat message."""

    role: Role
    content: str


@dataclass(frozen=True, kw_only=True)
class Request:
    """One chat completion request: what is sent, and nothing of where it is sent.

    ``max_output_tokens`` is the output cap that goes out with it, in tokens. ``parameters`` are
    sampling settings and provider extras, merged into the request body as they are. ``edition``
    is never sent: it is raised to buy a fresh answer to the same words."""

    model: str
    messages: tuple[Message, ...]
    max_output_tokens: int
    parameters: Mapping[str, Json] = field(default_factory=dict)
    edition: int = 0

    def canonical(self) -> str:
        """The canonical JSON form: sorted keys, no spaces, UTF-8 text as it is.

        The output cap is not in it. Caps follow what the ledger has seen of a model, and the same words are not to be
        bought again because a cap has changed."""
        form = {
            "edition": self.edition,
            "messages": [[m.role, m.content] for m in self.messages],
            "model": self.model,
            "parameters": dict(self.parameters),
        }
        return json.dumps(form, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @cached_property
    def key(self) -> str:
        """The request's identity: sha256 over its canonical form, 64 hexadecimal digits."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestForm:
    """How one server takes requests to one model, by the names that a profile has for it. The request itself, and with
    it its key in the ledger, stays the same.

    ``max_output_tokens`` bounds the cap that goes out; None where nothing but the request does. ``leave_out`` are names
    of parameters that do not go out; with ``stream_options`` among them, a stream does not end with the usage."""

    output_cap_name: OutputCapName = "max_completion_tokens"
    max_output_tokens: int | None = None
    leave_out: frozenset[str] = frozenset()
    stream: bool = True
    system_role: Literal["system", "user"] = "system"

    def cap(self, request: Request) -> int:
        """The output cap that goes out: never above the request's own."""
        return min(request.max_output_tokens, self.max_output_tokens or request.max_output_tokens)

    def body(self, request: Request) -> dict[str, Json]:
        """The fields of the body beside model and messages."""
        kept = {name: value for name, value in request.parameters.items() if name not in self.leave_out}
        return {**kept, self.output_cap_name: self.cap(request)}

    def messages(self, request: Request) -> list[dict[str, str]]:
        """The messages. Without a system role its text goes before the first message of the user."""
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        if self.system_role == "user" and len(messages) > 1 and messages[0]["role"] == "system":
            system, first, *others = messages
            return [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *others]
        return messages


class Address(NamedTuple):
    """Whom an attempt is made for: chapter id, section number (from 1) and purpose."""

    chapter: str
    section: int
    purpose: Purpose

    def header(self, attempt_id: str) -> str:
        """The value of ``X-Client-Request-Id``; the chapter id is percent-encoded to ASCII."""
        return f"{quote(self.chapter, safe='')}/{self.section}/{self.purpose}/{attempt_id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens of one answer, as the provider reported them."""

    prompt: int
    completion: int
    cached: int = 0
    reasoning: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt=self.prompt + other.prompt,
            completion=self.completion + other.completion,
            cached=self.cached + other.cached,
            reasoning=self.reasoning + other.reasoning,
        )

    @property
    def total(self) -> int:
        """Prompt and completion together; cached and reasoning tokens are inside them."""
        return self.prompt + self.completion


NO_USAGE = Usage(prompt=0, completion=0)


class Finish(enum.StrEnum):
    """Why the author stopped."""

    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    OTHER = "other"
    CUT = "cut"
    """The connection broke, or the run was stopped, after some text had arrived."""
    REPETITION = "repetition"
    """The text repeated without end, so reading it was stopped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back for a request and was paid for, whether or not a draft can use it.

    ``text`` is the provider's text byte for byte ("" when there was none). ``usage`` is None when
    the provider reported none. ``model`` is the model that the provider says has answered."""

    text: str
    finish: Finish
    usage: Usage | None
    model: str = ""
    provider_request_id: str = ""

    @property
    def usable(self) -> bool:
        """Whether the text may go into a draft: there is some, and it is no refusal."""
        return bool(self.text.strip()) and self.finish not in (Finish.CONTENT_FILTER, Finish.REFUSAL)


class Failure(enum.StrEnum):
    """What became of an attempt without an answer; ``client.retry_policy`` says what each means."""

    UNREACHABLE = "unreachable"
    """The connection was never made, so nothing was sent."""
    BAD_REQUEST = "bad_request"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    QUOTA = "quota"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    """The server refused before it began: it is full, or still loading its model."""
    TOO_LONG = "too_long"
    """Prompt and output cap are above what the model, or the account, takes in one request."""
    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"
    SERVER_ERROR = "server_error"
    FILTERED = "filtered"
    """A filter refused the prompt with an error; Azure bills that, other than a bad request."""
    GARBLED = "garbled"
    """An answer arrived with a success status, but it is not a chat completion."""
    CRASHED = "crashed"
    """The process ended between sending and settling."""
    CANCELLED = "cancelled"
    """The run was stopped before the answer arrived."""


@dataclass(eq=False, repr=False)
class AttemptFailedError(Exception):
    """An attempt brought no answer. Raised by authors only; never leaves the client.

    ``retry_after_seconds`` is what the provider asked for; None when it asked for nothing. ``remedy`` takes the place
    of the one that the failure has in general. ``mended`` says what the author does otherwise from now on, so that the
    same request may be sent again at once; "" if it was said before, None where nothing was mended. An answer that
    broke off may have said before what it costs: ``usage``. Its text went to ``on_text``. ``model`` and
    ``provider_request_id`` are an ``Answer``'s, "" where nothing was said. The message is printable: it may repeat what
    a server said."""

    failure: Failure
    message: str
    _: KW_ONLY
    status: int | None = None
    retry_after_seconds: float | None = None
    usage: Usage | None = None
    model: str = ""
    provider_request_id: str = ""
    remedy: str = ""
    mended: str | None = None

    def __post_init__(self) -> None:
        self.message = printable(self.message)
        super().__init__(self.message)


OnText = Callable[[str], None]
"""Gets each piece of an answer's text as it arrives."""


def ignore_text(piece: str) -> None:
    """Do nothing with a piece of text."""


class Author(Protocol):
    """Anything that turns a request into an answer."""

    async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
        """Send the request once; call ``on_text`` with each piece of text as it arrives.

        Raises ``AttemptFailedError`` when no whole answer came. The caller keeps the pieces that arrived before: they
        are an answer that was cut. An author that is cancelled may raise ``CancelledError`` from such an error, which
        says what it knows of the answer."""
        ...
