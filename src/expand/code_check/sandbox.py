"""Run a command on a model's text: without network, keys or a way to write, within limits.

With bubblewrap, or with Linux namespaces as ``unshare`` makes them, a command sees the system's programs, the toolchain
it belongs to, and its input in ``/expand-work``, a file system in memory that ends with it. Where neither works, only
commands that execute nothing of their input may run, with the same environment and fewer limits.

A process limit holds for a user and not for root. So root gives up its user, and anybody else all capabilities.
"""

import os
import random
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from threading import Timer
from typing import Literal, NamedTuple

from expand.paths import DATA

Kind = Literal["bwrap", "unshare", ""]
MOST_OUTPUT_BYTES = 1_000_000
"""What a command may print. Compilers print less on whole books; what prints more is stopped."""
MOST_PROCESSES = 256
"""Processes and threads at once: cargo with two jobs takes some thirty."""
MOST_MEMORY_KB = 2_000_000
"""Of data for each process; address space is not counted, of which Java and node reserve far more than they use."""
MOST_FILE_BYTES = 500_000_000
WORK_BYTES = 1_000_000_000
"""Size of the file system that a command may write to; it is in memory."""
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives", "/etc/ld.so.cache")
"""What every command may read. The rest of ``/etc``, homes and mounted disks are not there."""
USERS = range(20_000, 60_000)
"""Root takes one of these for each command, which nobody else is likely to be: processes are counted by user."""
PROGRAMS = "/usr/bin:/bin:/usr/sbin:/sbin"
NOT_RUN = -1000
"""The status of a command that could not be begun."""
_SIGNALS: Mapping[int, str] = {
    signal.SIGXFSZ: f"it wrote a file of more than {MOST_FILE_BYTES:,} bytes",
    signal.SIGXCPU: "it took too long",
}

_JAIL, _INSIDE, _LIMITED = ((DATA / f"sandbox_{name}.sh").read_text("utf-8") for name in ("jail", "inside", "limits"))
_READY = "READY\n"
"""Printed when all is set up: what comes after it is the command's."""


class Outcome(NamedTuple):
    """How a command ended: its exit status, what it printed, and why it was stopped, "" where it ended by itself."""

    status: int
    output: str
    stopped: str = ""


@lru_cache(maxsize=8)
def sandbox_kind(search_path: str | None) -> Kind:
    """What can contain a command on this machine, found by trying; "" for nothing. ``search_path`` is ``PATH``."""
    kinds: tuple[Kind, ...] = ("bwrap", "unshare")
    for kind in kinds:
        if shutil.which(kind, path=search_path) and _run(kind, ["true"], {}, {}, (), 10.0) == Outcome(0, ""):
            return kind
    return ""


def kind_here() -> Kind:
    """What contains commands here."""
    return sandbox_kind(os.environ.get("PATH"))


def run(
    command: Sequence[str],
    files: Mapping[str, str],
    *,
    readable: Iterable[Path] = (),
    environment: Mapping[str, str] | None = None,
    seconds: float,
    executes: bool = True,
) -> Outcome:
    """Run a command in a folder of its own with these files (by relative path); ``NOT_RUN`` where that would be unsafe:
    ``executes`` says that it may execute what the files hold, and nothing can contain it.

    ``readable`` are the folders and files beyond ``SYSTEM`` that it may read. Its environment is ``environment``, with
    ``PATH``, ``HOME`` and a locale."""
    kind = kind_here()
    if executes and not kind:
        return Outcome(NOT_RUN, "", "nothing here can contain it")
    return _run(kind, command, files, environment or {}, readable, seconds)


def _run(
    kind: Kind,
    command: Sequence[str],
    files: Mapping[str, str],
    environment: Mapping[str, str],
    readable: Iterable[Path],
    seconds: float,
) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="expand-") as given, tempfile.TemporaryDirectory(prefix="expand-") as root:
        folder = Path(given)
        folder.chmod(0o755)
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8", errors="replace", newline="")
        home = "/tmp" if kind else given
        variables = {"HOME": home, "TMPDIR": home, "LANG": "C.UTF-8", "PATH": PROGRAMS, **environment}
        cleared = ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in variables.items()), *command]
        limited = ["/bin/sh", "-c", _LIMITED, "sh", str(int(seconds) + 1), str(MOST_FILE_BYTES // 512), *cleared]
        paths = [*SYSTEM, *map(str, Path("/etc").glob("java*")), *map(str, readable)]
        outcome = _ended(_jailed(kind, limited, folder, root, paths), folder, seconds)
    before, ready, output = outcome.output.partition(_READY)
    if not ready and not outcome.stopped:
        return Outcome(NOT_RUN, "", f"the sandbox could not be set up: {before.strip()}")
    return outcome._replace(output=output)


def _jailed(kind: Kind, command: Sequence[str], folder: Path, root: str, readable: Iterable[str]) -> Sequence[str]:
    """The command as the sandbox of that kind is asked to run it."""
    there = [path for path in dict.fromkeys(readable) if Path(path).exists()]
    is_root = os.geteuid() == 0 if hasattr(os, "geteuid") else False
    own = str(random.choice(USERS))
    user = ["--reuid", own, "--regid", own, "--clear-groups"] if is_root else []
    dropped = ["setpriv", *user, "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    limits = ["prlimit", f"--nproc={MOST_PROCESSES}", f"--data={MOST_MEMORY_KB * 1024}"]
    inner = ["/bin/sh", "-c", _INSIDE, "sh", *dropped, *limits, *command]
    if kind == "unshare":
        spaces = ["--mount", "--net", "--pid", "--ipc", "--uts", *([] if is_root else ["--map-root-user"])]
        unshared = ["unshare", *spaces, "--fork", "--kill-child", "--propagation", "private"]
        return [*unshared, "/bin/sh", "-c", _JAIL, "sh", root, str(folder), str(WORK_BYTES), "\n".join(there), *inner]
    if kind == "bwrap":
        as_root = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
            as_root += ["--cap-add", capability]
        # Folders that bubblewrap makes on the way to a path are for their owner alone, unless it is told otherwise.
        above = dict.fromkeys(str(folder) for path in there for folder in reversed(Path(path).parents[:-1]))
        bound = [word for path in above for word in ("--perms", "0755", "--dir", path)]
        bound += [word for path in there for word in ("--ro-bind", path, path)]
        memory = [word for path in ("/tmp", "/expand-work") for word in ("--size", str(WORK_BYTES), "--tmpfs", path)]
        filled = ["/bin/sh", "-c", 'cp -r /input/. /expand-work; exec "$@"', "sh"]
        return [
            *("bwrap", "--die-with-parent", "--new-session", *(as_root if is_root else ["--unshare-all"])),
            *(*memory, *bound, "--proc", "/proc", "--dev", "/dev", "--ro-bind", str(folder), "/input"),
            *(*filled, *inner),
        ]
    return command


def _ended(command: Sequence[str], folder: Path, seconds: float) -> Outcome:
    """Run it to its end, or until it takes too long or prints too much."""
    stopped = ""
    try:
        # A program of the sandbox is found by the user's own PATH, what it runs by the one that it is given.
        program = shutil.which(command[0]) or command[0]
        process = subprocess.Popen(
            [program, *command[1:]],
            cwd=folder,
            env={"PATH": PROGRAMS},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return Outcome(NOT_RUN, "", f"{command[0]} cannot be run: {error.strerror}")

    def end(reason: str) -> None:
        nonlocal stopped
        stopped = stopped or reason
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

    timer = Timer(seconds, end, [f"it ran for more than {seconds:g} seconds"])
    timer.start()
    try:
        assert process.stdout is not None
        with process.stdout as printed:
            output = printed.read(MOST_OUTPUT_BYTES + 1)
        if len(output) > MOST_OUTPUT_BYTES:
            end(f"it printed more than {MOST_OUTPUT_BYTES:,} bytes")
        status = process.wait()
    finally:
        timer.cancel()
        end("")
    ended_by = -status if status < 0 else status - 128
    return Outcome(status, output.decode("utf-8", "replace"), stopped or _SIGNALS.get(ended_by, ""))
