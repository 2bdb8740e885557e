"""What of the author's own document is not in the draft."""

from __future__ import annotations

from collections.abc import Iterable

from expand.checks.finding import Finding, excerpt
from expand.document.source import left_out
from expand.markdown.blocks import Block


def source_findings(source: Iterable[Block], draft: str) -> tuple[Finding, ...]:
    """One finding for each block of the source that the draft does not hold."""
    return tuple(
        Finding(
            kind="left-out",
            section=0,
            line=block.start + 1,
            severity="warning",
            message=f"the source's {block.kind} at its line {block.start + 1} is not in the draft: "
            f"{excerpt(block.text)}",
            remedy="put it where it belongs, or leave it out on purpose",
            mendable=False,
        )
        for block in left_out(source, draft)
    )
