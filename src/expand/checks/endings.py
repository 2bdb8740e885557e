"""Check whether the text under a heading ends in the middle of a sentence, a table row or a link."""

from expand.checks.finding import Finding, excerpt, finding
from expand.markdown import blocks
from expand.markdown.assemble import ends_in_the_middle

LONGEST_END = 48
"""Characters of an end that a message quotes."""


def cut_texts(text: str, *, section: int) -> list[Finding]:
    """A finding for each heading's text that ends in the middle. An open fence is a finding of its own."""
    lines = blocks.rows(text)
    heads = [block.start for block in blocks.headings(text)]
    found = []
    for start, end in zip([0, *heads], [*heads, len(lines)], strict=True):
        part = "".join(lines[start:end])
        if part.strip() and blocks.open_fence(part) is None and ends_in_the_middle(part):
            words = " ".join(part.split())[-LONGEST_END:]
            line = start + len(blocks.rows(part.rstrip()))
            found.append(finding("cut", section, line, f"the text ends in the middle: …{excerpt(words)}"))
    return found
