"""The log of a run: every event with its time, in a file of the workspace, under ``.expand/logs``.

Bounded: only the newest files are kept. No key is in it.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

from expand.cli.progress_messages import RunProgress
from expand.cli.verbosity import Verbosity, counted
from expand.drafting.events import Event, SectionGrew
from expand.drafting.results import RunResult
from expand.errors import InputError, Place
from expand.paths import private_folder
from expand.redaction import printable

KEPT_FILES = 20


class RunLog:
    """Writes what happens in a run into ``file``, one line each, as it happens."""

    def __init__(self, file: TextIO, now: Callable[[], datetime]) -> None:
        self._file = file
        self._now = now
        self._run = RunProgress(Verbosity.VERBOSE)

    def __call__(self, event: Event) -> None:
        """Notes an event."""
        for line in self._run.take(event):
            self.say(line)
        if isinstance(event, SectionGrew) and not event.streaming:
            target = self._run.sections[event.chapter, event.section].lines
            self.say(f"{event.chapter}/{event.section}: {event.lines:,} of {target:,} lines; {self._run.summary()}")

    def end(self, result: RunResult) -> None:
        """Notes what the run came to."""
        for refusal in result.refused:
            self.say(f"{refusal.chapter}/{refusal.section}: refused: {refusal.message}")
        if result.stopped_by:
            self.say(f"stopped: {result.stopped_by}")
        attempts, answers = counted(result.attempts, "attempt"), counted(result.answers, "answer")
        self.say(f"exit {result.exit_code}: {attempts}, {answers}, {result.seconds:.1f} s")

    def say(self, line: str) -> None:
        """Notes a line, on the disk when it returns as far as the process is concerned."""
        moment = f"{self._now():%Y-%m-%dT%H:%M:%S.%f}"[:-3]
        self._file.write(f"{moment}Z {printable(line).replace(chr(10), ' ')}\n")
        self._file.flush()


@contextmanager
def log_into(folder: Path, *, now: Callable[[], datetime]) -> Iterator[tuple[Path, RunLog]]:
    """A new log in ``folder``, after old ones were pruned; ``now`` gives the time in UTC. Raises ``InputError``."""
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
    with file:
        yield path, RunLog(file, now)
