"""expand as a library: what the command line does, as functions for a notebook or a service.

    workspace = Workspace.open("my-book")
    result = await expand_chapter(workspace, "03", plan="lean", budget=50_000)

What holds: nothing is printed, no signal handler is set, nothing ends the process, and the errors are those of
``expand.errors``. Settings come from the arguments, then from the environment, then from ``expand.toml``, as on the
command line. Calls may run side by side in one loop, on one workspace and on one chapter: they share the ledger's
budget and merge their sections in the draft. A call that is cancelled lets what is in flight arrive first; see ``Run``.

Options are the fields of ``RunOptions``: given by name, as one value, or both, the names on top.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

from expand.client.client import BudgetedClient
from expand.doctor import outline_check
from expand.drafting import accept as accepting
from expand.drafting import dry_run as planning
from expand.drafting.draft_file import DraftStore
from expand.drafting.dry_run import DryRun, FirstRequest
from expand.drafting.events import Event
from expand.drafting.read_through import read_through
from expand.drafting.results import ChapterResult, RunResult
from expand.drafting.run import Run
from expand.drafting.run_context import open_run
from expand.drafting.run_options import RunOptions, settings_of
from expand.errors import InputError
from expand.llm.types import Author
from expand.reports.formats import FORMATS, Format, render
from expand.reports.status_report import make_report
from expand.workspace import Workspace

ReportName = Literal["budget", "status", "plan"]


async def expand_chapter(
    workspace: Workspace,
    chapter: str,
    options: RunOptions | None = None,
    *,
    author: Author | None = None,
    on_event: Callable[[Event], None] | None = None,
    **changes: Any,
) -> RunResult:
    """Expands one chapter into its draft; ``result.chapter`` is what it came to.

    What is already bought and still current is reused. ``author`` writes in the place of the configured one, under the
    profile of ``model``. ``on_event`` gets every event as it happens. Raises ``InputError`` before anything is sent
    when the input is wrong. What the budget refused, and what stopped the run, is told in the result, since what was
    bought before is drafted; ``result.raise_for_status()`` raises it."""
    return await expand_chapters(workspace, [chapter], options, author=author, on_event=on_event, **changes)


async def expand_chapters(
    workspace: Workspace,
    chapters: Iterable[str],
    options: RunOptions | None = None,
    *,
    author: Author | None = None,
    on_event: Callable[[Event], None] | None = None,
    **changes: Any,
) -> RunResult:
    """Expands several chapters side by side, as one run; see ``expand_chapter``."""
    run = expanding(workspace, chapters, options, author=author, on_event=on_event, **changes)
    return await run.complete()


def expanding(
    workspace: Workspace,
    chapters: str | Iterable[str],
    options: RunOptions | None = None,
    *,
    author: Author | None = None,
    on_event: Callable[[Event], None] | None = None,
    **changes: Any,
) -> Run:
    """The same as a run that can be stopped: ``async with expanding(…) as run``, then ``await run.result()``.
    ``run.stop()`` ends it in good order."""
    made = RunOptions.of(workspace, chapters, options, **changes)
    return Run(workspace, made, author=author, on_event=on_event)


def dry_run(
    workspace: Workspace,
    chapters: str | Iterable[str],
    options: RunOptions | None = None,
    *,
    author: Author | None = None,
    **changes: Any,
) -> tuple[DryRun, ...]:
    """What each section would send, reserve and cost, worked out without sending anything."""
    made = RunOptions.of(workspace, chapters, options, **changes)
    return planning.dry_run(workspace, made.settings(workspace, own_author=author is not None), made)


def first_request(workspace: Workspace, chapter: str, section: int, **changes: Any) -> FirstRequest:
    """The messages of a section's first request, word for word, with their tokens; sends nothing."""
    made = RunOptions.of(workspace, chapter, sections=[section], **changes)
    return planning.first_request(workspace, made.settings(workspace), made)


def check_outlines(workspace: Workspace, chapters: Sequence[str] = ()) -> outline_check.OutlineCheck:
    """What is wrong with the settings, the book and the outlines, or those of some chapters, by file and line."""
    return outline_check.check_outlines(workspace, tuple(chapters) or workspace.chapter_ids())


def review(
    workspace: Workspace, chapter: str, *, language: str | None = None, code: bool = False, **changes: Any
) -> ChapterResult:
    """A chapter's draft held to its outline; sends nothing. Raises ``InputError`` without a draft.

    Without a ``language`` it is the draft in the book's own, or else the one that there is. With ``code``, its code
    blocks are judged by their toolchains. ``result.kept`` says whether it keeps its contract, ``result.blocking`` what
    stops ``accept``."""
    settings = settings_of(workspace, **changes)
    draft_file = accepting.open_draft(workspace, settings, workspace.book(), chapter, language)
    return accepting.review(draft_file, workspace, settings, code=code)


async def read_draft(
    workspace: Workspace,
    chapter: str,
    *,
    language: str | None = None,
    author: Author | None = None,
    code: bool = False,
    on_event: Callable[[Event], None] = lambda _: None,
    on_ready: Callable[[BudgetedClient], None] = lambda _: None,
    **changes: Any,
) -> str:
    """Has a model read a chapter's draft and mends what it finds, in the lines that it quotes; what came of it, in
    words. ``review`` has the findings.

    What was read and has not changed since is not read again. With ``code``, no edit is made either after which
    toolchains refuse more blocks. ``author`` answers in the place of the configured model, ``on_ready`` gets the client
    before the first request. Raises ``BudgetExceededError``, ``AuthorError``, and ``InputError`` without a draft."""
    book = workspace.book()
    options = replace(accepting.drafted_with(workspace, book, chapter, language), read=True, **changes)
    settings = options.settings(workspace, own_author=author is not None)
    outlines = {chapter: workspace.outline(chapter)}
    opening = open_run(workspace, settings, options, author=author, on_event=on_event, outlines=outlines)
    async with opening as context:
        on_ready(context.client)
        draft_file = DraftStore(workspace, book, options=options, setup=context.setup).look(chapter)
        judge = draft_file.chapter.code_check(workspace, settings).judge if code or settings.code.check else None
        return await read_through(context, draft_file, judge)


def accept(
    workspace: Workspace, chapters: str | Sequence[str], *, language: str | None = None, force: bool = False
) -> accepting.AcceptResult:
    """Puts drafts in the place of their sources, if all of those named may be. For ``language`` see ``review``.

    ``refused`` holds the chapters whose blocking findings stood in the way. Raises ``InputError`` where a source
    changed since its draft was made. ``force`` passes over both."""
    named = (chapters,) if isinstance(chapters, str) else tuple(chapters)
    return accepting.accept_drafts(workspace, settings_of(workspace), named, language=language, force=force)


def diff(
    workspace: Workspace, chapter: str, *, language: str | None = None, sections: Sequence[int] = ()
) -> accepting.AcceptResult:
    """What accepting a chapter's draft, or some of its sections, would change, also where findings would stop it;
    changes nothing. Raises ``InputError`` without a draft."""
    return accepting.accept_drafts(
        workspace, settings_of(workspace), (chapter,), language=language, sections=sections, force=True, dry_run=True
    )


def render_report(
    workspace: Workspace,
    name: ReportName,
    *,
    form: Format = "markdown",
    language: str | None = None,
    **changes: Any,
) -> str:
    """A report as text: ``markdown``, ``html``, ``json``, ``csv`` or ``table``.

    Raises ``InputError``, also for a ``language`` that reports do not speak."""
    if form not in FORMATS:
        raise InputError(f"form is {form!r}", remedy=f"give one of: {', '.join(FORMATS)}")
    return render(make_report(workspace, name, language=language, **changes), form)
