"""A PostgreSQL server of one's own on 127.0.0.1, for tests and benchmarks; gone when they end.

``EXPAND_TEST_POSTGRES`` names one that runs already (a database whose user may create schemas).
Else one is started where its programs are installed, in a folder of its own, as a user who is not
root, since PostgreSQL refuses to run as root.

    python tests/postgres_server.py    prints the address and serves until Enter
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "EXPAND_TEST_POSTGRES"
ACCOUNTS = ("postgres", "nobody")
STATED = os.environ.get(VARIABLE)


def programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``; None where they are not installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in [*folders, *map(Path, os.environ.get("PATH", "").split(os.pathsep))]:
        if (folder / "initdb").is_file() and (folder / "pg_ctl").is_file():
            return folder
    return None


def available() -> bool:
    """Whether there is a server, or one can be started."""
    return STATED is not None or programs() is not None


@contextlib.contextmanager
def running(*, durable: bool = False) -> Iterator[str]:
    """The address of a server that runs meanwhile. ``durable`` waits for the disk as in earnest."""
    if STATED is not None:
        yield STATED
        return
    found = programs()
    if found is None:
        raise RuntimeError(f"PostgreSQL is not installed; apt-get install postgresql, or set {VARIABLE}")
    with (
        tempfile.TemporaryDirectory(prefix="expand-postgres-") as folder,
        Server(found, Path(folder), durable=durable) as server,
    ):
        yield server.address


class Server:
    """A server in ``folder``, which can be stopped and started again."""

    def __init__(self, programs: Path, folder: Path, *, durable: bool = False) -> None:
        self._programs = programs
        self._folder = folder
        self._data = folder / "data"
        self._account = _account() if os.getuid() == 0 else None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._settings = "-c full_page_writes=off -c fsync=off" if not durable else ""
        if self._account is not None:
            shutil.chown(folder, self._account)

    @property
    def address(self) -> str:
        """As ``ledger`` in expand.toml takes it."""
        return f"postgresql://expand@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> Server:
        self._run(
            *("initdb", "-D", str(self._data), "-U", "expand", "-A", "trust", "--no-sync"),
            *("-E", "UTF8", "--locale=C"),
        )
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = (
            f"-p {self.port} -k '' -c listen_addresses=127.0.0.1 -c max_connections=60 "
            f"-c shared_buffers=32MB {self._settings}"
        )
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", str(self._data), "-o", options, "-l", log, "-w", "start")

    def stop(self) -> None:
        """Stop it, whoever is connected."""
        self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop")

    def _run(self, program: str, *options: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=self._folder,
            user=self._account,
            group=None if self._account is None else pwd.getpwnam(self._account).pw_gid,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr.strip()}")


def _account() -> str:
    for name in ACCOUNTS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise RuntimeError("there is no account but root's to run PostgreSQL")


if __name__ == "__main__":
    with running(durable=True) as address:
        print(address, flush=True)
        sys.stdin.readline()
