"""The checks of one section."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from expand.checks import code_blocks, length, links, placeholders, refusals, repeats
from expand.checks import language as languages
from expand.checks import topics as contents
from expand.checks.finding import Finding
from expand.outline import Quality, Section


def check_text(text: str, *, section: int) -> tuple[Finding, ...]:
    """What is wrong with a text whatever its outline says, in the order of lines."""
    found = [
        *code_blocks.open_fences(text, section=section),
        *code_blocks.broken(text, section=section),
        *placeholders.findings(text, section=section),
        *repeats.within(text, section=section),
        *refusals.findings(text, section=section),
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
        *code_blocks.few(
            code_blocks.examples(text, quality.code_language),
            section.code_examples or 0,
            quality.code_language,
            section=number,
        ),
    ]
    return tuple(sorted(found, key=lambda finding: finding.line))


# The checks that only show across the sections of a chapter.


def check_chapter(
    texts: Mapping[int, str],
    *,
    quality: Quality | None = None,
    exists: Callable[[str], bool] | None = None,
) -> tuple[Finding, ...]:
    """Near-copies across sections, links that lead nowhere, and too few examples in all.

    ``texts`` holds the sections by number; what stands around them may go along under 0.
    ``exists`` says whether a relative link's path is there; without it only anchors are checked.
    """
    found = [*repeats.across(texts), *links.findings(texts, exists=exists)]
    if quality is not None:
        number = sum(code_blocks.examples(text, quality.code_language) for text in texts.values())
        found += code_blocks.few(number, quality.code_examples, quality.code_language, section=0)
    return tuple(found)
