"""Reconciliation: what became of unknown outcomes, by hand or from a provider's usage export.

An attempt is reconciled once; its history keeps that it was unknown, and at what charge.
"""

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from expand.errors import InputError, Place
from expand.ledger import attempts
from expand.ledger.attempts import Charge
from expand.ledger.store import Ledger
from expand.ledger.values import AttemptRow, State
from expand.llm.types import NO_USAGE, Usage

Cost = Callable[[str, Usage], int | None]
"""The price of a usage of a model in pico-dollars; None where it is unknown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconciled:
    """What a usage export settled. ``differing`` names settled attempts that the provider billed otherwise than it had
    reported; ``still_unknown`` counts what the export does not mention."""

    settled: tuple[str, ...]
    differing: tuple[str, ...]
    still_unknown: int


def reconcile(ledger: Ledger, attempt_id: str, *, tokens: int, cost: Cost = lambda _, __: None) -> AttemptRow:
    """Settle one unknown attempt by hand: it was billed ``tokens`` in all, 0 for not at all.

    Returns the attempt as it was. Raises ``LedgerError`` when it is not unknown."""
    with ledger.writing() as connection:
        row = attempts.fetch(connection, attempt_id, (State.UNKNOWN,))
        prompt = min(tokens, row.usage.prompt)  # as far as its reservation goes, which it is charged at
        charged = _charge(row, Usage(prompt=prompt, completion=tokens - prompt), cost)
        attempts.reconcile(connection, row, charged)
    return row


def reconcile_export(
    ledger: Ledger, lines: Iterable[str], *, name: str, cost: Cost = lambda _, __: None, complete: bool = False
) -> Reconciled:
    """Settle unknown attempts from a usage export in CSV, all of them or none.

    Columns: ``client_request_id`` (what went out as ``X-Client-Request-Id``) or ``attempt_id``; ``prompt_tokens`` and
    ``completion_tokens``; ``cached_tokens`` if there is one; others are left alone. Several rows of one attempt are
    added up. ``complete`` says that the export holds all that was billed, so that what it does not mention is unbilled.
    ``name`` is the file's, for messages. Raises ``InputError``, ``LedgerError``."""
    billed = _billed(lines, name)
    settled: list[str] = []
    differing: list[str] = []
    still = 0
    with ledger.writing() as connection:
        found = connection.query("SELECT * FROM attempt WHERE state IN ('settled', 'unknown') ORDER BY seq")
        for row in map(attempts.read, found):
            usage = billed.get(row.id)
            # Only told, never changed: a settled attempt was charged what the provider reported with the answer, and an
            # export that says otherwise is for a person to judge.
            if row.state is State.SETTLED:
                if usage is not None and usage.total != row.used_tokens:
                    differing.append(row.id)
                continue
            if usage is None and not complete:
                still += 1
                continue
            charged = _charge(row, usage or NO_USAGE, cost)
            attempts.reconcile(connection, row, charged)
            settled.append(row.id)
    return Reconciled(settled=tuple(settled), differing=tuple(differing), still_unknown=still)


def _charge(row: AttemptRow, usage: Usage, cost: Cost) -> Charge:
    """Without a price, the money stays charged at its reservation unless nothing was billed."""
    pico = 0 if usage.total == 0 else cost(row.model, usage)
    # Unknown money stays at its reservation: a zero here would be a price, and it would be wrong.
    return Charge(usage=usage, source="reconciled", cost_pico_usd=row.reserved.pico_usd if pico is None else pico)


def _billed(lines: Iterable[str], name: str) -> dict[str, Usage]:
    table = csv.DictReader(lines)
    billed: dict[str, Usage] = {}
    try:
        columns = set(table.fieldnames or ())
        if not columns & {"client_request_id", "attempt_id"} or not columns >= {"prompt_tokens", "completion_tokens"}:
            raise InputError(
                "not a usage export",
                remedy="give it the columns client_request_id (or attempt_id), prompt_tokens and completion_tokens",
                place=Place(path=name, line=1),
            )
        for row in table:
            # The header ends in the attempt's id, and an export may put something before it.
            key = (row.get("attempt_id") or row.get("client_request_id") or "").rpartition("/")[2]
            billed[key] = billed.get(key, NO_USAGE) + Usage(
                prompt=_figure(row["prompt_tokens"]),
                completion=_figure(row["completion_tokens"]),
                cached=_figure(row.get("cached_tokens") or "0"),
            )
    except (csv.Error, ValueError) as error:  # a quote that is never closed, say
        what, remedy = f"{error}", "give whole numbers from 0"
        if isinstance(error, csv.Error):
            what, remedy = f"this is no CSV: {error}", "export it again"
        raise InputError(what, remedy=remedy, place=Place(path=name, line=table.line_num or 1)) from error
    return billed


def _figure(text: str | None) -> int:
    figure = int(text) if text and text.strip().isdecimal() else -1
    if not 0 <= figure < 10**12:
        raise ValueError(f"{text!r} is not a number of tokens")
    return figure
