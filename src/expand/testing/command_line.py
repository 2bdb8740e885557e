"""The command line run in the process, against a scripted server."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

from expand.testing.server import Received
from expand.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandRun:
    """A command line that has run: exit code, stdout, stderr, and what the server got from it."""

    code: int
    out: str
    err: str
    requests: tuple[Received, ...] = ()

    @property
    def json(self) -> Any:
        """The one object on stdout; fails when there is anything else."""
        return json.loads(self.out)


def run_command(workspace: Workspace, *arguments: str) -> CommandRun:
    """Runs ``expand`` with these arguments in the workspace. Not from within a running loop."""
    from expand.cli import main  # heavy, and needed here only

    out, err = io.StringIO(), io.StringIO()
    code: int | str | None = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(["--workspace", str(workspace.root), *arguments])
        except SystemExit as ended:
            code = ended.code
    return CommandRun(code=code if isinstance(code, int) else 1, out=out.getvalue(), err=err.getvalue())
