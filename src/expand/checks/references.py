"""Check that references and footnotes are defined: without a definition Markdown shows their brackets as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from expand.checks.finding import Finding, excerpt, finding
from expand.markdown import blocks

_DEFINED = re.compile(r"(?m)^[ >*+-]*\[(?P<label>\^?[^\[\]\n]+)\]:")
_USED = re.compile(
    r"""(?x)(?<![A-Za-z0-9_\]\\!])!?\[(?P<text>[^\[\]]+)\]\[(?P<label>[^\[\]]*)\](?![\[(A-Za-z0-9_])
    | (?<!\\)\[(?P<note>\^[\w-]{1,40})\](?![:(])"""
)
_RANGE = re.compile(r"\^\w-\w")
"""``[^a-z]`` is part of a regular expression."""


def undefined_references(texts: Mapping[int, str], *, around: Iterable[str] = ()) -> list[Finding]:
    """References and footnotes in the sections that neither these nor the document ``around`` them define."""
    defined = {_key(found["label"]) for text in (*texts.values(), *around) for found in _DEFINED.finditer(text)}
    return [
        finding("broken-link", section, line, f"{excerpt(shown)} leads nowhere: {label!r} is not defined")
        for section in sorted(texts)
        for line, shown, label in _used(texts[section])
        if _key(label) not in defined
    ]


def _used(text: str) -> Iterator[tuple[int, str, str]]:
    """Line from 1, words and label of each reference and footnote in prose."""
    for paragraph in blocks.paragraphs(text):
        for found in _USED.finditer(paragraph.prose):
            label = found["note"] or found["label"] or found["text"]
            if not _RANGE.fullmatch(label):
                yield paragraph.line + 1, found[0], label


def _key(label: str) -> str:
    return " ".join(label.split()).casefold()
