"""A dry run as a table or as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from expand.budget import usd_from_pico
from expand.cli.common import print_json
from expand.cli.tables import TableColumn, console, say, table
from expand.drafting.dry_run import DryRun
from expand.schema import Json


def show_planned(planned: Sequence[DryRun], *, as_json: bool) -> None:
    """Prints requests, tokens, reservation and cost by section, and their sums."""
    if as_json:
        print_json({"dry_run": True, "sections": [_json(p) for p in planned], "total": _sum(planned)})
        return
    shown = console()
    total = _sum(planned)
    shown.print("\nDry run: nothing was sent", style="bold")
    columns = [
        TableColumn(name="Section", figure=False),
        TableColumn(name="Lines", spare=1),
        TableColumn(name="Requests", spare=2),
        TableColumn(name="Prompt tokens", spare=4),
        TableColumn(name="Answer tokens", spare=3),
        TableColumn(name="Reserved at most"),
        TableColumn(name="USD at most"),
    ]
    rows = [
        (
            f"{p.chapter}/{p.section} {p.title}{_kept(p)}",
            f"{p.lines:,}",
            f"{p.requests:,}",
            f"{p.prompt_tokens:,}",
            f"{p.completion_tokens:,}",
            f"{p.reserved_tokens:,}",
            _money(p.cost_pico_usd),
        )
        for p in planned
    ]
    sums = (
        "Sum",
        f"{total['lines']:,}",
        f"{total['requests']:,}",
        f"{total['prompt_tokens']:,}",
        f"{total['completion_tokens']:,}",
        f"{total['reserved_tokens']:,}",
        _money(_cost(planned)),
    )
    shown.print(table(columns, rows, width=shown.width, total=sums))
    say(
        shown,
        "Reserved is the most that each request can cost, freed when its answer comes; answers are "
        "expected to take about the tokens shown.",
    )
    if _cost(planned) is None:
        say(shown, "No price is known: what it costs is unknown, not nothing.")


def _kept(p: DryRun) -> str:
    """Why nothing would be sent for a section."""
    return " (edited)" if p.edited else " (current)" if p.reused else ""


def _money(pico: int | None) -> str:
    return "unknown" if pico is None else f"{usd_from_pico(pico):.4f}"


def _cost(planned: Sequence[DryRun]) -> int | None:
    costs = [p.cost_pico_usd for p in planned]
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def _sum(planned: Sequence[DryRun]) -> dict[str, Json]:
    cost = _cost(planned)
    return {
        "lines": sum(p.lines for p in planned),
        "requests": sum(p.requests for p in planned),
        "prompt_tokens": sum(p.prompt_tokens for p in planned),
        "completion_tokens": sum(p.completion_tokens for p in planned),
        "reserved_tokens": sum(p.reserved_tokens for p in planned),
        "cost": None if cost is None else str(usd_from_pico(cost)),
    }


def _json(p: DryRun) -> dict[str, Json]:
    return {
        "chapter": p.chapter,
        "number": p.section,
        "title": p.title,
        "lines": p.lines,
        "reused": p.reused,
        "requests": p.requests,
        "prompt_tokens": p.prompt_tokens,
        "completion_tokens": p.completion_tokens,
        "reserved_tokens": p.reserved_tokens,
        "largest_reservation": p.largest,
        "cost": None if p.cost_pico_usd is None else str(usd_from_pico(p.cost_pico_usd)),
    }
