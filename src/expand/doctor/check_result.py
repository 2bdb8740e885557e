"""The result of one check."""

from typing import Literal, NamedTuple

from expand.errors import ExpandError, InputError, InputErrors

Status = Literal["ok", "note", "warning", "failure"]


class CheckResult(NamedTuple):
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
    return CheckResult(subject, "ok", message)


def note(subject: str, message: str, remedy: str = "") -> CheckResult:
    """Nothing is wrong, but it is good to know."""
    return CheckResult(subject, "note", message, remedy)


def warning(subject: str, message: str, remedy: str) -> CheckResult:
    """It works, but not as it could."""
    return CheckResult(subject, "warning", message, remedy)


def failure(subject: str, message: str, remedy: str, exit_code: int = 2) -> CheckResult:
    """It does not work."""
    return CheckResult(subject, "failure", message, remedy, exit_code)


def from_errors(subject: str, error: ExpandError) -> list[CheckResult]:
    """The failure that an error means, or one for each of several that were found in one go."""
    return [from_error(subject, one) for one in (error.errors if isinstance(error, InputErrors) else [error])]


def from_error(subject: str, error: ExpandError) -> CheckResult:
    """The failure that an error means; its place stands before its message."""
    if isinstance(error, InputError) and error.remedy:
        place = f"{error.place}: " if error.place else ""
        return failure(subject, f"{place}{error.what}", error.remedy, error.exit_code)
    message, _, remedy = str(error).partition("; ")
    return failure(subject, message, remedy, error.exit_code)
