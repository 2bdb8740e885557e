"""Tokens made without the parser are the parser's."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_texts import PIECES

from expand.markdown import block_tokens as made
from expand.markdown.block_tokens import block_tokens, parsed

MORE = [
    "Plain text that goes on.",
    "and goes on  ",
    "a | b",
    "```rust",
    "```",
    "fn main() {}",
    "Vec<T>",
    "",
    "",
    "## Title ##",
    "###   Spaced title  ",
    "``` a`b",
    "$$",
    "x $$",
    "<pre>",
    "</pre>",
    "- item",
    "  goes on",
    "    ```",
    "~~~",
    "\x0c",
    "1) one",
]
texts = st.lists(st.sampled_from(PIECES + MORE), max_size=24).map("\n".join)


def shown(text: str, *, by_parser: bool) -> list[tuple[object, ...]]:
    tokens = parsed(text) if by_parser else block_tokens(text)
    return [(t.type, t.tag, t.nesting, t.map, t.level, t.content, t.markup, t.info, t.block, t.hidden) for t in tokens]


@given(texts)
@settings(max_examples=600, deadline=None)
@example("\x0c\n\na | b")
@example("```\na\n\nplain\n```\n\nplain")
@example("``` a`b\n<pre>\n```\n\nplain\n\n</pre>")
@example("- item\n\nplain\n\n- item")
@example("- ```\n\nplain\n\n```\n\nplain")
@example("$$\n\nplain\n\nx $$\n\nplain")
@example("> ```\n\nplain")
def test_the_tokens_are_the_parsers(text: str) -> None:
    assert shown(text, by_parser=False) == shown(text, by_parser=True)


def test_plain_text_around_a_fence_is_not_parsed() -> None:
    seen: list[str] = []
    original = made.parsed

    def noted(text: str) -> object:
        seen.append(text)
        return original(text)

    made.parsed = noted  # type: ignore[assignment]
    try:
        block_tokens("## T\n\nplain\n\n```rust\nVec<T>\n\nuse\n```\n\nplain\nmore\n\n### U\n")
    finally:
        made.parsed = original
    assert seen == ["```rust\nVec<T>\n\nuse\n```\n\n"]
