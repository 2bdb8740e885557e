"""The anchor of a heading, as GitHub makes it."""

from __future__ import annotations

import re

_MARKUP = re.compile(r"(?P<tick>`+)(?P<code>.+?)(?P=tick)|!?\[(?P<link>[^\]]*)\]\([^)]*\)|<[^>]+>")


def anchor(heading: str) -> str:
    """Lower case, no markup but what code says, punctuation dropped, spaces to hyphens."""
    kept = re.sub(r"[^\w\- ]", "", _said(heading).strip().lower())
    return kept.replace(" ", "-")


def _said(text: str) -> str:
    return _MARKUP.sub(lambda found: found["code"] or _said(found["link"] or ""), text)
