"""expand as a library: what the command line does, as functions for a notebook or a service.

    workspace = Workspace.open("my-book")
    result = await expand_chapter(workspace, "03", plan="lean", budget=50_000)

What holds: nothing is printed, no signal handler is set, nothing ends the process, and the errors
are those of ``expand.errors``. Settings come from the arguments, then from the environment, then
from ``expand.toml``, as on the command line. Calls may run side by side in one loop, on one
workspace and on one chapter: they share the ledger's budget and merge their sections in the draft.
A call that is cancelled lets what is in flight arrive first; see ``RunHandle``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

if TYPE_CHECKING:
    from fractions import Fraction

    from expand.drafting.accept import AcceptResult
    from expand.drafting.acceptance_record import Restored
    from expand.drafting.dry_run import DryRun
    from expand.drafting.events import Event
    from expand.drafting.results import ChapterResult, RunResult
    from expand.drafting.run import RunHandle
    from expand.drafting.run_options import RunSpec
    from expand.llm.types import Author
    from expand.outline.plans import Plan
    from expand.reports.data import BookData
    from expand.reports.formats import Format
    from expand.settings import Settings
    from expand.workspace import Workspace

ReportName = Literal["budget", "status", "plan"]

OWN_MODEL = "own"
"""The model's name where an author of one's own writes and no model is named: a general profile."""


class AuthorOptions(TypedDict, total=False):
    """Whose model is meant. What is not given, or None, is taken from the environment and
    ``expand.toml``.
    """

    model: str | None
    base_url: str | None
    api_key: str | None


class RunOptions(AuthorOptions, total=False):
    """How chapters are expanded; each is what the option of its name is for ``expand chapter``.

    ``sections`` are numbers from 1; without them, all. ``budget`` is the most tokens that this call
    may reserve and spend. ``context="text"`` tells each section what those before it say, in order.
    ``author`` writes in the place of the configured one, under the profile of ``model``; without a
    model it is ``OWN_MODEL``. ``on_event`` gets every event as it happens.
    """

    plan: Plan | Literal["full", "lean"]
    language: str
    sections: Iterable[int]
    fresh: bool
    context: Literal["outline", "text"]
    cascade: bool
    budget: int | None
    unpriced: bool
    concurrency: int
    on_unknown: Literal["retry", "hold"]
    author: Author | None
    on_event: Callable[[Event], None] | None


async def expand_chapter(workspace: Workspace, chapter: str, **options: Unpack[RunOptions]) -> RunResult:
    """Expands one chapter into its draft; ``result.chapter`` is what it came to.

    What is already bought and still current is reused. Raises ``InputError`` before anything is
    sent when the input is wrong. What the budget refused, and what stopped the run, is told in the
    result, since what was bought before is drafted; ``result.raise_for_status()`` raises it.
    """
    return await expand_chapters(workspace, [chapter], **options)


async def expand_chapters(workspace: Workspace, chapters: Iterable[str], **options: Unpack[RunOptions]) -> RunResult:
    """Expands several chapters side by side, as one run; see ``expand_chapter``."""
    async with _running(workspace, chapters, options, keep_events=False) as run:
        return await run.result()


def expanding(workspace: Workspace, chapters: str | Iterable[str], **options: Unpack[RunOptions]) -> RunHandle:
    """The same as a run to watch: ``async with expanding(…) as run``, then ``async for event in
    run`` and ``await run.result()``. ``run.stop()`` ends it in good order.
    """
    return _running(workspace, chapters, options, keep_events=True)


def dry_run(workspace: Workspace, chapters: str | Iterable[str], **options: Unpack[RunOptions]) -> tuple[DryRun, ...]:
    """What each section would send, reserve and cost, worked out without sending anything."""
    from expand.drafting.dry_run import dry_run as planned

    return planned(workspace, _settings_for(workspace, options), _commission(workspace, chapters, options))


def review(workspace: Workspace, chapter: str, **options: Unpack[AuthorOptions]) -> ChapterResult:
    """A chapter's draft held to its outline; sends nothing. Raises ``InputError`` without a draft.

    ``result.kept`` says whether it keeps its contract, ``result.blocking`` what stops ``accept``.
    """
    from expand.drafting.draft_review import review as reviewed

    return reviewed(workspace, settings_of(workspace, **options), workspace.book(), chapter)


def accept(workspace: Workspace, chapters: str | Sequence[str], *, force: bool = False) -> AcceptResult:
    """Puts drafts in the place of their sources: all of those named, or none.

    ``refused`` holds the chapters whose blocking findings stood in the way. Raises ``InputError``
    where a source changed since its draft was made. ``force`` passes over both.
    """
    from expand.drafting.accept import accept_drafts

    return accept_drafts(workspace, settings_of(workspace), _ids(chapters), force=force)


def undo(workspace: Workspace, chapter: str) -> Restored:
    """Takes the last acceptance of a chapter back. Raises ``InputError`` when there is none."""
    from expand.drafting.acceptance_record import Acceptances

    return Acceptances(workspace).undo(chapter)


def figures(
    workspace: Workspace,
    *,
    priced: bool = True,
    latest: int = 0,
    **options: Unpack[AuthorOptions],
) -> BookData:
    """Everything that the reports are made from, as of now: balance, chapters, attempts, rates.

    ``priced`` looks up the model's list price, to estimate costs with; ``latest`` is how many of
    the last attempts are kept one by one.
    """
    from datetime import UTC, datetime

    from expand.reports.data import read_data

    settings = settings_of(workspace, **options)
    return read_data(
        workspace,
        now=datetime.now(UTC),
        model=settings.model,
        pico_usd_per_token=_list_price(workspace, settings) if priced else None,
        latest=latest,
    )


def _list_price(workspace: Workspace, settings: Settings) -> Fraction | None:
    """A token's price in pico-dollars by the model's list, None where it is not known."""
    from expand.drafting.model_setup import profile_of  # start-up time
    from expand.llm.pricing import price_for
    from expand.reports.estimates import list_price

    price = price_for(settings.model, profile_of(workspace, settings), settings.base_url)
    return None if price is None else list_price(price)


def render_report(
    workspace: Workspace,
    name: ReportName,
    *,
    form: Format = "markdown",
    language: str | None = None,
    **options: Unpack[AuthorOptions],
) -> str:
    """A report as text: ``markdown``, ``html``, ``json``, ``csv`` or ``table``.

    Raises ``InputError``, also for a ``language`` that reports do not speak.
    """
    from expand.errors import InputError
    from expand.reports.budget_report import LATEST, budget_report
    from expand.reports.draft_reviews import reviews
    from expand.reports.formats import FORMATS, render
    from expand.reports.messages import report_language
    from expand.reports.plan_report import plan_report
    from expand.reports.status_report import status_report

    if form not in FORMATS:
        raise InputError(f"form is {form!r}", remedy=f"give one of: {', '.join(FORMATS)}")
    data = figures(workspace, latest=LATEST if name == "budget" else 0, **options)
    spoken = report_language(data.book.language, language)
    match name:
        case "budget":
            report = budget_report(data, spoken)
        case "plan":
            report = plan_report(data, spoken)
        case "status":
            report = status_report(data, reviews(workspace, settings_of(workspace, **options), data), spoken)
        case _:
            raise InputError(f"there is no report {name!r}", remedy="give budget, status or plan")
    return render(report, form)


def settings_of(workspace: Workspace, **options: Unpack[AuthorOptions]) -> Settings:
    """The settings of the workspace with the arguments on top. Raises ``InputError``."""
    return _settings(workspace, options)


def _running(
    workspace: Workspace,
    chapters: str | Iterable[str],
    options: RunOptions,
    *,
    keep_events: bool,
) -> RunHandle:
    from expand.drafting.run import RunHandle

    return RunHandle(
        workspace,
        _settings_for(workspace, options),
        _commission(workspace, chapters, options),
        budget_tokens=options.get("budget"),
        unpriced=options.get("unpriced", False),
        author=options.get("author"),
        on_event=options.get("on_event"),
        keep_events=keep_events,
    )


def _settings_for(workspace: Workspace, options: RunOptions) -> Settings:
    """The settings of a run; where an own author writes, never those of the embedded model unless
    it was asked for.
    """
    settings = _settings(workspace, options)
    if options.get("author") is not None and settings.embedded and not options.get("model"):
        return _settings(workspace, {**options, "model": OWN_MODEL})
    return settings


def _settings(workspace: Workspace, options: RunOptions | AuthorOptions) -> Settings:
    from expand.settings import Overrides, read_settings

    environment = dict(os.environ)
    if key := options.get("api_key"):
        environment["OPENAI_API_KEY"] = str(key)
    run: RunOptions = {**options}
    return read_settings(
        workspace.settings_path,
        environment=environment,
        overrides=Overrides(
            model=run.get("model"),
            base_url=run.get("base_url"),
            concurrency=run.get("concurrency"),
            on_unknown=run.get("on_unknown"),
        ),
    )


def _commission(workspace: Workspace, chapters: str | Iterable[str], options: RunOptions) -> RunSpec:
    from expand.drafting.run_options import RunSpec
    from expand.errors import InputError
    from expand.outline.plans import Plan

    if unknown := sorted(set(options) - _KNOWN):
        raise TypeError(f"there is no option {unknown[0]!r}; known are {', '.join(sorted(_KNOWN))}")
    plan = options.get("plan", Plan.FULL)
    if plan not in tuple(Plan):
        raise InputError(f"plan is {plan!r}", remedy="give full or lean")
    context = options.get("context", "outline")
    if context not in ("outline", "text"):
        raise InputError(f"context is {context!r}", remedy="give outline or text")
    named = _ids(chapters)
    if not named:
        raise InputError("no chapter named", remedy="name one, or give workspace.chapter_ids()")
    sections = options.get("sections")
    return RunSpec(
        chapters=named,
        plan=Plan(plan),
        language=options.get("language") or workspace.book().language,
        sections=None if sections is None else frozenset(sections),
        fresh=options.get("fresh", False),
        context_text=context == "text",
        cascade=options.get("cascade", False),
    )


def _ids(chapters: str | Iterable[str]) -> tuple[str, ...]:
    return (chapters,) if isinstance(chapters, str) else tuple(dict.fromkeys(chapters))


_KNOWN = frozenset(RunOptions.__annotations__) | frozenset(AuthorOptions.__annotations__)
