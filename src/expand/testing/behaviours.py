"""What a scripted author does with a question: habits, good and bad."""

from __future__ import annotations

from typing import Literal

from expand.testing.text_generator import LineRequest, TextGenerator

Behaviour = Literal[
    "normal",
    "half",
    "preamble",
    "heading",
    "cut_code",
    "cut_off",
    "open_fence",
    "placeholder",
    "refusal",
    "empty",
    "wrong_language",
    "same_sentence",
    "rate_limited",
    "unauthorized",
    "insufficient_quota",
    "bad_request",
    "server_error",
    "timeout",
    "hang",
    "drop",
    "no_usage",
    "bills_more",
    "not_json",
    "html",
    "error_in_success",
]
"""``half`` delivers half of what was asked; ``cut_off`` and ``cut_code`` break off at the output
cap, in a sentence and in code; ``same_sentence`` repeats itself; ``no_usage`` reports no tokens and
``bills_more`` more than was reserved. The errors are the provider's: 429, 401, 429 without quota,
400, 500, a read timeout, a dropped connection, and three answers that are no chat completion.
``hang`` is ``timeout`` by another name: the server keeps the connection until it ends.
"""


def written(
    question: LineRequest, habit: str, *, prose: TextGenerator, ratio: float = 1.0
) -> tuple[str, Literal["stop", "length"]]:
    """The text that the habit gives for a question, and why it ends."""
    asked, language = question.asked
    count = max(1, round(asked * (ratio / 2 if habit == "half" else ratio)))
    if habit == "refusal":
        return "I'm sorry, but I can't help with that.", "stop"
    if habit == "empty":
        return "", "stop"
    if habit == "same_sentence":
        return "\n".join(["The scheduler decides."] * count), "stop"
    if habit == "wrong_language":
        language = "en" if language == "zh" else "zh"
    lines = prose.lines(question, count, language)
    if habit == "cut_off":
        return "\n".join(lines)[: -len(lines[-1]) // 2].rstrip(), "length"
    lines = _spoilt(lines, habit)
    if habit == "cut_code":
        return "\n".join(lines), "length"
    return "\n".join(lines) + "\n", "stop"


def _spoilt(lines: list[str], habit: str) -> list[str]:
    match habit:
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


def billed(prompt: str, text: str, habit: str) -> tuple[int, int]:
    """Prompt and completion tokens of an answer, at four characters a token."""
    prompt_tokens, completion = len(prompt) // 4 + 8, max(1, len(text.encode()) // 4)
    if habit == "bills_more":
        return 3 * prompt_tokens, 10 * completion + 5_000
    return prompt_tokens, completion
