"""What a finding is, and the table of every kind of finding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from expand.redaction import visible

Severity = Literal["blocking", "warning", "note"]
"""``blocking`` stops ``accept``; ``warning`` misses the contract; ``note`` is for the reader."""


@dataclass(frozen=True, slots=True)
class FindingKind:
    """What a kind of finding says of a draft, and what to do about it.

    ``severities`` are those that it may have, the usual one first, and when it has each ("" where
    none of the others holds). ``mendable`` says that one more request to a model could mend it:
    length is not, since the length loop has asked for it already.
    """

    says: str
    severities: Mapping[Severity, str]
    remedy: str
    mendable: bool = False

    @property
    def severity(self) -> Severity:
        """The usual one."""
        return next(iter(self.severities))

    @property
    def severity_text(self) -> str:
        """The severities in words: ``warning; blocking below 50 %``."""
        return "; ".join(f"{severity} {when}".rstrip() for severity, when in self.severities.items())


_WARNING: Mapping[Severity, str] = {"warning": ""}
_BLOCKING: Mapping[Severity, str] = {"blocking": ""}
KINDS: Mapping[str, FindingKind] = MappingProxyType(
    {
        "short": FindingKind(
            "the section has less than 95 % of its lines",
            {"warning": "", "blocking": "below 50 %"},
            "write the lines that are missing",
        ),
        "long": FindingKind(
            "the section has more than 120 % of its lines", _WARNING, "cut lines or raise the outline's target"
        ),
        "empty": FindingKind(
            "the model answered nothing, several times",
            _BLOCKING,
            "change the topic's wording or the model, or write it by hand",
        ),
        "over-plan": FindingKind(
            "the section was ended because its answers took half as much again as was planned",
            _WARNING,
            "read what stands there; draft the section anew with --fresh --section, or take another model",
        ),
        "not-asked": FindingKind(
            "a request could not be made: it does not fit the model's context window, or its template fails",
            {"blocking": "", "warning": "for a repair"},
            "correct what the message names, and run again",
        ),
        "refusal": FindingKind(
            "a model refuses or apologises where text should be",
            _BLOCKING,
            "have the section written again, or take the passage out",
            mendable=True,
        ),
        "error-text": FindingKind(
            "an error message stands where text should be",
            _BLOCKING,
            "have the section written again, or take the passage out",
            mendable=True,
        ),
        "open-fence": FindingKind(
            "a code block never ends, so that all that follows would be code",
            _BLOCKING,
            "close the block",
            mendable=True,
        ),
        "cut": FindingKind(
            "the text ends in the middle: in a sentence, a table row or a link",
            _WARNING,
            "finish the sentence, or have the section written again",
        ),
        "forbidden-character": FindingKind(
            "a character that a Markdown file must not hold: a control, a bidirectional override, a noncharacter",
            {
                "blocking": "",
                "warning": "for one that does no harm, such as U+FEFF or U+2028",
                "note": "where it was taken off an answer",
            },
            "take it out",
        ),
        "left-off": FindingKind(
            "a model's thinking, special tokens or an invented turn were taken off an answer",
            {"note": ""},
            "if you miss text, look at the answer with `expand ledger export`",
        ),
        "broken-code": FindingKind(
            "a parser finds a syntax error in a Rust, Python, shell, TOML, JSON or YAML block",
            _WARNING,
            "correct the code, or mark the block as text",
            mendable=True,
        ),
        "failed-code": FindingKind(
            "the toolchain of its language refuses a code block",
            _WARNING,
            "correct the code, or mark the block: ignore, compile_fail, text",
            mendable=True,
        ),
        "unchecked-code": FindingKind(
            "code blocks that nothing here can judge: the toolchain or a package is missing, or their author says so",
            {"note": ""},
            "install what is missing, or read them",
        ),
        "placeholder": FindingKind(
            'code or text is announced and left out: "rest omitted", TODO, a blank to fill in',
            _WARNING,
            "write what it stands for",
            mendable=True,
        ),
        "repeats": FindingKind(
            "a passage, a sentence or a code block stands there twice, in the section or in an earlier one",
            {
                "warning": "",
                "note": "for a single short passage",
                "blocking": "for a sentence that stands there 8 times, and where most of a section repeats",
            },
            "say it once, and write something new in its place",
            mendable=True,
        ),
        "topic-missing": FindingKind(
            "a topic of the outline is not treated: nothing under its heading, or none of its key terms",
            _WARNING,
            "write about it",
            mendable=True,
        ),
        "unknown-heading": FindingKind(
            "a heading of the level of sections or topics that the outline does not know",
            {"warning": "for a section's level", "note": "for a topic's"},
            "make it deeper or take it out, or add it to the outline's topics",
        ),
        "few-examples": FindingKind(
            "fewer code examples than demanded",
            {"warning": "for a section's own demand", "note": "for the chapter's"},
            "add code blocks",
            mendable=True,
        ),
        "wrong-language": FindingKind(
            "passages are not in the draft's language",
            {"warning": "", "blocking": "where they are more than half of the section"},
            "write them in the draft's language",
            mendable=True,
        ),
        "broken-link": FindingKind(
            "a link leads to no heading of the chapter and to no file",
            _WARNING,
            "correct the target or take the link out",
        ),
        "left-out": FindingKind(
            "a part of the source is not in the draft",
            {"warning": "", "blocking": "in the layout keep"},
            "put it where it belongs, or leave it out on purpose",
        ),
        "superseded": FindingKind(
            "a placeholder of the source gave way to text", {"note": ""}, "nothing is to be done"
        ),
    }
)
"""Every kind of finding, in the order of the reference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One miss of a draft.

    ``section`` is the section's number, 0 for the chapter as a whole; ``line`` counts from 1
    within the section's text. ``message`` says what is wrong, with the numbers; what it quotes of the draft has its
    control characters made visible. ``remedy`` says what would mend it, ``mendable`` that one more request to a model
    could.
    """

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
    """A finding with what the table says of its kind, as far as nothing else is given.

    Raises ``ValueError`` for a severity that the table does not know of that kind: the reference
    is made from the table and must not lie.
    """
    known = KINDS[kind]
    severity = severity or known.severity
    if severity not in known.severities:
        raise ValueError(f"a finding {kind} is never {severity}")
    return Finding(
        kind=kind,
        section=section,
        line=line,
        severity=severity,
        message=message,
        remedy=remedy or known.remedy,
        mendable=known.mendable if mendable is None else mendable,
    )


def excerpt(text: str, most: int = 60) -> str:
    """The beginning of a text on one line, for a message."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1].rstrip() + "…"
