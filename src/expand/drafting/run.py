"""A run under way: its events as they come, a way to stop it, and its result.

What holds however the run ends: nothing that is paid for is lost. Where the task that waits for the
result is cancelled, nothing new begins; what is in flight arrives, is settled and drafted, and only
then does the cancellation go on. Cancelled again, what is in flight is left behind: those attempts
stay charged at their reservation, as unknown outcomes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, closing
from types import TracebackType
from typing import Self

from expand.budget import Limit
from expand.client.client import LOCAL_PILOT_SECONDS, PILOT_SECONDS, always_ready
from expand.drafting.events import Event
from expand.drafting.model_setup import (
    DeferredAuthor,
    model_setup_for,
    profile_of,
    require_language,
)
from expand.drafting.result_cache import ResultCache
from expand.drafting.results import RunResult
from expand.drafting.run_options import RunOptions
from expand.drafting.scheduler import Scheduler
from expand.ledger import Ledger
from expand.llm.base_url import is_loopback
from expand.llm.types import Author
from expand.outline.allowance import limits_of, money_openings_of, openings_of
from expand.settings import Settings, require_author
from expand.workspace import Workspace

# A run put together: settings, book, ledger and author become an expansion.


async def expand_chapters(
    workspace: Workspace,
    settings: Settings,
    options: RunOptions,
    *,
    author: Author | None = None,
    on_event: Callable[[Event], None],
    on_ready: Callable[[Scheduler], None] = lambda _: None,
) -> RunResult:
    """Expands chapters into drafts; the ledger is closed, with nothing reserved, when it returns.

    ``author`` writes in the place of the one that the settings
    mean; it is used under the profile of the settings' model and is not closed here. ``on_ready``
    gets the expansion before it begins, to stop it.
    """
    if author is None:
        require_author(settings, path=workspace.settings_path)
    book = workspace.book()
    profile = profile_of(workspace, settings)
    require_language(profile, book, options.language)
    finished = ResultCache(workspace, options, profile)
    outlines = {chapter: workspace.outline(chapter) for chapter in options.chapters if chapter not in finished}
    async with AsyncExitStack() as opened:
        ledger = opened.enter_context(closing(Ledger.open(workspace.ledger_place)))
        run = ledger.begin_run(
            limits=limits_of(book, outlines),
            openings=openings_of(book),
            openings_pico_usd=money_openings_of(book),
            run_limit=Limit(tokens=options.budget),
        )
        prepare = always_ready
        if author is None:
            author = own = await opened.enter_async_context(DeferredAuthor(settings, profile))
            prepare = own.open
        local = is_loopback(settings.base_url)
        expansion = Scheduler(
            workspace=workspace,
            book=book,
            means=model_setup_for(workspace, settings, ledger=ledger),
            ledger=ledger,
            author=author,
            prepare=prepare,
            run=run,
            workers=settings.concurrency or profile.concurrency,
            on_unknown=settings.on_unknown,
            on_event=on_event,
            outlines=outlines,
            finished=finished,
            pilot_seconds=LOCAL_PILOT_SECONDS if local else PILOT_SECONDS,
        )
        on_ready(expansion)
        return await expansion.expand(options)


class RunHandle:
    """One run, from ``async with`` to the end of its block, as a task of its own.

    ``async for event in run`` gives every event from the first on and ends with the run; one loop
    at a time. ``await run.result()`` may come before, after or without it. A block that is left
    early stops the run and waits for what is in flight.
    """

    def __init__(
        self,
        workspace: Workspace,
        settings: Settings,
        options: RunOptions,
        *,
        author: Author | None = None,
        on_event: Callable[[Event], None] | None = None,
        keep_events: bool = True,
    ) -> None:
        """``on_event`` is called within the run and should be quick; when it raises, the run stops
        and the error is raised by ``result``. ``keep_events``: keep them for ``async for``.
        """
        self._workspace = workspace
        self._settings = settings
        self._options = options
        self._author = author
        self._on_event = on_event
        self._keep_events = keep_events
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._task: asyncio.Task[RunResult] | None = None
        self._expansion: Scheduler | None = None
        self._stops = 0
        self._broken: Exception | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="expand")
        self._task.add_done_callback(self._ended)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._begun.done():
            self.stop()
            await self._arrived()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while not (self._begun.done() and self._events.empty()):
            event = await self._events.get()
            if event is None:
                return
            yield event

    def stop(self) -> None:
        """Begin nothing new; what is in flight arrives. Called again, that is left unknown."""
        self._stops += 1
        if self._expansion is not None:
            self._expansion.stop()

    async def result(self) -> RunResult:
        """What the run came to, once it has ended.

        Raises ``InputError``, ``AuthorError`` and ``LedgerError`` for what kept it from beginning
        or from going on, and what ``on_event`` raised.
        """
        result = await self._arrived()
        if self._broken is not None:
            raise self._broken
        return result

    @property
    def _begun(self) -> asyncio.Task[RunResult]:
        if self._task is None:
            raise RuntimeError("a run begins with `async with`")
        return self._task

    async def _arrived(self) -> RunResult:
        """The run's result; each cancellation meanwhile stops it, and is raised at its end."""
        cancelled: asyncio.CancelledError | None = None
        while not self._begun.done():
            try:
                await asyncio.wait([self._begun])
            except asyncio.CancelledError as error:
                cancelled = error
                self.stop()
        if cancelled is not None:
            raise cancelled
        return self._begun.result()

    def _ended(self, task: asyncio.Task[RunResult]) -> None:
        self._events.put_nowait(None)
        if not task.cancelled():
            task.exception()  # who asks for the result gets it; the run is over in any case

    async def _run(self) -> RunResult:
        return await expand_chapters(
            self._workspace,
            self._settings,
            self._options,
            author=self._author,
            on_event=self._tell,
            on_ready=self._ready,
        )

    def _ready(self, expansion: Scheduler) -> None:
        self._expansion = expansion
        for _ in range(self._stops):
            expansion.stop()

    def _tell(self, event: Event) -> None:
        if self._keep_events:
            self._events.put_nowait(event)
        if self._on_event is None or self._broken is not None:
            return
        try:
            self._on_event(event)
        except Exception as error:  # whatever it is, what is in flight comes first
            self._broken = error
            self.stop()
