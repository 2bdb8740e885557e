"""How a scripted author or server behaves, well or badly: the names, and the text that each writes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from expand.testing.text_generator import GoesOn, LineRequest, TextGenerator, brief_of

Behaviour = Literal[
    "normal", "half", "preamble", "heading", "cut_code", "cut_off", "open_fence", "placeholder", "refusal", "empty",
    "wrong_language", "same_sentence", "no_usage", "bills_more",
    "rate_limited", "unauthorized", "insufficient_quota", "bad_request", "server_error", "timeout", "hang", "drop",
    "not_json", "html", "error_in_success",
    "broken_stream", "broken_stream_with_usage", "stalled_stream", "unfinished_stream", "error_in_stream",
    "ignores_stream", "streams_only", "refuses_stream", "refuses_stream_options",
]  # fmt: skip
"""``half`` delivers half of what was asked; ``cut_off`` and ``cut_code`` stop at the output cap, in a sentence and in
code; ``same_sentence`` repeats itself; ``no_usage`` reports no tokens and ``bills_more`` more than was reserved.

Failures of the provider are 429, 401, 429 without quota, 400, 500, a read timeout (``hang`` is another name for it), a
dropped connection, and three answers that are no chat completion.

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
    lines = _spoiled(lines, behaviour)
    if behaviour == "cut_code":
        return "\n".join(lines), "length"
    return "\n".join(lines) + "\n", "stop"


def _spoiled(lines: list[str], behaviour: str) -> list[str]:
    match behaviour:
        case "preamble":
            said = "Sure! Here is the section you asked for:"
            return [said, "", *lines, "", "Let me know if you want me to go on!"]
        case "heading":
            return ["## 3. My own heading", "", "### Overview", "", *lines]
        case "open_fence":
            return [*lines, "", "```rust", "fn open() {}"]
        case "placeholder":
            return [*lines, "", "```rust", "fn main() {", "    // ... rest omitted", "}", "```"]
        case "cut_code":
            code = ["fn sum(values: &[u64]) -> u64 {", "    let mut total = 0;"]
            return [*lines, "", "```rust", *code]
        case _:
            return lines


def billed(prompt: str, text: str, behaviour: str) -> tuple[int, int]:
    """Prompt and completion tokens of an answer, at four characters a token."""
    prompt_tokens, completion = len(prompt) // 4 + 8, max(1, len(text.encode()) // 4)
    if behaviour == "bills_more":
        return 3 * prompt_tokens, 10 * completion + 5_000
    return prompt_tokens, completion
