"""The error tree: what can go wrong, and the exit code that says so.

    ExpandError                     1   a defect in the tool
    ├── InputError                  2   the user's input is wrong; file, line and remedy are named
    │   ├── InputErrors             2   several of them, found in one go
    │   └── UntrustedError          2   a workspace names a destination that the user has not agreed to
    ├── BudgetExceededError         3   a limit refused a reservation
    ├── AuthorError                 4   the author model could not be reached or refused
    └── LedgerError                 2   the ledger cannot be used; the message says how to mend it

Only these cross module borders. A vendor's exception is mapped where the vendor is called, with
``raise … from``.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from expand.redaction import printable

EXIT_CODES: Mapping[int, str] = {
    0: "done",
    1: "a defect in the tool itself: a traceback",
    2: "the input is wrong: command line, settings, outline, template; the message names file, line and remedy",
    3: "the budget refused something; what was bought is drafted and reported",
    4: "the author could not be reached or refused: unreachable, key, quota, tries spent; what was bought is kept",
    5: "finished, but a draft misses its contract; it is written, and the misses are listed",
    130: "interrupted; what was bought is kept",
}
"""What each exit code of the command line means."""


class ExpandError(Exception):
    """The root of the tree; raised as itself only for a defect in the tool. Its message is printable."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class Place(NamedTuple):
    """Where in the user's input something stands; ``line`` and ``column`` count from 1."""

    path: Path | str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        numbers = () if self.line is None else (self.line,) if self.column is None else (self.line, self.column)
        return ":".join(map(str, (self.path, *numbers)))


class InputError(ExpandError):
    """The user's input is wrong. The message reads ``place: what; remedy``."""

    exit_code = 2

    def __init__(self, what: str, *, remedy: str = "", place: Place | None = None) -> None:
        self.what = what
        self.remedy = remedy
        self.place = place
        text = f"{what}; {remedy}" if remedy else what
        super().__init__(f"{place}: {text}" if place is not None else text)


class InputErrors(InputError):  # noqa: N818 - it holds several, as ExceptionGroup does
    """Several input errors of one file or one set of files, one a line, in the order found."""

    def __init__(self, errors: Sequence[InputError]) -> None:
        if not errors:
            raise ValueError("InputErrors needs at least one error")
        self.errors = tuple(errors)
        super().__init__("\n".join(str(error) for error in self.errors))


class UntrustedError(InputError):
    """A workspace's own file names where a request, a key or the ledger would go, and the user has not agreed to it;
    ``root`` is the workspace's folder. Nothing has been sent."""

    def __init__(self, what: str, *, remedy: str, place: Place, root: Path) -> None:
        self.root = root
        super().__init__(what, remedy=remedy, place=place)


class BudgetExceededError(ExpandError):
    """A limit refused a reservation; the message holds the numbers."""

    exit_code = 3


class AuthorError(ExpandError):
    """The author model could not be reached or refused, for good: the run cannot go on."""

    exit_code = 4


class LedgerError(ExpandError):
    """The ledger cannot be opened, read or written; the message says what to do."""

    exit_code = 2


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what caused it, the outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        inner = None if current.__suppress_context__ else current.__context__
        current = current.__cause__ or inner
