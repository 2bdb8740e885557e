"""One thing that was looked at, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from expand.errors import ExpandError, InputError, InputErrors

Status = Literal["ok", "note", "warning", "failure"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """``subject`` is what was looked at, ``message`` what was found, ``remedy`` what to do.

    A ``failure`` keeps the tool from working and has an ``exit_code``: 2 for what the user mends
    here, 4 for an author that cannot be reached or refuses. A ``warning`` works, but badly.
    """

    subject: str
    status: Status
    message: str
    remedy: str = ""
    exit_code: int = 0


def ok(subject: str, message: str) -> CheckResult:
    """All is well."""
    return CheckResult(subject=subject, status="ok", message=message)


def note(subject: str, message: str, remedy: str = "") -> CheckResult:
    """Nothing is wrong, but it is good to know."""
    return CheckResult(subject=subject, status="note", message=message, remedy=remedy)


def warning(subject: str, message: str, remedy: str) -> CheckResult:
    """It works, but not as it could."""
    return CheckResult(subject=subject, status="warning", message=message, remedy=remedy)


def failure(subject: str, message: str, remedy: str, exit_code: int = 2) -> CheckResult:
    """It does not work."""
    return CheckResult(subject=subject, status="failure", message=message, remedy=remedy, exit_code=exit_code)


def from_errors(subject: str, error: ExpandError) -> list[CheckResult]:
    """An error as findings: one for each of several that were found in one go."""
    single = error.errors if isinstance(error, InputErrors) else (error,)
    return [from_error(subject, one) for one in single]


def from_error(subject: str, error: ExpandError) -> CheckResult:
    """An error of the tool's own as a finding; its place stands before what it says."""
    if not isinstance(error, InputError) or not error.remedy:
        message, _, remedy = str(error).partition("; ")
        return failure(subject, message, remedy, error.exit_code)
    message = f"{error.place}: {error.what}" if error.place else error.what
    return failure(subject, message, error.remedy, error.exit_code)
