"""``expand doctor``: what is installed, reachable, priced and writable."""

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from expand.cli import options
from expand.cli.output import note, print_json
from expand.doctor.checks import EndpointReply, ask_endpoint, run_checks
from expand.settings import Overrides, Settings


def doctor(
    context: typer.Context,
    live: Annotated[bool, typer.Option("--live", help="Send one small request too; it goes into the ledger.")] = False,
    *,
    author: options.Author,
    as_json: options.Json = False,
) -> None:
    """Check what is installed, reachable and priced; name remedies.

    Checks the key, the endpoint, the model, its price, the ledger and the disk. Exits with
    2 when something here has to be fixed, with 4 when the author fails."""
    report = asyncio.run(
        run_checks(
            Path.cwd(),
            given=context.obj,
            environment=os.environ,
            overrides=Overrides(**author._asdict()),
            live=live,
            ask=_ask,
        )
    )
    if as_json:
        findings = [one._asdict() for one in report.findings]
        for finding in findings:
            del finding["exit_code"]
        print_json({"exit_code": report.exit_code, "findings": findings})
        raise typer.Exit(report.exit_code)
    labels = {"ok": "ok", "note": "note", "warning": "WARN", "failure": "FAIL"}
    for one in report.findings:
        typer.echo(f"{labels[one.status]:<5}{one.subject:<12}{one.message}")
        if one.remedy:
            typer.echo(f"{'':<17}-> {one.remedy}")
    count = Counter(one.status for one in report.findings)
    failed, warned = count["failure"], count["warning"]
    typer.echo(f"{failed} to fix, {warned} to look at" if failed or warned else "everything works")
    raise typer.Exit(report.exit_code)


async def _ask(settings: Settings) -> EndpointReply:
    """Says to whom the checks send, and asks for the list of models."""
    note(f"model {settings.recipient}")
    return await ask_endpoint(settings)
