"""A run of as many processes as it is worth: what ``expand chapter`` calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from expand.crew.captain import Captain
from expand.crew.muster import members_for, mustered, processors
from expand.drafting.commission import Commission
from expand.drafting.events import Event
from expand.drafting.result import RunResult
from expand.drafting.session import Reading, carry_out_alone, read
from expand.settings import Settings, require_author
from expand.workspace import Workspace


class Stoppable(Protocol):
    """A run that is going on."""

    def stop(self) -> None:
        """Begin nothing new; what is in flight arrives. Called again, that is left unknown."""


class Undertaking(Protocol):
    """A run that is ready to begin, in an event loop."""

    async def __call__(
        self, *, on_event: Callable[[Event], None], on_ready: Callable[[Stoppable], None]
    ) -> RunResult:
        """Expand the chapters; ``on_ready`` gets what stops it. Raises ``InputError``."""


@contextmanager
def prepared(
    workspace: Workspace,
    settings: Settings,
    commission: Commission,
    *,
    budget_tokens: int | None = None,
    unpriced: bool = False,
) -> Iterator[Undertaking]:
    """A run, with its processes waiting if it is large enough for several.

    To be entered before this process has a thread or an event loop. Raises ``InputError``.
    """
    require_author(settings, path=workspace.settings_path)
    reading = read(workspace, settings, commission)
    available = processors()
    members = members_for(reading, processors=available) if available else 1
    if members == 1:
        yield _alone(reading, budget_tokens=budget_tokens, unpriced=unpriced)
        return
    with mustered(reading, members, unpriced=unpriced) as crew:

        async def undertake(
            *, on_event: Callable[[Event], None], on_ready: Callable[[Stoppable], None]
        ) -> RunResult:
            captain = Captain(
                reading, crew, budget_tokens=budget_tokens, unpriced=unpriced, on_event=on_event
            )
            on_ready(captain)
            return await captain.expand()

        yield undertake


def _alone(reading: Reading, *, budget_tokens: int | None, unpriced: bool) -> Undertaking:
    async def undertake(
        *, on_event: Callable[[Event], None], on_ready: Callable[[Stoppable], None]
    ) -> RunResult:
        return await carry_out_alone(
            reading,
            budget_tokens=budget_tokens,
            unpriced=unpriced,
            on_event=on_event,
            on_ready=on_ready,
        )

    return undertake
