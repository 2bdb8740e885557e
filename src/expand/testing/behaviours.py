"""How a scripted author or server behaves, well or badly: the names, and the text that each writes."""

import json
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from expand.markdown.lines import words
from expand.paths import packaged_table

_WORDS: Mapping[str, Mapping[str, Sequence[str]]] = packaged_table("scripted_words")
ROUND = 2_000
"""After so many sentences the words come round again, and the sentence says so."""
APART = 500
"""The sections of a chapter begin so many sentences apart."""

EXAMPLES = re.compile(r"Include (\d+) complete code example")
ASKED = re.compile(r"(\d+)\s*(lines|行|words|字)")
UNFINISHED = re.compile(r"<<<\n(.*?)\n>>>\s+It was cut off", re.DOTALL)
IN_CODE = "breaks off inside a code block"
GoesOn = Literal["anew", "verbatim", "aside"]
"""How an author goes on from a text that was cut: it begins the last line anew, goes on from its last character, or
writes something else.
"""
TOPIC = re.compile(r"(?:topic|主题)[^:：\n]*[:：] *(.+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class LineRequest:
    """What an author goes by: the last user message, and the section that it is for."""

    text: str
    chapter: str = ""
    section: int = 1

    @property
    def asked(self) -> tuple[int, str]:
        """The last number of lines, or of words or Chinese characters, in the message, and its language."""
        found = ASKED.findall(self.text)
        count, unit = found[-1] if found else ("10", "lines")
        return int(count), "en" if unit.isascii() else "zh"

    @property
    def counts_words(self) -> bool:
        """Whether it is a number of words or Chinese characters."""
        return any(unit in ("words", "字") for _, unit in ASKED.findall(self.text)[-1:])

    @property
    def headings(self) -> tuple[str, ...]:
        """The headings that the message has."""
        return tuple(re.findall(r"^#{2,4} (.+)$", self.text, flags=re.MULTILINE))

    @property
    def subjects(self) -> tuple[str, ...]:
        """The headings or the topics that the message names."""
        return self.headings or tuple(TOPIC.findall(self.text))


_PLANNED = re.compile(r"^- (?P<title>.+?): \d+ lines(?:\. Topics: (?P<topics>.+))?$", re.MULTILINE)


def brief_of(question: LineRequest) -> list[str]:
    """The lines of a brief, where the message asks for one: an entry with an opening for each section that it lists; or
    an answer without findings, where it asks for a draft to be read through."""
    if not question.section and "Answer with one JSON object" in question.text and '"findings"' in question.text:
        return [json.dumps({"findings": []})]
    if question.section or "Answer with one YAML mapping" not in question.text:
        return []
    titles = [found["title"] for found in _PLANNED.finditer(question.text)]
    entries = [{"title": title, "opening": f"This part is about {title}."} for title in titles]
    return [json.dumps({"sections": entries}, ensure_ascii=False)]


@dataclass(slots=True)
class TextGenerator:
    """Writes on where it stopped in each section, whatever comes in between."""

    written: Counter[tuple[str, int]] = field(default_factory=Counter)

    def lines(self, question: LineRequest, count: int, language: str, *, goes_on: GoesOn = "anew") -> list[str]:
        """``count`` lines that were never written before in the chapter, naming the subjects; before them the rest of
        what was cut. Where the question counts words, so many lines as hold that many."""
        if question.counts_words:
            plain = replace(question, text=ASKED.sub("", question.text))
            text = self.lines(plain, count // (25 if language == "zh" else 15), language, goes_on=goes_on)
            while words("\n".join(text)) < count:
                text.append(self._sentence(question, language))
            return text
        heads, named = question.headings, question.subjects
        lines: list[str] = []
        if (cut := UNFINISHED.search(question.text)) and goes_on != "aside":
            end = ["", "}", "```", ""] if IN_CODE in question.text else ["。" if language == "zh" else " and ends.", ""]
            lines = [(cut[1].rpartition("\n")[2] if goes_on == "anew" else "") + end[0], *end[1:]]
            count -= 1
        parts = max(1, len(heads))
        asked = EXAMPLES.findall(question.text)
        examples = int(asked[-1]) if asked else 0
        for part in range(parts):
            size = count // parts + (part < count % parts)
            block = [f"### {heads[part]}", ""] if len(heads) > 1 and size > 4 else []
            if part < len(named):
                block.append(f"{named[part]}是这里的主题。" if language == "zh" else f"About {named[part]}.")
            for _ in range(max(examples // parts + (part < examples % parts), 1)):
                if size - len(block) >= 12:
                    block += ["", *self._code(question), ""]
            while len(block) < size:
                block.append(self._sentence(question, language))
            lines += block[:size] if size else []
        return lines

    def _next(self, question: LineRequest) -> int:
        place = (question.chapter, question.section)
        self.written[place] += 1
        return APART * max(0, question.section - 1) + self.written[place] - 1

    def _code(self, question: LineRequest) -> list[str]:
        number = self._next(question)
        head, scaled = f"fn step_{number}(input: u64) -> u64 {{", f"    let scaled = input * {number + 2};"
        return ["```rust", head, scaled, "    scaled + 1", "}", "```"]

    def _sentence(self, question: LineRequest, language: str) -> str:
        number = self._next(question)
        words = _WORDS[language]
        said = [words[kind][number % len(words[kind])] for kind in ("subjects", "verbs", "objects", "ends")]
        turn = number // ROUND
        # By chance, but the same in every run: sentences that differ in one place only would repeat each other.
        chance = random.Random(f"{question.chapter}/{number}")
        if language == "zh":
            text = (
                "".join(said).removesuffix("。") + f"，{chance.choice(words['others'])}{chance.choice(words['do'])}。"
            )
            return text if not turn else f"第{turn}轮里，{text}"
        text = " ".join(said) + f", and {chance.choice(words['others'])} {chance.choice(words['manners'])}"
        return f"{text} {chance.choice(words['do'])}" + (f" in round {turn}." if turn else ".")


Behaviour = Literal[
    "normal", "half", "preamble", "heading", "cut_code", "cut_off", "open_fence", "placeholder", "refusal", "empty",
    "wrong_language", "same_sentence", "no_usage", "bills_more",
    "rate_limited", "unauthorized", "insufficient_quota", "bad_request", "server_error", "timeout", "drop",
    "not_json", "html", "error_in_success",
    "broken_stream", "broken_stream_with_usage", "stalled_stream", "unfinished_stream", "error_in_stream",
    "ignores_stream", "streams_only", "refuses_stream", "refuses_stream_options",
]  # fmt: skip
"""``half`` delivers half of what was asked; ``cut_off`` and ``cut_code`` stop at the output cap, in a sentence and in
code; ``same_sentence`` repeats itself; ``no_usage`` reports no tokens and ``bills_more`` more than was reserved.

Failures of the provider are 429, 401, 429 without quota, 400, 500, a read timeout, a dropped connection, and three
answers that are no chat completion.

Behaviours of a stream: the connection breaks after half of the text, without or with the usage reported before; it
stalls there until the client gives up; it ends there as if complete, without a finish reason; it sends an error there.
``ignores_stream`` answers plain JSON, ``streams_only`` refuses a request for plain JSON with a 400, and two refuse the
body fields ``stream`` and ``stream_options`` with a 400. They are ``normal`` where the request does not touch them.
"""

ERRORS: Mapping[str, tuple[int, str, str]] = MappingProxyType(
    {
        "rate_limited": (429, "Rate limit reached", "rate_limit_exceeded"),
        "unauthorized": (401, "Incorrect API key provided", "invalid_api_key"),
        "insufficient_quota": (429, "You exceeded your current quota", "insufficient_quota"),
        "bad_request": (400, "Invalid type for 'messages': expected an array", "invalid_type"),
        "server_error": (500, "The server had an error", "server_error"),
        "refuses_stream": (400, "Unsupported value: 'stream' does not support true", "unsupported_value"),
        "refuses_stream_options": (400, "Unknown parameter: 'stream_options'", "unknown_parameter"),
        "streams_only": (400, "This model can only be streamed: set 'stream' to true", "invalid_value"),
    }
)
"""HTTP status, message and code of the behaviours that answer with an error."""

INTERRUPTED = ("broken_stream", "broken_stream_with_usage", "stalled_stream", "unfinished_stream", "error_in_stream")
"""Behaviours that leave half of the text."""


def pieces_of(text: str, size: int) -> list[str]:
    """The text in pieces of ``size`` characters, as a stream brings it."""
    return [text[start : start + size] for start in range(0, len(text), size)]


def written(
    question: LineRequest,
    behaviour: str,
    *,
    generator: TextGenerator,
    ratio: float = 1.0,
    goes_on: GoesOn = "anew",
) -> tuple[str, Literal["stop", "length"]]:
    """The text that the behaviour gives for a question, and why it ends."""
    asked, language = question.asked
    count = max(1, round(asked * (ratio / 2 if behaviour == "half" else ratio)))
    if behaviour == "refusal":
        return "I'm sorry, but I can't help with that.", "stop"
    if behaviour == "empty":
        return "", "stop"
    if behaviour == "same_sentence":
        return "\n".join(["The scheduler decides."] * count), "stop"
    if behaviour == "wrong_language":
        language = "en" if language == "zh" else "zh"
    lines = brief_of(question) or generator.lines(question, count, language, goes_on=goes_on)
    if behaviour == "cut_off":
        return "\n".join(lines)[: -len(lines[-1]) // 2].rstrip(), "length"
    before, after = _AROUND.get(behaviour, ("", ""))
    text = before + "\n".join(lines) + after
    return (text, "length") if behaviour == "cut_code" else (text + "\n", "stop")


_AROUND = {
    "preamble": (
        "Sure! Here is the section you asked for:\n\n",
        "\n\nLet me know if you want me to go on!",
    ),
    "heading": ("## 3. My own heading\n\n### Overview\n\n", ""),
    "open_fence": ("", "\n\n```rust\nfn open() {}"),
    "placeholder": ("", "\n\n```rust\nfn main() {\n    // ... rest omitted\n}\n```"),
    "cut_code": ("", "\n\n```rust\nfn sum(values: &[u64]) -> u64 {\n    let mut total = 0;"),
}
"""What a behaviour puts before and behind the text."""


class Asked:
    """What a request says, in the process or over HTTP."""

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Role and text of each message."""
        raise NotImplementedError

    @property
    def prompt_text(self) -> str:
        """All messages, one after the other."""
        return "\n".join(text for _, text in self.messages)

    @property
    def last_user_message(self) -> str:
        """The section's own request, which says how many lines are wanted."""
        return next((text for role, text in reversed(self.messages) if role == "user"), "")


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
    _generator: TextGenerator = field(default_factory=TextGenerator, repr=False)

    def behaviour_of(self, index: int, section: int) -> Behaviour:
        """The behaviour that request number ``index``, from 0, meets."""
        return self.script[index] if index < len(self.script) else self.by_section.get(section, self.behaviour)

    def written(self, question: LineRequest, behaviour: str) -> tuple[str, Literal["stop", "length"]]:
        """The text of an answer and why it ends."""
        return written(question, behaviour, generator=self._generator, ratio=self.ratio, goes_on=self.goes_on)


def billed(prompt: str, text: str, behaviour: str) -> tuple[int, int]:
    """Prompt and completion tokens of an answer, at four characters a token."""
    prompt_tokens, completion = len(prompt) // 4 + 8, max(1, len(text.encode()) // 4)
    if behaviour == "bills_more":
        return 3 * prompt_tokens, 10 * completion + 5_000
    return prompt_tokens, completion
