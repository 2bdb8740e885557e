"""Behaviours of a provider that keeps to the interface, and of one that breaks off."""

from __future__ import annotations

from behaviours.server import HANG_UP, Behaviour, Call, Reply, answer, chunk, event, pieces_of, stream_reply, usage


def _good(call: Call) -> Reply:
    return answer(call, call.good_text())


def _half(call: Call) -> Reply:
    return answer(call, call.good_text(share=0.5))


def _breaks_once(call: Call) -> Reply:
    if call.number > 1:
        return _good(call)
    text = call.good_text()
    sent = pieces_of(text)[: max(1, len(pieces_of(text)) // 2)]
    events = [event(chunk(call, {"content": piece})) for piece in sent]
    return stream_reply([*events, 0.05, HANG_UP], text="".join(sent), billed=usage(call, text)["total_tokens"])


BEHAVIOURS = (
    Behaviour(name="good", does="answers as asked", reply=_good),
    Behaviour(name="half", does="delivers half of what is asked", reply=_half),
    Behaviour(name="breaks-once", does="loses the first connection half way", reply=_breaks_once),
)
