"""Findings about length: too short, too long, by lines that are no padding."""

from __future__ import annotations

from collections.abc import Iterator

from expand.checks.finding import Finding
from expand.markdown import lines

SHORT = 0.95
"""Below this share of its target a section is short."""
FAR_SHORT = 0.5
"""Below this share it must not be accepted."""
LONG = 1.2
"""Above this share of its target a section is long."""


def findings(text: str, *, section: int, target: int) -> Iterator[Finding]:
    """At most one: the section is below 95 % or above 120 % of its target."""
    delivered = lines.of_section(text)
    counted = lines.count(text) + 1
    if target <= 0:
        return
    share = delivered / target
    measured = f"{delivered} of {target} lines ({share:.0%})"
    if counted - delivered > max(5, 0.1 * counted):
        measured += f"; {counted - delivered} of the {counted} lines are padding or repeat others"
    if share < SHORT:
        yield Finding(
            kind="short",
            section=section,
            line=1,
            severity="blocking" if share < FAR_SHORT else "warning",
            message=measured,
            remedy=f"{target - delivered} more lines are needed",
            mendable=False,
        )
    elif share > LONG:
        yield Finding(
            kind="long",
            section=section,
            line=1,
            severity="warning",
            message=measured,
            remedy=f"cut {delivered - target} lines or raise the outline's target",
            mendable=False,
        )
