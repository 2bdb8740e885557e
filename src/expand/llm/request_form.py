"""The form in which one server takes requests to one model, and how it is mended when the server refuses it.

Servers differ in the name of the output cap, in the sampling parameters that a model takes, in how they stream, and in
whether they know a system message. A refusal with a 400 names the field and is billed by nobody, so the author asks
otherwise from then on. The request itself, and with it its key in the ledger, stays the same.

What is left out shapes the text alone. A parameter that may hold a promise (a price, a route, privacy) is never left
out, and neither is the output cap, which the reservation rests on.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from expand.llm.profile import OutputCapName, Profile, SystemRole
from expand.llm.types import AttemptFailedError, Failure, Message, Request
from expand.paths import packaged_table
from expand.schema import Json

MENDABLE = frozenset({Failure.BAD_REQUEST, Failure.NOT_FOUND})
"""The failures that may be about the form: some servers answer 404 to a parameter that no host of a model takes."""

_WORDS = packaged_table("answers")["form"]
SHAPING: Collection[str] = _WORDS["shaping"]
"""The parameters that may be left out: they shape the text, or its speed, and nothing else."""

LEAST_CAP = 256
"""A smaller cap is not believed to be the model's: it would cut every answer."""

_CAPS: tuple[OutputCapName, OutputCapName] = ("max_completion_tokens", "max_tokens")
_STREAM = re.compile(r"\bstream(?:s|ed|ing)?\b", re.IGNORECASE)
_STREAM_OPTIONS = re.compile(r"stream_options|include_usage", re.IGNORECASE)
_UNKNOWN, _SYSTEM = (re.compile("|".join(_WORDS[name]), re.IGNORECASE) for name in ("unknown", "system"))
_MOST = tuple(re.compile(words, re.IGNORECASE) for words in _WORDS["most"])
"""How the largest output cap that a model takes is stated."""


class Mode(enum.Enum):
    """How an answer is asked for."""

    STREAM_WITH_USAGE = "a stream that ends with the usage"
    STREAM = "a stream"
    PLAIN = "plain JSON"


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestForm:
    """How requests are put. ``most_output_tokens`` bounds the cap that goes out; None where nothing but the request
    does. ``left_out`` are names of parameters that do not go out."""

    cap_name: OutputCapName = "max_completion_tokens"
    mode: Mode = Mode.STREAM_WITH_USAGE
    system_role: SystemRole = "system"
    most_output_tokens: int | None = None
    left_out: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, profile: Profile) -> RequestForm:
        """The form that a profile states."""
        left_out = frozenset(profile.leave_out)
        mode = Mode.STREAM if "stream_options" in left_out else Mode.STREAM_WITH_USAGE
        return cls(
            cap_name=profile.output_cap_name,
            mode=mode if profile.stream else Mode.PLAIN,
            system_role=profile.system_role,
            left_out=left_out,
        )

    def cap(self, request: Request) -> int:
        """The output cap that goes out: never above the request's own."""
        return min(request.max_output_tokens, self.most_output_tokens or request.max_output_tokens)

    def body(self, request: Request) -> dict[str, Json]:
        """The fields of the body beside model and messages."""
        kept = {name: value for name, value in request.parameters.items() if name not in self.left_out}
        return {**kept, self.cap_name: self.cap(request)}

    def messages(self, request: Request) -> list[dict[str, str]]:
        """The messages. Without a system role its text goes before the first message of the user."""
        messages = list(request.messages)
        if self.system_role == "user":
            messages = _merged(messages)
        return [{"role": message.role, "content": message.content} for message in messages]


def mended(
    form: RequestForm, failed: AttemptFailedError, sent: Request, *, tried: Collection[RequestForm]
) -> tuple[RequestForm, str] | None:
    """The form that a refusal asks for, and what is different in it; None where the form is not why it was refused, or
    where the one that it asks for was ``tried`` before."""
    if failed.failure not in MENDABLE or failed.status not in (400, 404, 415, 422, 501):
        return None
    return next((mend for mend in _mends(form, failed.message, sent) if mend[0] not in tried), None)


def _mends(form: RequestForm, said: str, sent: Request) -> Iterator[tuple[RequestForm, str]]:
    if form.mode is Mode.STREAM_WITH_USAGE and _STREAM_OPTIONS.search(said):
        yield replace(form, mode=Mode.STREAM), "asking without stream_options, so the answer states no usage"
    most = next((int(found[1]) for pattern in _MOST if (found := pattern.search(said))), None)
    if most is not None and LEAST_CAP <= most < form.cap(sent):
        yield replace(form, most_output_tokens=most), f"asking for at most {most:,} tokens an answer"
    if _UNKNOWN.search(said):
        other = _CAPS[form.cap_name == _CAPS[0]]
        if re.search(rf"\b{form.cap_name}\b", said):
            yield replace(form, cap_name=other), f"calling the output cap {other}"
        if name := _named(said, [name for name in sent.parameters if name not in form.left_out]):
            yield replace(form, left_out=form.left_out | {name}), f"leaving out {name}"
    refuses_system = _SYSTEM.search(said) and any(message.role == "system" for message in sent.messages)
    if form.system_role == "system" and refuses_system:
        yield replace(form, system_role="user"), "putting the system message into the user's"
    if form.mode is Mode.PLAIN and _STREAM.search(said):
        yield replace(form, mode=Mode.STREAM_WITH_USAGE), "asking for a stream"
    elif form.mode is not Mode.PLAIN and _STREAM.search(said):
        yield replace(form, mode=Mode.PLAIN), "asking for an answer that is not streamed"


def advice(stated: RequestForm, found: RequestForm) -> list[str]:
    """The lines of the model's profile that say from the beginning what had to be found out."""
    lines = []
    if found.cap_name != stated.cap_name:
        lines.append(f'output_cap_name = "{found.cap_name}"')
    if found.most_output_tokens is not None:
        lines.append(f"max_output_tokens = {found.most_output_tokens}")
    left_out = found.left_out - stated.left_out
    if found.mode is Mode.STREAM and stated.mode is Mode.STREAM_WITH_USAGE:
        left_out |= {"stream_options"}
    if left_out:
        lines.append(f"leave_out = {json.dumps(sorted(found.left_out | left_out))}")
    if (found.mode is Mode.PLAIN) is not (stated.mode is Mode.PLAIN):
        lines.append(f"stream = {'false' if found.mode is Mode.PLAIN else 'true'}")
    if found.system_role != stated.system_role:
        lines.append(f'system_role = "{found.system_role}"')
    return lines


def _named(said: str, parameters: Sequence[str]) -> str | None:
    """Which of the parameters that may be left out a refusal is about: the last one that it names, since “temperature
    and top_p cannot both be specified” is mended by either. Names are compared as xAI writes them, too: topP."""
    plain = said.lower().replace("_", "")
    places = {
        name: found.start()
        for name in parameters
        if name in SHAPING and (found := re.search(rf"(?<![a-z]){name.replace('_', '')}(?![a-z])", plain))
    }
    return max(places, key=lambda name: places[name], default=None)


def _merged(messages: Sequence[Message]) -> list[Message]:
    texts = [message.content for message in messages if message.role == "system"]
    others = [message for message in messages if message.role != "system"]
    if not texts or not others:
        return list(messages)
    return [replace(others[0], content="\n\n".join((*texts, others[0].content))), *others[1:]]
