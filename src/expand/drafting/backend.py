"""The interface of back ends, which buy sections elsewhere than in the process that asks for them.

``expand.batch`` sends the sections' questions through a provider's Batch API; ``expand.worker`` queues the sections
for workers on any machine. A further back end is a package beside these two with a class that has the methods of
``Backend``, and an option of ``expand chapter`` that opens it. All of them keep to one contract: what they buy is
settled in the ledger under the keys that a live run looks for, so ``assemble`` drafts from it and nothing is bought
twice, whichever way a section is finished.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from expand.drafting.events import Event
from expand.drafting.results import RunResult
from expand.drafting.run import Run
from expand.drafting.run_context import ignore_event
from expand.drafting.run_options import RunOptions
from expand.llm.types import Answer, AttemptFailedError, Failure, OnText, Request, ignore_text
from expand.schema import Json
from expand.settings import Settings
from expand.workspace import Workspace


class Report(Protocol):
    """What an operation of a back end came to, for the command line to print."""

    @property
    def exit_code(self) -> int:
        """The exit code of the contract."""
        ...

    def as_json(self) -> dict[str, Json]:
        """The object that ``--json`` prints."""
        ...


class Backend(Protocol):
    """A way to have sections bought elsewhere. ``chapters`` limits an operation to some; None means all.

    Every method raises ``InputError`` where the workspace cannot use this back end, and ``LedgerError``."""

    async def submit(self, options: RunOptions) -> Report:
        """Hand over what the sections of a run need next; what is handed over already is left as it is."""
        ...

    async def status(self) -> Report:
        """Show where everything stands that was handed over. Changes nothing."""
        ...

    async def collect(self, chapters: tuple[str, ...] | None = None) -> Report:
        """Draft from what was bought by now. Sends nothing to the author."""
        ...

    async def cancel(self, chapters: tuple[str, ...] | None = None) -> Report:
        """Take back what can still be taken back; what is bought by then can be collected."""
        ...


class NoAuthor:
    """The author of a run that must not send anything."""

    async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
        """Refuse."""
        raise AttemptFailedError(Failure.UNREACHABLE, "nothing is sent live when drafts are assembled")


async def assemble(
    workspace: Workspace, settings: Settings, options: RunOptions, *, on_event: Callable[[Event], None] = ignore_event
) -> RunResult:
    """Draft chapters from the answers that the ledger has: a run that is stopped before it begins."""
    run = Run(workspace, options, settings=settings, author=NoAuthor(), on_event=on_event, keep_events=False)
    run.stop()
    return replace(await run.complete(), interrupted=False)
