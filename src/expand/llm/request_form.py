"""The form in which one server takes requests to one model, and how it is mended when the server refuses it.

Servers differ in the name of the output cap, in the sampling parameters that a model takes, in how they stream, and in
whether they know a system message. A refusal with a 400 names the field and is billed by nobody, so the author asks
otherwise from then on. The request itself, and with it its key in the ledger, stays the same.

What is left out shapes the text alone. A parameter that may hold a promise (a price, a route, privacy) is never left
out, and neither is the output cap, which the reservation rests on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields, replace

from expand.llm.profile import OutputCapName, Profile, SystemRole
from expand.llm.types import AttemptFailedError, Failure, Request
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


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestForm:
    """How requests are put, by the names that a profile has for it.

    ``max_output_tokens`` bounds the cap that goes out; None where nothing but the request does. ``leave_out`` are names
    of parameters that do not go out; with ``stream_options`` among them, a stream does not end with the usage."""

    output_cap_name: OutputCapName = "max_completion_tokens"
    max_output_tokens: int | None = None
    leave_out: frozenset[str] = frozenset()
    stream: bool = True
    system_role: SystemRole = "system"

    @classmethod
    def of(cls, profile: Profile) -> RequestForm:
        """The form that a profile states."""
        return cls(
            output_cap_name=profile.output_cap_name,
            leave_out=frozenset(profile.leave_out),
            stream=profile.stream,
            system_role=profile.system_role,
        )

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


def mended(
    form: RequestForm, failed: AttemptFailedError, sent: Request, *, tried: Collection[RequestForm]
) -> tuple[RequestForm, str] | None:
    """The form that a refusal asks for, and what is different in it; None where the form is not why it was refused, or
    where the one that it asks for was ``tried`` before."""
    if failed.failure not in MENDABLE or failed.status not in (400, 404, 415, 422, 501):
        return None
    return next((mend for mend in _mends(form, failed.message, sent) if mend[0] not in tried), None)


def _mends(form: RequestForm, said: str, sent: Request) -> Iterator[tuple[RequestForm, str]]:
    usage_asked = form.stream and "stream_options" not in form.leave_out
    if usage_asked and _STREAM_OPTIONS.search(said):
        without = replace(form, leave_out=form.leave_out | {"stream_options"})
        yield without, "asking without stream_options, so the answer states no usage"
    most = next((int(found[1]) for pattern in _MOST if (found := pattern.search(said))), None)
    if most is not None and LEAST_CAP <= most < form.cap(sent):
        yield replace(form, max_output_tokens=most), f"asking for at most {most:,} tokens an answer"
    if _UNKNOWN.search(said):
        other = _CAPS[form.output_cap_name == _CAPS[0]]
        if re.search(rf"\b{form.output_cap_name}\b", said):
            yield replace(form, output_cap_name=other), f"calling the output cap {other}"
        if name := _named(said, [name for name in sent.parameters if name not in form.leave_out]):
            yield replace(form, leave_out=form.leave_out | {name}), f"leaving out {name}"
    refuses_system = _SYSTEM.search(said) and any(message.role == "system" for message in sent.messages)
    if form.system_role == "system" and refuses_system:
        yield replace(form, system_role="user"), "putting the system message into the user's"
    if _STREAM.search(said):
        said_otherwise = "asking for an answer that is not streamed" if form.stream else "asking for a stream"
        yield replace(form, stream=not form.stream), said_otherwise


def advice(stated: RequestForm, found: RequestForm) -> list[str]:
    """The lines of the model's profile that say from the beginning what had to be found out."""
    lines = []
    for name in (field.name for field in fields(RequestForm)):
        value = getattr(found, name)
        if value != getattr(stated, name):
            lines.append(f"{name} = {json.dumps(sorted(value) if isinstance(value, frozenset) else value)}")
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
