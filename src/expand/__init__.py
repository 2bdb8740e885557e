"""expand: a chapter outline in, a finished chapter draft out, every token accounted for.

    from expand import Workspace, expand_chapter

    workspace = Workspace.open("my-book")
    result = await expand_chapter(workspace, "03", plan="lean", budget=50_000)

The names below are imported when they are first used, so that ``import expand`` costs nothing.
"""

from importlib import import_module

__version__ = "0.1.0"

_ROOMS = {
    "api": "accept dry_run expand_chapter expand_chapters expanding read_draft render_report review",
    "budget": "Balance Limit",
    "checks": "Finding",
    "drafting.acceptance_record": "Acceptance",
    "drafting.accept": "Accepted AcceptResult undo",
    "drafting.approval": "Decision Question",
    "drafting.dry_run": "DryRun",
    "drafting.events": ("Event Notice RunPlanned SectionDone SectionGrew SectionPlanned SectionStarted"),
    "drafting.results": "ChapterResult RunResult SectionResult",
    "drafting.run": "Run",
    "drafting.run_options": "RunOptions",
    "reports.data": "figures",
    "errors": "AuthorError BudgetExceededError ExpandError InputError InputErrors LedgerError",
    "llm.types": "Answer AttemptFailedError Author Failure Finish Message Request Usage",
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
