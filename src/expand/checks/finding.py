"""What a finding is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
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
class FindingKind:
    """What a kind of finding says of a draft, and how severe it is when."""

    says: str
    severity: str


RULES: Mapping[Kind, FindingKind] = MappingProxyType(
    {
        "short": FindingKind(
            says="the section has less than 95 % of its lines",
            severity="warning; blocking below 50 %",
        ),
        "long": FindingKind(says="the section has more than 120 % of its lines", severity="warning"),
        "empty": FindingKind(says="the model answered nothing, several times", severity="blocking"),
        "refusal": FindingKind(says="a model refuses or apologises where text should be", severity="blocking"),
        "error-text": FindingKind(says="an error message stands where text should be", severity="blocking"),
        "open-fence": FindingKind(
            says="a code block never ends, so that all that follows would be code",
            severity="blocking",
        ),
        "broken-code": FindingKind(
            says="a parser finds a syntax error in a Rust, Python, shell, TOML, JSON or YAML block",
            severity="warning",
        ),
        "placeholder": FindingKind(
            says='code or text is announced and left out: "rest omitted", TODO, a blank to fill in',
            severity="warning",
        ),
        "repeats": FindingKind(
            says="a passage, a sentence or a code block stands there twice, in the section or in an earlier one",
            severity="warning; note for a single short passage; blocking for a sentence that "
            "stands there 8 times, and where most of a section repeats",
        ),
        "topic-missing": FindingKind(
            says="a topic of the outline is not treated: nothing under its heading, or none of its key terms",
            severity="warning",
        ),
        "unknown-heading": FindingKind(
            says="a heading of the level of sections or topics that the outline does not know",
            severity="warning for a section's level, note for a topic's",
        ),
        "few-examples": FindingKind(
            says="fewer code examples than demanded",
            severity="warning for a section's own demand, note for the chapter's",
        ),
        "wrong-language": FindingKind(
            says="passages are not in the draft's language",
            severity="warning; blocking where they are more than half of the section",
        ),
        "broken-link": FindingKind(says="a link leads to no heading of the chapter and to no file", severity="warning"),
        "left-out": FindingKind(
            says="a code block, a table or another part of the source is not in the draft",
            severity="warning",
        ),
    }
)
"""Every kind of finding, as the reference lists them."""


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
