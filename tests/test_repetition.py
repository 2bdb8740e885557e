"""Texts that repeat without end, and texts that only look as if they did."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_texts import markdown_texts

from expand.markdown import repetition
from expand.markdown.repetition import LoopDetector, loops, without

BEFORE = "This is what stands before.\nIt says one thing, and then another.\n\n"
AFTER = "And this comes after it.\nNothing is lost of it.\n"
WORDS = [
    f"{first}{second}" for first in ("al", "be", "ga", "del", "ep") for second in ("pha", "ta", "mma", "lon", "na")
]


def in_turn(*lines: str) -> str:
    pick = random.Random(7)
    return "".join(pick.choice(lines) for _ in range(2000))


ENDLESS = {
    "phrase": "The scheduler decides. " * 2000,
    "phrase without punctuation": "the scheduler decides " * 2000,
    "line": "The scheduler decides.\n" * 2000,
    "paragraph": "The scheduler decides.\n\n" * 2000,
    "short word": "ha " * 4000,
    "word without spaces": "ha" * 20000,
    "letter": "a" * 50000,
    "Chinese": "很好" * 2000,
    "Chinese sentence": "调度器决定。" * 2000,
    "number": "17 " * 3000,
    "digits": "0" * 50000,
    "blanks": " " * 50000,
    "empty lines": "\n" * 5000,
    "backticks": "`" * 50000,
    "rules": "---\n" * 3000,
    "dots": ". " * 5000,
    "empty table rows": "| | | |\n" * 2000,
    "table rows": "| the same | every time |\n" * 2000,
    "list items": "- The scheduler decides.\n" * 2000,
    "numbered items": "".join(f"{n}. The scheduler decides.\n" for n in range(1, 2000)),
    "counting": " ".join(f"{n}." for n in range(1, 4000)),
    "counting down": ", ".join(f"{n}" for n in range(9000, 1, -1)),
    "counting in fives": ", ".join(f"{n}" for n in range(0, 9000, 5)),
    "counting in hexadecimal": ", ".join(f"0x{n:02x}" for n in range(4000)),
    "code that counts": "```rust\n" + "".join(f"    case {n} => foo({n}, {n + 1}),\n" for n in range(2000)),
    "a counter and its bound": "".join(f"Step {n} of 100 is done.\n" for n in range(2000)),
    "code": "```python\n" + "    total = total + value\n" * 2000,
    "block": "".join(f"The {word} worker has a queue of its own.\n" for word in WORDS) * 40,
    "lines in turn": "The kernel has a list.\nA worker has a queue.\nThe parent has a child.\n" * 600,
    "lines in any order": in_turn("The kernel has a list.\n", "A worker has a queue.\n", "The parent has a child.\n"),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_what_repeats_without_end_is_a_loop(name: str) -> None:
    text = BEFORE + ENDLESS[name] + "\n" + AFTER
    (loop,) = loops(text)
    kept = without(text, [loop])
    assert kept.startswith(BEFORE.rstrip("\n"))
    assert kept.endswith(AFTER)
    assert len(kept) < len(BEFORE + AFTER) + 1500


@pytest.mark.parametrize("name", ENDLESS)
def test_it_is_recognised_while_it_streams_wherever_the_pieces_begin(name: str) -> None:
    text = BEFORE + ENDLESS[name]
    tripped = set()
    for size in (1, 7, 64):
        detector = LoopDetector()
        tripped.add(next(at for at in range(0, len(text), size) if detector.feed(text[at : at + size])) // 128)
    assert max(tripped) - min(tripped) <= 1
    assert max(tripped) * 128 < len(text) / 2 + 5000


def test_what_is_said_first_stays() -> None:
    text = BEFORE + "The kernel has a list.\nA worker has a queue.\n" * 300
    assert without(text, loops(text)) == BEFORE + "The kernel has a list.\nA worker has a queue.\n"
    text = "It began well. " + "The scheduler decides. " * 300
    assert without(text, loops(text)) == "It began well. The scheduler decides. "
    text = "".join(f"{n}. The scheduler decides.\n" for n in range(1, 400))
    assert without(text, loops(text)).count("\n") == 4
    text = "1\n" * 3 + "".join(f"Line {n * n} is new.\n" for n in range(500))
    assert loops(text) == ()


def test_several_loops_are_found() -> None:
    text = BEFORE + "The kernel has a list.\n" * 300 + AFTER + "A worker has a queue.\n" * 300 + AFTER
    assert without(text, loops(text)) == f"{BEFORE}The kernel has a list.\n{AFTER}A worker has a queue.\n{AFTER}"


def test_a_loop_that_ends_in_a_sentence_leaves_the_next_one_whole() -> None:
    text = "The kernel has a list. " * 300 + "The kernel has no queue, though."
    assert without(text, loops(text)) == "The kernel has a list. The kernel has no queue, though."


def rows(count: int, row: Callable[[int], str]) -> str:
    return "".join(row(number) for number in range(count))


_PICK = random.Random(3)
PUBLISHED = {
    "zeros": "```c\nstatic unsigned char page[512] = {\n"
    + rows(32, lambda _: "    " + "0, " * 16 + "\n")
    + "};\n```\n",
    "hex dump of zeros": rows(64, lambda n: f"{n * 16:08x}: {'0000 ' * 8} ................\n"),
    "hex dump of ones": rows(12, lambda n: f"{n * 16:08x}: {'ffff ' * 8} ................\n"),
    "hex dump": rows(400, lambda _: " ".join(f"{_PICK.randrange(256):02x}" for _ in range(16)) + "\n"),
    "bits": rows(400, lambda _: ", ".join(str(_PICK.randrange(2)) for _ in range(16)) + ",\n"),
    "measurements": rows(500, lambda n: f"| {n} | {_PICK.randrange(1000)} | {_PICK.random():.3f} |\n"),
    "log": rows(500, lambda n: f"64 bytes from 10.0.0.1: icmp_seq={n} ttl=64 time={_PICK.randrange(999)} ms\n"),
    "interrupt vectors": rows(128, lambda n: f"    isr_{n}, /* vector {n} */\n"),
    "byte values": rows(16, lambda n: ", ".join(str(16 * n + m) for m in range(16)) + ",\n"),
    "contents": rows(100, lambda n: f"{n}. {WORDS[n % 25]} {WORDS[n // 5]} {'.' * 60} {7 * n}\n"),
    "drawing": rows(30, lambda _: "|" + " " * 20 + "|" + "-" * 40 + "|" + "#" * 30 + "|\n"),
    "methods": rows(60, lambda n: f"### {WORDS[n % 25]}{n}\n\nReturns a promise. It is rejected when closed.\n\n"),
    "listing shown four times": 4 * rows(80, lambda n: f"let {WORDS[n % 25]}_{n * n} = compute({n * n * n});\n"),
    "padding": "AAAA" * 500 + "\n",
    "rules": ("=" * 79 + "\n") * 20,
    "zeros in base64": "A" * 2000 + "\n",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_people_publish_is_none(name: str) -> None:
    assert loops(PUBLISHED[name]) == ()


def test_words_and_tokens_have_their_bounds() -> None:
    words = "The cat had one rat. "  # five words and a full stop; a letter less each, and it would be no word
    assert repetition.MOST_WORDS == 200
    # What stands TIMES times, and CONTEXT - 1 tokens more that fill the first context, is not counted.
    stale = repetition.TIMES * 6 + repetition.CONTEXT - 1
    tokens = re.findall(r"\S+?(?=\.)|\.|\S+", words * 100)
    first = next(at for at in range(len(tokens)) if _trips(tokens[:at]))
    counted = [token for token in tokens[stale:first] if token != "."]
    assert len(counted) == 200
    marks = ["of"] * 3000
    first = next(at for at in range(1400, len(marks)) if _trips(marks[:at]))
    assert first == repetition.MOST_TOKENS + repetition.TIMES + repetition.CONTEXT - 1


def _trips(tokens: list[str]) -> bool:
    return bool(loops(" ".join(tokens)))


def test_a_block_loops_when_it_stands_often_enough_and_is_not_too_long() -> None:
    block = "".join(f"Row {n * n * n} holds {WORDS[n % 25]} and nothing else of {n * n}.\n" for n in range(30))
    assert loops(block * repetition.TIMES) == ()
    assert loops(block * (repetition.TIMES + 2))
    # Nine tokens a line: what TIMES of it do not fit into the window is not remembered.
    long = "".join(f"Row {n * n * n} holds {WORDS[n % 25]} and nothing of {n * n}.\n" for n in range(260))
    assert loops(long * 7) == ()


def test_numbers_go_on_from_those_in_the_same_words() -> None:
    assert loops(rows(400, lambda n: f"case {n} => run({3 * n}),\n"))
    assert loops(rows(400, lambda n: f"case {n} => run({n * n}),\n")) == ()


def test_time_grows_with_the_text_and_memory_does_not() -> None:
    lines = rows(20_000, lambda n: f"Row {n * n} of them holds {WORDS[n % 25]} and {n * n * n}.\n")
    began = time.process_time()
    assert loops(lines) == ()
    assert time.process_time() - began < 5
    detector = LoopDetector()
    for at in range(0, len(lines), 1000):
        detector.feed(lines[at : at + 1000])
    assert len(detector._symbols) <= 2 * repetition.WINDOW
    assert len(detector._met) <= repetition.WINDOW
    assert len(detector._series) <= repetition.WINDOW + 1


@given(markdown_texts)
def test_any_text_is_read(text: str) -> None:
    found = loops(text)
    assert all(0 <= loop.start < loop.end <= len(text) for loop in found)
    detector = LoopDetector()
    for letter in text:
        detector.feed(letter)


@settings(deadline=None)
@given(st.text(min_size=1, max_size=30), st.text(max_size=30))
def test_any_text_repeated_is_cut_to_less(text: str, after: str) -> None:
    whole = BEFORE + text * 1500 + after
    kept = without(whole, loops(whole))
    assert len(kept) <= len(whole)
    assert kept.startswith(BEFORE.rstrip("\n"))


def test_the_documentation_has_none() -> None:
    for path in Path(__file__).parents[1].glob("**/*.md"):
        if ".venv" not in path.parts:
            assert loops(path.read_text(encoding="utf-8")) == (), path
