"""What a worker's shift came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from expand.budget import Balance
from expand.completion import Json
from expand.queueing.shift import Report


@dataclass(frozen=True, kw_only=True, slots=True)
class Worked:
    """A whole shift. ``stopped_by`` is the author's error that ended it, "" if none did;
    ``misfits`` are sections that it left to workers whose workspace fits.
    """

    name: str
    reports: Sequence[Report]
    misfits: Sequence[str]
    balance: Balance
    seconds: float
    stopped_by: str = ""
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """130 over 4 over 3 over 2 (misfits) over 0, as the contract has it."""
        outcomes = {report.outcome for report in self.reports}
        if self.interrupted:
            return 130
        if self.stopped_by or "failed" in outcomes:
            return 4
        if "refused" in outcomes:
            return 3
        return 2 if self.misfits else 0

    def count(self, outcome: str) -> int:
        """How many jobs ended so."""
        return sum(report.outcome == outcome for report in self.reports)

    def as_json(self) -> dict[str, Json]:
        """The object that ``expand worker --json`` prints."""
        return {
            "worker": self.name,
            "sections": [_section(report) for report in self.reports],
            "misfits": [*self.misfits],
            "budget": {
                "limit": self.balance.limit.tokens,
                "used": self.balance.used_tokens,
                "reserved": self.balance.reserved_tokens,
                "remaining": self.balance.remaining_tokens,
            },
            "attempts": sum(report.word.attempts for report in self.reports),
            "answers": sum(report.word.answers for report in self.reports),
            "stopped_by": self.stopped_by,
            "seconds": round(self.seconds, 2),
        }


def _section(report: Report) -> dict[str, Json]:
    job, word = report.job, report.word
    return {
        "chapter": job.chapter,
        "section": job.section,
        "outcome": report.outcome,
        "target_lines": job.lines,
        "lines": word.lines,
        "attempts": word.attempts,
        "answers": word.answers,
        "tokens": word.tokens,
        "message": word.message,
    }
