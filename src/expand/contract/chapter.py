"""The checks that only show across the sections of a chapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from expand.contract import listings, references, repeats
from expand.contract.finding import Finding
from expand.outline import Quality


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
    found = [*repeats.across(texts), *references.findings(texts, exists=exists)]
    if quality is not None:
        number = sum(listings.examples(text, quality.code_language) for text in texts.values())
        found += listings.few(number, quality.code_examples, quality.code_language, section=0)
    return tuple(found)
