"""How a scripted author or server behaves, well or badly, and the author: it writes in the process, to order, without
network or key, the same text every time."""

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple
from urllib.parse import unquote

from expand.llm.types import Answer, AttemptFailedError, Failure, Finish, OnText, Request, Usage, ignore_text
from expand.markdown.lines import words as count_words
from expand.paths import packaged_table

Behaviour = Literal[
    "normal", "half", "preamble", "heading", "cut_code", "cut_off", "open_fence", "placeholder", "refusal", "empty",
    "wrong_language", "same_sentence", "no_usage", "bills_more",
    "rate_limited", "unauthorized", "insufficient_quota", "bad_request", "server_error", "timeout", "drop",
    "broken_stream",
]  # fmt: skip
"""What each does is in docs/testing.md."""


class Fault(NamedTuple):
    """How a behaviour fails: what that is for an author, and as what a server says it, where it says anything."""

    failure: Failure
    message: str
    status: int | None = None
    code: str = ""


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "rate_limited": Fault(Failure.RATE_LIMITED, "Rate limit reached", 429, "rate_limit_exceeded"),
        "unauthorized": Fault(Failure.UNAUTHORIZED, "Incorrect API key provided", 401, "invalid_api_key"),
        "insufficient_quota": Fault(Failure.QUOTA, "You exceeded your current quota", 429, "insufficient_quota"),
        "bad_request": Fault(Failure.BAD_REQUEST, "Invalid type: expected an array", 400, "invalid_type"),
        "server_error": Fault(Failure.SERVER_ERROR, "The server had an error", 500, "server_error"),
        "timeout": Fault(Failure.TIMEOUT, "no answer in time"),
        "drop": Fault(Failure.DISCONNECTED, "the connection was lost"),
        "broken_stream": Fault(Failure.DISCONNECTED, "the connection was lost"),
    }
)

_AROUND = {
    "preamble": ("Sure! Here is the section you asked for:\n\n", "\n\nLet me know if you want me to go on!"),
    "heading": ("## 3. My own heading\n\n### Overview\n\n", ""),
    "open_fence": ("", "\n\n```rust\nfn open() {}"),
    "placeholder": ("", "\n\n```rust\nfn main() {\n    // ... rest omitted\n}\n```"),
    "cut_code": ("", "\n\n```rust\nfn sum(values: &[u64]) -> u64 {\n    let mut total = 0;"),
}
"""What a behaviour puts before and behind the text."""

GoesOn = Literal["anew", "verbatim", "aside"]
"""How an author goes on from a text that was cut: it begins the last line anew, goes on from its last character, or
writes something else.
"""
_WORDS: Mapping[str, Mapping[str, Sequence[str]]] = packaged_table("scripted_words")
ROUND = 2_000
"""After so many sentences the words come round again, and the sentence says so."""
APART = 500
"""The sections of a chapter begin so many sentences apart."""
_EXAMPLES = re.compile(r"Include (\d+) complete code example")
_ASKED = re.compile(r"(\d+)\s*(lines|行|words|字)")
_UNFINISHED = re.compile(r"<<<\n(.*?)\n>>>\s+It was cut off", re.DOTALL)
_TOPIC = re.compile(r"(?:topic|主题)[^:：\n]*[:：] *(.+)$", re.MULTILINE)
_PLANNED = re.compile(r"^- (?P<title>.+?): \d+ lines(?:\. Topics: (?P<topics>.+))?$", re.MULTILINE)


@dataclass
class SentRequest:
    """One request as it was sent, in the process or over HTTP, and the behaviour that it met; ``address`` is its header
    ``X-Client-Request-Id``."""

    address: str
    request: Request
    behaviour: str = "own"

    def __post_init__(self) -> None:
        parts = self.address.split("/")
        known = len(parts) == 4 and parts[1].isdecimal()
        chapter, section, self.purpose, _ = parts if known else ("", "1", "", "")
        self.chapter, self.section = unquote(chapter), int(section)

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Role and text of each message."""
        return [(message.role, message.content) for message in self.request.messages]

    @property
    def prompt_text(self) -> str:
        """All messages, one after the other."""
        return "\n".join(text for _, text in self.messages)

    @property
    def last_user_message(self) -> str:
        """The section's own request, which says how many lines are wanted."""
        return next((text for role, text in reversed(self.messages) if role == "user"), "")

    @property
    def asked(self) -> tuple[int, str]:
        """How many are asked for last, and of what: lines, words or Chinese characters."""
        count, unit = (_ASKED.findall(self.last_user_message) or [("10", "lines")])[-1]
        return int(count), unit

    @property
    def asked_lines(self) -> int:
        """The number of lines that the request asks for."""
        return self.asked[0]

    @property
    def language(self) -> str:
        """The language of the request, by its word for what it asks for."""
        return "en" if self.asked[1].isascii() else "zh"

    @property
    def headings(self) -> tuple[str, ...]:
        """The headings that the request has."""
        return tuple(re.findall(r"^#{2,4} (.+)$", self.last_user_message, flags=re.MULTILINE))

    @property
    def subjects(self) -> tuple[str, ...]:
        """The headings or the topics that the request names."""
        return self.headings or tuple(_TOPIC.findall(self.last_user_message))


def brief_of(asked: SentRequest) -> list[str]:
    """The lines of a brief, where the request asks for one: an entry with an opening for each section that it lists; or
    an answer without findings, where it asks for a draft to be read through."""
    text = asked.last_user_message
    if not asked.section and "Answer with one JSON object" in text and '"findings"' in text:
        return [json.dumps({"findings": []})]
    if asked.section or "Answer with one YAML mapping" not in text:
        return []
    titles = [found["title"] for found in _PLANNED.finditer(text)]
    entries = [{"title": title, "opening": f"This part is about {title}."} for title in titles]
    return [json.dumps({"sections": entries}, ensure_ascii=False)]


def pieces_of(text: str, size: int) -> list[str]:
    """The text in pieces of ``size`` characters, as a stream brings it."""
    return [text[start : start + size] for start in range(0, len(text), size)]


def billed(prompt: str, text: str, behaviour: str) -> tuple[int, int]:
    """Prompt and completion tokens of an answer, at four characters a token."""
    prompt_tokens, completion = len(prompt) // 4 + 8, max(1, len(text.encode()) // 4)
    if behaviour == "bills_more":
        return 3 * prompt_tokens, 10 * completion + 5_000
    return prompt_tokens, completion


@dataclass
class Script:
    """What an author or a server does.

    ``ratio`` of the lines asked is delivered, and a text that was cut gone on from as ``goes_on`` says. ``script`` has
    one behaviour for each of the first requests, ``by_section`` one for every request of a section, and ``behaviour``
    is for all others. An answer takes ``latency_seconds`` and comes in pieces of ``chunk_characters``,
    ``chunk_seconds`` apart."""

    ratio: float = 1.0
    goes_on: GoesOn = "anew"
    behaviour: Behaviour = "normal"
    script: Sequence[Behaviour] = ()
    by_section: Mapping[int, Behaviour] = field(default_factory=dict)
    latency_seconds: float = 0.0
    chunk_characters: int = 40
    chunk_seconds: float = 0.0
    _sentences: Counter[tuple[str, int]] = field(default_factory=Counter, repr=False)
    """How many sentences each section has: it is gone on with there, whatever comes in between."""

    def behaviour_of(self, index: int, section: int) -> Behaviour:
        """The behaviour that request number ``index``, from 0, meets."""
        return self.script[index] if index < len(self.script) else self.by_section.get(section, self.behaviour)

    def written(self, asked: SentRequest, behaviour: str = "normal") -> tuple[str, Literal["stop", "length"]]:
        """The text that the behaviour gives for a request, and why it ends."""
        count = max(1, round(asked.asked_lines * (self.ratio / 2 if behaviour == "half" else self.ratio)))
        language = asked.language
        if behaviour == "refusal":
            return "I'm sorry, but I can't help with that.", "stop"
        if behaviour == "empty":
            return "", "stop"
        if behaviour == "same_sentence":
            return "\n".join(["The scheduler decides."] * count), "stop"
        if behaviour == "wrong_language":
            language = "en" if language == "zh" else "zh"
        lines = brief_of(asked) or self.lines(asked, count, language)
        if behaviour == "cut_off":
            return "\n".join(lines)[: -len(lines[-1]) // 2].rstrip(), "length"
        before, after = _AROUND.get(behaviour, ("", ""))
        text = before + "\n".join(lines) + after
        return (text, "length") if behaviour == "cut_code" else (text + "\n", "stop")

    def lines(self, asked: SentRequest, count: int, language: str) -> list[str]:
        """``count`` lines that were never written before in the chapter, naming the subjects; before them the rest of
        what was cut. Where the request counts words, so many lines as hold that many."""
        if asked.asked[1] in ("lines", "行"):
            return self._lines(asked, count, language)
        text = self._lines(asked, count // (25 if language == "zh" else 15), language)
        while count_words("\n".join(text)) < count:
            text.append(self._sentence(asked, language))
        return text

    def _lines(self, asked: SentRequest, count: int, language: str) -> list[str]:
        request, heads, named = asked.last_user_message, asked.headings, asked.subjects
        lines: list[str] = []
        if (cut := _UNFINISHED.search(request)) and self.goes_on != "aside":
            in_code = "breaks off inside a code block" in request
            end = ["", "}", "```", ""] if in_code else ["。" if language == "zh" else " and ends.", ""]
            lines = [(cut[1].rpartition("\n")[2] if self.goes_on == "anew" else "") + end[0], *end[1:]]
            count -= 1
        parts = max(1, len(heads))
        examples = int((_EXAMPLES.findall(request) or [0])[-1])
        for part in range(parts):
            size = count // parts + (part < count % parts)
            block = [f"### {heads[part]}", ""] if len(heads) > 1 and size > 4 else []
            if part < len(named):
                block.append(f"{named[part]}是这里的主题。" if language == "zh" else f"About {named[part]}.")
            for _ in range(max(examples // parts + (part < examples % parts), 1)):
                if size - len(block) >= 12:
                    block += ["", *self._code(asked), ""]
            while len(block) < size:
                block.append(self._sentence(asked, language))
            lines += block[:size] if size else []
        return lines

    def _next(self, asked: SentRequest) -> int:
        place = (asked.chapter, asked.section)
        self._sentences[place] += 1
        return APART * max(0, asked.section - 1) + self._sentences[place] - 1

    def _code(self, asked: SentRequest) -> list[str]:
        number = self._next(asked)
        head, scaled = f"fn step_{number}(input: u64) -> u64 {{", f"    let scaled = input * {number + 2};"
        return ["```rust", head, scaled, "    scaled + 1", "}", "```"]

    def _sentence(self, asked: SentRequest, language: str) -> str:
        number = self._next(asked)
        words, turn = _WORDS[language], number // ROUND
        said = [words[kind][number % len(words[kind])] for kind in ("subjects", "verbs", "objects", "ends")]
        # By chance, but the same in every run: sentences that differ in one place only would repeat each other.
        chance = random.Random(f"{asked.chapter}/{number}")
        if language == "zh":
            more = f"，{chance.choice(words['others'])}{chance.choice(words['do'])}。"
            return (f"第{turn}轮里，" if turn else "") + "".join(said).removesuffix("。") + more
        text = " ".join(said) + f", and {chance.choice(words['others'])} {chance.choice(words['manners'])}"
        return f"{text} {chance.choice(words['do'])}" + (f" in round {turn}." if turn else ".")


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
        index, fault = len(self.requests), None
        sent = SentRequest(client_request_id, request)
        own = self.write is not None or index < len(self.answers)
        sent.behaviour = "own" if own else self.behaviour_of(index, sent.section)
        self.requests.append(sent)
        await asyncio.sleep(self.latency_seconds)
        if own:
            said = self.answers[index] if index < len(self.answers) or self.write is None else self.write(sent)
            if isinstance(said, AttemptFailedError):
                raise said
            answer = said if isinstance(said, Answer) else _answer(sent, said, Finish.STOP)
        elif fault := FAULTS.get(sent.behaviour):
            text = self.written(sent)[0] if sent.behaviour == "broken_stream" else ""
            answer = _answer(sent, text[: len(text) // 2], Finish.CUT)
        else:
            text, why = self.written(sent, sent.behaviour)
            answer = _answer(sent, text, Finish.REFUSAL if sent.behaviour == "refusal" else Finish(why))
        if answer.finish is not Finish.REFUSAL:
            for piece in pieces_of(answer.text, self.chunk_characters):
                on_text(piece)
                if self.chunk_seconds:
                    await asyncio.sleep(self.chunk_seconds)
        if fault is not None:
            wait = self.retry_after_seconds
            raise AttemptFailedError(
                fault.failure, fault.message, status=fault.status, retry_after_seconds=wait, model=answer.model
            )
        return answer


def _answer(sent: SentRequest, text: str, finish: Finish) -> Answer:
    prompt, completion = billed(sent.prompt_text, text, sent.behaviour)
    return Answer(
        text=text,
        finish=finish,
        usage=None if sent.behaviour == "no_usage" else Usage(prompt=prompt, completion=completion),
        model=sent.request.model,
        provider_request_id=f"scripted-{sent.address.rpartition('/')[2]}",
    )
