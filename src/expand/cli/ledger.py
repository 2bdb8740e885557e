"""``expand ledger``: integrity, transfer, and settling what was unknown."""

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from expand.cli import options
from expand.cli.options import workspace_of
from expand.cli.output import counted, is_unicode, note, print_json, warn, write_data
from expand.drafting.model_setup import cost_of
from expand.drafting.run_options import settings_of
from expand.errors import InputError, Place
from expand.ledger import Ledger, State, audit, pauses_in, transfer
from expand.ledger.attempts import MOST_TOKENS
from expand.ledger_location import LedgerPlace, is_server, read_server
from expand.workspace import write_atomically

LedgerOption = Annotated[
    str | None,
    typer.Option("--ledger", metavar="FILE|URL", help="A ledger other than the workspace's: a file, or postgresql://…"),
]


def _path(context: typer.Context, given: str | None) -> LedgerPlace:
    if given is None:
        return workspace_of(context).ledger_place
    return read_server(given) if is_server(given) else Path(given)


def verify(
    context: typer.Context,
    ledger: LedgerOption = None,
    as_json: options.Json = False,
) -> None:
    """Recompute every total, key and hash; exit 2 if one is wrong."""
    report = audit.verify(_path(context, ledger))
    if as_json:
        figures = {name: value for name, value in report._asdict().items() if name != "path"}
        print_json({"ok": report.ok, **figures})
    else:
        verdict = "ok" if report.ok else counted(len(report.findings), "finding")
        typer.echo(
            f"{report.path}: {verdict}; {counted(report.attempts, 'attempt')}, "
            f"{counted(report.requests, 'request')}, {counted(report.answers, 'answer')}"
        )
    for finding in report.findings:
        warn(finding)
    raise typer.Exit(0 if report.ok else 2)


def export(
    context: typer.Context,
    texts: Annotated[bool, typer.Option("--texts/--no-texts", help="With requests and answers, or without.")] = True,
    output: options.Output = None,
    ledger: LedgerOption = None,
) -> None:
    """Write the ledger as JSON lines, one record a line."""
    lines = transfer.export(_path(context, ledger), texts=texts)
    if output is not None:
        write_atomically(output, "".join(f"{line}\n" for line in lines))  # the answers as they came
        note(f"{output} written")
        return
    whole = is_unicode(sys.stdout)
    for line in lines:  # in ASCII where the encoding would lose some of it
        write_data(f"{line if whole else json.dumps(json.loads(line))}\n")


def import_(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="What was exported; else stdin.")] = None,
    ledger: LedgerOption = None,
) -> None:
    """Fill a new ledger from JSON lines, completely or not at all."""
    target = _path(context, ledger)
    if file is None:
        attempts, answers = transfer.import_(target, getattr(sys.stdin, "buffer", sys.stdin), name="stdin")
    elif not file.is_file():
        raise InputError("there is no such file", remedy="check the path", place=Place(path=file))
    else:
        # Bytes, so that a line that is not UTF-8 is an error of that line.
        with file.open("rb") as lines:
            attempts, answers = transfer.import_(target, lines, name=str(file))
    typer.echo(f"{target}: {attempts:,} attempts and {answers:,} answers imported")


def reconcile(
    context: typer.Context,
    attempt: Annotated[str | None, typer.Argument(metavar="[ATTEMPT]", help="The attempt's id.")] = None,
    outcome: Annotated[str | None, typer.Option("--as", metavar="used=N|unbilled", help="What became of it.")] = None,
) -> None:
    """Settle attempts of unknown outcome, or list them."""
    place = workspace_of(context)
    there = Ledger.read(place.ledger_place)
    if there is None:
        raise InputError("there is no ledger yet", remedy="expand a chapter first: nothing is unknown")
    there.close()
    with closing(Ledger.open(place.ledger_place)) as ledger:
        ledger.recover()
        if attempt is not None:
            tokens = _tokens(outcome)
            row = audit.reconcile(ledger, attempt, tokens=tokens, cost=cost_of(place, settings_of(place)))
            typer.echo(f"{row.id}: {tokens:,} tokens in the place of {row.usage.total:,}")
        else:
            _list(ledger)


def resume(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="The paused model.")] = None,
) -> None:
    """List paused models, or lift the pause of one."""
    place = workspace_of(context)
    paused = pauses_in(place.ledger_place)
    names = [pause.model for pause in paused]
    if model is None:
        typer.echo("\n".join(map(str, paused)) or "no model is paused")
        return
    if model not in names:
        listed = f"paused are: {', '.join(names)}" if names else "no model is paused"
        raise InputError(f"{model} is not paused", remedy=listed)
    with closing(Ledger.open(place.ledger_place)) as ledger:
        ledger.resume(model)
    typer.echo(f"{model}: the pause is lifted")


def _list(ledger: Ledger) -> None:
    rows = ledger.attempts(state=State.UNKNOWN)
    for row in rows:
        what = f"{row.id}  {row.chapter}/{row.section} {row.purpose}  {row.model}"
        typer.echo(f"{what}  {row.usage.total:,} tokens charged  {row.failure}: {row.message}")
    if not rows:
        typer.echo("no attempt of unknown outcome")


def _tokens(outcome: str | None) -> int:
    """What ``--as`` says that an attempt took. Raises ``InputError``."""
    words = "used=N (tokens in all) or unbilled"
    if outcome is None:
        raise InputError("--as is missing", remedy=f"say --as {words}")
    name, _, number = outcome.partition("=")
    if not (outcome == "unbilled" or (name == "used" and number.isdecimal() and len(number) < 20)):
        raise InputError(f"--as is {outcome!r}", remedy=f"give {words}")
    tokens = 0 if outcome == "unbilled" else int(number)
    if tokens > MOST_TOKENS:
        raise InputError(f"{tokens:,} tokens for one attempt", remedy="give what was billed")
    return tokens
