"""Check code blocks: left open, or with a syntax error."""

from __future__ import annotations

import re

from expand.checks.finding import Finding, excerpt, finding
from expand.markdown import blocks, brackets, code, mermaid
from expand.markdown.blocks import Block

_UNJUDGED = re.compile(r"(?i)\b(?:ignore|compile_fail|does_not_compile|should_fail)\b")
"""What an info string says of code that is not meant to compile."""
_INCLUDES = re.compile(r"(?m)^\s*(?:\{\{\s*#\w*(?:include|playground)\b|\{[*!].*[*!]\}\s*$|(?:--8<--|<<<)\s*\S)")
"""Lines in whose place the generator of the site puts another file."""


def open_fences(text: str, *, section: int) -> list[Finding]:
    """A fence that only the end of the text ends: all that follows would be code."""
    opening = blocks.open_fence(text)
    if opening is None:
        return []
    last = blocks.fences(text)[-1]
    message = f"the code block {excerpt(opening)} never ends: {last.end - last.start} lines are taken for code"
    return [finding("open-fence", section, last.start + 1, message)]


def broken_code(text: str, *, section: int) -> list[Finding]:
    """Code blocks that do not parse, read as any excerpt that they may be, or whose brackets do not match."""
    found = []
    for block in blocks.fences(text):
        fault = _fault(block)
        if fault is None:
            continue
        line, why = fault
        rows = blocks.bare_rows(block.code)
        shown = excerpt(rows[line]) if line < len(rows) else ""
        message = f"the {block.language} block of {len(rows)} lines does not parse at its line {line + 1}{why}: {shown}"
        found.append(finding("broken-code", section, block.start + line + 2, message))
    return found


def _fault(block: Block) -> tuple[int, str] | None:
    """The line (from 0) of the first mistake in a block, and what it is in brackets."""
    if _UNJUDGED.search(block.info) or _INCLUDES.search(block.code):
        return None
    line = code.broken_code(block.language, block.code)
    fault = (line, "") if line is not None else None
    if block.language == "mermaid":
        fault = mermaid.broken(block.code)
    fault = fault or brackets.mismatch(block.language, block.code)
    return fault and (fault[0], fault[1] and f" ({fault[1]})")
