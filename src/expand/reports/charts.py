"""What the pictures of the status report show: the same figures as its tables."""

from __future__ import annotations

from collections.abc import Sequence

from expand.reports import messages
from expand.reports.data import BookData
from expand.reports.plan_report import Plans
from expand.reports.report_model import Picture, Series
from expand.reports.scenarios import NONE
from expand.reports.usage_tables import left_by_day

MOST_SECTIONS = 60
"""With more sections than these, a picture shows chapters."""


def charts(facts: BookData, plans: Plans, language: str) -> tuple[Picture, ...]:
    """Burn-down, tiers, chapters, sections and purposes; those that have something to show."""
    found = (
        _burn(facts, language),
        _tiers(facts, plans, language),
        _chapters(facts, language),
        _sections(facts, language),
        _purposes(facts, language),
    )
    return tuple(picture for picture in found if picture.labels)


def _picture(
    id_: str,
    axis: str,
    language: str,
    labels: Sequence[str],
    series: Sequence[tuple[str, Sequence[int]]],
    *,
    line: bool = False,
) -> Picture:
    title = messages.say(language, id_)
    figures = "; ".join(
        f"{label} " + ", ".join(f"{name} {values[at]:,}" for name, values in series) for at, label in enumerate(labels)
    )
    return Picture(
        id=id_,
        axis=axis,
        shape="line" if line else "bars",
        labels=tuple(labels),
        series=tuple(Series(name=name, values=tuple(float(value) for value in values)) for name, values in series),
        said=messages.say(language, "say.picture", title=title, figures=figures),
    )


def _burn(facts: BookData, language: str) -> Picture:
    """What was left of the allowance at the end of each day, and at first."""
    limit = facts.balance.limit.tokens
    if limit is None or not facts.overview.days:
        return _picture("picture.burn", "day", language, (), ())
    first = messages.say(language, "opening_short")
    days = [day.day for day in facts.overview.days]
    left = [limit - facts.balance.opening_tokens, *(n or 0 for n in left_by_day(facts))]
    name = messages.say(language, "remaining")
    return _picture(
        "picture.burn",
        "day",
        language,
        (messages.say(language, "start"), first, *days),
        ((name, [limit, *left]),),
        line=True,
    )


def _tiers(facts: BookData, plans: Plans, language: str) -> Picture:
    now = {scenario.name: scenario for scenario in plans.every}[NONE].tiers
    words = [messages.say(language, key) for key in ("lines", "after", "target")]
    return _picture(
        "picture.tiers",
        "tier",
        language,
        [tier.title.say(language) for tier in facts.book.tiers],
        (
            (words[0], [tier.lines for tier in now]),
            (words[1], [tier.lines for tier in plans.best.tiers]),
            (words[2], [tier.target for tier in now]),
        ),
    )


def _chapters(facts: BookData, language: str) -> Picture:
    words = [messages.say(language, key) for key in ("lines", "draft_lines", "target")]
    return _picture(
        "picture.chapters",
        "chapter",
        language,
        [chapter.id for chapter in facts.chapters],
        (
            (words[0], [chapter.lines for chapter in facts.chapters]),
            (words[1], [c.draft.lines if c.draft else 0 for c in facts.chapters]),
            (words[2], [chapter.target for chapter in facts.chapters]),
        ),
    )


def _sections(facts: BookData, language: str) -> Picture:
    sections = [
        (f"{chapter.id}/{section.number}", section)
        for chapter in facts.chapters
        if not chapter.finished or chapter.draft
        for section in chapter.sections
    ]
    if len(sections) > MOST_SECTIONS:
        return _whole_chapters(facts, language)
    words = [messages.say(language, key) for key in ("delivered", "asked")]
    return _picture(
        "picture.sections",
        "section",
        language,
        [name for name, _ in sections],
        (
            (words[0], [section.delivered for _, section in sections]),
            (words[1], [section.lines for _, section in sections]),
        ),
    )


def _whole_chapters(facts: BookData, language: str) -> Picture:
    """The same by chapter, for a book with too many sections for one picture."""
    chapters = [c for c in facts.chapters if c.sections and (not c.finished or c.draft)]
    words = [messages.say(language, key) for key in ("delivered", "asked")]
    return _picture(
        "picture.sections",
        "chapter",
        language,
        [chapter.id for chapter in chapters],
        (
            (words[0], [sum(s.delivered for s in chapter.sections) for chapter in chapters]),
            (words[1], [sum(s.lines for s in chapter.sections) for chapter in chapters]),
        ),
    )


def _purposes(facts: BookData, language: str) -> Picture:
    tokens: dict[str, int] = {}
    for part in facts.overview.slices:
        tokens[part.purpose] = tokens.get(part.purpose, 0) + part.tokens
    return _picture(
        "picture.purposes",
        "purpose",
        language,
        [messages.say(language, purpose) for purpose in tokens],
        ((messages.say(language, "tokens"), list(tokens.values())),),
    )
