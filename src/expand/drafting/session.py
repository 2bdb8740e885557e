"""A run put together: settings, book, ledger and author become an expansion.

In three steps, so that several processes can be one run: the workspace is read, the run is begun in
the ledger, and each process carries out its part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from expand.budget import Limit
from expand.completion import Author
from expand.drafting.authorship import DeferredAuthor, means_for, profile_of, require_language
from expand.drafting.events import Event
from expand.drafting.expansion import Commission, Expansion
from expand.drafting.finished import Finished
from expand.drafting.result import RunResult
from expand.drafting.sharing import Alone, Sharing
from expand.ledger import Ledger, Run
from expand.model.address import is_loopback
from expand.model.profile import Profile
from expand.outline import Book, Outline
from expand.outline.allowance import limits_of, money_openings_of, openings_of
from expand.purchase.escrow import LOCAL_PILOT_SECONDS, PILOT_SECONDS, always_ready
from expand.settings import Settings, require_author
from expand.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a run was told and what it read: ``outlines`` are those of the chapters that are not
    known to be finished.
    """

    workspace: Workspace
    settings: Settings
    commission: Commission
    book: Book
    profile: Profile
    finished: Finished
    outlines: Mapping[str, Outline]

    @property
    def workers(self) -> int:
        """How many sections are worked on side by side."""
        return self.settings.concurrency or self.profile.concurrency


async def expand_chapters(
    workspace: Workspace,
    settings: Settings,
    commission: Commission,
    *,
    budget_tokens: int | None = None,
    unpriced: bool = False,
    author: Author | None = None,
    on_event: Callable[[Event], None],
    on_ready: Callable[[Expansion], None] = lambda _: None,
) -> RunResult:
    """Expands chapters into drafts; the ledger is closed, with nothing reserved, when it returns.

    ``budget_tokens`` limits this run. ``author`` writes in the place of the one that the settings
    mean; it is used under the profile of the settings' model and is not closed here. ``on_ready``
    gets the expansion before it begins, to stop it.
    """
    if author is None:
        require_author(settings, path=workspace.settings_path)
    return await carry_out_alone(
        read(workspace, settings, commission),
        budget_tokens=budget_tokens,
        unpriced=unpriced,
        author=author,
        on_event=on_event,
        on_ready=on_ready,
    )


async def carry_out_alone(
    reading: Reading,
    *,
    budget_tokens: int | None,
    unpriced: bool,
    author: Author | None = None,
    on_event: Callable[[Event], None],
    on_ready: Callable[[Expansion], None],
) -> RunResult:
    """A whole run in this process. Raises ``InputError``."""
    ledger = Ledger.open(reading.workspace.ledger_place)
    try:
        return await carry_out(
            reading,
            ledger=ledger,
            run=begin(ledger, reading, budget_tokens=budget_tokens),
            workers=reading.workers,
            unpriced=unpriced,
            author=author,
            sharing=Alone(on_event),
            on_event=on_event,
            on_ready=on_ready,
        )
    finally:
        ledger.close()


def read(workspace: Workspace, settings: Settings, commission: Commission) -> Reading:
    """What a run goes by. Raises ``InputError``."""
    book = workspace.book()
    profile = profile_of(workspace, settings)
    require_language(profile, book, commission.language)
    finished = Finished(workspace, commission, profile)
    return Reading(
        workspace=workspace,
        settings=settings,
        commission=commission,
        book=book,
        profile=profile,
        finished=finished,
        outlines={
            chapter: workspace.outline(chapter)
            for chapter in commission.chapters
            if chapter not in finished
        },
    )


def begin(ledger: Ledger, reading: Reading, *, budget_tokens: int | None) -> Run:
    """A run in the ledger, under the limits that book and outlines state."""
    return ledger.begin_run(
        limits=limits_of(reading.book, reading.outlines),
        openings=openings_of(reading.book),
        openings_pico_usd=money_openings_of(reading.book),
        run_limit=Limit(tokens=budget_tokens),
    )


async def carry_out(
    reading: Reading,
    *,
    ledger: Ledger,
    run: Run,
    workers: int,
    unpriced: bool,
    author: Author | None = None,
    sharing: Sharing,
    on_event: Callable[[Event], None],
    on_ready: Callable[[Expansion], None],
) -> RunResult:
    """This process's part of a run, ``workers`` requests at once. Raises ``InputError``."""
    settings = reading.settings
    async with AsyncExitStack() as opened:
        prepare = always_ready
        if author is None:
            own = DeferredAuthor(settings, reading.profile)
            author = await opened.enter_async_context(own)

            async def prepare() -> None:
                proven = await sharing.leave()
                await own.open()
                if proven:
                    sharing.proof.give()

        means = means_for(reading.workspace, settings, ledger=ledger, unpriced=unpriced)
        local = is_loopback(settings.base_url)
        expansion = Expansion(
            workspace=reading.workspace,
            book=reading.book,
            means=means,
            ledger=ledger,
            author=author,
            prepare=prepare,
            run=run,
            workers=workers,
            on_unknown=settings.on_unknown,
            on_event=on_event,
            outlines=reading.outlines,
            finished=reading.finished,
            pilot_seconds=LOCAL_PILOT_SECONDS if local else PILOT_SECONDS,
            sharing=sharing,
        )
        on_ready(expansion)
        return await expansion.expand(reading.commission)
