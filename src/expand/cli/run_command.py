"""A run from the command line: progress on stderr, signals, the messages at its end, and with ``--verbose`` a log of it
under ``.expand/logs``, a line with its time for all that happens."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from expand import __version__
from expand.cli.output import VERBOSITY, Verbosity, counted, note, print_json, warn
from expand.cli.progress import PlainProgress, progress
from expand.cli.run_output import refusals, show_result
from expand.drafting.events import Event, Notice
from expand.drafting.model_setup import other_roles
from expand.drafting.results import RunResult
from expand.drafting.run import Run
from expand.drafting.run_options import RunOptions
from expand.errors import InputError, Place
from expand.paths import private_folder
from expand.redaction import printable
from expand.settings import ModelRole, Settings
from expand.workspace import Workspace

Made = TypeVar("Made")


def run(workspace: Workspace, options: RunOptions, *, as_json: bool) -> int:
    """Runs chapters with progress on stderr and prints the result. Returns the exit code.

    Ctrl-C and SIGTERM let the requests in flight finish; a second one does not."""
    settings = options.settings(workspace)
    note_author(settings, *other_roles(workspace, settings, options))
    result = asyncio.run(_run(workspace, settings, options))
    for line in _ended_by(result):
        warn(line)
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


def _ended_by(result: RunResult) -> Iterator[str]:
    """What was refused, and what stopped the run."""
    yield from refusals(result.refused)
    yield from (str(problem) for problem in (result.stopped_by, *result.problems) if problem)


async def _run(workspace: Workspace, settings: Settings, options: RunOptions) -> RunResult:
    bars = options.decide is None  # a question would stand in the middle of them
    say = None
    with ExitStack() as stack:
        shown = [stack.enter_context(progress(sys.stderr, VERBOSITY.get(), bars=bars))]
        if VERBOSITY.get() is Verbosity.VERBOSE:
            path, say = stack.enter_context(log_into(workspace.state_path("logs"), now=lambda: datetime.now(UTC)))
            note(f"the log of this run is {workspace.relative(path)}")
            say(f"expand {__version__}, {settings.model} at {settings.base_url or 'its own address'}")
            shown.append(PlainProgress(say, Verbosity.VERBOSE))

        def on_event(event: Event) -> None:
            for show_event in shown:
                show_event(event)

        async with Run(workspace, options, settings=settings, on_event=on_event) as run:
            stop_on_signals(run.stop)
            result = await run.result()
        if say is not None:
            attempts, answers = counted(result.attempts, "attempt"), counted(result.answers, "answer")
            for line in (*_ended_by(result), f"exit {result.exit_code}: {attempts}, {answers}, {result.seconds:.1f} s"):
                say(line)
        return result


KEPT_FILES = 20
"""Logs that are kept: the newest."""


@contextmanager
def log_into(folder: Path, *, now: Callable[[], datetime]) -> Iterator[tuple[Path, Callable[[str], None]]]:
    """A new log in ``folder``, after old ones were pruned, and what writes a line into it at once; ``now`` gives the
    time in UTC. Raises ``InputError``."""
    path = folder / f"{now():%Y-%m-%dT%H%M%SZ}-{os.getpid()}.log"
    try:
        private_folder(folder)
        for old in sorted(folder.glob("*.log"), reverse=True)[KEPT_FILES - 1 :]:
            old.unlink(missing_ok=True)  # another run may be pruning too
        path.touch(mode=0o600)
        file = path.open("a", encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(
            f"the log cannot be written: {error.strerror}",
            remedy="check the folder and the disk, or run without --verbose",
            place=Place(path=path),
        ) from error

    def say(line: str) -> None:
        moment = f"{now():%Y-%m-%dT%H:%M:%S.%f}"[:-3]
        file.write(f"{moment}Z {printable(line).replace(chr(10), ' ')}\n")
        file.flush()

    with file:
        yield path, say


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
