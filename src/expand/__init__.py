"""expand: a chapter outline in, a finished chapter draft out, every token accounted for.

    from expand import Workspace, expand_chapter

    workspace = Workspace.open("my-book")
    result = await expand_chapter(workspace, "03", plan="lean", budget=50_000)

The names below are imported when they are first used, so that ``import expand`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from expand.budget import Balance as Balance
    from expand.budget import Limit as Limit
    from expand.completion import Answer as Answer
    from expand.completion import AttemptFailedError as AttemptFailedError
    from expand.completion import Author as Author
    from expand.completion import Failure as Failure
    from expand.completion import Finish as Finish
    from expand.completion import Message as Message
    from expand.completion import Request as Request
    from expand.completion import Usage as Usage
    from expand.contract import Finding as Finding
    from expand.drafting.acceptance import Restored as Restored
    from expand.drafting.events import Event as Event
    from expand.drafting.events import Notice as Notice
    from expand.drafting.events import RunPlanned as RunPlanned
    from expand.drafting.events import SectionDone as SectionDone
    from expand.drafting.events import SectionGrew as SectionGrew
    from expand.drafting.events import SectionPlanned as SectionPlanned
    from expand.drafting.events import SectionStarted as SectionStarted
    from expand.drafting.handover import Accepted as Accepted
    from expand.drafting.handover import Handover as Handover
    from expand.drafting.rehearsal import Planned as Planned
    from expand.drafting.result import ChapterResult as ChapterResult
    from expand.drafting.result import RunResult as RunResult
    from expand.drafting.result import SectionResult as SectionResult
    from expand.drafting.running import Running as Running
    from expand.errors import AuthorError as AuthorError
    from expand.errors import BudgetExceededError as BudgetExceededError
    from expand.errors import ExpandError as ExpandError
    from expand.errors import InputError as InputError
    from expand.errors import InputErrors as InputErrors
    from expand.errors import LedgerError as LedgerError
    from expand.library import accept as accept
    from expand.library import dry_run as dry_run
    from expand.library import expand_chapter as expand_chapter
    from expand.library import expand_chapters as expand_chapters
    from expand.library import expanding as expanding
    from expand.library import figures as figures
    from expand.library import render_report as render_report
    from expand.library import review as review
    from expand.library import undo as undo
    from expand.workspace import Workspace as Workspace

_ROOMS = {
    "budget": "Balance Limit",
    "completion": "Answer AttemptFailedError Author Failure Finish Message Request Usage",
    "contract": "Finding",
    "drafting.acceptance": "Restored",
    "drafting.events": (
        "Event Notice RunPlanned SectionDone SectionGrew SectionPlanned SectionStarted"
    ),
    "drafting.handover": "Accepted Handover",
    "drafting.rehearsal": "Planned",
    "drafting.result": "ChapterResult RunResult SectionResult",
    "drafting.running": "Running",
    "errors": "AuthorError BudgetExceededError ExpandError InputError InputErrors LedgerError",
    "library": (
        "accept dry_run expand_chapter expand_chapters expanding figures render_report review undo"
    ),
    "workspace": "Workspace",
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names.split()}

__all__ = list(_ROOM_OF)


def __getattr__(name: str) -> object:
    room = _ROOM_OF.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{room}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
