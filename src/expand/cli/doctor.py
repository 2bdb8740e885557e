"""``expand doctor``: what is installed, reachable, priced and writable."""

import asyncio
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from expand.cli import options
from expand.cli.output import note, print_json
from expand.doctor.environment import Terminal
from expand.doctor.model_checks import EndpointReply, ask_endpoint
from expand.doctor.run_checks import DoctorReport, run_checks
from expand.schema import Json
from expand.settings import Overrides, Settings


def doctor(
    context: typer.Context,
    live: Annotated[bool, typer.Option("--live", help="Send one small request too; it goes into the ledger.")] = False,
    *,
    author: options.Author,
    as_json: options.Json = False,
) -> None:
    """Check what is installed, reachable and priced; name remedies.

    Checks the key, the endpoint, the model, its price and tokenizer, the ledger, the disk and the terminal. Exits with
    2 when something here has to be fixed, with 4 when the author fails."""
    terminal = Terminal(
        columns=shutil.get_terminal_size().columns if sys.stdout.isatty() else None,
        encoding=sys.stdout.encoding or "ascii",
    )
    report = asyncio.run(
        run_checks(
            Path.cwd(),
            given=context.obj,
            environment=os.environ,
            overrides=Overrides(**author._asdict()),
            terminal=terminal,
            live=live,
            ask=_ask,
        )
    )
    if as_json:
        findings: list[Json] = [
            {"subject": one.subject, "status": one.status, "message": one.message, "remedy": one.remedy}
            for one in report.findings
        ]
        print_json({"exit_code": report.exit_code, "findings": findings})
    else:
        _show(report)
    raise typer.Exit(report.exit_code)


async def _ask(settings: Settings) -> EndpointReply:
    """Says to whom the checks send, and asks for the list of models."""
    note(f"model {settings.recipient}")
    return await ask_endpoint(settings)


def _show(report: DoctorReport) -> None:
    labels = {"ok": "ok", "note": "note", "warning": "WARN", "failure": "FAIL"}
    for finding in report.findings:
        typer.echo(f"{labels[finding.status]:<5}{finding.subject:<12}{finding.message}")
        if finding.remedy:
            typer.echo(f"{'':<17}-> {finding.remedy}")
    failed = sum(finding.status == "failure" for finding in report.findings)
    warned = sum(finding.status == "warning" for finding in report.findings)
    typer.echo(f"{failed} to fix, {warned} to look at" if failed or warned else "everything works")
