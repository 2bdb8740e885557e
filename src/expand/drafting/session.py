"""A run put together: settings, book, ledger and author become an expansion."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack, closing

from expand.budget import Limit
from expand.completion import Author
from expand.drafting.authorship import DeferredAuthor, means_for, profile_of, require_language
from expand.drafting.events import Event
from expand.drafting.expansion import Commission, Expansion
from expand.drafting.finished import Finished
from expand.drafting.result import RunResult
from expand.ledger import Ledger
from expand.model.address import is_loopback
from expand.outline.allowance import limits_of, money_openings_of, openings_of
from expand.purchase.escrow import LOCAL_PILOT_SECONDS, PILOT_SECONDS, always_ready
from expand.settings import Settings, require_author
from expand.workspace import Workspace


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
    book = workspace.book()
    profile = profile_of(workspace, settings)
    require_language(profile, book, commission.language)
    finished = Finished(workspace, commission, profile)
    outlines = {
        chapter: workspace.outline(chapter)
        for chapter in commission.chapters
        if chapter not in finished
    }
    async with AsyncExitStack() as opened:
        ledger = opened.enter_context(closing(Ledger.open(workspace.ledger_place)))
        run = ledger.begin_run(
            limits=limits_of(book, outlines),
            openings=openings_of(book),
            openings_pico_usd=money_openings_of(book),
            run_limit=Limit(tokens=budget_tokens),
        )
        prepare = always_ready
        if author is None:
            author = own = await opened.enter_async_context(DeferredAuthor(settings, profile))
            prepare = own.open
        local = is_loopback(settings.base_url)
        expansion = Expansion(
            workspace=workspace,
            book=book,
            means=means_for(workspace, settings, ledger=ledger, unpriced=unpriced),
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
        return await expansion.expand(commission)
