"""Reading the usage of an answer, under the names that providers give it.

A provider's word is not trusted: a usage that is partial or cannot be true is none at all, and the answer is charged at
its reservation.
"""

from collections.abc import Iterator, Mapping

from expand.llm.types import Usage

_PROMPT = (
    "prompt_tokens", "input_tokens", "promptTokenCount", "prompt_token_count", "promptTokens", "inputTokens",
    "inputTokenCount", "input_token_count", "prompt_eval_count",
)  # fmt: skip
_COMPLETION = (
    "completion_tokens", "output_tokens", "candidatesTokenCount", "candidates_token_count", "completionTokens",
    "outputTokens", "outputTokenCount", "generated_token_count", "eval_count",
)  # fmt: skip
_TOTAL = ("total_tokens", "totalTokenCount", "total_token_count", "totalTokens")
_CACHED = (
    "cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens", "cachedContentTokenCount",
    "cached_content_token_count", "cacheReadInputTokens", "cacheReadInputTokenCount",
)  # fmt: skip
_REASONING = ("reasoning_tokens", "thoughtsTokenCount", "thoughts_token_count")
_APART = ("cache_read_input_tokens", "cache_creation_input_tokens")
"""Anthropic's: what a cache has read and written stands beside ``input_tokens``, not in it."""

_PLACES = ("usage", "usageMetadata", "usage_metadata", "amazon-bedrock-invocationMetrics")


def usage_in(data: Mapping[str, object], *inner: Mapping[str, object] | None) -> Usage | None:
    """The usage that a completion or a chunk reports, in itself or in one of its ``inner`` objects."""
    return next((usage for place in _places(data, *inner) if (usage := usage_from(place)) is not None), None)


def _places(data: Mapping[str, object], *inner: Mapping[str, object] | None) -> Iterator[object]:
    for part in (data, data.get("x_groq"), *inner):
        if isinstance(part, dict):
            for name in _PLACES:
                if part.get(name):
                    yield part[name]
    if "eval_count" in data:  # Ollama's own
        yield data


def usage_from(value: object) -> Usage | None:
    """The usage as reported, None when it is missing, partial or cannot be true.

    Where a provider's total is above prompt and completion together (reasoning counted apart), the difference belongs
    to the completion. Cached or reasoning figures that cannot be true are 0."""
    if not isinstance(value, dict):
        return None
    prompt, completion = _first(value, _PROMPT), _first(value, _COMPLETION)
    if prompt is None or completion is None:
        return None
    total = _first(value, _TOTAL) or 0
    if "input_tokens" in value and "prompt_tokens" not in value and total != prompt + completion:
        prompt += sum(_first(value, (name,)) or 0 for name in _APART)
    completion = max(completion, total - prompt)
    if prompt + completion == 0:
        return None
    cached = _detail(value, ("prompt_tokens_details", "input_tokens_details"), _CACHED)
    reasoning = _detail(value, ("completion_tokens_details", "output_tokens_details"), _REASONING)
    return Usage(
        prompt=prompt,
        completion=completion,
        cached=cached if cached <= prompt else 0,
        reasoning=reasoning if reasoning <= completion else 0,
    )


def _first(value: Mapping[str, object], names: tuple[str, ...]) -> int | None:
    """The first of these figures that is stated; None if none is, or it is no number of tokens."""
    return next((_tokens(value[name]) for name in names if value.get(name) is not None), None)


def _detail(usage: Mapping[str, object], groups: tuple[str, ...], names: tuple[str, ...]) -> int:
    for place in (*(usage.get(group) for group in groups), usage):
        if isinstance(place, dict) and (found := _first(place, names)) is not None:
            return found
    return 0


def _tokens(value: object) -> int | None:
    if isinstance(value, str) and len(value) < 20 and value.strip().isdecimal():
        value = int(value)
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole:
        return None
    count = int(value)  # type: ignore[call-overload]
    return count if 0 <= count < 2**53 else None
