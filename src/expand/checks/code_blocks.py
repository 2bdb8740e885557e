"""Check code blocks: left open, or with a syntax error."""

import re
from collections.abc import Iterator

from expand.checks.finding import Finding, excerpt, finding
from expand.markdown import blocks, code, matching
from expand.markdown.blocks import Block

_TEXTS = frozenset({"", "text", "txt", "plain", "plaintext", "markdown", "md", "mdx", "output", "console", "prompt"})
_PROSE = re.compile(
    rf" {{0,3}}(?:#{{2,6}} \S|(?:[A-Z]\S*(?: \S+){{4,}}|[^\x00-\x7f]*[{matching.CJK}]\S{{8,}}).*[.:。：!！?？]$)"
)
_UNJUDGED = re.compile(r"(?i)\b(?:ignore|compile_fail|does_not_compile|should_fail)\b")
"""What an info string says of code that is not meant to compile."""
_ELIDED = re.compile(r"(?:\.{3}|…|--[ \t]*(?:snip|省略)[^\n]*)\s*(?:\*/|-->)?\s*\Z")
_INCLUDES = re.compile(r"(?m)^\s*(?:\{\{\s*#\w*(?:include|playground)\b|\{[*!].*[*!]\}\s*$|(?:--8<--|<<<)\s*\S)")
"""Lines in whose place the generator of the site puts another file."""


def open_fences(text: str, *, section: int) -> Iterator[Finding]:
    """A fence that only the end of the text, of its list or quote ends, or that a later fence was taken to end.

    The first block that holds prose is named, if there is one: there the end is missing."""
    every = blocks.fences(text)
    wrong = next((block for block in every if not block.closed or _opens_another(block)), None)
    if wrong is not None:
        block = next((one for one in every if one.start <= wrong.start and _prose_row(one) is not None), wrong)
        row = _prose_row(block)
        message = f"the code block {excerpt(block.marker + block.info)} never ends: "
        message += f"{block.end - block.start} lines are taken for code"
        if row is not None:
            message += f", prose from line {block.start + row + 2} on: {excerpt(block.code.splitlines()[row])}"
        yield finding("open-fence", section, block.start + 1, message)


def _opens_another(block: Block) -> bool:
    """Whether a block of code holds the line that opens another one: then the end of that one ended it."""
    if block.language in _TEXTS:
        return False
    opening = re.compile(rf"(?m)^ {{0,3}}{re.escape(block.marker)}{block.marker[0]}*[ \t]*[\w{{]")
    return opening.search(block.code) is not None


def _prose_row(block: Block) -> int | None:
    """The first line (from 0) of a block of code that is prose or a heading, behind a blank line."""
    rows = block.code.splitlines()
    prose = (n for n, row in enumerate(rows) if n and not rows[n - 1].strip() and _PROSE.match(row))
    return None if block.language in _TEXTS else next(prose, None)


def broken_code(text: str, *, section: int) -> Iterator[Finding]:
    """Code blocks that do not parse, read as any excerpt that they may be, or whose brackets do not match."""
    for block in blocks.fences(text):
        if fault := _fault(block):
            line, why = fault
            rows = blocks.bare_rows(block.code)
            shown = excerpt(rows[line]) if line < len(rows) else ""
            what = f"the {block.language} block of {len(rows)} lines does not parse at its line {line + 1}{why}"
            yield finding("broken-code", section, block.start + line + 2, f"{what}: {shown}")


def _fault(block: Block) -> tuple[int, str] | None:
    """The line (from 0) of the first mistake in a block, and what it is in brackets."""
    if _UNJUDGED.search(block.info) or _INCLUDES.search(block.code):
        return None
    line = code.broken_code(block.language, block.code)
    fault = (line, "") if line is not None else None
    if block.language == "mermaid":
        fault = code.broken_diagram(block.code)
    fault = fault or code.bracket_mismatch(block.language, block.code)
    if fault is None or _ELIDED.search(block.code):  # the author says that it goes on
        return None
    return fault[0], fault[1] and f" ({fault[1]})"
