"""Random Markdown made of lines that mean something, and titles of a known likeness."""

from __future__ import annotations

from hypothesis import strategies as st

PIECES = [
    "# Title",
    "## 2. Part",
    "Plain text.",
    "- item",
    "  - nested",
    "1. one",
    "> quote",
    "```rust",
    "```",
    "~~~~",
    "  ```py",
    "    indented",
    "\ttab",
    "| a | b |",
    "|---|---|",
    "---",
    "===",
    "$$",
    "<div>",
    "</div>",
    "<!-- note -->",
    "[ref]: https://example.org",
    "- ```sh",
    "> ```",
    "",
    "  ",
    "文字。",
    "#[derive(Debug)]",
    "**Bold**",
]
markdown_texts = st.builds(
    lambda lines, ending, last: ending.join(lines) + (ending if last else ""),
    st.lists(st.sampled_from(PIECES), max_size=14),
    st.sampled_from(["\n", "\r\n", "\n"]),
    st.booleans(),
)


def titles_alike(common: int, total: int) -> tuple[str, str]:
    """Two titles of one word each, of ``total`` letters together, whose likeness is exactly
    ``2 * common / total``.
    """
    first = total // 2
    return "x" * common + "a" * (first - common), "x" * common + "b" * (total - first - common)
