"""Check code blocks: left open, or with a syntax error."""

from __future__ import annotations

from expand.checks.finding import Finding, excerpt, finding
from expand.markdown import blocks, code


def open_fences(text: str, *, section: int) -> list[Finding]:
    """A fence that only the end of the text ends: all that follows would be code."""
    opening = blocks.open_fence(text)
    if opening is None:
        return []
    last = blocks.fences(text)[-1]
    message = f"the code block {excerpt(opening)} never ends: {last.end - last.start} lines are taken for code"
    return [finding("open-fence", section, last.start + 1, message)]


def broken_code(text: str, *, section: int) -> list[Finding]:
    """Code blocks in which a parser finds a syntax error, read as any excerpt that they may be."""
    found = []
    for block in blocks.fences(text):
        error = code.broken_code(block.language, block.code)
        if error is None:
            continue
        rows = block.code.splitlines()
        shown = excerpt(rows[error]) if error < len(rows) else ""
        message = f"the {block.language} block of {len(rows)} lines does not parse at its line {error + 1}: {shown}"
        found.append(finding("broken-code", section, block.start + error + 2, message))
    return found
