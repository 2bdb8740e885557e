"""Texts of people and models within Markdown that the tool writes."""

import re

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~#&])")


def escaped(text: str) -> str:
    """Text as it stands, whatever Markdown or HTML would make of it; on one line."""
    return _SPECIAL.sub(r"\\\1", re.sub(r"\s+", " ", text))
