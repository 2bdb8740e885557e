"""Findings about code blocks: left open, broken, too few."""

from __future__ import annotations

from collections.abc import Iterator

from expand.checks.finding import Finding, excerpt
from expand.markdown import blocks, code
from expand.markdown.blocks import Block

_NO_CODE = frozenset({"", "text", "txt", "plain", "plaintext", "output", "console", "markdown", "md"})


def open_fences(text: str, *, section: int) -> Iterator[Finding]:
    """A fence that only the end of the text ends: all that follows would be code."""
    opening = blocks.open_fence(text)
    if opening is not None:
        last = blocks.fences(text)[-1]
        yield Finding(
            kind="open-fence",
            section=section,
            line=last.start + 1,
            severity="blocking",
            message=f"the code block {excerpt(opening)} never ends: {last.end - last.start} lines are taken for code",
            remedy="close the block",
            mendable=True,
        )


def broken(text: str, *, section: int) -> Iterator[Finding]:
    """A code block in which a parser finds a syntax error, read as any excerpt that it may be."""
    for block in blocks.fences(text):
        at = code.broken_code(block.language, block.code)
        if at is not None:
            rows = block.code.splitlines()
            shown = excerpt(rows[at]) if at < len(rows) else ""
            yield Finding(
                kind="broken-code",
                section=section,
                line=block.start + at + 2,
                severity="warning",
                message=f"the {block.language} block of {len(rows)} lines does not parse at its line {at + 1}: {shown}",
                remedy="correct the code, or mark the block as text",
                mendable=True,
            )


def examples(text: str, language: str | None) -> int:
    """How many code blocks with content a text holds; only those in ``language`` if one is set."""
    return sum(_is_example(block, language) for block in blocks.fences(text))


def _is_example(block: Block, language: str | None) -> bool:
    if not block.code.strip() or block.language in _NO_CODE:
        return False
    return language is None or code.same_language(block.language, language)


def few(found: int, wanted: int, language: str | None, *, section: int) -> Iterator[Finding]:
    """Fewer code examples than the outline demands: of a section a miss, of the chapter a note."""
    if found < wanted:
        kind = f"{language} " if language else ""
        yield Finding(
            kind="few-examples",
            section=section,
            line=1,
            severity="warning" if section else "note",
            message=f"{found} of {wanted} {kind}code examples that the outline demands",
            remedy=f"add {wanted - found} {kind}code blocks",
            mendable=section > 0,
        )
