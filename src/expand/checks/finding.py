"""What a finding is, and the table of every kind of finding."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from expand.paths import packaged_table
from expand.redaction import visible

Severity = Literal["blocking", "warning", "note"]
"""``blocking`` stops ``accept``; ``warning`` misses the contract; ``note`` is for the reader."""


@dataclass(frozen=True, slots=True)
class FindingKind:
    """What a kind of finding says of a draft, and what to do about it.

    ``severities`` are those that it may have, the usual one first, and when it has each ("" where
    none of the others holds). ``rule`` is what is looked at, and the thresholds. ``mendable`` says that one more
    request to a model could mend it: length is not, since the length loop has asked for it already."""

    says: str
    severities: Mapping[Severity, str]
    remedy: str
    rule: str
    mendable: bool = False

    @property
    def severity(self) -> Severity:
        """The usual one."""
        return next(iter(self.severities))

    @property
    def severity_text(self) -> str:
        """The severities in words: ``warning; blocking below 50 %``."""
        return "; ".join(f"{severity} {when}".rstrip() for severity, when in self.severities.items())


KINDS: Mapping[str, FindingKind] = MappingProxyType(
    {name: FindingKind(**table) for name, table in packaged_table("findings").items()}
)
"""Every kind of finding, in the order of the reference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One miss of a draft.

    ``section`` is the section's number, 0 for the chapter as a whole; ``line`` counts from 1
    within the section's text. ``message`` says what is wrong, with the numbers; what it quotes of the draft has its
    control characters made visible. ``remedy`` says what would mend it, ``mendable`` that one more request to a model
    could."""

    kind: str
    section: int
    line: int
    severity: Severity
    message: str
    remedy: str
    mendable: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", visible(self.message))

    def __str__(self) -> str:
        return f"section {self.section}, line {self.line}: {self.message}; {self.remedy}"


def finding(
    kind: str,
    section: int,
    line: int,
    message: str,
    *,
    severity: Severity | None = None,
    remedy: str | None = None,
    mendable: bool | None = None,
) -> Finding:
    """A finding with what the table says of its kind, as far as nothing else is given."""
    known = KINDS[kind]
    assert severity is None or severity in known.severities, f"a finding {kind} is never {severity}"  # says the table
    return Finding(
        kind=kind,
        section=section,
        line=line,
        severity=severity or known.severity,
        message=message,
        remedy=remedy or known.remedy,
        mendable=known.mendable if mendable is None else mendable,
    )


def excerpt(text: str, most: int = 60) -> str:
    """The beginning of a text on one line, for a message."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1].rstrip() + "…"


class CodeCounts(NamedTuple):
    """How many code blocks a section has, how many of them were judged, were refused, could not be judged."""

    blocks: int
    checked: int
    failed: int
    unchecked: int
