"""Behaviours of providers: shapes of bodies, streams and usage."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from behaviours.server import (
    HANG_UP,
    Behaviour,
    Call,
    Reply,
    answer,
    chunk,
    event,
    json_reply,
    pieces_of,
    stream_reply,
    usage,
    whole,
)


def _bill(call: Call, text: str) -> int:
    return int(usage(call, text)["total_tokens"])


def _deltas(call: Call, text: str, *, key: str = "content") -> list[bytes]:
    return [event(chunk(call, {key: piece})) for piece in pieces_of(text)]


def _end(call: Call, text: str, *, finish: Any = "stop", reported: Any = None) -> list[bytes]:
    figures = usage(call, text) if reported is None else reported
    last = {**chunk(call, {}), "choices": [], "usage": figures}
    return [event(chunk(call, {}, finish=finish)), event(last), event("[DONE]")]


def _finishes(word: Any) -> Callable[[Call], Reply]:
    def reply(call: Call) -> Reply:
        return answer(call, call.good_text(), finish=word)

    return reply


def _reports(figures: Callable[[dict[str, Any]], Any]) -> Callable[[Call], Reply]:
    """A good answer whose usage is made of the true one."""

    def reply(call: Call) -> Reply:
        text = call.good_text()
        return answer(call, text, reported=figures(usage(call, text)))

    return reply


def _as_json(body: Callable[[Call, str], bytes], content_type: str = "application/json") -> Callable[[Call], Reply]:
    """A good text in a body that is no stream."""

    def reply(call: Call) -> Reply:
        text = call.good_text()
        headers = {"Content-Type": content_type}
        return Reply(parts=[body(call, text)], headers=headers, text=text, billed=_bill(call, text))

    return reply


def _as_stream(parts: Callable[[Call, str], Sequence[bytes | float | object]]) -> Callable[[Call], Reply]:
    """A good text in the parts of a stream."""

    def reply(call: Call) -> Reply:
        text = call.good_text()
        return stream_reply(parts(call, text), text=text, billed=_bill(call, text))

    return reply


def _once(first: Callable[[Call], Reply]) -> Callable[[Call], Reply]:
    """That reply to the first request, and good answers to all others."""

    def reply(call: Call) -> Reply:
        return first(call) if call.number == 1 else answer(call, call.good_text())

    return reply


def _error_once(*errors: Any) -> Callable[[Call], Reply]:
    return _once(lambda call: json_reply(errors[0] if len(errors) == 1 else list(errors)))


def _error_after_text(error: Any) -> Callable[[Call], Reply]:
    """Half of a text, and then an error in the stream."""

    def reply(call: Call) -> Reply:
        text = call.good_text()
        sent = pieces_of(text)[: max(1, len(pieces_of(text)) // 2)]
        events = [event(chunk(call, {"content": piece})) for piece in sent]
        return stream_reply([*events, event(error), event("[DONE]")], text="".join(sent), billed=_bill(call, text))

    return _once(reply)


def _dumped(data: Any, **options: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False, **options).encode()


def _cut_body(call: Call) -> Reply:
    """A body of JSON that ends in the middle of its text, with the connection."""
    body = _dumped(whole(call, call.good_text()))
    start = body.index(b'"content": "') + len(b'"content": "')
    end = start + 200
    while not body[:end].endswith(b"\\n"):
        end += 1
    text = json.loads(b'"' + body[start:end] + b'"')
    headers = {"Content-Type": "application/json"}
    return Reply(parts=[body[:end], 0.05, HANG_UP], headers=headers, text=text, billed=_bill(call, text))


def _with_bare_errors(call: Call, text: str) -> list[bytes]:
    """An error beside the text of every chunk."""
    warned = {"message": "slow", "code": 0}
    return [*(event(chunk(call, {"content": p}, error=warned)) for p in pieces_of(text)), *_end(call, text)]


def _growing(call: Call, text: str) -> list[bytes]:
    pieces = pieces_of(text)
    chunks = [
        event(chunk(call, {"content": piece}, usage=usage(call, "".join(pieces[: number + 1]))))
        for number, piece in enumerate(pieces)
    ]
    return [*chunks, event(chunk(call, {}, finish="stop", usage=usage(call, text))), event("[DONE]")]


def _two_choices(call: Call, text: str) -> list[bytes]:
    found: list[bytes] = []
    for piece in pieces_of(text):
        other = {"index": 1, "delta": {"content": "OTHER "}, "finish_reason": None}
        found += [event(chunk(call, {"content": piece})), event({**chunk(call, {}), "choices": [other]})]
    return [*found, *_end(call, text)]


def _thinking_parts(call: Call, text: str) -> list[bytes]:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "PONDERING"}]}
    parts = [event(chunk(call, {"content": [thought]}))]
    parts += [event(chunk(call, {"content": [{"type": "text", "text": piece}]})) for piece in pieces_of(text)]
    return [*parts, *_end(call, text)]


def _gzipped(call: Call) -> Reply:
    text = call.good_text()
    body = gzip.compress(b"".join([*_deltas(call, text), *_end(call, text)]))
    headers = {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}
    return Reply(parts=[body[:30], 0.02, body[30:]], headers=headers, text=text, billed=_bill(call, text))


def _gemini(true: Mapping[str, Any]) -> dict[str, Any]:
    prompt, total = true["prompt_tokens"], true["total_tokens"]
    return {"promptTokenCount": prompt, "candidatesTokenCount": total - prompt, "totalTokenCount": total}


def _single_bytes(call: Call, text: str) -> list[bytes]:
    body = b"".join([*_deltas(call, text), *_end(call, text)])
    head = 600  # with characters of several bytes in it
    return [*(body[at : at + 1] for at in range(head)), body[head:]]


BEHAVIOURS: tuple[Behaviour, ...] = (
    # Why it stopped, in other words
    Behaviour(name="finish-end-turn", does="ends with `end_turn`", reply=_finishes("end_turn")),
    Behaviour(name="finish-gemini", does="ends with `FINISH_REASON_STOP`", reply=_finishes("FINISH_REASON_STOP")),
    Behaviour(name="finish-eos", does="ends with `eos_token`", reply=_finishes("eos_token")),
    Behaviour(name="finish-number", does="ends with a number", reply=_finishes(1)),
    Behaviour(name="finish-null", does="never says why it ends, only [DONE]", reply=_finishes(None)),
    Behaviour(name="finish-empty", does='has `finish_reason: ""` in every chunk', reply=_finishes("")),
    Behaviour(
        name="finish-overloaded",
        does="breaks off once with `insufficient_system_resource`",
        reply=_once(lambda call: answer(call, call.good_text(share=0.5), finish="insufficient_system_resource")),
    ),
    Behaviour(
        name="finish-max-tokens",
        does="ends the first answer half way with `MAX_TOKENS`",
        reply=_once(lambda call: answer(call, call.good_text(share=0.5), finish="MAX_TOKENS")),
    ),
    # Errors in a success
    Behaviour(
        name="error-text-in-200", does="answers the first with an error of text", reply=_error_once({"error": "busy"})
    ),
    Behaviour(
        name="error-list-in-200",
        does="answers the first with a list that holds an error",
        reply=_error_once([{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}]),
    ),
    Behaviour(
        name="error-detail-in-200", does="answers the first with a detail", reply=_error_once({"detail": "busy"})
    ),
    Behaviour(
        name="error-always-in-200",
        does="answers every request with an error",
        reply=lambda call: json_reply({"error": {"message": "The upstream is gone", "code": 502}}),
        codes=(4,),
        said="The upstream is gone",
    ),
    Behaviour(
        name="error-after-text",
        does="sends an error in the middle of the first stream",
        reply=_error_after_text({"error": {"message": "Overloaded", "type": "overloaded_error"}}),
    ),
    Behaviour(
        name="error-event-after-text",
        does="sends an error without its name in the middle of the first stream",
        reply=_error_after_text({"code": 500, "message": "internal"}),
    ),
    Behaviour(name="error-beside-text", does="has an error beside every piece", reply=_as_stream(_with_bare_errors)),
    # JSON in a frame
    Behaviour(
        name="json-with-bom",
        does="answers JSON after a byte order mark and blanks",
        reply=_as_json(lambda call, text: b"\xef\xbb\xbf\n \n" + _dumped(whole(call, text))),
    ),
    Behaviour(
        name="json-after-comments",
        does="answers JSON after keep-alive comments",
        reply=_as_json(
            lambda call, text: b": waiting\n\n" * 3 + _dumped(whole(call, text), indent=2), "text/event-stream"
        ),
    ),
    Behaviour(
        name="json-then-events",
        does="answers JSON, and frames its end as events",
        reply=_as_json(lambda call, text: _dumped(whole(call, text)) + b"\n\ndata: [DONE]\n\n"),
    ),
    Behaviour(
        name="events-as-json",
        does="streams events as application/json",
        reply=_as_json(lambda call, text: b"".join([*_deltas(call, text), *_end(call, text)])),
    ),
    Behaviour(
        name="one-object-a-line",
        does="streams one object a line, without events",
        reply=_as_json(
            lambda call, text: b"".join(
                part.removeprefix(b"data: ").rstrip() + b"\n" for part in [*_deltas(call, text), *_end(call, text)]
            ),
            "application/x-ndjson",
        ),
    ),
    Behaviour(
        name="events-in-a-row",
        does="leaves the blank lines between events out, and ends lines with CRLF",
        reply=_as_stream(
            lambda call, text: [part.rstrip() + b"\r\n" for part in [*_deltas(call, text), *_end(call, text)]]
        ),
    ),
    Behaviour(
        name="junk-between-events",
        does="sends an event that is no JSON between the others",
        reply=_as_stream(
            lambda call, text: (
                [part for each in _deltas(call, text) for part in (each, b"data: {heartbeat}\n\n", b": ping\n\n")]
                + _end(call, text)
            )
        ),
    ),
    Behaviour(name="byte-by-byte", does="sends its first bytes one at a time", reply=_as_stream(_single_bytes)),
    Behaviour(name="gzip", does="compresses its stream", reply=_gzipped),
    Behaviour(
        name="no-done",
        does="ends a stream after the finish reason, without [DONE]",
        reply=_as_stream(lambda call, text: [*_deltas(call, text), *_end(call, text)[:2]]),
    ),
    Behaviour(
        name="open-after-done",
        does="does not end a stream after [DONE] for a second",
        reply=_as_stream(lambda call, text: [*_deltas(call, text), *_end(call, text), 1.0]),
    ),
    Behaviour(
        name="hangs-up-after-finish",
        does="hangs up after the finish reason",
        reply=_as_stream(lambda call, text: [*_deltas(call, text), *_end(call, text)[:1], 0.02, HANG_UP]),
    ),
    Behaviour(name="json-cut", does="hangs up in the middle of the first JSON body", reply=_once(_cut_body)),
    # Contents in other shapes
    Behaviour(
        name="content-in-parts",
        does="sends contents as lists of parts",
        reply=_as_stream(
            lambda call, text: [
                *(event(chunk(call, {"content": [{"type": "text", "text": p}]})) for p in pieces_of(text)),
                *_end(call, text),
            ]
        ),
    ),
    Behaviour(
        name="thinking-in-parts",
        does="sends a part with its thinking before the text",
        reply=_as_stream(_thinking_parts),
        kept_out="PONDERING",
    ),
    Behaviour(
        name="reasoning-beside",
        does="streams reasoning beside the text",
        reply=_as_stream(
            lambda call, text: [
                *_deltas(call, "PONDERING " * 30, key="reasoning_content"),
                *_deltas(call, "PONDERING " * 30, key="reasoning"),
                *_deltas(call, text),
                *_end(call, text),
            ]
        ),
        kept_out="PONDERING",
    ),
    Behaviour(
        name="completion-text",
        does="answers with `choices[0].text`",
        reply=_as_json(
            lambda call, text: _dumped(
                {**whole(call, text), "choices": [{"index": 0, "text": text, "finish_reason": "stop"}]}
            )
        ),
    ),
    Behaviour(
        name="message-as-text",
        does="answers with a message that is a text",
        reply=_as_json(
            lambda call, text: _dumped({**whole(call, text), "choices": [{"message": text, "finish_reason": "stop"}]})
        ),
    ),
    Behaviour(
        name="wrapped-completion",
        does="puts the completion into an object of its own",
        reply=_as_json(lambda call, text: _dumped({"code": 0, "message": "success", "data": whole(call, text)})),
    ),
    Behaviour(
        name="two-choices", does="writes two choices at once", reply=_as_stream(_two_choices), kept_out="OTHER OTHER"
    ),
    # Usage
    Behaviour(
        name="usage-as-text",
        does="reports usage as text",
        reply=_reports(lambda true: {name: str(count) for name, count in true.items()}),
    ),
    Behaviour(
        name="usage-anthropic",
        does="reports `input_tokens` and `output_tokens`",
        reply=_reports(
            lambda true: {"input_tokens": true["prompt_tokens"], "output_tokens": true["completion_tokens"]}
        ),
    ),
    Behaviour(name="usage-gemini", does="reports `promptTokenCount`", reply=_reports(_gemini)),
    Behaviour(
        name="usage-deepseek",
        does="reports `prompt_cache_hit_tokens`",
        reply=_reports(lambda true: {**true, "prompt_cache_hit_tokens": true["prompt_tokens"] // 2}),
    ),
    Behaviour(name="usage-growing", does="reports the usage so far in every chunk", reply=_as_stream(_growing)),
    Behaviour(
        name="usage-negative",
        does="reports negative usage",
        reply=_reports(lambda true: {**true, "completion_tokens": -5, "total_tokens": -1}),
    ),
    Behaviour(
        name="usage-huge",
        does="reports a billion tokens",
        reply=_reports(lambda true: {**true, "completion_tokens": 10**9, "total_tokens": 10**9}),
    ),
    Behaviour(
        name="usage-nothing",
        does="reports that the text took no tokens",
        reply=_reports(lambda true: {**true, "completion_tokens": 0, "total_tokens": true["prompt_tokens"]}),
    ),
    Behaviour(
        name="usage-of-another-shape",
        does="reports usage as a list",
        reply=_reports(lambda true: [true]),
    ),
)
