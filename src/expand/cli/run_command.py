"""A run from the command line: progress on stderr, signals, the messages at its end."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import TypeVar

from expand.cli.output import VERBOSITY, note, print_json, warn
from expand.cli.progress import progress
from expand.cli.run_output import refusals, show_result
from expand.drafting.events import Event, Notice
from expand.drafting.model_setup import other_roles
from expand.drafting.results import RunResult
from expand.drafting.run import Run
from expand.drafting.run_options import RunOptions
from expand.settings import ModelRole, Settings
from expand.workspace import Workspace

Made = TypeVar("Made")


def run(workspace: Workspace, options: RunOptions, *, as_json: bool) -> int:
    """Runs chapters with progress on stderr and prints the result. Returns the exit code.

    Ctrl-C and SIGTERM let the requests in flight finish; a second one does not."""
    settings = options.settings(workspace)
    note_author(settings, *other_roles(workspace, settings, options))
    result = asyncio.run(_run(workspace, settings, options))
    for line in (*refusals(result.refused), *filter(None, (result.stopped_by, *result.problems))):
        warn(str(line))
    if as_json:
        print_json(result.as_json())
    else:
        show_result(result, workspace)
    return result.exit_code


def note_author(settings: Settings, *others: ModelRole) -> None:
    """Says on stderr to whom requests go, those of ``others`` too, before the first one. Raises ``UntrustedError``."""
    for one in settings.of_sections(*others):
        one.require_trust()
    if settings.model_file is not None:
        note(f"{settings.model} writes, served on this machine from {settings.model_file.path}")
    elif settings.embedded:
        note(
            f"the embedded local model writes ({settings.model}: English, small, for trying out); "
            "set OPENAI_API_KEY or give --base-url for another"
        )
    else:
        note(f"model {settings.recipient}")
    for one in settings.of_sections(*others)[1:]:
        if not one.embedded:
            note(f"also model {one.recipient}")


async def _run(workspace: Workspace, settings: Settings, options: RunOptions) -> RunResult:
    bars = options.decide is None  # a question would stand in the middle of them
    with progress(sys.stderr, VERBOSITY.get(), bars=bars) as show_event:
        async with Run(workspace, options, settings=settings, on_event=show_event) as run:
            stop_on_signals(run.stop)
            return await run.result()


def stop_on_signals(stop: Callable[[], object]) -> None:
    """Calls ``stop`` in the running event loop on each Ctrl-C and SIGTERM, after a message.

    The first call is to end the work once the requests in flight have finished, the second at once."""
    loop = asyncio.get_running_loop()

    def received() -> None:
        warn("stopping: what is in flight arrives first; once more leaves it unknown")
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, received)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(received))


def attended(sending: Callable[..., Coroutine[None, None, Made]], *given: object, **named: object) -> Made:
    """What a function that sends requests comes to. Its notices are said on stderr, and signals stop its client."""
    return asyncio.run(sending(*given, on_event=show_notice, on_ready=lambda it: stop_on_signals(it.stop), **named))


def show_notice(event: Event) -> None:
    """Says a run's notices on stderr, and nothing else of it."""
    if isinstance(event, Notice):
        note(event.message)
