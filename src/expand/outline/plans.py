"""Plans: an outline's line counts under a scenario. Pure; no tokens, no money.

``full`` is the outline as it stands. ``lean`` keeps its shape at 450 lines a chapter, the middle of
the 400 to 500 that authors plan for a skeleton; a chapter that is shorter stays as it is.
"""

import enum

from expand.outline import Outline

LEAN_LINES = 450
MINIMUM_SECTION_LINES = 8
"""A heading, a blank line and a few lines of text: below that a section is only its title."""


class Plan(enum.StrEnum):
    """The scenarios that a draft can follow."""

    FULL = "full"
    LEAN = "lean"


def scaled(outline: Outline, lines: int) -> Outline:
    """The outline with its sections' lines scaled to add up to ``lines``, shape kept; code examples in proportion.

    Whole lines are given out by largest remainder, so that the sum is exact; only the floor of
    ``MINIMUM_SECTION_LINES`` a section can push it above."""
    total = outline.target_lines
    exact = [section.lines * lines / total for section in outline.sections]
    given = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (given[i] - exact[i], i))
    for index in by_remainder[: lines - sum(given)]:
        given[index] += 1
    sections = tuple(
        section._replace(
            lines=(least := max(count, min(MINIMUM_SECTION_LINES, section.lines))),
            words=round(section.words * least / section.lines),
            characters=round(section.characters * least / section.lines),
            code_examples=None if section.code_examples is None else round(section.code_examples * lines / total),
        )
        for section, count in zip(outline.sections, given, strict=True)
    )
    quality = outline.quality._replace(code_examples=round(outline.quality.code_examples * lines / total))
    return outline._replace(sections=sections, quality=quality)


def under(plan: Plan, outline: Outline) -> Outline:
    """The outline under a plan."""
    if plan is Plan.LEAN and outline.target_lines > LEAN_LINES:
        return scaled(outline, LEAN_LINES)
    return outline
