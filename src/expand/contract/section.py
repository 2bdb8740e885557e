"""The checks of one section."""

from __future__ import annotations

from collections.abc import Sequence

from expand.contract import language as languages
from expand.contract import length, listings, omissions, repeats, talk
from expand.contract import topics as contents
from expand.contract.finding import Finding
from expand.outline import Quality, Section


def check_text(text: str, *, section: int) -> tuple[Finding, ...]:
    """What is wrong with a text whatever its outline says, in the order of lines."""
    found = [
        *listings.open_fences(text, section=section),
        *listings.broken(text, section=section),
        *omissions.findings(text, section=section),
        *repeats.within(text, section=section),
        *talk.findings(text, section=section),
    ]
    return tuple(sorted(found, key=lambda finding: finding.line))


def check_section(
    *,
    section: Section,
    title: str,
    topics: Sequence[str],
    text: str,
    target: int,
    language: str,
    quality: Quality,
) -> tuple[Finding, ...]:
    """Everything that a section owes its outline and does not keep, in the order of lines.

    ``text`` begins with the section's heading and holds those of its topics; ``title`` and
    ``topics`` are in ``language``; ``target`` is in lines.
    """
    number = section.number
    found = [
        *length.findings(text, section=number, target=target),
        *check_text(text, section=number),
        *contents.missing(text, topics, section=number),
        *contents.unknown(text, title, topics, section=number),
        *languages.findings(text, section=number, language=language),
        *listings.few(
            listings.examples(text, quality.code_language),
            section.code_examples or 0,
            quality.code_language,
            section=number,
        ),
    ]
    return tuple(sorted(found, key=lambda finding: finding.line))
