"""Checks what is installed, reachable, priced and writable, and names a remedy for each problem.

``environment`` checks the machine and the workspace, ``model_checks`` the author model; ``run_checks`` runs them all.
"""

from functools import partial
from typing import Literal, NamedTuple

from expand.errors import ExpandError, InputErrors

Status = Literal["ok", "note", "warning", "failure"]


class CheckResult(NamedTuple):
    """``subject`` is what was checked, ``message`` what was found, ``remedy`` what to do.

    A ``failure`` keeps the tool from working and has an ``exit_code``: 2 for what the user mends here, 4 for an author
    that cannot be reached or refuses. A ``warning`` works, but badly; a ``note`` is good to know."""

    status: Status
    subject: str
    message: str
    remedy: str = ""
    exit_code: int = 0


ok, note, warning = partial(CheckResult, "ok"), partial(CheckResult, "note"), partial(CheckResult, "warning")
failure = partial(CheckResult, "failure", exit_code=2)


def from_error(subject: str, error: ExpandError) -> list[CheckResult]:
    """The failure that an error means, or one for each of several that were found in one go."""
    texts = [str(one).partition("; ") for one in (error.errors if isinstance(error, InputErrors) else [error])]
    return [failure(subject, message, remedy, exit_code=error.exit_code) for message, _, remedy in texts]
