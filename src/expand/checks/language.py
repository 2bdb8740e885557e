"""Findings about a language that was not asked for, by script: Chinese and the like, or Latin."""

from __future__ import annotations

import re
from collections.abc import Iterator

from expand.checks.finding import Finding, excerpt
from expand.markdown import blocks, matching
from expand.markdown.blocks import Passage

_LEAST_LETTERS = 40
_LEAST_CJK = 0.15
"""Below this share of letters a passage is not in Chinese, Japanese or Korean."""
_MOST_CJK = 0.20
"""Above this share a passage is not in a language of Latin script."""
_ENGLISH = re.compile(r"(?i)\b(?:the|of|and|to|is|are|that|this|with|for|in|on|it|be|can|which|from|by|as|you|we)\b")
_LATIN = re.compile("[A-Za-z]")


def _is_wrong(passage: Passage, wants_cjk: bool) -> int:
    """The number of letters of a passage in the wrong script; 0 when it is in the right one.

    A list of foreign names is no foreign text: Latin text counts only with words such as "the".
    """
    said = matching.prose(passage.text)
    if not wants_cjk and said.isascii():
        return 0
    chinese = matching.cjk_letters(said)
    latin = len(_LATIN.findall(said))
    letters = chinese + latin
    if letters < _LEAST_LETTERS:
        return 0
    if wants_cjk:
        foreign = chinese / letters < _LEAST_CJK and len(_ENGLISH.findall(said)) >= 3
    else:
        foreign = chinese / letters > _MOST_CJK
    return letters if foreign else 0


def findings(text: str, *, section: int, language: str) -> Iterator[Finding]:
    """At most one: passages of 40 letters or more that are in the wrong script."""
    wants_cjk = matching.is_cjk_language(language)
    every = blocks.passages(text)
    wrong = [(passage, size) for passage in every if (size := _is_wrong(passage, wants_cjk))]
    if not wrong:
        return
    whole = sum(len(matching.prose(passage.text)) for passage in every)
    share = sum(len(matching.prose(passage.text)) for passage, _ in wrong) / whole
    first = wrong[0][0]
    yield Finding(
        kind="wrong-language",
        section=section,
        line=first.line + 1,
        severity="blocking" if share > 0.5 else "warning",
        message=f"{len(wrong)} of {len(every)} passages ({share:.0%} of the text) are not in "
        f"{language!r}; the first at line {first.line + 1}: {excerpt(first.text)}",
        remedy=f"write them in {language!r}",
        mendable=True,
    )
