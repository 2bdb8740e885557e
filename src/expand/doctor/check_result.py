"""The result of one check."""

from dataclasses import dataclass
from typing import Literal

from expand.errors import ExpandError, InputError, InputErrors

Status = Literal["ok", "note", "warning", "failure"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """``subject`` is what was checked, ``message`` what was found, ``remedy`` what to do.

    A ``failure`` keeps the tool from working and has an ``exit_code``: 2 for what the user mends here, 4 for an author
    that cannot be reached or refuses. A ``warning`` works, but badly; a ``note`` is good to know."""

    subject: str
    status: Status
    message: str
    remedy: str = ""
    exit_code: int = 0


def ok(subject: str, message: str) -> CheckResult:
    """Nothing is wrong."""
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
    """The failure that an error means, or one for each of several that were found in one go."""
    return [from_error(subject, one) for one in (error.errors if isinstance(error, InputErrors) else [error])]


def from_error(subject: str, error: ExpandError) -> CheckResult:
    """The failure that an error means; its place stands before its message."""
    if not isinstance(error, InputError) or not error.remedy:
        message, _, remedy = str(error).partition("; ")
        return failure(subject, message, remedy, error.exit_code)
    message = f"{error.place}: {error.what}" if error.place else error.what
    return failure(subject, message, error.remedy, error.exit_code)
