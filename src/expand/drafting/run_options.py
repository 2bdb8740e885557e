"""What a run is to do, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from expand.errors import InputError
from expand.outline import Outline, Section
from expand.outline.plans import Plan


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSpec:
    """What a run is to do. ``sections`` are numbers, None for all; ``fresh`` buys them anew.

    ``context_text`` tells each section what those before it say, in order, instead of drafting
    them side by side; with ``cascade`` a section is drafted again when those before it changed.
    """

    chapters: tuple[str, ...]
    plan: Plan
    language: str
    sections: frozenset[int] | None = None
    fresh: bool = False
    context_text: bool = False
    cascade: bool = False
    instruction: str = ""
    """With ``fresh``: what an editor wants of the new version."""

    def chosen(self, outline: Outline) -> tuple[Section, ...]:
        """The sections of a chapter that are to be drafted. Raises ``InputError``."""
        numbers = {section.number for section in outline.sections}
        if missing := sorted((self.sections or frozenset()) - numbers):
            raise InputError(
                f"chapter {outline.id} has no section {missing[0]}",
                remedy=f"it has sections 1 to {len(numbers)}",
            )
        wanted = self.sections if self.sections is not None else numbers
        return tuple(section for section in outline.sections if section.number in wanted)


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One section to look after: the chapter's id and the section's number."""

    chapter: str
    section: int


def lanes(chapters: Sequence[Sequence[Job]], *, workers: int, in_order: bool) -> Iterator[Sequence[Job]]:
    """What one worker takes at a time: a section, or a chapter's sections where order matters.

    Side by side, as many chapters are begun as there are workers, each with one section; then come
    their other sections, when the provider may have the chapter's prefix in its cache. Only then
    the next chapters are begun, so that few are open at a time.
    """
    if in_order:
        yield from chapters
        return
    for at in range(0, len(chapters), workers):
        block = chapters[at : at + workers]
        for jobs in block:
            yield jobs[:1]
        for jobs in block:
            yield from ((job,) for job in jobs[1:])
