"""Inputs that somebody made to break the tool, by kind, and what has to become of each: taken, or refused with words.

``benchmarks/hostile.py`` runs as many as one likes of them, ``test_hostile_inputs.py`` a few in each run of the tests.
"""

# ruff: noqa: E501 - a table of tokens
from __future__ import annotations

import itertools
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import NamedTuple

from buying import answer as an_answer
from buying import begin, order
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from workspaces import BOOK, OUTLINE, small

from expand.checks import check_chapter, check_text
from expand.document import draft
from expand.document.draft import Stamp
from expand.drafting.section_text import SectionText, Skeleton
from expand.errors import ExpandError
from expand.ledger import Ledger, export, import_, verify
from expand.ledger.attempts import encodable
from expand.llm.completion import answer_from
from expand.llm.failures import refused
from expand.llm.types import AttemptFailedError, Finish
from expand.prompts.rendering import Prompts
from expand.settings import read_settings
from expand.workspace import Workspace

TOKENS = (
    *("9" * 5000, "-" + "9" * 400, "1e400", "nan", ".inf", "-1", "0", "0x1F", "0o7", "1_000", "1e1000000000", "2026-11-29"),
    *("[" * 990, "{" * 990, "]" * 990, "(" * 990, "- " * 990, "> " * 990, "x" * 300, "=" * 300, "word " * 300),
    *("null", "true", "~", "''", '""', "\"", "'", "\n", "\r", "\r\n", "\t", "  ", ": ", "- ", "? ", "| ", ">", "# ", "&a ", "*a", "<<: *a"),
    *("\0", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u202e", "\ufeff", "\ud800", "\uffff", "\U0010ffff", "é", "e\u0301", "漢", "👩‍👩‍👧"),
    *("!!python/object:os.system x", "!!binary x", "---\n", "...\n", "%YAML 9.9\n", "[[a]]\n", "[a]\nb = 1\n", "a.b.c = 1\n", "\"\"\"", "'''"),
    *("{{", "}}", "{%", "%}", "{#", "#}", "{{ lines }} lines", "{{ 'x' * 10**9 }}", "{% for a in range(99999) %}", "{% endfor %}"),
    *("{% include 'section.j2' %}", "{% extends 'system.j2' %}", "{{ ''.__class__ }}", "{{ topics[99] }}", "{{ lines|string|indent(1000000000, first=true) }}", "{{ 1/0 }}"),
    *("```", "```rust\n", "~~~~", "<!-- expand: ignore all -->", "<!-- expand ", "-->", "<think>", "</think>", "<details>", "$$", "[a](", "](../../x)", "![", "[^1]:"),
    *("## 2. Named pipes", "### 2.1 Opening", "| a | b |\n|---|", "* * *", "\\", "`", "**", "&#x0;", "Sure! Here is the section:\n"),
    *('{"kind": "attempt"}', '"state": "sold"', "NaN", "Infinity", "\\ud800", "\\u0000", "..", "/etc/passwd", "postgresql://u:p@h/d", "http://[::1"),
)  # fmt: skip
"""What is put into good inputs: numbers and brackets without end, forbidden characters, and pieces of every syntax."""


LENGTHS = (0, 0, 1, 3, 10, 60)
"""How many characters a token may take the place of."""


class Mutation(NamedTuple):
    """Replace ``length`` characters from the ``place`` on (in thousandths of the text) by a token."""

    place: int
    length: int
    token: str


def mutations(*, most: int = 4) -> SearchStrategy[list[Mutation]]:
    """A few places to change."""
    tokens = st.sampled_from(TOKENS) | st.text(max_size=20)
    one = st.builds(Mutation, st.integers(0, 1000), st.sampled_from(LENGTHS), tokens)
    return st.lists(one, min_size=1, max_size=most)


def mutated(text: str, changes: list[Mutation]) -> str:
    """The text with the changes in it."""
    for change in changes:
        at = len(text) * change.place // 1000
        text = text[:at] + change.token + text[at + change.length :]
    return text


def variants(*texts: str, most: int = 4) -> SearchStrategy[str]:
    """Mutated texts, and some made of tokens alone."""
    soup = st.lists(st.sampled_from(TOKENS) | st.text(max_size=10), max_size=12).map("".join)
    return st.builds(mutated, st.sampled_from(texts), mutations(most=most)) | soup


def encoded(text: str) -> bytes:
    """As a file holds it; a half of a character makes it no UTF-8."""
    return text.encode("utf-8", "surrogatepass")


def is_taken(use: Callable[[], object]) -> bool:
    """Whether an input was taken; False where it was refused with a message. Anything else is raised."""
    try:
        use()
    except ExpandError as error:
        if error.exit_code != 2 or not str(error).strip():
            raise AssertionError(f"exit {error.exit_code}: {error}") from error
        return False
    return True


# --- the kinds -------------------------------------------------------------------------------------

SETTINGS = """\
ledger = "ledger.db"

[author]
model = "gpt-4o"
base_url = "http://127.0.0.1:8000/v1"
concurrency = 4
timeout_seconds = 60

[models."gpt-4o"]
context_window = 128000
prices = { prompt = 2.5, completion = 10 }
rpm = 500

[providers.ours]
base_url = "http://127.0.0.1:9000/v1"
headers = { X-Team = "docs" }
"""

TEMPLATE = """\
{% macro item(text, level=1) -%}{{ "#" * level }} {{ text }}{%- endmacro %}
{% for topic in topics %}{{ loop.index }}. {{ item(topic, 2) }} ({{ topics|length }}){% else %}none{% endfor %}
{% if present is defined and lines > 3 %}{{ section_title|upper|replace("A", "b") ~ " " ~ section_number }}{% endif %}
{% set x = [1, 2, 3] %}{{ x|map("string")|join(", ")|indent(4) }}{{ "a".upper() ~ 7 % 4 }}{{ 2 * 3 * 4 }}
{% include "length.j2" %}
"""

MARKDOWN = """\
Sure! Here is the section:

## 2. Named pipes

A pipe outlives the process that opened it; see [the table](#table) and `mkfifo`.[^1]

### 2.1 Opening

1. First open it.
2. Then read it:

   ```rust
   fn open() -> std::io::Result<()> { Ok(()) }
   ```

| a | b |
|---|---|
| 1 | 2 |

### 2.2 Reading

> A quote. $x^2$

<details><summary>More</summary>

Text.

</details>

[^1]: A note.

Let me know if you need anything else!
"""

COMPLETION = json.dumps(
    {
        "id": "x", "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Text.\n"}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 3}},
    }
)  # fmt: skip
FAILURE = json.dumps({"error": {"message": "try again in 2.4s", "type": "rate_limit", "code": "rate_limit_exceeded"}})
EVENTS = "".join(
    f"data: {line}\n\n"
    for line in (
        '{"choices": [{"delta": {"content": "Te"}}]}',
        '{"choices": [{"delta": {"content": "xt"}, "finish_reason": "length"}], "usage": null}',
        "[DONE]",
    )
)


def read_settings_of(folder: Path, text: str) -> bool:
    """``expand.toml``."""
    path = folder / "expand.toml"
    path.write_bytes(encoded(text))

    def use() -> None:
        read_settings(path, environment={})
        _ = Workspace(root=folder).ledger_place

    return is_taken(use)


def read_outline_of(folder: Path, text: str) -> bool:
    """A chapter's outline."""
    workspace = _workspace(folder)
    workspace.outline_path("07").write_bytes(encoded(text))
    return is_taken(lambda: workspace.outline("07"))


def read_book_of(folder: Path, text: str) -> bool:
    """``outlines/book.yaml``."""
    workspace = _workspace(folder)
    workspace.book_path.write_bytes(encoded(text))
    return is_taken(workspace.book)


def render(folder: Path, text: str) -> bool:
    """A template in the place of ``section.j2``."""
    (folder / "section.j2").write_bytes(encoded(text))
    return is_taken(lambda: Prompts(folder).check("en"))


def import_export(folder: Path, text: str) -> bool:
    """An export of a ledger. What is taken is used: it adds up, and can be exported again."""
    path = folder / "made" / "ledger.db"
    shutil.rmtree(path.parent, ignore_errors=True)
    if not is_taken(lambda: import_(path, encoded(text).split(b"\n"), name="all.jsonl")):
        with closing(Ledger.open(path)) as empty:
            assert not list(empty.attempts()), "what is refused leaves nothing behind"
        return False

    def use() -> None:
        report = verify(path)
        assert report.ok, report.findings
        with closing(Ledger.open(path)) as ledger:
            ledger.overview()
            list(ledger.attempts())
            begin(ledger)
        list(export(path, texts=True))

    use()
    return True


def take_answers(folder: Path, text: str) -> bool:
    """Answers of a model: cleaned, joined, closed, checked, and written to a draft that reads back the same."""
    text = encodable(text)  # as the ledger hands it out
    section = SectionText(Skeleton(number=2, title="Named pipes", topics=("Opening", "Reading"), target=40))
    half = len(text) // 2
    for part, finish, slots in (
        (text[:half], Finish.CUT, (0, 1)),
        (text[half:], Finish.STOP, (1,)),
        (text, Finish.LENGTH, (0,)),
    ):
        section.add(part, finish, slots)
    section.replaced((1,), text, Finish.STOP)
    rendered = section.render()
    check_text(rendered, section=2)
    check_chapter({2: rendered})
    whole = draft.render(
        f"# T\n\n{rendered}\n---\n\nF\n", layout="numbered", pieces=("# T", 2, "---\n\nF\n"), language="en", plan="full",
        source="0" * 64, stamps={2: Stamp(key="k", text=draft.text_hash(rendered))},
    )  # fmt: skip
    read = draft.read(whole)
    assert 2 in read.sections, "a section is lost"
    return True


def read_body(folder: Path, text: str) -> bool:
    """What a provider sends back, as an answer and as an error."""
    body = encoded(text)
    refused(429, {"retry-after": text[:20], "x-ratelimit-reset-tokens": text[:20]}, body, now=0.0)
    refused(400, {}, body, now=0.0)
    try:
        answer_from(body)
    except AttemptFailedError:
        return False
    return True


def _workspace(folder: Path) -> Workspace:
    if not (folder / "expand.toml").exists():
        small(folder)
    return Workspace(root=folder)


@cache
def exported() -> str:
    """The export of a small ledger with attempts in several states."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        with closing(Ledger.open(path)) as ledger:
            run = begin(ledger)
            for number, question in itertools.product(range(2), (None, "q")):
                reserved = ledger.reserve(order(run, f"{number}{question}", question=question))
                assert not isinstance(reserved, str)
                if number:
                    ledger.settle(reserved.attempt_id, an_answer("Two\n"), cost_pico_usd=None)  # type: ignore[union-attr]
            ledger.raise_edition("03", 1, instruction="shorter")
        return "\n".join(export(path, texts=True))


class Kind(NamedTuple):
    """One kind of input: the good ones and how far they are changed, how an input is used, and its share of a run."""

    texts: tuple[str, ...]
    most: int
    use: Callable[[Path, str], bool]
    share: float

    @property
    def inputs(self) -> SearchStrategy[str]:
        """What Hypothesis can shrink."""
        return variants(*self.texts, most=self.most)

    def made_from(self, seed: int) -> str:
        """An input from a number: seven times as fast, for a run of many."""
        chance = random.Random(seed)
        if chance.random() < 0.1:
            return "".join(chance.choices(TOKENS, k=chance.randint(0, 12)))
        changes = [
            Mutation(chance.randint(0, 1000), chance.choice(LENGTHS), self._token(chance))
            for _ in range(chance.randint(1, self.most))
        ]
        return mutated(chance.choice(self.texts), changes)

    def _token(self, chance: random.Random) -> str:
        if chance.random() < 0.7:
            return chance.choice(TOKENS)
        return "".join(chr(chance.choice((chance.randrange(128), chance.randrange(0x11_0000)))) for _ in range(4))


def kinds() -> Mapping[str, Kind]:
    """All of them by name; the shares add up to 1."""
    return {
        "settings": Kind((SETTINGS,), 2, read_settings_of, 0.26),
        "outlines": Kind((OUTLINE,), 2, read_outline_of, 0.24),
        "books": Kind((BOOK,), 2, read_book_of, 0.12),
        "templates": Kind((TEMPLATE,), 2, render, 0.04),
        "ledger JSONL": Kind((exported(),), 2, import_export, 0.04),
        "answers": Kind((MARKDOWN,), 8, take_answers, 0.05),
        "provider bodies": Kind((COMPLETION, FAILURE, EVENTS), 4, read_body, 0.25),
    }
