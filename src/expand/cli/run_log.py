"""The log of a run with ``--verbose``: a file under ``.expand/logs``, a line with its time for all that happens.

Only the newest files are kept. No key is in it.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from expand.errors import InputError, Place
from expand.paths import private_folder
from expand.redaction import printable

KEPT_FILES = 20


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
