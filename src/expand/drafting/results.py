"""What a run came to, as values and as the JSON that scripts read. One place for both."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from expand.budget import Balance, Shortfall
from expand.checks import Finding
from expand.checks.finding import CodeCounts
from expand.drafting.events import SectionStatus
from expand.errors import AuthorError, BudgetExceededError
from expand.llm.types import NO_USAGE, Usage
from expand.markdown.lines import length_score
from expand.outline import Unit
from expand.schema import Json

MOST_NAMED = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionResult:
    """One section after a run: ``attempts``, ``answers`` and ``usage`` are this run's."""

    number: int
    title: str
    target_lines: int
    lines: int
    status: SectionStatus
    unit: Unit = "lines"
    target: int = 0
    counted: int = 0
    """What the section is to have and has of the ``unit`` that its outline counts."""
    attempts: int = 0
    answers: int = 0
    usage: Usage = NO_USAGE
    findings: tuple[Finding, ...] = ()
    code: CodeCounts | None = None
    """What became of its code blocks, None where they were not checked."""

    @property
    def outcome(self) -> str:
        """The status for people: a section that failed without an attempt, for the run ended before, was not begun."""
        return self.status if self.attempts or self.status != "failed" else "not begun"

    @property
    def extent(self) -> str:
        """What it has of what it is to have, in its unit: ``149 of 150 lines``."""
        return f"{self.counted:,} of {self.target:,} {self.unit}"

    @property
    def kept(self) -> bool:
        """Whether the section keeps its contract: no finding above a note."""
        return all(finding.severity == "note" for finding in self.findings)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChapterResult:
    """One chapter after a run. ``draft`` is the path relative to the workspace."""

    id: str
    draft: str
    language: str
    plan: str
    sections: tuple[SectionResult, ...]
    findings: tuple[Finding, ...] = ()
    """What belongs to no section of this run: the chapter as a whole."""

    @property
    def every_finding(self) -> tuple[Finding, ...]:
        """The chapter's own findings, then those of its sections in their order."""
        return (*self.findings, *(f for section in self.sections for f in section.findings))

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """The findings that stop ``accept``."""
        return tuple(f for f in self.every_finding if f.severity == "blocking")

    @property
    def kinds(self) -> dict[str, int]:
        """How many findings above a note there are of each kind, the most frequent first."""
        return dict(Counter(f.kind for f in self.every_finding if f.severity != "note").most_common())

    @property
    def kept(self) -> bool:
        """Whether the chapter and all its sections keep their contract."""
        return not self.kinds

    @property
    def code(self) -> CodeCounts | None:
        """The sums over the sections, None where none was checked."""
        counts = [section.code for section in self.sections if section.code]
        return CodeCounts(*map(sum, zip(*counts, strict=True))) if counts else None

    @property
    def target_lines(self) -> int:
        """The sum over the sections."""
        return sum(section.target_lines for section in self.sections)

    @property
    def lines(self) -> int:
        """The sum over the sections."""
        return sum(section.lines for section in self.sections)

    @property
    def length_score(self) -> float:
        """LongBench-Write's S_l over the sections, weighted by their targets, 0 to 100."""
        return length_score(
            (s.target_lines, s.lines if s.unit == "lines" else s.target_lines * s.counted / s.target)
            for s in self.sections
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A section that the budget refused to go on with, and why, in words and in figures."""

    chapter: str
    section: int
    message: str
    shortfall: Shortfall | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    """A whole run. ``tokens`` are those of all its answers, briefs and read-throughs included. ``stopped_by`` is the
    author's error that ended it, "" if none did; ``problems`` say why chapters could not be opened or written while
    others were drafted."""

    chapters: tuple[ChapterResult, ...]
    balance: Balance
    attempts: int
    answers: int
    seconds: float
    tokens: int = 0
    stopped_by: str = ""
    refused: tuple[Refusal, ...] = ()
    problems: tuple[str, ...] = ()
    interrupted: bool = False

    @property
    def chapter(self) -> ChapterResult:
        """The only chapter of a run over one. Raises ``ValueError`` when there were several."""
        (only,) = self.chapters
        return only

    def raise_for_status(self) -> None:
        """Raises what ended the run early, for those who would rather have it as an exception.

        ``AuthorError`` when the author could not be reached or refused, ``BudgetExceededError`` when the budget refused
        something. What was bought is drafted all the same."""
        if self.stopped_by:
            raise AuthorError(self.stopped_by)
        if self.refused:
            messages = dict.fromkeys(refusal.message for refusal in self.refused)
            raise BudgetExceededError("\n".join(messages))

    @property
    def exit_code(self) -> int:
        """The code of the contract: 130 over 4 over 3 over 5 over 0."""
        if self.interrupted:
            return 130
        if self.stopped_by:
            return 4
        statuses = {section.status for chapter in self.chapters for section in chapter.sections}
        remaining = self.balance.remaining_tokens
        if "refused" in statuses or self.refused or (remaining is not None and remaining < 0):
            return 3
        return 0 if all(chapter.kept for chapter in self.chapters) and not self.problems else 5

    def as_json(self) -> dict[str, Json]:
        """The object that ``expand chapter --json`` prints."""
        return {
            "chapters": [chapter_json(chapter) for chapter in self.chapters],
            "budget": balance_json(self.balance),
            "attempts": self.attempts,
            "answers": self.answers,
            "seconds": round(self.seconds, 2),
        }


def balance_json(balance: Balance) -> dict[str, Json]:
    """The book's budget, in tokens, as ``--json`` shows it."""
    return {
        "limit": balance.limit.tokens,
        "used": balance.used_tokens,
        "reserved": balance.reserved_tokens,
        "remaining": balance.remaining_tokens,
    }


def chapter_json(chapter: ChapterResult) -> dict[str, Json]:
    """One chapter of the object that ``expand chapter --json`` prints."""
    return {
        **fields_of(chapter, "id draft language plan target_lines lines length_score"),
        "sections": [_section(section) for section in chapter.sections],
        "findings": [finding_json(finding) for finding in chapter.findings],
    }


def _section(section: SectionResult) -> dict[str, Json]:
    return {
        **fields_of(section, "number title target_lines lines status attempts answers"),
        **(
            {f"target_{section.unit}": section.target, section.unit: section.counted} if section.unit != "lines" else {}
        ),
        "tokens": fields_of(section.usage, "prompt cached completion"),
        "code": dict(section.code._asdict()) if section.code else None,
        "findings": [finding_json(finding) for finding in section.findings],
    }


def finding_json(finding: Finding) -> dict[str, Json]:
    """One finding, as every report shows it."""
    return fields_of(finding, "kind section line severity message remedy")


def fields_of(value: object, names: str) -> dict[str, Json]:
    """Some attributes of a value by name."""
    return {name: getattr(value, name) for name in names.split()}


def named(sections: Iterable[tuple[str, int]]) -> str:
    """Sections by chapter and number: ``03/1, 03/2``; of many the first ones."""
    every = [f"{chapter}/{section}" for chapter, section in dict.fromkeys(sections)]
    more = f" and {len(every) - MOST_NAMED:,} more" if len(every) > MOST_NAMED else ""
    return ", ".join(every[:MOST_NAMED]) + more
