"""What a finding is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["blocking", "warning", "note"]
"""``blocking`` stops ``accept``; ``warning`` misses the contract; ``note`` is for the reader."""

Kind = Literal[
    "short",
    "long",
    "open-fence",
    "broken-code",
    "placeholder",
    "repeats",
    "topic-missing",
    "few-examples",
    "wrong-language",
    "broken-link",
    "refusal",
    "unknown-heading",
    "error-text",
    "empty",
    "left-out",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One miss of a draft.

    ``section`` is the section's number, 0 for the chapter as a whole; ``line`` counts from 1
    within the section's text. ``message`` says what is wrong, with the numbers; ``remedy`` what
    would mend it. ``mendable`` says that one more request to a model could: length is not, since
    the length loop has asked for it already.
    """

    kind: Kind
    section: int
    line: int
    severity: Severity
    message: str
    remedy: str
    mendable: bool

    def __str__(self) -> str:
        return f"section {self.section}, line {self.line}: {self.message}; {self.remedy}"


def excerpt(text: str, most: int = 60) -> str:
    """The beginning of a text on one line, for a message."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1].rstrip() + "…"
