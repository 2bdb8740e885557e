"""A run from the command line: progress on stderr, signals, and what is said when it ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from expand import __version__
from expand.cli.common import note, print_json, warn
from expand.cli.verbosity import Verbosity, verbosity

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from expand.cli.run_log import RunLog
    from expand.drafting.events import Event
    from expand.drafting.results import RunResult
    from expand.drafting.run import Run
    from expand.drafting.run_options import RunOptions
    from expand.settings import Settings
    from expand.workspace import Workspace


def run(workspace: Workspace, settings: Settings, options: RunOptions) -> RunResult:
    """Runs chapters with progress on stderr; Ctrl-C and SIGTERM end it in good order."""
    import asyncio  # start-up time

    if settings.embedded:
        note(
            f"the embedded local model writes ({settings.model}: English, small, for trying out); "
            "set OPENAI_API_KEY or give --base-url for another"
        )
    elif settings.guessed:
        note(
            f"{settings.base_url} is taken for {settings.provider.title} by its "
            f"{settings.recognised_by}; if it is another, name it as provider in expand.toml"
        )

    return asyncio.run(_run(workspace, settings, options))


async def _run(workspace: Workspace, settings: Settings, options: RunOptions) -> RunResult:
    from expand.cli.progress import progress  # start-up time
    from expand.drafting.run import Run

    with logged(workspace, settings) as log, progress(sys.stderr, verbosity()) as show_event:

        def on_event(event: Event) -> None:
            if log is not None:
                log(event)
            show_event(event)

        async with Run(workspace, options, settings=settings, on_event=on_event, keep_events=False) as run:
            _stop_on_signals(run)
            result = await run.result()
        if log is not None:
            log.end(result)
        return result


@contextmanager
def logged(workspace: Workspace, settings: Settings) -> Iterator[RunLog | None]:
    """The log of the run, if every attempt is to be told."""
    if verbosity() is not Verbosity.VERBOSE:
        yield None
        return

    from expand.cli.run_log import log_into, secrets_of  # start-up time

    secrets = secrets_of(settings.api_key, settings.base_url)
    with log_into(workspace.root / ".expand" / "logs", now=lambda: datetime.now(UTC), secrets=secrets) as (path, log):
        note(f"the log of this run is {workspace.relative(path)}")
        where = settings.base_url or "its own address"
        log.say(f"expand {__version__}, {settings.model} at {where}")
        yield log


def _stop_on_signals(run: Run) -> None:
    """The first Ctrl-C or SIGTERM ends the run in good order, the second at once."""
    import asyncio  # start-up time
    import signal

    running = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            running.add_signal_handler(number, _stop, run)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: _stop_soon(running, run))


def _stop_soon(running: AbstractEventLoop, run: Run) -> None:
    running.call_soon_threadsafe(_stop, run)


def _stop(run: Run) -> None:
    warn("stopping: what is in flight arrives first; once more leaves it unknown")
    run.stop()


def show(result: RunResult, workspace: Workspace, *, as_json: bool) -> None:
    """What became of a run: what stopped it on stderr, the result on stdout."""
    from expand.cli.run_output import (
        refusals,
        show_result,  # start-up time
    )

    for refused in refusals(result.refused):
        warn(refused)
    if result.stopped_by:
        warn(result.stopped_by)
    if as_json:
        print_json(result.as_json())
    else:
        show_result(result, workspace)
