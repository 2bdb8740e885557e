"""Reading answers: JSON in any framing, contents in any shape, finish words and usage under any name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from expand.llm.completion import (
    ADDED_TOKENS,
    MOST_TRIES,
    JsonReader,
    StreamedAnswer,
    answer_from,
    believed,
    text_begun,
    usage_from,
    usage_in,
)
from expand.llm.failures import said_in
from expand.llm.types import Answer, AttemptFailedError, Failure, Finish, Usage


def read(data: bytes, size: int = 1) -> JsonReader:
    """The reader after the bytes came in pieces of ``size``; ``values`` are those that it read."""
    reader = JsonReader()
    values: list[object] = []
    for start in range(0, len(data), size):
        values.extend(reader.feed(data[start : start + size]))
    values.extend(reader.feed(b"", final=True))
    vars(reader)["values"] = values
    return reader


A, B = {"a": "性\u2028能"}, {"b": [1, {"c": "}"}]}
ONE, TWO = json.dumps(A, ensure_ascii=False), json.dumps(B)


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("text", "values", "done"),
    [
        (ONE, [A], False),
        (f"\ufeff{ONE}", [A], False),
        (f"\r\n \n\n{ONE}\n", [A], False),
        (f": keep-alive\n\n: keep-alive\n\n{ONE}", [A], False),
        (f"data: {ONE}", [A], False),
        (f"data:{ONE}\n\ndata: {TWO}\n\ndata: [DONE]\n\n", [A, B], True),
        (f"data: {ONE}\r\n\r\ndata: {TWO}\r\n\r\ndata: [DONE]\r\n\r\n", [A, B], True),
        (f"data: {ONE}\r\rdata: {TWO}\r\r", [A, B], False),
        (f"event: message\nid: 7\nretry: 10\ndata: {ONE}\n\n", [A], False),
        (f"data: {ONE}\ndata: {TWO}\ndata: [DONE]", [A, B], True),
        (f"  data: {ONE}\n\n", [A], False),
        ('data: {"a":\ndata: "性\u2028能"}\n\n', [A], False),
        ('data: {"a":\n"性\u2028能"}\n\ndata: [DONE]', [A], True),
        (f"{ONE}\n{TWO}\n", [A, B], False),
        (f"{ONE}{TWO}", [A, B], False),
        (f"data: {ONE}{TWO}\n\n", [A, B], False),
        (f"{ONE}\n\ndata: {TWO}\n\ndata: [DONE]\n\n", [A, B], True),
        (json.dumps(A, indent=2) + "\n\ndata: [DONE]\n\n", [A], True),
        (json.dumps(B, indent=2), [B], False),
        (f"[{ONE},\n{TWO}]", [[A, B]], False),
        (f"```json\n{ONE}\n```", [A], False),
        (f")]}}'\n{ONE}", [A], False),
        (f"OK\n{ONE}", [A], False),
        (f"data: {{broken\n\ndata: {ONE}\n\n", [A], False),
        (f"data: waiting\n\ndata: {ONE}\n\n", [A], False),
        (f'{{"broken": \n{ONE}', [A], False),
        (f"event: error\ndata: {ONE}\n\n", [{"error": A}], False),
        ("event: error\ndata: too busy\n\n", [{"error": "too busy"}], False),
        ('event: error\ndata: {"error": "x"}\n\n', [{"error": "x"}], False),
        ("", [], False),
        ("<html></html>", [], False),
        ("[DONE]", [], True),
    ],
)
def test_json_is_found_in_any_framing(text: str, values: list[Any], done: bool, size: int) -> None:
    reader = read(text.encode(), size)
    assert vars(reader)["values"] == values
    assert reader.done is done


def test_bytes_that_are_no_utf8_cost_a_character_and_not_the_text() -> None:
    assert vars(read(b'{"a": "x\xffy"}'))["values"] == [{"a": "x\ufffdy"}]


def test_what_is_no_json_is_junk_and_what_breaks_off_is_told() -> None:
    assert read(b"<html>Sign in</html>").junk == "<html>Sign in</html>"
    broken = read(b'data: {"a": 1}\n\ndata: {"b": "c')
    assert (vars(broken)["values"], broken.broken) == ([{"a": 1}], '{"b": "c')
    assert read(b'{"b": "c').broken == '{"b": "c'
    assert read(b"x" * 5000).junk == "x" * 2000


def test_the_search_for_json_in_junk_is_bounded() -> None:
    found = "{x\n" * (MOST_TRIES - 1) + ONE
    assert vars(read(found.encode(), 10_000))["values"] == [A]
    lost = "{x\n" * MOST_TRIES + ONE
    assert vars(read(lost.encode(), 10_000))["values"] == []


def test_numbers_and_brackets_without_end_are_junk() -> None:
    for data in (b"[" * 100_000, b'{"a": ' * 5000, b'{"n": ' + b"9" * 6000 + b"}", b'{"a":' * 990 + b"1" + b"}" * 990):
        with pytest.raises(AttemptFailedError) as told:
            answer_from(data)
        assert told.value.failure is Failure.GARBLED


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        ('{"choices": [{"message": {"content": "Half a sen', "Half a sen"),
        ('{"choices": [{"delta": {"content": "a\\n\\u6027', "a\n性"),
        ('{"choices": [{"delta": {"content": "a\\u60', "a"),
        ('{"choices": [{"delta": {"content": "a\\', "a"),
        ('{"choices": [{"delta": {"content": "a\\ud83e', "a"),
        ('{"choices": [{"message": {"content": "all"}, "finish', "all"),
        ('{"choices": [{"message": {"reasoning_content": "hm', ""),
        ('{"choices": [{"message": {"content": null', ""),
        ('{"content": "no completion', ""),
        ('{"choices": [{"message": {"content": "no \\q escape of JSON', "no "),
        ("", ""),
    ],
)
def test_the_text_of_a_completion_that_breaks_off(broken: str, text: str) -> None:
    assert text_begun(broken) == text


def completion(choice: Any, **more: Any) -> bytes:
    return json.dumps({"choices": [choice], **more}).encode()


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        ({"message": {"content": "a"}}, "a"),
        ({"message": {"content": ["a", "b"]}}, "ab"),
        ({"message": {"content": [{"type": "text", "text": "a"}, {"type": "output_text", "text": "b"}]}}, "ab"),
        ({"message": {"content": [{"text": {"value": "a"}}]}}, "a"),
        ({"message": {"content": {"text": "a"}}}, "a"),
        ({"message": {"content": {"parts": [{"text": "a"}, {"text": "no", "thought": True}]}}}, "a"),
        ({"message": {"parts": [{"text": "a"}]}}, "a"),
        ({"message": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "no"}]}, "a"]}}, "a"),
        ({"message": {"content": [{"type": "reasoning", "text": "no"}, {"type": "text", "text": "a"}]}}, "a"),
        ({"message": {"content": "a", "reasoning_content": "no", "reasoning": "no"}}, "a"),
        ({"message": "a"}, "a"),
        ({"text": "a"}, "a"),
        ({"text": "", "message": {"content": "a"}}, "a"),
        ({"content": "a"}, "a"),
        ({"delta": {"content": None}, "message": {"content": "a"}}, "a"),
        ({"message": {"content": 5}}, ""),
        ({"message": {"content": [5, None, {"type": "image_url"}]}}, ""),
        ({"message": {"content": [[[[[[[[["a"]]]]]]]]]}}, ""),
        ({"message": {"content": [[[[[[["a"]]]]]]]}}, "a"),
    ],
)
def test_contents_of_any_shape(choice: dict[str, Any], text: str) -> None:
    assert answer_from(completion({**choice, "finish_reason": "stop"})).text == text


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        *((word, Finish.STOP) for word in ("STOP", "end_turn", "stop_sequence", "eos", "eos_token", "COMPLETE",
                                          "FINISH_REASON_STOP", "completed", "stop-sequence", " stop ")),
        *((word, Finish.LENGTH) for word in ("max_tokens", "MAX_TOKENS", "model_length", "LENGTH",
                                            "FINISH_REASON_MAX_TOKENS", "model_context_window_exceeded")),
        *((word, Finish.CONTENT_FILTER) for word in ("SAFETY", "recitation", "BLOCKLIST", "PROHIBITED_CONTENT",
                                                    "sensitive", "guardrail_intervened")),
        *((word, Finish.CUT) for word in ("insufficient_system_resource", "error", "network_error", "ERROR")),
        ("tool_calls", Finish.OTHER), ("function_call", Finish.OTHER), ("news", Finish.OTHER), (7, Finish.OTHER),
        (1.5, Finish.OTHER), (True, Finish.OTHER), ([], Finish.OTHER), ({"a": 1}, Finish.OTHER),
        ("refusal", Finish.REFUSAL),
    ],
)  # fmt: skip
def test_finish_words_of_other_providers(word: object, finish: Finish) -> None:
    assert answer_from(completion({"message": {"content": "a"}, "finish_reason": word})).finish is finish


@pytest.mark.parametrize(
    ("choice", "finish"),
    [
        ({"finish_reason": None}, Finish.OTHER),
        ({"finish_reason": ""}, Finish.OTHER),
        ({"finish_reason": "null"}, Finish.OTHER),
        ({}, Finish.OTHER),
        ({"finishReason": "MAX_TOKENS"}, Finish.LENGTH),
        ({"done_reason": "stop"}, Finish.STOP),
        ({"finish_reason": None, "stop_reason": "max_tokens"}, Finish.LENGTH),
        ({"finish_reason": "length", "stop_reason": "stop"}, Finish.LENGTH),
    ],
)
def test_a_finish_reason_under_other_names_and_none(choice: dict[str, Any], finish: Finish) -> None:
    assert answer_from(completion({"message": {"content": "a"}, **choice})).finish is finish


def test_a_later_chunk_does_not_take_back_that_the_answer_was_cut() -> None:
    answer = StreamedAnswer()
    for finish in (None, "", "length", "stop"):
        answer.add({"choices": [{"delta": {"content": "a"}, "finish_reason": finish}]})
    assert answer.finished().finish is Finish.LENGTH
    answer = StreamedAnswer()
    for finish in ("stop", "length"):
        answer.add({"choices": [{"delta": {"content": "a"}, "finish_reason": finish}]})
    assert answer.finished().finish is Finish.LENGTH


def test_the_first_choice_seen_is_the_answer() -> None:
    answer = StreamedAnswer()
    for index, text in ((1, "a"), (0, "no"), (1, "b"), (None, "no")):
        answer.add({"choices": [{"index": index, "delta": {"content": text}}]})
    answer.add({"choices": [{"delta": {"content": "c"}, "finish_reason": "stop"}]})
    answer.add({"choices": [{"index": 0, "delta": {"content": "no"}}, {"index": 1, "delta": {"content": "d"}}]})
    answer.add({"choices": {"index": 1, "delta": {"content": "e"}}})
    assert answer.finished().text == "abcde"


@pytest.mark.parametrize("name", ["data", "result", "response", "output"])
def test_a_completion_within_an_object_of_a_gateway(name: str) -> None:
    inner = {"model": "m", "choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}
    answer = answer_from(json.dumps({"code": 0, "message": "success", name: inner}).encode())
    assert (answer.text, answer.model, answer.finish) == ("a", "m", Finish.STOP)


ERRORS = [
    ({"error": "busy"}, "busy"),
    ({"error": {"message": "busy", "code": 429}}, "busy"),
    ({"error": {"code": 5}}, '{"code": 5}'),
    ({"error": {"error": {"message": "busy"}}}, "busy"),
    ({"errors": [{"message": "busy"}]}, "busy"),
    ({"error": True}, ""),
    ([{"error": {"message": "busy"}}], "busy"),
    ({"detail": "busy"}, "busy"),
    ({"detail": [{"msg": "busy"}]}, "busy"),
    ({"code": 1, "message": "busy"}, "busy"),
    ({"object": "error", "message": "busy"}, "busy"),
    ({"base_resp": {"status_code": 1, "status_msg": "busy"}}, "busy"),
    ({"error": "busy", "choices": []}, "busy"),
    ({"error": "busy", "choices": [{"message": {"content": ""}}]}, "busy"),
    ({"choices": [{"message": {"content": ""}, "error": {"message": "busy"}}]}, "busy"),
    ({"choices": [{"message": {"content": ""}, "finish_reason": "error"}]}, "broke off before any text"),
    ({"choices": [{"message": {"content": ""}, "finish_reason": "stop"}], "error": "busy"}, "busy"),
]


@pytest.mark.parametrize(("data", "said"), ERRORS)
def test_an_error_in_a_success_is_one_that_says_so(data: object, said: str) -> None:
    with pytest.raises(AttemptFailedError) as told:
        answer_from(json.dumps(data).encode())
    assert told.value.failure is (Failure.RATE_LIMITED if "429" in json.dumps(data) else Failure.GARBLED)
    assert said in told.value.message


@pytest.mark.parametrize(("data", "said"), ERRORS[:9])
def test_text_is_kept_whatever_error_follows_or_goes_before(data: object, said: str) -> None:
    text, error = '{"choices": [{"delta": {"content": "a"}}]}', json.dumps(data)
    for body in (f"data: {text}\n\ndata: {error}\n\n", f"{error}\n{text}", f"data: {error}\n\ndata: {text}\n\n"):
        answer = answer_from(body.encode())
        assert answer.text == "a"
        assert answer.finish in (Finish.CUT, Finish.OTHER)


def test_an_error_without_end_is_said_in_few_words() -> None:
    nested: object = "busy"
    for _ in range(8):
        nested = {"error": nested}
    assert said_in(nested) == "busy"
    assert said_in({"error": nested}) == '{"error": "busy"}'
    deep: object = 1
    for _ in range(100_000):
        deep = {"x": deep}
    assert said_in({"error": deep}) == ""


def test_an_error_beside_text_in_one_object_takes_nothing_away() -> None:
    choice = {"message": {"content": "a"}, "finish_reason": "stop"}
    assert answer_from(completion(choice, error={"message": "late"})).finish is Finish.STOP
    broken = {"message": {"content": "a"}, "finish_reason": None}
    assert answer_from(completion(broken, error={"message": "late"})).finish is Finish.CUT
    nothings: list[object] = [None, {}, "", False, []]
    for nothing in nothings:
        assert answer_from(completion(broken, error=nothing)).finish is Finish.OTHER


def test_a_body_that_breaks_off_is_an_answer_that_was_cut() -> None:
    body = completion({"message": {"content": "Half a sentence"}, "finish_reason": "stop"}, usage={"prompt_tokens": 5})
    for length in range(body.index(b"Half") + 1, len(body) - 1):
        answer = answer_from(body[:length])
        assert answer.finish is Finish.CUT
        assert "Half a sentence".startswith(answer.text)
        assert answer.usage is None


@pytest.mark.parametrize(
    ("value", "usage"),
    [
        ({"prompt_tokens": "50", "completion_tokens": "20"}, Usage(prompt=50, completion=20)),
        ({"prompt_tokens": 50.0, "completion_tokens": 20.0}, Usage(prompt=50, completion=20)),
        ({"input_tokens": 50, "output_tokens": 20}, Usage(prompt=50, completion=20)),
        ({"input_tokens": 5, "output_tokens": 20, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 5},
         Usage(prompt=50, completion=20, cached=40)),
        ({"input_tokens": 50, "output_tokens": 20, "total_tokens": 70, "cache_read_input_tokens": 40},
         Usage(prompt=50, completion=20, cached=40)),
        ({"input_tokens": 50, "output_tokens": 20, "input_tokens_details": {"cached_tokens": 40},
          "output_tokens_details": {"reasoning_tokens": 8}}, Usage(prompt=50, completion=20, cached=40, reasoning=8)),
        ({"promptTokenCount": 50, "candidatesTokenCount": 12, "thoughtsTokenCount": 8, "totalTokenCount": 70,
          "cachedContentTokenCount": 40}, Usage(prompt=50, completion=20, cached=40, reasoning=8)),
        ({"prompt_eval_count": 50, "eval_count": 20}, Usage(prompt=50, completion=20)),
        ({"inputTokens": 50, "outputTokens": 20}, Usage(prompt=50, completion=20)),
        ({"prompt_tokens": 50, "completion_tokens": 20, "prompt_cache_hit_tokens": 40, "prompt_cache_miss_tokens": 10},
         Usage(prompt=50, completion=20, cached=40)),
        ({"prompt_tokens": 50, "completion_tokens": 20, "cached_tokens": 40},
         Usage(prompt=50, completion=20, cached=40)),
        ({"prompt_tokens": 50, "completion_tokens": 20, "cache_read_input_tokens": 51},
         Usage(prompt=50, completion=20)),
        ({"prompt_tokens": "-5", "completion_tokens": 5}, None),
        ({"prompt_tokens": "5.5", "completion_tokens": 5}, None),
        ({"prompt_tokens": float("nan"), "completion_tokens": 5}, None),
        ({"prompt_tokens": float("inf"), "completion_tokens": 5}, None),
    ],
)  # fmt: skip
def test_usage_under_other_names(value: object, usage: Usage | None) -> None:
    assert usage_from(value) == usage


FIGURES = {"prompt_tokens": 5, "completion_tokens": 2}


@pytest.mark.parametrize(
    "data",
    [
        {"usage": FIGURES},
        {"usage": None, "x_groq": {"usage": FIGURES}},
        {"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2}},
        {"prompt_eval_count": 5, "eval_count": 2},
        {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 5, "outputTokenCount": 2}},
    ],
)
def test_usage_in_other_places(data: dict[str, Any]) -> None:
    assert usage_in(data) == Usage(prompt=5, completion=2)
    assert usage_in({}, None, {"usage": FIGURES}) == Usage(prompt=5, completion=2)


def test_an_answer_that_took_no_tokens_has_no_usage() -> None:
    choice = {"message": {"content": "a"}, "finish_reason": "stop"}
    assert answer_from(completion(choice, usage={"prompt_tokens": 5, "completion_tokens": 0})).usage is None
    nothing = {"message": {"content": ""}, "finish_reason": "stop"}
    assert answer_from(completion(nothing, usage={"prompt_tokens": 5, "completion_tokens": 0})).usage is not None


@pytest.mark.parametrize(
    ("prompt", "completion_tokens", "is_believed"),
    [
        (1000 + ADDED_TOKENS, 1, True),
        (1001 + ADDED_TOKENS, 1, False),
        (1, 2000 + ADDED_TOKENS, True),
        (1, 2001 + ADDED_TOKENS, False),
    ],
)
def test_a_usage_that_the_request_cannot_have_caused_is_none(
    prompt: int, completion_tokens: int, is_believed: bool
) -> None:
    usage = Usage(prompt=prompt, completion=completion_tokens)
    answer = Answer(text="a", finish=Finish.STOP, usage=usage)
    assert believed(answer, prompt_bytes=1000, cap=100).usage == (usage if is_believed else None)
