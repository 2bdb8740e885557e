"""Texts that nobody would write and somebody will: for tests that nothing but an input error comes of them.

``outline_files``, ``book_files`` and ``settings_files`` make files, ``ids`` chapters' ids.
``HOSTILE_EXAMPLES`` in the environment says how many of each a test tries, 200 if it says nothing.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "200"))
HOSTILE = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)
"""For ``@HOSTILE @given(...)``."""

NUMBERS = (
    "1" * 5000, "-" + "9" * 5000, "0x" + "f" * 5000, "1e400", "1e999999999", "1e99999999999999999999", "-1e-400",
    "1." + "3" * 5000, ".inf", "-inf", "nan", ".nan", "NaN", "Infinity", "0", "-0", "00", "1_000", "0o17", "1e5",
    "9007199254740993", "18446744073709551616", "1" * 30, "1" * 31,
)  # fmt: skip
WORDS = (
    "", " ", "~", "null", "true", "yes", "no", "03", "0b1", "2001-01-01", "2001-99-99", "07:32:00", "x" * 300,
    "性" * 100, "\U0001f600" * 80, "../x", "/etc/passwd", ".git/config", "CON", "a/b", "a\\b", "\x00", "\x1b[31m",
    "\u202e", "\ufeff", "\u2028", "\u0085", "=cmd()", "<script>alert(1)</script>", "{{ 7*7 }}", "{% raw %}", "|", "```",
    "postgresql://u:p@h/d", "http://[::1", "http://a:b@c/v1", "https://\u2100.com", "book", "..", ".", "-",
)  # fmt: skip
SYNTAX = (
    "[" * 990, "[" * 17, "{" * 990, "{a: " * 990, "]" * 990, "- " * 990, "&a [*a, *a]", "*a", "&x ", "!!python/name:x ",
    "!x ", "<<: *a", "? ", "---\n", "...\n", "%YAML 9.9\n", "\t", "\r", "\n", '"', "'", '"\\ud800"', '"\\x00"',
    "|\n  ", ">\n", "#", ": ", ", ", "a: 1\na: 1\n", "[[", "]]", "[a.b]\n", "a.b.c = 1\n", ".".join("a" * 990) + "=1",
    "'''", '"""', "{ x = 1 }", "\xef\xbb\xbf", "\ud800",
)  # fmt: skip

numbers = st.one_of(
    st.sampled_from(NUMBERS), st.integers().map(str), st.floats().map(str), st.integers(1, 6000).map(lambda n: "7" * n)
)
words = st.one_of(st.sampled_from(WORDS), st.text(max_size=30))
pieces = st.one_of(numbers, words, st.sampled_from(SYNTAX))
ids = st.one_of(words, st.text(min_size=1, max_size=400))

OUTLINE = """\
id: 07
title: {en: Signals, zh: 信号}
source: chapters/07_signals.md
target_lines: 100
priority: high
hours: 1.5
audience: Programmers
style: tutorial
quality: {code_examples: 3, code_language: rust}
glossary: {pipe: {zh: 管道}}
allowance: {tokens: 2000, usd: 1.5}
sections:
  - title: {en: Handling, zh: 处理}
    lines: 40
    topics: [Blocking, {en: Safety, zh: 安全}]
    code_examples: 2
    note: Show it.
  - {title: Checklist, lines: 20}
"""
BOOK = """\
title: {en: A small book, zh: 一本小书}
language: en
languages: [en, zh]
audience: Programmers
house_rules: [Name every version.]
allowance: {tokens: 200000}
tiers: [{id: one, title: First, target_lines: 900}]
opening:
  - {chapters: [01], tokens: 1000, hours: 2, usd: 0.5}
chapters:
  - {id: 01, title: Beginnings, lines: 90, tier: one, finished: true}
  - {id: 07, title: Signals, lines: 22, lines_before: 20, target_lines: 100, source: chapters/07_signals.md}
"""
SETTINGS = """\
ledger = "data/ledger.db"
[author]
model = "scripted"
provider = "mine"
base_url = "http://127.0.0.1:9/v1"
concurrency = 8
timeout_seconds = 60.5
total_timeout_seconds = 600
[models."gpt-*"]
context_window = 32000
max_output_tokens = 8000
lines_per_request = 60
prices = { prompt = 1.5, completion = 2 }
parameters = { top_p = 0.9, stop = ["x", "y = 1"] }
[providers.mine]
base_url = "http://127.0.0.1:9/v1"
"""


@st.composite
def mutations(draw: st.DrawFn, seed: str) -> str:
    """The text with up to four places of it replaced, values and whatever stands elsewhere."""
    text = seed
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            lines = text.split("\n")
            at = draw(st.integers(0, len(lines) - 1))
            mark = ":" if ":" in lines[at] else "="
            lines[at] = lines[at].partition(mark)[0] + mark + " " + draw(pieces)
            text = "\n".join(lines)
        else:
            start = draw(st.integers(0, len(text)))
            text = text[:start] + draw(pieces) + text[min(len(text), start + draw(st.integers(0, 12))) :]
    return text


def _files(seed: str) -> st.SearchStrategy[bytes]:
    texts = st.one_of(mutations(seed), st.text(max_size=200), pieces)
    encoded = texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
    return st.one_of(
        encoded, encoded, st.binary(max_size=200), texts.map(lambda text: text.encode("utf-16", "replace"))
    )


outline_files = _files(OUTLINE)
book_files = _files(BOOK)
settings_files = _files(SETTINGS)
