"""Random Markdown made of lines that mean something, for property tests."""

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
