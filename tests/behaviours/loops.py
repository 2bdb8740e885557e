"""Behaviours of providers: texts that repeat without end."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

from behaviours.server import (
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

LONG = 400_000
"""Characters of a text without end: what the client must not read."""


def _endless(piece: Callable[[int], str]) -> str:
    """A text of ``LONG`` characters, of pieces that are told their number."""
    parts: list[str] = []
    length = 0
    for number in count(1):
        parts.append(piece(number))
        length += len(parts[-1])
        if length > LONG:
            break
    return "".join(parts)


def _streamed(call: Call, text: str) -> Reply:
    """A stream that goes on until the client closes it. How much of it the client has read is its own matter."""
    events = [event(chunk(call, {"content": piece})) for piece in pieces_of(text, 200)]
    return stream_reply(events, text=None)


def _capped(call: Call, text: str) -> dict[str, Any]:
    """The usage of a text, no more than the cap: these are about long texts, not about a server that bills too much."""
    cap = int(call.body.get("max_completion_tokens") or call.body["max_tokens"])
    completion = min(cap, usage(call, text)["completion_tokens"])
    return {
        "prompt_tokens": call.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": call.prompt_tokens + completion,
    }


def _loops(call: Call, *, piece: Callable[[int], str], before: str = "") -> Reply:
    return _streamed(call, f"{call.good_text(share=0.3)}\n{before}{_endless(piece)}")


def _once(call: Call) -> Reply:
    if call.number > 1:
        return answer(call, call.good_text())
    return _loops(call, piece=lambda _: "The scheduler decides. ")


def _in_one_section(call: Call) -> Reply:
    if call.section != 2:
        return answer(call, call.good_text())
    return _loops(call, piece=lambda _: "The scheduler decides. ")


def _whole(call: Call) -> Reply:
    text = call.good_text(share=0.3) + "\n" + "The scheduler decides.\n" * 800
    return json_reply(whole(call, text, finish="length", reported=_capped(call, text)), text=text)


def _recovers(call: Call) -> Reply:
    text = call.good_text(share=0.5) + "\n" + "The scheduler decides.\n" * 800 + "\n" + call.good_text(share=0.5)
    return json_reply(whole(call, text, reported=_capped(call, text)), text=text)


def _any_order(call: Call) -> Reply:
    pick = random.Random(5)
    lines = ("The kernel has a list.\n", "A worker has a queue.\n", "The parent has a child.\n")
    return _loops(call, piece=lambda _: pick.choice(lines))


def _long_line(call: Call) -> Reply:
    """One line of 100 KB that says something new all the time, and never ends."""
    words = " ".join(f"w{number * number % 99_991}" for number in range(15_000))
    text = call.good_text(share=0.3) + "\n" + words
    return answer(call, text, finish="length", reported=_capped(call, text))


def _many_lines(call: Call) -> Reply:
    """A hundred times what was asked for, none of it twice."""
    text = call.good_text(share=100)
    return answer(call, text, reported=_capped(call, text))


_PLAIN = '[models."{}"]\nstream = false\n'


def _behaviour(
    name: str, does: str, reply: Callable[[Call], Reply], *, kept_out: str = "", settings: str = ""
) -> Behaviour:
    """One whose sections end short, with a finding that says why, after at most two loops each."""
    return Behaviour(
        name=name,
        does=does,
        reply=reply,
        codes=(5,),
        found=("repeats",),
        kept_out=kept_out,
        most_requests=8,
        settings=settings,
    )


_PHRASE = "The scheduler decides. "
BEHAVIOURS: tuple[Behaviour, ...] = (
    _behaviour(
        "loop-phrase", "repeats a sentence on one line", partial(_loops, piece=lambda _: _PHRASE), kept_out=_PHRASE * 3
    ),
    _behaviour(
        "loop-words",
        "repeats words, no full stop",
        partial(_loops, piece=lambda _: "the scheduler decides "),
        kept_out="the scheduler decides " * 3,
    ),
    _behaviour(
        "loop-lines",
        "repeats a line",
        partial(_loops, piece=lambda _: "It decides what runs.\n"),
        kept_out="It decides what runs.\n" * 2,
    ),
    _behaviour(
        "loop-items",
        "repeats an item under a new number",
        partial(_loops, piece=lambda n: f"{n}. It decides what runs.\n"),
        kept_out="\n9. It decides",
    ),
    _behaviour("loop-rotation", "says three lines in any order", _any_order),
    _behaviour(
        "loop-chinese", "repeats a Chinese phrase", partial(_loops, piece=lambda _: "很好"), kept_out="很好很好很好"
    ),
    _behaviour("loop-ha", "repeats a syllable", partial(_loops, piece=lambda _: "ha "), kept_out="ha ha ha"),
    _behaviour("loop-letter", "repeats a letter", partial(_loops, piece=lambda _: "z" * 100), kept_out="z" * 100),
    _behaviour("loop-count", "counts", partial(_loops, piece=lambda n: f"{n}, "), kept_out="10, 11, 12"),
    _behaviour(
        "loop-code",
        "writes case after case",
        partial(_loops, piece=lambda n: f"    {n} => run({n}),\n", before="```rust\nmatch n {\n"),
        kept_out="30 => run(30)",
    ),
    _behaviour("loop-ticks", "repeats backticks", partial(_loops, piece=lambda _: "`" * 80), kept_out="`" * 80),
    _behaviour(
        "loop-table",
        "adds empty rows to a table",
        partial(_loops, piece=lambda _: "| | |\n", before="| a | b |\n|---|---|\n"),
        kept_out="| | |\n" * 3,
    ),
    _behaviour("loop-blanks", "goes on with blanks and line ends", partial(_loops, piece=lambda _: "  \n")),
    _behaviour(
        "loop-whole",
        "repeats a line up to the cap, in one piece",
        _whole,
        kept_out="The scheduler decides.\n" * 2,
        settings=_PLAIN.format("loop-whole"),
    ),
    Behaviour(
        name="loop-once",
        does="repeats a sentence once, then answers as asked",
        reply=_once,
        codes=(5,),
        found=("repeats",),
        kept_out=_PHRASE * 3,
        most_requests=12,
    ),
    Behaviour(
        name="loop-section",
        does="loops in section 2 only",
        reply=_in_one_section,
        codes=(5,),
        found=("repeats", "short"),
        kept_out=_PHRASE * 3,
        most_requests=12,
    ),
    Behaviour(
        name="loop-recovers",
        does="repeats a line 800 times, then goes on with new text",
        reply=_recovers,
        codes=(5,),
        found=("repeats",),
        kept_out="The scheduler decides.\n" * 2,
        settings=_PLAIN.format("loop-recovers"),
    ),
    Behaviour(name="long-line", does="writes a line of 100 KB", reply=_long_line, codes=(0, 5)),
    Behaviour(
        name="many-lines", does="writes a hundred times the lines asked", reply=_many_lines, codes=(5,), found=("long",)
    ),
)
