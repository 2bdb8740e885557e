"""``expand doctor``: what is installed, reachable, priced and writable."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from expand.cli.common import BaseUrlOption, ModelOption, WorkspaceOption, print_json
from expand.doctor.environment import Terminal
from expand.doctor.run_checks import DoctorReport, run_checks
from expand.settings import Overrides


def doctor(
    context: typer.Context,
    live: Annotated[bool, typer.Option("--live", help="Send one small request too; it goes into the ledger.")] = False,
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Look at key, endpoint, model, price, tokenizer, ledger, disk and terminal; name remedies.

    Exits with 2 when something here is to be mended, with 4 when the author fails.
    """
    terminal = Terminal(
        columns=shutil.get_terminal_size().columns if sys.stdout.isatty() else None,
        encoding=sys.stdout.encoding or "ascii",
    )
    found = asyncio.run(
        run_checks(
            Path.cwd(),
            given=workspace or context.obj,
            environment=os.environ,
            overrides=Overrides(model=model, base_url=base_url),
            terminal=terminal,
            live=live,
        )
    )
    if as_json:
        _print(found)
    else:
        _show(found)
    raise typer.Exit(found.exit_code)


def _print(found: DoctorReport) -> None:
    print_json(
        {
            "exit_code": found.exit_code,
            "findings": [
                {
                    "subject": finding.subject,
                    "status": finding.status,
                    "message": finding.message,
                    "remedy": finding.remedy,
                }
                for finding in found.findings
            ],
        }
    )


def _show(found: DoctorReport) -> None:
    marks = {"ok": "ok", "note": "note", "warning": "WARN", "failure": "FAIL"}
    for finding in found.findings:
        typer.echo(f"{marks[finding.status]:<5}{finding.subject:<12}{finding.message}")
        if finding.remedy:
            typer.echo(f"{'':<17}-> {finding.remedy}")
    failed = sum(finding.status == "failure" for finding in found.findings)
    warned = sum(finding.status == "warning" for finding in found.findings)
    typer.echo("all is well" if not failed and not warned else f"{failed} to mend, {warned} to look at")
