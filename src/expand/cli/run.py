"""A run from the command line: progress on stderr, signals, and what is said when it ends."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from expand.cli.common import print_json, warn

if TYPE_CHECKING:
    from expand.drafting.expansion import Commission, Expansion
    from expand.drafting.result import RunResult
    from expand.settings import Settings
    from expand.workspace import Workspace


def run(
    workspace: Workspace,
    settings: Settings,
    commission: Commission,
    *,
    budget: int | None = None,
    unpriced: bool = False,
) -> RunResult:
    """Runs a commission with progress on stderr; Ctrl-C and SIGTERM end it in good order."""
    import asyncio  # start-up time

    if settings.embedded:
        warn(
            f"the embedded local model writes ({settings.model}: English, small, for trying out); "
            "set OPENAI_API_KEY or give --base-url for another"
        )

    return asyncio.run(_run(workspace, settings, commission, budget=budget, unpriced=unpriced))


async def _run(
    workspace: Workspace,
    settings: Settings,
    commission: Commission,
    *,
    budget: int | None,
    unpriced: bool,
) -> RunResult:
    import asyncio  # start-up time
    import signal

    from expand.cli.progress import progress
    from expand.drafting.session import expand_chapters

    def stop_on_signals(expansion: Expansion) -> None:
        running = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            running.add_signal_handler(number, _stop, expansion)

    with progress(sys.stderr) as on_event:
        return await expand_chapters(
            workspace,
            settings,
            commission,
            budget_tokens=budget,
            unpriced=unpriced,
            on_event=on_event,
            on_ready=stop_on_signals,
        )


def _stop(expansion: Expansion) -> None:
    warn("stopping: what is in flight arrives first; once more leaves it unknown")
    expansion.stop()


def show(result: RunResult, *, as_json: bool) -> None:
    """What became of a run: what stopped it on stderr, the result on stdout."""
    for refusal in result.refused:
        warn(f"the budget refused: {refusal.message}")
    if result.stopped_by:
        warn(result.stopped_by)
    if as_json:
        print_json(result.as_json())
    else:
        from expand.cli.summary import show_result  # start-up time

        show_result(result)
